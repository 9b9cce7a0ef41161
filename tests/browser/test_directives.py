"""Directives in a real browser: keys, the window, clicks elsewhere, and what waits."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import visit, wait_until
from tests.browser.servers import AppServer

pytestmark = pytest.mark.usefixtures("violations")


def acts(page: Page) -> list[str]:
    return page.locator("#acts li").all_inner_texts()


def names(page: Page) -> list[str]:
    return [act.split()[0] for act in acts(page)]


def test_keys_are_filtered_with_the_keys_held(page: Page, site: AppServer) -> None:
    visit(page, site.url + "/directives/")
    page.locator("#keys").press_sequentially("ab")
    page.locator("#keys").press("Enter")
    page.locator("#keys").press("ArrowUp")
    page.locator("#keys").press("Control+ArrowUp")
    page.locator("#keys").press("Space")
    expect(page.locator("#acts li")).to_have_count(3)
    assert acts(page) == [
        'entered {"key": "Enter", "code": "Enter", "value": "ab"}',
        'top {"key": "ArrowUp", "code": "ArrowUp", "value": "ab"}',
        'spaced {"key": " ", "code": "Space", "value": " ab"}',
    ]


def test_events_of_the_window_are_handled_wherever_the_focus_is(page: Page, site: AppServer) -> None:
    visit(page, site.url + "/directives/?rows=200")
    wait_until(page, "performance.getEntriesByType('resource').some(({name}) => name.endsWith('djust.outside.js'))")
    page.wait_for_timeout(100)
    page.keyboard.press("Escape")
    page.locator("#keys").press("Control+k")
    expect(page.locator("#acts li")).to_have_count(2)
    page.evaluate("scrollTo(0, 40)")
    expect(page.locator("#acts li")).to_have_count(3)
    page.set_viewport_size({"width": 600, "height": 300})
    expect(page.locator("#acts li", has_text="resized")).not_to_have_count(0)
    assert names(page)[:3] == ["escape", "find", "scrolled"]
    assert acts(page)[0] == 'escape {"key": "Escape", "code": "Escape", "value": ""}'
    assert '"y": 40' in acts(page)[2]


def test_many_events_of_scrolling_are_few(page: Page, site: AppServer) -> None:
    visit(page, site.url + "/directives/?rows=500")
    page.wait_for_timeout(200)
    page.evaluate(
        """async () => { for (let y = 1; y <= 60; y++) {
            scrollTo(0, y * 5); await new Promise(requestAnimationFrame); } }"""
    )
    expect(page.locator("#acts li").last).to_contain_text('"y": 300')
    assert len(acts(page)) < 25


def test_a_click_elsewhere_closes_what_was_opened_later(page: Page, site: AppServer) -> None:
    visit(page, site.url + "/directives/")
    page.locator("#open").click()
    page.locator("#menu b").click()
    page.wait_for_timeout(100)
    expect(page.locator("#menu")).to_be_visible()
    assert acts(page) == []
    page.locator("#keys").click()
    expect(page.locator("#menu")).to_have_count(0)
    assert names(page) == ["close"]
    page.locator("#keys").click()
    page.wait_for_timeout(100)
    assert names(page) == ["close"]


def test_an_event_costs_no_more_on_a_page_of_10000_rows(page: Page, site: AppServer) -> None:
    visit(page, site.url + "/directives/?rows=10000")
    page.wait_for_timeout(300)
    cost = page.evaluate("""() => {
      const press = () => document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'a', bubbles: true}));
      const click = () => document.getElementById('tall').click();
      for (let i = 0; i < 100; i++) { press(); click(); }
      const start = performance.now();
      for (let i = 0; i < 500; i++) { press(); click(); }
      return (performance.now() - start) / 1000;
    }""")
    print(f"an event that nobody asked for: {cost * 1000:.1f} µs")
    assert cost < 0.5


def test_one_submit_at_a_time_and_more_where_the_author_allows_them(page: Page, site: AppServer) -> None:
    visit(page, site.url + "/directives/")
    page.locator("[name=name]").fill("Ann")
    page.evaluate("for (let i = 0; i < 3; i++) document.getElementById('save').click()")
    assert page.locator("form").get_attribute("aria-busy") == "true"
    expect(page.locator("#acts li")).to_have_count(1)
    page.evaluate("for (let i = 0; i < 3; i++) document.getElementById('many').click()")
    expect(page.locator("#acts li")).to_have_count(4)
    page.wait_for_timeout(400)
    assert names(page) == ["save", "many", "many", "many"]
    assert page.locator("form").get_attribute("aria-busy") is None


def test_a_button_that_waits_is_disabled_and_gets_the_focus_back(page: Page, site: AppServer) -> None:
    visit(page, site.url + "/directives/")
    page.locator("#slow").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#slow")).to_have_text("Wait…")
    expect(page.locator("#slow")).to_be_disabled()
    expect(page.locator("#slow")).to_have_text("Go")
    expect(page.locator("#slow")).to_be_focused()
    page.locator("#lock").click()
    assert page.locator("#lock").get_attribute("inert") == ""
    expect(page.locator("#lock")).not_to_have_attribute("inert", "")
    assert names(page) == ["slow", "slow"]


def test_a_live_region_that_has_not_changed_is_not_touched(page: Page, site: AppServer) -> None:
    visit(page, site.url + "/directives/")
    page.evaluate("""() => { window.touched = 0;
      new MutationObserver(records => { window.touched += records.length; }).observe(
        document.getElementById('live'), {subtree: true, childList: true, characterData: true, attributes: true}); }""")
    page.locator("#slow").click()
    expect(page.locator("#acts li")).to_have_count(1)
    assert page.evaluate("window.touched") == 0


def test_a_question_a_single_use_and_leaving_a_field(page: Page, site: AppServer) -> None:
    visit(page, site.url + "/directives/")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.locator("#ask").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#ask").click()
    expect(page.locator("#acts li")).to_have_count(1)
    page.locator("#once").click()
    page.locator("#once").click()
    page.locator("#late").fill("typed")
    page.locator("#field").focus()
    page.locator("#keys").focus()
    expect(page.locator("#acts li")).to_have_count(5)
    assert names(page) == ["asked", "only_once", "typed", "came", "went"]
