"""What belongs to the whole process: it starts and stops with the server, and nothing of it
survives a fork.

    process.register(Phase.PUBSUB, stop=hub.close, forget=hub.reset)   when hub.py is imported
    process.start()         the loop of a server runs: idempotent
    await process.stop()    the server ends

A process ends phase by phase, in the order of `Phase`: what is in use ends before what it uses. It
starts the other way round. Where no server announces its end, as under WSGI or in a management
command, `at_exit` takes the place of `stop`.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum

logger = logging.getLogger("djust")


class Phase(IntEnum):
    """What ends first."""

    PAGES = 1
    SERVICES = 2
    PUBSUB = 3
    THREADS = 4
    LOOP = 5


@dataclass(frozen=True, slots=True)
class _Part:
    phase: Phase
    start: Callable[[], object] | None
    stop: Callable[[], Awaitable[object]] | None
    at_exit: Callable[[], object] | None
    forget: Callable[[], object] | None


# In the order in which they end.
_parts: list[_Part] = []
_loop: asyncio.AbstractEventLoop | None = None


def register(
    phase: Phase,
    *,
    start: Callable[[], object] | None = None,
    stop: Callable[[], Awaitable[object]] | None = None,
    at_exit: Callable[[], object] | None = None,
    forget: Callable[[], object] | None = None,
) -> None:
    """Something that the process has. Within a phase, what was registered last ends first.

    `start` is called on the loop of the server and `stop` awaited there; `at_exit` is called in the
    thread that ends the process, `forget` in the child of a fork, where no other thread is left and
    every lock may be held.
    """
    _parts.insert(0, _Part(phase, start, stop, at_exit, forget))
    _parts.sort(key=lambda part: part.phase)


def start() -> None:
    """Start everything on the running event loop, unless it has been started there."""
    global _loop
    loop = asyncio.get_running_loop()
    if _loop is not loop:
        _loop = loop
        for part in reversed(_parts):
            if part.start is not None:
                part.start()


async def stop() -> None:
    """End everything. If something fails to end, the rest ends nevertheless."""
    global _loop
    _loop = None
    for part in _parts:
        if part.stop is not None:
            try:
                await part.stop()
            except Exception:
                logger.exception("Something of the process could not be ended; the rest is.")


@atexit.register
def _exit() -> None:
    for part in _parts:
        if part.at_exit is not None:
            try:
                part.at_exit()
            except Exception:
                logger.exception("Something of the process could not be ended; the rest is.")


class Lock:
    """A lock of the whole process, for `with`. One thread may enter it again; a fork frees it."""

    def __init__(self) -> None:
        self._reset()
        register(Phase.THREADS, forget=self._reset)

    def _reset(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _forget() -> None:
    global _loop
    _loop = None
    for part in reversed(_parts):
        if part.forget is not None:
            part.forget()


os.register_at_fork(after_in_child=_forget)
