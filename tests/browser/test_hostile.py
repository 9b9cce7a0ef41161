"""A page that belongs to others too: translators, drag libraries, scripts that open dialogs, forms
whose fields hide properties.
"""

# ruff: noqa: E501 - one template, one line

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.test_interference import change, harness, show_whole  # noqa: F401
from tests.browser.test_patching import WATCH, Patched, Site, site  # noqa: F401


@pytest.fixture
def shown(site: Site, page: Page) -> Site:  # noqa: F811
    page.add_init_script(WATCH)
    return site


def body(text: str) -> str:
    return f"<!DOCTYPE html><html><head><title>h</title></head><body>{text}</body></html>"


def asked(site: Site) -> list[Any]:  # noqa: F811
    return [frame for frame in site.received if frame[0] == "resync"]


TRANSLATE = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) if (walker.currentNode.data.trim()) texts.push(walker.currentNode);
  for (const text of texts) {
    const [outer, inner] = [document.createElement('font'), document.createElement('font')];
    inner.append('translated ' + text.data);
    outer.append(inner);
    text.replaceWith(outer);
  }
}"""


def test_a_translated_page_goes_on_living(shown: Site) -> None:
    source = body("""<p id="text">{{ a }}</p><p id="mixed">It is {{ a }} now, {{ b }}</p>
      <ul>{% for x in xs %}<li dj-key="{{ x }}">item {{ x }}</li>{% endfor %}</ul>{% if f %}<b>yes</b>{% else %}<i>no</i>{% endif %}""")
    patched = Patched(shown, source, {}, {"a": 1, "b": 2, "xs": [1, 2, 3], "f": True})
    shown.page.evaluate(TRANSLATE)
    step(patched, {"a": 5, "b": 2, "xs": [3, 1, 4], "f": False})
    texts = shown.page.evaluate(
        "['#text', '#mixed', 'ul', 'i'].map(name => document.querySelector(name).textContent.replace(/\\s+/g, ' ').trim())"
    )
    assert texts == ["5", "It is 5 now, 2", "translated item 3translated item 1item 4", "no"]
    assert asked(shown) == [], shown.errors


def step(patched: Patched, context: dict[str, Any]) -> None:
    """Shows a context without asking what stands there."""
    _, values = patched.fresh(context)
    diff, fragments = patched.sent.diff(patched.fragment, patched.values, values)
    patched.values = values
    patched.version += bool(diff)
    patched.site.send(json.dumps([0, patched.version, diff or 0, fragments, {"push": [["step", patched.version]]}]))
    patched.site.page.wait_for_function("version => window.seen === version", arg=patched.version)


@pytest.mark.parametrize("order", ["4123", "2341", "4321", "2143", "3142"])
def test_rows_that_were_dragged_stand_where_the_server_then_says(shown: Site, order: str) -> None:
    source = body('<ul dj-hook="Sortable">{% for x in xs %}\n  <li dj-key="{{ x }}">{{ x }}</li>{% endfor %}</ul>')
    patched = Patched(shown, source, {}, {"xs": list("1234")})
    shown.page.evaluate("() => new Promise(mounted => djust.registerHook('Sortable', { mounted }))")
    shown.page.evaluate(
        "order => { for (const name of order) document.querySelector('ul').append(document.querySelector(`[dj-key='${name}']`)); }",
        order,
    )
    step(patched, {"xs": list(order)})
    keys = "[...document.querySelectorAll('li')].map(row => row.textContent).join('')"
    assert shown.page.evaluate(keys) == order
    step(patched, {"xs": ["new", *order[1:]]})
    assert asked(shown) == [], shown.errors
    assert shown.page.evaluate(keys) == "new" + order[1:]
    assert asked(shown) == [], shown.errors


def test_a_row_that_was_dropped_behind_the_end_of_its_loop_is_one_of_its_rows(harness: Site) -> None:  # noqa: F811
    source = body("""<ul dj-hook="Sortable">
      <li>first</li>
      {% for x in xs %}
        <li dj-key="{{ x }}">{{ x }}</li>
      {% endfor %}
    </ul>""")
    patched = Patched(harness, source, {}, {"xs": list("1234")})
    harness.page.evaluate("() => new Promise(mounted => djust.registerHook('Sortable', { mounted }))")
    harness.page.evaluate("document.querySelector('ul').append(document.querySelector('[dj-key]'))")

    for xs in ("2341", "5342", "", "1", "21"):
        assert change(patched, {"xs": list(xs)}) == ("", "")
    show_whole(patched, whole=False)
    assert change(patched, {"xs": list("12")}) == ("", "")


def test_what_the_user_opened_in_raw_html_stays_open_when_the_html_changes(shown: Site) -> None:
    source = body("<main>{{ html|safe }}</main>")

    def html(number: int) -> str:
        return f"<p>{number}</p><details><summary>s</summary>more</details><dialog id=m>modal {number}</dialog><dialog id=d>other {number}</dialog>"

    patched = Patched(shown, source, {}, {"html": html(1)})
    page = shown.page
    page.click("summary")
    page.evaluate(
        "document.getElementById('d').show(); document.getElementById('m').showModal(); void djust.pushEvent('x')"
    )
    shown.send(json.dumps([1]))
    for number in (2, 3):
        step(patched, {"html": html(number)})
        assert page.evaluate("[...document.querySelectorAll('details,dialog')].map(it => it.open)") == [True] * 3
        assert page.evaluate("document.getElementById('m').matches(':modal')")
        assert page.text_content("#m") == f"modal {number}"
    assert asked(shown) == [], shown.errors


def test_a_form_may_have_fields_with_the_names_of_properties(shown: Site) -> None:
    names = [
        "attributes",
        "elements",
        "name",
        "type",
        "id",
        "children",
        "value",
        "form",
        "options",
        "open",
        "data",
        "content",
        "checked",
    ]
    fields = "".join(f'<input name="{name}" value="{name}">' for name in names)
    source = body(
        f'<form dj-submit="save" data-n="{{{{ n }}}}" class="{{{{ n }}}}">{fields}<b dj-click="hit">{{{{ n }}}}</b><button>ok</button></form><main>{{{{ html|safe }}}}</main>'
    )
    patched = Patched(shown, source, {}, {"n": 1, "html": f"<form>{fields}</form>"})
    page = shown.page
    page.evaluate("document.querySelector('b').click(); document.querySelector('button').click()")
    page.wait_for_function("document.querySelector('form').classList.contains('dj-waiting')")
    events = [frame for frame in shown.received if isinstance(frame[0], int)]
    assert [frame[1] for frame in events] == ["hit", "save"]
    assert events[1][2] == {"n": "1", **{name: name for name in names}}
    for ref, _, *_ in events:
        shown.send(json.dumps([ref]))
    shown.received.clear()
    step(patched, {"n": 2, "html": f"<form class=x>{fields}</form>"})
    assert shown.difference(patched.fragment.html(patched.values)) == ""
    assert shown.errors == []
    assert asked(shown) == [], shown.errors


def test_ids_that_are_not_unique_do_no_harm(shown: Site) -> None:
    source = body("<main>{{ html|safe }}</main>")
    orders = ["aab", "aba", "baa", "ba", "aaab", "b", ""]
    patched = Patched(shown, source, {}, {"html": ""})
    for number, order in enumerate(orders):
        html = "".join(f"<p id={name}>{name}{number}<input id=f{name}></p>" for name in order)
        step(patched, {"html": html})
        assert shown.difference(patched.fragment.html(patched.values)) == "", order
        shown.page.evaluate("document.querySelector('input')?.focus()")
    assert asked(shown) == [], shown.errors


def test_what_a_field_shows_survives_whatever_stands_around_it(shown: Site) -> None:
    """A tag part, a branch and a loop around fields in which the user has typed or chosen
    something.
    """
    source = body("""<form {% if n %}title="{{ n }}"{% endif %}><input id="text" value="{{ n }}"><input id="number" type="number" value="{{ n }}">
      <select id="many" multiple>{% for x in xs %}<option dj-key="{{ x }}" value="{{ x }}"{% if x == n %} selected{% endif %}>{{ x }} of {{ n }}</option>{% endfor %}</select>
      <input type="radio" name="r" value="1"{% if n == 1 %} checked{% endif %}><input type="radio" name="r" value="2"{% if n == 2 %} checked{% endif %}>
      <textarea id="area">{{ n }}</textarea></form><p>{{ n }}</p>""")
    patched = Patched(shown, source, {}, {"n": 1, "xs": [1, 2, 3]})
    page = shown.page
    page.fill("#area", "mine")
    page.check("input[value='2']")
    page.select_option("#many", ["2", "3"])
    page.fill("#number", "77")
    page.focus("#text")
    page.keyboard.type("typed")
    page.evaluate("document.getElementById('text').setSelectionRange(2, 4)")
    step(patched, {"n": 5, "xs": [3, 2, 1, 4]})
    state = page.evaluate("""() => {
      const [text, number, many, area] = ['text', 'number', 'many', 'area'].map(id => document.getElementById(id));
      return [text.value.replace('1', ''), text.selectionStart, text.selectionEnd, document.activeElement.id, number.value, area.value,
        [...many.selectedOptions].map(option => option.value).sort(), document.querySelector('input[value="2"]').checked];
    }""")
    assert state == ["typed", 2, 4, "text", "77", "mine", ["2", "3"], True]
    assert asked(shown) == [], shown.errors


def test_a_popover_stays_open_and_a_frame_stays_loaded(shown: Site) -> None:
    source = body("""<section class="c{{ n }}"><div id="p" popover title="{{ n }}">{{ n }} {% if n %}<b>{{ n }}</b>{% endif %}</div>
      <iframe id="f" title="{{ n }}" srcdoc="<p>x</p>"></iframe></section><main>{{ html|safe }}</main>""")
    patched = Patched(shown, source, {}, {"n": 1, "html": "<div id=q popover>1</div><p>1</p>"})
    page = shown.page
    page.wait_for_function("document.getElementById('f').contentDocument?.querySelector('p')")
    page.evaluate(
        "document.getElementById('q').showPopover(); document.getElementById('p').popover = 'manual'; document.getElementById('p').showPopover(); document.getElementById('f').contentWindow.kept = 1"
    )
    step(patched, {"n": 2, "html": "<i>new</i><div id=q popover>2</div><p>2</p>"})
    assert page.evaluate("['p', 'q'].map(id => document.getElementById(id).matches(':popover-open'))") == [True, True]
    assert page.evaluate("document.getElementById('f').contentWindow.kept") == 1
    assert asked(shown) == [], shown.errors


def test_custom_elements_that_make_their_own_content_keep_it(shown: Site) -> None:
    shown.page.add_init_script("""customElements.define('x-box', class extends HTMLElement {
      connectedCallback() {
        if (this.firstElementChild?.localName === 'header') return;
        this.prepend(document.createElement('header'));
        this.attachShadow({ mode: 'open' }).innerHTML = '<slot></slot>';
        this.setAttribute('ready', '');
      }
    })""")
    source = body("""<x-box class="{{ n }}"><p>{{ n }}</p>{% for x in xs %}<i>{{ x }}</i>{% endfor %}</x-box>
      <div>{% for x in xs %}<x-box dj-key="{{ x }}"><b>{{ x }} {{ n }}</b></x-box>{% endfor %}</div>""")
    patched = Patched(shown, source, {}, {"n": 1, "xs": [1, 2]})
    step(patched, {"n": 2, "xs": [3, 2, 4, 1]})
    step(patched, {"n": 3, "xs": [4, 2]})
    boxes = shown.page.evaluate(
        "[...document.querySelectorAll('x-box')].map(box => box.outerHTML.replace(/ dj=\"\\d*\"|<!--.*?-->/g, ''))"
    )
    header = "<header></header>"
    assert boxes == [
        f'<x-box class="3" ready="">{header}<p>3</p><i>4</i><i>2</i></x-box>',
        *(f'<x-box dj-key="{x}" ready="">{header}<b>{x} 3</b></x-box>' for x in (4, 2)),
    ]
    assert asked(shown) == [], shown.errors


def test_an_editor_is_left_alone_while_somebody_writes_in_it(shown: Site) -> None:
    source = body('<div id="e" contenteditable class="c{{ n }}"><p>{{ n }}</p></div><main>{{ html|safe }}</main>')

    def html(number: int) -> str:
        return f"<div id=r contenteditable><p>{number}</p></div><b>{number}</b>"

    patched = Patched(shown, source, {}, {"n": 1, "html": html(1)})
    page = shown.page
    for number, name in ((2, "e"), (3, "r")):
        page.click(f"#{name} p")
        page.keyboard.press("End")
        page.keyboard.type("!")
        step(patched, {"n": number, "html": html(number)})
        page.keyboard.type("?")
        assert page.text_content(f"#{name}") == f"{number - 1}!?"
        assert page.text_content("main b") == str(number)
    assert asked(shown) == [], shown.errors
