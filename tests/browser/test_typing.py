"""The input rule in a browser: what the user types and chooses stays as it is entered, however slow
the server.

The tools of DEBUG let every frame take 300 ms longer in each direction.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.browser.conftest import visit, wait_until
from tests.browser.fields import TEXTS
from tests.browser.servers import AppServer, free_port

LATENCY = 300
SHORT = 100
INTERVAL = 20
LENGTH = 200

# Types with the browser's own editing. Whatever the server sends, the field keeps focus, text and
# caret as they were after the last character.
TYPIST = """id => {
  const field = document.getElementById(id);
  const state = () => [document.activeElement === field, field.value, field.selectionStart, field.selectionEnd];
  window.wrong = [];
  window.updates = 0;
  let last;
  const check = when => {
    const now = state();
    if (!now[0] || (last && String(now) !== String(last))) window.wrong.push([when, last, now]);
  };
  const insert = char => {
    check('before');
    if (char === '\\n') document.execCommand('insertLineBreak');
    else document.execCommand('insertText', false, char);
    last = state();
  };
  field.addEventListener('focusout', () => window.wrong.push('focusout'));
  document.addEventListener('keydown', () => { last = undefined; }, true);
  let version = djust.version;
  Object.defineProperty(djust, 'version', {
    get: () => version,
    set: number => {
      version = number;
      queueMicrotask(() => { check('updated'); window.updates++; });
    },
  });
  window.type = (text, interval) => {
    const characters = [...text];
    window.typed = new Promise(resolve => {
      const timer = setInterval(() => {
        if (characters.length) insert(characters.shift());
        else resolve(clearInterval(timer));
      }, interval);
    });
  };
  field.focus();
}"""


@pytest.fixture(scope="module")
def fields() -> Iterator[AppServer]:
    server = AppServer("tests.browser.fields:application", free_port())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SITE_DEBUG", "1")
        server.start()
    yield server
    server.stop()


def typed_text(name: str, rng: random.Random) -> str:
    if name == "number":
        return rng.choice("123456789") + "".join(rng.choices(string.digits, k=LENGTH - 1))
    alphabet = string.ascii_letters + string.digits + {"textarea": " \n", "text": " é"}.get(name, "")
    return "".join(rng.choices(alphabet, k=LENGTH))


def edited(text: str) -> str:
    """The text after it was typed with three steps to the left in the middle of it."""
    half = LENGTH // 2
    return text[: half - 3] + text[half:] + text[half - 3 : half]


def test_what_is_typed_is_what_stands_there_and_the_caret_stays(browser: Browser, fields: AppServer) -> None:
    """Every kind of field in a page of its own, all at the same time."""
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    texts = {name: typed_text(name, rng) for name in TEXTS}
    context = browser.new_context()
    pages = {name: context.new_page() for name in TEXTS}
    try:
        for name, page in pages.items():
            visit(page, fields.url + "/typing/")
            page.evaluate(f"djust.debug.latency({LATENCY})")
            page.evaluate(TYPIST, name)
        for half in (slice(LENGTH // 2), slice(LENGTH // 2, None)):
            for name, page in pages.items():
                page.evaluate(f"text => type(text, {INTERVAL})", texts[name][half])
            for page in pages.values():
                page.evaluate("typed")
                if half.start is None:
                    for _ in range(3):
                        page.keyboard.press("ArrowLeft")
        for name, page in pages.items():
            check_typed(page, name, edited(texts[name]), seed)
    finally:
        context.close()


def check_typed(page: Page, name: str, text: str, seed: int) -> None:
    wait_until(page, f"djust.pushEvent('shown').then(texts => texts.{name} === {TEXTS[name](text)!a})")
    assert page.evaluate("window.wrong") == [], f"{name}, seed {seed}"
    assert page.evaluate("window.updates") > 1, f"{name}, seed {seed}"
    field = page.locator(f"#{name}")
    assert field.input_value() == text, f"{name}, seed {seed}"
    assert page.evaluate("djust.debug.resyncs") == 0
    field.evaluate("field => field.blur()")
    assert field.input_value() == TEXTS[name](text), f"{name}, seed {seed}"


@pytest.fixture
def choosing(page: Page, fields: AppServer) -> Page:
    visit(page, fields.url + "/choosing/")
    return page


def slow(page: Page, milliseconds: int = SHORT) -> None:
    page.evaluate(f"djust.debug.latency({milliseconds})")


def say(page: Page, **values: Any) -> None:
    """The server changes the value without an event."""
    page.evaluate("values => djust.pushEvent('say', values)", values)


def settled(page: Page, n: int) -> None:
    expect(page.locator("#n")).to_have_text(str(n))


def test_a_choice_shows_at_once_and_then_what_the_server_makes_of_it(choosing: Page) -> None:
    slow(choosing)
    choices = {
        "yes": ("box => (box.click(), box.checked)", "box => box.checked", True, True),
        "no": ("box => (box.click(), box.checked)", "box => box.checked", True, False),
        "radio-b": ("box => (box.click(), box.checked)", "box => box.checked", True, True),
    }
    for n, (name, (act, read, at_once, later)) in enumerate(choices.items(), 1):
        field = choosing.locator(f"#{name}")
        field.focus()
        assert field.evaluate(act) == at_once, name
        settled(choosing, n)
        assert field.evaluate(read) == later, name
    radio = choosing.locator("#radio-c")
    radio.click()
    assert radio.is_checked()
    settled(choosing, 4)
    assert [choosing.locator(f"#radio-{o}").is_checked() for o in "abc"] == [False, True, False]


def test_selects_show_at_once_and_then_what_the_server_makes_of_it(choosing: Page) -> None:
    slow(choosing)
    single, multiple = choosing.locator("#single"), choosing.locator("#multiple")
    for n, (option, later) in enumerate([("b", "b"), ("c", "b"), ("a", "a")], 1):
        single.select_option(option)
        assert single.input_value() == option
        settled(choosing, n)
        assert single.input_value() == later
    chosen = "select => Array.from(select.selectedOptions, o => o.value).join('')"
    multiple.select_option(["a", "c"])
    assert multiple.evaluate(chosen) == "ac"
    settled(choosing, 4)
    assert multiple.evaluate(chosen) == "a"
    slow(choosing, 0)
    multiple.focus()
    say(choosing, multiple=["b", "c"])
    assert multiple.evaluate(chosen) == "a"
    multiple.blur()
    assert multiple.evaluate(chosen) == "bc"


def test_dates_ranges_and_colours_follow_the_rule(choosing: Page) -> None:
    slow(choosing)
    for n, (name, entered, later) in enumerate(
        [
            ("date", "2026-03-09", "2026-03-01"),
            ("range", "8", "5"),
            ("range", "7", "5"),
            ("color", "#ff0102", "#000102"),
        ],
        1,
    ):
        field = choosing.locator(f"#{name}")
        field.focus()
        field.fill(entered)
        assert field.input_value() == entered
        if name == "date":
            field.blur()
        settled(choosing, n)
        field.blur()
        assert field.input_value() == later, name


def test_half_a_date_is_left_alone(choosing: Page) -> None:
    date = choosing.locator("#date")
    date.focus()
    choosing.keyboard.press("Backspace")
    assert date.input_value() == ""
    say(choosing, date=None, n=7)
    settled(choosing, 7)
    assert date.evaluate("field => field.validity.badInput")


def test_what_is_chosen_while_an_answer_is_under_way_stays(choosing: Page) -> None:
    slow(choosing)
    choosing.evaluate("void djust.pushEvent('say', {yes: false, radio: 'c', single: 'c', range: 1})")
    choosing.locator("#yes").click()
    choosing.locator("#radio-b").click()
    choosing.locator("#single").select_option("b")
    choosing.locator("#range").fill("4")
    choosing.locator("#date").focus()
    assert choosing.locator("#yes").is_checked()
    settled(choosing, 5)
    assert choosing.locator("#yes").is_checked()
    assert choosing.locator("#radio-b").is_checked()
    assert choosing.locator("#single").input_value() == "b"
    assert choosing.locator("#range").input_value() == "4"


def fill_form(page: Page, name: str) -> None:
    page.locator("#note").fill("note")
    page.locator("#size").fill("9")
    page.locator("#box").check()
    page.locator("#kind").select_option("y")
    page.locator("#name").fill(name)


def form_values(page: Page) -> list[Any]:
    values: list[Any] = page.evaluate(
        "['name', 'size', 'note', 'kind'].map(id => document.getElementById(id).value)"
        ".concat(document.getElementById('box').checked, document.getElementById('file').files.length)"
    )
    return values


def test_a_submitted_form_is_cleared_even_if_the_server_says_nothing_new(choosing: Page) -> None:
    slow(choosing)
    choosing.locator("#file").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"a"})
    fill_form(choosing, "first")
    choosing.locator("#name").press("Enter")
    assert form_values(choosing) == ["first", "9", "note", "y", True, 1]
    expect(choosing.locator("li")).to_have_text(["first 9 note on y"])
    assert form_values(choosing) == ["", "1", "", "x", False, 1]
    expect(choosing.locator("#name")).to_be_focused()


def test_what_is_typed_after_the_submit_stays(choosing: Page) -> None:
    slow(choosing)
    fill_form(choosing, "first")
    choosing.locator("#name").press("Enter")
    choosing.locator("#name").press("!")
    expect(choosing.locator("li")).to_have_count(1)
    assert form_values(choosing) == ["first!", "1", "", "x", False, 0]


def test_a_form_that_was_refused_keeps_what_was_entered(choosing: Page) -> None:
    fill_form(choosing, "bad")
    choosing.locator("#name").press("Enter")
    expect(choosing.locator(".djust-error")).to_be_visible()
    assert form_values(choosing) == ["bad", "9", "note", "y", True, 0]


def test_what_fills_fields_in_for_the_user_counts_as_the_user(choosing: Page) -> None:
    slow(choosing)
    field = choosing.locator("#size")
    choosing.evaluate("void djust.pushEvent('say', {size: '5'})")
    field.evaluate("f => { f.value = 'filled'; f.dispatchEvent(new InputEvent('input', {bubbles: true})); }")
    settled(choosing, 1)
    assert field.input_value() == "filled"
    choosing.locator("#name").press("Enter")
    expect(choosing.locator("li")).to_have_text([" filled  x"])
    assert field.input_value() == "5"


def test_editable_content_is_left_alone(choosing: Page) -> None:
    edited = choosing.locator("#edited")
    edited.click()
    choosing.keyboard.press("End")
    choosing.keyboard.type(" mine")
    say(choosing, edited="theirs")
    settled(choosing, 1)
    choosing.keyboard.type("!")
    expect(edited).to_have_text("text mine!")
    expect(edited).to_be_focused()


def compose(session: CDPSession, text: str) -> None:
    session.send("Input.imeSetComposition", {"text": text, "selectionStart": len(text), "selectionEnd": len(text)})


def test_a_composition_is_not_broken_by_what_arrives(choosing: Page) -> None:
    """Also the first one of a field, and one in a field of a form that was submitted."""
    session = choosing.context.new_cdp_session(choosing)
    for n, name in enumerate(["ime", "size"], 1):
        field = choosing.locator(f"#{name}")
        field.evaluate(
            "field => { window.heard = []; for (const type of ['compositionstart', 'compositionend'])"
            " field.addEventListener(type, () => window.heard.push(type)); }"
        )
        field.focus()
        field.press("End")
        start = field.input_value()
        for text in ("n", "ni", "に"):
            compose(session, text)
            say(choosing, **{name: f"theirs {text}"})
            assert field.input_value() == start + text
        assert choosing.evaluate("window.heard") == ["compositionstart"]
        session.send("Input.insertText", {"text": "日"})
        say(choosing, **{name: "theirs at last"})
        assert choosing.evaluate("window.heard") == ["compositionstart", "compositionend"]
        assert field.input_value() == start + "日", n
        field.press("x")
        assert field.input_value() == start + "日x"
