"""One publish to many pages: how long until the last browser socket has it, and what each page
costs the server.

    python -m benchmarks.publish                   1, 100, 1,000 and 5,000 pages; about two minutes
    python -m benchmarks.publish --pages 1 100 --only counter
    python -m benchmarks.publish --pyview PYTHON   the same with pyview, which that interpreter has

A server process with one event loop is started. A page that is none of these publishes by a click;
the time runs from its sending to the arrival of the last frame. CPU is what the server process has
used meanwhile, per page. The counter shows the number that was published; the page of 40 KB shows
five. `handle_info` is `async def`, and `def` for comparison: those turns go through threads.
"""

import argparse
import asyncio
import gc
import http.client
import json
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.urls import path
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from benchmarks.browsing import Page, open_pages
from benchmarks.serving import serve, serving_apart, serving_peer

ROUNDS = 7

settings.configure(
    SECRET_KEY="publish",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.sessions", "django.contrib.staticfiles", "djust"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 1e6}}},
    STATIC_URL="/static/",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    LIVEVIEW_CONFIG={"max_pages": 100_000},
)
django.setup()

from djust import LiveView, apublish, event_handler, state  # noqa: E402 - the settings come first in a single-file project
from djust.asgi import get_asgi_application  # noqa: E402


class Publisher(LiveView):
    template = "<!DOCTYPE html><html><body></body></html>"

    @event_handler
    async def publish(self) -> None:
        self._count = getattr(self, "_count", 0) + 1
        await apublish("numbers", self._count)


class Counter(LiveView):
    template = "<!DOCTYPE html><html><body><p>{{ count }}</p></body></html>"
    count = state(default=0)

    def mount(self, request: Any) -> None:
        self.subscribe("numbers")

    async def handle_info(self, message: int) -> None:
        self.count = message


class ThreadCounter(Counter):
    def handle_info(self, message: int) -> None:  # type: ignore[override] # both are allowed
        self.count = message


TEXT = "A paragraph of text that never changes, as most of a page."
CARDS = "".join(f'<section class="card"><h2>Figure {n}</h2><p>{TEXT}</p></section>' for n in range(360))
NUMBERS = "".join(f"<p>{{{{ {name} }}}}</p>" for name in "abcde")


class Large(LiveView):
    """40 KB of HTML, in which five numbers change."""

    template = f"<!DOCTYPE html><html><body>{NUMBERS}{CARDS}</body></html>"

    def mount(self, request: Any) -> None:
        self._count(0)
        self.subscribe("numbers")

    def _count(self, n: int) -> None:
        self.a, self.b, self.c, self.d, self.e = n, n * 2, n * 3, n * 5, n * 7

    async def handle_info(self, message: int) -> None:
        self._count(message)


urlpatterns = [
    path("publisher/", Publisher.as_view()),
    path("counter/", Counter.as_view()),
    path("thread/", ThreadCounter.as_view()),
    path("large/", Large.as_view()),
]

KINDS = {"counter": "counter, async def", "thread": "counter, def", "large": "40 KB, async def"}


async def measure(name: str, count: int) -> None:
    """Print the line of one kind of page."""
    with serving_apart("benchmarks.publish") as server:
        publisher = await Page(server.port).open("/publisher/")
        pages = await open_pages(server.port, f"/{name}/", count)
        inbox: asyncio.Queue[str] = asyncio.Queue()
        for page in pages:
            page.frames = inbox
        gc.freeze()
        times, used = [], []
        for _ in range(ROUNDS):
            cpu, start = cpu_seconds(server.pid), time.perf_counter()
            await publisher.event("publish")
            for _ in range(count):
                await inbox.get()
            times.append((time.perf_counter() - start) * 1e3)
            used.append((cpu_seconds(server.pid) - cpu) * 1e6 / count)
        last, first = statistics.median(times), min(times)
        print(
            f"{KINDS[name]:22} {count:6} pages: the last one after {last:8.1f} ms (best {first:.1f}), "
            f"{statistics.median(used):6.0f} µs of CPU per page",
            flush=True,
        )
        for page in (publisher, *pages):
            page.close()


async def measure_pyview(python: str, name: str, count: int) -> None:
    """The same work in pyview: its pages speak the protocol of Phoenix LiveView."""
    with serving_peer(python, str(Path(__file__).with_name("pyview_publish.py"))) as server:
        publisher = await Phoenix.open(server.port, "/publisher/")
        pages = [await Phoenix.open(server.port, f"/{name}/") for _ in range(count)]
        gc.freeze()
        times, used = [], []
        for _ in range(ROUNDS):
            cpu, start = cpu_seconds(server.pid), time.perf_counter()
            await publisher.send("event", {"type": "click", "event": "publish", "value": {}})
            await asyncio.gather(*(page.diff() for page in pages))
            times.append((time.perf_counter() - start) * 1e3)
            used.append((cpu_seconds(server.pid) - cpu) * 1e6 / count)
        print(
            f"{'pyview, ' + name:22} {count:6} pages: the last one after {statistics.median(times):8.1f} ms "
            f"(best {min(times):.1f}), {statistics.median(used):6.0f} µs of CPU per page",
            flush=True,
        )
        for page in (publisher, *pages):
            await page.socket.close()


class Phoenix:
    """A page of pyview."""

    def __init__(self, socket: ClientConnection, topic: str) -> None:
        self.socket, self.topic, self.ref = socket, topic, 4

    @classmethod
    async def open(cls, port: int, url: str) -> "Phoenix":
        connection = http.client.HTTPConnection("127.0.0.1", port)
        await asyncio.to_thread(connection.request, "GET", url)
        answer = connection.getresponse()
        text = answer.read().decode()
        cookie = "; ".join(value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie") or [])
        connection.close()
        patterns = (r'name="csrf-token" content="([^"]+)"', r'data-phx-session="([^"]*)"', r'id="(phx-[^"]+)"')
        csrf, session, page = (re.search(pattern, text)[1] for pattern in patterns)  # type: ignore[index] # or it fails
        socket = await connect(
            f"ws://127.0.0.1:{port}/live/websocket?_csrf_token={csrf}&_mounts=0&vsn=2.0.0",
            origin=Origin(f"http://127.0.0.1:{port}"),
            additional_headers={"Cookie": cookie} if cookie else {},
            proxy=None,
            max_size=None,
        )
        self = cls(socket, f"lv:{page}")
        params = {"_csrf_token": csrf, "_mounts": 0}
        joining = {"url": f"http://127.0.0.1:{port}{url}", "params": params, "session": session, "static": None}
        await self.send("phx_join", joining)
        if '"ok"' not in str(await socket.recv()):
            raise RuntimeError("pyview did not accept the join.")
        return self

    async def send(self, kind: str, payload: dict[str, Any]) -> None:
        self.ref += 1
        await self.socket.send(json.dumps(["4", str(self.ref), self.topic, kind, payload]))

    async def diff(self) -> None:
        """Wait for the change that a message has made."""
        while '"diff"' not in str(await self.socket.recv())[:200]:
            pass


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, to a nanosecond."""
    fields = Path(f"/proc/{pid}/schedstat")
    return sum(int(task.read_text().split()[0]) for task in fields.parent.glob("task/*/schedstat")) / 1e9


def main() -> int:
    if sys.argv[1:] == ["serve"]:
        serve(get_asgi_application())
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, nargs="+", default=[1, 100, 1_000, 5_000])
    parser.add_argument("--only", choices=list(KINDS))
    parser.add_argument("--pyview", metavar="PYTHON")
    options = parser.parse_args()
    if options.pyview:
        for name in ("counter", "large"):
            for count in options.pages:
                asyncio.run(measure_pyview(options.pyview, name, count))
        return 0
    for name in [options.only] if options.only else list(KINDS):
        for count in options.pages:
            asyncio.run(measure(name, count))
    return 0


if __name__ == "__main__":
    sys.exit(main())
