"""After every diff the page in a real browser equals what parsing a fresh render gives.

The page is served, and its socket answered, by the test itself: compiler, diff and client are what
is tested.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute

from djust.protocol.frames import answer
from djust.render.diff import SentFragments
from djust.render.values import Fragment, Values
from tests.random_templates import Writer, changed, random_context
from tests.test_template import engine, evaluated

CLIENT = Path(__file__).parents[2] / "src" / "djust" / "static" / "djust" / "djust.js"
SITE = "http://djust.test"
SCRIPT = '<script src="/djust.js" data-djust="ticket" defer></script>'

# The first difference between two nodes, "" if there is none; marks may be numbered.
DIFFER = """
  const unnumbered = root => {
    for (const marked of root.querySelectorAll('[dj]'))
      if (/^\\d+$/.test(marked.getAttribute('dj'))) marked.setAttribute('dj', '');
    return root;
  };
  const show = node => node ? node.outerHTML ?? `${node.nodeName} ${JSON.stringify(node.data)}` : 'nothing';
  const differ = (a, b, path) => {
    if (a && b && a.isEqualNode(b)) return '';
    const kids = a && b && a.nodeType === 1 && b.nodeType === 1 && a.cloneNode().isEqualNode(b.cloneNode());
    if (!kids) return `${path}: shown ${show(a)}, fresh ${show(b)}`;
    for (let i = 0; i < Math.max(a.childNodes.length, b.childNodes.length); i++) {
      const found = differ(a.childNodes[i], b.childNodes[i], `${path}/${a.nodeName}[${i}]`);
      if (found) return found;
    }
    return '';
  };
"""

# Compares the document with fresh HTML; the answer is "" or where the first difference is.
COMPARE = """html => {
  DIFFER
  const tidy = root => {
    for (const ours of root.querySelectorAll('script[data-djust], .djust-banner')) ours.remove();
    root.normalize();
    return root;
  };
  const fresh = tidy(new DOMParser().parseFromString(html, 'text/html').documentElement);
  const shown = tidy(unnumbered(document.documentElement.cloneNode(true)));
  return differ(shown, fresh, '');
}""".replace("DIFFER", DIFFER)


class Site:
    """One page, served from memory, whose socket the test holds."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.html = ""
        self.socket: WebSocketRoute | None = None
        self.received: list[Any] = []
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.route(f"{SITE}/**", self._serve)
        page.route_web_socket("**/djust/socket/", self._connect)

    def _serve(self, route: Route) -> None:
        if route.request.url.endswith(".js"):
            script = CLIENT.parent / route.request.url.rpartition("/")[2]
            route.fulfill(body=script.read_text(), content_type="text/javascript")
        elif route.request.url.endswith(".ico"):
            route.fulfill(status=204)
        else:
            route.fulfill(body=self.html, content_type="text/html; charset=utf-8")

    def _connect(self, socket: WebSocketRoute) -> None:
        self.socket = socket

        def receive(message: str | bytes) -> None:
            frame = json.loads(message)
            self.received.append(frame)
            if frame[0] == "join":
                socket.send('["joined",0]')

        socket.on_message(receive)

    def open(self, html: str) -> None:
        position = html.rfind("</body>")
        self.html = html[:position] + SCRIPT + html[position:] if position != -1 else html + SCRIPT
        self.received.clear()
        self.page.goto(SITE)
        self.page.wait_for_function("window.djust && window.djust.connected")

    def send(self, frame: str) -> None:
        assert self.socket is not None
        self.socket.send(frame)

    def difference(self, html: str) -> str:
        found: str = self.page.evaluate(COMPARE, html)
        return found


@pytest.fixture
def site(page: Page) -> Site:
    return Site(page)


class Patched:
    """A template shown in a browser and patched from context to context."""

    def __init__(self, site: Site, source: str, partials: dict[str, str], context: dict[str, Any]) -> None:
        self.site = site
        self.template = engine(partials).from_string(source)
        self.sent = SentFragments()
        self.version = 0
        self.fragment, self.values = self.fresh(context)
        self.site.open(self.fragment.html(self.values))

    def fresh(self, context: dict[str, Any]) -> tuple[Fragment, Values]:
        return evaluated(self.template, context)

    def show(self, context: dict[str, Any]) -> str:
        """Patch to `context`; returns the first difference from a fresh render, or ""."""
        _, values = self.fresh(context)
        diff, fragments = self.sent.diff(self.fragment, self.values, values)
        self.values = values
        self.version += bool(diff)
        alone = bool(diff) and self.version % 2 == 1  # a diff and nothing else takes a shorter way
        extra = {} if alone else {"push": [["step", self.version]]}
        self.site.send(answer(0, self.version, diff, fragments, extra))
        done = "djust.version" if alone else "seen"
        self.site.page.wait_for_function(f"version => window.{done} === version", arg=self.version)
        return self.difference()

    def show_all(self, context: dict[str, Any]) -> str:
        """Send all values of `context`, as after a lost page."""
        _, self.values = self.fresh(context)
        values, fragments = self.sent.all(self.fragment, self.values)
        self.version += 1
        extra = {"push": [["step", self.version]]}
        self.site.send(json.dumps(["all", self.version, values, fragments, 0, extra]))
        self.site.page.wait_for_function("version => window.seen === version", arg=self.version)
        return self.difference()

    def difference(self) -> str:
        unexpected = [frame for frame in self.site.received if frame[0] not in ("join", "ping")]
        assert not unexpected, f"the client sent {unexpected}: {self.site.errors}"
        return self.site.difference(self.fragment.html(self.values))


WATCH = "document.addEventListener('djust:step', event => { window.seen = event.detail; });"


@pytest.mark.parametrize("block", range(8))
def test_a_patched_page_equals_a_fresh_render_after_every_step(site: Site, block: int) -> None:
    site.page.add_init_script(WATCH)
    for seed in range(block * 1000, block * 1000 + 25):
        rng = random.Random(seed)
        source, partials = Writer(rng).page()
        context = random_context(rng)
        patched = Patched(site, source, partials, context)
        assert patched.difference() == "", f"seed {seed}, first page: {source}"
        for step in range(6):
            context = changed(rng, context)
            found = patched.show(context)
            assert found == "", f"seed {seed}, step {step}: {source}\n{partials}\n{context}"
        context = changed(rng, context)
        found = patched.show_all(context)
        assert found == "", f"seed {seed}, all values: {source}\n{partials}\n{context}"
        assert patched.show(changed(rng, context)) == "", f"seed {seed}, after all values"
        assert site.errors == [], f"seed {seed}: {source}"
