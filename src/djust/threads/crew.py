"""The threads of one pool, and the jobs that they have to do.

A job moves through three places, all of them in the pool's `Crew`:

    held       its caller has as many jobs in hand as one caller may have; first in, first out per caller
    ready      it waits for a thread
    running    a thread has it, which stands in `threads` and points back to it

No job ends a thread: what it raises is logged. No caller takes a whole pool: one key has at most three quarters of the
threads. And no job that hangs keeps its place: after `hang_seconds` the watchdog sets its thread *aside*, where it no
longer counts against the limit or its caller's share, and another thread may take its place. At most three times the
limit are set aside; a thread that comes back ends if there is one too many.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple

from djust.exceptions import ServerBusyError
from djust.threads.care import job_context, tidy
from djust.threads.testmode import Job
from djust.threads.watchdog import watchdog

logger = logging.getLogger("djust")

# Threads that are set aside, as a multiple of the limit; and shares that one caller may have, counting those set aside.
_ASIDE_FACTOR = 3
# Refusals are logged as seldom as this.
_SILENT_SECONDS = 10.0


class Caller(NamedTuple):
    """Whose work a job is, and what it is called.

    `key` names a visitor; work with the key "" counts against no share. `title` names the job in logs. What `must_run`
    is never refused, however much waits, because no browser would send it again.
    """

    key: str = ""
    title: str = ""
    must_run: bool = False


NOBODY = Caller(must_run=True)


class Entry:
    """A job that a pool was given. `since` is when it began to wait, on the monotonic clock."""

    __slots__ = ("caller", "job", "named_by", "since")

    def __init__(self, job: Job, caller: Caller, named_by: Callable[..., Any]) -> None:
        self.job = job
        self.caller = caller
        self.named_by = named_by
        self.since = 0.0

    @property
    def title(self) -> str:
        """What logs call it."""
        return self.caller.title or getattr(self.named_by, "__qualname__", None) or repr(self.named_by)


class PoolThread(threading.Thread):
    """A thread of a pool, and what it is doing."""

    def __init__(self, crew: Crew, first: Entry, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._crew = crew
        self._first = first
        self.entry: Entry | None = None
        self.since = 0.0
        # It waits for what its job wants next, and does not hang.
        self.is_waiting = False
        self.is_aside = False
        self.is_reported = False

    def wait(self, *, is_waiting: bool) -> None:
        """The job waits for what it has to do next, or goes on. In this thread."""
        self.since = time.monotonic()
        self.is_waiting = is_waiting

    def run(self) -> None:
        """Run jobs until the crew has none for this thread any more."""
        crew = self._crew
        try:
            context = job_context()
            has_connections = False
            entry: Entry | None = self._first
            del self._first
            while entry is not None:
                self.since = time.monotonic()
                self.entry = entry
                if watchdog.sleeps:
                    watchdog.wake()
                if has_connections:
                    tidy()
                try:
                    context.copy().run(entry.job)
                except BaseException as error:  # noqa: BLE001 — the thread is there for the next job, too
                    _report_failure(crew.name, entry, error)
                del entry
                has_connections = tidy()
                entry = crew.next_for(self)
        finally:
            crew.leave(self)


def _report_failure(name: str, entry: Entry, error: BaseException) -> None:
    try:
        logger.error('%s has failed in the pool "%s"', entry.title, name, exc_info=error)
    except BaseException:  # noqa: BLE001, S110 — a handler of the log may fail as well
        pass


class Crew:
    """The threads of a pool and what they have to do, until the pool is stopped."""

    def __init__(self, name: str, limit: Callable[[], int]) -> None:
        self.name = name
        self.limit = limit
        self.lock = threading.Lock()
        self.threads: set[PoolThread] = set()
        self.ready: deque[Entry] = deque()
        self.held: dict[str, deque[Entry]] = {}
        self.held_count = 0
        # Idle threads wait here; what puts something in has counted one out of `idle`.
        self.handoff: SimpleQueue[Entry | None] = SimpleQueue()
        self.idle = 0
        self.aside = 0
        # Per key: jobs that are ready or running, and those whose threads are set aside.
        self.granted: dict[str, int] = {}
        self.lent: dict[str, int] = {}
        self.is_closing = False
        self._started = 0
        self._could_not_start = False
        # When a refusal was logged.
        self._refused = float("-inf")

    @property
    def waiting(self) -> int:
        return len(self.ready) + self.held_count

    # What comes in. All that begins with an underscore holds the lock already.

    def put(self, entry: Entry, bound: int) -> None:
        """Run it as soon as it is its turn; raises `ServerBusyError` where as many wait as may."""
        limit = self.limit()
        key = entry.caller.key
        with self.lock:
            if key and not self._may_have(key, limit):
                self._expect_room(entry, bound)
                self.held.setdefault(key, deque()).append(entry)
                self.held_count += 1
                return
            if self.idle:
                self.idle -= 1
            elif self._may_start(limit) and self._start(entry):
                if key:
                    self.granted[key] = self.granted.get(key, 0) + 1
                return
            else:
                self._expect_room(entry, bound)
                if key:
                    self.granted[key] = self.granted.get(key, 0) + 1
                self.ready.append(entry)
                return
            if key:
                self.granted[key] = self.granted.get(key, 0) + 1
        self.handoff.put(entry)

    def _expect_room(self, entry: Entry, bound: int) -> None:
        now = time.monotonic()
        if self.waiting >= bound and not entry.caller.must_run:
            detail = f'{self.waiting} jobs wait for a thread of the pool "{self.name}", and {bound} may.'
            if now - self._refused > _SILENT_SECONDS:
                self._refused = now
                logger.warning("%s was refused, as may be others: %s", entry.title, detail)
            raise ServerBusyError(f"{entry.title} was refused: {detail}")
        entry.since = now

    def withdraw(self, entry: Entry) -> bool:
        """Take out a job that has not begun; whether it had not."""
        key = entry.caller.key
        with self.lock:
            held = self.held.get(key)
            if held is not None and entry in held:
                held.remove(entry)
                self.held_count -= 1
                if not held:
                    del self.held[key]
                return True
            if entry not in self.ready:
                return False
            self.ready.remove(entry)
            if key:
                self._return(self.granted, key)
                self._promote(key)
            return True

    # Shares

    def _may_have(self, key: str, limit: int) -> bool:
        share, has = max(1, limit - limit // 4), self.granted.get(key, 0)
        return has < share and has + self.lent.get(key, 0) < share * _ASIDE_FACTOR

    def _return(self, counts: dict[str, int], key: str) -> None:
        if counts[key] == 1:
            del counts[key]
        else:
            counts[key] -= 1

    def _promote(self, key: str) -> None:
        """What was held because of its key is ready, as far as the key's share goes."""
        held = self.held.get(key)
        if held is None:
            return
        limit = self.limit()
        while held and self._may_have(key, limit):
            self.granted[key] = self.granted.get(key, 0) + 1
            self.held_count -= 1
            self.ready.append(held.popleft())
        if not held:
            del self.held[key]

    # Threads

    def _may_start(self, limit: int) -> bool:
        return len(self.threads) - min(self.aside, _ASIDE_FACTOR * limit) < limit

    def _start(self, entry: Entry) -> bool:
        self._started += 1
        thread = PoolThread(self, entry, f"djust-{self.name}-{self._started}")
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            # The watchdog tries again.
            if not self._could_not_start:
                logger.warning('A thread of the pool "%s" cannot be started: %s', self.name, error)
            self._could_not_start = True
            watchdog.wake()
            return False
        self._could_not_start = False
        self.threads.add(thread)
        return True

    def _distribute(self) -> None:
        """Give what is ready to threads that are idle, or that may be started."""
        limit = self.limit()
        while self.ready:
            if self.idle:
                self.idle -= 1
                self.handoff.put(self.ready.popleft())
            elif self._may_start(limit) and self._start(self.ready[0]):
                self.ready.popleft()
            else:
                return

    def next_for(self, thread: PoolThread) -> Entry | None:
        """The next job of a thread whose job is over; None if it has to end."""
        with self.lock:
            entry = thread.entry
            assert entry is not None, "a thread asks after each job"
            thread.entry = None
            was_reported, seconds = thread.is_reported, time.monotonic() - thread.since
            key = entry.caller.key
            if thread.is_aside:
                is_needed = self._come_back(thread, key)
            else:
                is_needed = True
                if key:
                    self._return(self.granted, key)
                    if self.held:
                        self._promote(key)
            following = None
            if is_needed and self.ready:
                following = self.ready.popleft()
                is_idle = False
            else:
                is_idle = is_needed and not self.is_closing
                self.idle += is_idle
                if not is_idle:
                    self.threads.discard(thread)
        if was_reported:
            logger.warning('%s has come back in the pool "%s" after %.1f s.', entry.title, self.name, seconds)
        del entry
        return self.handoff.get() if is_idle else following

    def _come_back(self, thread: PoolThread, key: str) -> bool:
        """A thread that was set aside is through; whether it is needed."""
        thread.is_aside = thread.is_reported = False
        self.aside -= 1
        if key:
            self._return(self.lent, key)
            self._promote(key)
        limit = self.limit()
        is_needed = len(self.threads) - min(self.aside, _ASIDE_FACTOR * limit) <= limit
        if not is_needed:
            self.threads.discard(thread)
            self._distribute()
        return is_needed

    def leave(self, thread: PoolThread) -> None:
        """The thread ends; where something unforeseen ends it, its place is free again."""
        with self.lock:
            self.threads.discard(thread)
            if thread.entry is None:
                return
            key = thread.entry.caller.key
            if thread.is_aside:
                self.aside -= 1
            if key:
                self._return(self.lent if thread.is_aside else self.granted, key)
                self._promote(key)
            self._distribute()

    def set_aside(self, entry: Entry, thread: PoolThread | None = None) -> None:
        """The job keeps its thread, and others do not wait for it any more."""
        with self.lock:
            if thread is None:
                thread = next((one for one in self.threads if one.entry is entry), None)
            if thread is None or thread.entry is not entry or thread.is_aside:
                return
            thread.is_aside = True
            self.aside += 1
            if key := entry.caller.key:
                self._return(self.granted, key)
                self.lent[key] = self.lent.get(key, 0) + 1
                self._promote(key)
            self._distribute()

    def close(self) -> list[PoolThread]:
        """Let the threads end after what waits; gives them."""
        with self.lock:
            self.is_closing = True
            idle, self.idle = self.idle, 0
            for _ in range(idle):
                self.handoff.put(None)
            return [*self.threads]

    # What the watchdog does

    def examine(self, now: float, hang_seconds: float) -> bool:
        """Set aside what hangs, and report it; whether anything runs or waits."""
        with self.lock:
            running = [(thread, entry) for thread in self.threads if (entry := thread.entry) is not None]
            self._distribute()
        for thread, entry in running:
            if now - thread.since > hang_seconds > 0:
                self.set_aside(entry, thread)
                self._report_hang(thread, entry, now)
        return bool(running or self.ready)

    def _report_hang(self, thread: PoolThread, entry: Entry, now: float) -> None:
        with self.lock:
            if thread.entry is not entry or thread.is_reported or thread.is_waiting:
                return
            thread.is_reported = True
            seconds = now - thread.since
        frame = sys._current_frames().get(thread.ident or 0)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "(it has just ended)"
        logger.warning(
            '%s hangs: it has run for %.1f s in the thread %s of the pool "%s". Another thread may take its place, up '
            "to a bound: give what it waits for a time-out. Its stack:\n%s",
            *(entry.title, seconds, thread.name, self.name, stack),
        )

    def oldest(self) -> float:
        """When the job that has waited for a thread for longest began to; infinity if none waits."""
        with self.lock:
            return self.ready[0].since if self.ready and not self.idle else float("inf")
