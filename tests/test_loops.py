"""Loops, long templates and settings that tags change: everything as in Django, by every way to
render.
"""

# ruff: noqa: E501 - one template, one line

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.template import Context, Engine, Library, Node
from django.template.base import Template
from django.utils.safestring import SafeString, mark_safe

from djust.template import backend, compile_template
from tests.test_template import without_marks

register = Library()
TEMPLATES = {"raw.html": "{{ h }}{% escaping 0 %}{{ h }}", "inclusion.html": "{{ h }}"}


@register.simple_tag(takes_context=True)
def escaping(context: Context, on: object) -> str:
    context.autoescape = bool(on)
    return ""


@register.simple_block_tag(takes_context=True)
def raw(context: Context, content: str) -> str:
    context.autoescape = False
    return mark_safe(content)


@register.inclusion_tag("inclusion.html", takes_context=True)
def raw_card(context: Context) -> dict[str, Any]:
    context.autoescape = False
    return {"h": context["h"]}


class Gives(Node):
    """Renders as what is not a string."""

    def __init__(self, output: Any) -> None:
        self.output = output

    def render(self, context: Context) -> SafeString:
        context.autoescape = False
        output: SafeString = self.output
        return output


register.tag("nothing", lambda parser, token: Gives(None))
register.tag("three", lambda parser, token: Gives(3))
register.tag("unescaped", lambda parser, token: Gives(""))


class Without:
    """Has no items, and cannot be iterated."""

    def __len__(self) -> int:
        return 0


class Counting:
    """Says how often its length was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __len__(self) -> int:
        self.asked += 1
        return 2

    def __iter__(self) -> Iterator[int]:
        return iter((1, 2))


class Unwilling:
    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __iter__(self) -> Iterator[int]:
        return iter((1, 2))


def valued(template: Template, context: Context) -> str:
    context.template = template
    with context.render_context.push_state(template):
        fragment, values = compile_template(template).evaluate(context)
    return without_marks(fragment.html(values))


def outcome(render: Callable[[Template, Context], str], cls: type[Engine], source: str, data: dict[str, Any]) -> str:
    loaders = [("django.template.loaders.locmem.Loader", {**TEMPLATES, "main.html": source})]
    template = cls(loaders=loaders, builtins=[*Engine.default_builtins, __name__]).get_template("main.html")
    try:
        return str(render(template, Context(data)))
    except (RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {re.sub('item [0-9]+', 'item', str(error))}"


def same_as_django(source: str, make: Callable[[], dict[str, Any]]) -> str:
    expected = outcome(Template.render, Engine, source, make())
    assert outcome(Template.render, backend.Engine, source, make()) == expected
    assert outcome(valued, Engine, source, make()) == expected
    return expected


# Loops

LOOPS = [
    "{% for x in s %}{{ x }}{% empty %}none{% endfor %}",
    "{% for x in s reversed %}{{ x }}{% empty %}none{% endfor %}",
    "{% for x in s reversed %}{% empty %}none{% endfor %}",
    "{% for x in s %}{{ x.y.z }}{{ forloop.revcounter }}{{ x }}{% endfor %}",
    "{% for x in s %}<p dj-key='{{ x }}'>{{ x.y }}{{ x }}</p>{% endfor %}",
    "<ul>{% for x in s %}<li>{{ x.y }}{{ x }}</li>{% empty %}<li>none</li>{% endfor %}</ul>",
]
SEQUENCES: list[Callable[[], Any]] = [set, dict, str, list, Without, Unwilling, Counting, lambda: None, lambda: 3]
SEQUENCES += [lambda: iter(()), lambda: iter((1, 2)), lambda: "ab", lambda: {"k": 1}, lambda: [1, 2]]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("make", SEQUENCES)
def test_loops_over_anything(loop: str, make: Callable[[], Any]) -> None:
    same_as_django(loop, lambda: {"s": make()})


def test_nothing_to_loop_over_is_not_iterated() -> None:
    assert same_as_django(LOOPS[2], lambda: {"s": set()}) == "none"
    assert same_as_django(LOOPS[0], lambda: {"s": Without()}) == "none"
    assert same_as_django(LOOPS[3], lambda: {"s": Unwilling()}) == "RuntimeError: no length"


def test_the_length_is_asked_before_the_loop() -> None:
    for body in ("{{ xs.clear }}{{ x }}", "<b>{{ xs.clear }}{{ x }}</b>", "{{ xs.pop }}{{ x }}"):
        same_as_django(f"{{% for x in xs %}}{body}{{% empty %}}none{{% endfor %}}", lambda: {"xs": [1, 2, 3, 4]})
    source, made = "{% for x in s %}{{ x }}{% empty %}none{% endfor %}{{ s.asked }}", Counting
    assert same_as_django(source, lambda: {"s": made()}) == "121"


def test_a_loop_with_one_name_twice() -> None:
    assert same_as_django("{% for a,a in s %}{{ a }}{% endfor %}", lambda: {"s": [(1, 2), (3, 4)]}) == "24"
    assert same_as_django("{% for a,_,_ in s %}{{ a }}{% endfor %}", lambda: {"s": [(1, 2, 3)]}) == "1"
    opaque = "{% for a,a in s %}{{ a }}{% unescaped %}{{ a }}{% endfor %}"
    assert same_as_django(opaque, lambda: {"s": [(1, 2)]}) == "22"


# Long and deep templates

CONDITIONS = {"direct": "v{}", "operator": "x == {}", "filter": "v{}|default:0"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*CONDITIONS, "mixed"])
def test_many_conditions(kind: str) -> None:
    forms = [*CONDITIONS.values()] if kind == "mixed" else [CONDITIONS[kind]]
    arms = "".join(f"{{% elif {forms[i % len(forms)].format(i)} %}}<b>{i}</b>" for i in range(300))
    for chosen in (0, 1, 49, 50, 51, 150, 299, 300):
        for start in ("x == -1", "no"):
            source = f"{{% if {start} %}}first{arms}{{% else %}}{{{{ x }}}}{{% endif %}}"
            expected = f"<b>{chosen}</b>" if chosen < 300 else "300"
            assert same_as_django(source, lambda chosen=chosen: {"x": chosen, f"v{chosen}": 1}) == expected  # type: ignore[misc]


@pytest.mark.parametrize(("no", "yes"), [("no", "a"), ("a == 1", "a == 7"), ("a|add:'-7'", "a|add:1")])
@pytest.mark.parametrize("depth", [39, 60])
def test_deep_conditions(depth: int, no: str, yes: str) -> None:
    source = "{{ a }}"
    for _ in range(depth):
        source = f"{{% if {no} %}}1{{% elif {no} %}}2{{% elif {yes} %}}<p>{source}</p>{{% elif {no} %}}4{{% else %}}5{{% endif %}}"
    assert same_as_django(source, lambda: {"a": 7}) == f"{'<p>' * depth}7{'</p>' * depth}"


@pytest.mark.parametrize("name", ["upper", "add:a", "safe", "default:a", "date:'Y'", "force_escape|truncatechars:100"])
def test_many_filters(name: str) -> None:
    chain = "|".join([name] * 300)
    same_as_django(f"{{{{ a|{chain} }}}}{{% if a|{chain} %}}yes{{% endif %}}", lambda: {"a": 1})
    same_as_django(f"{{% for x in s %}}{{{{ x|{chain}|upper }}}}{{% endfor %}}", lambda: {"a": 1, "s": ["<x>", 2]})


@pytest.mark.parametrize(
    "joined", [" and ".join(["a"] * 300), " or ".join(["b"] * 300), " or ".join(["a and b"] * 300)]
)
def test_many_operands(joined: str) -> None:
    same_as_django(f"{{% if {joined} %}}yes{{% else %}}no{{% endif %}}", lambda: {"a": 1})


# What tags do

CHANGES = [
    "{{ h }}{% escaping 0 %}{{ h }}{% escaping 1 %}{{ h }}",
    "<p>{{ h }} {% escaping 0 %} {{ h }}</p><p title='{{ h }}'>{{ h }}</p>",
    "{% for x in s %}{{ h }}{{ x }}{% escaping 0 %}{{ x }}{% endfor %}{{ h }}",
    "{% autoescape on %}{% escaping 0 %}{{ h }}{% endautoescape %}{{ h }}",
    "{% escaping 0 as nothing %}{{ h }}",
    "{% unescaped %}{{ h }}",
    "<p>{% unescaped %}{{ h }}</p>",
    "{% raw %}{{ h }}{% endraw %}{{ h }}",
    "{% raw_card %}{{ h }}",
    "{% if h %}{% escaping 0 %}{% endif %}{{ h }}",
    "<a {% escaping 0 %}>{{ h }}</a>",
    "{% ifchanged %}{% escaping 0 %}{% endifchanged %}{{ h }}",
    "{% spaceless %}{% escaping 0 %}{{ h }}{% endspaceless %}{{ h }}",
    *(
        f"{{% include {name} {how} %}}{{{{ h }}}}"
        for name in ("'raw.html'", "name")
        for how in ("", "only", "with h=h only")
    ),
]


@pytest.mark.parametrize("source", CHANGES)
def test_a_tag_changes_how_later_text_is_shown(source: str) -> None:
    same_as_django(source, lambda: {"h": "<i>&", "s": ["<x>", "y"], "name": "raw.html"})


@pytest.mark.parametrize(
    "source", ["{}", "a{}", "{{% if a %}}{}{{% endif %}}", "<p title='{}'>", "{{% filter upper %}}{}{{% endfilter %}}"]
)
@pytest.mark.parametrize("tag", ["{% nothing %}", "{% three %}"])
def test_a_tag_that_gives_no_string(source: str, tag: str) -> None:
    assert same_as_django(source.format(tag), lambda: {"a": 1}).startswith("TypeError: sequence item: expected str")
