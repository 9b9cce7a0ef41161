"""Inheritance as Django has it: text before `extends`, `block.super` in expressions, blocks in
tags, the template that renders.
"""

# ruff: noqa: E501 - a case is a line

from __future__ import annotations

from typing import Any

import pytest
from django import template
from django.core.exceptions import ObjectDoesNotExist
from django.template import Context, Engine
from django.template.base import Node, NodeList, Parser, Template, Token, VariableDoesNotExist
from django.utils.safestring import SafeString

from djust.template import compile_template
from djust.template.context import rendering

register = template.Library()


@register.simple_tag
def echo(value: object) -> object:
    return value


@register.simple_block_tag
def wrap(content: str) -> str:
    return f"[{content}]"


@register.filter
def divided(value: object) -> object:
    return 1 // 0


@register.simple_tag
def gone() -> None:
    raise ObjectDoesNotExist("gone")


@register.simple_tag
def unknown() -> None:
    raise VariableDoesNotExist("unknown %s", ("name",))


class Within(Node):
    """A tag that Django renders."""

    def __init__(self, nodelist: NodeList) -> None:
        self.nodelist = nodelist

    def render(self, context: Context) -> SafeString:
        return self.nodelist.render(context)


@register.tag
def within(parser: Parser, token: Token) -> Within:
    nodelist = parser.parse(("endwithin",))
    parser.delete_first_token()
    return Within(nodelist)


@register.simple_tag(takes_context=True)
def rendering_template(context: Context) -> str:
    current: Template = context.render_context.template  # type: ignore[attr-defined]
    return str(current.name)


PARENT = "{% block t %}T<b>{{ x }}</b>{% endblock %}|{% block u %}U{% endblock %}"
CASES = {
    "text before": ("\nbefore {# c #}{% extends 'parent' %}{% block t %}A{% endblock %}", PARENT),
    "text before both": ("1 {% extends 'middle' %}{% block t %}A{{ block.super }}{% endblock %}", PARENT),
    "in a condition": ("{% extends 'parent' %}{% block t %}{% if block.super %}{{ block.super }}!{% endif %}{% endblock %}", PARENT),
    "in a filter": ("{% extends 'parent' %}{% block t %}{{ block.super|striptags|upper }}{% endblock %}", PARENT),
    "in with": ("{% extends 'parent' %}{% block t %}{% with s=block.super %}{{ s }}{{ s }}{% endwith %}{% endblock %}", PARENT),
    "in a tag": ("{% extends 'parent' %}{% block t %}{% echo block.super %}{% endblock %}", PARENT),
    "as an argument": ("{% extends 'parent' %}{% block t %}{{ x|add:block.super }}{% endblock %}", PARENT),
    "given to an include": ("{% extends 'parent' %}{% block t %}{% include 'shown' with s=block.super %}{% endblock %}", PARENT),
    "inside an include": ("{% extends 'parent' %}{% block t %}<{% include 'super' %}>{% endblock %}", PARENT),
    "three levels": ("{% extends 'middle' %}{% block t %}{{ block.super|lower }}{% endblock %}", PARENT),
    "in a loop": ("{% extends 'parent' %}{% block t %}{% for y in ys %}{{ block.super }}{{ block.super|upper }}{{ y }}{% endfor %}{% endblock %}", PARENT),
    "the name": ("{% extends 'parent' %}{% block t %}{{ block.name }}{% endblock %}", PARENT),
    "another block": ("{% extends 'parent' %}{% block t %}{% for block in blocks %}{{ block.super }}{% endfor %}{% endblock %}", PARENT),
    "with another block": ("{% extends 'parent' %}{% block t %}{% with block=x %}{{ block.super }}{{ block }}{% endwith %}{% endblock %}", PARENT),
    "a block in a tag": ("{% extends 'parent' %}", "{% wrap %}{% block t %}base{% endblock %}{% endwrap %}"),
    "a child's block in a tag": ("{% extends 'parent' %}{% block u %}{% wrap %}{% block v %}v{% endblock %}{% endwrap %}{% endblock %}", PARENT),
    "overridden in a tag": ("{% extends 'parent' %}{% block t %}A{{ block.super }}{% endblock %}", "{% wrap %}{% block t %}base{% endblock %}{% endwrap %}"),
    "named by a tag": ("{% extends 'parent' %}{% block t %}{{ block.super }}{% firstof x as block %}{{ block.super }}{{ block }}{% endblock %}", PARENT),
    "a parent's object is gone": ("{% extends 'parent' %}{% block t %}A{{ block.super }}<p>{{ block.super }}</p>{% endblock %}", "{% block t %}<b>{{ x }}</b>{% gone %}{% endblock %}{{ x }}"),
    "a parent's name is unknown": ("{% extends 'parent' %}{% block t %}A{% for y in ys %}{{ y }}{{ block.super }}{% endfor %}{% endblock %}", "{% block t %}<b>{% with x=1 %}{% unknown %}{% endwith %}</b>{% endblock %}{{ x }}"),
    "a filter of what is gone": ("{% extends 'parent' %}{% block t %}A{{ block.super|default:x }}{% endblock %}", "{% block t %}B{% gone %}{% endblock %}"),
    "gone in an include of a parent": ("{% extends 'middle' %}{% block t %}A{{ block.super }}{% endblock %}", "{% block t %}B{% include 'gone' %}{% endblock %}"),
    "who renders": ("{% extends 'middle' %}{% block t %}{% rendering_template %}{% include 'who' %}{% endblock %}", "{% rendering_template %}" + PARENT),
}  # fmt: skip


def engine(page: str, parent: str, **options: Any) -> Engine:
    templates = {
        "page": page,
        "parent": parent,
        "middle": "2 {% extends 'parent' %}{% block t %}M{{ block.super }}{% endblock %}",
        "shown": "({{ s }})",
        "super": "{{ block.super }}",
        "who": "{% rendering_template %}",
        "gone": "C{% gone %}",
    }
    loaders = [("django.template.loaders.locmem.Loader", templates)]
    return Engine(loaders=loaders, libraries={"inherited": __name__}, builtins=[__name__], **options)


def data() -> dict[str, object]:
    return {"x": "1<2", "ys": [1, 2], "blocks": [{"super": "mine"}]}


@pytest.mark.parametrize("invalid", ["", "?"])
@pytest.mark.parametrize("name", CASES)
def test_as_django(name: str, invalid: str) -> None:
    page, parent = CASES[name]
    expected = engine(page, parent, string_if_invalid=invalid).get_template("page").render(Context(data()))
    found = engine(page, parent, string_if_invalid=invalid).get_template("page")
    compiled = compile_template(found)
    context = Context(data())
    context.template = found
    with rendering(context, found):
        assert str(compiled.render(context)) == expected
    assert context.render_context.template is None  # type: ignore[attr-defined]
    context = Context(data())
    context.template = found
    with rendering(context, found):
        fragment, values = compiled.evaluate(context)
    marked = fragment.html(values)
    for mark in ("<!--[-->", "<!--]-->", "<!--,-->", " dj"):
        marked = marked.replace(mark, "")
    assert marked == expected


def compiled_render(found: Template, context: Context) -> str:
    context.template = found
    with rendering(context, found):
        return str(compile_template(found).render(context))


@pytest.mark.parametrize("tag", ["{% gone %}", "{% with x=1 %}\n{% gone %}{% endwith %}"])
def test_errors_outside_of_super_are_raised(tag: str) -> None:
    parent = "{% block t %}B{% endblock %}" + tag
    found = engine("{% extends 'parent' %}{% block t %}{{ block.super }}{% endblock %}", parent).get_template("page")
    context = Context(data())
    with pytest.raises(ObjectDoesNotExist):
        compiled_render(found, context)
    assert len(context.dicts) == 2


@pytest.mark.parametrize("parent", ["\n{% echo x|divided %}", "\n{% within %}\n{% echo x|divided %}{% endwithin %}"])
def test_errors_in_a_parent_point_there(parent: str) -> None:
    places = []
    for render in (Template.render, compiled_render):
        found = engine("{% extends 'parent' %}\n\n\n\n", parent, debug=True).get_template("page")
        with pytest.raises(ZeroDivisionError) as raised:
            render(found, Context(data()))
        info = raised.value.template_debug  # type: ignore[attr-defined]
        places.append((info["name"], info["line"], info["during"]))
    assert places[0] == places[1]
    assert places[0][0] == "parent"
