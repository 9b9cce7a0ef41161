"""Django's own tags that a node of Django's renders: which names of the context each of them reads and sets.

    call_of(node)  ->  Call(node, needs={"count", "total"})     for {% widthratio count total 100 as total %}

Knowing the names, everything around such a tag stays compiled; only these names are put on the context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.template import defaulttags
from django.template.base import FilterExpression, Node, TokenType, Variable
from django.template.library import InclusionNode, SimpleNode
from django.templatetags import i18n, static, tz
from django.utils.safestring import SafeString

from djust.template.codegen.expressions import is_native, reads
from djust.template.nodes import ALL_NAMES, NO_NAMES, RENDER_STATE, Call, Sentence

# What a tag reads, the name it sets, and whether its output may stand in a line of text.
Use = tuple[frozenset[str], str | None, bool]


def names_of(expressions: Iterable[Any]) -> frozenset[str]:
    """The names that `expressions` read; all names if one of them is not Django's own kind of expression."""
    names = NO_NAMES
    for expression in expressions:
        if isinstance(expression, FilterExpression):
            names = (frozenset(reads(expression)) if is_native(expression) else ALL_NAMES) | names
    return names


def call_of(node: Node, line: str) -> Call | None:
    """The call of one of Django's own tags, or None for any other node."""
    use = USES.get(type(node))
    if use is None:
        return None
    needs, target, inline = use(node)
    return Call(node, line, needs | ({target} if target else NO_NAMES), _is_silent(node, target), inline)


def _is_silent(node: Any, target: str | None) -> bool:
    if isinstance(node, defaulttags.CycleNode):
        return bool(node.silent)
    return target is not None or isinstance(node, defaulttags.ResetCycleNode)


def _now(node: Any) -> Use:
    return NO_NAMES, node.asvar, True


def _lorem(node: Any) -> Use:
    return names_of([node.count]), None, False


def _everything(node: Any) -> Use:
    return ALL_NAMES, None, False


def _width_ratio(node: Any) -> Use:
    return names_of([node.val_expr, node.max_expr, node.max_width]), node.asvar, True


def _first_of(node: Any) -> Use:
    return names_of(node.vars), node.asvar, True


def _cycle(node: Any) -> Use:
    return names_of(node.cyclevars) | {RENDER_STATE}, node.variable_name, True


def _reset_cycle(node: Any) -> Use:
    return frozenset({RENDER_STATE}), None, True


def _regroup(node: Any) -> Use:
    return names_of([node.target, node.expression]), node.var_name, False


def _url(node: Any) -> Use:
    return names_of([node.view_name, *node.args, *node.kwargs.values()]), node.asvar, True


def _translate(node: Any) -> Use:
    return names_of([node.filter_expression, node.message_context]), node.asvar, True


def message_of(item: object) -> str | None:
    """What `{% translate "…" %}` asks the catalog for, if it is a literal that is shown as it comes."""
    node = item.node if isinstance(item, Call) else None
    if not isinstance(node, i18n.TranslateNode) or node.noop or node.message_context or node.asvar is not None:
        return None
    expression = node.filter_expression
    literal = expression.var.literal if type(expression.var) is Variable and not expression.filters else None
    # Percent signs are doubled, as in the catalogs that makemessages writes.
    return literal.replace("%", "%%") if isinstance(literal, SafeString) else None


def _block_translate(node: Any) -> Use:
    expressions = [*node.extra_context.values(), node.counter, node.message_context]
    tokens = [*node.singular, *(node.plural or ())]
    read = frozenset(token.contents for token in tokens if token.token_type == TokenType.VAR)
    bound = frozenset([*node.extra_context, node.countervar or ""])
    return names_of(expressions) | read | bound, node.asvar, True


def sentence_of(node: Any, line: str) -> Sentence | None:
    """The sentence of `{% blocktranslate %}`, or None if we cannot write one of its expressions."""
    if not all(map(is_native, sentence_expressions(node))):
        return None
    singular, names = node.render_token_list(node.singular)
    plural = None
    if node.plural and node.countervar and node.counter:
        plural, others = node.render_token_list(node.plural)
        names = [*names, *others]
    target = frozenset([node.asvar] if node.asvar else ())
    return Sentence(node, line, singular, plural, tuple(dict.fromkeys(names)), target, bool(target))


def sentence_expressions(node: Any) -> list[FilterExpression]:
    """The expressions in `{% blocktranslate %}`; that of its counter sees what its bindings bind."""
    return [e for e in (node.message_context, *node.extra_context.values(), node.counter) if e is not None]


def _variable(node: Any) -> Use:
    return NO_NAMES, node.variable, True


def _language_info(node: Any) -> Use:
    return names_of([node.lang_code]), node.variable, True


def _language_info_list(node: Any) -> Use:
    return names_of([node.languages]), node.variable, True


def _static(node: Any) -> Use:
    return names_of([node.path]), node.varname, True


def _prefix(node: Any) -> Use:
    return NO_NAMES, node.varname, True


def _csrf(node: Any) -> Use:
    return frozenset({"csrf_token"}), None, False


USES: dict[type[Node], Callable[[Any], Use]] = {
    defaulttags.NowNode: _now,
    defaulttags.LoremNode: _lorem,
    defaulttags.DebugNode: _everything,
    defaulttags.WidthRatioNode: _width_ratio,
    defaulttags.FirstOfNode: _first_of,
    defaulttags.CycleNode: _cycle,
    defaulttags.ResetCycleNode: _reset_cycle,
    defaulttags.RegroupNode: _regroup,
    defaulttags.URLNode: _url,
    defaulttags.CsrfTokenNode: _csrf,
    i18n.TranslateNode: _translate,
    i18n.BlockTranslateNode: _block_translate,
    i18n.GetAvailableLanguagesNode: _variable,
    i18n.GetCurrentLanguageNode: _variable,
    i18n.GetCurrentLanguageBidiNode: _variable,
    i18n.GetLanguageInfoNode: _language_info,
    i18n.GetLanguageInfoListNode: _language_info_list,
    tz.GetCurrentTimezoneNode: _variable,
    static.StaticNode: _static,
    static.PrefixNode: _prefix,
}


def tag_needs(node: SimpleNode | InclusionNode) -> frozenset[str]:
    """What a `simple_tag` or `inclusion_tag` needs besides its arguments, which generated code gives it."""
    if node.takes_context and node.func is not getattr(defaulttags, "querystring", None):
        return ALL_NAMES
    return NO_NAMES
