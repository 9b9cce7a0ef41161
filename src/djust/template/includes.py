"""Includes and inclusion tags at run time; generated code evaluates what they are given."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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


def _included(context: Context, tag: IncludeNode, found: Any) -> Any:
    """The template that `found` stands for: a name, names, a template, or a back end's one.

    As in Django, a template that was found by name is the same during a rendering.
    """
    cache: dict[Any, Any] = context.render_context.dicts[0]
    known = cache.get(tag)
    if known is None:
        known = cache[tag] = {}
    elif type(found) in _STRINGS and (template := known.get(found)) is not None:
        return template
    if callable(getattr(found, "render", None)):
        return getattr(found, "template", found)
    if isinstance(found or (), str):
        names: tuple[str, ...] = (construct_relative_path(cast(str, tag.origin.template_name), found),)
    else:
        names = tuple(found or ())
    template = known.get(names)
    if template is None:
        template = known[names] = cast(Template, context.template).engine.select_template(names)  # type: ignore[arg-type]
    if type(found) in _STRINGS:
        known[found] = template
    return template


Shown = Any  # the fragment and values of an included template, or its HTML
Show = Callable[[Context, Any], Shown]


def names(evaluate: Show) -> dict[str, Any]:
    """What generated code calls; `evaluate` gives fragment and values of an included template."""

    def shown(context: Context, template: Any) -> tuple[Fragment, Values]:
        if not hasattr(template, "nodelist"):
            return _FOREIGN, (source(str(template.render(context))),)
        with rendering(context, template):
            found: tuple[Fragment, Values] = evaluate(context, template)
            return found

    return {
        "included": _included,
        "include": partial(_include, shown),
        "include_html": partial(_include, _html),
        "include_tag": partial(_include_tag, shown),
        "include_tag_html": partial(_include_tag, _html),
    }


def _html(context: Context, template: Any) -> str:
    html = template.render(context)
    return html if type(html) is SafeString else str(html)


def _include(
    show: Show, context: Context, template: Any, values: dict[str, Any] | None = None, isolated: bool = False
) -> Shown:
    """What an include shows whose template is known only now; without `values`, a partial."""
    if values is None:
        return show(context, template)
    if isolated:
        return show(isolated_context(context, values), template)
    context.dicts.append(values)
    result = show(context, template)
    context.dicts.pop()
    return result


def _include_tag(show: Show, context: Context, tag: InclusionNode, data: Any) -> Shown:
    """What an `inclusion_tag` shows whose function returned `data`."""
    template = context.render_context.get(tag)
    if template is None:
        named = getattr(tag.filename, "template", tag.filename)
        engine = cast(Template, context.template).engine
        if isinstance(named, Template):
            template = named
        elif isinstance(named, str):
            template = engine.get_template(named)
        else:
            template = engine.select_template(named)
        context.render_context[tag] = template
    inner = isolated_context(context, data)
    token = context.get("csrf_token")
    if token is not None:
        inner["csrf_token"] = token
    return show(inner, template)
