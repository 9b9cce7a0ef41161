"""What a loop asks of its items: the lookups that its body performs on the loop variable, known when compiling.

    {% for order in orders %}
      {{ order.customer.name }} {% for line in order.lines.all %}{{ line.product }}{% endfor %}
    {% endfor %}

has the lookups `customer.name`, `lines.all` and `lines.all.*.product`, where `*` stands for each item of what is
iterated. `codegen/scopes.py` asks for them when it writes a loop, `prefetch.py` fetches by them. They decide
what is fetched early and never what is shown, so that it does no harm if an unknown tag binds a name anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from django.template import defaultfilters
from django.template.base import FilterExpression, Node, Variable
from django.template.defaulttags import CycleNode, FirstOfNode, RegroupNode
from django.templatetags.cache import CacheNode

from djust.template.codegen.expressions import leaves
from djust.template.lower import expressions_of
from djust.template.nodes import (
    Call,
    Capture,
    DynamicInclude,
    For,
    If,
    IfChanged,
    Inclusion,
    Item,
    Opaque,
    Sentence,
    SimpleTag,
    With,
    bodies,
)

# Stands in a path for each item of what the names before it give; no name of a template looks like it.
EACH = "*"

# Filters that read all items of a sequence, as a condition does.
_READ_ALL = (defaultfilters.length, defaultfilters.join, defaultfilters.dictsort, defaultfilters.dictsortreversed)

# Where tags keep the name that they set.
_TARGETS = ("target_var", "asvar", "varname", "var_name", "variable", "variable_name")


class Lookup(NamedTuple):
    """`path` is looked up on each item. `reads`: all items of its value are read. `certain`: whatever happens."""

    path: tuple[str, ...]
    reads: bool
    certain: bool


class _Bound(NamedTuple):
    """What a name stands for, and whether each of these objects certainly comes to where we are."""

    path: tuple[str, ...]
    certain: bool


_Scope = Mapping[str, _Bound]


def lookups_of(item: For) -> tuple[Lookup, ...]:
    """The lookups on the variable of a loop, sorted; none if it has several variables."""
    if len(item.names) != 1:
        return ()
    collector = _Collector()
    collector.items(item.body, {item.names[0]: _Bound((), certain=True)})
    return tuple(sorted(collector.found))


class _Collector:
    """Walks items; a scope says which names stand for something reached from the loop variable."""

    def __init__(self) -> None:
        self.found: set[Lookup] = set()

    def items(self, items: Iterable[Item], scope: _Scope) -> None:
        for item in items:
            self._item(item, scope)
            scope = _without(scope, _set_by(item))

    def _item(self, item: Item, scope: _Scope) -> None:
        match item:
            case If():
                self._if(item, scope)
            case For():
                self._for(item, scope)
            case With():
                self.items(item.body, self._bind(item.bindings, scope, scope))
            case Inclusion():
                self.items(item.body, self._bind(item.bindings, scope, {} if item.isolated else scope))
            case Sentence():
                inner = self._bind(item.node.extra_context, scope, scope)
                for expression in expressions_of(item)[-1:] if item.plural else ():
                    self._read(expression, inner)
            case Call(node=RegroupNode()):
                self._regroup(item.node, scope)
            case Call() | DynamicInclude():
                # Of some tags, the values only tell which expression comes next.
                certain = isinstance(item, Call) and not isinstance(item.node, CycleNode | FirstOfNode)
                for expression in expressions_in(item.node):
                    self._read(expression, scope if certain else _perhaps(scope))
            case Opaque():
                for node in item.node.get_nodes_by_type(Node):
                    for expression in expressions_in(node):
                        self._read(expression, _perhaps(scope))
            case _:
                for expression in expressions_of(item):
                    self._read(expression, scope)
                inner = _perhaps(scope) if isinstance(item, IfChanged) or _is_cached(item) else scope
                for body in bodies(item):
                    self.items(body, inner)

    def _if(self, item: If, scope: _Scope) -> None:
        conditions = [leaf for condition, _ in item.arms if condition is not None for leaf in leaves(condition)]
        for position, expression in enumerate(conditions):
            # Only the first operand of the first condition is evaluated in any case.
            self._read(expression, _perhaps(scope) if position else scope, whole=True)
        for _, body in item.arms:
            self.items(body, _perhaps(scope))

    def _for(self, item: For, scope: _Scope) -> None:
        self._read(item.sequence, scope, whole=True)
        inner = _without(_perhaps(scope), [*item.names, "forloop"])
        bound = _bound(item.sequence, scope)
        if bound is not None and len(item.names) == 1:
            inner = {**inner, item.names[0]: _Bound((*bound.path, EACH), certain=True)}
        self.items(item.body, inner)
        self.items(item.empty or (), _perhaps(scope))

    def _regroup(self, node: Any, scope: _Scope) -> None:
        self._read(node.target, scope, whole=True)
        if (bound := _bound(node.target, scope)) is not None:
            scope = {**scope, node.var_name: _Bound((*bound.path, EACH), certain=True)}
        self._read(node.expression, scope)

    def _bind(self, bindings: Mapping[str, FilterExpression], scope: _Scope, base: _Scope) -> _Scope:
        inner = dict(_without(base, bindings))
        for name, expression in bindings.items():
            self._read(expression, scope)
            if (bound := _bound(expression, scope)) is not None:
                inner[name] = bound
        return inner

    def _read(self, expression: FilterExpression, scope: _Scope, *, whole: bool = False) -> None:
        """Note the lookups in `expression`; `whole`: where its value is used, all of its items are read."""
        if expression.is_var:
            filters = expression.filters
            reads = filters[0][0] in _READ_ALL if filters else whole
            self._look_up(expression.var, scope, reads)
        for _, arguments in expression.filters:
            for is_variable, argument in arguments:
                if is_variable:
                    self._look_up(argument, scope, reads=False)

    def _look_up(self, variable: Any, scope: _Scope, reads: bool) -> None:
        bound = _value(variable, scope)
        if bound is not None and bound.path:
            self.found.add(Lookup(bound.path, reads, bound.certain))


def expressions_in(node: Node) -> Iterator[FilterExpression]:
    """The expressions that a node keeps in its attributes, alone or in lists and dictionaries."""
    for value in vars(node).values():
        several = value.values() if isinstance(value, dict) else value
        for found in several if isinstance(value, list | tuple | dict) else [value]:
            if isinstance(found, FilterExpression):
                yield found


def _bound(expression: FilterExpression, scope: _Scope) -> _Bound | None:
    """What the value of `expression` is, if it is reached from the loop variable by lookups alone."""
    return _value(expression.var, scope) if expression.is_var and not expression.filters else None


def _value(variable: Any, scope: _Scope) -> _Bound | None:
    if not isinstance(variable, Variable) or not variable.lookups:
        return None
    first, *rest = variable.lookups
    bound = scope.get(first)
    return None if bound is None else _Bound((*bound.path, *rest), bound.certain)


def _perhaps(scope: _Scope) -> _Scope:
    """The scope of what is not rendered in every case."""
    return {name: bound._replace(certain=False) for name, bound in scope.items()}


def _without(scope: _Scope, names: Iterable[str]) -> _Scope:
    hidden = set(names)
    return {name: bound for name, bound in scope.items() if name not in hidden} if hidden else scope


def _is_cached(item: Item) -> bool:
    return isinstance(item, Capture) and isinstance(item.node, CacheNode)


def _set_by(item: Item) -> list[str]:
    """The names that `item` sets for what follows it."""
    if not isinstance(item, Call | Capture | Sentence | SimpleTag | Opaque):
        return []
    found = (getattr(item.node, target, None) for target in _TARGETS)
    return [name for name in found if isinstance(name, str)]
