"""Tags that Django's own nodes render: which names of the context each reads and sets.

    delegate(tag)  ->  a Call that needs {"a", "b"}   for {% widthratio a 5 100 as b %}

Knowing the names, everything around such a tag stays compiled; only these names are put on the
context.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.template import defaulttags
from django.template.base import FilterExpression, TokenType
from django.template.base import Node as DjangoNode
from django.templatetags import i18n, static, tz

from djust.template.codegen.expressions import is_native
from djust.template.nodes import ALL_NAMES, NO_NAMES, RENDER_STATE, Call, reads


def names_of(expressions: Iterable[Any]) -> frozenset[str]:
    """The names that `expressions` read; all names if one is not of Django's own kind."""
    names = NO_NAMES
    for expression in expressions:
        if isinstance(expression, FilterExpression):
            names = (frozenset(reads(expression)) if is_native(expression) else ALL_NAMES) | names
    return names


@dataclass(frozen=True, slots=True)
class _Use:
    """The attributes of a tag with its expressions, and the one with the name that it sets.

    `needs`: other names that it uses. The rest is as in `Node`, if it has no target.
    """

    expressions: str = ""
    target: str = ""
    needs: frozenset[str] = NO_NAMES
    is_inline: bool = True
    is_steady: bool = False
    has_output: bool = True
    certain: int | None = None

    def of(self, tag: Any) -> list[FilterExpression]:
        found: list[Any] = []
        for name in self.expressions.split():
            value = getattr(tag, name)
            found += value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        return [expression for expression in found if isinstance(expression, FilterExpression)]


_USES: dict[type[DjangoNode], _Use] = {
    defaulttags.NowNode: _Use(target="asvar"),
    defaulttags.LoremNode: _Use("count", is_inline=False),
    defaulttags.DebugNode: _Use(needs=ALL_NAMES, is_inline=False),
    defaulttags.WidthRatioNode: _Use("val_expr max_expr max_width", "asvar", is_steady=True),
    # Of some tags, the values only tell which expression comes next.
    defaulttags.FirstOfNode: _Use("vars", "asvar", is_steady=True, certain=0),
    defaulttags.CycleNode: _Use("cyclevars", "variable_name", frozenset({RENDER_STATE}), certain=0),
    defaulttags.ResetCycleNode: _Use(needs=frozenset({RENDER_STATE}), has_output=False),
    defaulttags.RegroupNode: _Use("target expression", "var_name", is_inline=False),
    defaulttags.URLNode: _Use("view_name args kwargs", "asvar"),
    defaulttags.CsrfTokenNode: _Use(needs=frozenset({"csrf_token"}), is_inline=False),
    i18n.TranslateNode: _Use("filter_expression message_context", "asvar", is_steady=True),
    i18n.BlockTranslateNode: _Use("extra_context counter message_context", "asvar"),
    i18n.GetAvailableLanguagesNode: _Use(target="variable"),
    i18n.GetCurrentLanguageNode: _Use(target="variable"),
    i18n.GetCurrentLanguageBidiNode: _Use(target="variable"),
    i18n.GetLanguageInfoNode: _Use("lang_code", "variable"),
    i18n.GetLanguageInfoListNode: _Use("languages", "variable"),
    tz.GetCurrentTimezoneNode: _Use(target="variable"),
    static.StaticNode: _Use("path", "varname"),
    static.PrefixNode: _Use(target="varname"),
}


def delegate(tag: DjangoNode) -> Call | None:
    """The call of one of Django's own tags, or None for any other node."""
    use = _USES.get(type(tag))
    if use is None:
        return None
    expressions = use.of(tag)
    target = frozenset(filter(None, [getattr(tag, use.target, None)] if use.target else ()))
    needs = names_of(expressions) | use.needs | target
    if isinstance(tag, i18n.BlockTranslateNode):
        needs = needs | _names_in_text(tag)
    has_output = not tag.silent if isinstance(tag, defaulttags.CycleNode) else use.has_output and not target
    call = Call(tag, needs=needs, sets=ALL_NAMES if needs is ALL_NAMES else target, has_output=has_output)
    call.delegated, call.certain = expressions, use.certain
    call.is_inline = use.is_inline and has_output
    call.is_steady = use.is_steady and has_output and needs is not ALL_NAMES
    if isinstance(tag, defaulttags.RegroupNode):
        sequence, by = expressions
        call.delegated, call.inner, call.binds = [sequence], [by], {tag.var_name: sequence}
        call.reads_all = call.each = True
    return call


def _names_in_text(tag: Any) -> frozenset[str]:
    """The names that the text of a `{% blocktranslate %}` uses."""
    tokens = [*tag.singular, *(tag.plural or ())]
    read = {token.contents for token in tokens if token.token_type == TokenType.VAR}
    return frozenset({*read, *tag.extra_context, tag.countervar or ""})
