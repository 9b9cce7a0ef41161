"""What one worker can carry: pages, memory per page, and events per second while clicks stay quick.

    python -m benchmarks.capacity                     both pages, 1,000 attached; about two minutes
    python -m benchmarks.capacity --pages 5000 --only counter

A server process with one event loop is started. The counter changes one number; the page of 40 KB
changes five. Memory is what the process has grown by, per attached page, after the first fifty.
Then all pages together click at a rate that grows by a quarter until one click in a hundred takes
longer than 100 ms, or until this process cannot send them in time any more, which is said. Times
run from when a click is due. Handlers are `async def`, and `def` for comparison.
"""

import argparse
import asyncio
import gc
import sys
import time
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.urls import path

from benchmarks.browsing import Page, open_pages, percentile
from benchmarks.serving import serve, serving_apart

LIMIT = 100.0
SECONDS = 3.0
FIRST_RATE = 500
# Another process may have been busy.
ATTEMPTS = 3
WARM = 50

settings.configure(
    SECRET_KEY="capacity",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.sessions", "django.contrib.staticfiles", "djust"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 1e6}}},
    STATIC_URL="/static/",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    LIVEVIEW_CONFIG={"events_per_second": 1e6, "max_pages": 100_000},
)
django.setup()

from djust import LiveView, event_handler, state  # noqa: E402 - the settings come first in a single-file project
from djust.asgi import get_asgi_application  # noqa: E402


class CounterView(LiveView):
    template = "<!DOCTYPE html><html><body><p>{{ count }}</p></body></html>"
    count = state(default=0)

    @event_handler
    async def click(self) -> None:
        self.count += 1

    @event_handler
    def click_in_thread(self) -> None:
        self.count += 1


TEXT = "A paragraph of text that never changes, as most of a page."
CARDS = "".join(f'<section class="card"><h2>Figure {n}</h2><p>{TEXT}</p></section>' for n in range(360))
NUMBERS = "".join(f"<p>{{{{ {name} }}}}</p>" for name in "abcde")


class LargeView(LiveView):
    """40 KB of HTML, in which five numbers change."""

    template = f"<!DOCTYPE html><html><body>{NUMBERS}{CARDS}</body></html>"

    def mount(self, request: Any) -> None:
        self._count(0)

    def _count(self, n: int) -> None:
        self.a, self.b, self.c, self.d, self.e = n, n * 2, n * 3, n * 5, n * 7

    @event_handler
    async def click(self) -> None:
        self._count(self.a + 1)

    @event_handler
    def click_in_thread(self) -> None:
        self._count(self.a + 1)


urlpatterns = [path("counter/", CounterView.as_view()), path("large/", LargeView.as_view())]


async def measure(name: str, count: int) -> None:
    """Print the lines of one page."""
    with serving_apart("benchmarks.capacity") as server:
        pages = await open_pages(server.port, f"/{name}/", WARM)
        before, start = memory(server.pid), time.perf_counter()
        pages += await open_pages(server.port, f"/{name}/", count - WARM)
        seconds, grown = time.perf_counter() - start, memory(server.pid) - before
        print(
            f"{name}: {count} pages attached, {grown / (count - WARM) / 1024:.1f} KB each; "
            f"{(count - WARM) / seconds:.0f} GETs with joins a second",
            flush=True,
        )
        gc.freeze()
        for handler in ("click", "click_in_thread"):
            kind = "async def" if handler == "click" else "def"
            for page in pages:
                await page.event(handler)
            best, why = await greatest_rate(pages, handler)
            print(f"{name}, {kind}: {best} ({why})", flush=True)
        for page in pages:
            page.close()


async def greatest_rate(pages: list[Page], handler: str) -> tuple[str, str]:
    """The line of the greatest rate at which the limit holds, and why there is none greater."""
    best, rate = "no rate", FIRST_RATE
    while True:
        for _ in range(ATTEMPTS):
            times, late = await click(pages, handler, rate)
            p99, lag = percentile(times, 0.99), percentile(late, 0.99)
            if p99 < LIMIT:
                break
        else:
            why = f"p99 is {p99:.0f} ms" if lag < LIMIT / 4 else "the load generator is too slow"
            return best, f"at {rate} {why}"
        best = f"{rate} events a second, p50 {percentile(times, 0.5):.1f} ms, p99 {p99:.1f} ms"
        rate = rate * 5 // 4


async def click(pages: list[Page], handler: str, rate: int) -> tuple[list[float], list[float]]:
    """Click on one page after the other; the milliseconds of each click, and by how much it was
    sent too late.
    """
    for page in pages:
        page.times.clear()
    count, late = int(SECONDS * rate), []
    start = time.perf_counter()
    for number in range(count):
        due = start + number / rate
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        elif number % 20 == 0:
            await asyncio.sleep(0)
        late.append((time.perf_counter() - due) * 1e3)
        pages[number % len(pages)].send(handler, due)
    while sum(len(page.times) for page in pages) < count:  # noqa: ASYNC110 — an event per answer would cost more
        await asyncio.sleep(0.01)
    return [number for page in pages for number in page.times], late


def memory(pid: int) -> int:
    """Bytes that a process has in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def main() -> int:
    if sys.argv[1:] == ["serve"]:
        serve(get_asgi_application())
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1_000)
    parser.add_argument("--only", choices=["counter", "large"])
    options = parser.parse_args()
    for name in [options.only] if options.only else ["counter", "large"]:
        asyncio.run(measure(name, options.pages))
    return 0


if __name__ == "__main__":
    sys.exit(main())
