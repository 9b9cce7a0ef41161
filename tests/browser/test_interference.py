"""Others change the page between our changes: what is theirs stays, and what is ours is right all
the same.

Between any two diffs "third parties" insert elements and comments anywhere in the body (`FOREIGN`),
add attributes and classes, wrap texts as translators do, take the focus and type. The oracle:

* **Ours.** After every diff the page without what is foreign equals a fresh parse of a fresh
  render. White space is not compared exactly: who puts a node between a row and the white space
  that belongs to it has taken the white space away.
* **Theirs, outside.** A foreign node around which nothing is ours to replace (no ancestor, its
  parent included, carries a mark, and it does not stand between the marks of a part) stays where it
  is. Otherwise it may go with what it is in.
* **Theirs, among rows.** A foreign element beside the rows of a loop of single elements stays
  somewhere in their parent; a comment may go with the last row.
* **Attributes and classes** of others stay as long as the element does; a class goes when the
  server says what the `class` of the element is.
* **No resync**, unless a node of ours was destroyed: the diff that needs it asks for all values,
  with which the page is right again, and the focus elsewhere has not moved.

Each failure names its seed.
"""

# ruff: noqa: E501 - one template, one line

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from djust.protocol.frames import answer
from tests.browser.test_patching import DIFFER, WATCH, Patched, Site, site  # noqa: F401
from tests.random_templates import Writer, changed, random_context

# Loading a page costs as much as fifty steps, so few pages are led through many.
TEMPLATES = 9
ROUNDS = 3
STEPS = 40
ROW_STEPS = 500

# A socket that can be fed in the page, and what others do.
HARNESS = """(() => {
  const Native = WebSocket;
  window.WebSocket = class extends Native {
    constructor(...args) { super(...args); window.socket = this; }
  };

  let seed = 0;
  const random = below => {  // mulberry32
    seed = (seed + 0x6D2B79F5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
  const pick = list => list[random(list.length)];
  const ours = () => [...document.body.querySelectorAll('*')].filter(element => !element.closest(
    '[foreign-node],[foreign-wrap],script,style,template,title,textarea'));

  const foreign = new Set();
  const insert = (parent, at) => {
    let node = document.createComment('foreign');
    if (random(4)) {
      node = document.createElement(pick(['ins', 'x-widget', 'p', 'input']));
      node.setAttribute('foreign-node', '');
      if (node.localName !== 'input') node.append('foreign');
    }
    parent.insertBefore(node, parent.childNodes[at] ?? null);
    foreign.add(node);
  };
  const acts = {
    insert() {
      const parent = pick([document.body, ...ours()]);
      insert(parent, random(parent.childNodes.length + 1));
    },
    start: () => insert(document.body, 0),
    script: () => insert(document.body, [...document.body.childNodes].indexOf(
      document.querySelector('body > script[data-djust]'))),
    attribute: () => pick([document.body, ...ours()]).setAttribute('foreign-' + random(3), 'x'),
    class: () => pick([document.body, ...ours()]).classList.add('foreign'),
    focus: () => pick([...document.querySelectorAll('input,textarea'), document.body]).focus(),
    type() {
      const field = pick([...document.querySelectorAll('input,textarea')]);
      if (!field) return;
      field.value = 'typed';
      field.dispatchEvent(new InputEvent('input', { bubbles: true }));
    },
    translate() {  // as the browsers' translators do
      const text = pick([...pick([document.body, ...ours()]).childNodes].filter(
        node => node.nodeType === 3 && node.data.trim()));
      if (!text) return;
      const font = document.createElement('font');
      font.setAttribute('foreign-wrap', '');
      text.replaceWith(font);
      font.append(text);
    },
    rows() {
      const parent = pick([...document.querySelectorAll('[rows]')]);
      if (parent) insert(parent, random(parent.childNodes.length + 1));
    },
  };

  // What must stay: nothing of ours that could be replaced is around it.
  const isOutside = node => {
    for (let at = node; at !== document.body; at = at.parentNode) {
      if (!at.parentNode || at.parentNode.hasAttribute('dj')) return false;
      let depth = 0;
      for (let before = at.previousSibling; before; before = before.previousSibling)
        if (before.nodeType === 8) depth += before.data === '[' ? 1 : before.data === ']' ? -1 : 0;
      if (depth) return false;
    }
    return true;
  };

  const tidy = root => {
    for (const font of root.querySelectorAll('[foreign-wrap]')) font.replaceWith(...font.childNodes);
    for (const node of root.querySelectorAll('[foreign-node],script[data-djust],.djust-banner')) node.remove();
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ALL);
    const gone = [];
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (node.nodeType === 8 && node.data === 'foreign') gone.push(node);
      if (node.nodeType !== 1) continue;
      for (const name of node.getAttributeNames()) if (name.startsWith('foreign-')) node.removeAttribute(name);
      const classes = [...node.classList].filter(name => name !== 'foreign');
      if (classes.length) node.setAttribute('class', classes.join(' '));
      else node.removeAttribute('class');
    }
    for (const node of gone) node.remove();
    root.normalize();
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const empty = [];
    while (texts.nextNode()) {
      const text = texts.currentNode;
      text.data = text.data.replace(/\\s+/g, ' ').trim();
      if (!text.data) empty.push(text);
    }
    for (const text of empty) text.remove();
    return root;
  };
  DIFFER
  window.difference = html => differ(
    tidy(unnumbered(document.documentElement.cloneNode(true))),
    tidy(new DOMParser().parseFromString(html, 'text/html').documentElement), '');

  window.feed = frame => socket.onmessage(new MessageEvent('message', { data: frame }));

  const checkTheirs = safe => {
    for (const [node, parent] of safe)
      if (node.parentNode !== parent) return `foreign ${node.outerHTML ?? 'comment'} has left ${parent.outerHTML}`;
    return '';
  };
  // Runs `[frame, html]` one by one; returns what went wrong first, and after which acts.
  window.run = (steps, start, names) => {
    seed = start;
    for (const [number, [frame, html]] of steps.entries()) {
      const done = [];
      for (let left = random(4); left > 0; left--) {
        done.push(pick(names));
        acts[done.at(-1)]();
      }
      const before = document.body.outerHTML;
      const safe = [...foreign].filter(node => node.isConnected && (isOutside(node)
        || (node.nodeType === 1 && node.parentNode.hasAttribute('rows')))).map(node => [node, node.parentNode]);
      feed(frame);
      const found = difference(html) || checkTheirs(safe);
      if (found) return `step ${number} after ${done}: ${found}\\n${frame}\\n${before}`;
    }
    return '';
  };
  window.interfere = (start, names) => { seed = start; for (const name of names) acts[name](); };
})()""".replace("DIFFER", DIFFER)

ACTS = ["insert", "insert", "insert", "start", "script", "attribute", "class", "focus", "type", "translate"]


TAKEN: Counter[str] = Counter()


class Prepared:
    """The frames that lead a page through contexts, and what it should show after each."""

    def __init__(self, patched: Patched) -> None:
        self.patched = patched
        self.steps: list[tuple[str, str]] = []

    def show(self, context: dict[str, Any]) -> None:
        patched = self.patched
        _, values = patched.fresh(context)
        diff, fragments = patched.sent.diff(patched.fragment, patched.values, values)
        patched.values = values
        patched.version += bool(diff)
        self._add(answer(0, patched.version, diff, fragments, {}))

    def show_all(self, context: dict[str, Any]) -> None:
        patched = self.patched
        _, patched.values = patched.fresh(context)
        values, fragments = patched.sent.all(patched.fragment, patched.values)
        patched.version += 1
        self._add(json.dumps(["all", patched.version, values, fragments]))

    def _add(self, frame: str) -> None:
        self.steps.append((frame, self.patched.fragment.html(self.patched.values)))

    def run(self, seed: int, acts: list[str]) -> str:
        TAKEN["steps"] += len(self.steps)
        found: str = self.patched.site.page.evaluate(
            "([steps, seed, acts]) => run(steps, seed, acts)", [self.steps, seed, acts]
        )
        self.steps.clear()
        return found


@pytest.fixture(scope="module", autouse=True)
def print_the_steps(request: pytest.FixtureRequest) -> Iterator[None]:
    """How much was tried is part of the result."""
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n  {TAKEN['steps']:,} changes of the server's between random acts of others")


@pytest.fixture
def harness(site: Site, page: Page) -> Site:  # noqa: F811
    page.add_init_script(HARNESS)
    page.add_init_script(WATCH)
    return site


def asked(site: Site) -> list[Any]:  # noqa: F811
    return [frame for frame in site.received if frame[0] == "resync"]


@pytest.mark.parametrize("block", range(8))
def test_what_others_do_to_the_page_does_no_harm(harness: Site, block: int) -> None:
    base = random.randrange(10**6)
    for seed in range(base, base + TEMPLATES):
        rng = random.Random(seed)
        source, partials = Writer(rng).page()
        context = random_context(rng)
        prepared = Prepared(Patched(harness, source, partials, context))
        for _ in range(ROUNDS):
            for _ in range(STEPS):
                context = changed(rng, context)
                prepared.show(context)
            context = changed(rng, context)
            prepared.show_all(context)
        found = prepared.run(seed, ACTS)
        assert found == "", f"seed {seed}: {found}\n{source}\n{partials}\n{harness.errors}"
        assert asked(harness) == [], f"seed {seed}: {harness.errors}\n{source}"


ROWS = """<!DOCTYPE html><html><head><title>r</title></head><body>
  <ul rows>{% for x in xs %}<li dj-key="{{ x.id }}">{{ x.label }}</li>{% endfor %}</ul>
  <ol rows>\n{% for x in xs %}  <li id="{{ x.id }}" class="{{ x.cls }}">{{ x.label }}<i>{{ x.id }}</i></li>\n{% endfor %}</ol>
  <table><tbody rows>{% for x in xs %}<tr><td>{{ x.label }}</td>{% if x.on %}<td>on</td>{% endif %}</tr>
  {% endfor %}</tbody></table>
  <div rows><p>first</p>{% for x in xs %}<p dj-key="{{ x.id }}">{{ x.label }}</p>{% endfor %}<p>last</p></div>
  <section>{% for x in xs %}<b>{{ x.label }}</b> {% for s in x.subs %}<u>{{ s.label }}</u>{% endfor %}{% endfor %}
  </section></body></html>"""


@pytest.mark.parametrize("block", range(2))
def test_what_stands_among_rows_stays_among_them(harness: Site, block: int) -> None:
    """A row that is more than one element reaches to the next one: what stands there is in it."""
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    context = random_context(rng) | {"xs": []}
    prepared = Prepared(Patched(harness, ROWS, {}, context))
    for _ in range(ROW_STEPS):
        context = changed(rng, {"xs": [], **context})
        prepared.show(context)
    found = prepared.run(seed, ["rows", "rows", "rows", "class", "insert"])
    assert found == "", f"seed {seed}: {found}\n{harness.errors}"
    assert asked(harness) == [], f"seed {seed}: {harness.errors}"


PARTS = """<!DOCTYPE html><html><head><title>{{ n }}</title></head><body>
  <aside><input id="elsewhere"></aside>
  <main>{% if f %}<div id="branch"><p id="text">{{ n }}</p><p id="attribute" class="{{ n }}">x</p>
    <p id="tag" {% if n %}title="{{ n }}"{% endif %}>x</p><textarea id="raw">{{ n }}</textarea>
    <p id="region">{{ s }}</p><p id="mixed">a {{ n }} b {{ t1 }} <b>c</b></p>
    <ul id="loop">{% for x in xs %}<li id="row-{{ x.id }}">{{ x.label }} <i>{{ n }}</i></li>{% endfor %}</ul>
    <section id="inner">{% if n %}<p><b id="deep">{{ n }}</b></p>{% endif %}</section></div>{% endif %}</main>
  <footer id="static"><p id="root">{{ n }}</p></footer></body></html>"""

DESTROY = {
    "text": "document.getElementById('text').remove()",
    "attribute": "document.getElementById('attribute').remove()",
    "tag": "document.getElementById('tag').replaceWith('x')",
    "raw": "document.getElementById('raw').remove()",
    "region": "document.getElementById('region').remove()",
    "mark": "document.getElementById('mixed').childNodes[1].remove()",
    "marks": "document.getElementById('mixed').replaceChildren()",
    "loop": "document.getElementById('loop').remove()",
    "row": "document.querySelector('#loop li').remove()",
    "inside a row": "document.querySelector('#loop i').remove()",
    "around": "document.querySelector('#inner p').remove()",
    "all of a branch": "document.getElementById('branch').remove()",
    "root": "document.getElementById('root').remove()",
    "around the root's": "document.getElementById('static').remove()",
    "moved out": "document.createElement('div').append(document.getElementById('text'))",
}


def send(patched: Patched, frame: list[Any], extra: dict[str, Any]) -> None:
    """Sends a frame with `extra` as its last member, and waits until the page has it and its
    reports are here.
    """
    patched.site.send(json.dumps([*frame, {"push": [["step", patched.version]], **extra}]))
    patched.site.page.wait_for_function("version => window.seen === version", arg=patched.version)
    patched.site.page.evaluate("0")


def show_whole(patched: Patched, *, whole: bool = True) -> None:
    values, fragments = patched.sent.all(patched.fragment, patched.values)
    patched.version += 1
    html = {"html": patched.fragment.html(patched.values)} if whole else {}
    send(patched, ["all", patched.version, values, fragments, 0], html)


def change(patched: Patched, context: dict[str, Any]) -> tuple[str, str]:
    """Shows a context, and answers as a server does until the client asks for nothing: what it has
    asked for, and the first difference.
    """
    _, values = patched.fresh(context)
    diff, fragments = patched.sent.diff(patched.fragment, patched.values, values)
    patched.values = values
    patched.version += bool(diff)
    send(patched, [0, patched.version, diff or 0, fragments], {})
    reasons = ""
    for _ in range(3):
        requests = asked(patched.site)
        patched.site.received.clear()
        if not requests:
            return reasons, patched.site.page.evaluate("difference", patched.fragment.html(values))
        ((_, reason, whole),) = requests
        reasons += f"{reason};"
        show_whole(patched, whole=whole)
    raise AssertionError(f"The client goes on asking: {reasons}")


@pytest.mark.parametrize("bound", [False, True], ids=["at first sight", "bound before"])
def test_what_others_destroyed_is_noticed_and_healed_in_place(harness: Site, bound: bool) -> None:
    rng = random.Random(1)
    context = random_context(rng) | {"f": True, "n": 1, "t1": "t", "xs": [{"id": i, "label": "l"} for i in range(3)]}
    for name, destroy in DESTROY.items():
        patched = Patched(harness, PARTS, {}, context)
        page = harness.page
        if bound:
            assert patched.show(context | {"n": 2, "s": "b", "t1": "v"}) == ""
        page.evaluate("document.getElementById('elsewhere').focus(); window.kept = document.activeElement")
        page.evaluate("kept.parentNode.append(document.createElement('x-widget'))")
        page.evaluate("document.querySelector('x-widget').setAttribute('foreign-node', '')")
        page.evaluate(destroy)
        reasons, found = change(patched, context | {"n": 3, "s": "c", "t1": "u"})
        assert reasons, name
        assert found == "", f"{name}: {reasons}"
        assert page.evaluate("document.activeElement === kept"), name
        if not name.startswith(("root", "around the root")):
            assert page.evaluate("document.querySelectorAll('x-widget').length") == 1, name
        assert change(patched, context | {"n": 4, "s": "d", "t1": "w"}) == ("", ""), name


# Removes or moves something that the server made; it says what.
VANDAL = """seed => {
  let state = seed;
  const random = below => (state = (state * 48271) % 2147483647) % below;
  const marks = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_COMMENT);
  while (walker.nextNode()) marks.push(walker.currentNode);
  const elements = [...document.body.querySelectorAll(':not(script)')];
  const nodes = random(3) ? elements : marks;
  if (!nodes.length) return 'nothing';
  const node = nodes[random(nodes.length)];
  const what = node.outerHTML ?? node.data;
  const place = elements[random(elements.length)];
  if (random(2) || !place || node.contains(place)) return node.remove(), 'removed ' + what;
  return place.before(node), 'moved ' + what;
}"""


@pytest.mark.parametrize("block", range(4))
def test_a_page_that_others_have_taken_apart_can_be_put_together(harness: Site, block: int) -> None:
    """What is destroyed is noticed when something is to change there; the whole document makes up
    for anything.
    """
    base = random.randrange(10**6)
    for seed in range(base, base + 6):
        rng = random.Random(seed)
        source, partials = Writer(rng).page()
        context = random_context(rng)
        patched = Patched(harness, source, partials, context)
        for _ in range(5):
            done = harness.page.evaluate(VANDAL, rng.randrange(1, 10**6))
            for _ in range(3):
                context = changed(rng, context)
                change(patched, context)
            show_whole(patched)
            found = harness.page.evaluate("difference", patched.fragment.html(patched.values))
            assert found == "", f"seed {seed}, {done}: {found}\n{source}\n{partials}"
            context = changed(rng, context)
            assert change(patched, context) == ("", ""), f"seed {seed}, {done}, afterwards\n{source}\n{partials}"
