"""A cache of snapshots that fails or hangs delays no page, and what it did not take is not lost."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache.backends.base import BaseCache
from django.urls import path

from djust import LiveView, event_handler, state
from djust.health import report
from djust.live.registry import registry
from djust.live.snapshots import backlog
from djust.state import circuit
from djust.threads.pools import stop_threads
from tests.asgi_client import Browser

pytestmark = pytest.mark.urls(__name__)

gate = threading.Event()


class Counter(LiveView):
    template = "<body><p>{{ count }}</p></body>"
    count = state(0)

    @event_handler
    def add(self) -> None:
        self.count += 1


urlpatterns = [path("", Counter.as_view())]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    gate.clear()
    registry.clear()
    yield
    gate.set()
    stop_threads()
    backlog.reset()


def _until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


class SharedCache(BaseCache):
    """A cache that is well, fails, or hangs until it is well again."""

    mood = "well"
    held: dict[str, Any] = {}
    lock = threading.Lock()

    def __init__(self, _: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def _ask(self) -> None:
        if self.mood == "fails":
            raise ConnectionError("the cache is gone")
        if self.mood == "hangs":
            gate.wait(30)

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        self._ask()
        return self.held.get(key, default)

    def set(self, key: str, value: Any, timeout: float | None = None, version: int | None = None) -> None:
        self._ask()
        with self.lock:
            self.held[key] = value

    def delete(self, key: str, version: int | None = None) -> bool:
        self._ask()
        with self.lock:
            return self.held.pop(key, None) is not None


@pytest.fixture
def states(settings: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the cache of snapshots holds; it is tried again soon."""
    SharedCache.mood, SharedCache.held = "well", {}
    settings.CACHES = {**settings.CACHES, "states": {"BACKEND": f"{__name__}.SharedCache"}}
    settings.LIVEVIEW_CONFIG = {"state_cache": "states", "hang_seconds": 0.5}
    for name, seconds in {"CALL_SECONDS": 0.3, "FIRST_PAUSE": 0.4, "LONGEST_PAUSE": 0.8}.items():
        monkeypatch.setattr(circuit, name, seconds)
    monkeypatch.setattr("djust.live.snapshots._PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("djust.live.snapshots._READ_SECONDS", 0.5)
    return SharedCache.held


def last_refs(states: dict[str, Any]) -> list[int]:
    """The last events that snapshots know."""
    return sorted(json.loads(text)[3] for text in states.values())


async def test_a_cache_that_hangs_delays_no_event_and_no_page_and_loses_nothing(
    states: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with Browser() as browser:
        pages = [await browser.open("/") for _ in range(12)]
        SharedCache.mood = "hangs"
        times = []
        for number in range(1, 31):
            for page in pages:
                before = time.monotonic()
                assert (await page.event("add"))[:3] == [number, number, [0, number]]
                times.append(time.monotonic() - before)
            await asyncio.sleep(0.06)
        assert max(times) < 0.3
        before = time.monotonic()
        assert (await browser.open("/")).response.status == 200
        assert time.monotonic() - before < 0.5
        SharedCache.mood = "well"
        gate.set()
        await asyncio.to_thread(_until, lambda: last_refs(states)[-12:] == [30] * 12)
        assert len(backlog) <= 1
    said = [message for message in caplog.messages if message.startswith('The cache "states"')]
    assert [text.partition("of pages, ")[2].partition(" ")[0] for text in said] == ["fails", "has", "answers"]


async def test_pages_come_back_within_a_bounded_time_while_the_cache_hangs(states: dict[str, Any]) -> None:
    async with Browser() as browser:
        pages = [await browser.open("/") for _ in range(6)]
        for page in pages:
            await page.close()
        SharedCache.mood = "hangs"
        registry.clear()
        times = []
        for page in pages:
            before = time.monotonic()
            socket, frame = await browser.join(page.response.ticket, 0)
            times.append(time.monotonic() - before)
            assert frame[0] in ("joined", "all")
            assert (await socket.event("add"))[2] == [0, 1]
        assert max(times) < 2.5
        assert sorted(times)[2] < 0.3, "once it is known that the cache hangs, no page waits for it"
        SharedCache.mood = "well"
        gate.set()


async def test_the_last_snapshots_of_pages_that_are_gone_are_written_when_the_cache_is_back(
    states: dict[str, Any],
) -> None:
    async with Browser() as browser:
        pages = [await browser.open("/") for _ in range(5)]
        await asyncio.to_thread(_until, lambda: len(states) == 5)
        SharedCache.mood = "fails"
        for page in pages:
            await page.event("add")
            await page.close()
        registry.clear()
        await asyncio.to_thread(_until, lambda: len(backlog._last) == 5)
        assert set(last_refs(states)) == {0}
        SharedCache.mood = "well"
        await asyncio.to_thread(_until, lambda: last_refs(states) == [1] * 5)
        assert len(backlog._last) == 0


async def test_a_snapshot_that_could_not_be_deleted_is_deleted_when_the_cache_is_back(states: dict[str, Any]) -> None:
    async with Browser() as browser:
        await browser.open("/")
        (page,) = registry.pages()
        await asyncio.to_thread(_until, lambda: last_refs(states) == [0])
        SharedCache.mood = "fails"
        page.end(for_good=True)
        await asyncio.to_thread(_until, lambda: len(backlog._last) == 1)
        SharedCache.mood = "well"
        await asyncio.to_thread(_until, lambda: states == {})


async def test_a_write_that_hangs_is_overtaken_and_what_it_writes_at_last_is_replaced(
    states: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("djust.live.snapshots._OVERTAKE_SECONDS", 0.1)
    monkeypatch.setattr(circuit, "CALL_SECONDS", 30.0)
    written: list[int] = []
    hanging = threading.Event()

    def write(cache: SharedCache, key: str, value: Any, *args: Any) -> None:
        last_ref = json.loads(value)[3]
        if last_ref == 1 and not hanging.is_set():
            hanging.set()
            gate.wait(30)
        written.append(last_ref)
        SharedCache.held[key] = value

    monkeypatch.setattr(SharedCache, "set", write)
    async with Browser() as browser:
        page = await browser.open("/")
        await page.event("add")
        assert await asyncio.to_thread(hanging.wait, 10)
        await asyncio.sleep(0.15)
        await page.event("add")
        await asyncio.to_thread(_until, lambda: last_refs(states) == [2])
        gate.set()
        await asyncio.to_thread(_until, lambda: written[-2:] == [1, 2])
        assert last_refs(states) == [2]


async def test_the_end_of_a_server_waits_for_a_hanging_cache_only_so_long(
    states: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("djust.live.registry._SAVE_SECONDS", 0.3)
    monkeypatch.setattr("djust.threads.pool.STOP_SECONDS", 0.3)
    browser = Browser()
    await browser.__aenter__()
    for _ in range(20):
        await (await browser.open("/")).event("add")
    SharedCache.mood = "hangs"
    before = time.monotonic()
    await browser.__aexit__(None, None, None)
    assert time.monotonic() - before < 2


async def test_health_says_that_the_state_cache_fails(states: dict[str, Any]) -> None:
    assert report()["state_cache"] == "available"
    SharedCache.mood = "fails"
    async with Browser() as browser:
        for _ in range(3):
            await browser.open("/")
        await asyncio.to_thread(_until, lambda: report()["state_cache"] == "failing")
        assert report()["healthy"], "pages work without it"
