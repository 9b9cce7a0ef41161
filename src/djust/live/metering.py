"""Measures turns, for `djust.signals.event_finished`.

Without a receiver of this signal, no `Meter` is made.

    meter = Meter(posted)     the message came at `posted`
    meter.enter()             queries of this thread or task are counted from here on
    meter.begins()            the handler is called
    meter.called()            it has returned
    meter.report(…)           the answer is there
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from djust.signals import event_finished
from djust.threads.pool import signal_pool
from djust.threads.pools import turn_pool

logger = logging.getLogger("djust")

# How many reports may wait for slow receivers. Further ones are dropped.
_MAX_REPORTS = 10_000


class Meter:
    """One turn."""

    __slots__ = ("_began", "_called", "_posted", "error", "queries")

    def __init__(self, posted: float) -> None:
        self._posted = posted or time.perf_counter()
        self._began = self._called = 0.0
        self.queries = 0
        self.error: Exception | None = None

    def enter(self) -> None:
        """Count the queries that are made from here on in this context."""
        _meter.set(self)
        for connection in connections.all(initialized_only=True):
            _watch(connection)

    def begins(self) -> None:
        self._began = time.perf_counter()

    def called(self) -> None:
        """The handler has returned. Only the first call counts: a later one was too late."""
        self._called = self._called or time.perf_counter()

    def report(self, sender: type, event: str, text: str, *, pushed: bool, queue: int) -> None:
        """Send the signal, in the thread for signals."""
        now = time.perf_counter()
        called = self._called or now
        began = self._began or called
        if signal_pool.waiting > _MAX_REPORTS:
            logger.warning("Receivers of event_finished are too slow: %s.%s was not reported.", sender.__name__, event)
            return
        seconds = {
            "waiting": began - self._posted,
            "handler": called - began,
            "render": now - called,
            "total": now - self._posted,
        }
        signal_pool.submit(
            partial(
                event_finished.send_robust,
                sender=sender,
                event=event,
                pushed=pushed,
                seconds=seconds,
                queries=self.queries,
                bytes=len(text.encode()),
                queue=queue,
                backlog=turn_pool.waiting,
                error=self.error,
                ended=time.time(),
            )
        )


_meter: ContextVar[Meter | None] = ContextVar("djust_meter", default=None)


def _count(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    meter = _meter.get()
    if meter is not None:
        meter.queries += 1
    return execute(sql, params, many, context)


def _watch(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    if event_finished.receivers and _count not in connection.execute_wrappers:
        connection.execute_wrappers.append(_count)


# Also connections that a turn opens in the threads of its asynchronous calls.
connection_created.connect(_watch, dispatch_uid="djust")
