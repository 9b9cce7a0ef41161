"""A page under a strict content security policy with Trusted Types: every kind of change, and what
we add ourselves.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import visit, wait_until
from tests.browser.servers import AppServer


def test_every_kind_of_change_is_allowed(page: Page, site: AppServer, violations: list[str]) -> None:
    visit(page, site.url + "/raw/")
    for n in (1, 2):
        page.locator("#go").click()
        expect(page.locator("section b")).to_have_text(str(n))
    expect(page.locator(".created")).to_have_text("2")
    assert page.evaluate("document.querySelector('circle').namespaceURI") == "http://www.w3.org/2000/svg"
    assert page.evaluate("window.ran") is None
    page.locator("#bad").click()
    expect(page.locator(".djust-notice")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.djust-notice')).position") == "fixed"
    assert page.locator(".djust-notice").get_attribute("style") is None
    assert violations == []


@pytest.mark.usefixtures("violations")
def test_the_banner_is_styled_without_a_style_attribute(page: Page, site: AppServer) -> None:
    visit(page, site.url + "/form/")
    site.stop()
    expect(page.locator(".djust-banner[role=status]")).to_have_text("Reconnecting…")
    assert page.evaluate("getComputedStyle(document.querySelector('.djust-banner')).position") == "fixed"
    assert page.locator(".djust-banner").get_attribute("style") is None
    page.evaluate("""() => { const sheet = new CSSStyleSheet();
      sheet.replaceSync('.djust-banner { position: sticky }');
      document.adoptedStyleSheets.unshift(sheet); }""")
    assert page.evaluate("getComputedStyle(document.querySelector('.djust-banner')).position") == "sticky"
    site.start()
    wait_until(page, "djust.connected")
    expect(page.locator(".djust-banner")).to_be_hidden()
