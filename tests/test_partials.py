"""`{% partialdef %}` and `{% partial %}`, which Django has since version 6, are compiled and show
what Django shows.
"""

# ruff: noqa: E501 - one template, one line

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.http import HttpRequest
from django.shortcuts import render
from django.template import Context, Library, engines, loader
from django.template.base import Template
from django.template.response import TemplateResponse
from django.test import RequestFactory, SimpleTestCase, override_settings
from django.test.utils import _TestState

from djust.template import compile_template
from djust.template.cache import CompiledTemplate
from djust.template.context import page_context, rendering
from tests.test_backend import setting
from tests.test_template import engine, without_marks

if django.VERSION < (6, 0):
    pytest.skip("Django has partials since version 6.0", allow_module_level=True)
register = Library()


@register.simple_tag
def key_error() -> str:
    raise KeyError("somewhere inside")


FILES = {
    "base.html": "<main>{% block main %}base{% endblock %}</main>{% block more %}{% endblock %}",
    "page.html": "{% partialdef row %}<li>{{ x }}{{ forloop.counter }}</li>{% endpartialdef %}<ul>{% for x in xs %}{% partial row %}{% endfor %}</ul>",
    "child.html": '{% extends "base.html" %}{% partialdef hi %}<p>Hi {{ name }}</p>{% endpartialdef %}{% block main %}{{ block.super }}{% partial hi %}{% endblock %}{% block more %}{% partial hi %}{% endblock %}',
    "tree.html": "{% partialdef node %}<li>{{ n.name }}<ul>{% for n in n.nodes %}{% partial node %}{% endfor %}</ul></li>{% endpartialdef %}<ul>{% for n in tree %}{% partial node %}{% endfor %}</ul>",
    "own.html": "{% partialdef all inline %}<b>{{ name }}</b>{% if xs %}{% include 'own.html#part' %}{% endif %}{% endpartialdef %}{% partialdef part %}<i>{{ xs|length }}</i>{% endpartialdef %}",
    "uses.html": "{% include 'page.html#row' with x=name %}{% include 'own.html#all' only %}{% include where %}{% include part %}",
    "wrong.html": "\n{% partialdef bad %}\n{{ a|add:missing }}{% endpartialdef %}{% partial bad %}",
    "sets.html": "{% partialdef set %}{% firstof name as first %}{% cycle 'a' 'b' as c %}{% endpartialdef %}{% for x in xs %}{% partial set %}[{{ first }}{{ c }}]{% endfor %}[{{ first }}]",
}
TREE = [{"name": "a", "nodes": [{"name": "b<", "nodes": []}, {"name": "c", "nodes": [{"name": "d"}]}]}]
DATA: dict[str, Any] = {
    "name": "A & B",
    "one": {"a": 1, "x": 2},
    "two": {"y": [None, 3]},
    "xs": ["<1>", "2"],
    "tree": TREE,
    "where": "page.html#row",
    "x": 7,
}

SOURCES = [
    *(text for name, text in FILES.items() if name != "wrong.html"),
    "{% partial late %}|{% partialdef late %}<p>{{ name }}</p>{% endpartialdef %}",
    "{% partialdef a inline %}<p>{{ name }}</p>{% endpartialdef %}{% partial a %}{% partial a %}",
    "{% partialdef a %}<b>{% partial b %}</b>{% endpartialdef %}{% partialdef b %}{{ x }}{% endpartialdef %}{% for x in xs %}{% partial a %}{% endfor %}",
    "{% partialdef outer %}{% partialdef inner inline %}{{ x }}{% endpartialdef %}!{% endpartialdef %}{% partial outer %}{% partial inner %}",
    "{% with name='other' %}{% partial a %}{% endwith %}{% partial a %}{% partialdef a %}{{ name }} {% endpartialdef %}",
    "{% autoescape off %}{% partial a %}{% endautoescape %}{% partialdef a %}{{ name }} {% endpartialdef %}",
    "<p title='{% partial a %}'>{% partial a %}</p>{% partialdef a %}{{ name }}{% endpartialdef %}",
    "<ul>{% partial open %}x</li></ul>{% partialdef open %}<li class='{{ x }}'>{% endpartialdef %}",
    "{% partialdef a %}{% for y in xs %}{% ifchanged x %}{{ x }}{% endifchanged %}{% endfor %}{% endpartialdef %}{% for x in xs %}{% partial a %}{% endfor %}",
    "{% partialdef a %}{% ifchanged %}{{ x }}{% endifchanged %}{% endpartialdef %}{% for x in xs %}{% partial a %}{% partial a %}{% endfor %}",
    "{% partialdef a %}{% cycle 'a' 'b' %}{% endpartialdef %}{% for x in xs %}{% partial a %}{% cycle 'c' 'd' %}{% partial a %}{% endfor %}",
    "{% partialdef a %}{% cycle 'a' 'b' as c silent %}{% for y in xs %}{% cycle c %}{{ c }}{% endfor %}{% endpartialdef %}{% partial a %}{{ c }}{% partial a %}",
    "{% partialdef a %}{% block b %}<p>{{ x }}</p>{% endblock %}{% endpartialdef %}{% partial a %}",
    "{% partialdef a %}{% include 'page.html' %}{% endpartialdef %}{% for x in xs %}{% partial a %}{% endfor %}",
    "{% partialdef a %}{{ forloop.counter }}/{{ forloop.length }}{% endpartialdef %}{% for x in xs %}{% partial a %}{% endfor %}",
    "{% include 'page.html' with xs=xs|slice:':1' only %}",
    "{% querystring one two x=None %}{% querystring one z=xs %}",
    "{% for x in xs %}{{ forloop.length }}{% endfor %}",
]
ERRORS = [
    "{% partial nowhere %}",
    "{% for x in xs %}{% if forloop.last %}{% partial nowhere %}{% endif %}{% endfor %}",
    "{% partialdef a %}{% key_error %}{% endpartialdef %}{% partial a %}",
    "{% partialdef a %}{% for x in xs %}{% key_error %}{% endfor %}{% endpartialdef %}{% partialdef b %}{% partial a %}{% endpartialdef %}{% partial b %}",
    "{% partialdef a inline %}{% key_error %}{% endpartialdef %}",
    "{% partialdef a %}{{ xs.0|add:raises }}{% endpartialdef %}{% partial a %}",
    "{% include 'page.html#nowhere' %}",
    "{% include '#row' %}",
    "{% querystring x %}",
]


def live(template: Any, data: dict[str, Any]) -> str:
    context = page_context(template, HttpRequest(), dict(data))
    with rendering(context, template):
        fragment, values = compile_template(template).evaluate(context)
    return without_marks(fragment.html(values))


def plain(template: Any, data: dict[str, Any]) -> str:
    context = Context(dict(data))
    context.template = template
    with context.render_context.push_state(template):
        return compile_template(template).render(context)


def template_of(source: str, **options: Any) -> Template:
    found = engine(FILES, **options)
    found.template_builtins.append(register)
    return found.from_string(source)


def error_of(show: Any) -> tuple[type, str]:
    with pytest.raises(Exception) as info:  # noqa: PT011 - any error is compared
        show()
    return type(info.value), str(info.value)


@pytest.mark.parametrize("options", [{}, {"debug": True}, {"string_if_invalid": "[%s]"}], ids=str)
@pytest.mark.parametrize("source", SOURCES)
def test_a_partial_shows_what_django_shows(source: str, options: dict[str, Any]) -> None:
    template = template_of(source, **options)
    data = {**DATA, "part": template.engine.get_template("page.html#row")}
    expected = template.render(Context(dict(data)))
    assert plain(template, data) == expected
    assert live(template, data) == expected
    assert not compile_template(template).report.opaque


@pytest.mark.parametrize("source", ERRORS)
def test_errors_are_those_of_django(source: str) -> None:
    def raises() -> None:
        raise KeyError("from a variable")

    template, data = template_of(source), {**DATA, "raises": raises}
    expected = error_of(lambda: template.render(Context(dict(data))))
    assert error_of(lambda: plain(template, data)) == expected
    assert error_of(lambda: live(template, data)) == expected


NAMES = ["page.html#row", "child.html#hi", "tree.html#node", "own.html#all", "own.html#part", "sets.html#set"]


@pytest.mark.parametrize("name", NAMES)
def test_a_partial_alone_is_a_template(name: str) -> None:
    data = {**DATA, "n": TREE[0]}
    for options in ({}, {"debug": True}):
        partial = engine(FILES, **options).get_template(name)
        expected = partial.render(Context(dict(data)))
        assert plain(partial, data) == expected
        assert live(partial, data) == expected


def test_a_partial_is_inlined_where_it_is_used() -> None:
    source = compile_template(template_of(FILES["page.html"])).render_source
    assert "context.dicts" not in source
    assert "rendering(" not in source


# The back end


@pytest.fixture(params=["in tests", "in production"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Django prepares tests, where it replaces the `_render` of templates, and without that."""
    if request.param == "in production":
        saved: Any = _TestState.saved_data
        monkeypatch.setattr(Template, "_render", saved.template_render)
        monkeypatch.setattr(django.template.base.PartialTemplate, "_render", saved.partial_template_render)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def site(folder: Path) -> Iterator[None]:
    with override_settings(TEMPLATES=setting(folder)):
        yield


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    names: list[str | None] = []
    shown = CompiledTemplate.render

    def noted(self: CompiledTemplate, context: Context) -> Any:
        names.append(self.template.name)
        return shown(self, context)

    monkeypatch.setattr(CompiledTemplate, "render", noted)
    return names


def in_both(folder: Path, show: Any, **options: Any) -> Any:
    with override_settings(TEMPLATES=setting(folder, "django.template.backends.django.DjangoTemplates", **options)):
        expected = show()
    with override_settings(TEMPLATES=setting(folder, **options)):
        assert show() == expected
    return expected


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("name", [*NAMES, *(name for name in FILES if name != "wrong.html")])
def test_the_back_end_renders_them_as_djangos(folder: Path, name: str, debug: bool) -> None:
    def show() -> list[Any]:
        request = RequestFactory().get("/")
        data = {**DATA, "n": TREE[0], "part": loader.get_template("page.html#row")}
        ways = [
            lambda: loader.render_to_string(name, data),
            lambda: render(request, name, data).content,
            lambda: TemplateResponse(request, [name], data).render().content,
            lambda: loader.get_template(name).render(data, request),
            lambda: loader.get_template(name).origin.template_name,
        ]
        return [way() for way in ways for _ in range(2)]

    in_both(folder, show, debug=debug)


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("name", ["page.html#nowhere", "#row", "nowhere.html#row"])
def test_missing_partials_are_reported_as_by_django(folder: Path, name: str) -> None:
    in_both(folder, lambda: error_of(lambda: loader.get_template(name)))


@pytest.mark.usefixtures("site")
def test_the_back_end_compiles_partials(compiled: list[str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    saved: Any = _TestState.saved_data
    monkeypatch.setattr(Template, "_render", saved.template_render)
    monkeypatch.setattr(django.template.base.PartialTemplate, "_render", saved.partial_template_render)
    partial = loader.get_template("page.html#row").template
    assert engines["django"].get_template("page.html#row").template is partial
    assert partial.render(Context({"x": "<"})) == "<li>&lt;</li>"
    assert compiled == ["row"]
    loader.render_to_string("tree.html", DATA)
    assert set(compiled[1:]) == {"tree.html", "node"}


@pytest.mark.usefixtures("site")
def test_tests_see_which_partials_were_rendered() -> None:
    case = SimpleTestCase()
    with case.assertTemplateUsed("page.html#row"):
        loader.render_to_string("page.html#row", {"x": 1})
    with case.assertTemplateUsed("child.html#hi"):
        loader.render_to_string("child.html", {"name": 1})


@pytest.mark.parametrize("cached", [True, False])
def test_a_changed_file_is_read_again(folder: Path, cached: bool) -> None:
    loaders = ["django.template.loaders.filesystem.Loader"]
    options: dict[str, Any] = {} if cached else {"loaders": loaders}
    entry = setting(folder, **options)
    (folder / "user.html").write_text("{% include 'page.html#row' %}")
    with override_settings(TEMPLATES=entry):
        for name in ("page.html#row", "user.html"):
            assert loader.render_to_string(name, {"x": 1}) == "<li>1</li>"
        (folder / "page.html").write_text(
            "{% partialdef row %}new {% partial y %}{% endpartialdef %}{% partialdef y %}y{% endpartialdef %}"
        )
        for name in ("page.html#row", "user.html"):
            assert loader.render_to_string(name, {"x": 1}) == ("<li>1</li>" if cached else "new y")
        (folder / "page.html").write_text(
            "{% partialdef row %}new {% partial y %}{% endpartialdef %}{% partialdef y %}z{% endpartialdef %}"
        )
        for name in ("page.html#row", "user.html"):
            assert loader.render_to_string(name, {"x": 1}) == ("<li>1</li>" if cached else "new z")


def test_debug_pages_show_the_place_inside_a_partial(folder: Path) -> None:
    def show() -> Any:
        with pytest.raises(Exception) as info:  # noqa: PT011 - what it is, is compared
            loader.render_to_string("wrong.html", {"a": 1})
        found = info.value.template_debug  # type: ignore[attr-defined]
        return type(info.value), found["line"], found["during"], found["message"][:40]

    in_both(folder, show, debug=True)
