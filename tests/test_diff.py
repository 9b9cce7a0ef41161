"""Diffs: what is sent makes the old values the new ones, and nothing else is sent."""

# ruff: noqa: E501 - one template, one line

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from djust.exceptions import ProtocolError
from djust.protocol.frames import answer, decode
from djust.render.diff import SentFragments, attribute_text, longest_increasing, tag_attributes
from djust.render.values import Fragment, Html, Part, Values, source
from tests.random_templates import Writer, changed, random_context
from tests.test_template import engine, evaluated


class Browser:
    """Applies diffs to values as `docs/protocol.md` says, with numbers instead of fragments."""

    def __init__(self) -> None:
        self.plans: dict[int, list[Any]] = {}
        self.skeletons: dict[int, str] = {}
        self.values: list[Any] = []

    def learn(self, fragments: list[Any]) -> None:
        for number, plan, *skeleton in fragments:
            assert plan or number in self.plans, "a skeleton without its plan"
            if plan:
                assert number not in self.plans, "the same plan twice"
                self.plans[number] = plan
            if skeleton:
                assert number not in self.skeletons, "the same skeleton twice"
                self.skeletons[number] = skeleton[0]

    def kinds(self, number: int) -> list[str]:
        return [
            kind.lstrip("=")
            for anchor in self.plans[number][1]
            for kind in ([anchor] if isinstance(anchor, str) else anchor)
        ]

    def apply(self, number: int, values: list[Any], diff: list[Any]) -> None:
        kinds = self.kinds(number)
        assert diff, "an empty diff was sent"
        for index, change in zip(diff[::2], diff[1::2], strict=True):
            values[index] = self.changed(kinds[index], values[index], change)

    def changed(self, kind: str, value: Any, change: Any) -> Any:
        if kind.startswith("*"):
            merged = {**value, **change}
            return {name: text for name, text in merged.items() if text is not None}
        if kind == "b":
            return self.branch(value, change)
        if kind.startswith("l"):
            return self.loop(int(kind[1:]), value, change)
        assert value != change, "an unchanged value was sent"
        return change

    def branch(self, value: Any, change: Any) -> Any:
        if len(change) == 3:
            number, diff, _ = change
            self.apply(number, value[1], diff)
            return value
        if change:
            assert change[0] in self.skeletons, "a fragment must be created whose skeleton was never sent"
        return change

    def loop(self, body: int, rows: list[Any], change: list[Any]) -> list[Any]:
        updates, removes, moves, inserts = (*[part or [] for part in change], [], [], [], [])[:4]
        for index, diff in zip(updates[::2], updates[1::2], strict=True):
            self.apply(body, rows[index], diff)
        for index, count in reversed(list(zip(removes[::2], removes[1::2], strict=True))):
            del rows[index : index + count]
        moved = {to: rows[start] for start, to in zip(moves[::2], moves[1::2], strict=True)}
        taken = set(moves[::2])
        staying = iter([row for index, row in enumerate(rows) if index not in taken])
        new = {
            index + i: row for index, run in zip(inserts[::2], inserts[1::2], strict=True) for i, row in enumerate(run)
        }
        assert not new or body in self.skeletons
        total = len(rows) + len(new)
        return [new[i] if i in new else moved[i] if i in moved else next(staying) for i in range(total)]


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_a_patched_page_has_the_values_of_a_fresh_one(block: int) -> None:
    for seed in range(block * 30, block * 30 + 30):
        rng = random.Random(seed)
        text, partials = Writer(rng).page()
        template = engine(partials).from_string(text)
        context = random_context(rng)
        fragment, values = evaluated(template, context)
        sent, browser = SentFragments(), Browser()
        browser.values, fragments = (json.loads(json.dumps(x)) for x in sent.all(fragment, values))
        browser.learn(fragments)
        for _ in range(6):
            context = changed(rng, context)
            fresh_fragment, fresh = evaluated(template, context)
            assert fresh_fragment is fragment
            diff, fragments = (json.loads(json.dumps(x)) for x in sent.diff(fragment, values, fresh))
            browser.learn(fragments)
            if diff:
                browser.apply(0, browser.values, diff)
            expected = shown(fragment, fresh)
            assert numbers_removed(browser.values, browser) == expected, f"seed {seed}"
            values = fresh


def shown(fragment: Fragment, values: Values) -> Any:
    sent = SentFragments()
    all_values, fragments = sent.all(fragment, values)
    browser = Browser()
    browser.learn(fragments)
    return numbers_removed(json.loads(json.dumps(all_values)), browser)


def numbers_removed(values: list[Any], browser: Browser, number: int = 0) -> Any:
    """The values with skeletons in place of numbers, which differ from page to page."""
    result: list[Any] = []
    for kind, value in zip(browser.kinds(number), values, strict=True):
        if kind == "b" and value:
            result.append([browser.skeletons[value[0]], numbers_removed(value[1], browser, value[0])])
        elif kind.startswith("l"):
            result.append([numbers_removed(row, browser, int(kind[1:])) for row in value])
        else:
            result.append(value)
    return result


def rows_of(keys: list[int]) -> dict[str, Any]:
    return {"xs": [{"id": key, "label": f"label {key}"} for key in keys]}


LIST = "<html><body><ul>{% for x in xs %}<li dj-key='{{ x.id }}'>{{ x.label }}</li>{% endfor %}</ul></body></html>"


def frame(before: list[int], after: list[int]) -> str:
    template = engine().from_string(LIST)
    fragment, old = evaluated(template, rows_of(before))
    sent = SentFragments()
    sent.all(fragment, old)
    diff, fragments = sent.diff(fragment, old, evaluated(template, rows_of(after))[1])
    return answer(7, 3, diff, fragments, {})


def test_removing_the_first_of_ten_thousand_rows_costs_tens_of_bytes() -> None:
    keys = list(range(10_000))
    assert frame(keys, keys[1:]) == "[7,3,[0,[0,[0,1]]]]"


def test_swapping_two_of_a_thousand_rows_moves_two_rows() -> None:
    keys = list(range(1000))
    keys[1], keys[998] = keys[998], keys[1]
    assert frame(list(range(1000)), keys) == "[7,3,[0,[0,0,[998,1,1,998]]]]"


def test_moving_the_last_row_to_the_front_moves_one_row() -> None:
    assert frame([1, 2, 3, 4], [4, 1, 2, 3]) == "[7,3,[0,[0,0,[3,0]]]]"


def test_neighbours_that_change_places_are_one_move() -> None:
    assert len(json.loads(frame([1, 2, 3], [1, 3, 2]))[2][1][2]) == 2


def test_nothing_is_sent_when_nothing_changed() -> None:
    assert frame([1, 2], [1, 2]) == "[7,3]"


def test_a_changed_number_beside_a_large_table_is_one_change() -> None:
    template = engine().from_string("<html><body><b>{{ n }}</b>" + LIST[12:])
    rows = rows_of(list(range(1000)))
    fragment, old = evaluated(template, {**rows, "n": 1})
    diff, _ = SentFragments().diff(fragment, old, evaluated(template, {**rows, "n": 2})[1])
    assert diff == [0, 2]


def test_mutation_in_place_is_seen() -> None:
    template = engine().from_string(LIST)
    data = rows_of([1, 2])
    fragment, old = evaluated(template, data)
    data["xs"].append({"id": 3, "label": "new"})
    data["xs"][0]["label"] = "changed"
    diff, _ = SentFragments().diff(fragment, old, evaluated(template, data)[1])
    assert diff == [0, [[0, [1, "changed"]], 0, 0, [2, [[3, "new"]]]]]


def test_html_and_equal_plain_text_differ() -> None:
    assert Html("<b>") != "<b>"
    assert Html("<b>") == Html("<b>")
    assert source("plain") == "plain"
    assert type(source("plain")) is str
    assert type(source("a & b")) is Html


def test_a_safe_string_makes_a_text_part_a_region_and_back() -> None:
    template = engine().from_string("<html><body><p>{{ a }}</p></body></html>")
    fragment, old = evaluated(template, {"a": "<b>"})
    _, new = evaluated(template, {"a": Html("<b>x</b>")})
    assert fragment.html(old) == "<html><body><p dj>&lt;b&gt;</p></body></html>"
    template = engine().from_string("<html><body><p>{{ a|safe }}</p></body></html>")
    fragment, new = evaluated(template, {"a": "<b>x</b>"})
    assert SentFragments().diff(fragment, ("text",), new)[0] == [0, ["<b>x</b>"]]
    assert SentFragments().diff(fragment, new, ("text",))[0] == [0, "text"]


@pytest.mark.parametrize(
    ("text", "decoded"),
    [("a&amp;b", "a&b"), ("?a=1&copy=2", "?a=1&copy=2"), ("&copy", "©"), ("&copyx", "&copyx"), ("&#65;&#x42", "AB"), ("&nope;", "&nope;")],
)  # fmt: skip
def test_references_in_attributes_are_decoded_as_browsers_do(text: str, decoded: str) -> None:
    assert attribute_text(Html(text)) == decoded


def test_a_tag_part_sets_what_no_other_attribute_of_the_element_sets() -> None:
    part = Part("*", taken=frozenset({"class"}), fallback=(("title", "static"),))
    assert tag_attributes(" class='x' ID=a disabled", part) == {"id": "a", "disabled": "", "title": "static"}
    assert tag_attributes("title=own", part) == {"title": "own"}


@pytest.mark.parametrize("seed", range(20))
def test_the_longest_increasing_subsequence_is_increasing_and_longest(seed: int) -> None:
    rng = random.Random(seed)
    numbers = rng.sample(range(30), 9)
    found = longest_increasing(numbers)
    assert found == sorted(found)
    lengths: list[int] = []
    for index, number in enumerate(numbers):
        lengths.append(1 + max([lengths[i] for i in range(index) if numbers[i] < number], default=0))
    assert len(found) == max(lengths)


@pytest.mark.parametrize(
    "text", ["", "{", "null", "{}", "[]", '"x"', "3", "[" * 100_000, "[NaN]", "[1e999, -Infinity]", '["\\ud800"]']
)
def test_what_is_not_a_frame_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode(text)


def test_integers_that_a_browser_would_round_go_as_text() -> None:
    template = engine().from_string("<html><body><p>{{ n }}</p><b title='{{ n }}'>x</b></body></html>")
    fragment, before = evaluated(template, {"n": 1})
    for number in (2**53 - 1, 1 - 2**53):
        assert SentFragments().diff(fragment, before, evaluated(template, {"n": number})[1])[0][1] == number
    for number in (2**53, -(2**53), 10**30):
        after = evaluated(template, {"n": number})[1]
        assert SentFragments().diff(fragment, before, after)[0] == [0, str(number), 1, str(number)]
        assert SentFragments().all(fragment, after)[0] == [str(number), str(number)]
