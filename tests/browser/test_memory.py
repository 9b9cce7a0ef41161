"""Ten thousand times a list is created and cleared: nothing of it stays in the browser.

The frames are put into the page's own socket, a thousand cycles at a time, so that the server and
the network cost nothing; the client receives, applies and answers as ever. Between batches some
rows are typed into and clicked, as users do.
"""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import CDPSession, Page

from djust.render.values import Values
from tests.browser.test_patching import Patched, Site, site  # noqa: F401

BATCHES = 10
CYCLES = 1000
# What a browser's own caches and counters may add in all these cycles.
NODES = 200
LISTENERS = 10
BYTES = 300_000

SOURCE = """<!DOCTYPE html><html><head><title>m</title></head><body><p>{{ n }}</p><ul>{% for row in rows %}
  <li dj-key="{{ row }}" class="{{ n }}"><input name="i" value="{{ row }}"><b dj-click="hit" dj-multiple>{{ row }}</b>
    {% if n %}<i>{{ n }}</i>{% endif %}{% for x in row %}<u>{{ x }}</u>{% endfor %}{{ raw }}</li>{% endfor %}</ul>
  <table>{% for row in rows %}<tr><td>{{ row }}</td></tr>{% endfor %}</table></body></html>"""

# Keeps the client's socket at hand; it is called as if frames had come through it.
HOLD = """(() => {
  const Native = WebSocket;
  window.WebSocket = class extends Native {
    constructor(...args) { super(...args); window.socket = this; }
  };
})()"""

RUN = """([frames, version, cycles]) => {
  for (let cycle = 0; cycle < cycles; cycle++)
    for (const frame of frames) {
      frame[1] = ++version;
      socket.onmessage(new MessageEvent('message', { data: JSON.stringify(frame) }));
    }
  return [version, djust.version];
}"""

USE = """() => {
  for (const field of document.querySelectorAll('input')) {
    field.focus();
    field.value = 'typed';
    field.dispatchEvent(new InputEvent('input', { bubbles: true }));
  }
  for (const row of document.querySelectorAll('b')) row.click();
}"""


def context(rows: list[str], n: int) -> dict[str, Any]:
    return {"rows": rows, "n": n, "raw": ""}


def frames_of(patched: Patched, *contexts: dict[str, Any]) -> list[Any]:
    """The frames that lead through the contexts; skeletons and plans were sent before."""
    frames = []
    for shown in contexts:
        _, values = patched.fresh(shown)
        diff, fragments = patched.sent.diff(patched.fragment, patched.values, values)
        assert not fragments
        patched.values = values
        frames.append([0, 0, diff])
    return frames


def measured(session: CDPSession) -> dict[str, float]:
    """What is there after all garbage is gone."""
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    found = session.send("Performance.getMetrics")["metrics"]
    names = ("Nodes", "JSEventListeners", "JSHeapUsedSize")
    sizes = {metric["name"]: metric["value"] for metric in found if metric["name"] in names}
    return {**sizes, "entries": entries(session)}


def entries(session: CDPSession) -> float:
    """The entries of all maps and sets there are in the page."""
    total = 0
    for name in ("Map", "Set"):
        prototype = session.send("Runtime.evaluate", {"expression": f"{name}.prototype"})["result"]["objectId"]
        objects = session.send("Runtime.queryObjects", {"prototypeObjectId": prototype})["objects"]["objectId"]
        count = "function() { return this.reduce((sum, found) => sum + found.size, 0); }"
        call = {"objectId": objects, "functionDeclaration": count, "returnByValue": True}
        total += session.send("Runtime.callFunctionOn", call)["result"]["value"]
        session.send("Runtime.releaseObject", {"objectId": objects})
    return total


def answer_all(site: Site) -> None:  # noqa: F811
    """Answers the clicks: nothing waits any longer."""
    for frame in site.received:
        if isinstance(frame[0], int):
            site.send(json.dumps([frame[0]]))
    site.received.clear()


def run(page: Page, patched: Patched, frames: list[Any], cycles: int) -> None:
    version, shown = page.evaluate(RUN, [frames, patched.version, cycles])
    assert version == shown
    patched.version = version


def test_nothing_is_left_of_ten_thousand_lists(site: Site, page: Page) -> None:  # noqa: F811
    page.add_init_script(HOLD)
    page.add_init_script("document.addEventListener('djust:step', event => { window.seen = event.detail; });")
    empty, full = context([], 0), context(["ab", "cd", "ef"], 1)
    patched = Patched(site, SOURCE, {}, empty)
    for shown in (full, {**full, "n": 2}, empty):
        assert patched.show(shown) == ""
    start: Values = patched.values
    frames = frames_of(patched, full, {**full, "n": 2}, empty)
    assert patched.values == start
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    before: dict[str, float] = {}
    for batch in range(BATCHES + 1):
        assert patched.show(full) == ""
        page.evaluate(USE)
        page.wait_for_timeout(0)
        answer_all(site)
        assert patched.show(empty) == ""
        if batch == 1:
            before = measured(session)
        run(page, patched, frames, CYCLES)
    for _ in range(20):
        grown = {name: value - before[name] for name, value in measured(session).items()}
        if grown["Nodes"] <= NODES:
            break
        # Not all garbage is found while its last users are still on the browser's stacks.
        page.wait_for_timeout(100)
    assert grown["Nodes"] <= NODES, grown
    assert grown["entries"] <= 0, grown
    assert grown["JSEventListeners"] <= LISTENERS, grown
    assert grown["JSHeapUsedSize"] <= BYTES, grown
    assert patched.difference() == ""
    assert site.errors == []
