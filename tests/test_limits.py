"""How much one browser may ask for, over every transport."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import path

from djust import LiveView, event_handler, state
from djust.live.channel import is_too_big
from djust.live.page import Bucket
from djust.live.registry import registry
from djust.live.token import JoinToken, make_join_token
from tests.asgi_client import Browser
from tests.transports import ClientWire, Wire

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

gate = threading.Event()


class Counter(LiveView):
    template = "<p>{{ count }}</p>"
    count = state(0)

    @event_handler
    def add(self) -> None:
        self.count += 1

    @event_handler
    def wait(self) -> None:
        assert gate.wait(10)

    @event_handler
    def keep(self, text: str) -> None:
        self.count += 1


class Slow(Counter):
    def mount(self, request: HttpRequest) -> None:
        assert gate.wait(10)


urlpatterns = [path("counter/", Counter.as_view()), path("slow/", Slow.as_view())]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    registry.clear()
    gate.clear()
    yield
    gate.set()


async def opened(wire: type[Wire], browser: Browser) -> Wire:
    page = wire(browser, "/counter/")
    assert (await page.open())[:2] == ["joined", 0]
    return page


# Events


async def test_too_many_events_are_refused_one_by_one(wire: type[Wire], settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"events_per_second": 1}
    async with Browser() as browser:
        page = await opened(wire, browser)
        answers = [await page.event("add") for _ in range(3)]
        assert [answer[0] for answer in answers] == [1, 2, "error"]
        assert answers[2][1] == 3
        assert answers[2][2] == "Too many events in a short time; this event was ignored."


async def test_a_full_mailbox_refuses_more_events(wire: type[Wire], settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"max_waiting": 2}
    async with Browser() as browser:
        page = await opened(wire, browser)
        sending = asyncio.create_task(page.send([1, "wait"], [2, "add"], [3, "add"], [4, "add"]))
        await asyncio.sleep(0.05)
        gate.set()
        await sending
        assert await page.receive() == ["error", 4, "Too many events wait for their turn; this event was ignored."]
        assert [(await page.receive())[0] for _ in range(3)] == [1, 2, 3]
        page.ref = 4
        assert (await page.event("add"))[:3] == [5, 3, [0, 3]]


async def test_a_resync_passes_a_full_mailbox(wire: type[Wire], settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"max_waiting": 1}
    async with Browser() as browser:
        page = await opened(wire, browser)
        sending = asyncio.create_task(page.send([1, "wait"], [2, "add"], ["resync", "why"]))
        await asyncio.sleep(0.05)
        gate.set()
        await sending
        assert [(await page.receive())[0] for _ in range(3)] == [1, 2, "all"]


@pytest.mark.parametrize("is_here", [True, False])
async def test_only_so_many_events_wait_for_a_page(wire: type[Wire], settings: Any, is_here: bool) -> None:
    """Whether it is parked or has to be mounted: they come right behind the join."""
    settings.LIVEVIEW_CONFIG = {"max_waiting": 1}
    async with Browser() as browser:
        url = "/counter/" if is_here else "/slow/"
        ticket = (await browser.get(url)).ticket if is_here else make_join_token(JoinToken("gone", url, ""))
        page = wire(browser, url)
        await page.connect()
        frames = [["join", ticket, 0, "/", "one"], [1, "add"], [2, "add"]]
        sending = asyncio.create_task(page.send(*frames))
        await asyncio.sleep(0.05)
        gate.set()
        await sending
        answers = [await page.receive() for _ in range(3)]
        assert [frame[:2] for frame in answers if frame[0] == "error"] == [["error", 2]]
        others = [frame[0] for frame in answers if frame[0] != "error"]
        assert others == ["joined" if is_here else "all", 1]


# Frames


async def test_a_frame_above_the_size_limit_ends_the_connection_and_the_page_can_be_resumed(driver: type[Wire]) -> None:
    async with Browser() as browser:
        page = await opened(driver, browser)
        assert (await page.event("keep", {"text": "x" * 65_000}))[0] == 1
        if isinstance(page, ClientWire):
            with pytest.raises(ConnectionAbortedError, match="A frame may have at most 65536 bytes"):
                await page.event("keep", {"text": "ä" * 33_000})
        else:
            await page.send([2, "keep", {"text": "ä" * 33_000}])
            assert await page.receive() == ["error", 0, "A frame may have at most 65536 bytes."]
        assert await page.closing() == 1009
        assert registry.attached_pages() == []
        if not isinstance(page, ClientWire):
            assert await page.join(page.response.ticket, 1) == ["joined", 1, 1]


async def test_endless_pings_end_the_connection(driver: type[Wire], settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"events_per_second": 5}
    async with Browser() as browser:
        page = await opened(driver, browser)
        pings = [["ping"]] * 20
        if isinstance(page, ClientWire):
            with pytest.raises(ConnectionAbortedError, match="Too many frames in a short time"):
                await page.send(*pings)
        else:
            await page.send(*pings)
        assert await page.closing() == 4429
        assert registry.attached_pages() == []


async def test_endless_resyncs_end_the_connection(wire: type[Wire], settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"events_per_second": 5}
    async with Browser() as browser:
        page = await opened(wire, browser)
        await page.send(*[["resync", "why"]] * 20)
        assert await page.closing() == 4429


# Joins


@pytest.mark.parametrize("frame", [["ping"], [1, "add", {}], ["resync", ""]])
async def test_a_connection_must_join_first(wire: type[Wire], frame: list[Any]) -> None:
    async with Browser() as browser:
        page = wire(browser, "/counter/")
        await page.connect()
        await page.send(frame)
        assert await page.closing() == 4408


async def test_pages_are_brought_back_only_so_often(wire: type[Wire]) -> None:
    async with Browser() as browser:
        ticket = make_join_token(JoinToken("gone", "/counter/", ""))
        # Two more are allowed each second, and the machine may be slow.
        for number in range(60):
            page = wire(browser, "/counter/")
            page.document = f"document {number}"
            frame = await page.join(ticket)
            if frame[0] == "error":
                break
        assert (number >= 10, frame) == (True, ["error", 0, "Too many joins in a short time."])
        assert await page.closing() == 4429


# Measures


def test_a_bucket_allows_a_burst_and_then_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    bucket = Bucket(10)
    assert [bucket.take() for _ in range(21)] == [True] * 20 + [False]
    now = 0.55
    assert [bucket.take() for _ in range(6)] == [True] * 5 + [False]
    now = 1000
    assert [bucket.take() for _ in range(21)] == [True] * 20 + [False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ("x" * 100, False), ("x" * 101, True), ("ä" * 50, False), ("ä" * 51, True), ("😀" * 25, False)],
)
def test_frames_are_measured_in_bytes(text: str, expected: bool) -> None:
    assert is_too_big(text, 100) is expected
