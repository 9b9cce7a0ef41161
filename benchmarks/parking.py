"""What does a page cost that waits for its browser, and one that comes back from its snapshot?

    python -m benchmarks.parking    half a minute; one process for speed, one per page for memory

Times are medians of many batches. `park` is a whole GET through Django's handler with four of its
middleware: mounted, rendered, with its join token, waiting for a browser. `write` puts a snapshot
into a cache of files, without encoding it (`benchmarks.state` measures that). `restore` is what a
browser needs whose page was lost: the snapshot read, a GET, its state applied to the mounted view,
rendered. Memory is what the process grows by per page that was parked, after the garbage was
collected; an open page has its connection beside it.
"""

import argparse
import asyncio
import datetime as dt
import gc
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.test import override_settings
from django.urls import path

FOLDER = tempfile.TemporaryDirectory()

# A page that is forgotten would be written meanwhile, by another thread.
CONFIG = {"max_pages": 1_000_000, "max_page_bytes": 10**12, "state_cache": "none"}

settings.configure(
    SECRET_KEY="parking",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.sessions", "django.contrib.staticfiles", "djust"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "none": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        "files": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": FOLDER.name,
            "OPTIONS": {"MAX_ENTRIES": 1_000_000},
        },
    },
    STATIC_URL="/static/",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    LIVEVIEW_CONFIG=CONFIG,
)
django.setup()

from djust import LiveView, state  # noqa: E402 - the settings come first in a single-file project
from djust.live.handler import RequestRunner  # noqa: E402
from djust.live.mount import Mount, Purpose  # noqa: E402
from djust.live.registry import registry  # noqa: E402
from djust.state.codec import encode_state  # noqa: E402
from djust.state.fields import fields_version  # noqa: E402
from djust.state.snapshots import Snapshot, load, save  # noqa: E402
from djust.views import state_of  # noqa: E402

HEAD = "<!DOCTYPE html><html><head><title>state</title></head><body>"


class Small(LiveView):
    """Seven values of different types."""

    template = HEAD + "<button dj-click='inc'>+</button><p>{{ count }}</p><i>{{ day }} {{ price }}</i></body></html>"
    count = state(default=0)
    name = state(default="somebody")
    price = state(default=Decimal("12.50"))
    day = state(default=dt.date(2026, 1, 1))
    tags: set[str] = state(default={"new", "blue"})
    sizes: list[int] = state(default=[1, 2, 3])
    choices: dict[str, bool] = state(default={"gift": False})


class Rows(LiveView):
    """A thousand rows of four values."""

    template = HEAD + (
        "<table>{% for row in rows %}<tr dj-key='{{ row.id }}' class='{% if row.chosen %}chosen{% endif %}'>"
        "<td>{{ row.id }}</td><td><a dj-click='choose' data-id='{{ row.id }}'>{{ row.label }}</a></td>"
        "<td>{{ row.price }}</td></tr>{% endfor %}</table></body></html>"
    )
    rows: list[dict[str, Any]] = state(default=[])

    def mount(self, request: HttpRequest) -> None:
        self.rows = [
            {"id": n, "label": f"row number {n}", "price": 100_000 + n + 0.5, "chosen": False} for n in range(1000)
        ]


class Large(LiveView):
    """Forty kilobytes of HTML, and five numbers in it."""

    template = HEAD + "".join(f"{'<p>text that never changes</p>' * 290}<b>{{{{ n{n} }}}}</b>" for n in range(5))
    n0 = state(default=100_000)
    n1 = state(default=100_001)
    n2 = state(default=100_002)
    n3 = state(default=100_003)
    n4 = state(default=100_004)


VIEWS: dict[str, type[LiveView]] = {"small": Small, "rows": Rows, "large": Large}
TITLES = {"small": "small page", "rows": "1,000 rows", "large": "40 KB page"}
# Design: an open page takes 15, 150 and 20 KB more than the floor's 62, 393 and 72, 62 of which are
# a connection.
KILOBYTES = {"small": 15, "rows": 393 - 62 + 150, "large": 72 - 62 + 20}
PAGES = {"small": 3000, "rows": 150, "large": 2000}

urlpatterns = [path(f"{name}/", view_class.as_view()) for name, view_class in VIEWS.items()]


def scope_of(name: str) -> dict[str, Any]:
    """The request of a browser."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"/{name}/",
        "raw_path": f"/{name}/".encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"accept", b"text/html")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "extensions": {},
    }


async def stay() -> Mapping[str, Any]:
    """The browser waits for its answer."""
    return await asyncio.Future()


async def ignore(message: Mapping[str, Any]) -> None:
    """Where answers go."""


async def milliseconds(call: Callable[[], Awaitable[object]], seconds: float = 1.0) -> float:
    """How long a call takes: the median of batches of about 20 ms."""
    start = time.perf_counter()
    await call()
    count = max(1, int(0.02 / (time.perf_counter() - start)))
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        for _ in range(count):
            await call()
        times.append((time.perf_counter() - start) / count)
    return statistics.median(times) * 1e3


async def measure(name: str) -> dict[str, float]:
    """Milliseconds of what is done with one page."""
    view_class, runner = VIEWS[name], RequestRunner(ASGIHandler())
    await runner.answer(scope_of(name), stay, ignore)
    (page,) = registry.pages()
    text = encode_state(state_of(page.view))
    snapshot = Snapshot(fields_version(view_class), page.fingerprint, 0, 0, "", text)

    async def write() -> None:
        save(page.id, snapshot, name)

    async def restore() -> None:
        found = await asyncio.to_thread(load, page.id)
        mount = Mount(Purpose.RESTORE, snapshot=found)
        await runner.mount(scope_of(name), mount)
        if found is None or mount.page is None or mount.snapshot is None or mount.restore_failed:
            raise RuntimeError("The page was not restored.")

    async def park() -> None:
        registry.clear()
        await runner.answer(scope_of(name), stay, ignore)

    times = {"park": await milliseconds(park)}
    with override_settings(LIVEVIEW_CONFIG={**CONFIG, "state_cache": "files"}):
        times["write"] = await milliseconds(write)
        times["restore"] = await milliseconds(restore)
    registry.clear()
    return times


def resident() -> float:
    """Kilobytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024


async def park_many(name: str) -> float:
    """Kilobytes of this process per parked page."""
    runner, count = RequestRunner(ASGIHandler()), PAGES[name]
    for _ in range(count // 10):
        await runner.answer(scope_of(name), stay, ignore)
    gc.collect()
    first, before = len(registry), resident()
    for _ in range(count):
        await runner.answer(scope_of(name), stay, ignore)
    gc.collect()
    if len(registry) != first + count:
        raise RuntimeError("Some pages were forgotten: the measurement says nothing.")
    return (resident() - before) / count


def memory_of(name: str) -> float:
    """The same, in a process that has done nothing else."""
    command = [sys.executable, "-m", "benchmarks.parking", "--memory", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def report() -> int:
    """Print the tables; the number of misses."""
    measured = {name: asyncio.run(measure(name)) for name in VIEWS}
    print(f"{'':14}" + "".join(f"{TITLES[name]:>26}" for name in measured))
    for what in measured["small"]:
        cells = [f"{times[what]:8.3f} ms {1e3 / times[what]:9,.0f}/s" for times in measured.values()]
        print(f"{what:14}" + "".join(f"{cell:>26}" for cell in cells))
    print(f"\n{'':14}{'KB per parked page':>26}{'at most':>12}")
    misses = 0
    for name, limit in KILOBYTES.items():
        size = memory_of(name)
        misses += size > limit
        print(f"{TITLES[name]:14}{size:26.1f}{limit:12}{'   MISSED' if size > limit else ''}")
    return misses


def main() -> int:
    """Measure everything, or in a process of its own the memory of one page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parking", description="What waiting pages cost.")
    parser.add_argument("--memory", choices=VIEWS, help="only print the kilobytes per parked page")
    arguments = parser.parse_args()
    if arguments.memory:
        print(asyncio.run(park_many(arguments.memory)))
        return 0
    return 1 if report() else 0


if __name__ == "__main__":
    sys.exit(main())
