"""Background tasks, as the user of a page sees them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import visit, wait_until
from tests.browser.servers import AppServer

pytestmark = pytest.mark.usefixtures("violations")


def test_a_page_is_there_before_its_data_and_what_was_there_stays_while_it_loads_again(
    page: Page, site: AppServer
) -> None:
    visit(page, site.url + "/beside/")
    figures = page.locator("#figures")
    expect(figures).to_have_text("loading")
    page.locator("#n").click()
    expect(page.locator("#n")).to_have_text("1")
    expect(figures).to_have_text("loading")
    page.locator("#open").click()
    expect(figures).to_have_text("100")
    page.locator("#load").click()
    expect(figures).to_have_text("loading 100")
    page.locator("#open").click()
    expect(figures).to_have_text("101")


def test_a_background_handler_leaves_its_button_and_the_page_free_and_shows_how_far_it_is(
    page: Page, site: AppServer
) -> None:
    visit(page, site.url + "/beside/")
    page.locator("#open").click()
    export = page.locator("#export")
    export.click()
    expect(page.locator("#bar")).to_have_attribute("value", "40")
    wait_until(page, "window.events && window.events.length === 2")
    assert page.evaluate("window.events[1]") == ["djust:counted", 40]
    expect(page.locator("#running")).to_have_text("export")
    expect(export).to_be_enabled()
    expect(export).to_have_text("export")
    page.locator("#n").click()
    expect(page.locator("#n")).to_have_text("1")
    page.locator("#open").click()
    expect(page.locator("#file")).to_have_text("export.csv")
    expect(page.locator("#running")).to_have_text("")
