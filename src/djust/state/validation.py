"""Which values may stand in the public state of a view: those of a type in `types.TABLE`, nested up
to 100 levels deep.

Everything else causes a warning, or a `TypeError` with `strict_serialization`. So do subclasses of
plain types and classes that were made inside a function, because they would not come back as what
they were, and objects that contain themselves. Of an instance that is not a row of the database,
the values of its fields are checked.

The check runs after every event, over the whole state. So C code of the standard library does the
ordinary case: one level of nesting at a time, looking at types only (0.2 ms for 1,000 rows of four
values).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple

from djust.state.types import LEAVES, MAX_DEPTH, UNKNOWN, Unknown, find_type

logger = logging.getLogger("djust.serialization")

MESSAGE = (
    "LiveView state contains non-serializable value: {name} (from {module}). "
    "This will be converted to a string, which may cause AttributeError on deserialization. "
    "Consider using self._<attr> for private state, or re-initialize in mount()/event handlers. "
    "The value stands in {where}."
)

# Beyond these, objects may refer to each other in circles; the thorough search remembers where it
# was.
_FAST_LEVELS = 8
_FAST_COUNT = 200_000

_reported: set[tuple[type, str]] = set()


def check_state(view_class: type, state: Mapping[str, object], *, strict: bool) -> None:
    """Report what cannot be serialized: one warning per attribute, or `TypeError` if `strict`."""
    if not strict and _reported:
        state = {name: value for name, value in state.items() if (view_class, name) not in _reported}
    if _is_serializable(state.values()):
        return
    for name, value in state.items():
        # An attribute that needs the thorough search does not make the others slow.
        if _is_serializable([value]):
            continue
        found = find_unserializable(value)
        if found is None:
            continue
        kind, title = type(found.value), f"{view_class.__name__}.{name}"
        where = f"{title}, as view.{name}{found.path}" if found.path else title
        text = MESSAGE.format(name=kind.__name__, module=kind.__module__, where=where)
        if strict:
            raise TypeError(text)
        _reported.add((view_class, name))
        logger.warning(text)


# The fast way: types only


class Scan(NamedTuple):
    """The types of all values and keys, and the keys, of equal ones one."""

    types: set[type]
    keys: set[Any]


def scan(values: Iterable[object], *, every_key: bool = False) -> Scan | None:
    """What occurs in `values` at any depth, or None if that is too deep or too much for the fast
    way.

    Of keys that are equal one is looked at, unless `every_key` asks for all: most rows have the
    same keys.
    """
    found = Scan(set(), set())
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
            known = find_type(kind)
            inside.append(UNKNOWN if known is None else known.scan(those))
        level = list(chain.from_iterable(inside))
        if len(level) > _FAST_COUNT:
            return None
    return None


def _is_serializable(values: Iterable[object]) -> bool:
    """Whether there is nothing but what can be saved; False means that a closer look is needed."""
    found = scan(values)
    return found is not None and Unknown not in found.types


# The thorough way: value by value


class Unserializable(NamedTuple):
    """A value that cannot be serialized, and the way to it from its attribute."""

    value: object
    path: str


def find_unserializable(
    value: object, path: str = "", above: frozenset[int] = frozenset(), done: set[int] | None = None
) -> Unserializable | None:
    """The first thing in `value`, itself included, that cannot be serialized.

    `path` leads to `value`, `above` is what it stands in, and `done` what was seen.
    """
    done = set() if done is None else done
    # The check uses types: isinstance() of a lazy object makes it load what it stands for.
    known = find_type(type(value))
    if known is None:
        return Unserializable(value, path)
    if known.children is None or id(value) in done:
        return None
    children = None if id(value) in above or len(above) > MAX_DEPTH else known.children(value)
    if children is None:
        return Unserializable(value, path)
    above |= {id(value)}
    for step, child in children:
        if (found := find_unserializable(child, path + step, above, done)) is not None:
            return found
    done.add(id(value))
    return None
