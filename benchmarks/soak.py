"""Do memory and threads stay flat? Pages come, click, publish, start background tasks and leave,
for ten minutes.

    python -m benchmarks.soak                 ten minutes
    python -m benchmarks.soak --minutes 1     a first impression

Twenty visitors take turns without a pause: open a page, click ten times, publish once to all, start
a task, leave. Half of them close their socket, half just vanish, and half of their GETs are never
joined. Each line says what the server process holds; the last one compares the end with the state
after the first fifth.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.urls import path

from benchmarks.browsing import Page
from benchmarks.serving import serve, serving_apart

VISITORS = 20
LINES = 10

settings.configure(
    SECRET_KEY="soak",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.sessions", "django.contrib.staticfiles", "djust"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    STATIC_URL="/static/",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    # What waits is to be forgotten several times within the measurement.
    LIVEVIEW_CONFIG={"park_seconds": 10.0, "detach_seconds": 10.0, "events_per_second": 1e6, "max_pages": 500},
)
django.setup()

from djust import LiveView, event_handler, publish, state  # noqa: E402 - the settings come first in a single-file project
from djust.asgi import get_asgi_application  # noqa: E402


class Soak(LiveView):
    template = (
        "<!DOCTYPE html><html><body><p>{{ count }} {{ heard }} {{ slow.result }}</p>"
        "<ul>{% for row in rows %}<li>{{ row }}</li>{% endfor %}</ul></body></html>"
    )
    count = state(default=0)
    heard = state(default=0)
    rows: list[str] = state(default_factory=lambda: [f"row {number}" for number in range(100)])

    def mount(self, request: Any) -> None:
        self.subscribe("soak")
        self.slow: Any = None

    def handle_info(self, message: int) -> None:
        self.heard += 1

    @event_handler
    async def click(self) -> None:
        self.count += 1
        self.rows = [*self.rows[1:], f"row {self.count}"]

    @event_handler
    def tell(self) -> None:
        publish("soak", self.count)

    @event_handler
    def work(self) -> None:
        self.assign_async("slow", lambda: time.sleep(0.05) or self.count)


urlpatterns = [path("soak/", Soak.as_view())]


async def visit(port: int, number: int) -> None:
    page = Page(port)
    if number % 2:
        await asyncio.to_thread(page._get, "/soak/")
    await page.open("/soak/")
    for _ in range(10):
        await page.event("click")
    await page.event("tell")
    await page.event("work")
    await page.event("click")
    if number % 4 < 2:
        page.close()
    else:
        page._transport.abort()


async def visitor(port: int, end: float, done: list[int]) -> None:
    while time.monotonic() < end:
        await visit(port, len(done))
        done.append(1)


async def soak(minutes: float) -> None:
    """Print a line for each tenth of the time."""
    with serving_apart("benchmarks.soak") as server:
        end = time.monotonic() + minutes * 60
        done: list[int] = []
        visitors = [asyncio.create_task(visitor(server.port, end, done)) for _ in range(VISITORS)]
        lines = []
        for number in range(LINES):
            await asyncio.sleep(minutes * 60 / LINES)
            lines.append((memory(server.pid) / 2**20, threads(server.pid)))
            print(f"{number + 1:3}: {len(done):7} visits, {lines[-1][0]:7.1f} MB, {lines[-1][1]} threads", flush=True)
        await asyncio.gather(*visitors)
        (first, few), (last, many) = lines[1], lines[-1]
        print(f"from the second line to the last: {last - first:+.1f} MB, {many - few:+} threads")


def memory(pid: int) -> int:
    """Bytes that a process has in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def threads(pid: int) -> int:
    """How many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def main() -> int:
    if sys.argv[1:] == ["serve"]:
        serve(get_asgi_application())
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    asyncio.run(soak(parser.parse_args().minutes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
