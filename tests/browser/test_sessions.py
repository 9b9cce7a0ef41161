"""The session is lost while somebody writes: after a login in another tab the page goes on, with
what was typed.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import visit, wait_until
from tests.browser.servers import AppServer, free_port


@pytest.fixture(params=["socket", "posts"])
def members(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppServer]:
    if request.param == "posts":
        monkeypatch.setenv("SITE_WITHOUT_SOCKETS", "1")
    server = AppServer("tests.browser.members:application", free_port())
    server.start()
    yield server
    server.stop()


@pytest.mark.usefixtures("violations")
def test_what_was_typed_survives_the_session(page: Page, members: AppServer) -> None:
    page.goto(members.url + "/in/ann/")
    visit(page, members.url + "/")
    page.evaluate("window.mine = true")
    page.locator("#text").focus()
    page.keyboard.type("Dear Bob, ")
    expect(page.locator("#length")).to_have_text("10")
    urllib.request.urlopen(members.url + "/empty/", timeout=5).close()
    page.keyboard.type("I have ")
    expect(page.locator(".djust-notice").first).to_have_text(
        "Your session has ended. Log in again in another tab, and this page goes on."
    )
    wait_until(page, "!djust.connected")
    tab = page.context.new_page()
    tab.goto(members.url + "/login/")
    expect(tab.locator("body")).to_have_text("who are you, AnonymousUser?")
    page.keyboard.type("news")
    # An attempt without any cookie.
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_timeout(500)
    tab.goto(members.url + "/in/ann/")
    page.evaluate("dispatchEvent(new Event('online'))")
    wait_until(page, "djust.connected")
    expect(page.locator("#length")).to_have_text(str(len("Dear Bob, I have news")))
    page.locator("#sign").click()
    expect(page.locator("#author")).to_have_text("ann")
    assert page.evaluate("[window.mine, document.querySelector('#text').value]") == [True, "Dear Bob, I have news"]
