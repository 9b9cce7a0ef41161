"""The watchdog: one thread that looks for jobs that hang, in all pools of the process.

It looks a few times within `hang_seconds` while jobs run, and sleeps while none does: a thread that
begins a job finds `sleeps` set, and wakes it.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol
from weakref import WeakSet

from djust import process
from djust.conf import config
from djust.process import Phase

logger = logging.getLogger("djust")

_LONGEST_PAUSE = 0.5
_SHORTEST_PAUSE = 0.01
_LOOKS = 10


class Watched(Protocol):
    """A pool, as far as this module knows it."""

    def examine(self) -> bool:
        """Look for what hangs; whether there is anything to look at."""


class Watchdog:
    """The thread, and weak references to the pools that it looks at."""

    def __init__(self) -> None:
        self._pools: WeakSet[Watched] = WeakSet()
        self.reset()

    def reset(self) -> None:
        """Begin without a thread: it does not survive a fork."""
        self._lock = threading.Lock()
        self._waking = threading.Event()
        self._thread: threading.Thread | None = None
        self.sleeps = True

    def watch(self, pool: Watched) -> None:
        """Look at this pool from now on."""
        with self._lock:
            self._pools.add(pool)

    def wake(self) -> None:
        """A job begins. In any thread."""
        with self._lock:
            self.sleeps = False
            self._waking.set()
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="djust-watchdog", daemon=True)
                try:
                    thread.start()
                except (RuntimeError, MemoryError):
                    # No thread can be started; the next job tries again.
                    self.sleeps = True
                    return
                self._thread = thread

    def _run(self) -> None:
        while True:
            self._waking.wait()
            self._waking.clear()
            # Before looking: a job that begins meanwhile wakes us once more.
            self.sleeps = True
            with self._lock:
                pools = [*self._pools]
            pause = _LONGEST_PAUSE
            for pool in pools:
                try:
                    if pool.examine():
                        self.sleeps = False
                        self._waking.set()
                    pause = min(max(config.hang_seconds / _LOOKS, _SHORTEST_PAUSE), _LONGEST_PAUSE)
                except Exception:
                    logger.exception("The watchdog has failed")
            time.sleep(pause)


watchdog = Watchdog()
process.register(Phase.THREADS, forget=watchdog.reset)
