"""What hangs is felt by whoever waits for it, and by nobody else for long: handlers, GETs, caches,
sessions.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.cache import SessionStore as CacheSession
from django.core.cache.backends.base import BaseCache
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path

from djust import LiveView, event_handler, state
from djust.health import report
from djust.live.registry import registry
from djust.live.snapshots import backlog
from djust.state import circuit
from djust.threads.pools import all_pools, io_pool, request_pool, turn_pool
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
    for pool in all_pools:
        pool.stop()
    backlog.reset()


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


class SessionStore(CacheSession):
    """Sessions in a cache; those whose keys are among `hanging` cannot be read."""

    hanging: set[str] = set()

    def load(self) -> dict[str, Any]:
        if self.session_key in self.hanging:
            gate.wait(30)
        return super().load()


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
    """What guards it hangs for joins; an asynchronous event asks in the same pool."""

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


# The cache of snapshots


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
        assert sorted(times)[2] < 0.3, "once it is known that the cache hangs, nobody waits for it"
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


async def test_health_is_reported_although_every_thread_hangs(settings: Any, states: dict[str, Any]) -> None:
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


async def test_health_says_that_the_state_cache_fails(states: dict[str, Any]) -> None:
    assert report()["state_cache"] == "available"
    SharedCache.mood = "fails"
    async with Browser() as browser:
        for _ in range(3):
            await browser.open("/")
        await asyncio.to_thread(_until, lambda: report()["state_cache"] == "failing")
        assert report()["healthy"], "pages work without it"


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
