"""Values in the abstract: what a name of a view's code may stand for, and what annotations promise.

{Known(boto3.client)}     the very function; called, it gives {Made(Verdict("client", True))}
{Many({Instance(Path)})}  a container of paths
set()                     nothing is known
"""

from __future__ import annotations

import ast
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from djust.checks.services import Verdict, in_service_package, verdict


@dataclass(frozen=True, eq=False)
class Known:
    """An object that is there already, and the name it is known by."""

    value: Any
    name: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


@dataclass(frozen=True)
class Instance:
    """An instance of a class. `declared`: by an annotation, so it may be one of a subclass."""

    kind: type
    declared: bool = False


@dataclass(frozen=True)
class Made:
    """Something that cannot be state. A coroutine has in `result` what awaiting it gives."""

    verdict: Verdict
    result: frozenset[Any] = frozenset()


@dataclass(frozen=True)
class Many:
    """A container of such values. If `mixed`, it is not known which of its members they are."""

    inside: frozenset[Any]
    mixed: bool = False


@dataclass(frozen=True)
class Package:
    """Something in a package that is not imported here."""

    name: str


@dataclass(frozen=True)
class Method:
    """A method of the view."""

    name: str


@dataclass(frozen=True, eq=False)
class Mark:
    """The view itself, or text that a browser has sent; there is one object for each."""

    what: str


VIEW, SENT = Mark("view"), Mark("sent")
Value: TypeAlias = Known | Instance | Made | Many | Package | Method | Mark
Values: TypeAlias = frozenset[Value]
NOTHING: Values = frozenset()
FUNCTION, GENERATOR = Made(Verdict("function", False)), Made(Verdict("generator", False))


def offenders(values: Iterable[Any]) -> Iterator[Verdict]:
    """What among `values`, and in them, cannot be state."""
    for value in values:
        match value:
            case Made():
                yield value.verdict
            case Many():
                yield from offenders(value.inside)
            case Method():
                yield Verdict("method", False)
            case Instance():
                if found := verdict(value.kind, declared=value.declared):
                    yield found
            case Known() if found := verdict(type(value.value)):
                yield found


def is_sent(values: Iterable[Any]) -> bool:
    """Whether text of a browser is among `values`."""
    return any(value == SENT or (isinstance(value, Many) and is_sent(value.inside)) for value in values)


def promised(node: ast.expr | None, value: Callable[[ast.expr], Values]) -> Values | None:
    """The values that an annotation promises; None if it says nothing."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value, mode="eval").body
        except SyntaxError:
            return None
    match node:
        case ast.Constant(value=None):
            return NOTHING
        case ast.BinOp(op=ast.BitOr()):
            return _either([promised(node.left, value), promised(node.right, value)])
        case ast.Subscript():
            return _subscripted(node, value)
        case ast.Name() | ast.Attribute():
            kinds = {v.value for v in value(node) if isinstance(v, Known) and isinstance(v.value, type)}
            if len(kinds) == 1 and (kind := kinds.pop()) not in (object, dict, list):
                return frozenset({Instance(kind, declared=True)})
    return None


def _subscripted(node: ast.Subscript, value: Callable[[ast.expr], Values]) -> Values | None:
    origin = next((v.value for v in value(node.value) if isinstance(v, Known)), None)
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if origin in (list, set, frozenset, tuple, typing.List, typing.Tuple):  # noqa: UP006 — what is looked for
        return _container([promised(one, value) for one in inner if not _is_dots(one)])
    if origin is dict:
        return _container([promised(inner[-1], value)])
    if origin is typing.Optional or origin is typing.Union:
        return _either([promised(one, value) for one in inner])
    if origin is typing.Literal:
        return NOTHING
    return None


def _is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _either(alternatives: list[Values | None]) -> Values | None:
    known = [values for values in alternatives if values is not None]
    return frozenset().union(*known) if len(known) == len(alternatives) else None


def _container(parts: list[Values | None]) -> Values | None:
    known = [values for values in parts if values is not None]
    return many(known) if len(known) == len(parts) else None


def inside_of(values: Iterable[Any]) -> Values:
    """What a member of containers is; what is in text is text."""
    inside = [value.inside if isinstance(value, Many) and not value.mixed else {value} & {SENT} for value in values]
    return frozenset().union(*inside)


def many(parts: list[Values]) -> Values:
    """A container of what may be any of `parts`."""
    inside: Values = frozenset().union(*parts) - {VIEW}
    return frozenset({Many(inside, mixed=any(part != parts[0] for part in parts))}) if inside else NOTHING


def containers(args: list[Values]) -> Values:
    """The containers among values."""
    return frozenset(value for values in args for value in values if isinstance(value, Many))


def joined(ways: Iterable[Mapping[str, Values]]) -> dict[str, Values]:
    names = set().union(*ways)
    return {name: frozenset().union(*(way.get(name, NOTHING) for way in ways)) for name in names}


def module_values(name: str) -> Values:
    module = sys.modules.get(name)
    return frozenset({Package(name) if module is None else Known(module)})


def enters_itself(value: Value) -> bool:
    """Whether `with` gives the very object: files and clients do."""
    if isinstance(value, Instance):
        return in_service_package(value.kind.__module__) and verdict(value.kind) is not None
    return isinstance(value, Made) and not value.result
