"""The report of a compiled template, and the command that prints it and the generated source."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.template import Engine, Library, Node
from django.template.base import Parser, Token
from django.test import override_settings

from djust.template import compile_template
from djust.template.report import OpaqueNode, Report

register = Library()

PAGE = """<h1 class="{{ kind }}" {{ extra }}>{{ title }}</h1>
<title>{{ title }}</title>
{% for row in rows %}<p>{{ row }}</p>{% empty %}<p>none</p>{% endfor %}
{% if a %}<i>{{ a }}</i>{% chart a %}{% endif %}
{% include "card.html" with body=text %}
<div>{% filter upper %}<b>{{ text }}</b>{% endfilter %}</div>"""
CARD = "<article>{% chart body %}</article>"


class ChartNode(Node):
    def render(self, context: Any) -> str:
        return "<svg></svg>"


@register.tag
def chart(parser: Parser, token: Token) -> ChartNode:
    return ChartNode()


def engine(**templates: str) -> Engine:
    loader = ("django.template.loaders.locmem.Loader", {f"{name}.html": text for name, text in templates.items()})
    return Engine(loaders=[loader], builtins=[__name__])


def test_a_report_counts_parts_by_kind_and_names_opaque_nodes() -> None:
    report = compile_template(engine(page=PAGE, card=CARD).get_template("page.html")).report
    assert report == Report(
        parts={"text": 3, "branch": 2, "region": 3, "loop": 1, "attribute": 1, "raw": 1, "tag": 1},
        native={"variable": 7, "filter": 1, "for": 1, "if": 1, "include": 1},
        opaque=(OpaqueNode("chart", "page.html:4"), OpaqueNode("chart", "card.html:1")),
    )


def test_a_report_counts_what_a_template_inherits() -> None:
    base = "<main>{% block a %}{{ x }}{% endblock %}</main>{% block b %}{% chart x %}{% endblock %}"
    templates = engine(base=base, page='{% extends "base.html" %}{% block a %}{{ y }}{{ block.super }}{% endblock %}')
    report = compile_template(templates.get_template("page.html")).report
    assert report.native == {"block": 3, "variable": 2}
    assert report.opaque == (OpaqueNode("chart", "base.html:1"),)


def test_a_template_without_anything_dynamic_has_an_empty_report() -> None:
    report = compile_template(engine().from_string("<p>Hello</p>")).report
    assert report == Report(parts={}, native={}, opaque=())
    assert str(report) == "parts   0\nnative  0\nopaque  0"


# The command


@pytest.fixture
def templates(tmp_path: Path) -> Any:
    (tmp_path / "page.html").write_text("<p>{{ a }}</p>{% chart a %}")
    (tmp_path / "dynamic.html").write_text("{% extends layout %}")
    (tmp_path / "broken.html").write_text("{% if %}")
    options = {"builtins": [__name__]}
    setting = {"BACKEND": "djust.template.backend.DjangoTemplates", "DIRS": [tmp_path], "OPTIONS": options}
    with override_settings(TEMPLATES=[setting]):
        yield


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("djust_source", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.usefixtures("templates")
def test_the_command_prints_the_source_of_evaluate() -> None:
    assert printed("page.html").startswith("def evaluate(context")
    assert printed("page.html").count("\n\n") == 0


@pytest.mark.usefixtures("templates")
def test_the_command_prints_the_source_of_render() -> None:
    assert printed("page.html", "--render").startswith("def render(context):\n")


@pytest.mark.usefixtures("templates")
def test_the_command_prints_the_report() -> None:
    assert printed("page.html", "--report") == (
        "page.html\nparts   2: region 1, text 1\nnative  1: variable 1\nopaque  1\n        page.html:1  chart\n"
    )


@pytest.mark.usefixtures("templates")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.html", r'There is no template "missing.html"\. .*Tried:\n  .*missing.html: Source does not exist'),
        ("dynamic.html", r'"dynamic.html" cannot be compiled without data: Invalid template name .* literals'),
        ("broken.html", r'"broken.html" is no valid template: Unexpected end of expression'),
    ],
)
def test_the_command_says_what_is_wrong_with_a_template(name: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        printed(name)


def test_the_command_refuses_templates_in_other_languages(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>$a</p>")
    setting = {"BACKEND": "django.template.backends.dummy.TemplateStrings", "DIRS": [tmp_path]}
    with override_settings(TEMPLATES=[setting]), pytest.raises(CommandError, match="not written in Django's template"):
        printed("page.html")
