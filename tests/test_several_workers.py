"""A page outlives the worker that made it: uvicorn with two workers, with the caches that they can
share.
"""

from __future__ import annotations

import html
import json
import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.engines import SECONDS, RedisServer, free_port, process, until

BACKENDS = "django.core.cache.backends."


@pytest.fixture(params=["files", pytest.param("redis", marks=pytest.mark.services)])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    deeds = {"LEDGERS_DEEDS": str(tmp_path / "deeds")}
    if request.param == "files":
        yield {
            "LEDGERS_CACHE": BACKENDS + "filebased.FileBasedCache",
            "LEDGERS_PLACE": str(tmp_path / "cache"),
            **deeds,
        }
    else:
        with RedisServer() as redis:
            yield {"LEDGERS_CACHE": BACKENDS + "redis.RedisCache", "LEDGERS_PLACE": redis.address, **deeds}


@contextmanager
def workers(port: int, environment: dict[str, str]) -> Iterator[None]:
    """Two workers behind one port; when one dies, another takes its place."""
    command = ["uvicorn", "tests.ledgers:application", "--workers", "2", "--port", str(port), "--log-level", "error"]
    with process(*command, "--timeout-graceful-shutdown", "1", **environment):
        until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/").close(), "uvicorn did not start")
        until(lambda: other_than(worker_of(port), port), "the second worker did not start")
        yield


def worker_of(port: int) -> int:
    """The worker that answers now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1) as response:
        return int(response.headers["X-Worker"])


def other_than(worker: int, port: int) -> int:
    with paused(worker):
        return worker_of(port)


@contextmanager
def paused(worker: int) -> Iterator[None]:
    """Nothing comes to this worker: the other one takes all new connections."""
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


class Visitor:
    """Somebody with one document open, as the client behaves."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection = ExitStack()
        self.ref = self.version = 0
        self.shown = ""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as response:
            self.worker = int(response.headers["X-Worker"])
            found = re.search(r'data-djust="([^"]*)"', response.read().decode())
        assert found
        self.ticket = html.unescape(found[1])

    def join(self) -> list[Any]:
        """Open a socket; gives the frame that answers, without its extra."""
        address, origin = f"ws://127.0.0.1:{self.port}/djust/socket/", Origin(f"http://127.0.0.1:{self.port}")
        self.leave()
        self.socket = self.connection.enter_context(connect(address, origin=origin, proxy=None))
        self.socket.send(json.dumps(["join", self.ticket, self.version, "/", "a document"]))
        frame: list[Any] = json.loads(self.socket.recv(SECONDS))
        self.version = frame[1]
        if frame[0] == "all":
            self.shown = frame[2][0]
        if isinstance(frame[-1], dict):
            self.ticket = frame.pop()["ticket"]
        return frame

    def leave(self) -> None:
        """Close the socket."""
        self.connection.close()

    def enter(self, number: int) -> None:
        self.ref += 1
        self.socket.send(json.dumps([self.ref, "enter", {"number": number}, [], 1]))
        _, self.version, (_, self.shown), _, extra = json.loads(self.socket.recv(SECONDS))
        self.worker = extra["reply"]

    def until_kept(self) -> None:
        """Wait for the snapshot that holds everything."""

        def look() -> None:
            url = f"http://127.0.0.1:{self.port}/kept/?{urlencode({'ticket': self.ticket})}"
            with urllib.request.urlopen(url) as response:
                assert int(response.read()) == self.ref

        until(look, "no snapshot was written")


@pytest.mark.slow
def test_a_page_goes_on_in_any_worker_whatever_happens_to_its_own(environment: dict[str, str]) -> None:
    port = free_port()
    with workers(port, environment):
        visitor = Visitor(port)
        visitor.until_kept()
        maker = visitor.worker
        with paused(maker):
            assert visitor.join() == ["joined", 0, 0], "another worker shows what this one has sent"
            visitor.enter(1)
        assert visitor.worker != maker
        visitor.until_kept()
        visitor.leave()
        with paused(visitor.worker):
            assert (visitor.join()[0], visitor.shown) == ("all", "1")
            visitor.enter(2)
        assert visitor.worker == maker
        visitor.until_kept()
        os.kill(maker, signal.SIGKILL)
        assert (visitor.join()[0], visitor.shown) == ("all", "1 2")
        visitor.enter(3)
        assert visitor.worker != maker
    # A deployment: what was not written yet is, before the processes end.
    with workers(port, environment):
        assert (visitor.join()[0], visitor.shown) == ("all", "1 2 3")
        visitor.enter(4)
        assert visitor.shown == "1 2 3 4"
        visitor.leave()
    assert Path(environment["LEDGERS_DEEDS"]).read_text().split() == ["1", "2", "3", "4"]
