"""What hangs delays its own page, and others not for long: handlers, GETs, guards, sessions.

Caches of snapshots are in `test_hanging_cache`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.cache import SessionStore as CacheSession
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path

from djust import LiveView, event_handler, state
from djust.health import report
from djust.live.registry import registry
from djust.live.snapshots import backlog
from djust.threads.pools import all_pools, io_pool, request_pool, stop_threads, turn_pool
from tests.asgi_client import Browser
from tests.transports import PostWire

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
    stop_threads()
    backlog.reset()


class SessionStore(CacheSession):
    """Sessions in a cache; those whose keys are among `hanging` cannot be read."""

    hanging: set[str] = set()

    def load(self) -> dict[str, Any]:
        if self.session_key in self.hanging:
            gate.wait(30)
        return super().load()


class Counter(LiveView):
    template = "<body><p>{{ count }}</p></body>"
    count = state(0)

    @event_handler
    def add(self) -> None:
        self.count += 1

    @event_handler
    async def add_async(self) -> None:
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


class Hanging(Counter):
    """A page whose guard hangs for as long as the gate is shut, except for its GET."""

    hangs = False

    def check_permissions(self, request: HttpRequest) -> bool:
        return not self.hangs or not hasattr(request, "live_purpose") or gate.wait(20)

    @event_handler
    async def add_async(self) -> None:
        self.count += 1


class AsyncHanging(Hanging):
    async def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        return await super().get(request, *args, **kwargs)  # type: ignore[misc]

    @event_handler
    async def wait(self) -> None:
        await asyncio.to_thread(gate.wait, 20)


class Middleware:
    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)


class Guarded(Counter):
    """A page whose guard hangs for the purposes that its URL names."""

    def check_permissions(self, request: HttpRequest) -> None:
        if vars(request).get("live_purpose") in request.GET:
            mounting.release()
            gate.wait(20)


urlpatterns = [
    path("", Counter.as_view()),
    path("slow/", SlowMount.as_view()),
    path("guarded/", Guarded.as_view()),
    path("hanging/", Hanging.as_view()),
    path("async-hanging/", AsyncHanging.as_view()),
]


async def begun(number: int) -> None:
    """Wait until so many slow GETs are being mounted."""
    for _ in range(number):
        assert await asyncio.to_thread(mounting.acquire, timeout=10)


class Elsewhere(Browser):
    """A browser with another address."""

    def _scope(self, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
        return {**super()._scope(url, headers), "client": ("127.0.0.2", 50000)}


class Visit:
    """A GET whose browser goes away on demand."""

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
        await asyncio.to_thread(_until, lambda: turn_pool.report()["busy"] == 1)
        assert (await other.event("add"))[:3] == ["error", 1, "The server is busy. Please try again."]
        gate.set()
        assert (await page.receive())[:2] == [1, 0]
        await asyncio.to_thread(_until, lambda: turn_pool.report()["busy"] == 0)
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
        assert request_pool.waiting == 0
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


def hanging_middleware(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        if vars(request).get("live_purpose") == "event":
            mounting.release()
            gate.wait(20)
        return get_response(request)

    return middleware


@pytest.mark.parametrize("url", ["/guarded/?event", "/"])
@pytest.mark.parametrize("event", ["add", "add_async"])
async def test_what_is_asked_before_a_handler_may_take_no_longer_than_the_handler(
    settings: Any, url: str, event: str
) -> None:
    if url == "/":
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.hanging_middleware"]
    settings.LIVEVIEW_CONFIG = {"handler_timeout": 0.1}
    async with Browser() as browser:
        page = await browser.open(url)
        answer = await page.event(event)
        assert answer == ["error", 1, "That took too long and was given up. You may try again."]
        await begun(1)
        gate.set()
        assert (await page.event(event))[2] == [0, 1], "what came too late was not called"


@pytest.mark.parametrize("purpose", ["join", "event"])
async def test_guards_that_hang_take_no_more_threads_than_the_gets_of_one_visitor_may(
    settings: Any, monkeypatch: pytest.MonkeyPatch, purpose: str
) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 4, "hang_seconds": 0}
    async with Browser() as browser:
        sockets = []
        for _ in range(4):
            response = await browser.get(f"/guarded/?{purpose}")
            sockets.append(await browser.connect())
            await sockets[-1].send(["join", response.ticket, 0, "/", "one"])
            if purpose == "event":
                assert (await sockets[-1].receive())[0] == "joined"
        if purpose == "event":
            for socket in sockets:
                await socket.post("add_async")
        await begun(3)
        other = browser.another()
        scope = other._scope
        monkeypatch.setattr(other, "_scope", lambda *args: {**scope(*args), "client": ("127.0.0.2", 50000)})
        assert (await other.get("/")).status == 200
        gate.set()


async def test_a_join_that_gets_no_thread_is_refused_and_may_be_tried_again(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with Browser() as browser:
        response = await browser.get("/")
        browser.cookies["sessionid"] = "k" * 32
        for _ in range(8):
            io_pool.submit(lambda: gate.wait(20))
        settings.LIVEVIEW_CONFIG = {"max_queue": 0, "hang_seconds": 0}
        socket, frame = await browser.join(response.ticket)
        assert frame == ["error", 0, "The server is busy. Please try again."]
        assert await socket.closing() == 1011
        assert [record for record in caplog.records if record.exc_info] == []
        gate.set()


async def test_a_get_beyond_the_bound_is_refused_at_once(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 1, "max_queue": 1}
    async with Browser() as browser:
        visits = [Visit(browser, "/slow/")]
        await begun(1)
        visits.append(Visit(browser, "/slow/"))
        await asyncio.to_thread(_until, lambda: request_pool.waiting == 1)
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


# Sessions


@pytest.mark.django_db(transaction=True)
async def test_sessions_that_cannot_be_read_do_not_keep_others_from_joining(settings: Any) -> None:
    settings.SESSION_ENGINE = __name__
    settings.LIVEVIEW_CONFIG = {"hang_seconds": 0.2}
    user = await User.objects.acreate(username="anne")
    async with Browser() as server:
        browsers = [server.another() for _ in range(10)]
        tickets = []
        for browser in browsers:
            await browser.log_in(user)
            tickets.append((await browser.get("/")).ticket)
        SessionStore.hanging = {browser.cookies["sessionid"] for browser in browsers[:9]}
        joins = [
            asyncio.create_task(browser.join(ticket)) for browser, ticket in zip(browsers[:9], tickets, strict=False)
        ]
        await asyncio.sleep(0.05)
        _, frame = await browsers[9].join(tickets[9])
        assert frame[:2] == ["joined", 0]
        SessionStore.hanging = set()
        gate.set()
        assert [(await join)[1][0] for join in joins] == ["joined"] * 9
        for browser in browsers:
            for socket in browser.sockets:
                await socket.close()


# Health


async def test_health_is_reported_although_every_thread_hangs(settings: Any) -> None:
    assert report()["pools"].keys() == {pool.name for pool in all_pools}
    settings.LIVEVIEW_CONFIG = {"threads": 1, "hang_seconds": 0.1}
    for _ in range(6):
        turn_pool.submit(lambda: gate.wait(30) and None)
    await asyncio.to_thread(_until, lambda: not report()["healthy"])
    stuck = {"threads": 4, "busy": 4, "hung": 4, "waiting": 2, "limit": 1}
    await asyncio.to_thread(_until, lambda: report()["pools"]["turn"] == stuck)
    gate.set()
    await asyncio.to_thread(_until, lambda: report()["healthy"])
    await asyncio.to_thread(_until, lambda: report()["pools"]["turn"]["busy"] == 0)
    assert report()["pools"]["turn"] == {"threads": 1, "busy": 0, "hung": 0, "waiting": 0, "limit": 1}


# Guards


@pytest.mark.parametrize("handler", ["add", "add_async"])
@pytest.mark.parametrize("url", ["/hanging/", "/async-hanging/"])
@pytest.mark.parametrize("middleware", [[], [f"{__name__}.Middleware"]])
async def test_an_event_is_given_up_when_its_guard_hangs_and_its_handler_is_never_called(
    settings: Any, monkeypatch: pytest.MonkeyPatch, middleware: list[str], url: str, handler: str
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, *middleware]
    settings.LIVEVIEW_CONFIG = {"handler_timeout": 0.2}
    async with Browser() as browser:
        page = await browser.open(url)
        monkeypatch.setattr(Hanging, "hangs", True)
        assert await page.event(handler) == ["error", 1, "That took too long and was given up. You may try again."]
        monkeypatch.setattr(Hanging, "hangs", False)
        gate.set()
        assert (await page.event("add"))[:3] == [2, 1, [0, 1]]
        assert (await page.event(handler))[:3] == [3, 2, [0, 2]]


@pytest.mark.parametrize("url", ["/hanging/", "/async-hanging/"])
async def test_joins_whose_guards_hang_do_not_keep_others_from_loading_pages(
    settings: Any, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 4, "hang_seconds": 0.1}
    async with Browser() as browser:
        tickets = [(await browser.get(url)).ticket for _ in range(40)]
        monkeypatch.setattr(Hanging, "hangs", True)
        joining = [asyncio.create_task(browser.join(ticket)) for ticket in tickets]
        await asyncio.sleep(0.5)
        started = time.monotonic()
        other = Elsewhere(browser.application)
        assert (await other.get("/")).status == 200
        assert time.monotonic() - started < 0.4
        monkeypatch.setattr(Hanging, "hangs", False)
        gate.set()
        assert [frame for _, frame in await asyncio.gather(*joining)] == [["joined", 0]] * 40


async def test_posts_that_wait_for_handlers_do_not_keep_others_from_loading_pages(settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 4, "hang_seconds": 30}
    async with Browser() as browser:
        pages = [PostWire(browser, "/async-hanging/") for _ in range(6)]
        for page in pages:
            assert await page.open() == ["joined", 0]
        waiting = [asyncio.create_task(page.send([1, "wait"])) for page in pages]
        await asyncio.sleep(0.2)
        started = time.monotonic()
        assert (await browser.get("/")).status == 200
        assert time.monotonic() - started < 1
        gate.set()
        await asyncio.gather(*waiting)
        assert [page.frames for page in pages] == [[[1, 0]]] * 6
