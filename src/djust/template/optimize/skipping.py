"""Which steps need not run again when the names they read are what they were.

A step can be skipped when its output is a function of plain values: it reads names of the view's data, applies Django's
own lookups and filters to them, and nothing else can interfere. `read_by` says which names, or None if the step must
always run: a custom tag or filter may look anywhere, `now` and `timesince` look at the clock. Whether a name's value is
plain, and unchanged, is found at run time (`state.tracking`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from django.template import defaultfilters
from django.template.base import FilterExpression, Variable
from django.template.defaulttags import AutoEscapeControlNode, FirstOfNode, WidthRatioNode
from django.templatetags.i18n import TranslateNode
from django.templatetags.l10n import LocalizeNode

from djust.template.codegen.expressions import leaves, reads
from djust.template.lower import expressions_of, names_read
from djust.template.nodes import (
    ALL_NAMES,
    NO_NAMES,
    Block,
    Blocks,
    BranchStep,
    Call,
    Content,
    EffectStep,
    Element,
    For,
    If,
    Inclusion,
    LeafStep,
    LoopStep,
    Partial,
    Scope,
    Scoped,
    ScopeStep,
    Sentence,
    Setting,
    Static,
    StaticUrl,
    Step,
    Text,
    Url,
    With,
    is_silent,
)
from djust.template.optimize.lookups import expressions_in

# Filters of Django's whose result depends on the clock or on chance.
_UNSTEADY = frozenset({"random", "timesince", "timeuntil"})
_STEADY_FILTERS = frozenset(
    function for name, function in defaultfilters.register.filters.items() if name not in _UNSTEADY
)
# Methods of plain values that change them.
_CHANGING = frozenset({"clear", "pop", "popitem", "reverse", "sort"})
_STEADY_CALLS = (TranslateNode, FirstOfNode, WidthRatioNode)
_STEADY_SETTINGS = (AutoEscapeControlNode, LocalizeNode)


def read_by(step: Step) -> frozenset[str] | None:
    """The names of the context that `step` reads, or None if it must always run."""
    match step:
        case LeafStep():
            return _names(step.pieces)
        case LoopStep() | BranchStep() | ScopeStep():
            return _names([step.item])
    return None


def is_worth_skipping(step: Step) -> bool:
    """Whether running `step` costs more than finding out that it need not run."""
    return not (isinstance(step, LeafStep) and all(_is_cheap(piece) for piece in step.pieces))


def _is_cheap(piece: Content) -> bool:
    return isinstance(piece, Static) or (isinstance(piece, Text) and not piece.expression.filters)


def may_set_names(step: Step) -> bool:
    """Whether `step` may set names of the context that later steps read."""
    match step:
        case EffectStep():
            return True
        case LeafStep():
            return any(_sets_names(piece) for piece in step.pieces)
        case LoopStep() | BranchStep() | ScopeStep():
            return _sets_names(step.item)


def parts_of(step: Step) -> Iterator[int]:
    """The numbers of the parts that `step` fills."""
    match step:
        case ScopeStep():
            for inner in step.steps:
                yield from parts_of(inner)
        case LeafStep() | LoopStep() | BranchStep():
            yield step.index


def _sets_names(content: Content) -> bool:
    match content:
        case Element():
            return any(_sets_names(inner) for inner in (*content.start, *content.children))
        case Blocks() | Scoped():
            return _sets_names(content.item)
    return content.needs is ALL_NAMES or is_silent(content) or bool(content.needs)


def _names(contents: Iterable[Content]) -> frozenset[str] | None:
    """The names that `contents` read from outside, or None if one of them must always be rendered."""
    names = NO_NAMES
    for content in contents:
        found = _content_names(content)
        if found is None:
            return None
        names |= found
    return names


def _content_names(content: Content) -> frozenset[str] | None:
    match content:
        case Static():
            return NO_NAMES
        case Element():
            return _names([*content.start, *content.children])
        case Blocks() | Scoped():
            return _content_names(content.item)
        case Text():
            return _expressions([content.expression])
        case Url():
            return _expressions([content.view_name, *content.args, *content.kwargs.values()])
        case StaticUrl():
            return _expressions([content.path])
        case Sentence(node=node, silent=False):
            # Its counter sees what it binds, which is a name of the page at worst.
            bound = [*node.extra_context, node.countervar]
            return _union(_expressions(expressions_of(content)), _without(frozenset(content.variables), bound))
        case Call(node=node, silent=False, needs=needs) if isinstance(node, _STEADY_CALLS):
            return None if needs is ALL_NAMES else _union(needs, _expressions(expressions_in(node)))
        case If() | For() | With() | Inclusion() | Partial() | Block() | Setting():
            return _block_names(content)
    return None


def _block_names(item: If | For | Scope) -> frozenset[str] | None:
    match item:
        case If():
            conditions = [leaf for condition, _ in item.arms if condition is not None for leaf in leaves(condition)]
            return _union(_expressions(conditions), *(_names(body) for _, body in item.arms))
        case For():
            inside = _without(_names(item.body), [*item.names, "forloop"])
            return _union(_expressions([item.sequence]), inside, _names(item.empty or []))
        case With():
            return _union(_expressions(item.bindings.values()), _without(_names(item.body), item.bindings))
        case Inclusion():
            inside = _names(item.body)
            # The names of an isolated include that it is not given are missing, whatever the page's data says.
            inside = _without(inside, inside or ()) if item.isolated else _without(inside, item.bindings)
            return _union(_expressions(item.bindings.values()), inside)
        case Partial():
            return _names(item.body)
        case Block():
            return _without(_names(item.body), ["block"])
        case Setting():
            return _names(item.body) if isinstance(item.node, _STEADY_SETTINGS) else None


def _expressions(expressions: Iterable[FilterExpression]) -> frozenset[str] | None:
    names = NO_NAMES
    for expression in expressions:
        if any(function not in _STEADY_FILTERS for function, _ in expression.filters):
            return None
        if expression.is_var and isinstance(expression.var, Variable) and _CHANGING & {*(expression.var.lookups or ())}:
            return None
        names |= reads(expression)
    return names


def _union(*sets: frozenset[str] | None) -> frozenset[str] | None:
    names = NO_NAMES
    for found in sets:
        if found is None:
            return None
        names |= found
    return names


def _without(names: frozenset[str] | None, bound: Iterable[str]) -> frozenset[str] | None:
    return None if names is None else names.difference(bound)


def _given(step: Step) -> frozenset[str]:
    """The names that `step` reads anywhere."""
    contents = step.pieces if isinstance(step, LeafStep) else [step.item]
    return frozenset().union(*map(_mentioned, contents))


def _mentioned(content: Content) -> frozenset[str]:
    match content:
        case Element():
            return frozenset().union(*map(_mentioned, [*content.start, *content.children]))
        case Blocks() | Scoped():
            return _mentioned(content.item)
    return frozenset(names_read([content]))


def skippable(steps: Sequence[Step]) -> dict[int, frozenset[str]]:
    """Position in `steps` → the names on which it depends, for the steps that may be skipped.

    A tag that may set names makes everything after it run always; what other code than Django's own was given, it may
    have changed in place.
    """
    found: dict[int, frozenset[str]] = {}
    given: frozenset[str] = NO_NAMES
    for position, step in enumerate(steps):
        names = read_by(step)
        if names is not None:
            if is_worth_skipping(step) and given.isdisjoint(names):
                found[position] = names
        elif may_set_names(step):
            break
        else:
            given |= _given(step)
    return found
