"""Expressions of a view's methods: what their values may be, and what they assign.

A name stands for a set of possible values (`values.py`). What a name of the module stands for is
not guessed: it is imported, and the object is there. `flow.py` reads the statements around.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NewType, Protocol

from djust.checks.services import is_alternative_constructor, made_by, made_by_name
from djust.checks.sources import Project, Source
from djust.checks.values import (
    FUNCTION,
    GENERATOR,
    NOTHING,
    SENT,
    VIEW,
    Instance,
    Known,
    Made,
    Many,
    Method,
    Package,
    Value,
    Values,
    containers,
    inside_of,
    is_sent,
    many,
)
from djust.services import Service
from djust.state.fields import Computed

_MUTATORS = frozenset({"append", "add", "insert", "extend", "update", "setdefault", "appendleft"})
_COPIES = (list, tuple, set, frozenset, dict)
# Methods of texts that give what they were given.
_TEXT_NAMES = """
    strip lstrip rstrip lower upper title capitalize casefold swapcase replace format join splitlines split rsplit
    partition expandtabs center ljust rjust zfill removeprefix removesuffix get pop copy values items
"""
_TEXT_METHODS = frozenset(_TEXT_NAMES.split())


@dataclass(frozen=True)
class Assigned:
    """An attribute, its possible values after the method `where`, and what assigned them."""

    owner: str
    name: str
    values: Values
    source: Source
    node: ast.AST
    where: str


class Scan(Protocol):
    """What is found out about one view class; `flow.ViewScan` is one."""

    view: type
    project: Project
    assigned: list[Assigned]
    attributes: dict[str, Values]
    names: set[str]
    closed: bool

    def result(
        self, function: Any, args: list[Values], named: Mapping[str, Values] | None = None, *, is_method: bool = False
    ) -> Values:
        """What a function of the project gives."""


class Expressions:
    """One function: `env` holds its names, and the attributes of the view as "self.name"."""

    def __init__(self, scan: Scan, source: Source, hidden: frozenset[str], env: dict[str, Values]) -> None:
        self.scan, self.source, self.hidden, self.env = scan, source, hidden, env
        self.nodes: dict[tuple[str, Value], ast.AST] = {}
        self.touched: dict[str, ast.AST] = {}

    # Assignments

    def key(self, target: ast.expr | None) -> str | None:
        """The name in `env` that an expression stands for, if it is one."""
        match target:
            case ast.Name():
                return target.id
            case ast.Attribute() if VIEW in self.value(target.value):
                return f"self.{target.attr}"
        return None

    def assign(self, target: ast.expr, values: Values, node: ast.AST, given: ast.expr | None = None) -> None:
        """`target = values`, in the statement `node`; `given` is the expression of the values."""
        match target:
            case ast.Tuple() | ast.List():
                is_parallel = isinstance(given, ast.Tuple | ast.List) and len(given.elts) == len(target.elts)
                for position, inner in enumerate(target.elts):
                    one = given.elts[position] if is_parallel and isinstance(given, ast.Tuple | ast.List) else None
                    some = self.value(one) if one is not None else inside_of(values)
                    self.assign(inner.value if isinstance(inner, ast.Starred) else inner, some, node, one)
            case ast.Subscript():
                self.fill(target.value, [values], node)
            case ast.Name() | ast.Attribute() if key := self.key(target):
                self.env[key] = values
                self._note(key, values, node)

    def fill(self, target: ast.expr, members: list[Values], node: ast.AST, *, all_of: bool = False) -> None:
        """Put `members`, or what is in them, into the container that `target` stands for."""
        while isinstance(target, ast.Subscript):
            target = target.value
        key = self.key(target)
        if key is None:
            return
        added = containers(members) if all_of else many([NOTHING, *members])
        self.env[key] = self.value(target) | added
        self._note(key, added, node)

    def _note(self, key: str, values: Values, node: ast.AST) -> None:
        if key.startswith("self."):
            name = key.removeprefix("self.")
            self.touched.setdefault(name, node)
            self.nodes.update({(name, value): node for value in values})

    # Expressions

    def value(self, node: ast.expr | None) -> Values:
        """What an expression may be."""
        match node:
            case ast.Name():
                return self._name(node.id)
            case ast.Constant():
                return frozenset({Instance(type(node.value))}) if isinstance(node.value, bytes | complex) else NOTHING
            case ast.Attribute():
                return self._attribute_of(self.value(node.value), node.attr)
            case ast.Call():
                return self._call(node)
            case ast.Await():
                return frozenset().union(*(v.result for v in self.value(node.value) if isinstance(v, Made)))
            case ast.Lambda():
                self._lambda(node)
                return frozenset({FUNCTION})
            case ast.GeneratorExp() | ast.ListComp() | ast.SetComp() | ast.DictComp():
                return self._comprehension(node)
            case ast.IfExp() | ast.BoolOp():
                parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else node.values
                return frozenset().union(*map(self.value, parts))
            case ast.NamedExpr():
                values = self.value(node.value)
                self.env[node.target.id] = values
                return values
            case ast.List() | ast.Tuple() | ast.Set():
                return many([self.value(inner) for inner in node.elts])
            case ast.Dict():
                return many([*map(self.value, node.values), *(self.value(key) for key in node.keys if key)])
            case ast.Starred():
                return inside_of(self.value(node.value))
            case ast.Subscript():
                return inside_of(self.value(node.value)) | (self.value(node.value) & {SENT})
            case ast.JoinedStr() | ast.BinOp():
                return self._text(node)
        return NOTHING

    def _text(self, node: ast.JoinedStr | ast.BinOp) -> Values:
        if isinstance(node, ast.JoinedStr):
            parts = [self.value(part.value) for part in node.values if isinstance(part, ast.FormattedValue)]
            return frozenset({SENT}) if any(map(is_sent, parts)) else NOTHING
        values = self.value(node.left) | self.value(node.right)
        if isinstance(node.op, ast.Mod) and is_sent(values):
            return frozenset({SENT})
        return frozenset(value for value in values if value == SENT or isinstance(value, Many))

    def _name(self, name: str) -> Values:
        if name in self.env:
            return self.env[name]
        if name in self.hidden:
            return NOTHING
        names = self.source.names
        if name not in names and not hasattr(builtins, name):
            return NOTHING
        value = names[name] if name in names else getattr(builtins, name)
        return frozenset({Known(value, f"builtins.{name}" if name not in names else "")})

    def _attribute_of(self, values: Values, name: str) -> Values:
        if VIEW not in values:
            return self.attribute_of(values, name)
        if name == "__dict__":
            self.scan.closed = False
        return self._of_view(name)

    def _of_view(self, name: str) -> Values:
        if f"self.{name}" in self.env:
            return self.env[f"self.{name}"]
        member = inspect.getattr_static(self.scan.view, name, None)
        if inspect.isfunction(member) or isinstance(member, staticmethod | classmethod):
            return frozenset({Method(name)})
        if isinstance(member, property | Computed):
            getter = member.fget if isinstance(member, property) else member.function
            return self.scan.result(getter, [frozenset({VIEW})], is_method=True)
        if isinstance(member, Service):
            return self.called(frozenset({Known(member.factory)}), ast.Call(ast.Name(name), [], []), [])
        if isinstance(member, type) and name not in self.scan.names:
            return frozenset({Known(member)})
        return self.scan.attributes.get(name, NOTHING)

    def attribute_of(self, values: Values, name: str) -> Values:
        """What the attribute `name` of something known is."""
        found: set[Value] = set()
        for value in values:
            match value:
                case Package():
                    found.add(Package(f"{value.name}.{name}"))
                case Known(value=types.ModuleType() as module):
                    known = f"{module.__name__}.{name}"
                    # What a module imports only when it is asked for is not there yet.
                    found.add(Known(vars(module)[name], known) if name in vars(module) else Package(known))
                case Known(value=type() as kind):
                    member = inspect.getattr_static(kind, name, None)
                    if isinstance(member, classmethod) and is_alternative_constructor(kind, name):
                        found.add(Known(kind))
                    elif isinstance(member, staticmethod) or inspect.isfunction(member):
                        found.add(Known(getattr(member, "__func__", member)))
        return frozenset(found)

    def _lambda(self, node: ast.Lambda) -> None:
        before = self.env
        self.env = {**before, **{arg.arg: NOTHING for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}}
        self.value(node.body)
        self.env = before

    def _comprehension(self, node: ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp) -> Values:
        before = self.env
        self.env = dict(before)
        for generator in node.generators:
            self.assign(generator.target, inside_of(self.value(generator.iter)), node)
        if isinstance(node, ast.DictComp):
            made = many([self.value(node.key) | self.value(node.value)])
        else:
            made = many([self.value(node.elt)])
        self.env = before
        return made | {GENERATOR} if isinstance(node, ast.GeneratorExp) else made

    # Calls

    def _call(self, node: ast.Call) -> Values:
        args = [self.value(arg) for arg in (*node.args, *(keyword.value for keyword in node.keywords))]
        if isinstance(node.func, ast.Attribute):
            own, name = self.value(node.func.value), node.func.attr
            if name in _MUTATORS:
                self.fill(node.func.value, args, node, all_of=name in ("extend", "update"))
            texts = isinstance(node.func.value, ast.Constant) and any(map(is_sent, args))
            if name in _TEXT_METHODS and (texts or is_sent(own)):
                return frozenset({SENT})
            if VIEW in own and name in ("assign_async", "assign_later"):
                self._assign_by_name(node)
            callee = self._attribute_of(own, name)
        else:
            callee = self.value(node.func)
        found = self.called(callee, node, args)
        if any(VIEW in values for values in args):
            self._given_away(node, callee, args)
        return found

    def _assign_by_name(self, node: ast.Call) -> None:
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant):
            self.scan.names.add(str(first.value))
        elif first is not None or any(keyword.arg is None for keyword in node.keywords):
            self.scan.closed = False
        for keyword in node.keywords if first is None else ():
            if keyword.arg:
                values = self.value(keyword.value)
                self.env[f"self.{keyword.arg}"] = values
                self._note(f"self.{keyword.arg}", values, node)

    def _given_away(self, node: ast.Call, callee: Values, args: list[Values]) -> None:
        """The view is an argument of `setattr`, of the project's code, or of unread code."""
        for value in callee:
            function = value.value if isinstance(value, Known) else None
            if function is setattr and len(node.args) == 3 and isinstance(node.args[1], ast.Constant):
                name = str(node.args[1].value)
                self.env[f"self.{name}"] = args[2]
                self._note(f"self.{name}", args[2], node)
                return
            if function in (getattr, hasattr, isinstance, super, type, id, repr, str, print, delattr):
                return
            if function is not None and self.scan.project.function_definition(function):
                return
        self.scan.closed = False

    def called(self, callee: Values, node: ast.Call, args: list[Values]) -> Values:
        """What calling one of `callee` gives; in `args`, arguments by name come last."""
        count = next((i for i, arg in enumerate(node.args) if isinstance(arg, ast.Starred)), len(node.args))
        named = {key.arg: values for key, values in zip(node.keywords, args[len(node.args) :], strict=True) if key.arg}
        found: set[Value] = set()
        for value in callee:
            match value:
                case Known(value=type() as kind):
                    found |= self._constructed(kind, args, value.name)
                case Known(value=function):
                    found |= self._function(function, value.name, args, args[:count], named)
                case Package() if maker := made_by_name(value.name):
                    found.add(Made(maker))
                case Method():
                    member = inspect.getattr_static(self.scan.view, value.name)
                    function = getattr(member, "__func__", member)
                    receiver: Values = frozenset({VIEW}) if member is function else NOTHING
                    given = args[:count] if isinstance(member, staticmethod) else [receiver, *args[:count]]
                    found |= self.scan.result(function, given, named, is_method=True)
        return frozenset(found)

    def _constructed(self, kind: type, args: list[Values], name: str) -> Values:
        if kind in _COPIES:
            return containers(args)
        if kind is str or kind.__name__ == "SafeString":
            return frozenset({SENT}) if any(map(is_sent, args)) else NOTHING
        if kind is type or kind is super:
            return NOTHING
        if maker := made_by(name):
            return frozenset({Made(maker)})
        return frozenset({Instance(kind)})

    def _function(
        self, function: Any, name: str, args: list[Values], positional: list[Values], named: dict[str, Values]
    ) -> Values:
        if not inspect.isroutine(function) and not isinstance(function, NewType):
            return NOTHING  # Asking any other object for its name may run its code.
        own = ".".join(str(getattr(function, name, "")) for name in ("__module__", "__qualname__"))
        if maker := made_by(name, own):
            return frozenset({Made(maker)})
        if function is sorted:
            return containers(args)
        if inspect.ismethod(function) and isinstance(kind := function.__self__, type):
            return frozenset({Instance(kind)} if is_alternative_constructor(kind, function.__name__) else ())
        if isinstance(function, NewType) or own.endswith((".mark_safe", "typing.cast")):
            return frozenset().union(*args)
        if own.startswith("builtins."):
            return NOTHING
        return self.scan.result(function, positional, named)
