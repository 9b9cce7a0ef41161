"""Where a module reads attributes: the name, what it is read from, and what is around.

    class Clock(LiveView):
        def mount(self, request):
            self.tick(self.interval)        Mention("interval", "self", {"Clock"}, {"mount"})

    getattr(view.clock, "interval")         Mention("interval", "clock", set(), set())
    NAMES = ["interval"]                    Mention("interval", None, set(), set())

`sources.py` keeps the mentions of each module; `attributes.py` asks who reads what a view defines.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

# The receiver of what a method reads from its own object or class.
SELF = "self"


@dataclass(frozen=True)
class Mention:
    """One place that reads an attribute, or holds its name in a string.

    `receiver` is the last name of the expression it is read from: `SELF` for the method's own
    object, "" for an expression without a name, None for a string. `classes` are the qualified
    names of the classes around, `inside` the members of classes whose definition this is a part of.
    """

    name: str
    receiver: str | None
    classes: frozenset[str]
    inside: frozenset[str]


@dataclass(frozen=True)
class _Position:
    """Where a node stands. `own` are the names under which methods know their object or class."""

    prefix: str = ""
    classes: frozenset[str] = frozenset()
    inside: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    is_class_body: bool = False


def mentions_of(tree: ast.Module) -> Mapping[str, list[Mention]]:
    """Name → where the module reads an attribute of this name."""
    found: defaultdict[str, list[Mention]] = defaultdict(list)
    nodes: list[tuple[ast.AST, _Position]] = [(tree, _Position())]
    for node, around in nodes:
        for name, receiver in _read(node, around.own):
            found[name].append(Mention(name, receiver, around.classes, around.inside))
        inner = _entered(node, around)
        nodes.extend((child, inner) for child in ast.iter_child_nodes(node))
    return found


def defined_names(statement: ast.stmt) -> frozenset[str]:
    """The names to which a statement of a class body gives a value."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return frozenset({statement.name})
        case ast.Assign():
            targets: list[ast.expr] = statement.targets
        case ast.AnnAssign(value=ast.expr()):
            targets = [statement.target]
        case _:
            return frozenset()
    nodes = (node for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
    return frozenset(node.id for node in nodes if isinstance(node.ctx, ast.Store))


def _entered(node: ast.AST, around: _Position) -> _Position:
    """Where the children of `node` stand."""
    members = defined_names(node) if around.is_class_body and isinstance(node, ast.stmt) else frozenset()
    inside = around.inside | members
    match node:
        case ast.ClassDef():
            name = around.prefix + node.name
            return replace(
                around, prefix=f"{name}.", classes=around.classes | {name}, inside=inside, is_class_body=True
            )
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            first = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)][:1]
            own = around.own.union(first) if around.is_class_body else around.own
            prefix = f"{around.prefix}{node.name}.<locals>."
            return replace(around, prefix=prefix, inside=inside, own=own, is_class_body=False)
    return replace(around, inside=inside) if members else around


def _read(node: ast.AST, own: frozenset[str]) -> Iterator[tuple[str, str | None]]:
    """The names that this very node reads, each with its receiver."""
    match node:
        case ast.Attribute(ctx=ast.Load()):
            yield node.attr, _receiver(node.value, own)
        case ast.Call(func=ast.Name(id="getattr" | "hasattr"), args=[of, ast.Constant(value=str(name)), *_]):
            yield name, _receiver(of, own)
        case ast.Constant(value=str(name)) if name.isidentifier():
            yield name, None


def _receiver(node: ast.expr, own: frozenset[str]) -> str:
    match node:
        case ast.Name():
            return SELF if node.id in own else node.id
        case ast.Attribute(attr="__class__") | ast.Call(func=ast.Name(id="type"), args=[_]):
            return _receiver(node.value if isinstance(node, ast.Attribute) else node.args[0], own)
        case ast.Attribute():
            return node.attr
        case ast.Call(func=ast.Name(id="super")):
            return SELF
    return ""
