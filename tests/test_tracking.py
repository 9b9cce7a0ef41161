"""Skipping is only ever an optimisation: whatever changes, by whatever way, the page shows it."""

from __future__ import annotations

import random
from array import array
from typing import Any

import pytest
from django.http import HttpRequest
from django.template import Context

from djust.state.tracking import Tracker, digest
from djust.template import compile_template
from djust.template.context import page_context, rendering
from tests.random_templates import Writer, changed, random_context, random_row
from tests.test_diff import shown
from tests.test_template import engine, evaluated, without_marks


class Opinion:
    """An object that shows something else although no name was bound again."""

    def __init__(self) -> None:
        self.label = "a"
        self.asked = 0

    def counted(self) -> int:
        self.asked += 1
        return self.asked


def mutate(rng: random.Random, context: dict[str, Any]) -> None:
    """Change something in `context` in place."""
    rows = context.get("xs") or []
    kind = rng.randrange(7)
    if kind == 0:
        rows.append(random_row(rng, 20 + rng.randrange(50)))
    elif kind == 1 and rows:
        rng.choice(rows)["label"] = rng.choice(["x", "y", "<z>"])
    elif kind == 2 and rows:
        rng.choice(rows)["subs"].append({"id": 30 + rng.randrange(50), "label": "sub"})
    elif kind == 3 and rows:
        rows.pop()
    elif kind == 4 and "d" in context:
        context["d"]["a"]["b"] = rng.choice(["p", "q"])
    elif kind == 5:
        context["ys"] = list(context.get("ys", []))
        context["ys"].append(1)
    elif rows:
        rng.choice(rows)["on"] ^= True


@pytest.mark.parametrize("block", range(8))
def test_skipping_never_changes_what_a_page_shows(block: int) -> None:
    skipped = 0
    for seed in range(block * 100, block * 100 + 25):
        rng = random.Random(seed)
        text, partials = Writer(rng).page()
        template = engine(partials).from_string(text)
        compiled = compile_template(template)
        context = random_context(rng)
        tracker = Tracker()
        last = evaluated(template, context)
        tracker.unchanged(context, compiled.tracked, None)
        for _ in range(8):
            if rng.random() < 0.5:
                mutate(rng, context)
            else:
                context = changed(rng, context)
            same = tracker.unchanged(context, compiled.tracked, None)
            skipped += len(same)
            data = page_context(template, HttpRequest(), dict(context))
            with rendering(data, template):
                last = compiled.evaluate(data, last, same)
            assert shown(*last) == shown(*evaluated(template, context)), f"seed {seed}: {text}"
    assert skipped > 100


def test_objects_are_always_asked_again() -> None:
    template = engine().from_string("<html><body><p>{{ o.label|upper }}</p><p>{{ o.counted|add:1 }}</p></body></html>")
    compiled, tracker, opinion = compile_template(template), Tracker(), Opinion()
    shown = []
    last = None
    for label in ("a", "b"):
        opinion.label = label
        same = tracker.unchanged({"o": opinion}, compiled.tracked, None)
        data = page_context(template, HttpRequest(), {"o": opinion})
        with rendering(data, template):
            last = compiled.evaluate(data, last, same)
        shown.append(last[1])
    assert shown == [("A", 2), ("B", 3)]


def test_what_depends_on_plain_values_is_not_evaluated_again() -> None:
    loop = "{% for x in xs %}<p>{{ x.a|upper }}</p>{% endfor %}"
    template = engine().from_string(f"<html><body>{loop}<b>{{{{ n }}}}</b></body></html>")
    compiled, tracker = compile_template(template), Tracker()
    last = evaluated(template, {"xs": [{"a": "b"}], "n": 1})
    assert compiled.tracked == {"xs"}
    assert tracker.unchanged({"xs": [{"a": "b"}], "n": 1}, compiled.tracked, "en") == set()
    same = tracker.unchanged({"xs": [{"a": "b"}], "n": 2}, compiled.tracked, "en")
    assert same == {"xs"}
    data = page_context(template, HttpRequest(), {"xs": [{"a": "b"}], "n": 2})
    with rendering(data, template):
        after = compiled.evaluate(data, last, same)
    assert after[1][0] is last[1][0]
    assert after[1][1] == 2
    assert tracker.unchanged({"xs": [{"a": "b"}]}, compiled.tracked, "de") == set(), "another language"


@pytest.mark.parametrize(
    "source",
    [
        "{{ t|timesince }}",
        "{% now 'H:i:s' %}",
        "{% custom x %}",
        "{% firstof y as x %}{{ x|upper }}",
        "{{ xs|random }}",
        "{% firstof xs|random %}",
        "{% firstof t|timesince 'x' %}",
        "{{ xs.pop }}",
    ],
)
def test_what_may_differ_each_time_is_evaluated_each_time(source: str) -> None:
    if "custom" in source:
        source = "{% debug %}{{ x|upper }}"
    template = engine().from_string(f"<html><body><div>{source}</div></body></html>")
    evaluated(template, {"x": "a", "xs": [1], "y": "b", "t": None})
    assert compile_template(template).tracked == frozenset()


@pytest.mark.parametrize(
    "body",
    [
        "{{ block.super|upper }}",
        "{% if block.super == 'x' %}yes{% else %}no{% endif %}",
        "{% with s=block.super %}<b>{{ s|upper }}</b>{% endwith %}",
        "{% for c in block.super %}<b>{{ c|upper }}</b>{% endfor %}",
    ],
)
def test_a_filtered_super_shows_what_the_parent_s_block_shows_now(body: str) -> None:
    child = f"{{% extends 'parent.html' %}}{{% block b %}}{body}{{% endblock %}}"
    template = engine({"parent.html": "<p>{% block b %}{{ a|lower }}{% endblock %}</p>"}).from_string(child)
    compiled, last = compile_template(template), None
    for a in ("X", "Y"):
        context = page_context(template, HttpRequest(), {"a": a})
        with rendering(context, template):
            last = compiled.evaluate(context, last, compiled.tracked - {"a"})
        assert without_marks(last[0].html(last[1])) == template.render(Context({"a": a}))


def test_what_an_empty_loop_shows_is_read_outside_of_it() -> None:
    source = (
        "<html><body>{% for x in xs %}<p>{{ x|upper }}</p>{% empty %}<p>{{ x|upper }}</p>{% endfor %}</body></html>"
    )
    template = engine().from_string(source)
    evaluated(template, {"xs": [], "x": "a"})
    assert compile_template(template).tracked == {"xs", "x"}


def test_what_a_tag_was_given_may_have_changed_when_later_parts_show_it() -> None:
    source = "<html><body><p>{{ xs.pop }}{{ n }}</p><p>{{ xs|join:',' }}</p><p>{{ ys|join:',' }}</p></body></html>"
    template = engine().from_string(source)
    evaluated(template, {"xs": [1], "ys": [1], "n": 1})
    assert compile_template(template).tracked == {"ys"}


def test_digests_tell_equal_looking_values_apart() -> None:
    values = [
        [1],
        [True],
        [1.0],
        ["1"],
        (1,),
        {"a": 1},
        {"a": 1, "b": 2},
        {"b": 2, "a": 1},
        [[1]],
        [None],
        [],
        [b"a"],
        [bytearray(b"a")],
    ]
    assert len({digest(value) for value in values}) == len(values)
    assert digest([1, {"a": ("b",)}]) == digest([1, {"a": ("b",)}])


def test_what_is_not_plain_has_no_digest() -> None:
    class Text(str):
        __slots__ = ()

    endless: list[Any] = []
    endless.append(endless)
    for value in ([Opinion()], [array("i", [0])], [Text("a")], {"a": {"b": [object()]}}, endless):
        assert digest(value) is None
