"""`{% translate %}` and `{% blocktranslate %}` show what Django shows, whatever the active language
does meanwhile.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.template import Context, Library, TemplateSyntaxError
from django.template.base import Template
from django.test import override_settings
from django.utils import translation
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy, trans_real

from djust.template import compile_template
from djust.template.nodes import BlockTranslate, all_nodes
from tests.test_template import engine, marked, plain, without_marks

register = Library()
SEPARATOR = trans_real.CONTEXT_SEPARATOR
GERMAN: dict[Any, str] = {
    "Hi %(x)s": "Hallo %(x)s",
    "<b>Hi</b> %(x)s": "<b>Hallo</b> %(x)s",
    "100%% %(x)s": "100 %% %(x)s",
    "one line": "eine Zeile",
    f"month{SEPARATOR}May %(x)s": "Mai %(x)s",
    ("%(n)s thing", 0): "%(n)s Ding",
    ("%(n)s thing", 1): "%(n)s Dinge",
    (f"shop{SEPARATOR}%(n)s thing", 0): "%(n)s Sache",
    (f"shop{SEPARATOR}%(n)s thing", 1): "%(n)s Sachen",
    "Unknown %(x)s": "Unbekannt %(y)s",
    "Broken %(x)s": "Kaputt %(x)",
}


class Strange:
    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError("it cannot be compared")

    __hash__ = None  # type: ignore[assignment]


variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")


@register.simple_tag
def speak(language: str | None) -> str:
    """Another language from here on; None: no translations at all."""
    if language:
        translation.activate(language)
    else:
        translation.deactivate_all()
    return ""


@register.simple_tag
def set_variable() -> str:
    variable.set(Strange())
    return ""


@pytest.fixture(autouse=True)
def german() -> Iterator[None]:
    catalog: Any = trans_real.translation("de")
    first = catalog._catalog._catalogs[0]
    before = dict(first)
    first.update(GERMAN)
    vars(catalog).pop("_djust_texts", None)
    with translation.override("de"):
        yield
    first.clear()
    first.update(before)
    vars(catalog).pop("_djust_texts", None)


def template_of(source: str, **options: Any) -> Template:
    found = engine({"part.html": PART}, **options)
    found.template_builtins.append(register)
    return found.from_string(source)


def shown(template: Template, data: dict[str, Any]) -> list[str]:
    """What Django, the compiled template and a live page show; or the errors."""

    def django(template: Template, data: dict[str, Any]) -> str:
        return template.render(Context(dict(data)))

    def live(template: Template, data: dict[str, Any]) -> str:
        return without_marks(marked(template, data))

    found = []
    for render in (django, plain, live):
        with translation.override("de"):
            try:
                found.append(render(template, data))
            except Exception as error:  # noqa: BLE001 - any error is an outcome
                found.append(f"{type(error).__name__}: {error}")
    return found


PART = "{% blocktranslate %}Hi {{ x }}{% endblocktranslate %}"
DATA: dict[str, Any] = {
    "a": "<&>",
    "safe": mark_safe("<i>"),
    "person": {"name": "Ada"},
    "n": 1,
    "many": 1234.5,
    "amount": Decimal("0.5"),
    "things": ["<1>", 2, None],
    "about": "month",
    "no": "",
    "call": lambda: "called",
    "lazy": gettext_lazy("Yes"),
    "where": {"language": "de"},
}
HI = "{% blocktranslate with x=EXPR %}Hi {{ x }}{% endblocktranslate %}"
COUNTED = "{% plural %}{{ n }} things{% endblocktranslate %}"
SENTENCES = [
    *(
        HI.replace("EXPR", e)
        for e in ("a", "safe", "person.name|upper", "many", "missing", "call", "lazy", "'<'", "a|safe")
    ),
    "{% blocktranslate %}Hi {{ a }} {{ person.name }} {{ a|upper }} {{ call }} {{ missing }}{% endblocktranslate %}",
    "{% blocktranslate with x=a %}<b>Hi</b> {{ x }}{% endblocktranslate %}",
    "{% blocktranslate with x=a %}100% {{ x }}{% endblocktranslate %}",
    "{% blocktranslate %}50%{% endblocktranslate %}{% blocktranslate %}{% endblocktranslate %}",
    "{% blocktranslate trimmed %}\n one\n   line\n{% endblocktranslate %}",
    "{% blocktranslate trimmed %}\n one line\n{% endblocktranslate %}",
    '{% blocktranslate with x=a context "month" %}May {{ x }}{% endblocktranslate %}',
    "{% blocktranslate with x=a context about %}May {{ x }}{% endblocktranslate %}",
    "{% blocktranslate with x=a context no %}May {{ x }}{% endblocktranslate %}",
    '{% blocktranslate with x=a context "" %}Hi {{ x }}{% endblocktranslate %}',
    *("{% blocktranslate count n=" + n + " %}{{ n }} thing" + COUNTED for n in ("1", "n", "many", "amount", "n|add:1")),
    *("{% blocktranslate count n=" + n + " %}{{ n }} thing" + COUNTED for n in ("a", "missing", "things")),
    '{% blocktranslate count n=many context "shop" %}{{ n }} thing' + COUNTED,
    "{% blocktranslate with m=many count n=m %}{{ n }} thing" + COUNTED,
    "{% blocktranslate with x=a asvar y %}Hi {{ x }}{% endblocktranslate %}[{{ y }}{{ x }}]",
    "{% for x in things %}{% blocktranslate asvar y %}Hi {{ x }}{% endblocktranslate %}{{ y }}{% endfor %}[{{ y }}]",
    "{% for x in things %}<p>{% blocktranslate %}Hi {{ x }}{% endblocktranslate %}</p>{% endfor %}",
    "{% for p in things %}{% blocktranslate with x=p %}Hi {{ x }}{{ forloop }}{% endblocktranslate %}{% endfor %}",
    "{% with x=a %}{% blocktranslate %}Hi {{ x }}{% endblocktranslate %}{% endwith %}",
    "{% with x=call %}{% include 'part.html' %}{% include 'part.html' with x=n only %}{% endwith %}",
    "{% include 'part.html' only %}{% block b %}{% include 'part.html' with x=many %}{% endblock %}",
    "{% autoescape off %}{% blocktranslate with x=a %}Hi {{ x }}{% endblocktranslate %}{% endautoescape %}",
    "<p title='{% blocktranslate with x=a %}Hi {{ x }}{% endblocktranslate %}'></p>",
    "<p>{% blocktranslate with x='<b>'|safe %}Hi {{ x }}{% endblocktranslate %}</p><i></b></i>",
    # Translations that cannot be formatted: the sentence is shown in the language of the template.
    "{% for x in things %}{% blocktranslate %}Unknown {{ x }}{% endblocktranslate %}{% endfor %}",
    "{% with x=lazy %}{% blocktranslate %}Broken {{ x }}{% endblocktranslate %}{% endwith %}",
    "{% for p in things %}{% blocktranslate with x=p|default:a %}Broken {{ x }}{% endblocktranslate %}{% endfor %}",
    "{% blocktranslate with x=a asvar y %}Unknown {{ x }}{% endblocktranslate %}[{{ y }}]",
    "{% blocktranslate %}Odd %(q)s %{% endblocktranslate %}",
    "{% blocktranslate %}Odd {{ a }%{% endblocktranslate %}",
]
OPTIONS: list[dict[str, Any]] = [{}, {"string_if_invalid": "[%s?]"}, {"string_if_invalid": "<none>"}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("source", SENTENCES)
def test_a_sentence_is_what_django_makes_of_it(source: str, options: dict[str, Any]) -> None:
    template = template_of(source, **options)
    with override_settings(USE_THOUSAND_SEPARATOR=True):
        expected, *found = shown(template, DATA)
    assert found == [expected, expected]


def test_every_sentence_of_native_expressions_is_compiled() -> None:
    for source in SENTENCES:
        template = template_of(source)
        report = compile_template(template).report
        assert not report.opaque
        if source.startswith("{% blocktranslate"):
            assert any(isinstance(node, BlockTranslate) for node in all_nodes(compile_template(template).nodes)), source


def test_a_counter_must_be_a_number() -> None:
    template = template_of("{% blocktranslate count n=a %}{{ n }} thing" + COUNTED)
    with pytest.raises(TemplateSyntaxError, match=r"^'n' argument to 'blocktranslate' tag must be a number\."):
        plain(template, {"a": "1"})


YES = "{% translate 'Yes' %} {% blocktranslate with x=n %}Hi {{ x }}{% endblocktranslate %} "
CHANGES = [
    YES
    + "{% language 'fr' %}"
    + YES
    + "{% language where.language %}"
    + YES
    + "{% endlanguage %}{% endlanguage %}"
    + YES,
    YES + "{% speak 'fr' %}" + YES + "{% speak 'de' %}" + YES,
    YES + "{% speak None %}" + YES + "{% speak 'de' %}" + YES,
    YES + "{{ activates }}" + YES,
    YES + "{% if activates %}" + YES + "{% endif %}",
    "{% for x in things %}" + YES + "{% if forloop.first %}{% speak 'fr' %}{% endif %}" + YES + "{% endfor %}",
    YES + "{% set_variable %}" + YES + "{% set_variable %}" + YES,
]


def french() -> str:
    translation.activate("fr")
    return "!"


@pytest.mark.parametrize("source", CHANGES)
def test_the_language_may_change_while_a_template_is_rendered(source: str) -> None:
    template = template_of(source)
    expected, *found = shown(template, {**DATA, "activates": french})
    assert found == [expected, expected]
    assert "Ja" in expected


def test_a_rendering_in_another_thread_has_the_language_of_that_thread() -> None:
    template = template_of(YES)
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(plain(template, DATA)))
    assert plain(template, DATA) == "Ja Hallo 1 "
    thread.start()
    thread.join()
    assert found == ["Yes Hi 1 "]


def test_without_an_active_language_it_is_the_one_of_the_settings() -> None:
    template = template_of(YES)
    translation.deactivate()
    assert plain(template, DATA) == template.render(Context(DATA)) == "Yes Hi 1 "


@pytest.fixture
def off() -> Iterator[None]:
    """Translations switched off, as in a project that was started so."""
    functions = vars(translation._trans)  # type: ignore[attr-defined]
    functions.clear()
    with override_settings(USE_I18N=False):
        yield
    functions.clear()


@pytest.mark.usefixtures("off")
def test_translations_may_be_switched_off() -> None:
    template = template_of(YES + "{% translate '5%' %}{% blocktranslate count n=2 %}{{ n }} thing" + COUNTED)
    expected, *found = shown(template, DATA)
    assert found == [expected, expected]
    assert expected == "Yes Hi 1 5%2 things"


def test_as_long_as_nothing_changes_django_is_not_asked_for_the_language(monkeypatch: pytest.MonkeyPatch) -> None:
    template = template_of("{% for x in things %}" + YES + "{% endfor %}")
    plain(template, DATA)
    asked = []
    catalog = trans_real.catalog
    monkeypatch.setattr(trans_real, "catalog", lambda: asked.append(1) or catalog())  # type: ignore[func-returns-value]
    assert plain(template, DATA) == "Ja Hallo 1 " * 3
    assert len(asked) == 1
