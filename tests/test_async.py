"""Views with coroutines: `mount`, handlers, `get_context_data`, and clients that live on the event
loop.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import redis.asyncio
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.shortcuts import redirect
from django.test import AsyncClient, Client
from django.urls import path

from djust import LiveView, event_handler, state
from tests.asgi_client import Browser
from tests.engines import RedisServer

pytestmark = pytest.mark.urls(__name__)


class Users(LiveView):
    """`mount` and one handler are ordinary, `get_context_data` is not."""

    template = "<p>{{ names|join:',' }}</p><i>{{ suffix }}</i><b>{{ thread }}</b>"
    suffix = state("")

    def mount(self, request: HttpRequest) -> Any:
        if "away" in request.GET:
            return redirect("/elsewhere/")
        if "broken" in request.GET:
            raise ValueError("in mount")
        self._mounted_in = threading.get_ident()
        return None

    @event_handler
    def create(self, name: str) -> None:
        User.objects.create(username=name)
        self.suffix = "thread" if threading.current_thread() is not threading.main_thread() else "loop"

    @event_handler
    async def acreate(self, name: str) -> None:
        await User.objects.acreate(username=name)
        self.suffix = "thread" if threading.current_thread() is not threading.main_thread() else "loop"

    @event_handler
    def fail_to_show(self) -> None:
        self._broken = True

    async def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        if hasattr(self, "_broken"):
            del self._broken
            raise LookupError("no data")
        names = [name async for name in User.objects.order_by("pk").values_list("username", flat=True)]
        return super().get_context_data(names=names, **kwargs)


class NoData(LiveView):
    template = "<p></p>"

    async def get_context_data(self, **kwargs: Any) -> Any:
        return "nothing"


class Prices(LiveView):
    """Its client is made in `mount` and used in later turns."""

    template = "<p>{{ price }}</p>"
    price = state("")

    async def mount(self, request: HttpRequest) -> None:
        self._client = httpx.AsyncClient(base_url=server, trust_env=False)
        clients.append(self._client)

    async def fetch(self) -> str:
        answer = await self._client.get("/price")
        return answer.text

    @event_handler
    async def ask(self) -> None:
        self.price = await self.fetch()

    @event_handler
    def ask_beside(self) -> None:
        self.start_async(self.fetch)

    def handle_async(self, name: str, result: str) -> None:
        self.price = f"{result} {name}"


class Visits(LiveView):
    template = "<p>{{ visits }}</p>"
    visits = state(0)

    async def mount(self, request: HttpRequest) -> None:
        self.visits = await store.incr("visits")

    @event_handler
    async def visit(self) -> None:
        self.visits = await store.incr("visits")


urlpatterns = [
    path("users/", Users.as_view()),
    path("nodata/", NoData.as_view()),
    path("prices/", Prices.as_view()),
    path("visits/", Visits.as_view()),
]

server = ""
clients: list[httpx.AsyncClient] = []
store: Any


# get_context_data


@pytest.mark.django_db(transaction=True)
async def test_an_asynchronous_get_context_data_serves_the_first_html_and_every_turn() -> None:
    await User.objects.acreate(username="ann")
    async with Browser() as browser:
        page = await browser.open("/users/")
        assert "<p>ann</p>" in page.response.visible
        assert (await page.event("create", {"name": "bob"}))[2] == [0, "ann,bob", 1, "thread"]
        assert (await page.event("acreate", {"name": "cat"}))[2] == [0, "ann,bob,cat", 1, "loop"]


@pytest.mark.django_db(transaction=True)
async def test_its_exceptions_are_those_of_rendering(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/users/")
        told = "Something went wrong, and the page could not be brought up to date."
        assert await page.event("fail_to_show") == ["error", 1, told]
        assert caplog.messages == ["Users.fail_to_show raised LookupError"]
        assert (await page.event("create", {"name": "ann"}))[2][:2] == [0, "ann"]


@pytest.mark.django_db(transaction=True)
async def test_an_ordinary_mount_beside_it_is_called_in_a_thread_and_may_answer_itself() -> None:
    async with Browser() as browser:
        assert (await browser.get("/users/?away")).status == 302
        await browser.open("/users/")
    with pytest.raises(ValueError, match="in mount"):
        await AsyncClient().get("/users/?broken")


async def test_what_it_returns_must_be_a_dict() -> None:
    with pytest.raises(TypeError, match=r"^NoData.get_context_data must return a dict; got str"):
        await AsyncClient().get("/nodata/")


@pytest.mark.django_db(transaction=True)
def test_it_works_under_wsgi() -> None:
    User.objects.create(username="ann")
    assert ">ann<" in Client().get("/users/").content.decode()


# Clients


@pytest.fixture
async def price_server() -> AsyncIterator[list[int]]:
    """A server that counts connections, and keeps them open."""
    global server
    connections: list[int] = []
    served: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        connections.append(0)
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                connections[-1] += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % sum(connections))
                await writer.drain()
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    server = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield connections
    while clients:
        await clients.pop().aclose()
    listening.close()
    await asyncio.gather(*served)


async def test_an_http_client_keeps_its_connection_from_turn_to_turn(price_server: list[int]) -> None:
    async with Browser() as browser:
        page = await browser.open("/prices/")
        assert (await page.event("ask"))[2] == [0, "1"]
        assert (await page.event("ask"))[2] == [0, "2"]
        await page.event("ask_beside")
        assert (await page.receive())[2] == [0, "3 fetch"]
    assert price_server == [3]


@pytest.mark.services
async def test_a_redis_client_is_shared_by_pages_and_turns() -> None:
    global store
    with RedisServer() as engine:
        store = redis.asyncio.from_url(engine.address)
        async with store, Browser() as browser:
            page, other = await browser.open("/visits/"), await browser.open("/visits/")
            assert "<p>2</p>" in other.response.visible
            assert (await page.event("visit"))[2] == [0, 3]
            assert (await other.event("visit"))[2] == [0, 4]
            assert (await store.info("clients"))["connected_clients"] == 1
