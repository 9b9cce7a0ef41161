"""Hooks, replies and pushed events in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import visit, wait_until
from tests.browser.servers import AppServer

pytestmark = pytest.mark.usefixtures("violations")


def take(page: Page) -> Any:
    return page.evaluate("(window.log ?? []).splice(0)")


def opened(page: Page, site: AppServer) -> None:
    visit(page, site.url + "/hooks/")
    wait_until(page, "window.log && window.log.includes('reply 8')")


def test_a_hook_is_mounted_and_gets_replies(page: Page, site: AppServer) -> None:
    opened(page, site)
    assert take(page) == ["Chart mounted chart", "reply 8"]
    assert page.evaluate("djust.pushEvent('double', {n: 21})") == {"twice": 42}
    failed = page.evaluate("djust.pushEvent('unfit').then(() => 'kept', error => error.message)")
    assert failed == "Something went wrong. What the page shows is up to date; you may try again."
    expect(page.locator(".djust-notice[role=alert]")).to_have_text(failed)


def test_hooks_are_mounted_although_their_file_could_not_be_loaded_at_first(page: Page, site: AppServer) -> None:
    requests: list[str] = []

    def fail_twice(route: Route) -> None:
        requests.append(route.request.url)
        if len(requests) > 2:
            route.continue_()
        else:
            route.abort()

    page.route("**/djust.hooks.js*", fail_twice)
    opened(page, site)
    assert take(page) == ["Chart mounted chart", "reply 8"]
    assert len(requests) == 3


def test_updated_is_called_for_changes_in_the_element_only_and_events_come_after_them(
    page: Page, site: AppServer
) -> None:
    opened(page, site)
    take(page)
    page.locator("#n").click()
    wait_until(page, "window.events && window.events.length === 4")
    assert take(page) == ["Chart updated 1 1", "counted 1 1"]
    assert page.evaluate("window.events") == [
        ["djust:push_event", {"name": "counted", "payload": {"n": 1}}],
        ["djust:counted", {"n": 1}],
        ["djust:push_event", {"name": "second", "payload": None}],
        ["djust:second", None],
    ]
    page.locator("#o").click()
    expect(page.locator("p").first).to_have_text("1")
    assert take(page) == []


def test_hooks_may_be_registered_late_and_end_with_their_elements(page: Page, site: AppServer) -> None:
    opened(page, site)
    take(page)
    page.locator("#s").click()
    expect(page.locator("#late")).to_be_visible()
    assert take(page) == []
    page.evaluate("djust.registerHook('Late', window.lateHook)")
    assert take(page) == ["Late mounted late"]
    page.locator("#s").click()
    expect(page.locator("#late")).to_have_count(0)
    assert take(page) == ["Late destroyed"]
    page.locator("#s").click()
    expect(page.locator("#late")).to_be_visible()
    assert take(page) == ["Late mounted late"]


def test_what_is_ignored_belongs_to_scripts_of_the_page(page: Page, site: AppServer) -> None:
    reports: list[str] = []
    page.on("console", lambda message: reports.append(message.text) if "djust:" in message.text else None)
    opened(page, site)
    page.evaluate("""() => { const widget = document.getElementById('widget');
      widget.replaceChildren('mine'); document.getElementById('raw').textContent = 'mine too'; }""")
    for n in (1, 2):
        page.locator("#n").click()
        expect(page.locator("#chart i")).to_have_text(str(n))
    expect(page.locator("#widget")).to_have_text("mine")
    expect(page.locator("#widget")).to_have_class("c2")
    expect(page.locator("#raw")).to_have_text("mine too")
    expect(page.locator("em")).to_have_text("2")
    page.locator("#s").click()
    expect(page.locator("#owned")).to_have_text("2")
    page.evaluate("document.getElementById('owned').textContent = 'owned'")
    page.locator("#n").click()
    expect(page.locator("em")).to_have_text("3")
    expect(page.locator("#owned")).to_have_text("owned")
    expect(page.locator("#widget")).to_have_text("mine")
    assert reports == []  # no resync


def test_hooks_hear_that_the_connection_was_lost_and_is_back(page: Page, site: AppServer) -> None:
    opened(page, site)
    take(page)
    site.stop()
    wait_until(page, "!djust.connected")
    site.start()
    wait_until(page, "djust.connected")
    assert take(page) == ["Chart disconnected", "Chart reconnected"]
