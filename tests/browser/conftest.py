"""A real browser: Debian's Chromium, one per test session, a fresh context per test."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.servers import AppServer, free_port

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        pytest.fail("chromium was not found. Run `make test`, which installs it, or `apt-get install chromium`.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(10_000)
    page = context.new_page()
    yield page
    context.close()


@pytest.fixture(scope="module")
def site() -> Iterator[AppServer]:
    """The pages of `tests.browser.site`."""
    server = AppServer("tests.browser.site:application", free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def violations(page: Page) -> Iterator[list[str]]:
    """What the content security policy has forbidden, and errors of scripts; a test ends with none
    of it.
    """
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "console",
        lambda message: found.append(message.text) if "Content Security Policy" in message.text else None,
    )
    page.add_init_script(
        "addEventListener('securitypolicyviolation', event => console.error("
        "'Content Security Policy', event.violatedDirective, event.sourceFile, event.sample))"
    )
    yield found
    assert found == []


def wait_until(page: Page, condition: str) -> None:
    """Wait for a JavaScript expression. Playwright's own way of polling is `eval`, which the pages
    forbid.
    """
    deadline = time.monotonic() + 20
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"not within 20 s: {condition}"
        page.wait_for_timeout(20)


def visit(page: Page, url: str) -> None:
    page.goto(url)
    wait_until(page, "window.djust && window.djust.connected")
