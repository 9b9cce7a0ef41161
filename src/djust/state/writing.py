"""Values as what JSON can hold: the writing half of `codec`.

A value that JSON does not have becomes `{"$": [tag, …]}`; a dictionary whose keys are not all texts, or that has the
key "$" itself, is written as pairs.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import DatabaseError
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable
from django.utils.functional import LazyObject, Promise
from django.utils.safestring import SafeString

from djust.exceptions import StateError
from djust.state.types import (
    DEPTH,
    class_name,
    field_values,
    is_dataclass,
    is_known_factory,
    is_known_zone,
    is_model,
    is_named_tuple,
    is_row,
)

TAG = "$"
# A state with more values than this is a mistake, or the same object so often that it would never end.
MAX_VALUES = 5_000_000
# Python reads integers of up to 4,300 digits from decimal text.
_LARGE = 1 << 10_000


class Writer:
    """Writes the values of one state."""

    def __init__(self) -> None:
        self._count = 0
        self._path: set[int] = set()

    def attribute(self, value: Any) -> Any:
        """`value` as JSON; where something in it cannot be written, that becomes a text."""
        self._path.clear()
        return self.write(value)

    def write(self, value: Any) -> Any:
        """`value` as JSON, inside of what is being written."""
        self._count += 1
        if self._count > MAX_VALUES:
            raise StateError(f"The state has more than {MAX_VALUES:,} values. Keep large data elsewhere.")
        kind = type(value)
        if kind is bool or value is None:
            return value
        write = _WRITERS.get(kind)
        if write is None:
            write = _writer_of(kind)
        return write(self, value)

    def inside(self, container: object, write: Callable[[], Any]) -> Any:
        """Write what a container holds; one that holds itself, or too many of each other, becomes a text."""
        if id(container) in self._path or len(self._path) > DEPTH:
            return _as_text(self, container)
        self._path.add(id(container))
        try:
            return write()
        finally:
            self._path.discard(id(container))

    def items(self, values: Iterable[Any]) -> list[Any]:
        """Values in order."""
        return [self.write(value) for value in values]

    def pairs(self, mapping: dict[Any, Any]) -> list[Any]:
        """Keys and values in order."""
        return [[self.write(key), self.write(value)] for key, value in mapping.items()]


# One function per type


def _write_str(writer: Writer, value: str) -> Any:
    # JSON would read two halves of a character as one.
    return value if _is_whole(value) else tagged("halves", [ord(character) for character in value])


def _is_whole(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _write_int(writer: Writer, value: int) -> Any:
    return value if -_LARGE < value < _LARGE else tagged("int", hex(value))


def _write_float(writer: Writer, value: float) -> Any:
    return value if math.isfinite(value) else tagged("float", str(value))


def _write_safe(writer: Writer, value: SafeString) -> Any:
    return tagged("safe", _write_str(writer, str.__str__(value)))


def _write_list(writer: Writer, value: list[Any]) -> Any:
    return writer.inside(value, lambda: writer.items(value))


def _write_tuple(writer: Writer, value: tuple[Any, ...]) -> Any:
    return writer.inside(value, lambda: tagged("tuple", writer.items(value)))


def _write_set(writer: Writer, value: set[Any]) -> Any:
    return writer.inside(value, lambda: tagged("set", writer.items(value)))


def _write_frozenset(writer: Writer, value: frozenset[Any]) -> Any:
    return writer.inside(value, lambda: tagged("frozenset", writer.items(value)))


def _write_dict(writer: Writer, value: dict[Any, Any]) -> Any:
    if TAG not in value and all(type(key) is str and _is_whole(key) for key in value):
        return writer.inside(value, lambda: {key: writer.write(member) for key, member in value.items()})
    return writer.inside(value, lambda: tagged("dict", writer.pairs(value)))


def _write_ordered(writer: Writer, value: OrderedDict[Any, Any]) -> Any:
    return writer.inside(value, lambda: tagged("ordered", writer.pairs(value)))


def _write_counter(writer: Writer, value: Counter[Any]) -> Any:
    return writer.inside(value, lambda: tagged("counter", writer.pairs(value)))


def _write_defaultdict(writer: Writer, value: defaultdict[Any, Any]) -> Any:
    factory = value.default_factory
    if not is_known_factory(factory):
        return _as_text(writer, value)
    name = None if factory is None else factory.__name__
    return writer.inside(value, lambda: tagged("defaultdict", name, writer.pairs(value)))


def _write_named(writer: Writer, value: tuple[Any, ...]) -> Any:
    return writer.inside(value, lambda: tagged("named", class_name(type(value)), writer.items(value)))


def _write_dataclass(writer: Writer, value: Any) -> Any:
    # A field may have no value yet, as one with init=False.
    names = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
    members = {name: getattr(value, name) for name in names}
    return writer.inside(value, lambda: tagged("dataclass", class_name(type(value)), writer.pairs(members)))


def _write_datetime(writer: Writer, value: datetime) -> Any:
    return _write_moment("datetime", writer, value)


def _write_date(writer: Writer, value: date) -> Any:
    return tagged("date", value.isoformat())


def _write_time(writer: Writer, value: time) -> Any:
    return _write_moment("time", writer, value)


def _write_moment(tag: str, writer: Writer, value: datetime | time) -> Any:
    zone = value.tzinfo
    if not is_known_zone(zone):
        return _as_text(writer, value)
    if isinstance(zone, ZoneInfo):
        return tagged(tag, value.replace(tzinfo=None).isoformat(), value.fold, zone.key)
    # A fixed offset may have a name, which is not in the text.
    arguments: tuple[Any, ...] = zone.__getinitargs__() if isinstance(zone, timezone) else ()  # type: ignore[attr-defined] # for pickle
    return tagged(tag, value.isoformat(), value.fold, *([None, arguments[1]] if len(arguments) > 1 else []))


def _write_timedelta(writer: Writer, value: timedelta) -> Any:
    return tagged("timedelta", value.days, value.seconds, value.microseconds)


def _write_decimal(writer: Writer, value: Decimal) -> Any:
    return tagged("decimal", str(value))


def _write_uuid(writer: Writer, value: UUID) -> Any:
    return tagged("uuid", value.hex)


def _write_enum(writer: Writer, value: Enum) -> Any:
    kind = type(value)
    if kind.__members__.get(value.name) is value:
        return tagged("enum", class_name(kind), value.name)
    # A combination of flags has no name of its own.
    return tagged("flag", class_name(kind), value.value)


def _write_lazy_text(writer: Writer, value: Promise) -> Any:
    return str(value)


def _write_lazy(writer: Writer, value: LazyObject[Any]) -> Any:
    try:
        bool(value.__class__)  # Any access loads what it stands for.
    except DatabaseError:
        raise
    except Exception:  # noqa: BLE001 — its function may raise what it likes
        return f"<{type(value).__name__}>"
    return writer.inside(value, lambda: writer.write(value.__dict__["_wrapped"]))


def _write_model(writer: Writer, value: Model) -> Any:
    meta = value._meta
    database = value._state.db
    if is_row(value):
        return tagged("model", meta.label_lower, database, writer.write(value.pk))
    members = field_values(value)
    return writer.inside(
        value, lambda: tagged("row", meta.label_lower, database, value._state.adding, writer.pairs(members))
    )


def _write_queryset(writer: Writer, value: QuerySet[Any]) -> Any:
    if not issubclass(value._iterable_class, ModelIterable):
        # Of values() or values_list(): the result is the state.
        return _write_list(writer, list(value))
    known = value._result_cache
    keys = [row.pk for row in known] if known is not None else list(value.values_list("pk", flat=True))
    kind = type(value)
    name = [] if kind is QuerySet else [class_name(kind)]
    return tagged("queryset", value.model._meta.label_lower, value.db, writer.items(keys), *name)


def tagged(tag: str, *members: Any) -> dict[str, Any]:
    """What stands for a value that JSON does not have."""
    return {TAG: [tag, *members]}


def text_of(value: object) -> str:
    """The text that stands for something that cannot be written."""
    try:
        return str.__str__(str(value))
    except Exception:  # noqa: BLE001 — an object may raise what it likes, and has no text then
        return f"<{type(value).__name__}>"


_Write = Callable[[Writer, Any], Any]
_WRITERS: dict[type, _Write] = {
    str: _write_str,
    int: _write_int,
    float: _write_float,
    SafeString: _write_safe,
    list: _write_list,
    tuple: _write_tuple,
    set: _write_set,
    frozenset: _write_frozenset,
    dict: _write_dict,
    OrderedDict: _write_ordered,
    Counter: _write_counter,
    defaultdict: _write_defaultdict,
    datetime: _write_datetime,
    date: _write_date,
    time: _write_time,
    timedelta: _write_timedelta,
    Decimal: _write_decimal,
    UUID: _write_uuid,
}
_KINDS: tuple[tuple[Callable[[type], bool], _Write], ...] = (
    (is_model, _write_model),
    (lambda kind: issubclass(kind, QuerySet) and class_name(kind) is not None, _write_queryset),
    (lambda kind: issubclass(kind, Promise), _write_lazy_text),
    (lambda kind: issubclass(kind, LazyObject), _write_lazy),
    (lambda kind: issubclass(kind, Enum) and class_name(kind) is not None, _write_enum),
    (is_named_tuple, _write_named),
    (is_dataclass, _write_dataclass),
)


def _writer_of(kind: type) -> _Write:
    for fits, write in _KINDS:
        if fits(kind):
            _WRITERS[kind] = write
            return write
    # Not remembered: such classes may be made by the thousand.
    return _as_text


def _as_text(writer: Writer, value: object) -> Any:
    return _write_str(writer, text_of(value))
