"""Pages of two server processes hear each other, and a worker of Celery, over real servers."""

from __future__ import annotations

import html
import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.engines import PostgresServer, RedisServer, Server, free_port, process, until

COUNT = 10_000
SECONDS = 60

pytestmark = [pytest.mark.slow, pytest.mark.services]


@pytest.fixture(params=[RedisServer, PostgresServer])
def engine(request: pytest.FixtureRequest) -> Iterator[Server]:
    with request.param() as server:
        yield server


@contextmanager
def worker(engine: Server) -> Iterator[int]:
    """A process of uvicorn; its port."""
    port = free_port()
    command = ["uvicorn", "tests.rooms:application", "--port", str(port), "--log-level", "warning"]
    command += ["--timeout-graceful-shutdown", "1"]
    with process(*command, ROOMS_PUBSUB=engine.address, ROOMS_BROKER=engine.address):
        until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/").close(), "uvicorn did not start")
        yield port


class Page:
    """A page of `tests.rooms`, as its browser knows it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.shown = "0 -1 "

    def event(self, handler: str, **params: Any) -> None:
        self.socket.send(json.dumps([1, handler, params]))

    def shows(self, count: int) -> str:
        """What the page shows when it has counted `count` messages."""
        while int(self.shown.split()[0]) < count:
            frame = self._frame()
            if len(frame) > 2 and isinstance(frame[2], list):
                self.shown = frame[2][1]
        return self.shown.strip()

    def _frame(self) -> list[Any]:
        frame: list[Any] = json.loads(self.socket.recv(SECONDS))
        return frame


@contextmanager
def page(port: int) -> Iterator[Page]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as response:
        found = re.search(r'data-djust="([^"]*)"', response.read().decode())
    assert found
    address, origin = f"ws://127.0.0.1:{port}/djust/socket/", Origin(f"http://127.0.0.1:{port}")
    with connect(address, origin=origin, proxy=None) as socket:
        socket.send(json.dumps(["join", html.unescape(found[1]), 0, "/", "one"]))
        assert json.loads(socket.recv(SECONDS))[0] == "joined"
        yield Page(socket)


def test_pages_of_two_workers_hear_each_other_in_order_and_miss_nothing(engine: Server) -> None:
    with worker(engine) as one, worker(engine) as two, page(one) as first, page(two) as second:
        first.event("send", first=0, count=COUNT)
        assert [each.shows(COUNT) for each in (first, second)] == [f"{COUNT} {COUNT - 1}"] * 2
        second.event("send", first=COUNT, count=10)
        assert [each.shows(COUNT + 10) for each in (first, second)] == [f"{COUNT + 10} {COUNT + 9}"] * 2


def test_pages_receive_what_a_task_of_celery_publishes() -> None:
    with RedisServer() as redis, worker(redis) as port:
        command = ["celery", "-A", "tests.rooms", "worker", "--pool", "solo", "--loglevel", "ERROR", "--without-mingle"]
        with process(*command, ROOMS_PUBSUB=redis.address, ROOMS_BROKER=redis.address), page(port) as visitor:
            visitor.event("order", first=0, count=100)
            assert visitor.shows(100) == "100 99"
