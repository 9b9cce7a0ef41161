"""What one click enters on the server: from the text frame that arrives to the text frame that
leaves.

    python scripts/trace_click.py             the calls in their order, and how many there are
    python scripts/trace_click.py --summary   only how many

The page is a counter with a `def` handler, nothing guards it, and it has been clicked before. The
thread of the last click is idle again, and the watchdog has just looked: it wakes for one click in
half a second, which enters one file more.

Counted are the calls of this package's own functions, in all threads, and the files that they stand
in. A coroutine counts once, however often it goes on; the code that was generated for a template is
a file of its own.
"""

import argparse
import asyncio
import json
import re
import sys
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="trace",
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["djust"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
django.setup()

from django.urls import path  # noqa: E402 - the settings come first in a single-file project

import djust  # noqa: E402
from djust import LiveView, event_handler, state  # noqa: E402
from djust.asgi import get_asgi_application  # noqa: E402
from djust.threads.pools import turn_pool  # noqa: E402
from djust.threads.watchdog import watchdog  # noqa: E402

ROOT = str(Path(djust.__file__).parent)
GENERATED = "<djust "
# Frames of their own in some versions of Python and none in others.
INLINE = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
WARM_CLICKS = 5


class CounterView(LiveView):
    """The page that is clicked."""

    template = "<p>{{ count }}</p><button dj-click='add'>+</button>"
    count = state(default=0)

    @event_handler
    def add(self) -> None:
        """Count."""
        self.count += 1


urlpatterns = [path("", CounterView.as_view())]


class Tracer:
    """Notes the calls that begin while it is on."""

    def __init__(self) -> None:
        self.is_on = False
        self.calls: list[tuple[str, str]] = []
        # Held so that no other frame gets the identity of one that was seen.
        self._frames: dict[int, FrameType] = {}

    def install(self) -> None:
        """Watch this thread and those that will be started."""
        threading.setprofile(self._seen)
        sys.setprofile(self._seen)

    def _seen(self, frame: FrameType, event: str, argument: object) -> None:
        if self.is_on and event == "call" and id(frame) not in self._frames:
            code = frame.f_code
            if (name := _file_of(code)) and code.co_name not in INLINE:
                self._frames[id(frame)] = frame
                self.calls.append((name, code.co_qualname))


def _file_of(code: CodeType) -> str:
    """The file of this package in which a function stands; "" for a function of somebody else."""
    if code.co_filename.startswith(GENERATED):
        return "(generated code)"
    return code.co_filename[len(ROOT) + 1 :] if code.co_filename.startswith(ROOT) else ""


class Socket:
    """The browser's end of a socket."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def take(self, message: dict[str, Any]) -> None:
        """What the server sends."""
        self._tracer.is_on = False
        await self._outgoing.put(message)

    async def exchange(self, frame: list[Any]) -> list[Any]:
        """Send a frame and wait for the next one."""
        await self.incoming.put({"type": "websocket.receive", "text": json.dumps(frame)})
        message = await self._outgoing.get()
        answer: list[Any] = json.loads(message["text"])
        return answer


def _scope(kind: str, url: str) -> dict[str, Any]:
    return {
        "type": kind,
        "method": "GET",
        "scheme": "http" if kind == "http" else "ws",
        "path": url,
        "raw_path": url.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
    }


async def _page(application: Any) -> str:
    """The join token in the HTML of the page."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(_scope("http", "/"), receive, send)
    html = b"".join(message.get("body", b"") for message in sent).decode()
    found = re.search(r'data-djust="([^"]*)"', html)
    assert found is not None, html
    return found[1]


async def click(tracer: Tracer) -> None:
    """Open the page, click it until nothing is new any more, and once with the tracer on."""
    application = get_asgi_application()
    token = await _page(application)
    socket = Socket(tracer)
    await socket.incoming.put({"type": "websocket.connect"})
    serving = asyncio.create_task(application(_scope("websocket", "/djust/socket/"), socket.incoming.get, socket.take))
    await socket._outgoing.get()  # websocket.accept
    await socket.exchange(["join", token, 0, "/", "trace"])
    for ref in range(1, WARM_CLICKS + 1):
        await socket.exchange([ref, "add", {}, []])
    while turn_pool.report()["busy"]:  # noqa: ASYNC110 — a thread ends that
        await asyncio.sleep(0.001)
    watchdog.sleeps = False
    tracer.is_on = True
    answer = await socket.exchange([WARM_CLICKS + 1, "add", {}, []])
    assert answer == [WARM_CLICKS + 1, WARM_CLICKS + 1, [0, WARM_CLICKS + 1]], answer
    await socket.incoming.put({"type": "websocket.disconnect", "code": 1001})
    await serving


def main() -> None:
    """Print what was traced."""
    parser = argparse.ArgumentParser(description="What one click enters on the server.")
    parser.add_argument("--summary", action="store_true", help="only how many files and calls there are")
    summary = parser.parse_args().summary
    tracer = Tracer()
    tracer.install()
    asyncio.run(click(tracer))
    if not summary:
        for name, function in tracer.calls:
            print(f"{name:32} {function}")
        print()
        for name, count in Counter(name for name, _ in tracer.calls).most_common():
            print(f"{count:5}  {name}")
    print(f"{len({name for name, _ in tracer.calls})} files, {len(tracer.calls)} calls")


if __name__ == "__main__":
    main()
