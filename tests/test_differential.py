"""Compiled templates give what Django gives, for random templates over all tags and filters, errors
included.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.core.cache import cache
from django.template import Context, Engine, TemplateSyntaxError
from django.template.base import Template, VariableDoesNotExist
from django.test import override_settings
from django.utils import translation

from djust.template import compile_template
from tests.random_tags import ARGUMENTS, FILTERS, OPERATORS, PARTIALS, VALUES, Author, Once, data

# Another seed: DJUST_SEED=5 pytest tests/test_differential.py
SEED = int(os.environ.get("DJUST_SEED", "1"))
Way = Callable[[Template, Context], str]
BLOCKS, TEMPLATES, CONTEXTS = 10, 100, 3
TAGS = ("i18n", "l10n", "tz", "cache", "static")


def engine(**options: Any) -> Engine:
    builtins = [*Engine.default_builtins, *(f"django.templatetags.{name}" for name in TAGS), "tests.tag_library"]
    return Engine(loaders=[("django.template.loaders.locmem.Loader", PARTIALS)], builtins=builtins, **options)


def by_django(template: Template, context: Context) -> str:
    return template.render(context)


def compiled(template: Template, context: Context) -> str:
    return compile_template(template).render(context)


def in_parts(template: Template, context: Context) -> str:
    """What a live page shows, without its marks."""
    context.template, context.template_name = template, template.name
    with context.render_context.push_state(template):
        fragment, values = compile_template(template).evaluate(context)
    return re.sub(r"(<[a-zA-Z][^\s/>]*) dj(?=[\s/>])", r"\1", re.sub(r"<!--[\[\],]-->", "", fragment.html(values)))


def outcome(render: Way, template: Template, context: Context) -> tuple[Any, ...]:
    """The output, or type and message of the error."""
    cache.clear()
    random.seed(0)  # for `|random` and `{% lorem %}`
    try:
        # Each way has a context of its own, so objects that show their address show another one.
        return ("shows", re.sub(r"0x[0-9a-f\s'+]+", "0x", str(render(template, context))))
    except VariableDoesNotExist as error:
        # Its message ends with the whole context, which holds no names that are Python locals.
        return ("raises", type(error), str(error.params[0]))
    except Exception as error:  # noqa: BLE001 - any error is an outcome
        # What is not text cannot be joined; the message tells its position among the nodes around
        # it.
        return ("raises", type(error), re.sub(r"sequence item \d+", "sequence item", str(error)))


def assert_same(
    template: Template, make: Callable[[], dict[str, Any]], note: str, ways: Sequence[Way] = (compiled,), **options: Any
) -> tuple[Any, ...]:
    expected = outcome(by_django, template, Context(make(), **options))
    if any(isinstance(value, Once) for value in make().values()):
        ways = (compiled,)  # a live page may render twice to find what is balanced; an iterator is used up by then
    for way in ways:
        found = outcome(way, template, Context(make(), **options))
        assert found == expected, f"{way.__name__}, {note}\n{template.source}\n{make()!r:.2000}"
    return expected


@pytest.fixture(autouse=True)
def place() -> Iterator[None]:
    """Settings in which localization shows."""
    with (
        override_settings(USE_THOUSAND_SEPARATOR=True, TIME_ZONE="Europe/Paris", ROOT_URLCONF="tests.urls"),
        translation.override("de"),
    ):
        yield


ENGINES: list[dict[str, Any]] = [{}, {"autoescape": False}, {"string_if_invalid": "[%s?]"}, {"debug": True}]


@pytest.mark.slow
@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_templates(block: int) -> None:
    refused = raised = 0
    with override_settings(USE_THOUSAND_SEPARATOR=block % 2 == 0):
        for number in range(TEMPLATES):
            seed = f"{SEED}/{block}/{number}"
            rng = random.Random(seed)
            options = rng.choice(ENGINES)
            source = Author(rng).template()
            try:
                template = engine(**options).from_string(source)
            except TemplateSyntaxError:
                refused += 1
                continue
            settings = {
                "autoescape": options.get("autoescape", True),
                "use_l10n": rng.choice([None, None, True, False]),
            }
            ways = (compiled, in_parts) if number % 3 == 0 else (compiled,)
            for of in range(CONTEXTS):
                make = lambda name=f"{seed}/{of}": data(random.Random(name))  # noqa: E731 - bound to its numbers
                raised += assert_same(template, make, f"seed {seed}/{of}, {options}", ways, **settings)[0] == "raises"
    assert refused < TEMPLATES / 10, "too many templates are not templates"
    assert raised < TEMPLATES * CONTEXTS / 2, "too many renderings end in an error to say much"


@pytest.mark.parametrize("autoescape", [True, False])
@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_with_every_value(name: str, autoescape: bool) -> None:
    for argument in ["", *(f":{argument}" for argument in ARGUMENTS)]:
        try:
            template = engine(autoescape=autoescape).from_string(f"{{{{ a|{name}{argument} }}}}")
        except TemplateSyntaxError:
            continue  # it takes no argument, or needs one
        for number, value in enumerate(VALUES):
            make = lambda value=value: {"a": value(), "b": ["<b>"], "number": 3, "text": "c<"}  # noqa: E731 - fresh values
            assert_same(template, make, f"value {number}", autoescape=autoescape)


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_with_every_pair_of_values(operator: str) -> None:
    template = engine().from_string(f"{{% if a {operator} b %}}yes{{% else %}}no{{% endif %}}")
    for first in VALUES:
        for second in VALUES:
            assert_same(template, lambda f=first, s=second: {"a": f(), "b": s()}, "operands")  # type: ignore[misc]
