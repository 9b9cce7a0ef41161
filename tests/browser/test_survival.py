"""The server is killed while somebody works, and comes back: nothing that was entered is lost."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import visit, wait_until
from tests.browser.servers import AppServer
from tests.engines import free_port, until

TEXT = "The quick brown fox jumps over the lazy dog, and nobody has noticed."


@pytest.fixture
def survivor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppServer]:
    """A site whose state is kept in files."""
    monkeypatch.setenv("SITE_CACHE", str(tmp_path))
    server = AppServer("tests.browser.drafts:application", free_port())
    server.start()
    yield server
    server.stop()


def write(page: Page, text: str) -> None:
    page.keyboard.type(text, delay=15)


def kept(folder: Path) -> list[str]:
    """The snapshots in a folder of Django's cache."""
    snapshots = []
    for path in folder.glob("*.djcache"):
        with path.open("rb") as file:
            pickle.load(file)  # the time when it expires
            snapshots.append(pickle.loads(zlib.decompress(file.read())))
    return snapshots


def is_kept(folder: Path, text: str) -> None:
    assert any(text in snapshot for snapshot in kept(folder))


@pytest.mark.usefixtures("violations")
def test_somebody_who_types_does_not_notice_that_the_server_is_killed(
    page: Page, survivor: AppServer, tmp_path: Path
) -> None:
    visit(page, survivor.url + "/")
    page.evaluate("addEventListener('djust:error', ({detail}) => { (window.failures ??= []).push(detail.text); })")
    for name in ("first", "second"):
        page.locator("#add").click()
        expect(page.locator("#notes li").last).to_have_text(name)
    page.locator("#subject").fill("Fox")
    expect(page.locator("#shown")).to_have_text("Fox")
    # What was clicked within the last second may be lost.
    until(lambda: is_kept(tmp_path, "second"), "no snapshot was written")
    page.locator("#text").focus()
    write(page, TEXT[:20])
    survivor.kill()
    write(page, TEXT[20:40])
    wait_until(page, "!djust.connected")
    survivor.start()
    write(page, TEXT[40:])
    wait_until(page, "djust.connected")
    expect(page.locator("#length")).to_have_text(str(len(TEXT)), timeout=20_000)
    assert page.evaluate("[document.activeElement.id, document.activeElement.value, window.failures]") == [
        "text",
        TEXT,
        None,
    ]
    expect(page.locator("#shown")).to_have_text("Fox")
    expect(page.locator("#notes li")).to_have_text(["first", "second"])
    page.locator("#add").click()
    expect(page.locator("#notes li")).to_have_text(["first", "second", "third"])
    page.locator("#save").click()
    expect(page.locator("#saved li")).to_have_text([f"Fox: {TEXT}"])


@pytest.mark.usefixtures("violations")
def test_a_form_with_a_handler_for_it_is_recovered_by_one_call(page: Page, survivor: AppServer, tmp_path: Path) -> None:
    visit(page, survivor.url + "/order/")
    page.locator("#name").fill("plum")
    expect(page.locator("#calls")).to_have_text("name=plum")
    page.locator("#size").fill("3")
    expect(page.locator("#calls")).to_have_text("name=plum size=3")
    survivor.kill()
    for file in tmp_path.iterdir():
        file.unlink()
    survivor.start()
    expect(page.locator("#calls")).to_have_text("order:plum,3")
    assert page.locator("input").evaluate_all("all => all.map(field => field.value)") == ["plum", "3"]
