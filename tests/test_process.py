"""What belongs to the process starts and ends in one order, and is forgotten after a fork."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from djust import process
from djust.process import Phase

calls: list[str] = []


class Part:
    """Notes what happens to it."""

    def __init__(self, phase: Phase, name: str, *, fails: bool = False) -> None:
        self.name = name
        self.fails = fails
        process.register(phase, start=self.start, stop=self.stop, at_exit=self.exit)

    def start(self) -> None:
        calls.append(f"start {self.name}")

    async def stop(self) -> None:
        calls.append(f"stop {self.name}")
        if self.fails:
            raise RuntimeError("not now")

    def exit(self) -> None:
        calls.append(f"exit {self.name}")
        if self.fails:
            raise RuntimeError("not now")


@pytest.fixture(autouse=True)
def _only_ours() -> Iterator[None]:
    parts, loop = process._parts[:], process._loop
    process._parts.clear()
    calls.clear()
    yield
    process._parts[:] = parts
    process._loop = loop


def test_what_is_in_use_ends_before_what_it_uses_and_starts_after_it() -> None:
    for phase, name in [(Phase.THREADS, "threads"), (Phase.PAGES, "pages"), (Phase.PAGES, "sessions")]:
        Part(phase, name)

    async def life() -> None:
        process.start()
        process.start()
        await process.stop()

    asyncio.run(life())
    assert calls == [
        *("start threads", "start pages", "start sessions"),
        *("stop sessions", "stop pages", "stop threads"),
    ]
    asyncio.run(life())
    assert len(calls) == 12, "another loop starts everything again"


def test_what_fails_to_end_does_not_keep_the_rest_from_it(caplog: pytest.LogCaptureFixture) -> None:
    Part(Phase.PUBSUB, "hub")
    Part(Phase.PAGES, "pages", fails=True)
    with caplog.at_level(logging.ERROR, "djust"):
        asyncio.run(process.stop())
        process._exit()
    assert calls == ["stop pages", "stop hub", "exit pages", "exit hub"]
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


@pytest.mark.slow
def test_after_a_fork_everything_is_forgotten_the_lowest_first() -> None:
    script = """
import os
from djust import process
from djust.process import Phase
calls = []
process.register(Phase.PAGES, forget=lambda: calls.append("pages"))
process.register(Phase.LOOP, forget=lambda: calls.append("loop"))
if (child := os.fork()) == 0:
    os._exit(0 if calls == ["loop", "pages"] else 1)
print(os.waitpid(child, 0)[1], calls)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "0 []", done.stderr


def test_the_child_of_a_fork_has_none_of_the_pages_and_ends_nothing_of_them(tmp_path: Path) -> None:
    """Locks may be held at the fork, clients and snapshots are the parent's."""
    script = """
import os, sys, django
from django.conf import settings
from tests import settings as ours
values = {name: value for name, value in vars(ours).items() if name.isupper()}
backend = "django.core.cache.backends.filebased.FileBasedCache"
values["CACHES"] = {"default": {"BACKEND": backend, "LOCATION": sys.argv[1]}}
settings.configure(**values)
django.setup()
from django.test import RequestFactory
from djust import LiveView, service, state
from djust.live.registry import registry
from djust.live.transports.post import _connections

class Client:
    def close(self):
        print("closed in", "child" if os.getpid() != parent else "parent", flush=True)

class Shop(LiveView):
    template = "<p>{{ n }}</p>"
    n = state(0)
    client = service(Client, scope="page")

    def mount(self, request):
        self.client

parent = os.getpid()
Shop.as_view()(RequestFactory().get("/"))
_connections["x"] = None
with registry._lock:
    child = os.fork()
if child == 0:
    print("pages in child", len(registry), len(_connections), flush=True)
    sys.exit()
print("child", os.waitpid(child, 0)[1], "pages in parent", len(registry), flush=True)
"""
    root = Path(__file__).parent.parent
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=root, check=False)
    assert done.stdout.splitlines() == [
        "pages in child 0 0",
        "child 0 pages in parent 1",
        "closed in parent",
    ], done.stderr
