"""A page whose outermost template becomes another one: the document follows, the page goes on."""

from __future__ import annotations

import json

from playwright.sync_api import Page

from djust.protocol.frames import ALL, EXTRA_HTML, answer
from djust.render.diff import SentFragments
from tests.browser.test_patching import Site
from tests.test_template import engine, evaluated

BLOCK = "{% block b %}{% endblock %}"
PARENTS = {
    "a.html": f"<html><head><title>A</title></head><body class='a'><p>{{{{ n }}}}</p>{BLOCK}</body></html>",
    "b.html": f"<html><head><title>B {{{{ n }}}}</title></head><body><main>{BLOCK}</main>{{{{ n }}}}!</body></html>",
}


def test_another_outermost_parent_replaces_the_document_and_later_diffs_apply(page: Page) -> None:
    site = Site(page)
    template = engine(PARENTS).from_string("{% extends parent %}{% block b %}<b>{{ n }}</b>{% endblock %}")
    sent = SentFragments()
    fragment, values = evaluated(template, {"parent": "a.html", "n": 1})
    site.open(fragment.html(values))
    other, fresh = evaluated(template, {"parent": "b.html", "n": 2})
    assert other is not fragment
    all_values, fragments = sent.all(other, fresh)
    site.send(json.dumps([ALL, 1, all_values, fragments, 0, {EXTRA_HTML: other.html(fresh)}]))
    site.page.wait_for_function("document.title === 'B 2'")
    assert site.difference(other.html(fresh)) == ""
    _, later = evaluated(template, {"parent": "b.html", "n": 3})
    diff, fragments = sent.diff(other, fresh, later)
    site.send(answer(0, 2, diff, fragments, {}))
    site.page.wait_for_function("document.title === 'B 3'")
    assert site.difference(other.html(later)) == ""
    assert site.errors == []
