"""The template back end: Django's in everything but the way it renders."""

from __future__ import annotations

import gc
import linecache
import logging
import re
import subprocess
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django import forms
from django.core import checks
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import Context, Library, Node, NodeList, TemplateDoesNotExist, engines, loader
from django.template.autoreload import reset_loaders
from django.template.base import Template
from django.test import Client, RequestFactory, SimpleTestCase, override_settings
from django.test.utils import _TestState, modify_settings
from django.urls import path
from django.views.debug import ExceptionReporter

import djust.template.compiler
from djust import LiveView
from djust.template import compile_template
from djust.template.backend import DjangoTemplates, Engine
from djust.template.backend import Template as CompiledOnRender

ROOT = Path(__file__).parent.parent
OURS = "djust.template.backend.DjangoTemplates"
DJANGOS = "django.template.backends.django.DjangoTemplates"

register = Library()


@register.inclusion_tag("card.html")
def card(title: str) -> dict[str, str]:
    return {"title": title}


@register.simple_tag
def fail() -> str:
    raise ZeroDivisionError("the tag failed")


FILES = {
    "base.html": "<title>{% block title %}Site{% endblock %}</title><main>{% block content %}{% endblock %}</main>",
    "page.html": '{% extends "base.html" %}{% block title %}{{ name }} · {{ block.super }}{% endblock %}'
    '{% block content %}{% for x in xs %}{% include "row.html" with n=forloop.counter %}{% endfor %}'
    "{% card name %}{% endblock %}",
    "row.html": "<p>{{ n }}: {{ x }}</p>",
    "card.html": "<b>{{ title }}</b>",
    "wrong.html": "<p>\n  {{ name }}\n  {% fail %}\n</p>",
    "missing.html": "\n{% include 'nowhere.html' %}",
    "dynamic.html": "{% extends layout %}{% block content %}{{ name }}{% endblock %}",
}
DATA = {"name": "A & B", "xs": ["<1>", "2"], "layout": "base.html"}


def setting(folder: Path, backend: str = OURS, **options: Any) -> list[dict[str, Any]]:
    return [{"BACKEND": backend, "NAME": "django", "DIRS": [folder], "OPTIONS": {"builtins": [__name__], **options}}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def site(folder: Path) -> Iterator[Path]:
    with override_settings(TEMPLATES=setting(folder)):
        yield folder


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the templates that were compiled while a test ran."""
    names: list[str] = []
    write = djust.template.compiler.write_render

    def noted(src: Any, items: Any, chain: Any, invalid: str) -> None:
        names.append(chain.templates[0].name)
        write(src, items, chain, invalid)

    monkeypatch.setattr(djust.template.compiler, "write_render", noted)
    return names


@pytest.fixture(params=["in tests", "in production"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test runs twice: as Django prepares tests, where it replaces `Template._render`, and
    without that.
    """
    if request.param == "in production":
        monkeypatch.setattr(Template, "_render", _TestState.saved_data.template_render)


def same_in_both(folder: Path, show: Any, **options: Any) -> Any:
    """What `show()` gives under our back end, after comparing it with Django's."""
    with override_settings(TEMPLATES=setting(folder, DJANGOS, **options)):
        expected = show()
    with override_settings(TEMPLATES=setting(folder, **options)):
        assert show() == expected
    return expected


# What it is


@pytest.mark.slow
def test_importing_it_needs_neither_settings_nor_apps() -> None:
    subprocess.run(
        [sys.executable, "-W", "error", "-c", "import djust.template.backend"],
        env={"PYTHONPATH": str(ROOT / "src")},
        check=True,
    )


@pytest.mark.slow
def test_test_helpers_of_django_are_not_imported_for_it(folder: Path) -> None:
    code = f"""
import sys
from django.conf import settings
settings.configure(TEMPLATES=[{{"BACKEND": "{OURS}", "DIRS": [{str(folder)!r}]}}])
import django; django.setup()
from django.template import loader
assert loader.render_to_string("row.html", {{"n": 1, "x": "<"}}) == "<p>1: &lt;</p>"
assert "django.test" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "src")}, check=True)


@pytest.mark.usefixtures("site")
def test_its_templates_are_djangos_and_compiled(compiled: list[str]) -> None:
    backend = engines["django"]
    assert isinstance(backend, DjangoTemplates)
    assert isinstance(backend.engine, Engine)
    template = loader.get_template("page.html")
    assert isinstance(template.template, CompiledOnRender)
    assert loader.get_template("page.html").template is template.template
    html = template.render(DATA)
    assert html == ("<title>A &amp; B · Site</title><main><p>1: &lt;1&gt;</p><p>2: 2</p><b>A &amp; B</b></main>")
    assert template.template.render(Context(DATA)) == html
    assert set(compiled) == {"page.html", "row.html", "card.html"}


@pytest.mark.usefixtures("mode")
@pytest.mark.usefixtures("site")
def test_a_template_made_from_a_string_is_compiled_when_it_is_rendered_again(compiled: list[str | None]) -> None:
    template = engines["django"].from_string("{{ name }}")
    assert (template.render(DATA), compiled) == ("A &amp; B", [])
    assert (template.render(DATA), compiled) == ("A &amp; B", [None])


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"string_if_invalid": "(no %s)"},
        {"autoescape": False},
        {"debug": True},
        {"libraries": {"mine": __name__}},
        {"context_processors": ["django.template.context_processors.request"]},
        {"loaders": ["django.template.loaders.filesystem.Loader"]},
        {"file_charset": "latin-1"},
    ],
    ids=lambda options: next(iter(options), "none"),
)
def test_options_mean_what_they_mean_in_django(folder: Path, options: dict[str, Any]) -> None:
    (folder / "options.html").write_bytes(
        b"{{ gone }}{{ gone.x|default:name }}{{ name }}{{ request.path }}\xc3\xa4"
        + b"{% load mine %}" * ("libraries" in options)
    )
    request = RequestFactory().get("/here/")
    same_in_both(folder, lambda: loader.render_to_string("options.html", DATA, request), **options)


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("name", ["page.html", "dynamic.html"])
def test_it_renders_what_django_renders(folder: Path, name: str) -> None:
    same_in_both(folder, lambda: loader.render_to_string(name, DATA))
    same_in_both(folder, lambda: loader.select_template(["nowhere.html", name]).render(DATA))


@pytest.mark.usefixtures("mode")
def test_a_template_made_directly_may_extend_and_include_its_templates(folder: Path) -> None:
    source = '{% extends "base.html" %}{% block content %}{% include "row.html" with n=1 x=2 %}{% endblock %}'
    html = same_in_both(folder, lambda: Template(source).render(Context()))
    assert html == "<title>Site</title><main><p>1: 2</p></main>"


@pytest.mark.usefixtures("mode")
@pytest.mark.usefixtures("site")
def test_a_missing_template_names_the_back_end() -> None:
    with pytest.raises(TemplateDoesNotExist) as caught:
        loader.get_template("nowhere.html")
    assert [error.backend for error in caught.value.chain] == [engines["django"]]
    with pytest.raises(TemplateDoesNotExist) as caught:
        loader.render_to_string("missing.html")
    assert caught.value.backend is engines["django"]


def test_its_checks_are_djangos(folder: Path) -> None:
    def ids() -> list[str | None]:
        return [message.id for message in checks.run_checks(tags=[checks.Tags.templates])]

    assert same_in_both(folder, ids, string_if_invalid=3) == ["templates.E002"]


@pytest.mark.usefixtures("site")
def test_a_live_view_takes_its_template_from_it() -> None:
    class Live(LiveView):
        template_name = "row.html"

    assert Live().get_template() is loader.get_template("row.html").template


@pytest.mark.usefixtures("mode")
def test_forms_are_rendered_by_it(folder: Path, compiled: list[str]) -> None:
    class Form(forms.Form):
        name = forms.CharField(help_text="<b>yours</b>")
        kind = forms.ChoiceField(choices=[("a", "A"), ("b", "B")])
        when = forms.SplitDateTimeField(required=False)

    def show() -> str:
        return str(Form({"kind": "c"}))

    with (
        override_settings(FORM_RENDERER="django.forms.renderers.TemplatesSetting"),
        modify_settings(INSTALLED_APPS={"append": "django.forms"}),
    ):
        html = {}
        for backend in (DJANGOS, OURS):
            with override_settings(TEMPLATES=[{"BACKEND": backend, "APP_DIRS": True}]):
                html[backend] = show()
    assert html[OURS] == html[DJANGOS]
    assert "django/forms/div.html" in compiled
    assert "django/forms/widgets/select.html" in compiled


@pytest.mark.usefixtures("mode")
def test_the_form_renderer_renders_what_djangos_renders(compiled: list[str]) -> None:
    class Form(forms.Form):
        name = forms.CharField(help_text="<b>yours</b>")
        kinds = forms.MultipleChoiceField(
            choices=[("a", "A"), ("B", [("b", "<b>")])], widget=forms.CheckboxSelectMultiple
        )

    html = []
    for renderer in ("django.forms.renderers.DjangoTemplates", "djust.template.backend.FormRenderer"):
        with override_settings(FORM_RENDERER=renderer):
            html += [str(Form()), Form({"kinds": "b"}).as_table()]
    assert html[:2] == html[2:]
    assert {"django/forms/div.html", "django/forms/widgets/checkbox_select.html"} <= set(compiled)


# Includes


class Passing:
    """A template that is not Django's: what it is given is what it shows."""

    def render(self, context: Context) -> str:
        return f"<{context['n']}, {context.get('x')}, {len(context.dicts)}>"


@register.simple_tag(takes_context=True)
def depth(context: Context) -> str:
    state = context.render_context
    return f"{len(context.dicts)} {len(state.dicts)} {state.template.name} {context.template.name}"  # type: ignore[union-attr]


class Attempt(Node):
    """Shows what is inside, or the error and how deep the context is after it."""

    def __init__(self, nodelist: NodeList) -> None:
        self.nodelist = nodelist

    def render(self, context: Context) -> str:
        try:
            return self.nodelist.render(context)
        except (ZeroDivisionError, TemplateDoesNotExist) as error:
            return f"{error!r} {depth(context)} {context.get('x')}"


@register.tag
def attempt(parser: Any, token: Any) -> Attempt:
    nodelist = parser.parse(("endattempt",))
    parser.delete_first_token()
    return Attempt(nodelist)


INCLUDED = {
    "leaf.html": "{{ n }}-{{ x }}-{{ y }} {% depth %} {% cycle 'a' 'b' %}{% ifchanged %}{{ n }}{% endifchanged %}",
    "tree.html": "<li>{{ t.n }} {% depth %}{% for t in t.of %}{% include 'tree.html' with n=t.n %}{% endfor %}</li>",
    "broken.html": "{% with x=1 %}{% for n in ns %}{% fail %}{% endfor %}{% endwith %}",
    "sub/near.html": "{% for name in near %}{% include name %}{% endfor %}",
    "sub/leaf.html": "near {{ x }}",
    "set.html": "{% cycle 'p' 'q' as x silent %}{{ x }}",
}
INCLUDES = [
    "{% for n in ns %}{% include name %}{% endfor %}",
    "{% for n in ns %}{% include name with x=n y=x %}{% endfor %}{{ x }}",
    "{% for n in ns %}{% include name with x=n only %}{% endfor %}{% depth %}",
    "{% for n in ns %}{% include names with x=forloop.counter %}{% endfor %}",
    "{% for n in ns %}{% include object with x=n %}{% endfor %}",
    "{% for n in ns %}{% include other with x=n %}{% include other with n=n only %}{% endfor %}",
    "{% for n in ns %}{% include string %}{% endfor %}",
    "{% for n in ns %}{% include backend %}{% endfor %}",
    "{% for t in ts %}{% include 'tree.html' %}{% endfor %}{% depth %}",
    "{% for n in ns %}{% attempt %}{% include broken with x=n %}{% endattempt %}{% endfor %}{{ x }}{% depth %}",
    "{% attempt %}{% include nothing %}{% endattempt %}",
    "{% attempt %}{% include missing with x=nope.nope %}{% endattempt %}",
    "{% include 'sub/near.html' %}",
    "{% for n in ns %}{% include set %}{{ x }}{% endfor %}",
    "{% include name|default:'leaf.html' with x=x|default:3|add:1 %}{% include missing|default_if_none:name %}",
]


def tree(levels: int) -> list[dict[str, Any]]:
    return [{"n": n, "of": tree(levels - 1)} for n in range(2)] if levels else []


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("options", [{}, {"debug": True}, {"loaders": ["django.template.loaders.filesystem.Loader"]}])
@pytest.mark.parametrize("source", INCLUDES)
def test_includes_of_templates_named_by_data_are_djangos(folder: Path, source: str, options: dict[str, Any]) -> None:
    (folder / "sub").mkdir()
    for name, text in {**INCLUDED, "start.html": source}.items():
        (folder / name).write_text(text)

    def show() -> list[Any]:
        data = {"name": "leaf.html", "names": ["none.html", "leaf.html"], "broken": "broken.html", "set": "set.html"}
        objects = {"object": loader.get_template("leaf.html").template, "other": Passing(), "x": "x"}
        string = engines["django"].from_string("{{ n }} {% depth %}")
        data |= {**objects, "string": string.template, "backend": string, "ns": [1, 2, 3], "ts": tree(3)}
        data |= {"near": ["./leaf.html", "leaf.html", "../leaf.html"], "missing": "none.html"}
        found: list[Any] = []
        for _ in range(3):
            try:
                found.append(loader.render_to_string("start.html", data))
            except Exception as error:  # noqa: BLE001 - compared
                found.append((type(error), str(error), getattr(error, "template_debug", {}).get("during")))
        return found

    same_in_both(folder, show, **options)


# Tests of an application that uses it


def shown(request: HttpRequest) -> HttpResponse:
    return render(request, request.path.strip("/"), DATA)


urlpatterns = [path(f"{name}", shown) for name in FILES]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("name", ["page.html", "dynamic.html"])
def test_responses_name_their_templates_and_contexts(folder: Path, name: str) -> None:
    def observed() -> Any:
        response = Client().get(f"/{name}")
        contexts = [{key: context.get(key) for key in ("name", "n", "x", "title")} for context in response.context]
        return [template.name for template in response.templates], contexts, response.content

    names, contexts, _ = same_in_both(folder, observed)
    assert len(names) == len(contexts)


@pytest.mark.urls(__name__)
@pytest.mark.usefixtures("site")
def test_templates_are_compiled_in_tests_too(compiled: list[str]) -> None:
    case = SimpleTestCase()
    with case.assertTemplateUsed("row.html"), case.assertTemplateNotUsed("dynamic.html"):
        response = Client().get("/page.html")
    case.assertTemplateUsed(response, "base.html")
    case.assertTemplateUsed(response, "card.html")
    assert response.context["name"] == "A & B"
    assert set(compiled) == {"page.html", "row.html", "card.html"}


# Errors


@pytest.mark.usefixtures("mode")
def test_an_error_names_file_and_line(site: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        loader.render_to_string("wrong.html", DATA)
    assert caught.value.__notes__ == ["In template wrong.html, line 3: fail"]
    generated = [entry for entry in caught.traceback if "<djust" in str(entry.path)]
    assert len(generated) == 1
    assert "K0()" in str(generated[0].statement)


@pytest.mark.usefixtures("mode")
def test_an_error_in_an_include_names_the_included_file(site: Path) -> None:
    (site / "outer.html").write_text('\n\n<p>{% include "wrong.html" %}</p>')
    with pytest.raises(ZeroDivisionError) as caught:
        loader.render_to_string("outer.html", DATA)
    assert caught.value.__notes__ == ["In template wrong.html, line 3: fail"]


@pytest.mark.usefixtures("mode")
@pytest.mark.urls(__name__)
@pytest.mark.parametrize("name", ["wrong.html", "missing.html"])
def test_the_error_page_shows_the_template_line(folder: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "django.request")

    def page() -> list[str]:
        client = Client(raise_request_exception=False)
        html = client.get(f"/{name}").content.decode()
        assert "Error during template rendering" in html
        part = html[html.index('<div id="template">') : html.index('<div id="traceback">')]
        return re.findall(r"<[^>]*>|[^<]+", part)

    with override_settings(DEBUG=True):
        same_in_both(folder, page)


@pytest.mark.usefixtures("mode")
def test_the_reporter_finds_the_line(folder: Path) -> None:
    with override_settings(TEMPLATES=setting(folder, debug=True)):
        try:
            loader.render_to_string("wrong.html", DATA)
        except ZeroDivisionError:
            info = ExceptionReporter(None, *sys.exc_info()).get_traceback_data()["template_info"]
    assert (info["line"], info["during"], Path(info["name"])) == (3, "{% fail %}", folder / "wrong.html")


# Changes


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("changed", ["page.html", "base.html", "row.html", "card.html"])
@pytest.mark.parametrize("held", [False, True], ids=["found again", "held"])
@pytest.mark.parametrize(
    "options",
    [
        {"debug": True},
        {"debug": True, "loaders": ["django.template.loaders.filesystem.Loader"]},
        {"loaders": ["django.template.loaders.filesystem.Loader"]},
    ],
    ids=["debug", "debug, no cache", "no cache"],
)
def test_changed_files_show(folder: Path, changed: str, options: dict[str, Any], *, held: bool) -> None:
    """As in Django, templates that somebody holds find their parents and includes again for each
    rendering.
    """

    def versions() -> list[str]:
        (folder / changed).write_text(FILES[changed])
        template = loader.get_template("page.html")
        html = []
        for text in (FILES[changed], FILES[changed] + "new", FILES[changed]):
            (folder / changed).write_text(text)
            reset_loaders()
            if not held:
                template = loader.get_template("page.html")
            html.append(template.render(DATA))
        return html

    first, second, third = same_in_both(folder, versions, **options)
    assert first == third
    # Text beside a child's blocks is never shown.
    assert (first == second) == (changed == "page.html")


@pytest.mark.usefixtures("mode")
def test_an_include_that_goes_away_is_missed(folder: Path) -> None:
    with override_settings(TEMPLATES=setting(folder, debug=True)):
        template = loader.get_template("page.html")
        template.render(DATA)
        (folder / "row.html").unlink()
        reset_loaders()
        with pytest.raises(TemplateDoesNotExist, match=r"row\.html"):
            template.render(DATA)
        (folder / "row.html").write_text("back")
        reset_loaders()
        assert "backback" in template.render(DATA)


@pytest.mark.usefixtures("mode")
def test_templates_are_compiled_once_while_nothing_changes(folder: Path, compiled: list[str]) -> None:
    with override_settings(TEMPLATES=setting(folder, debug=True)):
        template = loader.get_template("base.html")
        assert [template.render({}) for _ in range(3)] == [template.render({})] * 3
    assert compiled == ["base.html"]


@pytest.mark.usefixtures("mode")
def test_the_page_function_is_kept_while_nothing_changes(folder: Path) -> None:
    options = {"loaders": ["django.template.loaders.filesystem.Loader"]}
    with override_settings(TEMPLATES=setting(folder, **options)):
        template = loader.get_template("dynamic.html").template
        context = Context(DATA)
        fragments = set()
        for _ in range(3):
            with context.bind_template(template), context.render_context.push_state(template):
                fragments.add(compile_template(template).evaluate(context)[0])
        assert len(fragments) == 1


@pytest.mark.usefixtures("mode")
@pytest.mark.usefixtures("site")
def test_compiled_forms_end_with_their_templates() -> None:
    gc.collect()  # what other tests have left goes now, not in between
    before = {name for name in linecache.cache if name.startswith("<djust")}
    template = engines["django"].from_string('{% extends "base.html" %}')
    assert template.render() == template.render()
    assert {name for name in linecache.cache if name.startswith("<djust")} - before
    gone = weakref.ref(template.template)
    del template
    gc.collect()
    assert gone() is None
    assert {name for name in linecache.cache if name.startswith("<djust")} <= before


@pytest.mark.usefixtures("mode")
def test_an_unchanged_include_is_compiled_once_whatever_loads_it(folder: Path, compiled: list[str]) -> None:
    (folder / "start.html").write_text("{% for x in xs %}{% include name %}{% endfor %}")

    def evaluated() -> Any:
        template = loader.get_template("start.html").template
        context = Context({**DATA, "name": "row.html"})
        with context.bind_template(template), context.render_context.push_state(template):
            fragment, values = compile_template(template).evaluate(context)
        return fragment, values[0][1][0][0][0]

    with override_settings(TEMPLATES=setting(folder, loaders=["django.template.loaders.filesystem.Loader"])):
        first = evaluated()
        assert evaluated() == first
        for _ in range(3):
            loader.render_to_string("start.html", {**DATA, "name": "row.html"})
        assert sorted(compiled) == ["row.html", "start.html"]
        (folder / "row.html").write_text("<p>new</p>")
        page, row = evaluated()
        assert page is first[0]
        assert row is not first[1]
        assert loader.render_to_string("start.html", {**DATA, "name": "row.html"}) == "<p>new</p>" * 2


# Threads


@pytest.mark.usefixtures("mode")
@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("loaded", [False, True] * 3)
def test_threads_compile_and_render_the_same_templates(compiled: list[str], *, loaded: bool) -> None:
    threads, templates = 16, ["page.html", "dynamic.html", "row.html", "card.html"]
    wanted = {
        (name, number): loader.render_to_string(name, data(number)) for name in templates for number in range(threads)
    }
    reset_loaders()
    if loaded:
        for name in FILES:
            loader.get_template(name)
    compiled.clear()
    start = Barrier(threads)

    def work(number: int) -> list[tuple[tuple[str, int], str]]:
        start.wait()
        own = templates[number % 4 :] + templates[: number % 4]
        return [((name, number), loader.render_to_string(name, data(number))) for _ in range(20) for name in own]

    with ThreadPoolExecutor(threads) as pool:
        for results in pool.map(work, range(threads)):
            assert [result for result in results if wanted[result[0]] != result[1]] == []
    # Threads that load a template at the same time get one each: Django's loaders do not lock.
    assert not loaded or sorted(compiled) == sorted(set(compiled))


def data(number: int) -> dict[str, Any]:
    return {"name": f"name {number}", "xs": list(range(number)), "layout": "base.html", "n": number, "title": number}
