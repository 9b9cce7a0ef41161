"""The five pages of the demo in a real browser."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis
from playwright.sync_api import Browser, Page, expect

from tests.browser.servers import Demo, running_demo


@pytest.fixture(scope="module", params=["socket", "stream", "post", "runserver"])
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    """The demo over a socket, over POSTs with an event stream, over POSTs alone, and on `manage.py
    runserver`.
    """
    with running_demo(request.param) as demo:
        demo.streams = request.param != "post"
        yield demo


@pytest.fixture
def errors(page: Page) -> Iterator[list[str]]:
    """What the browser complains about; a test ends with none of it."""
    errors: list[str] = []
    watch(page, errors)
    yield errors
    assert errors == []


def watch(page: Page, errors: list[str]) -> None:
    page.on("pageerror", lambda error: errors.append(str(error)))
    # That a request failed is what a browser always says; a socket's failure it keeps for itself.
    page.on(
        "console",
        lambda message: (
            errors.append(message.text)
            if message.type == "error" and not message.text.startswith("Failed to load resource: net::")
            else None
        ),
    )


def visit(page: Page, demo: Demo, path: str) -> None:
    if not demo.streams:
        page.add_init_script("delete window.EventSource")
    page.goto(demo.server.url + path)
    wait_until(page, "window.djust && window.djust.connected")


def wait_until(page: Page, condition: str) -> None:
    """Wait for a JavaScript expression. Playwright's own way of polling is `eval`, which the pages
    forbid.
    """
    deadline = time.monotonic() + 30
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"not within 30 s: {condition}"
        page.wait_for_timeout(20)


def resyncs(page: Page) -> int:
    count: int = page.evaluate("window.djust.debug.resyncs")
    return count


@pytest.mark.usefixtures("errors")
def test_the_start_page_lists_the_demos(page: Page, demo: Demo) -> None:
    page.goto(demo.server.url)
    for name in ("S3 browser", "Product catalogue", "Dashboard", "Weather", "Leaderboard"):
        expect(page.get_by_role("main").get_by_text(name)).to_be_visible()


@pytest.mark.usefixtures("errors")
def test_a_visit_to_the_s3_browser_lists_the_buckets_once(page: Page, demo: Demo) -> None:
    demo.s3.calls.clear()
    visit(page, demo, "/s3/")
    page.get_by_role("button", name="my-bucket").click()
    expect(page.get_by_role("cell", name="notes.txt")).to_be_visible()
    page.get_by_role("button", name="backups").click()
    expect(page.get_by_role("cell", name="monday.tar.gz")).to_be_visible()
    expect(page.get_by_role("cell", name="notes.txt")).to_have_count(0)
    assert demo.s3.calls["list_buckets"] == 1
    assert demo.s3.calls["list_objects_v2"] == 2
    assert resyncs(page) == 0


@pytest.mark.usefixtures("errors")
def test_a_condition_inside_a_class_attribute_follows_the_state(page: Page, demo: Demo) -> None:
    visit(page, demo, "/s3/")
    first, second = page.get_by_role("button", name="my-bucket"), page.get_by_role("button", name="backups")
    expect(first).to_have_class("choice")
    first.click()
    expect(first).to_have_class("choice chosen")
    second.click()
    expect(first).to_have_class("choice")
    expect(second).to_have_class("choice chosen")
    expect(page).to_have_title("backups · S3 browser")


@pytest.mark.usefixtures("errors")
def test_a_deleted_file_leaves_the_list(page: Page, demo: Demo) -> None:
    visit(page, demo, "/files/")
    rows = page.get_by_role("listitem")
    before = rows.count()
    page.get_by_role("button", name="Delete todo.md").click()
    expect(rows).to_have_count(before - 1)
    expect(page.get_by_text("todo.md")).to_have_count(0)
    assert demo.s3.calls["delete_object"] == 1


@pytest.mark.usefixtures("errors")
def test_the_catalogue_follows_what_is_typed(page: Page, demo: Demo) -> None:
    visit(page, demo, "/catalog/")
    everything = page.locator(".products li").count()
    assert everything > 3
    name = page.locator(".products li strong").nth(2).inner_text()
    page.get_by_label("Search").fill(name)
    expect(page.locator(".products li strong").first).to_have_text(name)
    assert page.locator(".products li").count() < everything
    page.get_by_label("Search").fill("no such thing")
    expect(page.get_by_text("No product matches “no such thing”.")).to_be_visible()
    page.get_by_label("Search").fill("")
    expect(page.locator(".products li")).to_have_count(everything)


@pytest.mark.usefixtures("errors")
def test_text_typed_while_an_answer_is_on_its_way_is_kept_with_its_caret(page: Page, demo: Demo) -> None:
    visit(page, demo, "/catalog/")
    page.evaluate("window.djust.debug.latency(300)")
    search = page.get_by_label("Search")
    search.press_sequentially("lam", delay=20)
    wait_until(page, "document.querySelector('[aria-busy=true]')")
    search.press_sequentially("p shade", delay=60)
    search.press("ArrowLeft")
    search.press("ArrowLeft")
    search.press_sequentially("X", delay=20)
    wait_until(page, "!document.querySelector('[aria-busy=true]')")
    page.wait_for_timeout(1500)  # longer than the debounce and both ways of the simulated latency
    expect(search).to_be_focused()
    assert search.input_value() == "lamp shaXde"
    assert search.evaluate("input => [input.selectionStart, input.selectionEnd]") == [9, 9]
    expect(page.get_by_text("No product matches “lamp shaXde”.")).to_be_visible()


@pytest.mark.usefixtures("errors")
def test_the_dashboard_is_fed_by_the_client_of_the_url_configuration(page: Page, demo: Demo) -> None:
    visit(page, demo, "/dashboard/")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(20)
    first = rows.first.inner_text()
    page.wait_for_timeout(1100)  # the client has one sample per second
    page.get_by_role("button", name="Refresh").click()
    expect(rows.first).not_to_have_text(first)
    expect(rows).to_have_count(20)
    expect(page.get_by_role("button", name="Refresh")).to_be_enabled()


@pytest.mark.usefixtures("errors")
def test_another_city_has_another_forecast(page: Page, demo: Demo) -> None:
    visit(page, demo, "/weather/")
    expect(page).to_have_title("London · Weather")
    page.get_by_label("City").select_option("Tokyo")
    expect(page).to_have_title("Tokyo · Weather")
    expect(page.get_by_label("City")).to_have_value("Tokyo")
    expect(page.locator(".days li")).not_to_have_count(0)
    assert resyncs(page) == 0


@pytest.mark.usefixtures("errors")
def test_the_leaderboard_moves_rows_to_their_new_places(page: Page, demo: Demo) -> None:
    visit(page, demo, "/leaderboard/")
    rows = page.locator(".board li")
    expect(rows).to_have_count(10)
    last = page.locator(".board li").last
    name = last.locator("span").nth(1).inner_text()
    page.evaluate("window.last = document.querySelector('.board li:last-of-type')")
    redis.Redis(host="localhost", port=6379, db=0).zincrby("leaderboard", 1_000_000, name)
    page.get_by_role("button", name="Refresh").click()
    expect(rows.first.locator("span").nth(1)).to_have_text(name)
    assert page.evaluate("window.last === document.querySelector('.board li')"), "the row is the same element"
    redis.Redis(host="localhost", port=6379, db=0).zincrby("leaderboard", -1_000_000, name)


@pytest.mark.usefixtures("errors")
def test_open_dialogs_and_foreign_nodes_survive_updates(page: Page, demo: Demo) -> None:
    visit(page, demo, "/s3/")
    page.get_by_role("button", name="my-bucket").click()
    expect(page.get_by_role("cell", name="notes.txt")).to_be_visible()
    page.evaluate("""() => {
      const dialog = document.createElement('dialog');
      dialog.textContent = 'open';
      document.body.append(dialog);
      dialog.show();
      const badge = document.createElement('i');
      badge.id = 'foreign';
      document.querySelector('tbody').parentNode.parentNode.append(badge);
      document.querySelector('.choice').setAttribute('data-foreign', '1');
      document.querySelector('.choice').classList.add('tooltip');
    }""")
    page.get_by_role("button", name="my-bucket").click()
    page.get_by_role("button", name="holiday-photos").click()
    expect(page.get_by_role("cell", name="2024/beach-01.jpg")).to_be_visible()
    assert page.evaluate("document.querySelector('dialog').open")
    expect(page.locator("#foreign")).to_have_count(1)
    expect(page.locator("[data-foreign]")).to_have_count(1)


def test_two_tabs_are_independent(browser: Browser, demo: Demo) -> None:
    errors: list[str] = []
    context = browser.new_context()
    first, second = context.new_page(), context.new_page()
    for page in (first, second):
        watch(page, errors)
        visit(page, demo, "/s3/")
    first.get_by_role("button", name="my-bucket").click()
    expect(first.get_by_role("cell", name="notes.txt")).to_be_visible()
    expect(second.get_by_text("Choose a bucket to see its objects.")).to_be_visible()
    second.get_by_role("button", name="backups").click()
    expect(second.get_by_role("cell", name="monday.tar.gz")).to_be_visible()
    expect(first.get_by_role("cell", name="notes.txt")).to_be_visible()
    context.close()
    assert errors == []


def test_a_restarted_server_is_found_again_without_a_reload(page: Page, demo: Demo) -> None:
    visit(page, demo, "/s3/")
    page.get_by_role("button", name="my-bucket").click()
    expect(page.get_by_role("cell", name="notes.txt")).to_be_visible()
    page.evaluate("window.neverReloaded = true")
    demo.server.stop()
    # Without a socket or a stream nothing tells, until something is asked: as when the user comes
    # back to the tab.
    page.evaluate("window.dispatchEvent(new Event('online'))")
    wait_until(page, "!window.djust.connected")
    demo.server.start()
    wait_until(page, "window.djust.connected")
    page.get_by_role("button", name="backups").click()
    expect(page.get_by_role("cell", name="monday.tar.gz")).to_be_visible()
    assert page.evaluate("window.neverReloaded") is True
    expect(page.locator(".djust-banner")).to_be_hidden()


@pytest.mark.usefixtures("errors")
def test_a_lost_socket_is_followed_by_the_same_page(page: Page, demo: Demo) -> None:
    visit(page, demo, "/s3/")
    page.get_by_role("button", name="my-bucket").click()
    expect(page.get_by_role("cell", name="notes.txt")).to_be_visible()
    calls = demo.s3.calls["list_buckets"]
    page.evaluate("window.neverReloaded = true")
    page.context.set_offline(True)
    page.evaluate("window.dispatchEvent(new Event('offline'))")
    page.context.set_offline(False)
    wait_until(page, "window.djust.connected")
    page.get_by_role("button", name="backups").click()
    expect(page.get_by_role("cell", name="monday.tar.gz")).to_be_visible()
    assert demo.s3.calls["list_buckets"] == calls
    assert page.evaluate("window.neverReloaded") is True
