"""What hangs is felt by whoever waits for it, and by nobody else for long: handlers, GETs, caches, sessions."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.contrib.sessions.backends.cache import SessionStore as CacheSession
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpRequest, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from djust import LiveView, event_handler, state
from djust.live.registry import registry
from djust.live.workers import errands, mounters, workers
from tests.asgi_client import Browser

pytestmark = pytest.mark.urls(__name__)

gate = threading.Event()
mounting = threading.Semaphore(0)
closed: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    global mounting
    mounting = threading.Semaphore(0)
    gate.clear()
    closed.clear()
    registry.clear()
    yield
    gate.set()
    for pool in (workers, mounters, errands):
        pool.stop()


class Counter(LiveView):
    template = "<body><p>{{ count }}</p></body>"
    count = state(0)

    @event_handler
    def add(self) -> None:
        self.count += 1

    @event_handler
    def hang(self) -> None:
        gate.wait(20)


class SlowMount(Counter):
    def mount(self, request: HttpRequest) -> Any:
        mounting.release()
        gate.wait(20)
        if "stream" in request.GET:
            response = StreamingHttpResponse(["a stream"])
            response._resource_closers.append(lambda: closed.append("stream"))  # type: ignore[attr-defined]
            return response
        return None


urlpatterns = [path("", Counter.as_view()), path("slow/", SlowMount.as_view())]


async def begun(number: int) -> None:
    """Wait until so many slow GETs are being mounted."""
    for _ in range(number):
        assert await asyncio.to_thread(mounting.acquire, timeout=10)


class Visit:
    """A GET whose browser goes away when it is told to."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._incoming: asyncio.Queue[Any] = asyncio.Queue()
        self._incoming.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        self.sent: list[Any] = []
        scope = {"type": "http", "method": "GET", "scheme": "http", **browser._scope(url, {})}
        self.task = asyncio.create_task(browser.application(scope, self._incoming.get, self._send))

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    def leave(self) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})


# Handlers


async def test_handlers_that_hang_do_not_keep_others_from_their_turn(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 4, "hang_seconds": 0.1}
    async with Browser() as browser:
        other = await browser.open("/")
        for _ in range(6):
            await (await browser.open("/")).post("hang")
        assert (await other.event("add"))[2] == [0, 1]
        hanging = [message for message in caplog.messages if message.startswith("Counter.hang hangs: it has run for")]
        assert hanging
        assert "in hang\n    gate.wait(20)" in hanging[0]
        gate.set()


async def test_an_event_beyond_the_bound_gets_its_error_answer(settings: Any) -> None:
    async with Browser() as browser:
        page, other = await browser.open("/"), await browser.open("/")
        settings.LIVEVIEW_CONFIG = {"threads": 1, "max_queue": 0}
        await page.post("hang")
        await asyncio.to_thread(_until, lambda: workers.report()["busy"] == 1)
        assert (await other.event("add"))[:3] == ["error", 1, "The server is busy. Please try again."]
        gate.set()
        assert (await page.receive())[:2] == [1, 0]
        assert (await other.event("add"))[2] == [0, 1], "the event that was refused has changed nothing"


def _until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


# GETs


async def test_gets_whose_browsers_are_gone_do_not_delay_others() -> None:
    async with Browser() as browser:
        visits = [Visit(browser, "/slow/") for _ in range(40)]
        await begun(24)
        for visit in visits:
            visit.leave()
        response = await browser.get("/")
        assert response.status == 200
        assert mounters.waiting == 0
        gate.set()
        await asyncio.gather(*[visit.task for visit in visits])
        assert not mounting.acquire(blocking=False), "what had not begun was never mounted"
        assert [visit.sent for visit in visits] == [[]] * 40
        assert [type(page.view) for page in registry.pages()] == [Counter], "no page is kept for who is gone"


async def test_the_response_to_a_browser_that_is_gone_is_closed() -> None:
    async with Browser() as browser:
        visit = Visit(browser, "/slow/?stream=1")
        await begun(1)
        visit.leave()
        await asyncio.sleep(0.05)
        gate.set()
        await visit.task
        assert (visit.sent, closed) == ([], ["stream"])


async def test_a_get_beyond_the_bound_is_refused_at_once(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 1, "max_queue": 1}
    async with Browser() as browser:
        visits = [Visit(browser, "/slow/")]
        await begun(1)
        visits.append(Visit(browser, "/slow/"))
        await asyncio.to_thread(_until, lambda: mounters.waiting == 1)
        refused = [await browser.get("/") for _ in range(2)]
        for response in refused:
            assert (response.status, response.headers["retry-after"]) == (503, "5")
            assert response.text == "The server is busy. Please try again."
        assert [message for message in caplog.messages if "refused" in message] == [
            "GET '/' was refused, as may be others: 1 jobs wait for a thread of the pool \"get\", and 1 may."
        ]
        gate.set()
        await asyncio.gather(*[visit.task for visit in visits])
        assert [visit.sent[0]["status"] for visit in visits] == [200, 200]


async def test_a_server_that_does_not_tell_of_disconnects_is_served() -> None:
    gate.set()
    async with Browser() as browser:

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "scheme": "http", **browser._scope("/slow/", {})}
        await browser.application(scope, receive, send)
        assert sent[0]["status"] == 200
