"""Does one page wait for another? Many pages sit in a handler that blocks; how fast is a click on
the others?

    python -m benchmarks.isolation        about two minutes; a server process is started and ended

The blocked handlers are plain `def` functions that sleep for two seconds, as a slow S3 call would:
none, 20, 50 and 200 at the same time, with a pool of 32 threads. Meanwhile 100 other pages click
five times a second each, first on a `def` handler, then on an `async def` one. Times run from when
a click is due to its answer's arrival. Up to the size of the pool 99 of 100 clicks must be answered
within 50 ms; beyond it `def` handlers wait for a thread, and `async def` ones must not.
"""

import asyncio
import statistics
import sys
import time

import django
from django.conf import settings
from django.urls import path

from benchmarks.browsing import Page, open_pages, percentile
from benchmarks.serving import serve, serving_apart

BLOCKED = (0, 20, 50, 200)
OTHERS = 100
HERTZ = 5
SECONDS = 2.0
THREADS = 32
LIMIT = 50.0

settings.configure(
    SECRET_KEY="isolation",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.sessions", "django.contrib.staticfiles", "djust"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    STATIC_URL="/static/",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    LIVEVIEW_CONFIG={"events_per_second": 1e6, "threads": THREADS},
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


async def measure(port: int) -> bool:
    """Print the table; whether all limits hold."""
    slow = await open_pages(port, "/", max(BLOCKED))
    others = await open_pages(port, "/", OTHERS)
    for handler in ("click", "aclick"):
        await answered(others, await click(others, handler, 1.0))

    print(f"{OTHERS} pages click {HERTZ} times a second; {THREADS} threads", flush=True)
    print(f"{'':40}{'p50':>10}{'p99':>10}{'max':>10}   clicks", flush=True)
    good = True
    for count in BLOCKED:
        for handler, kind in (("click", "def"), ("aclick", "async def")):
            waiting = [asyncio.create_task(page.event("block")) for page in slow[:count]]
            await asyncio.sleep(0.1)
            clicks = await click(others, handler, SECONDS - 0.3)
            if any(task.done() for task in waiting):
                raise RuntimeError("A blocking handler ended too early: the measurement says nothing.")
            times = await answered(others, clicks)
            await asyncio.gather(*waiting)
            numbers = [statistics.median(times), percentile(times, 0.99), max(times)]
            good &= numbers[1] < LIMIT or (count > THREADS and kind == "def")
            row = "".join(f"{number:7.1f} ms" for number in numbers)
            print(f"{kind + ' handler, ' + str(count) + ' pages blocked':40}{row}   {len(times)}", flush=True)
    for page in (*slow, *others):
        page.close()
    return good


async def click(pages: list[Page], handler: str, seconds: float) -> int:
    """Every page clicks at its own moments; gives the number of clicks."""
    count = int(seconds * HERTZ * len(pages))
    start = time.perf_counter()
    for number in range(count):
        due = start + number / HERTZ / len(pages)
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        pages[number % len(pages)].send(handler, due)
    return count


async def answered(pages: list[Page], count: int) -> list[float]:
    """The times of so many clicks, when all are answered."""
    while sum(len(page.times) for page in pages) < count:  # noqa: ASYNC110 — an event per answer would cost more
        await asyncio.sleep(0.01)
    times = [number for page in pages for number in page.times]
    for page in pages:
        page.times.clear()
    return times


def main() -> int:
    if sys.argv[1:] == ["serve"]:
        serve(get_asgi_application())
        return 0
    with serving_apart("benchmarks.isolation") as server:
        return 0 if asyncio.run(asyncio.wait_for(measure(server.port), 240)) else 1


if __name__ == "__main__":
    sys.exit(main())
