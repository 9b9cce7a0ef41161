"""Values from what JSON holds: the reading half of `codec`.

Rows are fetched before anything is built: `references_of` finds the keys of all models in the text.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from functools import cache, partial
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, DataError, connections
from django.db.models import Model, QuerySet
from django.utils.safestring import SafeString

from djust.exceptions import StateError
from djust.state.types import FACTORIES, find_class, is_dataclass, is_named_tuple
from djust.state.writing import TAG


class Source(NamedTuple):
    """Where rows come from: the label of a model and the alias of a database."""

    label: str
    database: str


class Reader:
    """Builds the values of one state from what was written."""

    def __init__(self, references: dict[Source, list[Any]]) -> None:
        self._rows = {source: _fetched(source, keys) for source, keys in references.items()}

    def attribute(self, written: Any) -> Any:
        """The value; raises `LookupError` with a text if a row in it is gone, `StateError` if it is not genuine."""
        try:
            return self.read(written)
        except (StateError, _GoneError):
            raise
        except Exception as error:
            # __hash__ and __init__ of the classes that are named see values that they were not made for, and may
            # raise what they like.
            raise StateError(f"The text of a state is not what was written ({error}).") from error

    def read(self, written: Any) -> Any:
        """The value of something inside."""
        if type(written) is list:
            return [self.read(member) for member in written]
        if type(written) is dict:
            if TAG not in written:
                return {key: self.read(member) for key, member in written.items()}
            if len(written) == 1:
                tag, *members = written[TAG]
                return _READERS[tag](self, *members)
            raise StateError(f"The text of a state is not what was written: {written!r:.80}.")
        return written

    def pairs(self, written: list[Any]) -> Iterator[tuple[Any, Any]]:
        """Keys and values."""
        for key, value in written:
            yield self.read(key), self.read(value)

    def rows(self, label: str, database: str | None) -> dict[Any, Model]:
        """The rows of a model that were found, by their keys."""
        return self._rows[_source(label, database)]


class _GoneError(LookupError):
    """A row that was referred to is not there any more."""


# Rows


def references_of(written: Any) -> dict[Source, list[Any]]:
    """The keys of all rows that a text refers to; a key is read without rows."""
    found: dict[Source, list[Any]] = {}
    waiting = [written]
    blank = Reader({})
    while waiting:
        value = waiting.pop()
        if type(value) is list:
            waiting += value
        elif type(value) is dict:
            match value.get(TAG):
                case ["model", str(label), str() | None as database, key]:
                    found.setdefault(_source(label, database), []).append(blank.attribute(key))
                case ["queryset", str(label), str() | None as database, list(keys), *_]:
                    found.setdefault(_source(label, database), []).extend(blank.attribute(keys))
                case _:
                    waiting += value.values()
    return found


def _source(label: str, database: str | None) -> Source:
    return Source(label, database or DEFAULT_DB_ALIAS)


def _model_of(label: str) -> type[Model]:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise StateError(f"The state holds a row of {label!r:.80}, and there is no such model ({error}).") from error


def _fetched(source: Source, keys: list[Any]) -> dict[Any, Model]:
    model = _model_of(source.label)
    if source.database not in connections:
        raise StateError(f"The state holds a row of the database {source.database!r:.80}, which is not configured.")
    try:
        return model._base_manager.using(source.database).in_bulk({_key(model, key) for key in keys})
    except (ValueError, TypeError, OverflowError, ValidationError, DataError) as error:
        raise StateError(f"The state holds keys of {source.label} that it cannot have ({error}).") from error


def _key(model: type[Model], key: Any) -> Any:
    """The key as a row has it: an instance may have been saved with "7" for 7."""
    return model._meta.pk.to_python(key)


def _model(reader: Reader, label: str, database: str | None, written: Any) -> Model:
    model = _model_of(label)
    key = _key(model, reader.read(written))
    row = reader.rows(label, database).get(key)
    if row is None:
        raise _GoneError(f"{model._meta.object_name} {key} no longer exists")
    return row


def _row(reader: Reader, label: str, database: str | None, adding: bool, written: list[Any]) -> Model:
    model = _model_of(label)
    values = dict(reader.pairs(written))
    names = [field.attname for field in model._meta.concrete_fields if field.attname in values]
    if len(names) != len(values):
        raise StateError(f"The state holds fields that {label} does not have: {sorted(values.keys() - set(names))}.")
    instance = model.from_db(database, names, [values[name] for name in names])
    instance._state.adding = adding
    return instance


def _queryset(
    reader: Reader, label: str, database: str | None, written: list[Any], name: str | None = None
) -> QuerySet[Any]:
    kind: Any = QuerySet if name is None else _class(name)
    if not issubclass(kind, QuerySet):
        raise StateError(f"{name} is not a QuerySet.")
    model = _model_of(label)
    rows, keys = reader.rows(label, database), [_key(model, reader.read(key)) for key in written]
    found: QuerySet[Any] = kind(model=model, using=database or DEFAULT_DB_ALIAS).filter(pk__in=keys)
    # In the order of the keys, without another query; what is derived from it asks the database again.
    found._result_cache = [rows[key] for key in keys if key in rows]
    return found


# Everything else


def _enum(reader: Reader, name: str, member: str) -> Enum:
    kind = _class(name)
    if not issubclass(kind, Enum):
        raise StateError(f"{name} is not an enum.")
    if member not in kind.__members__:
        raise StateError(f"{name} has no member {member!r:.80}.")
    return kind.__members__[member]


def _flag(reader: Reader, name: str, value: int) -> Enum:
    kind = _class(name)
    if not issubclass(kind, Flag):
        raise StateError(f"{name} is not a flag.")
    return kind(value)


def _named(reader: Reader, name: str, written: list[Any]) -> Any:
    kind: Any = _class(name)
    if not is_named_tuple(kind):
        raise StateError(f"{name} is not a named tuple.")
    return kind._make(map(reader.read, written))


def _dataclass(reader: Reader, name: str, written: list[Any]) -> Any:
    kind: Any = _class(name)
    if not is_dataclass(kind):
        raise StateError(f"{name} is not a dataclass.")
    values = dict(reader.pairs(written))
    fields = dataclasses.fields(kind)
    if strange := values.keys() - {field.name for field in fields}:
        raise StateError(f"{name} has no fields {sorted(map(str, strange))}.")
    # Only what __init__ leaves out may have had no value; any other field is new since this was written.
    if new := [field.name for field in fields if field.init and field.name not in values]:
        raise StateError(f"{name} has fields that were not written: {new}.")
    # As it was: neither __init__ nor __post_init__ is to do anything again. It may be frozen.
    instance = object.__new__(kind)
    for field, value in values.items():
        object.__setattr__(instance, field, value)
    return instance


def _class(name: str) -> type:
    kind = find_class(name) if type(name) is str else None
    if kind is None:
        raise StateError(f"The state holds an object of {name!r:.80}, and no module that is imported has this class.")
    return kind


def _moment(
    kind: Any, reader: Reader, text: str, fold: int, zone: str | None = None, offset: str | None = None
) -> datetime | time:
    value = kind.fromisoformat(text).replace(fold=fold)
    if offset is not None:
        return value.replace(tzinfo=timezone(value.utcoffset(), offset))  # type: ignore[no-any-return]
    return value if zone is None else value.replace(tzinfo=_zone(zone))  # type: ignore[no-any-return]


def _zone(key: str) -> ZoneInfo:
    # Where ZoneInfo does not find a key, it looks for a package of this name.
    if key not in _zones():
        raise StateError(f"The state holds the time zone {key!r:.80}, which is not known here.")
    return ZoneInfo(key)


@cache
def _zones() -> set[str]:
    return available_timezones()


def _defaultdict(reader: Reader, factory: str | None, written: list[Any]) -> Any:
    return defaultdict(None if factory is None else FACTORIES[factory], reader.pairs(written))


def _counter(reader: Reader, written: list[Any]) -> Any:
    return Counter(dict(reader.pairs(written)))


_READERS: dict[str, Callable[..., Any]] = {
    "int": lambda reader, text: int(text, 16),
    "halves": lambda reader, codes: "".join(map(chr, codes)),
    "float": lambda reader, text: float(text),
    "safe": lambda reader, text: SafeString(text),
    "tuple": lambda reader, written: tuple(map(reader.read, written)),
    "set": lambda reader, written: set(map(reader.read, written)),
    "frozenset": lambda reader, written: frozenset(map(reader.read, written)),
    "dict": lambda reader, written: dict(reader.pairs(written)),
    "ordered": lambda reader, written: OrderedDict(reader.pairs(written)),
    "counter": _counter,
    "defaultdict": _defaultdict,
    "named": _named,
    "dataclass": _dataclass,
    "datetime": partial(_moment, datetime),
    "date": lambda reader, text: date.fromisoformat(text),
    "time": partial(_moment, time),
    "timedelta": lambda reader, *parts: timedelta(*parts),
    "decimal": lambda reader, text: Decimal(text),
    "uuid": lambda reader, text: UUID(text),
    "enum": _enum,
    "flag": _flag,
    "model": _model,
    "row": _row,
    "queryset": _queryset,
}
