"""The event loop on which the pages of this process take their turns.

Under ASGI it is the server's. Where none runs, as under WSGI, in a management command or in a task
queue's worker, one is started in a thread of its own when it is first needed.

    page_loop.call(page.post, message)       from any thread
    Ticker(5.0, registry.sweep)              once started, calls it every five seconds
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ParamSpec

from djust import process
from djust.process import Phase

P = ParamSpec("P")


class PageLoop:
    """Where the one loop is found."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """There is no loop: the thread of one does not survive a fork."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def set_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on, pages live on `loop`, the event loop of a server that has started."""
        self._loop = loop

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        loop = self._loop
        if loop is None or loop.is_closed():
            with self._lock:
                loop = self._loop
                if loop is None or loop.is_closed():
                    loop = self._loop = asyncio.new_event_loop()
                    threading.Thread(target=_run, args=[loop], name="djust-loop", daemon=True).start()
        return loop

    def call(self, function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call `function` on the loop, soon, from any thread; nothing if the loop has ended."""
        try:
            self.loop.call_soon_threadsafe(lambda: function(*args, **kwargs))
        except RuntimeError:
            # The server ends, and its pages with it.
            pass


class Ticker:
    """Calls `function` at intervals, on the event loop where it was started last."""

    def __init__(self, seconds: float, function: Callable[[], object]) -> None:
        self._seconds = seconds
        self._function = function
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin now, unless the running loop has it already."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._tick(loop)

    def stop(self) -> None:
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        # Another loop may run it by now, while this one still runs in its thread.
        if self._loop is loop:
            self._function()
            self._timer = loop.call_later(self._seconds, self._tick, loop)


async def finish(coroutines: Iterable[Coroutine[Any, Any, object]], seconds: float) -> int:
    """Run these for at most this number of seconds; the number of those that were cancelled."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    if not tasks:
        return 0
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    return len(late)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


page_loop = PageLoop()
process.register(Phase.LOOP, start=lambda: page_loop.set_loop(asyncio.get_running_loop()), forget=page_loop.reset)
