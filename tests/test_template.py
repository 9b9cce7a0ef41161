"""Compiled templates give what Django gives."""

# ruff: noqa: E501 - one template, one line

from __future__ import annotations

import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest
from django.template import Context, Engine, RequestContext
from django.template.base import Template, VariableDoesNotExist
from django.urls import NoReverseMatch
from django.utils.safestring import mark_safe

from djust.render.values import Fragment, Html, Values
from djust.template import compile_template
from djust.template.context import page_context, rendering
from tests.random_templates import Writer, random_context

BUILTINS = ["django.templatetags.i18n", "django.templatetags.static"]


def engine(partials: dict[str, str] | None = None, **options: Any) -> Engine:
    loaders = [("django.template.loaders.locmem.Loader", partials or {})]
    libraries = {"cache": "django.templatetags.cache", "i18n": "django.templatetags.i18n"}
    builtins = [*Engine.default_builtins, *BUILTINS]
    return Engine(loaders=loaders, builtins=builtins, libraries=libraries, **options)


def evaluated(template: Template, data: dict[str, Any]) -> tuple[Fragment, Values]:
    context = page_context(template, HttpRequest(), dict(data))
    with rendering(context, template):
        return compile_template(template).evaluate(context)


def marked(template: Template, data: dict[str, Any]) -> str:
    fragment, values = evaluated(template, data)
    return fragment.html(values)


def without_marks(html: str) -> str:
    return re.sub(r"(<[a-zA-Z][^\s/>]*) dj(?=[\s/>])", r"\1", re.sub(r"<!--[\[\],]-->", "", html))


def plain(template: Template, data: dict[str, Any]) -> str:
    context = Context(dict(data))
    context.template = template
    with context.render_context.push_state(template):
        return compile_template(template).render(context)


def assert_same_as_django(
    source: str, data: dict[str, Any], partials: dict[str, str] | None = None, **options: Any
) -> None:
    template = engine(partials, **options).from_string(source)
    expected = template.render(Context(dict(data)))
    assert plain(template, data) == expected
    assert without_marks(marked(template, data)) == expected


class Person:
    """What templates do with objects: attributes, methods, properties, methods that must not be
    called.
    """

    name = "Ada"

    def greeting(self) -> str:
        return f"<hello {self.name}>"

    def with_argument(self, other: str) -> str:
        return other

    def delete(self) -> str:
        raise AssertionError("a template called a method that alters data")

    delete.alters_data = True  # type: ignore[attr-defined]

    @property
    def silent(self) -> str:
        error = ValueError("not shown")
        error.silent_variable_failure = True  # type: ignore[attr-defined]
        raise error


CASES: list[tuple[str, dict[str, Any]]] = [
    ("{{ a }} {{ a.b }} {{ a.0 }} {{ missing }}", {"a": ["x"]}),
    ("{{ p.name }} {{ p.greeting }} {{ p.with_argument }} {{ p.delete }} {{ p.silent }}|", {"p": Person()}),
    ("{{ P.name }}", {"P": Person}),
    ("{{ a|default:'x'|upper }} {{ a|add:b }} {{ missing|default:a }}", {"a": 0, "b": 2}),
    ("{{ t|truncatechars:4 }} {{ s }} {{ s|upper }} {{ t|safe }}", {"t": "<abcdef>", "s": mark_safe("<b>x</b>")}),
    ("{{ n }} {{ f }} {{ none }} {{ true }} {{ 5 }} {{ 'lit' }} {{ 2.5 }}", {"n": 1234567, "f": 3.14, "none": None}),
    ("{% for x in xs reversed %}{{ forloop.revcounter }}{{ x }}{% empty %}none{% endfor %}", {"xs": [1, 2, 3]}),
    ("{% for forloop in xs %}{{ forloop }}{{ forloop.counter }}{% for y in forloop.ys %}{{ forloop.parentloop.ys }}{{ y }}{% endfor %}{% endfor %}", {"xs": [1, {"ys": "ab"}]}),
    ("{% for a, b in xs %}{{ a }}={{ b }};{% endfor %}", {"xs": [(1, 2), ("<", ">")]}),
    ("{% for k, v in d.items %}{{ k }}{{ v }}{% endfor %}", {"d": {"x": 1, "y": 2}}),
    ("{% for x in g %}{{ x }}{% endfor %}", {"g": range(3)}),
    ("{% for x in xs %}{% for y in x %}{{ forloop.parentloop.counter }}{{ forloop.last }}{{ y }}{% endfor %}{% endfor %}", {"xs": [[1, 2], [3]]}),
    ("{% for x in xs %}{% cycle 'a' 'b' %}{% ifchanged x %}{{ x }}{% endifchanged %}{{ forloop.counter }}{% endfor %}", {"xs": [1, 1, 2]}),
    ("{% for x in xs %}{% firstof x 'none' as y %}{{ y }}{% endfor %}{{ y }}", {"xs": [0, 5]}),
    ("{% with a=b c=a %}{{ a }}{{ c }}{% with d=a %}{{ d }}{% endwith %}{% endwith %}{{ d }}", {"a": 1, "b": 2}),
    ("{% with a=b %}{% firstof a %}{% include 'part.html' %}{% endwith %}", {"b": "<2>"}),
    ("{% include 'part.html' with a=1 %}{% include 'part.html' only %}{% include name %}{% include names %}", {"a": 3, "name": "part.html", "names": ["no.html", "part.html"]}),
    ("{% include 'tree.html' with node=root %}", {"root": {"v": 1, "kids": [{"v": 2, "kids": [{"v": 3}]}, {"v": 4}]}}),
    ("{% if a > b %}more{% elif a == b %}same{% else %}less{% endif %}", {"a": 1, "b": "x"}),
    ("{% if not a and b in c or d is None %}yes{% endif %}{% if a|length > 1 %}long{% endif %}", {"a": "", "b": 1, "c": [1], "d": 0}),
    ("{% if a.b.c %}x{% else %}y{% endif %}{% if missing|default:other %}z{% endif %}", {}),
    ("{% extends 'base.html' %}{% block body %}[{{ block.super }}|{{ a }}]{% endblock %} ignored", {"a": "<x>"}),
    ("{% extends 'middle.html' %}{% block body %}top({{ block.super }}){% firstof block.super %}{% endblock %}", {"a": "<x>"}),
    ("{% extends parent %}{% block body %}{{ a }}{% endblock %}", {"a": 1, "parent": "base.html"}),
    ("{% block one %}{{ block.name }}{% endblock %}", {}),
    ("{% verbatim %}{{ a }}{% endverbatim %}{# note #}{% comment %}{{ a }}{% endcomment %}{% load i18n %}", {"a": 1}),
    ("{% autoescape off %}{{ a }}<b>{{ a|escape }}</b>{% endautoescape %}{{ a }}", {"a": "<&>"}),
    ("{% spaceless %}<p> <b> {{ a }} </b> </p>{% endspaceless %}{% filter upper %}x{{ a }}{% endfilter %}", {"a": "q"}),
    ("{% translate 'Yes' %}{% blocktranslate with x=a %}Hi {{ x }}{% endblocktranslate %}", {"a": "<"}),
    ("<p title='{{ a }}' {{ b }}>{% now 'Y' %}</p><textarea>\n{{ a }}</textarea>", {"a": "'\"<", "b": "x"}),
    ("<{{ tag }} class='a'>x</{{ tag }}><!-- {{ a }} --><a href={{ a }}>", {"tag": "b", "a": "q r"}),
    ("{% if a %}<div class='{{ a }}'>{% endif %}x{% if a %}</div>{% endif %}", {"a": 1}),
    ("<div {% if a %}class='x'{% else %}class='y' id=\"{{ a }}\"{% endif %} class='z'>é</div>", {"a": 0}),
    ("{{ p.silent|default:'none' }}{{ p.silent|upper }}", {"p": Person()}),
    ("{% for x in xs %}{% empty %}{% firstof 'a' as y %}{{ y }}{% endfor %}{{ y }}", {"xs": []}),
    ("{% if 2.5 is not a %}x{% endif %}{% if 2.5 is 2.5 %}y{% endif %}{% if a is None %}z{% endif %}", {"a": None}),
    ("{% for x in xs %}{% ifchanged %}{% ifchanged x %}{% else %}same{% endifchanged %}{% endifchanged %}{% endfor %}", {"xs": [1, 1, 2]}),
    ("<html><body><p>{% cycle 'a' 'b' %}{% autoescape off %}{{ o }}{% endautoescape %}<i>{{ o }}</i></p></body></html>", {"o": "<div>"}),
    ("{% translate 'Yes' %}{% translate '5%' %}{% translate '<b>' %}{% translate 'Yes' as y %}{{ y }}", {}),
]  # fmt: skip
PARTIALS = {
    "part.html": "<i>{{ a }}</i>{{ b }}",
    "tree.html": "<b>{{ node.v }}</b>{% for kid in node.kids %}<p>{% include 'tree.html' with node=kid %}</p>{% endfor %}",
    "base.html": "<html><body>{% block head %}H{{ a }}{% endblock %}<div>{% block body %}B{{ a }}{% endblock %}</div></body></html>",
    "middle.html": "{% extends 'base.html' %}{% block body %}middle{{ a }}({{ block.super }}){% endblock %}",
}


@pytest.mark.parametrize(("source", "data"), CASES)
def test_a_compiled_template_gives_what_django_gives(source: str, data: dict[str, Any]) -> None:
    assert_same_as_django(source, data, PARTIALS)


@pytest.mark.parametrize(("source", "data"), CASES)
def test_it_does_so_with_a_string_for_invalid_names(source: str, data: dict[str, Any]) -> None:
    assert_same_as_django(source, data, PARTIALS, string_if_invalid="[%s?]")


@pytest.mark.parametrize(("source", "data"), CASES)
def test_it_does_so_without_escaping(source: str, data: dict[str, Any]) -> None:
    template = engine(PARTIALS, autoescape=False).from_string(source)
    expected = template.render(Context(dict(data), autoescape=False))
    context = Context(dict(data), autoescape=False)
    context.template = template
    with context.render_context.push_state(template):
        assert compile_template(template).render(context) == expected


@pytest.mark.parametrize("block", range(10))
def test_random_templates_give_what_django_gives(block: int) -> None:
    for seed in range(block * 40, block * 40 + 40):
        rng = random.Random(seed)
        source, partials = Writer(rng).page()
        template = engine(partials).from_string(source)
        for _ in range(4):
            data = random_context(rng)
            expected = template.render(Context(dict(data)))
            assert plain(template, data) == expected, f"seed {seed}"
            assert without_marks(marked(template, data)) == expected, f"seed {seed}"


def test_output_that_is_found_unbalanced_makes_the_element_around_it_a_region() -> None:
    text = (
        "<html><body><section>{{ opening|safe }}<i>{{ a }}</i>{{ closing|safe }}</section><b>{{ a }}</b></body></html>"
    )
    template = engine().from_string(text)
    data = {"opening": "<div>", "closing": "</div>", "a": "x"}
    assert_same_as_django(text, data)
    fragment, values = evaluated(template, data)
    assert values == (Html("<div><i>x</i></div>"), "x")
    assert [part.kind for part in fragment.parts] == ["t", "t"]
    again, _ = evaluated(template, {"a": "y"})
    assert again is fragment


def test_threads_may_find_out_at_once_that_output_is_unbalanced() -> None:
    template = engine().from_string("<body><p>{{ a }}</p><div>{{ html }}</div></body>")
    first = [Barrier(2, timeout=10)] * 2

    def html() -> str:
        if first:
            first.pop().wait()  # both threads are within the function that was compiled first
        return mark_safe("</div>x<div>")

    with ThreadPoolExecutor(2) as pool:
        shown = list(pool.map(lambda _: marked(template, {"a": "y", "html": html}), range(2)))
    expected = template.render(Context({"a": "y", "html": html}))
    assert list(map(without_marks, shown)) == [expected, expected]


@pytest.mark.parametrize(
    ("tag", "end"),
    [
        ("{% if a %}<b>", "</b>{% endif %}"),
        ("{% for x in xs %}<b>", "</b>{% endfor %}"),
        ("{% with a=a %}{% firstof a %}<b>", "</b>{% endwith %}"),
        ("<p>{% if z %}{% else %}<b>", "</b>{% endif %}</p>"),
        ("{% load cache %}{% cache 5 deep a %}{% cache 5 deeper a %}", "{% endcache %}{% endcache %}"),
    ],
)
def test_deep_nesting_gives_what_django_gives(tag: str, end: str) -> None:
    assert_same_as_django(tag * 60 + "{{ a }}" + end * 60, {"a": 1, "xs": [1]})


@pytest.mark.parametrize(
    ("source", "html", "regions"),
    [
        ("<main><p>{{ a|linebreaks }}</p></main>", "x", 1),
        ("<main><p>{{ a|safe }}</p></main>", "<b>x</b>", 1),
        ("<main><p><b>{{ a|safe }}</b> y</p>z</main>", "<div>x</div>", 1),
        ("<ul><li>{{ a|safe }}</li></ul>", "x<li>y", 1),
    ],
)
def test_output_that_closes_an_element_around_it_makes_a_region_of_what_is_around_that(
    source: str, html: str, regions: int
) -> None:
    template = engine().from_string(f"<html><body>{source}</body></html>")
    fragment, values = evaluated(template, {"a": html})
    assert len(fragment.parts) == regions
    inner = without_marks(fragment.html(values))
    assert inner == template.render(Context({"a": html}))
    outer = source[: source.index(">")]
    closing = "<b>" in html
    assert (f"{outer} dj>" in fragment.html(values)) != closing, (
        "the region is the element around the one that is closed"
    )


def test_errors_are_the_ones_of_django() -> None:
    for source, data in [
        ("{% include 'missing.html' %}", {}),
        ("{% extends 'missing.html' %}", {}),
        ("{% for a, b in xs %}{% endfor %}", {"xs": [1]}),
        ("{% url 'nowhere' %}", {}),
        ("{{ a|add:missing }}", {"a": 1}),
        ("{{ p.with_error }}", {"p": Raises()}),
    ]:
        template = engine(PARTIALS).from_string(source)
        with pytest.raises(Exception) as expected:  # noqa: PT011
            template.render(Context(dict(data)))
        with pytest.raises(type(expected.value)) as found:
            plain(template, data)
        assert str(found.value) == str(expected.value)


def missing_profile(request: HttpRequest) -> dict[str, Any]:
    raise ObjectDoesNotExist("There is no profile.")


def test_an_error_of_a_context_processor_is_raised_also_if_variables_may_raise_it_silently() -> None:
    options = {"context_processors": [f"{__name__}.missing_profile"]}
    template = engine(**options).from_string("{{ a }}{{ profile.name }}{{ user.name }}")
    with pytest.raises(ObjectDoesNotExist):
        template.render(RequestContext(HttpRequest(), {"a": 1}))
    with pytest.raises(ObjectDoesNotExist):
        marked(template, {"a": 1})


class Raises:
    @property
    def with_error(self) -> str:
        raise AttributeError("inside the property")


def test_the_name_of_a_url_is_looked_up_after_its_arguments() -> None:
    template = engine().from_string("{% url name first second %}")

    def order(*, compiled: bool) -> list[str]:
        found: list[str] = []

        def noted(name: str) -> Callable[[], str]:
            def look_up() -> str:
                found.append(name)
                return name

            return look_up

        context = Context({name: noted(name) for name in ("name", "first", "second")})
        render = compile_template(template).render if compiled else template.render
        with pytest.raises(NoReverseMatch):
            render(context)
        return found

    assert order(compiled=True) == order(compiled=False) == ["first", "second", "name"]


def test_a_missing_argument_of_a_filter_raises_as_in_django() -> None:
    template = engine().from_string("{{ a|add:missing }}")
    with pytest.raises(VariableDoesNotExist):
        plain(template, {"a": 1})


def test_the_generated_source_is_readable_and_the_same_each_time() -> None:
    template = engine().from_string("<p>Hello {{ user.name }}</p>")
    source = compile_template(template).source
    assert "looked_up(context, ('user', 'name'))" in source
    assert "# <unknown source>:1" in source
    assert compile_template(engine().from_string("<p>Hello {{ user.name }}</p>")).source == source


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("<p>{{ a }}</p>", "t"),
        ("<p>x <b>y</b> {{ a }}</p>", "t"),
        ("<p class='{{ a }}'>x</p>", "@"),
        ("<p {{ a }}>x</p>", "*"),
        ("<p {% if a %}hidden{% endif %} title='{{ a }}'>x</p>", "*@"),
        ("<textarea>{{ a }}</textarea>", "r"),
        ("<div>{% if a %}<b>x</b>{% endif %}</div>", "b"),
        ("<div>{% if a > 1 and not b or a in c %}<b>x</b>{% elif a|length == 2 %}<i>y</i>{% endif %}</div>", "b"),
        ("<ul>{% for x in a %}<li>{{ x }}</li>{% endfor %}</ul>", "l"),
        ("<div>{% if a %}<p>{% endif %}x{% if a %}</p>{% endif %}</div>", "t"),
        ("<div>{% include a %}</div>", "b"),
        ("<div>{% now 'Y' %}</div>", "t"),
        ("<div>{% if a %}yes{% else %}no{% endif %}</div>", "t"),
    ],
)
def test_the_place_in_the_markup_decides_the_kind_of_part(source: str, kinds: str) -> None:
    template = engine({"x": ""}).from_string(f"<html><body>{source}</body></html>")
    fragment, _ = evaluated(template, {"a": "x"})
    assert "".join(part.kind for part in fragment.parts) == kinds


@pytest.mark.parametrize("output", ["<p>open", "<li>x", "<i>", "</div>", "<tr><td>2"])
@pytest.mark.parametrize(
    "source",
    ["<html><body><div>{{ s }}</div></body></html>", "{{ s }}", "{% for x in xs %}<li>{{ s }}</li>{% endfor %}"],
)
def test_unbalanced_output_that_is_all_of_an_element_is_shown(source: str, output: str) -> None:
    assert_same_as_django(source, {"s": mark_safe(output), "xs": [1]})


@pytest.mark.parametrize(
    "source",
    [
        "<p>a{% if a %}<p>b{% endif %}</p>",
        "<p>a{% if a %}<div>b</div>{% endif %}</p>",
        "<a href=q>{% if a %}<a href=r>b</a>{% endif %}</a>",
        "<form>{% for x in a %}<form>b</form>{% endfor %}</form>",
        "<h1>{% if a %}<h2>b</h2>{% endif %}</h1>",
    ],
)
def test_a_block_that_would_close_the_element_around_it_makes_a_region_of_what_is_outside(source: str) -> None:
    template = engine().from_string(f"<html><body><main>{source}</main></body></html>")
    fragment, values = evaluated(template, {"a": "x"})
    assert [part.kind for part in fragment.parts] == ["t"]
    assert without_marks(values[0]) == template.render(Context({"a": "x"}))[18:-21]


def test_the_first_of_two_attributes_of_one_name_counts() -> None:
    template = engine().from_string("<p Class='y' class='{{ a }}'>b</p>")
    fragment, _ = evaluated(template, {"a": "x"})
    assert [(part.kind, part.taken) for part in fragment.parts] == [("*", frozenset({"class"}))]


class Sometimes:
    """Says something only each second or third time."""

    def __init__(self, each: int) -> None:
        self.each, self.asked = each, 0

    def __str__(self) -> str:
        self.asked += 1
        return "" if self.asked % self.each else f"{self.asked} "


def test_what_has_changed_to_nothing_is_rendered_twice_as_in_django() -> None:
    rng = random.Random(5)
    parts = [
        "{{ a }}", "{{ b }}", "{{ x }}", "{% cycle '' 'p' 'q' as c silent %}{{ c }}", "{% cycle '' '' 'z' %}",
        "{% if x %}{{ a }}{% endif %}", "{% with d=a %}{{ d }}{% endwith %}", "{% firstof b as f %}{{ f }}",
        "{% filter upper %}{{ b }}{% endfilter %}", "{% ifchanged %}{{ a }}{% endifchanged %}", "",
    ]  # fmt: skip
    for _ in range(150):
        body = "".join(rng.choices(parts, k=rng.randrange(4)))
        other = rng.choice(["", "{% else %}same {{ b }}"])
        source = f"{{% for x in xs %}}{{% ifchanged %}}{body}{other}{{% endifchanged %}};{{% endfor %}}{{{{ a }}}}{{{{ b }}}}"
        template = engine().from_string(source)
        xs = rng.choices(["", "", "1", "2"], k=6)
        shown = [show(template, {"xs": xs, "a": Sometimes(2), "b": Sometimes(3)}) for show in (by_django, plain)]
        assert shown[0] == shown[1], source
        html = without_marks(marked(template, {"xs": xs, "a": Sometimes(2), "b": Sometimes(3)}))
        assert html == shown[0], source


def by_django(template: Template, data: dict[str, Any]) -> str:
    return str(template.render(Context(dict(data))))
