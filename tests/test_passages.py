"""Guards of odd kinds: they answer with another view, are coroutines, belong to one object, or
raise an exit.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any
from weakref import finalize

import pytest
from asgiref.sync import markcoroutinefunction
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import Client
from django.urls import path
from django.views.decorators.http import etag

from djust import LiveView, event_handler, publish, state
from djust.exceptions import HandlerError
from djust.live.registry import registry
from djust.testing import LiveClient
from tests.asgi_client import Browser, Closed
from tests.transports import PostWire, SocketWire, Wire

pytestmark = pytest.mark.urls(__name__)

NO = "You are not allowed to use this page any more. Load it again."
LATER = "This could not be done just now. Try again in a moment."

is_open = True
version = "one"
raised: dict[str, BaseException] = {}
called: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    global is_open, version
    is_open, version = True, "one"
    raised.clear()
    called.clear()
    registry.clear()
    yield
    raised.clear()


def close() -> None:
    global is_open
    is_open = False


def decide(place: str, request: HttpRequest) -> None:
    if getattr(request, "live_purpose", "") and place in raised:
        raise raised[place]


class Middleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        decide("middleware", request)
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: object) -> None:
        decide("hook", request)


class AsyncMiddleware:
    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        decide("middleware", request)
        response: HttpResponseBase = await self.get_response(request)
        return response

    async def process_view(self, request: HttpRequest, *_: object) -> None:
        decide("hook", request)


class Counter(LiveView):
    template = "<body><p>{{ count }}</p></body>"
    count = state(default=0)

    def mount(self, request: HttpRequest) -> None:
        self.subscribe("counters")

    def handle_info(self, message: Any) -> None:
        if isinstance(message, int):
            self.count += message

    @event_handler
    def add(self) -> None:
        called.append("add")
        self.count += 1

    @event_handler
    async def add_async(self) -> None:
        called.append("add_async")
        self.count += 1

    @event_handler
    async def remember(self) -> None:
        await self.request.session.aset("count", self.count)


class Welcome(Counter):
    """What visitors see who may not see more."""


class AsyncCounter(Counter):
    async def mount(self, request: HttpRequest) -> None:  # type: ignore[override]
        await self.asubscribe("counters")


class AsyncGet(Counter):
    async def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        if not is_open:
            raise PermissionDenied
        response: HttpResponseBase = await super().get(request, *args, **kwargs)  # type: ignore[misc]
        return response


class AsyncDispatch(AsyncCounter):
    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not is_open:
            raise PermissionDenied
        response: HttpResponseBase = await super().dispatch(request, *args, **kwargs)
        return response


class AsyncDeclared(AsyncDispatch):
    def check_permissions(self, request: HttpRequest) -> bool:
        return "X-Stranger" not in request.headers


class Given(Counter):
    """Guarded by an attribute of this object only."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check_permissions = lambda request: is_open


class Shop(Counter):
    def check_permissions(self, request: HttpRequest) -> bool:
        return request.headers.get("X-Shop") != "closed"


class Raising(Counter):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        decide("dispatch", request)
        return super().dispatch(request, *args, **kwargs)


class AsyncRaising(AsyncCounter, Raising):
    pass


View = Callable[..., Any]


def members(view: View) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not is_open:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


def welcoming(view: View) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return view(request, *args, **kwargs) if is_open else Welcome.as_view()(request)

    return guarded


urlpatterns = [
    path("counter/", Counter.as_view()),
    path("members/", members(Counter.as_view())),
    path("welcoming/", welcoming(Counter.as_view())),
    path("async-get/", AsyncGet.as_view()),
    path("async-dispatch/", AsyncDispatch.as_view()),
    path("async-declared/", AsyncDeclared.as_view()),
    path("given/", Given.as_view()),
    path("shop/", Shop.as_view()),
    path("etag/", etag(lambda request: version)(Counter.as_view())),
    path("raising/", Raising.as_view()),
    path("async-raising/", AsyncRaising.as_view()),
]


async def test_events_that_are_posted_to_another_page_pass_the_guards_of_their_own() -> None:
    async with Browser() as browser:
        page = PostWire(browser, "/members/")
        assert await page.open() == ["joined", 0]
        close()
        page.url = "/counter/"
        await page.send([1, "add", {}, [], 1])
        assert (page.frames, page.code, called) == ([["error", 0, NO]], 4403, [])


@pytest.mark.parametrize("handler", ["add", "add_async"])
async def test_a_guard_that_answers_with_another_live_view_has_refused(wire: type[Wire], handler: str) -> None:
    async with Browser() as browser:
        page = wire(browser, "/welcoming/")
        assert await page.open() == ["joined", 0]
        close()
        await page.send([1, handler, {}, [], 1])
        assert (await page.receive(), called) == (["error", 0, NO], [])


async def test_a_parked_page_is_not_joined_where_its_guard_answers_with_another_live_view(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = wire(browser, "/welcoming/")
        response = await browser.get("/welcoming/")
        close()
        joined = PostWire.join if issubclass(wire, PostWire) else SocketWire.join
        assert await joined(page, response.ticket) == ["error", 0, NO]  # type: ignore[arg-type]


@pytest.mark.parametrize("handler", ["add", "add_async"])
@pytest.mark.parametrize("url", ["/async-get/", "/async-dispatch/", "/async-declared/", "/given/"])
async def test_guards_that_are_coroutines_or_belong_to_one_object_let_in_and_refuse(
    wire: type[Wire], url: str, handler: str
) -> None:
    async with Browser() as browser:
        page = wire(browser, url)
        assert (await page.open())[:1] == ["joined"]
        assert (await page.event(handler))[:3] == [1, 1, [0, 1]]
        close()
        if isinstance(page, PostWire):
            headers = {"x-djust": page.id, "x-csrftoken": page.token, "content-type": "text/plain"}
            body = json.dumps([2, handler]).encode()
            assert (await browser.get(url, "POST", body, **headers)).status in (302, 403)
        else:
            await page.send([2, handler])
            assert await page.receive() == ["error", 0, NO]
        assert called == [handler]


async def test_an_asynchronous_dispatch_can_await_the_refusal_of_an_attribute() -> None:
    async with Browser() as browser:
        browser.headers = {"x-stranger": "yes"}
        assert (await browser.get("/async-declared/")).status == 302


async def test_guards_see_the_headers_of_the_browser_that_joins() -> None:
    async with Browser() as browser:
        ticket = (await browser.get("/shop/")).ticket
        browser.headers = {"x-shop": "closed"}
        _, frame = await browser.join(ticket)
        assert frame == ["error", 0, NO]


async def test_a_condition_of_the_first_get_is_not_asked_of_turns() -> None:
    global version
    async with Browser() as browser:
        browser.headers = {"if-none-match": '"two"'}
        page = await browser.open("/etag/")
        version = '"two"'
        assert (await page.event("add"))[:3] == [1, 1, [0, 1]]


EXITS = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), StopIteration()]
MIDDLEWARE = {
    "none": [],
    "def": [f"{__name__}.Middleware"],
    "async def": [f"{__name__}.AsyncMiddleware"],
}


@pytest.mark.parametrize("error", EXITS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("url", ["/raising/", "/async-raising/"])
@pytest.mark.parametrize("middleware", MIDDLEWARE)
async def test_an_exit_that_is_raised_before_a_turn_is_a_failure(
    settings: Any, middleware: str, url: str, error: BaseException
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, *MIDDLEWARE[middleware]]
    async with Browser() as browser:
        page, expected = await browser.open(url), 0
        for place in ["dispatch"] if middleware == "none" else ["middleware", "hook", "dispatch"]:
            ticket = (await browser.get(url)).ticket
            raised[place] = error
            for handler in ("add", "add_async"):
                assert await page.event(handler) == ["error", page.ref, LATER]
            with pytest.raises(Closed) as closed:
                await browser.join(ticket)
            assert closed.value.code == 1011
            raised.clear()
            expected += 1
            assert (await page.event("add"))[:3] == [page.ref, expected, [0, expected]]
        assert called == ["add"] * expected


async def test_a_message_waits_while_a_guard_exits() -> None:
    async with Browser() as browser:
        page = await browser.open("/async-raising/")
        raised["dispatch"] = SystemExit()
        await asyncio.to_thread(publish, "counters", 7)
        assert await page.event("add") == ["error", 1, LATER]
        raised.clear()
        await page.post("add")
        frames = [await page.receive(), await page.receive()]
        assert [frame[2] for frame in frames] == [[0, 1], [0, 8]], json.dumps(frames)


@pytest.mark.parametrize("url", ["/counter/", "/members/", "/async-declared/", "/async-get/"])
@pytest.mark.parametrize("middleware", MIDDLEWARE)
async def test_nothing_holds_a_page_that_is_over(settings: Any, middleware: str, url: str) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, *MIDDLEWARE[middleware]]
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    async with Browser() as browser:
        socket = await browser.open(url)
        for handler in ("add", "add_async", "add"):
            await socket.event(handler)
        await socket.close()
        (page,) = registry.pages()
        freed = asyncio.Event()
        finalize(page, asyncio.get_running_loop().call_soon_threadsafe, freed.set)
        del page
        gc.disable()
        try:
            registry.clear()
            async with asyncio.timeout(5):
                await freed.wait()
        finally:
            gc.enable()


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["/members/", "/async-declared/", "/async-get/"])
@pytest.mark.parametrize("middleware", MIDDLEWARE)
def test_the_test_client_saves_the_session_of_an_asynchronous_handler_inside_middleware(
    settings: Any, middleware: str, url: str
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, *MIDDLEWARE[middleware]]
    client = Client()
    session = client.session
    session["count"] = -1
    session.save()
    with LiveClient(url, client=client) as page:
        page.event("add_async")
        page.event("remember")
        assert client.session["count"] == 1
        close()
        with pytest.raises((HandlerError, ConnectionAbortedError, ExceptionGroup)):
            page.event("add")
        assert called == ["add_async"]
