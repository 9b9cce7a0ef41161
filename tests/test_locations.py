"""Errors in compiled templates have the location that Django gives them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.template import Context, Engine
from django.template.base import Template

from djust.template import backend
from tests.test_template import evaluated, plain

TAGS = ("i18n", "l10n", "tz", "cache", "static")
BUILTINS = [*Engine.default_builtins, *(f"django.templatetags.{name}" for name in TAGS), "tests.tag_library"]


class Failing:
    """Raises whatever a template does with it."""

    @property
    def p(self) -> Any:
        raise RuntimeError("property")

    def __bool__(self) -> bool:
        raise RuntimeError("bool")

    def __len__(self) -> int:
        raise RuntimeError("len")

    def __str__(self) -> str:
        raise RuntimeError("str")


class BreakingOff:
    """Raises after the first item."""

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Any:
        yield 1
        raise RuntimeError("iter")


TEMPLATES = {
    "bound.html": "{{ q }}",
    "failing.html": "\n\n\n{% if z.p %}{% endif %}",
    "inclusion.html": "\n\n\n\n{{ text }}",
    "base.html": "\n\n\n{% block a %}{% endblock %}",
}
WHERE = {
    "alone": ("", ""),
    "flat": ("{{ a }}\n\n", ""),
    "child": ("{% extends 'base.html' %}\n{% block a %}{{ a }}\n", "{% endblock %}"),
    "nested": ("{{ a }}{% for w in xs %}\n{% with k=1 %}\n", "{% endwith %}{% endfor %}"),
}
CASES = [
    "{% if z.p %}x{% endif %}",
    "{% if z %}x{% endif %}",
    "{% if not nope and z %}x{% endif %}",
    "{% if a|add:z.p %}x{% endif %}",
    "{% if nope %}\n{% elif z.p %}x{% endif %}",
    "{% if nope %}\n{{ a }}{% elif not a %}\n{{ a }}{% elif a == 2 %}\n{{ a }}{% elif z %}{% endif %}",
    "{% if a %}\n{{ z.p }}{% endif %}",
    "{{ z.p }}",
    "{% for i in z %}{% endfor %}",
    "{% for i in z %}{% empty %}{% endfor %}",
    "{% for i in broken %}\n{{ a }}\n{% endfor %}",
    "{% for i in xs %}\n{{ a }}\n{% if z.p %}{% endif %}{% endfor %}",
    "{% for i, j in xs %}\n{{ i }}{% endfor %}",
    "{% with q=1 r=z.p %}{{ q }}{% endwith %}",
    "{% include 'bound.html' with q=z.p %}",
    "{% include 'bound.html' with q=z.p only %}",
    "{% include 'failing.html' %}",
    "{% include name %}",
    "{% include z.p %}",
    "{% card z %}",
    "{% card z.p %}",
    "{% url 'nope' z.p as u %}",
    "{% regroup z.p by a as g %}",
    "{% get_language_info for z.p as l %}",
    "{% filter add:z.p %}\n{{ a }}{% endfilter %}",
    "{% filter upper %}\n{{ z.p }}{% endfilter %}",
    "{% spaceless %}\n{% if z.p %}{% endif %}{% endspaceless %}",
    "{% box z.p %}{{ a }}{% endbox %}",
    "{% framed %}\n{% if z.p %}{% endif %}{% endframed %}",
    "{% cache 1 k %}\n{% if z.p %}{% endif %}{% endcache %}",
    "<a b='{% if z.p %}{% endif %}'>",
    "<a {% if z.p %}b{% endif %}>",
]


def place_of(render: Any, template: Template, data: dict[str, Any]) -> tuple[Any, tuple[str, str] | None]:
    """What Django's error page says about the error of a rendering, and what our note says."""
    with pytest.raises((RuntimeError, ValueError)) as caught:
        render(template, data)
    debug = getattr(caught.value, "template_debug", None)
    found = re.match(r"In template (\S+), line (\d+)", getattr(caught.value, "__notes__", [""])[0])
    page = debug and (debug["name"], debug["line"], debug["during"])
    return (str(caught.value), page), found and (found[1], found[2])


def django(template: Template, data: dict[str, Any]) -> str:
    return template.render(Context(data))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", CASES)
def test_errors_are_where_django_says(case: str, where: str) -> None:
    before, after = WHERE[where]
    sources = {**TEMPLATES, "main.html": f"{before}{case}{after}"}
    data = {"z": Failing(), "a": 1, "xs": [1, 2], "broken": BreakingOff(), "name": "failing.html"}

    def template(cls: type[Engine] = Engine, *, debug: bool = True) -> Template:
        loaders = [("django.template.loaders.locmem.Loader", sources)]
        return cls(loaders=loaders, builtins=BUILTINS, debug=debug).get_template("main.html")

    expected, _ = place_of(django, template(), data)
    name, line, _ = expected[1]
    for render, engine in ((plain, Engine), (evaluated, Engine), (django, backend.Engine)):
        assert place_of(render, template(engine), data) == (expected, (name, str(line))), render
        assert place_of(render, template(engine, debug=False), data) == ((expected[0], None), (name, str(line)))
