"""Includes and inclusion tags at run time: generated code calls these with what it has evaluated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.template import Context
from django.template.base import Template
from django.template.library import InclusionNode
from django.template.loader_tags import IncludeNode, construct_relative_path
from django.utils.safestring import SafeString

from djust.render.values import TEXT, Fragment, Part, Values, source
from djust.template.context import isolated_context, rendering

_STRINGS = frozenset({str, SafeString})

# What stands for an include of an object that is no template of Django's but can be rendered.
_FOREIGN = Fragment((Part(TEXT),), (0,), whole=True)


def included(context: Context, node: IncludeNode, found: Any) -> Any:
    """The template that an include names by `found`: a name, a list of names, a template, or a back end's template.

    As in Django, a template that was found by name is the same during a rendering.
    """
    cache: dict[Any, Any] = context.render_context.dicts[0]
    known = cache.get(node)
    if known is None:
        known = cache[node] = {}
    elif type(found) in _STRINGS and (template := known.get(found)) is not None:
        return template
    if callable(getattr(found, "render", None)):
        return getattr(found, "template", found)
    if isinstance(found or (), str):
        names: tuple[str, ...] = (construct_relative_path(cast(str, node.origin.template_name), found),)
    else:
        names = tuple(found or ())
    template = known.get(names)
    if template is None:
        template = known[names] = cast(Template, context.template).engine.select_template(names)  # type: ignore[arg-type]
    if type(found) in _STRINGS:
        known[found] = template
    return template


Evaluate = Callable[[Context, Template], tuple[Fragment, Values]]


class Includes:
    """Includes that become fragments; `evaluate` gives the fragment and values of an included template."""

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate

    def include(
        self, context: Context, template: Template, values: dict[str, Any] | None = None, isolated: bool = False
    ) -> tuple[Fragment, Values]:
        """What an include shows whose template is known only now; without `values`, what a partial shows."""
        if values is None:
            return self._inner(context, template)
        if isolated:
            return self._inner(isolated_context(context, values), template)
        context.dicts.append(values)
        result = self._inner(context, template)
        context.dicts.pop()
        return result

    def include_tag(self, context: Context, node: InclusionNode, data: Any) -> tuple[Fragment, Values]:
        """What an `inclusion_tag` shows whose function returned `data`."""
        template, inner = _tag_template(context, node, data)
        return self._inner(inner, template)

    def _inner(self, context: Context, template: Any) -> tuple[Fragment, Values]:
        if not hasattr(template, "nodelist"):
            return _FOREIGN, (source(str(template.render(context))),)
        with rendering(context, template):
            return self._evaluate(context, template)


def include_html(context: Context, template: Any, values: dict[str, Any] | None = None, isolated: bool = False) -> str:
    """The output of an include whose template is known only now; without `values`, of a partial."""
    if values is None:
        return str(template.render(context))
    if isolated:
        return str(template.render(isolated_context(context, values)))
    context.dicts.append(values)
    html = template.render(context)
    context.dicts.pop()
    return html if type(html) is SafeString else str(html)


def include_tag_html(context: Context, node: InclusionNode, data: Any) -> str:
    """The output of an `inclusion_tag` whose function returned `data`."""
    template, inner = _tag_template(context, node, data)
    return template.render(inner)


def _tag_template(context: Context, node: InclusionNode, data: Any) -> tuple[Template, Context]:
    template = context.render_context.get(node)
    if template is None:
        named = getattr(node.filename, "template", node.filename)
        engine = cast(Template, context.template).engine
        if isinstance(named, Template):
            template = named
        elif isinstance(named, str):
            template = engine.get_template(named)
        else:
            template = engine.select_template(named)
        context.render_context[node] = template
    inner = isolated_context(context, data)
    token = context.get("csrf_token")
    if token is not None:
        inner["csrf_token"] = token
    return template, inner
