"""What one turn costs without a socket, and what it costs more when somebody receives
`event_finished`.

    python -m benchmarks.turns        some seconds

Microseconds of CPU of the whole process per event of a counter: the mailbox, the handler, the check
of the state, the rendering, the difference, the frame. Rounds with and without a receiver
alternate; the median of each is printed.
"""

import asyncio
import statistics
import time
from typing import Any

import django
from django.conf import settings
from django.test import RequestFactory

ROUNDS = 9
EVENTS = 2_000

settings.configure(
    SECRET_KEY="turns",
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["djust"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    LIVEVIEW_CONFIG={"events_per_second": 1e9},
)
django.setup()

from benchmarks.peer import CountingPeer  # noqa: E402
from djust import LiveView, event_handler, state  # noqa: E402 - the settings come first in a single-file project
from djust.live.page import Page  # noqa: E402
from djust.protocol.frames import Event  # noqa: E402
from djust.protocol.messages import Joining  # noqa: E402
from djust.signals import event_finished  # noqa: E402
from djust.threads.pool import signal_pool  # noqa: E402

urlpatterns: list[Any] = []


class CounterView(LiveView):
    template = "<p>{{ count }}</p>"
    count = state(default=0)

    @event_handler
    def click(self) -> None:
        self.count += 1

    @event_handler
    async def aclick(self) -> None:
        self.count += 1


async def cost(page: Page, peer: CountingPeer, handler: str) -> float:
    """Microseconds of CPU per event."""
    peer.missing = EVENTS
    peer.done.clear()
    first = page.last_ref + 1
    start = time.process_time()
    for ref in range(first, first + EVENTS):
        page.post(Event(ref, handler, {}, []))
    await peer.done.wait()
    # What was measured is received when the thread of receivers has nothing left to do.
    await signal_pool.run(int)
    return (time.process_time() - start) / EVENTS * 1e6


def receive(**report: Any) -> None: ...


async def measure() -> None:
    page, peer = Page(CounterView(), RequestFactory().get("/")), CountingPeer()
    page.prepare()
    peer.missing = 1
    page.post(Joining(peer, 0))
    await peer.done.wait()
    print(f"{'µs of CPU per event':24}{'no receiver':>14}{'a receiver':>14}")
    for handler, kind in (("aclick", "async def"), ("click", "def")):
        without, received = [], []
        for _ in range(ROUNDS):
            without.append(await cost(page, peer, handler))
            event_finished.connect(receive)
            received.append(await cost(page, peer, handler))
            event_finished.disconnect(receive)
        print(f"{kind:24}{statistics.median(without):14.1f}{statistics.median(received):14.1f}")


if __name__ == "__main__":
    asyncio.run(measure())
