"""Which values may stand in the public state of a view.

Serializable are: `None`, `bool`, `int`, `float`, `str` (safe and lazy ones too), `list`, `dict`, `tuple`, `set`,
`frozenset`, `OrderedDict`, `Counter`, `defaultdict`, named tuples, dates, times, `timedelta`, `UUID`, `Decimal`, enum
members, dataclasses, model instances and QuerySets, nested up to 100 levels deep. Everything else gives a warning, or
`TypeError` when `strict_serialization` is on: subclasses of plain types and classes made inside a function too, because
they could not come back as what they were, and what holds itself.

The check runs after every event, over the whole state, so the ordinary case is done by C code of the standard library:
one level of nesting at a time, looking at types only (0.2 ms for 1,000 rows of four values).
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from django.utils.functional import LazyObject, empty

from djust.state.kinds import CONTAINERS, DEPTH, FACTORIES, LEAVES, is_dataclass, is_leaf, is_named_tuple

logger = logging.getLogger("djust.serialization")

MESSAGE = (
    "LiveView state contains non-serializable value: {name} (from {module}). "
    "This will be converted to a string, which may cause AttributeError on deserialization. "
    "Consider using self._<attr> for private state, or re-initialize in mount()/event handlers. "
    "The value stands in {where}."
)

# Types that hold nothing to look into. Models, enums and the like are added when they are met.
_leaves: set[type] = set(LEAVES)
_FAST_CONTAINERS = frozenset({dict, list, tuple})

# Beyond these, objects may refer to each other in circles; the thorough search remembers where it was.
_FAST_LEVELS = 8
_FAST_COUNT = 20_000

_reported: set[tuple[type, str]] = set()


class _Offender(NamedTuple):
    """A value that cannot be serialized, and the way to it from its attribute."""

    value: object
    path: str


def check_state(view_class: type, state: Mapping[str, object], *, strict: bool) -> None:
    """Report what cannot be serialized: once per attribute as a warning, every time as `TypeError` when `strict`."""
    if is_plain(state, _leaves, _FAST_CONTAINERS):
        return
    for name, value in state.items():
        if not strict and (view_class, name) in _reported:
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


def is_plain(state: Mapping[str, object], leaves: set[type] | frozenset[type], containers: frozenset[type]) -> bool:
    """Whether there is nothing but leaves and exact built-in containers; False means that a closer look is needed.

    `leaves` that are a frozen set are all there are, and keys are to be texts.
    """
    is_open = type(leaves) is set
    level: list[Any] = [*state.values()]
    types = set(map(type, level))
    for _ in range(_FAST_LEVELS):
        others = types - containers - leaves
        if others and not (is_open and _are_leaves(others)):
            return False
        if types.isdisjoint(containers):
            return True
        if len(level) > _FAST_COUNT:
            return False
        if types == {dict}:
            dicts, lists = level, []
        else:
            dicts = [value for value in level if type(value) is dict]
            lists = [value for value in level if type(value) is list or type(value) is tuple]
        keys: set[Any] = set().union(*dicts)
        key_types = set(map(type, keys))
        if not is_open and key_types - {str}:
            return False
        types = key_types.union(map(type, chain.from_iterable(map(dict.values, dicts))))
        types.update(map(type, chain.from_iterable(lists)))
        if not types.isdisjoint(containers):
            inside = chain(keys, chain.from_iterable(map(dict.values, dicts)), chain.from_iterable(lists))
            level = [value for value in inside if type(value) in containers]
    return False


def _are_leaves(types: set[type]) -> bool:
    for kind in types:
        if not is_leaf(kind):
            return False
        _leaves.add(kind)
    return True


def _offenders(value: object, path: str, above: frozenset[int], done: set[int]) -> Iterator[_Offender]:
    """What in `value`, itself included, cannot be serialized; `above` is what it stands in, `done` what was seen."""
    # Types are asked, not the values: isinstance() of a lazy object makes it load what it stands for.
    kind = type(value)
    if kind in _leaves or id(value) in done or is_leaf(kind):
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
    if kind in CONTAINERS:
        if issubclass(kind, dict):
            return None if kind is defaultdict and not _has_known_factory(value) else _inside_dict(value)
        if issubclass(kind, (list, tuple)):
            return ((f"[{index}]", member) for index, member in enumerate(value))
        return (("{…}", member) for member in value)
    if is_named_tuple(kind):
        return ((f".{name}", member) for name, member in zip(value._fields, value, strict=False))
    if is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
        return ((f".{name}", getattr(value, name)) for name in names)
    return None


def _inside_dict(value: dict[Any, Any]) -> Iterator[tuple[str, object]]:
    for key, member in value.items():
        step = f"[{json.dumps(key, ensure_ascii=False) if type(key) is str else ascii(key)}]"
        yield step, key
        yield step, member


def _has_known_factory(value: defaultdict[Any, Any]) -> bool:
    factory = value.default_factory
    return factory is None or FACTORIES.get(getattr(factory, "__name__", "")) is factory
