"""Which values may stand in the public state of a view.

Serializable are: `None`, `bool`, `int`, `float`, `str` (safe and lazy ones too), `list`, `dict`, `tuple`, `set`,
`frozenset`, dates, times, `timedelta`, `UUID`, `Decimal`, members of enums, dataclasses, model instances and QuerySets,
nested as deep as you like. Everything else gives a warning, or `TypeError` when `strict_serialization` is on.

The check runs after every event, over the whole state, so the ordinary case is done by C code of the standard library:
one level of nesting at a time, looking at types only (0.2 ms for 1,000 rows of four values).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import chain
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet
from django.utils.functional import LazyObject, Promise, empty
from django.utils.safestring import SafeString

logger = logging.getLogger("djust.serialization")

MESSAGE = (
    "LiveView state contains non-serializable value: {name} (from {module}). "
    "This will be converted to a string, which may cause AttributeError on deserialization. "
    "Consider using self._<attr> for private state, or re-initialize in mount()/event handlers. "
    "The value stands in {where}."
)

_LEAF_PARENTS = (int, float, str, date, time, timedelta, Decimal, UUID, Enum, Model, QuerySet, Promise)

# Types that hold nothing to look into. Subclasses of the parents above are added when they are met.
_leaves: set[type] = {type(None), bool, int, float, str, SafeString, datetime, date, time, timedelta, Decimal, UUID}
_containers = frozenset({dict, list, tuple})

# Beyond these, objects may refer to each other in circles; the thorough search remembers where it was.
_FAST_LEVELS = 8
_FAST_CONTAINERS = 20_000

_reported: set[tuple[type, str]] = set()
_NOTHING = object()


def check_state(view_class: type, state: Mapping[str, object], *, strict: bool) -> None:
    """Report what cannot be serialized: once per attribute as a warning, every time as `TypeError` when `strict`."""
    if _is_plain(state):
        return
    for name, value in state.items():
        if not strict and (view_class, name) in _reported:
            continue
        offender = _first_offender(value)
        if offender is _NOTHING:
            continue
        kind = type(offender)
        text = MESSAGE.format(name=kind.__name__, module=kind.__module__, where=f"{view_class.__name__}.{name}")
        if strict:
            raise TypeError(text)
        _reported.add((view_class, name))
        logger.warning(text)


def _is_plain(state: Mapping[str, object]) -> bool:
    """Whether there is nothing but leaves and exact built-in containers; False means that a closer look is needed."""
    containers: list[Any] = [*state.values()]
    types = set(map(type, containers))
    for _ in range(_FAST_LEVELS):
        if not _all_leaves(types - _containers):
            return False
        if types.isdisjoint(_containers):
            return True
        if len(containers) > _FAST_CONTAINERS:
            return False
        if types == {dict}:
            dicts, lists = containers, []
        else:
            dicts = [value for value in containers if type(value) is dict]
            lists = [value for value in containers if type(value) is list or type(value) is tuple]
        keys: set[Any] = set().union(*dicts)
        types = set(map(type, keys))
        types.update(map(type, chain.from_iterable(map(dict.values, dicts))))
        types.update(map(type, chain.from_iterable(lists)))
        if not types.isdisjoint(_containers):
            inside = chain(keys, chain.from_iterable(map(dict.values, dicts)), chain.from_iterable(lists))
            containers = [value for value in inside if type(value) in _containers]
    return False


def _all_leaves(types: set[type]) -> bool:
    for kind in types - _leaves:
        if not issubclass(kind, _LEAF_PARENTS):
            return False
        _leaves.add(kind)
    return True


def _first_offender(value: object) -> object:
    """Something inside `value`, itself included, that cannot be serialized, or `_NOTHING`."""
    # Types are asked, not the values: isinstance() of a lazy object makes it load what it stands for.
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if issubclass(type(value), _LEAF_PARENTS) or value is None or id(value) in seen:
            continue
        seen.add(id(value))
        inside = _inside(value)
        if inside is None:
            return value
        waiting += inside
    return _NOTHING


def _inside(value: object) -> Iterable[object] | None:
    """What a container holds, or None if `value` is not a container we know."""
    if isinstance(value, LazyObject):
        # Such as request.user: asking it for anything may cost a query.
        wrapped = value.__dict__["_wrapped"]
        return [] if wrapped is empty else [wrapped]
    if isinstance(value, dict):
        return chain(value, value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return None
