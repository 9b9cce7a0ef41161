"""The types that state may hold: one table, from which codec, validation and system checks are
derived.

    find_type(date)  ->  StateType(date, write=…, read={"date": …})
    find_type(Path)  ->  None: a `Path` cannot be state

A row of the table says which classes it is for, how their values are written and read, and what
they hold. A value that JSON does not have is written as `{"$": [tag, …]}`; the reader of the tag
receives what follows it.

    date(2030, 1, 1)   {"$": ["date", "2030-01-01"]}
    {1, 2}             {"$": ["set", [1, 2]]}
    Point(x=1, y=2)    {"$": ["named", "shop.views:Point", [1, 2]]}

Subclasses of plain types are not in the table, because they would come back as something else.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag
from functools import cache, partial
from itertools import chain
from operator import attrgetter
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from django.db import DEFAULT_DB_ALIAS, DatabaseError
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable, NamedValuesListIterable
from django.utils.functional import LazyObject, Promise, empty
from django.utils.safestring import SafeString

from djust.exceptions import StateError
from djust.state.classes import (
    class_name,
    dataclass_values,
    find_class,
    is_dataclass,
    is_model,
    is_named_tuple,
    make_dataclass,
    model_of,
    named_subclass,
)
from djust.state.rows import RowGone, RowRefused, RowSource, field_values, is_row, key_of, source_of

TAG = "$"
# More levels than any state needs. Objects that are nested deeper are treated as circular.
MAX_DEPTH = 100
# A state with more values is a mistake, or contains itself so often that writing would not end.
MAX_VALUES = 5_000_000

# What a value holds, each with the step that leads to it, such as `[3]` or `.name`.
Children = Iterable[tuple[str, Any]]


class Unknown:
    """Stands for something that cannot be state, or that has to be checked value by value."""


UNKNOWN = (Unknown(),)


@dataclass(frozen=True, slots=True, eq=False)
class StateType:
    """One row of the table."""

    matches: type | Callable[[type], bool]
    """The class, or a test for classes."""
    write: Callable[[Encoder, Any], Any]
    """The value as JSON."""
    read: Mapping[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    """By tag: makes the value of a `Decoder` and what was written after the tag."""
    children: Callable[[Any], Children | None] | None = None
    """What a value holds, or None if it cannot be state. Without this function it holds nothing."""
    all_children: Callable[[list[Any]], Iterable[Any]] | None = None
    """The same for many values of one class at once, without steps; only for speed."""

    def scan(self, values: list[Any]) -> Iterable[Any]:
        """What `values`, all of one class, hold."""
        if self.all_children is not None:
            return self.all_children(values)
        if self.children is None:
            return ()
        found = [self.children(value) for value in values]
        return UNKNOWN if None in found else [child for children in found for _, child in children or ()]


class Encoder:
    """Writes the values of one state. Without `allow_rows`, rows of models are refused."""

    def __init__(self, *, allow_rows: bool = True) -> None:
        self.allow_rows = allow_rows
        self._count = 0
        self._path: set[int] = set()
        self._class_names: dict[type, str | None] = {}

    def write(self, value: Any) -> Any:
        """`value` as JSON. One that cannot be written, or contains itself, becomes a text."""
        self._count += 1
        if self._count > MAX_VALUES:
            raise StateError(f"The state has more than {MAX_VALUES:,} values. Keep large data elsewhere.")
        kind = type(value)
        write = _LEAF_WRITERS.get(kind)
        if write is not None:
            return write(self, value)
        found = _BY_CLASS.get(kind) or find_type(kind)
        if found is None:
            return _write_text(self, value)
        path, identity = self._path, id(value)
        if identity in path or len(path) > MAX_DEPTH:
            return _write_text(self, value)
        path.add(identity)
        try:
            return found.write(self, value)
        finally:
            path.discard(identity)

    def items(self, values: Iterable[Any]) -> list[Any]:
        return [self.write(value) for value in values]

    def class_name(self, kind: type) -> str | None:
        """The name of a class, looked up once: many values of a state have the same."""
        if kind not in self._class_names:
            self._class_names[kind] = class_name(kind)
        return self._class_names[kind]

    def pairs(self, mapping: Mapping[Any, Any]) -> list[Any]:
        return [[self.write(key), self.write(value)] for key, value in mapping.items()]


class Decoder:
    """Builds the values of one state from JSON. `rows` holds the rows it refers to, by key."""

    def __init__(self, rows: Mapping[RowSource, Mapping[Any, Model]]) -> None:
        self.rows = rows
        self._classes: dict[tuple[str, str], type] = {}

    def decode(self, written: Any) -> Any:
        """The value; raises `RowGone` if a row in it is gone, `StateError` if it is not genuine."""
        try:
            return self.read(written)
        except (StateError, RowGone):
            raise
        except Exception as error:
            # __hash__ and __init__ of the named classes get values that they were not written for,
            # and may raise any exception.
            raise StateError(f"The text of a state is not what was written ({error}).") from error

    def read(self, written: Any) -> Any:
        if type(written) is list:
            return [self.read(member) for member in written]
        if type(written) is dict:
            if TAG not in written:
                return {key: self.read(member) for key, member in written.items()}
            if len(written) == 1:
                tag, *members = written[TAG]
                return READERS[tag](self, *members)
            raise StateError(f"The text of a state is not what was written: {written!r:.80}.")
        return written

    def find_class(self, name: str, title: str, parent: type | Callable[[type], bool]) -> Any:
        """As the function of this name; a class is looked up once."""
        found = self._classes.get((name, title))
        if found is None:
            found = self._classes[name, title] = find_class(name, title, parent)
        return found

    def pairs(self, written: list[Any]) -> list[tuple[Any, Any]]:
        return [(self.read(key), self.read(value)) for key, value in written]


def _tagged(tag: str, *members: Any) -> dict[str, Any]:
    return {TAG: [tag, *members]}


def _write_text(encoder: Encoder, value: object) -> Any:
    """The text that stands for something that cannot be written."""
    try:
        text = str.__str__(str(value))
    except Exception:  # noqa: BLE001 — an object may raise what it likes, and has no text then
        text = f"<{type(value).__name__}>"
    return _write_str(encoder, text)


# Plain values

# Python reads integers of up to 4,300 digits from decimal text.
_LARGE = 1 << 10_000


def _write_str(_: Encoder, value: str) -> Any:
    # JSON would read two lone surrogates in a row as one character.
    return value if _is_unicode(value) else _tagged("surrogates", [ord(character) for character in value])


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _write_enum(encoder: Encoder, value: Enum) -> Any:
    kind = type(value)
    if kind.__members__.get(value.name) is value:
        return _tagged("enum", encoder.class_name(kind), value.name)
    # A combination of flags has no name of its own.
    return _tagged("flag", encoder.class_name(kind), value.value)


def _read_enum(decoder: Decoder, name: str, member: str) -> Enum:
    members: Mapping[str, Enum] = decoder.find_class(name, "an enum", Enum).__members__
    if member not in members:
        raise StateError(f"{name} has no member {member!r:.80}.")
    return members[member]


def _leaf(kind: type, tag: str, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> StateType:
    """A class whose values are written as one text."""
    return StateType(kind, lambda _, value: _tagged(tag, write(value)), {tag: lambda _, written: read(written)})


# Dates and times


def _is_known_zone(zone: tzinfo | None) -> bool:
    """Whether a time zone can be named: another one would come back as a fixed offset."""
    return zone is None or type(zone) is timezone or (type(zone) is ZoneInfo and zone.key is not None)


def _moment(kind: type[datetime | time], tag: str) -> StateType:
    return StateType(
        kind,
        partial(_write_moment, tag),
        {tag: partial(_read_moment, kind)},
        lambda value: () if _is_known_zone(value.tzinfo) else ((".tzinfo", value.tzinfo),),
        lambda values: () if all(_is_known_zone(value.tzinfo) for value in values) else UNKNOWN,
    )


def _write_moment(tag: str, encoder: Encoder, value: datetime | time) -> Any:
    zone = value.tzinfo
    if not _is_known_zone(zone):
        return _write_text(encoder, value)
    if isinstance(zone, ZoneInfo):
        return _tagged(tag, value.replace(tzinfo=None).isoformat(), value.fold, zone.key)
    # A fixed offset may have a name, which is not in the text.
    arguments: tuple[Any, ...] = zone.__getinitargs__() if isinstance(zone, timezone) else ()  # type: ignore[attr-defined] # for pickle
    return _tagged(tag, value.isoformat(), value.fold, *([None, arguments[1]] if len(arguments) > 1 else []))


def _read_moment(
    kind: Any, _: Decoder, text: str, fold: int, zone: str | None = None, offset: str | None = None
) -> datetime | time:
    value = kind.fromisoformat(text).replace(fold=fold)
    if offset is not None:
        return value.replace(tzinfo=timezone(value.utcoffset(), offset))  # type: ignore[no-any-return]
    return value if zone is None else value.replace(tzinfo=_zone(zone))  # type: ignore[no-any-return]


def _zone(key: str) -> ZoneInfo:
    # If ZoneInfo does not find a key, it looks for a package of this name.
    if key not in _zones():
        raise StateError(f"The state holds the time zone {key!r:.80}, which is not known here.")
    return ZoneInfo(key)


@cache
def _zones() -> set[str]:
    return available_timezones()


# Containers

# What a defaultdict may make.
_FACTORIES: dict[str, Any] = {kind.__name__: kind for kind in (list, dict, set, tuple, int, float, str, bool)}


def _by_name(values: Iterable[tuple[str, Any]]) -> Children:
    return ((f".{name}", value) for name, value in values)


def _keys_and_values(mapping: Mapping[Any, Any]) -> Children:
    for key, value in mapping.items():
        yield f"[{_shown(key)}]", key
        yield f"[{_shown(key)}]", value


def _shown(key: object) -> str:
    """A key as one would write it."""
    if type(key) is str:
        return json.dumps(key, ensure_ascii=False)
    try:
        return ascii(key)
    except Exception:  # noqa: BLE001 — an object may raise what it likes, and has no text then
        return f"<{type(key).__name__}>"


def _numbered(values: Iterable[Any]) -> Children:
    return ((f"[{index}]", value) for index, value in enumerate(values))


def _sequence(kind: Any, step: str = "") -> StateType:
    """A class of plain sequences; `step` leads to a member where members have no numbers."""
    tag: str = kind.__name__
    return StateType(
        kind,
        lambda encoder, value: _tagged(tag, encoder.items(value)),
        {tag: lambda decoder, written: kind(map(decoder.read, written))},
        (lambda value: ((step, member) for member in value)) if step else _numbered,
        chain.from_iterable,
    )


def _mapping(kind: Any, tag: str) -> StateType:
    return StateType(
        kind,
        lambda encoder, value: _tagged(tag, encoder.pairs(value)),
        {tag: lambda decoder, written: kind(dict(decoder.pairs(written)))},
        _keys_and_values,
        # `validation.scan` looks at the keys, of which most rows have the same.
        lambda mappings: chain.from_iterable(map(dict.values, mappings)),
    )


def _write_dict(encoder: Encoder, value: dict[Any, Any]) -> Any:
    if TAG not in value and all(type(key) is str and _is_unicode(key) for key in value):
        return {key: encoder.write(member) for key, member in value.items()}
    return _tagged("dict", encoder.pairs(value))


def _is_known_factory(factory: object) -> bool:
    """Whether what makes the values of a defaultdict can be named."""
    return factory is None or _FACTORIES.get(getattr(factory, "__name__", "")) is factory


def _defaultdict_children(value: defaultdict[Any, Any]) -> Children:
    if not _is_known_factory(value.default_factory):
        return ((".default_factory", value.default_factory),)
    return _keys_and_values(value)


def _write_defaultdict(encoder: Encoder, value: defaultdict[Any, Any]) -> Any:
    factory: Any = value.default_factory
    if not _is_known_factory(factory):
        return _write_text(encoder, value)
    return _tagged("defaultdict", None if factory is None else factory.__name__, encoder.pairs(value))


def _read_defaultdict(decoder: Decoder, factory: str | None, written: list[Any]) -> Any:
    return defaultdict(None if factory is None else _FACTORIES[factory], decoder.pairs(written))


# Named tuples and dataclasses


def _scan_dataclasses(values: list[Any]) -> Iterable[Any]:
    names = [field.name for field in dataclasses.fields(values[0])]
    if not names:
        return ()
    try:
        # The first one twice: for a single name there would be no tuple.
        return list(chain.from_iterable(map(attrgetter(names[0], *names), values)))
    except Exception:  # noqa: BLE001 — a field may have no value yet, and a property raises what it likes
        return UNKNOWN


def _read_dataclass(decoder: Decoder, name: str, written: list[Any]) -> Any:
    return make_dataclass(decoder.find_class(name, "a dataclass", is_dataclass), dict(decoder.pairs(written)))


# Lazy texts and objects


def _wrapped(value: LazyObject[Any]) -> Children:
    # For example request.user, where any access may cost a query.
    wrapped = vars(value)["_wrapped"]
    return () if wrapped is empty else (("", wrapped),)


def _write_lazy(encoder: Encoder, value: LazyObject[Any]) -> Any:
    try:
        bool(value.__class__)  # Any access loads what it stands for.
    except DatabaseError:
        raise
    except Exception:  # noqa: BLE001 — its function may raise what it likes
        return f"<{type(value).__name__}>"
    return encoder.write(value.__dict__["_wrapped"])


# Models and QuerySets


def _write_model(encoder: Encoder, value: Model) -> Any:
    if not encoder.allow_rows:
        raise RowRefused(f"holds rows of {value._meta.label_lower}")
    label, database = value._meta.label_lower, value._state.db
    if is_row(value):
        return _tagged("model", label, database, encoder.write(value.pk))
    return _tagged("row", label, database, value._state.adding, encoder.pairs(field_values(value)))


def _read_model(decoder: Decoder, label: str, database: str | None, written: Any) -> Model:
    model = model_of(label)
    key = key_of(model, decoder.read(written))
    row = decoder.rows[source_of(label, database)].get(key)
    if row is None:
        raise RowGone(f"{model._meta.object_name} {key} no longer exists")
    return row


def _read_row(decoder: Decoder, label: str, database: str | None, adding: bool, written: list[Any]) -> Model:
    model = model_of(label)
    values = dict(decoder.pairs(written))
    names = [field.attname for field in model._meta.concrete_fields if field.attname in values]
    if len(names) != len(values):
        raise StateError(f"The state holds fields that {label} does not have: {sorted(values.keys() - set(names))}.")
    instance = model.from_db(database, names, [values[name] for name in names])
    instance._state.adding = adding
    return instance


def _holds_models(queryset: QuerySet[Any]) -> bool:
    return issubclass(queryset._iterable_class, ModelIterable)


def _queryset_children(value: QuerySet[Any]) -> Children | None:
    if issubclass(value._iterable_class, NamedValuesListIterable):
        # Django makes the class of its rows on the fly.
        return None
    # The result of values() is checked if it was fetched; fetching it would be a query.
    return _numbered([] if _holds_models(value) else value._result_cache or [])


def _write_queryset(encoder: Encoder, value: QuerySet[Any]) -> Any:
    if not _holds_models(value):
        # Of values() or values_list(): the result is the state.
        return encoder.items(value)
    label = value.model._meta.label_lower
    if not encoder.allow_rows:
        raise RowRefused(f"holds rows of {label}")
    known = value._result_cache
    keys = [row.pk for row in known] if known is not None else list(value.values_list("pk", flat=True))
    kind = type(value)
    name = [] if kind is QuerySet else [encoder.class_name(kind)]
    return _tagged("queryset", label, value.db, encoder.items(keys), *name)


def _read_queryset(
    decoder: Decoder, label: str, database: str | None, written: list[Any], name: str | None = None
) -> QuerySet[Any]:
    kind = QuerySet if name is None else decoder.find_class(name, "a QuerySet", QuerySet)
    model = model_of(label)
    rows, keys = decoder.rows[source_of(label, database)], [key_of(model, decoder.read(key)) for key in written]
    found: QuerySet[Any] = kind(model=model, using=database or DEFAULT_DB_ALIAS).filter(pk__in=keys)
    # In the order of the keys, without another query; what is derived from it asks the database
    # again.
    found._result_cache = [rows[key] for key in keys if key in rows]
    return found


TABLE: tuple[StateType, ...] = (
    # Plain values
    StateType(type(None), lambda _, value: value),
    StateType(bool, lambda _, value: value),
    StateType(
        int,
        lambda _, value: value if -_LARGE < value < _LARGE else _tagged("int", hex(value)),
        {"int": lambda _, text: int(text, 16)},
    ),
    StateType(
        float,
        lambda _, value: value if math.isfinite(value) else _tagged("float", str(value)),
        {"float": lambda _, text: float(text)},
    ),
    StateType(str, _write_str, {"surrogates": lambda _, codes: "".join(map(chr, codes))}),
    StateType(
        SafeString,
        lambda encoder, value: _tagged("safe", _write_str(encoder, str.__str__(value))),
        {"safe": lambda _, text: SafeString(text)},
    ),
    StateType(lambda kind: issubclass(kind, Promise), lambda _, value: str(value)),
    _leaf(Decimal, "decimal", str, Decimal),
    _leaf(UUID, "uuid", attrgetter("hex"), UUID),
    StateType(
        named_subclass(Enum),
        _write_enum,
        {"enum": _read_enum, "flag": lambda decoder, name, value: decoder.find_class(name, "a flag", Flag)(value)},
    ),
    # Dates and times
    _leaf(date, "date", date.isoformat, date.fromisoformat),
    _moment(datetime, "datetime"),
    _moment(time, "time"),
    StateType(
        timedelta,
        lambda _, value: _tagged("timedelta", value.days, value.seconds, value.microseconds),
        {"timedelta": lambda _, *parts: timedelta(*parts)},
    ),
    # Containers
    StateType(list, Encoder.items, {}, _numbered, chain.from_iterable),
    _sequence(tuple),
    _sequence(set, "{…}"),
    _sequence(frozenset, "{…}"),
    dataclasses.replace(_mapping(dict, "dict"), write=_write_dict),
    _mapping(OrderedDict, "ordered"),
    _mapping(Counter, "counter"),
    StateType(defaultdict, _write_defaultdict, {"defaultdict": _read_defaultdict}, _defaultdict_children),
    StateType(
        is_named_tuple,
        lambda encoder, value: _tagged("named", encoder.class_name(type(value)), encoder.items(value)),
        {
            "named": lambda decoder, name, written: decoder.find_class(name, "a named tuple", is_named_tuple)._make(
                map(decoder.read, written)
            )
        },
        lambda value: _by_name(zip(value._fields, value, strict=False)),
        chain.from_iterable,
    ),
    StateType(
        is_dataclass,
        lambda encoder, value: _tagged(
            "dataclass", encoder.class_name(type(value)), encoder.pairs(dataclass_values(value))
        ),
        {"dataclass": _read_dataclass},
        lambda value: _by_name(dataclass_values(value).items()),
        _scan_dataclasses,
    ),
    StateType(lambda kind: issubclass(kind, LazyObject), _write_lazy, {}, _wrapped),
    # Models and QuerySets
    StateType(
        is_model,
        _write_model,
        {"model": _read_model, "row": _read_row},
        lambda value: () if is_row(value) else _by_name(field_values(value).items()),
        lambda values: chain.from_iterable(field_values(value).values() for value in values if not is_row(value)),
    ),
    StateType(named_subclass(QuerySet), _write_queryset, {"queryset": _read_queryset}, _queryset_children),
)
_TESTED = tuple(row for row in TABLE if not isinstance(row.matches, type))
_BY_CLASS: dict[type, StateType] = {row.matches: row for row in TABLE if isinstance(row.matches, type)}
# The classes whose values hold nothing, as far as the table names them.
_LEAF_WRITERS = {kind: row.write for kind, row in _BY_CLASS.items() if row.children is None}
LEAVES = frozenset(_LEAF_WRITERS)
READERS = {tag: read for row in TABLE for tag, read in row.read.items()}


def find_type(kind: type) -> StateType | None:
    """The row of the table for values of this class, or None if they cannot be state."""
    known = _BY_CLASS.get(kind)
    if known is not None:
        return known
    for row in _TESTED:
        if row.matches(kind):
            _BY_CLASS[kind] = row
            return row
    # Not cached: such classes may be made by the thousand.
    return None
