"""Which steps need not run again when the names they read are what they were.

A step can be skipped when its output is a function of plain values: it reads names of the view's
data, applies Django's own lookups and filters to them, and nothing else can interfere
(`Node.is_steady`). A custom tag or filter may look anywhere, `now` and `timesince` look at the
clock: these always run. Whether a name's value is plain, and unchanged, is found at run time
(`state.tracking`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from django.template import defaultfilters
from django.template.base import FilterExpression, Variable

from djust.template.nodes import ALL_NAMES, NO_NAMES, Node, names_read, reads
from djust.template.steps import EffectStep, LeafStep, Step, contents_of
from djust.template.tree import Blocks, Content, Element

# Filters of Django's whose result depends on the clock or on chance.
_UNSTEADY = frozenset({"random", "timesince", "timeuntil"})
_STEADY_FILTERS = frozenset(
    function for name, function in defaultfilters.register.filters.items() if name not in _UNSTEADY
)
# Methods of plain values that change them.
_CHANGING = frozenset({"clear", "pop", "popitem", "reverse", "sort"})


class _AlwaysRunError(Exception):
    """Something's output depends on more than the names that it reads."""


def skippable(steps: Sequence[Step]) -> dict[int, frozenset[str]]:
    """Position in `steps` → the names on which it depends, for the steps that may be skipped.

    A tag that may set names makes everything after it run always. What other code than Django's own
    was given, it may have changed in place.
    """
    found: dict[int, frozenset[str]] = {}
    given: frozenset[str] = NO_NAMES
    for position, step in enumerate(steps):
        nodes = list(_nodes(contents_of(step)))
        try:
            names = None if isinstance(step, EffectStep) else _outer_names(nodes)
        except _AlwaysRunError:
            names = None
        if names is not None:
            if _is_worth_skipping(step) and given.isdisjoint(names):
                found[position] = names
        elif isinstance(step, EffectStep) or any(node.needs is ALL_NAMES or node.sets_inside for node in nodes):
            break
        else:
            given |= names_read(nodes)
    return found


def _nodes(contents: Iterable[Content]) -> Iterator[Node]:
    """The outermost nodes of a tree of markup."""
    for content in contents:
        match content:
            case Element():
                yield from _nodes((*content.start.pieces, *content.children))
            case Blocks():
                yield content.node
            case _:
                yield content


def _is_worth_skipping(step: Step) -> bool:
    """Whether running `step` costs more than finding out that it need not run."""
    return not (isinstance(step, LeafStep) and all(map(_is_cheap, step.pieces)))


def _is_cheap(piece: Content) -> bool:
    if not isinstance(piece, Node):
        return False
    return piece.is_static or (piece.shows_value and not piece.expressions[0].filters)


def _outer_names(nodes: Iterable[Node]) -> frozenset[str]:
    """The names that `nodes` read from outside; raises `_AlwaysRunError`."""
    return NO_NAMES.union(*map(_names_of, nodes))


def _names_of(node: Node) -> frozenset[str]:
    if not (node.is_steady and node.has_output):
        raise _AlwaysRunError
    # The first body and what stands with it see the names that the node binds; an isolated one sees
    # no others.
    inner = _in_expressions(node.inner).union(node.variables, _outer_names(node.bodies[0] if node.bodies else ()))
    inner = NO_NAMES if node.isolated else inner.difference(node.binds)
    others = map(_outer_names, node.bodies[1:])
    called = node.needs if node.delegated else NO_NAMES
    return _in_expressions([*node.expressions, *node.delegated]).union(called, inner, *others)


def _in_expressions(expressions: Iterable[FilterExpression]) -> frozenset[str]:
    names: set[str] = set()
    for expression in expressions:
        if any(function not in _STEADY_FILTERS for function, _ in expression.filters):
            raise _AlwaysRunError
        if expression.is_var and isinstance(expression.var, Variable) and _CHANGING & {*(expression.var.lookups or ())}:
            raise _AlwaysRunError
        names |= reads(expression)
    return frozenset(names)
