"""Which values may stand in the public state of a view.

Serializable are: `None`, `bool`, `int`, `float`, `str` (safe and lazy ones too), `list`, `dict`, `tuple`, `set`,
`frozenset`, `OrderedDict`, `Counter`, `defaultdict`, named tuples, dates, times, `timedelta`, `UUID`, `Decimal`, enum
members, dataclasses, model instances and QuerySets, nested up to 100 levels deep. Everything else gives a warning, or
`TypeError` when `strict_serialization` is on: subclasses of plain types and classes made inside a function too, because
they could not come back as what they were, and what holds itself. Of an instance that is not a row of the database the
values of its fields count.

The check runs after every event, over the whole state, so the ordinary case is done by C code of the standard library:
one level of nesting at a time, looking at types only (0.2 ms for 1,000 rows of four values).
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.db.models.query import ModelIterable, NamedValuesListIterable
from django.utils.functional import LazyObject, empty

from djust.state.types import (
    CONTAINERS,
    DEPTH,
    LEAVES,
    MOMENTS,
    field_values,
    is_dataclass,
    is_known_factory,
    is_known_zone,
    is_leaf,
    is_model,
    is_named_tuple,
    is_row,
)

logger = logging.getLogger("djust.serialization")

MESSAGE = (
    "LiveView state contains non-serializable value: {name} (from {module}). "
    "This will be converted to a string, which may cause AttributeError on deserialization. "
    "Consider using self._<attr> for private state, or re-initialize in mount()/event handlers. "
    "The value stands in {where}."
)

# Beyond these, objects may refer to each other in circles; the thorough search remembers where it was.
_FAST_LEVELS = 8
_FAST_COUNT = 200_000

_reported: set[tuple[type, str]] = set()


class _Offender(NamedTuple):
    """A value that cannot be serialized, and the way to it from its attribute."""

    value: object
    path: str


def check_state(view_class: type, state: Mapping[str, object], *, strict: bool) -> None:
    """Report what cannot be serialized: once per attribute as a warning, every time as `TypeError` when `strict`."""
    if not strict and _reported:
        state = {name: value for name, value in state.items() if (view_class, name) not in _reported}
    if _is_plain(state.values()):
        return
    for name, value in state.items():
        # What is odd about one attribute does not make the others slow.
        if _is_plain([value]):
            continue
        offender = next(_offenders(value, "", frozenset(), set()), None)
        if offender is None:
            continue
        kind, title = type(offender.value), f"{view_class.__name__}.{name}"
        where = f"{title}, as view.{name}{offender.path}" if offender.path else title
        text = MESSAGE.format(name=kind.__name__, module=kind.__module__, where=where)
        if strict:
            raise TypeError(text)
        _reported.add((view_class, name))
        logger.warning(text)


# The fast way: types only


class Survey(NamedTuple):
    """The types of all values and keys, and the keys, of equal ones one."""

    types: set[type]
    keys: set[Any]


class _Odd:
    """Stands for something that only the thorough search can judge."""


_ODD = (_Odd(),)


def survey(values: Iterable[object], *, every_key: bool = False) -> Survey | None:
    """What occurs in `values` at any depth, or None if that is too deep or too much for the fast way.

    Of keys that are equal the type of one is told, unless `every_key` asks for all: most rows have the same keys.
    """
    found = Survey(set(), set())
    level: list[Any] = list(values)
    for _ in range(_FAST_LEVELS):
        kinds = set(map(type, level))
        found.types.update(kinds)
        branching = kinds - LEAVES
        if not branching:
            return found
        inside: list[Iterable[Any]] = []
        for kind in branching:
            those: list[Any] = level if len(kinds) == 1 else [value for value in level if type(value) is kind]
            if issubclass(kind, dict):
                keys: set[Any] = set().union(*those)
                found.keys.update(keys)
                inside.append(chain.from_iterable(those) if every_key else keys)
            inside.append(_members(kind, those))
        level = list(chain.from_iterable(inside))
        if len(level) > _FAST_COUNT:
            return None
    return None


def _members(kind: type, those: list[Any]) -> Iterable[Any]:
    """What `those`, all of the same `kind`, hold."""
    if kind is defaultdict and not all(is_known_factory(value.default_factory) for value in those):
        return _ODD
    if kind in CONTAINERS:
        members: Iterable[Iterable[Any]] = map(dict.values, those) if issubclass(kind, dict) else those
        return chain.from_iterable(members)
    if kind in MOMENTS:
        return () if all(is_known_zone(value.tzinfo) for value in those) else _ODD
    if is_model(kind):
        return chain.from_iterable(field_values(value).values() for value in those if not is_row(value))
    if issubclass(kind, QuerySet):
        return () if is_leaf(kind) and all(map(_holds_models, those)) else _ODD
    if is_leaf(kind):
        return ()
    if is_named_tuple(kind):
        return chain.from_iterable(those)
    return _dataclass_members(kind, those) if is_dataclass(kind) else _ODD


def _dataclass_members(kind: Any, those: list[Any]) -> Iterable[Any]:
    names = [field.name for field in dataclasses.fields(kind)]
    if not names:
        return ()
    try:
        # The first one twice: for a single name there would be no tuple.
        return list(chain.from_iterable(map(attrgetter(names[0], *names), those)))
    except Exception:  # noqa: BLE001 — a field may have no value yet, and a property raises what it likes
        return _ODD


def _holds_models(queryset: QuerySet[Any]) -> bool:
    return issubclass(queryset._iterable_class, ModelIterable)


def _is_plain(values: Iterable[object]) -> bool:
    """Whether there is nothing but what can be saved; False means that a closer look is needed."""
    seen = survey(values)
    return seen is not None and _Odd not in seen.types


# The thorough way: value by value


def _offenders(value: object, path: str, above: frozenset[int], done: set[int]) -> Iterator[_Offender]:
    """What in `value`, itself included, cannot be serialized; `above` is what it stands in, `done` what was seen."""
    # Types are asked, not the values: isinstance() of a lazy object makes it load what it stands for.
    kind = type(value)
    if kind in LEAVES or id(value) in done:
        return
    inside = _inside(value, kind)
    if inside is None or id(value) in above or len(above) > DEPTH:
        yield _Offender(value, path)
        return
    above |= {id(value)}
    for step, member in inside:
        yield from _offenders(member, path + step, above, done)
    done.add(id(value))


def _inside(value: Any, kind: type) -> Iterator[tuple[str, object]] | None:
    """What a container holds, with the step to it, or None if `value` is not a container we know."""
    if issubclass(kind, LazyObject):
        # Such as request.user: asking it for anything may cost a query.
        wrapped = vars(value)["_wrapped"]
        return iter([] if wrapped is empty else [("", wrapped)])
    if kind in MOMENTS:
        return iter([] if is_known_zone(value.tzinfo) else [(".tzinfo", value.tzinfo)])
    if kind in CONTAINERS:
        if kind is defaultdict and not is_known_factory(value.default_factory):
            return iter([(".default_factory", value.default_factory)])
        if issubclass(kind, dict):
            return _inside_dict(value)
        if issubclass(kind, (list, tuple)):
            return ((f"[{index}]", member) for index, member in enumerate(value))
        return (("{…}", member) for member in value)
    if is_model(kind):
        return iter([] if is_row(value) else [(f".{name}", member) for name, member in field_values(value).items()])
    if is_leaf(kind):
        return _inside_queryset(value) if issubclass(kind, QuerySet) else iter(())
    if is_named_tuple(kind):
        return ((f".{name}", member) for name, member in zip(value._fields, value, strict=False))
    if is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
        return ((f".{name}", getattr(value, name)) for name in names)
    return None


def _inside_queryset(value: QuerySet[Any]) -> Iterator[tuple[str, object]] | None:
    if issubclass(value._iterable_class, NamedValuesListIterable):
        # Django makes the class of its rows on the fly.
        return None
    # What values() gives is looked at when it is there; asking for it would be a query.
    loaded = [] if _holds_models(value) else value._result_cache or []
    return ((f"[{index}]", member) for index, member in enumerate(loaded))


def _inside_dict(value: dict[Any, Any]) -> Iterator[tuple[str, object]]:
    for key, member in value.items():
        yield f"[{_key(key)}]", key
        yield f"[{_key(key)}]", member


def _key(key: object) -> str:
    """A key as one would write it."""
    if type(key) is str:
        return json.dumps(key, ensure_ascii=False)
    try:
        return ascii(key)
    except Exception:  # noqa: BLE001 — an object may raise what it likes, and has no text then
        return f"<{type(key).__name__}>"
