"""Django's engine, ours and jinja2, side by side in one process: how long does a template take?

    python -m benchmarks.templates                 about half a minute
    python -m benchmarks.templates table form      only these
    python -m benchmarks.templates --profile form  where our time goes

Every page is rendered by all engines in turn, many times; times are medians. `ratio` says how many
times faster than Django's engine. What is compared renders the same bytes, which is checked first;
jinja2's templates are the usual translation, and may differ in white space.
"""

# ruff: noqa: E501 - templates and messages are longer than a line

import argparse
import cProfile
import datetime as dt
import gc
import pstats
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django
import jinja2
from django.conf import settings

APPS = ["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
PROCESSORS = ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth"]
PROCESSORS += ["django.contrib.messages.context_processors.messages"]
MESSAGES = "django.contrib.messages.middleware.MessageMiddleware"

settings.configure(
    SECRET_KEY="templates",
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[*APPS, "django.contrib.messages", "django.contrib.staticfiles", "djust"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        MESSAGES,
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    STATIC_URL="/static/",
    FORM_RENDERER=f"{__name__}.CurrentRenderer",
    USE_TZ=True,
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": PROCESSORS},
        }
    ],
)
django.setup()

from django import forms  # noqa: E402 - the settings come first in a single-file project
from django.contrib import admin  # noqa: E402
from django.contrib.admin.templatetags.admin_list import result_list  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.messages.storage.fallback import FallbackStorage  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.forms.renderers import DjangoTemplates as DjangoRenderer  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.template import Context, RequestContext  # noqa: E402
from django.template.backends.django import DjangoTemplates  # noqa: E402
from django.template.base import Template  # noqa: E402
from django.test import RequestFactory  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils import translation  # noqa: E402

from djust.render.diff import changes  # noqa: E402
from djust.template import compile_template  # noqa: E402
from djust.template.backend import DjangoTemplates as CompiledTemplates  # noqa: E402
from djust.template.backend import FormRenderer  # noqa: E402

urlpatterns = [path("admin/", admin.site.urls)]


class CurrentRenderer(DjangoRenderer):
    """Widgets are rendered by `current`, the one of the engine that is at work."""

    current: Any = None

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        html: str = CurrentRenderer.current.render(template_name, context, request)
        return html


class NoRenderer(DjangoRenderer):
    """Leaves out all templates: what remains of a form is Django's own Python."""

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        return ""


TABLE_TARGET, TARGET, COMPILE_TARGET, DIFF_TARGET = 12.0, 3.0, 10.0, 1 / 20
SECONDS = 1.5  # for each page

WORDS = """
pretty large big small tall short long handsome plain quaint clean elegant easy angry crazy helpful mushy odd unsightly adorable important inexpensive cheap expensive fancy
red yellow blue green pink brown purple brown white black orange
table chair house bbq desk car pony cookie sandwich burger pizza mouse keyboard
"""
ADJECTIVES, COLOURS, NOUNS = map(str.split, WORDS.strip().splitlines())

TABLE = """<!DOCTYPE html>
<html><head><title>bench</title></head>
<body><div>
<button id="run" dj-click="run">Create 1,000 rows</button>
<table class="table"><tbody id="tbody">
{% for row in rows %}<tr dj-key="{{ row.id }}" class="{{ row.cls }}"><td>{{ row.id }}</td><td>{{ row.label }}</td>\
<td><button class="sel" dj-click="select" data-id="{{ row.id }}">select</button></td>\
<td><button class="rm" dj-click="remove" data-id="{{ row.id }}">remove</button></td></tr>
{% endfor %}</tbody></table>
</div></body></html>
"""
TRANSLATED = ["Yes", "No", "Please correct the errors below.", "PageLoop", "Documentation", "Log out", "Password", "Save", "Delete", "History"]  # fmt: skip


def label(number: int) -> str:
    return f"{ADJECTIVES[number * 7 % 25]} {COLOURS[number * 5 % 11]} {NOUNS[number * 3 % 13]}"


def make_rows(count: int, start: int = 1) -> list[dict[str, Any]]:
    return [{"id": number, "label": label(number), "cls": ""} for number in range(start, start + count)]


@dataclass
class Page:
    """A template and its data. `jinja`: its translation, None where jinja2 has nothing comparable.

    `python`: what the page calls in Django's own Python, without any template; no template engine
    makes that faster.
    """

    name: str
    templates: dict[str, str]
    data: Callable[["Engines"], dict[str, Any]]
    jinja: dict[str, str] | None = None
    target: float = TARGET
    language: str = "en"
    request: HttpRequest | None = None
    entry: str = "page.html"
    python: Callable[[], object] | None = None


class Engines:
    """One page's engines of one kind: Django's or ours. `renderer` renders the widgets of forms."""

    def __init__(self, backend: type[DjangoTemplates], page: Page) -> None:
        loaders = [
            ("django.template.loaders.locmem.Loader", page.templates),
            "django.template.loaders.app_directories.Loader",
        ]
        options = {"loaders": [("django.template.loaders.cached.Loader", loaders)], "context_processors": PROCESSORS}
        params = {"NAME": "bench", "DIRS": [], "APP_DIRS": False, "OPTIONS": options}
        engine = backend(params).engine
        self.renderer = FormRenderer() if backend is CompiledTemplates else DjangoRenderer()
        self.template: Template = engine.get_template(page.entry)
        self.request = page.request
        self.data = page.data(self)

    def render(self) -> str:
        CurrentRenderer.current = self.renderer
        context = RequestContext(self.request, self.data) if self.request else Context(self.data)
        return self.template.render(context)


class JinjaEngine:
    def __init__(self, page: Page) -> None:
        loader = jinja2.DictLoader(page.jinja or {})
        environment = jinja2.Environment(loader=loader, autoescape=True, extensions=["jinja2.ext.i18n"])
        environment.install_gettext_callables(translation.gettext, translation.ngettext, newstyle=True)  # type: ignore[attr-defined]
        self.template = environment.get_template(page.entry)
        self.data = page.data(None)  # type: ignore[arg-type]

    def render(self) -> str:
        return self.template.render(self.data)


# The pages


def table_page() -> Page:
    return Page("table", {"page.html": TABLE}, lambda _: {"rows": make_rows(1000)}, {"page.html": TABLE}, TABLE_TARGET)


def static_page() -> Page:
    cards = "".join(
        f'<div class="card"><b>Card {n}</b><span class="badge">{{{{ n{n} }}}}</span></div>\n' for n in range(1, 6)
    )
    lines = [
        f'<p class="text-muted mb-2">The {label(n)} costs more, see <a href="/doc/{n}/">details</a>.</p>\n'
        for n in range(420)
    ]
    source = f"<html><body>{cards}<main>{''.join(lines)}</main></body></html>"
    return Page(
        "static", {"page.html": source}, lambda _: {f"n{n}": n * 1000 for n in range(1, 6)}, {"page.html": source}
    )


def include_page() -> Page:
    """Six levels, each including the next one twice: 63 includes of small templates."""
    both = {}
    for kind in ("django", "jinja"):
        templates = {"page.html": '<html><body>{% include "level1.html" %}</body></html>'}
        for level in range(1, 6):
            include = f'{{% include "level{level + 1}.html" %}}'
            templates[f"level{level}.html"] = (
                f'<div class="{{{{ cls }}}}"><h2>{{{{ title }}}} {level}</h2>{include}{include}</div>\n'
            )
        templates["level6.html"] = "<ul>{% for x in items %}<li>{{ x.label }}</li>{% endfor %}</ul>\n"
        both[kind] = templates
    return Page(
        "includes",
        both["django"],
        lambda _: {"cls": "box", "title": "A title", "items": make_rows(3)},
        both["jinja"],
    )


def tree_page() -> Page:
    """Comments and their answers: a template that includes itself."""

    def comments(depth: int) -> list[dict[str, Any]]:
        return [{"text": label(n), "answers": comments(depth - 1)} for n in range(3)] if depth else []

    body = '<li>{{ comment.text }}<ul>{% for comment in comment.answers %}{% include "comment.html" %}{% endfor %}</ul></li>\n'
    page = '<ul>{% for comment in comments %}{% include "comment.html" %}{% endfor %}</ul>'
    templates = {"page.html": page, "comment.html": body}
    return Page("recursion", templates, lambda _: {"comments": comments(4)}, templates)


def translated_page() -> Page:
    """As templates of applications are: half of it labels, half of it sentences with values."""
    source, jinja = "{% load i18n %}<html><body>", "<html><body>"
    for number in range(100):
        text = TRANSLATED[number % len(TRANSLATED)]
        source += f"<label>{{% translate '{text}' %}}</label>"
        jinja += f"<label>{{{{ _('{text}') }}}}</label>"
        if number % 4 == 0:
            source += "<p>{% blocktranslate with name=user.name %}Change {{ name }}{% endblocktranslate %}</p>\n"
            jinja += "<p>{% trans name=user.name %}Change {{ name }}{% endtrans %}</p>\n"
    return Page(
        "translated", {"page.html": source}, lambda _: {"user": {"name": "Ada"}}, {"page.html": jinja}, language="de"
    )


class AccountForm(forms.Form):
    name = forms.CharField(max_length=30)
    email = forms.EmailField(help_text="We do not pass it on.")
    age = forms.IntegerField(min_value=18)
    website = forms.URLField(required=False, assume_scheme="https")
    country = forms.ChoiceField(choices=[(f"c{n}", f"Country {n}") for n in range(40)])
    born = forms.DateField(widget=forms.SelectDateWidget(years=range(1990, 2000)))
    topics = forms.MultipleChoiceField(choices=[(n, label(n)) for n in range(8)], widget=forms.CheckboxSelectMultiple)
    bio = forms.CharField(widget=forms.Textarea)
    agreed = forms.BooleanField()


def form_page() -> Page:
    source = '<form method="post">{% for field in form %}<div class="field">{{ field.label_tag }}{{ field }}{{ field.errors }}</div>{% endfor %}</form>'

    def form(renderer: DjangoRenderer) -> AccountForm:
        form = AccountForm({"name": "", "email": "nope", "age": "7", "country": "c7"}, renderer=renderer)
        form.is_valid()
        return form

    bare = form(NoRenderer())
    return Page(
        "form",
        {"page.html": source},
        lambda engines: {"form": form(engines.renderer)},
        python=lambda: [(field.label_tag(), str(field), str(field.errors)) for field in bare],
    )


def change_list_page() -> Page:
    """The admin's list of a hundred users, as its view gives it to its template."""
    call_command("migrate", verbosity=0, run_syncdb=True)
    joined = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    users = [
        User(username=f"user{n}", email=f"{n}@example.com", first_name=label(n), date_joined=joined) for n in range(100)
    ]
    User.objects.bulk_create(users)
    request = RequestFactory().get("/admin/auth/user/")
    request.user = User.objects.create_superuser("root", password="x")
    request.session = {}  # type: ignore[assignment]
    vars(request)["_messages"] = FallbackStorage(request)
    response: Any = admin.site._registry[User].changelist_view(request)
    data = response.context_data

    def python() -> None:
        CurrentRenderer.current = NoRenderer()
        result_list(data["cl"])

    return Page("change list", {}, lambda _: data, request=request, entry="admin/change_list.html", python=python)


PAGES = {
    "table": table_page,
    "changelist": change_list_page,
    "static": static_page,
    "includes": include_page,
    "recursion": tree_page,
    "translated": translated_page,
    "form": form_page,
}


# Measuring


@dataclass
class Result:
    name: str
    target: float
    django: float
    ours: float
    jinja: float | None = None
    python: float | None = None
    missed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.django / self.ours < self.target:
            self.missed.append(f"at least {self.target:.0f}x Django")
        if self.name == "table" and self.jinja is not None and self.ours > self.jinja:
            self.missed.append("faster than jinja2")


def median_ms(functions: list[Callable[[], Any]], seconds: float = SECONDS) -> list[float]:
    """The median time of each function in milliseconds; they take turns, so that all see the same
    machine.
    """
    for function in functions * 5:
        function()  # first renderings compile, and fill caches
    times: list[list[float]] = [[] for _ in functions]
    gc.collect()
    gc.disable()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 7:
        for function, found in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            found.append(time.perf_counter() - start)
    gc.enable()
    return [statistics.median(found) * 1e3 for found in times]


def without_tokens(html: str) -> str:
    """`html` without CSRF tokens, which are different each time."""
    return re.sub(r'(name="csrfmiddlewaretoken" value=)"[^"]*"', r"\1", html)


def measure(page: Page) -> Result:
    with translation.override(page.language):
        by_django, ours = Engines(DjangoTemplates, page), Engines(CompiledTemplates, page)
        if without_tokens(by_django.render()) != without_tokens(ours.render()):
            raise RuntimeError(f"{page.name}: the engines do not render the same")
        functions: list[Callable[[], Any]] = [by_django.render, ours.render]
        functions += [JinjaEngine(page).render] if page.jinja else []
        functions += [page.python] if page.python else []
        times = median_ms(functions)
        return Result(
            page.name,
            page.target,
            times[0],
            times[1],
            times[2] if page.jinja else None,
            times[-1] if page.python else None,
        )


def compile_time() -> tuple[float, float]:
    """Of a template of 200 lines: milliseconds of Django's parser, and of our compiler after it."""
    block = """<section class="{{ cls }}">
  <h2>{{ title|upper }} {% translate "PageLoop" %}</h2>
  {% if user.name and user.active %}
    <p>Hello {{ user.name|default:"you" }}, it is {% now "H:i" %}.</p>
  {% else %}
    <a href="{{ link }}">{{ other.thing.name }}</a>
  {% endif %}
  {% for row in rows %}
    <li class="{% cycle "odd" "even" %}" id="r{{ row.id }}">{{ forloop.counter }}: {{ row.label|truncatechars:20 }}</li>
  {% endfor %}
</section>
"""
    source = "{% load i18n %}<html><body>\n" + block * 18 + "</body></html>"
    engine = CompiledTemplates({"NAME": "bench", "DIRS": [], "APP_DIRS": False, "OPTIONS": {}}).engine

    parsing, compiling = [], []
    for _ in range(30):
        start = time.perf_counter()
        fresh = engine.from_string(source)
        parsed = time.perf_counter()
        assert compile_template(fresh).render_source
        parsing.append(parsed - start)
        compiling.append(time.perf_counter() - parsed)
    return statistics.median(parsing) * 1e3, statistics.median(compiling) * 1e3


def compile_admin() -> float:
    """Milliseconds of our compiler for 200 lines of the templates of Django's admin."""
    folder = Path(admin.__file__).parent / "templates"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.html"))
    times = []
    for _ in range(5):
        engine = CompiledTemplates({"NAME": "bench", "DIRS": [], "APP_DIRS": True, "OPTIONS": {}}).engine
        templates = [engine.get_template(name) for name in names]
        start = time.perf_counter()
        for template in templates:
            assert compile_template(template).render_source
        times.append(time.perf_counter() - start)
    lines = sum(len((folder / name).read_text().splitlines()) for name in names)
    return statistics.median(times) * 1e3 / lines * 200


def evaluate_and_diff() -> tuple[float, float]:
    """Milliseconds of Django's rendering of the table, and of evaluating and comparing ours after
    one row changed.
    """
    page = table_page()
    rendered, ours = Engines(DjangoTemplates, page), Engines(CompiledTemplates, page)
    compiled = compile_template(ours.template)
    rows = make_rows(1000)
    state: dict[str, Any] = {"number": 0, "rows": rows, "last": None}

    def event() -> None:
        state["number"] += 1
        rows = list(state["rows"])
        rows[500] = {**rows[500], "label": f"row {state['number']}"}
        context = Context({"rows": rows})
        context.template = ours.template
        with context.render_context.push_state(ours.template):
            fragment, values = compiled.evaluate(context)
        if state["last"] is not None and not changes(fragment, state["last"], values, lambda fragment, create: 1):
            raise RuntimeError("nothing changed")
        state["rows"], state["last"] = rows, values

    django_ms, event_ms = median_ms([rendered.render, event])
    return django_ms, event_ms


def profile(page: Page) -> None:
    with translation.override(page.language):
        ours = Engines(CompiledTemplates, page)
        ours.render()
        profiler = cProfile.Profile()
        profiler.enable()
        for _ in range(50):
            ours.render()
        profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def report(result: Result) -> None:
    jinja = f"{result.django / result.jinja:9.1f}x" if result.jinja else f"{'-':>10}"
    ratio = result.django / result.ours
    times = f"{result.name:14}{result.django:10.3f}{result.ours:10.3f}{ratio:9.1f}x"
    missed = f"   MISSED: {', '.join(result.missed)}" if result.missed else ""
    print(f"{times}{jinja}{result.target:8.0f}x{missed}", flush=True)
    if result.python is not None:
        most = result.django / result.python
        print(f"{'':14}{result.python:10.3f} of it Django's own Python: no engine gets beyond {most:.1f}x", flush=True)


def report_target(name: str, value: str, target: str, *, missed: bool) -> bool:
    print(f"{name:42}{value:>12}  target {target}{'   MISSED' if missed else ''}", flush=True)
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description="Django's engine, ours and jinja2, side by side")
    parser.add_argument("pages", nargs="*", help=f"some of {', '.join(PAGES)}; all without")
    parser.add_argument("--profile", action="store_true", help="show where our time goes instead")
    options = parser.parse_args()
    pages = [PAGES[name]() for name in options.pages or PAGES]
    if options.profile:
        for page in pages:
            profile(page)
        return 0
    print(f"{'milliseconds':14}{'Django':>10}{'ours':>10}{'ratio':>10}{'jinja2':>10}{'target':>9}")
    missed = False
    for page in pages:
        result = measure(page)
        report(result)
        missed |= bool(result.missed)
    if not options.pages:
        parsing, compiling = compile_time()
        print(f"\n{'Django parses 200 lines':42}{parsing:9.1f} ms")
        target = f"{COMPILE_TARGET:.0f} ms"
        missed |= report_target("we compile them", f"{compiling:.1f} ms", target, missed=compiling > COMPILE_TARGET)
        print(f"{'we compile 200 lines of the admin':42}{compile_admin():9.1f} ms")
        rendering, event = evaluate_and_diff()
        name, value = "evaluate + diff, one row of 1,000 changed", f"1/{rendering / event:.0f}"
        missed |= report_target(name, value, "1/20 of Django", missed=event / rendering > DIFF_TARGET)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
