"""A circuit breaker around a service that may fail or hang.

    attempt = circuit.begin()          None: do not use the service now
    circuit.end(attempt)               it has answered
    circuit.end(attempt, error)        it has failed

Three failures in a row open the circuit. An attempt that has not ended after two seconds counts as
a failure, at the next call of the circuit. While the circuit is open, there are no attempts. After
five seconds, one attempt is let through as a probe. A probe that fails doubles the pause, up to a
minute; one that succeeds closes the circuit. (The pattern is described in M. Nygard, "Release It!",
as Circuit Breaker.)
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("djust")

FAILURES = 3
CALL_SECONDS = 2.0
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
# Processes that have lost the same service must not all try it again at the same moment.
_JITTER = 0.2


class Circuit:
    """The circuit around one service, for all threads. `name` gives its name for the log."""

    def __init__(self, name: Callable[[], str]) -> None:
        self._name = name
        self.reset()

    def reset(self) -> None:
        """Begin again, closed: the service is another one, or the process was forked."""
        self._lock = threading.Lock()
        self.is_open = False
        self._failures = 0
        # The attempts that have not ended, and when they began.
        self._running: dict[object, float] = {}
        self._probe: object = None
        self._pause = 0.0
        self._next_probe = 0.0

    def allows(self) -> bool:
        """Whether an attempt would be let through now."""
        if not self.is_open and not self._running:
            return True
        with self._lock:
            self._count_late()
            return self._allows()

    @property
    def wait(self) -> float:
        """Seconds until an attempt may be let through."""
        return max(0.0, self._next_probe - time.monotonic()) if self.is_open else 0.0

    def begin(self, *, forced: bool = False) -> object:
        """Begin an attempt; None while the circuit is open. A `forced` one always begins."""
        with self._lock:
            self._count_late()
            if not forced and not self._allows():
                return None
            attempt = object()
            self._running[attempt] = time.monotonic()
            if self.is_open:
                self._probe = attempt
            return attempt

    def end(self, attempt: object, error: BaseException | None = None) -> None:
        """The attempt is over. If it has already counted as too late, this changes nothing."""
        with self._lock:
            self._count_late()
            if attempt not in self._running:
                return
            self._remove(attempt)
            if error is not None:
                self._fail(f"{type(error).__name__}: {error}")
                return
            was_open, self.is_open = self.is_open, False
            self._failures, self._pause = 0, 0.0
        if was_open:
            logger.warning("%s answers again, and is used again.", self._name())

    def _allows(self) -> bool:
        return not self.is_open or (self._probe is None and time.monotonic() >= self._next_probe)

    def _count_late(self) -> None:
        due = time.monotonic() - CALL_SECONDS
        for attempt in [attempt for attempt, began in self._running.items() if began < due]:
            self._remove(attempt)
            self._fail(f"no answer within {CALL_SECONDS:g} s")

    def _remove(self, attempt: object) -> None:
        del self._running[attempt]
        if self._probe is attempt:
            self._probe = None

    def _fail(self, reason: str) -> None:
        self._failures += 1
        if self._failures == 1:
            logger.warning("%s fails (%s).", self._name(), reason)
        # An attempt that began before the circuit opened: its failure changes nothing.
        if self.is_open and time.monotonic() < self._next_probe:
            return
        if self._failures >= FAILURES:
            self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
            jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 — it spreads load
            self._next_probe = time.monotonic() + self._pause * jitter
            if not self.is_open:
                self.is_open = True
                logger.error(
                    "%s has failed or not answered %d times in a row. It is left alone, and asked again after %g s and "
                    "then from time to time, until it answers.",
                    *(self._name(), self._failures, self._pause),
                )
