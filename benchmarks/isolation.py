"""Does one page wait for another? Twenty pages sit in a blocking handler; how fast is a click on the twenty-first?

    python -m benchmarks.isolation        about ten seconds; a server is started in this process and ended

The twenty handlers are plain `def` functions that sleep for two seconds, as a slow S3 call would. Meanwhile the
twenty-first page sends clicks one after the other, first to a `def` handler, then to an `async def` one. Times are from
sending to the answer's arrival.
"""

import asyncio
import html
import http.client
import json
import re
import statistics
import sys
import time

import django
from django.conf import settings
from django.urls import path
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from benchmarks.serving import serving

BLOCKED = 20
SECONDS = 2.0

settings.configure(
    SECRET_KEY="isolation",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.sessions", "django.contrib.staticfiles", "djust"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    STATIC_URL="/static/",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    LIVEVIEW_CONFIG={"events_per_second": 1e6},
)
django.setup()

from djust import LiveView, state  # noqa: E402 - the settings come first in a single-file project
from djust.asgi import get_asgi_application  # noqa: E402
from djust.decorators import event_handler  # noqa: E402


class IsolationView(LiveView):
    template = "<!DOCTYPE html><html><body><p>{{ clicks }}</p></body></html>"

    clicks = state(default=0)

    @event_handler
    def block(self) -> None:
        time.sleep(SECONDS)
        self.clicks += 1

    @event_handler
    def click(self) -> None:
        self.clicks += 1

    @event_handler
    async def aclick(self) -> None:
        self.clicks += 1


urlpatterns = [path("", IsolationView.as_view())]


class Page:
    """One browser page: its own session, its own socket."""

    def __init__(self, port: int) -> None:
        self.port, self.ref = port, 0

    async def open(self) -> "Page":
        ticket, cookie = await asyncio.to_thread(self._get)
        self.socket: ClientConnection = await connect(
            f"ws://127.0.0.1:{self.port}/djust/socket/",
            origin=Origin(f"http://127.0.0.1:{self.port}"),
            additional_headers={"Cookie": cookie},
            proxy=None,
        )
        await self.socket.send(json.dumps(["join", ticket, 0, "/"]))
        frame = json.loads(await self.socket.recv())
        if frame[0] != "joined":
            raise RuntimeError(f"The page was not adopted: {frame}")
        return self

    def _get(self) -> tuple[str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/")
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        cookies = [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie") or []]
        ticket = re.search(r'data-djust="([^"]*)"', text)
        if ticket is None:
            raise RuntimeError(f"This is not a live page: {text[:200]}")
        return html.unescape(ticket[1]), "; ".join(cookies)

    async def event(self, handler: str) -> float:
        """Milliseconds until the answer."""
        self.ref += 1
        start = time.perf_counter()
        await self.socket.send(json.dumps([self.ref, handler, {}]))
        while json.loads(await self.socket.recv())[0] != self.ref:
            pass
        return (time.perf_counter() - start) * 1e3


async def measure(port: int) -> float:
    """Print the table; returns the worst p99 of the clicks beside blocked pages."""
    pages = [await Page(port).open() for _ in range(BLOCKED)]
    free = await Page(port).open()
    for handler in ("click", "aclick"):
        await clicks(free, handler, 0.5)

    print(f"{'':34}{'first':>9}{'p50':>9}{'p99':>9}{'max':>9}   clicks", flush=True)
    worst = 0.0
    for handler, kind in (("click", "def"), ("aclick", "async def")):
        report(f"{kind} handler, nobody blocks", await clicks(free, handler, 1.0))
        blocked = [asyncio.create_task(page.event("block")) for page in pages]
        await asyncio.sleep(0.1)
        times = await clicks(free, handler, SECONDS - 0.4)
        if any(task.done() for task in blocked):
            raise RuntimeError("A blocking handler ended too early: the measurement says nothing.")
        report(f"{kind} handler, {BLOCKED} pages blocked", times)
        worst = max(worst, percentile(times, 0.99))
        waits = await asyncio.gather(*blocked)
        print(f"{'':34}the blocked pages had their answers after {max(waits):.0f} ms", flush=True)
    for page in (*pages, free):
        await page.socket.close()
    return worst


async def clicks(page: Page, handler: str, seconds: float) -> list[float]:
    end, times = time.perf_counter() + seconds, []
    while time.perf_counter() < end:
        times.append(await page.event(handler))
    return times


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def report(name: str, times: list[float]) -> None:
    numbers = [times[0], statistics.median(times), percentile(times, 0.99), max(times)]
    print(f"{name:34}" + "".join(f"{number:6.1f} ms" for number in numbers) + f"   {len(times)}", flush=True)


def main() -> int:
    with serving(get_asgi_application()) as port:
        worst = asyncio.run(asyncio.wait_for(measure(port), 60))
    return 0 if worst < 50 else 1


if __name__ == "__main__":
    sys.exit(main())
