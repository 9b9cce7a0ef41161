"""What a loop asks of its items: the lookups that its body performs on the loop variable.

    {% for order in orders %}
      {{ order.customer.name }} {% for line in order.lines.all %}{{ line.product }}{% endfor %}
    {% endfor %}

has the lookups `customer.name`, `lines.all` and `lines.all.*.product`, where `*` stands for each
item of what is iterated. `prefetch` fetches by them. They decide what is fetched early, and never
what is shown. So an unknown tag that binds a name again does no harm.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from django.template import defaultfilters
from django.template.base import FilterExpression, Variable

from djust.template.nodes import ALL_NAMES, Node

# Stands in a path for each item of what the names before it give; no name of a template looks like
# it.
EACH = "*"

# Filters that read all items of a sequence, as a condition does.
_READ_ALL = (defaultfilters.length, defaultfilters.join, defaultfilters.dictsort, defaultfilters.dictsortreversed)


class Lookup(NamedTuple):
    """`path` is looked up on each item, if `certain`; if `reads`, its value's items are read."""

    path: tuple[str, ...]
    reads: bool
    certain: bool


class _Origin(NamedTuple):
    """What a name stands for, and whether this code certainly runs for each of these objects."""

    path: tuple[str, ...]
    certain: bool


# Names → what they stand for, as far as it is reached from the loop variable.
_Origins = Mapping[str, _Origin]


def lookups_of(loop: Node) -> tuple[Lookup, ...]:
    """The lookups on the variable of a loop, sorted; none if it has several variables."""
    names = _items_bound(loop)
    if len(names) != 1:
        return ()
    collector = _Collector()
    collector.nodes(loop.bodies[0], {names[0]: _Origin((), certain=True)})
    return tuple(sorted(collector.found))


class _Collector:
    """Walks nodes and collects the lookups that start at the loop variable."""

    def __init__(self) -> None:
        self.found: set[Lookup] = set()

    def nodes(self, nodes: Iterable[Node], origins: _Origins) -> None:
        for node in nodes:
            self._node(node, origins)
            origins = _without(origins, {node.target} if node.sets is ALL_NAMES else node.sets)

    def _node(self, node: Node, origins: _Origins) -> None:
        for position, expression in enumerate((*node.expressions, *node.delegated)):
            certain = node.certain is None or position < node.certain
            self._read(expression, origins if certain else _perhaps(origins), whole=node.reads_all)
        outer = _perhaps(origins) if node.may_skip else origins
        inner = self._bound(node, {} if node.isolated else outer, origins)
        for expression in node.inner:
            self._read(expression, inner)
        for position, body in enumerate(node.bodies):
            self.nodes(body, outer if position else inner)

    def _bound(self, node: Node, inner: _Origins, origins: _Origins) -> _Origins:
        """`inner` with the names that `node` binds to what it evaluates where `origins` hold."""
        bound = dict(_without(inner, node.binds))
        if node.each and len(_items_bound(node)) != 1:
            return bound
        for name, expression in node.binds.items():
            if expression is not None and (origin := _origin(expression, origins)) is not None:
                bound[name] = _Origin((*origin.path, EACH), certain=True) if node.each else origin
        return bound

    def _read(self, expression: FilterExpression, origins: _Origins, *, whole: bool = False) -> None:
        """Note the lookups in `expression`; `whole`: all items of its value are read."""
        if expression.is_var:
            filters = expression.filters
            self._look_up(expression.var, origins, filters[0][0] in _READ_ALL if filters else whole)
        for _, arguments in expression.filters:
            for is_variable, argument in arguments:
                if is_variable:
                    self._look_up(argument, origins, reads=False)

    def _look_up(self, variable: Any, origins: _Origins, reads: bool) -> None:
        origin = _value(variable, origins)
        if origin is not None and origin.path:
            self.found.add(Lookup(origin.path, reads, origin.certain))


def _items_bound(loop: Node) -> list[str]:
    """The variables of a loop."""
    return [name for name, expression in loop.binds.items() if expression is not None]


def _origin(expression: FilterExpression, origins: _Origins) -> _Origin | None:
    """What `expression` is, if it is reached from the loop variable by lookups alone."""
    return _value(expression.var, origins) if expression.is_var and not expression.filters else None


def _value(variable: Any, origins: _Origins) -> _Origin | None:
    if not isinstance(variable, Variable) or not variable.lookups:
        return None
    first, *rest = variable.lookups
    origin = origins.get(first)
    return None if origin is None else _Origin((*origin.path, *rest), origin.certain)


def _perhaps(origins: _Origins) -> _Origins:
    """The origins of what is not rendered in every case."""
    return {name: origin._replace(certain=False) for name, origin in origins.items()}


def _without(origins: _Origins, names: Collection[str]) -> _Origins:
    return {name: origin for name, origin in origins.items() if name not in names} if names else origins
