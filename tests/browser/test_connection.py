"""The connection: loss and return, events in the meantime, remounting, the back/forward cache."""

from __future__ import annotations

import json
import shutil

import pytest
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, expect

from tests.browser.conftest import FLAGS, visit, wait_until
from tests.browser.servers import AppServer


@pytest.mark.usefixtures("violations")
def test_an_event_without_a_server_is_refused_visibly(page: Page, site: AppServer) -> None:
    visit(page, site.url + "/form/")
    page.evaluate("addEventListener('djust:error', event => { window.failed = event.detail.text; })")
    site.stop()
    expect(page.locator(".djust-banner")).to_be_visible()
    page.locator("#hit").click()
    expect(page.locator("#hit")).to_have_class("dj-failed")
    expect(page.locator(".djust-notice")).to_have_text("The server cannot be reached.")
    assert page.evaluate("window.failed") == "The server cannot be reached."
    site.start()
    wait_until(page, "djust.connected")
    page.locator("#hit").click()
    expect(page.locator("#acts li")).to_have_count(1)


@pytest.mark.usefixtures("violations")
def test_a_short_interruption_is_not_shown(page: Page, site: AppServer) -> None:
    sockets: list[WebSocketRoute] = []

    def connect(route: WebSocketRoute) -> None:
        sockets.append(route)
        route.connect_to_server()

    page.route_web_socket("**/djust/socket/", connect)
    visit(page, site.url + "/form/")
    sockets[0].close()
    wait_until(page, "!djust.connected")
    page.locator("#hit").click()
    expect(page.locator("#acts li")).to_have_count(1)
    expect(page.locator(".djust-banner")).to_have_count(0)
    assert len(sockets) == 2


@pytest.mark.usefixtures("violations")
def test_a_page_that_gets_no_socket_posts_although_the_file_for_that_could_not_be_loaded_at_first(
    page: Page, site: AppServer
) -> None:
    requests: list[str] = []

    def fail_once(route: Route) -> None:
        requests.append(route.request.url)
        if len(requests) > 1:
            route.continue_()
        else:
            route.abort()

    page.route("**/djust.post.js*", fail_once)
    page.route_web_socket("**/djust/socket/", lambda route: route.close())
    visit(page, site.url + "/form/")
    page.locator("#hit").click()
    expect(page.locator("#acts li")).to_have_count(1)
    assert len(requests) == 2


@pytest.mark.usefixtures("violations")
def test_a_remounted_page_receives_again_what_the_user_had_entered(page: Page, site: AppServer) -> None:
    visit(page, site.url + "/form/")
    page.locator("#a").fill("mine")
    expect(page.locator("#pa")).to_have_text("mine")
    page.locator("#c").uncheck()
    page.locator("#s").select_option("y")
    expect(page.locator("#ps")).to_have_text("y")
    site.stop()
    wait_until(page, "!djust.connected")
    site.start()
    wait_until(page, "djust.connected")
    expect(page.locator("#pa")).to_have_text("mine")
    expect(page.locator("#ps")).to_have_text("y")
    expect(page.locator("#a")).to_have_value("mine")
    expect(page.locator("#c")).not_to_be_checked()
    page.locator("#hit").click()
    expect(page.locator("#acts li")).to_have_count(1)


@pytest.mark.usefixtures("violations")
def test_a_click_on_a_refused_page_reloads_it(page: Page, site: AppServer) -> None:
    refused: list[WebSocketRoute] = []

    def connect(route: WebSocketRoute) -> None:
        if refused:
            route.connect_to_server()
        else:
            route.on_message(lambda _: (refused.append(route), route.close(code=4403))[1])

    page.route_web_socket("**/djust/socket/", connect)
    page.goto(site.url + "/form/")
    page.wait_for_timeout(300)
    assert len(refused) == 1
    page.locator("#hit").click()
    wait_until(page, "window.djust && djust.connected")


def test_a_page_from_the_back_forward_cache_goes_on(browser: Browser, site: AppServer) -> None:
    executable = shutil.which("chromium")
    own = browser.browser_type.launch(
        executable_path=executable,
        headless=True,
        args=[*FLAGS, "--enable-features=BackForwardCache:ignore_outstanding_network_request_for_testing/true"],
        ignore_default_args=["--disable-back-forward-cache"],
    )
    try:
        page = own.new_page()
        visit(page, site.url + "/form/")
        page.locator("#hit").click()
        expect(page.locator("#acts li")).to_have_count(1)
        page.evaluate("window.kept = true")
        page.goto(site.url + "/raw/")
        page.evaluate("history.back()")
        expect(page).to_have_url(site.url + "/form/")
        wait_until(page, "window.djust && djust.connected")
        expect(page.locator("#acts li")).to_have_count(1)
        assert page.evaluate("window.kept"), "the page was loaded again instead of kept"
        page.locator("#hit").click()
        expect(page.locator("#acts li")).to_have_count(2)
    finally:
        own.close()


def test_the_tools_of_debug_are_there_only_in_debug(
    page: Page, site: AppServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit(page, site.url + "/form/")
    assert page.evaluate("window.djust.debug === undefined")
    site.stop()
    monkeypatch.setenv("SITE_DEBUG", "1")
    site.start()
    visit(page, site.url + "/form/")
    page.evaluate("djust.debug.latency(200)")
    page.locator("#hit").click()
    expect(page.locator("#hit")).to_have_attribute("aria-busy", "true")
    expect(page.locator("#acts li")).to_have_count(1)
    frames = page.evaluate("djust.debug.frames.map(([direction, frame]) => [direction, frame[0]])")
    assert frames[:2] == [["out", "join"], ["in", "joined"]], json.dumps(frames)
    page.evaluate("djust.pushEvent('broken').catch(() => {})")
    expect(page.locator(".djust-error[role=alert]")).to_contain_text("ValueError: broken")
    site.stop()
    monkeypatch.delenv("SITE_DEBUG")
    site.start()
