"""Inheritance as Django has it: text before `extends`, `block.super` in expressions, blocks in tags, the template that renders."""

# ruff: noqa: E501 - a case is a line

from __future__ import annotations

import pytest
from django import template
from django.template import Context, Engine
from django.template.base import Template

from djust.template import compile_template
from djust.template.scope import rendering

register = template.Library()


@register.simple_tag
def echo(value: object) -> object:
    return value


@register.simple_block_tag
def wrap(content: str) -> str:
    return f"[{content}]"


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
    "who renders": ("{% extends 'middle' %}{% block t %}{% rendering_template %}{% include 'who' %}{% endblock %}", "{% rendering_template %}" + PARENT),
}  # fmt: skip


def engine(page: str, parent: str) -> Engine:
    templates = {
        "page": page,
        "parent": parent,
        "middle": "2 {% extends 'parent' %}{% block t %}M{{ block.super }}{% endblock %}",
        "shown": "({{ s }})",
        "super": "{{ block.super }}",
        "who": "{% rendering_template %}",
    }
    loaders = [("django.template.loaders.locmem.Loader", templates)]
    return Engine(loaders=loaders, libraries={"inherited": __name__}, builtins=[__name__])


def data() -> dict[str, object]:
    return {"x": "1<2", "ys": [1, 2], "blocks": [{"super": "mine"}]}


@pytest.mark.parametrize("name", CASES)
def test_as_django(name: str) -> None:
    page, parent = CASES[name]
    expected = engine(page, parent).get_template("page").render(Context(data()))
    found = engine(page, parent).get_template("page")
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
