"""Publish and subscribe, over every back end: what is published arrives, once and in order,
whatever fails.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Collection, Iterator
from typing import Any

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.http import HttpRequest
from django.test import override_settings
from django.urls import path

from djust import LiveView, apublish, apush_event, event_handler, publish, push_event, state
from djust.live.registry import registry
from djust.pubsub import MessagesMissed
from djust.pubsub.backends.connection import ListeningBackend
from djust.pubsub.backends.postgres import PostgresBackend
from djust.pubsub.backends.redis import RedisBackend
from djust.pubsub.hub import Publication, hub
from djust.pubsub.subscriptions import Inbox
from tests.asgi_client import Browser, Socket
from tests.engines import PostgresServer, RedisServer, Server

pytestmark = pytest.mark.urls(__name__)

SECONDS = 10


class Room(LiveView):
    template = "<body><p>{{ lines|join:' ' }}</p></body>"
    lines: list[str] = state(default=[])

    def mount(self, request: HttpRequest, topic: str = "room") -> None:
        self.subscribe(topic)

    def handle_info(self, message: Any) -> None:
        if isinstance(message, MessagesMissed):
            message = f"missed:{','.join(message.topics)}:{message.reason}"
        if message == "broken":
            raise ValueError("a broken message")
        self.lines.append(str(message))

    @event_handler
    def say(self, text: str) -> None:
        publish("room", text)

    @event_handler
    def nothing(self) -> None: ...

    @event_handler
    def leave(self) -> None:
        self.unsubscribe()

    @event_handler
    def follow(self, topic: str) -> None:
        self.subscribe(topic)


class AsyncRoom(Room):
    async def mount(self, request: HttpRequest) -> None:
        await self.asubscribe("room")

    async def handle_info(self, message: Any) -> None:
        await asyncio.sleep(0)
        super().handle_info(message)


urlpatterns = [
    path("room/<topic>/", Room.as_view()),
    path("room/", Room.as_view()),
    path("async/", AsyncRoom.as_view()),
]


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


SERVERS = [pytest.param(name, marks=pytest.mark.services) for name in ("redis", "postgres")]


@pytest.fixture(params=["memory", *SERVERS])
def engine(request: pytest.FixtureRequest) -> Iterator[Server | None]:
    server: Server | None = None if request.param == "memory" else request.getfixturevalue(f"{request.param}_server")
    with override_settings(LIVEVIEW_CONFIG={"pubsub": server.address if server else "memory"}):
        yield server


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(f"{request.param}_server")
    return found


async def lines_of(page: Socket, last: str) -> list[str]:
    """The lines that the page shows when `last` is among them. Frames of the page are pushes of its
    only part.
    """
    async with asyncio.timeout(SECONDS):
        while True:
            frame = await page.receive()
            if frame[0] == 0 and isinstance(frame[2], list):
                lines: list[str] = frame[2][1].split()
                if last in lines:
                    return lines


async def test_what_is_published_comes_to_every_page_that_has_subscribed(engine: Server | None) -> None:
    async with Browser() as browser:
        one, two = await browser.open("/room/"), await browser.another().open("/async/")
        other = await browser.another().open("/room/elsewhere/")
        answer = await one.event("say", {"text": "hello"})
        assert answer == [1, 0]
        assert (await one.receive())[:3] == [0, 1, [0, "hello"]]
        assert (await two.receive())[:3] == [0, 1, [0, "hello"]]
        await apublish("elsewhere", "you")
        assert (await other.receive())[:3] == [0, 1, [0, "you"]]


async def test_messages_come_once_and_in_the_order_of_their_publisher(engine: Server | None) -> None:
    numbers = [str(number) for number in range(500)]
    async with Browser() as browser:
        page = await browser.open("/room/")

        def send() -> None:
            for number in numbers:
                publish("room", number)

        await asyncio.gather(asyncio.to_thread(send), asyncio.to_thread(publish, "room", "aside"))
        received = await lines_of(page, "499")
        assert [line for line in received if line != "aside"] == numbers


async def test_messages_have_no_limit_of_size(engine: Server | None) -> None:
    async with Browser() as browser:
        page = await browser.open("/room/")
        for text in ("x" * 50_000, "\N{SNOWMAN}" * 20_000):
            await apublish("room", text)
            assert (await page.receive())[2][1].endswith(text)


async def test_a_page_that_has_unsubscribed_receives_nothing(engine: Server | None) -> None:
    async with Browser() as browser:
        page, witness = await browser.open("/room/"), await browser.another().open("/room/")
        await page.event("leave")
        await page.event("follow", {"topic": "other"})
        await apublish("room", "gone")
        await lines_of(witness, "gone")
        await apublish("other", "here")
        assert (await page.receive())[:3] == [0, 1, [0, "here"]]


async def test_events_are_pushed_to_the_browsers_of_a_topic(engine: Server | None) -> None:
    async with Browser() as browser:
        one, two = await browser.open("/room/"), await browser.another().open("/async/")
        await apush_event("room", "ping", {"n": 1})
        await asyncio.to_thread(push_event, "room", "pong")
        for page in (one, two):
            pushed = (await page.receive())[4]["push"]
            pushed += [] if len(pushed) == 2 else (await page.receive())[4]["push"]
            assert pushed == [["ping", {"n": 1}], ["pong", None]]


async def test_a_message_that_fails_costs_neither_the_next_one_nor_the_page(
    engine: Server | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with Browser() as browser:
        page = await browser.open("/room/")
        await apublish("room", "broken")
        await apublish("room", "whole")
        assert await lines_of(page, "whole") == ["whole"]
    assert "Room.handle_info raised ValueError" in caplog.text


async def test_what_is_published_before_the_browser_joins_is_shown_when_it_does() -> None:
    async with Browser() as browser:
        response = await browser.get("/room/")
        await apublish("room", "early")
        await apublish("room", "bird")
        socket, joined = await browser.join(response.ticket)
        assert joined[:2] == ["joined", 0]
        assert (await socket.receive())[:3] == [0, 1, [0, "early bird"]]


async def test_many_messages_share_a_rendering() -> None:
    async with Browser() as browser:
        response = await browser.get("/room/")
        for number in range(300):
            await apublish("room", str(number))
        socket, _ = await browser.join(response.ticket)
        frame = await socket.receive()
        assert (frame[:2], len(frame[2][1].split())) == ([0, 1], 300)


# Servers that fail


async def test_a_server_that_failed_is_subscribed_to_again_and_pages_receive_messages_missed(server: Server) -> None:
    with override_settings(LIVEVIEW_CONFIG={"pubsub": server.address}):
        async with Browser() as browser:
            page = await browser.open("/room/")
            await apublish("room", "before")
            assert await lines_of(page, "before") == ["before"]
            await asyncio.to_thread(server.kill)
            with pytest.raises((*RedisBackend.failures, *PostgresBackend.failures)):
                await apublish("room", "lost")
            # Clicks do without the server.
            assert await page.event("nothing") == [1, 1]
            await asyncio.to_thread(server.start)
            start = time.monotonic()
            lines = await lines_of(page, "missed:room:connection")
            print(f"{type(server).__name__}: pages were told {time.monotonic() - start:.2f} s after it was back")
            await asyncio.to_thread(publish, "room", "after")
            assert await lines_of(page, "after") == [*lines, "after"] == ["before", "missed:room:connection", "after"]


async def test_a_page_opens_while_the_server_is_down_and_learns_when_it_is_back(server: Server) -> None:
    with override_settings(LIVEVIEW_CONFIG={"pubsub": server.address}):
        async with Browser() as browser:
            await asyncio.to_thread(server.kill)
            try:
                page = await browser.open("/room/")
            finally:
                await asyncio.to_thread(server.start)
            await lines_of(page, "missed:room:late")
            await apublish("room", "after")
            assert (await lines_of(page, "after"))[-1] == "after"


@pytest.mark.parametrize(
    "address",
    [
        "redis://user:secret@localhost:6379/0",
        "redis://localhost:6379/0?password=secret",
        "dbname='shop' user='u' password='secret \\' more' host='db'",
        "postgresql://u:secret@db/shop",
        "dbname=shop password=secret host=db",
    ],
)
def test_passwords_are_not_shown(address: str) -> None:
    shown = PostgresBackend(address, lambda topic, text: None, lambda topics: None)._address_shown
    assert "secret" not in shown
    assert ("db" if "db" in address else "localhost") in shown


# Inboxes


def test_an_inbox_that_overflows_keeps_the_newest_of_each_topic_and_tells() -> None:
    with override_settings(LIVEVIEW_CONFIG={"max_messages": 10}):
        woken: list[int] = []
        inbox = Inbox(lambda: woken.append(1))
        for number in range(11):
            inbox.put(Publication("a" if number % 2 else "b", number))
        assert [publication.message for publication in inbox.drain()] == [10, 9, MessagesMissed(("a", "b"), "overflow")]
        assert (len(woken), bool(inbox), inbox.drain()) == (11, False, [])


def test_views_that_are_gone_are_forgotten() -> None:
    async def life() -> None:
        async with Browser() as browser:
            await browser.get("/room/gone/")
            assert "gone" in hub._subscribers
            gc.collect()
            registry.clear()
            gc.collect()
            await asyncio.sleep(0)
            async with asyncio.timeout(SECONDS):
                while "gone" in hub._subscribers:  # noqa: ASYNC110 — nobody tells when garbage was collected
                    await asyncio.sleep(0.01)

    asyncio.run(life())


# Bad input


@pytest.mark.parametrize("topic", ["", 7, None, "x" * 501])
def test_a_topic_must_be_a_text(topic: Any) -> None:
    with pytest.raises(TypeError, match="A topic is a text of 1 to 500 characters"):
        publish(topic, "hello")
    with pytest.raises(TypeError, match="A topic is a text of 1 to 500 characters"):
        Room().subscribe(topic)


def test_what_cannot_be_serialized_is_not_published() -> None:
    with pytest.raises(TypeError, match="non-serializable value: lock"):
        publish("room", threading.Lock())
    with pytest.raises(TypeError, match="the payload must be what JSON can hold"):
        push_event("room", "ping", object())


async def test_publish_does_not_make_the_event_loop_wait() -> None:
    with pytest.raises(SynchronousOnlyOperation, match=r"await djust\.apublish"):
        publish("room", "hello")


def test_an_unknown_back_end_is_refused() -> None:
    with (
        override_settings(LIVEVIEW_CONFIG={"pubsub": "kafka://localhost"}),
        pytest.raises(ImproperlyConfigured, match=r'LIVEVIEW_CONFIG\["pubsub"\] is \'kafka://localhost\'; expected'),
    ):
        publish("room", "hello")


def test_postgres_as_a_word_needs_it_as_the_default_database() -> None:
    refused = pytest.raises(ImproperlyConfigured, match="the default database is sqlite")
    with override_settings(LIVEVIEW_CONFIG={"pubsub": "postgres"}), refused:
        publish("room", "hello")


@pytest.mark.services
async def test_bytes_that_are_no_text_do_not_end_listening(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(LIVEVIEW_CONFIG={"pubsub": redis_server.address}):
        async with Browser() as browser:
            page = await browser.open("/room/")
            with redis.Redis.from_url(redis_server.address) as stranger:
                assert stranger.publish("djust:room", b"\xff\xfe") == 1
            await apublish("room", "whole")
            assert await lines_of(page, "whole") == ["whole"]
    assert 'A message of the topic "room" cannot be read' in caplog.text


async def test_a_text_with_a_lone_surrogate_is_no_topic() -> None:
    with pytest.raises(TypeError, match="can be encoded as UTF-8"):
        await apublish("\ud800", "hello")
    with pytest.raises(TypeError, match="can be encoded as UTF-8"):
        Room().subscribe("\ud800")


def test_a_subscription_without_a_back_end_leaves_nothing_behind() -> None:
    inbox = Inbox(lambda: None)
    with override_settings(LIVEVIEW_CONFIG={"pubsub": "kafka://localhost"}):
        with pytest.raises(ImproperlyConfigured):
            hub.subscribe(inbox, "nowhere")
        assert (inbox.topics, "nowhere" in hub._subscribers) == (set(), False)


def test_a_listener_that_fails_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("a broken listener")

    inboxes = [Inbox(fail) for _ in range(3)]
    for inbox in inboxes:
        hub.subscribe(inbox, "room").result(SECONDS)
    hub._deliver("room", '["", "whole"]')
    hub._lost(["room"])
    for inbox in inboxes:
        hub.unsubscribe(inbox, ["room"])
        assert inbox.drain() == [Publication("room", "whole"), Publication("", MessagesMissed(("room",), "connection"))]
    assert caplog.text.count("RuntimeError: a broken listener") == 6


@pytest.mark.services
async def test_postgres_forgets_the_channels_without_subscribers(postgres_server: PostgresServer) -> None:
    backend = PostgresBackend(postgres_server.address, lambda *_: None, lambda _: None)
    await backend.subscribe("kept")
    for number in range(5):
        await backend.subscribe(f"topic {number}")
        await backend.unsubscribe(f"topic {number}")
    assert [*backend._channels.values()] == ["kept"]
    await backend.close()


class Gated(ListeningBackend[str]):
    """A service that confirms when it is let."""

    def __init__(self) -> None:
        super().__init__("gated", lambda *_: None, lambda _: None)
        self.asked, self.gate, self.ignored = asyncio.Event(), asyncio.Event(), asyncio.Queue[str]()

    async def connect(self) -> str:
        return "connection"

    async def listen(self, connection: str, topics: Collection[str]) -> None:
        self.asked.set()
        await self.gate.wait()

    async def unlisten(self, connection: str, topic: str) -> None:
        self.ignored.put_nowait(topic)

    async def read(self, connection: str) -> None:
        await asyncio.Event().wait()

    async def disconnect(self, connection: str) -> None: ...


async def test_a_topic_that_is_left_while_the_connection_is_made_is_not_listened_to() -> None:
    backend = Gated()
    async with asyncio.timeout(SECONDS):
        subscribing = asyncio.create_task(backend.subscribe("left"))
        await backend.asked.wait()
        subscribing.cancel()
        await backend.unsubscribe("left")
        backend.gate.set()
        assert await backend.ignored.get() == "left"
    await backend.close()


def test_closing_ends_subscriptions_that_wait_for_a_service_which_is_away() -> None:
    with override_settings(LIVEVIEW_CONFIG={"pubsub": "redis://127.0.0.1:1/0"}):
        subscribed = hub.subscribe(Inbox(lambda: None), "away")
    assert subscribed.cancelled()


async def test_settings_may_change_on_the_loop_of_the_pages() -> None:
    async with Browser():
        await apublish("anything", 1)
        with override_settings(LIVEVIEW_CONFIG={"max_messages": 10}):
            await apublish("anything", 2)
