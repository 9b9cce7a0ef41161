"""Pools of threads that outlive what their jobs do.

    pool = ThreadPool("turn", lambda: config.threads)
    await pool.run(function, 1)                                        the result, from a thread
    await pool.run_for(Caller("b64…", "BasketView.save"), function)    the same, for a visitor
    pool.submit(job)                                                   without a result

A job moves through three places:

    held       its caller has its full share of the threads; first in, first out per caller
    ready      it waits for a thread
    running    a thread has it

No job ends a thread: exceptions are logged. Shares are fair: one caller has at most three quarters
of the threads. A job that hangs does not keep its place: after `hang_seconds`, the watchdog sets
its thread *aside*. Then the thread counts neither against the limit nor against its caller's share,
and another thread may take its place. At most three times the limit are set aside. When the job of
such a thread ends after all, the thread ends if there is one too many.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, ParamSpec, TypedDict, TypeVar

from django.conf import settings
from django.core.cache import caches
from django.db import connections

from djust.conf import SETTING, config
from djust.exceptions import ServerBusyError
from djust.signals import pool_exhausted, pool_recovered
from djust.threads.testmode import Job, testmode
from djust.threads.watchdog import watchdog

logger = logging.getLogger("djust")

P = ParamSpec("P")
T = TypeVar("T")

STOP_SECONDS = 5.0
# How many threads may be set aside, as a multiple of the limit; and how many shares one caller may
# have, including those.
_ASIDE_FACTOR = 3
# A pool logs one refusal in this time.
_SILENT_SECONDS = 10.0


class Caller(NamedTuple):
    """The visitor for whom a job is done, and its name in logs.

    `key` identifies the visitor; work with the key "" counts against no share. A job that
    `must_run` is never refused, because no browser would send it again.
    """

    key: str = ""
    title: str = ""
    must_run: bool = False


NOBODY = Caller(must_run=True)


class PoolReport(TypedDict):
    """The threads of one kind of work, as numbers.

    Of `threads`, `busy` run a job, and `hung` of these have run it for too long, so that they no
    longer count against the `limit`. `waiting` jobs wait for a thread.
    """

    threads: int
    busy: int
    hung: int
    waiting: int
    limit: int


def as_error(error: BaseException) -> Exception:
    """An ordinary exception for one that would end a thread, an event loop or a generator."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    failure = RuntimeError(f"{type(error).__name__} was raised, which is not an error but an exit.")
    failure.__cause__ = error
    return failure


class _ExitsAsErrors:
    """`with exits_as_errors:` raises ordinary exceptions only."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and not isinstance(error, Exception):
            raise as_error(error)


exits_as_errors = _ExitsAsErrors()


class _Share:
    """The share of one caller: jobs ready or running, threads set aside, and jobs held."""

    __slots__ = ("active", "aside", "held", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self.active = 0
        self.aside = 0
        self.held: deque[Call[Any]] = deque()

    def is_full(self, limit: int) -> bool:
        """Whether one more job has to be held."""
        most = max(1, limit - limit // 4)
        return bool(self.key) and (self.active >= most or self.active + self.aside >= most * _ASIDE_FACTOR)


class Call(Generic[T]):
    """A job that a pool was given; `done` is its result.

    Without a `loop`, there is no result, and the thread logs what the job raises.
    """

    __slots__ = ("_job", "_loop", "caller", "done", "share", "since", "thread")

    def __init__(self, caller: Caller, job: Callable[[], T], loop: AbstractEventLoop | None) -> None:
        self._job = job
        self._loop = loop
        if loop is not None:
            self.done: asyncio.Future[T] = loop.create_future()
        self.caller = caller
        self.share: _Share | None = None
        # When it began to wait, on the monotonic clock.
        self.since = 0.0
        self.thread: _WorkerThread | None = None

    @property
    def title(self) -> str:
        function = getattr(self._job, "func", self._job)  # of a `partial`
        return self.caller.title or getattr(function, "__qualname__", None) or repr(function)

    def run(self) -> None:
        """Make the call, in the thread, and send its outcome to the event loop."""
        if self._loop is None:
            self._job()
            return
        result, failure = None, None
        try:
            result = self._job()
        except BaseException as error:  # noqa: BLE001 - raised again where the call was made
            failure = as_error(error)
        # If the loop was closed in the meantime, the result is not needed.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, result, failure)

    def _settle(self, result: Any, failure: Exception | None) -> None:
        if self.done.done():
            return
        if failure is None:
            self.done.set_result(result)
        else:
            self.done.set_exception(failure)
            # asyncio must not log an exception that its caller no longer waits for.
            self.done.exception()


def _job_context() -> Context:
    """The context that each job of this thread gets a copy of.

    So no job sees what an earlier one has activated, such as a language. Django keeps its cache
    clients in the context, too. They are made here, or each job would open a connection.
    """
    for alias in settings.CACHES:
        # Code that uses a cache that cannot be made gets the error.
        with suppress(BaseException):
            caches[alias]
    return copy_context()


def tidy_connections() -> bool:
    """Treat this thread's connections as Django does around a request; true if there are any.

    A thread keeps them between jobs, as one of a WSGI server does between requests. If this fails,
    they are dropped, and the thread gets new ones.
    """
    # A back end may raise any exception, and the thread has to go on.
    try:
        known = connections.all(initialized_only=True)
        for connection in known:
            connection.queries_log.clear()
            connection.close_if_unusable_or_obsolete()
        return bool(known)
    except BaseException:
        with suppress(BaseException):
            logger.exception("The database connections of a thread cannot be tidied, and are dropped")
    with suppress(BaseException):
        for connection in connections.all(initialized_only=True):
            with suppress(BaseException):
                connection.close()
            del connections[connection.alias]
    return False


class _WorkerThread(threading.Thread):
    """A thread of a pool; `call` is what it does, `since` when that began."""

    def __init__(self, pool: ThreadPool, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._pool = pool
        self.call: Call[Any] | None = None
        self.since = 0.0
        # Its job waits for something to do, and does not hang.
        self.is_waiting = False
        self.is_aside = False
        self.is_reported = False
        self.is_dismissed = False

    def run(self) -> None:
        """Run jobs until there are none for this thread any more."""
        pool = self._pool
        try:
            context = _job_context()
            has_connections = False
            call = pool.handoff.get()
            while call is not None:
                self.since = time.monotonic()
                call.thread = self
                self.call = call
                if watchdog.sleeps:
                    watchdog.wake()
                if has_connections:
                    tidy_connections()
                try:
                    context.copy().run(call.run)
                except BaseException:
                    # The thread has to run the next job.
                    with suppress(BaseException):
                        logger.exception('%s has failed in the pool "%s"', call.title, pool.name)
                del call
                has_connections = tidy_connections()
                call = pool.next_for(self)
        finally:
            pool.leave(self)


def wait_for(queue: SimpleQueue[T]) -> T:
    """The next item of a queue, for the job of this thread, which does not hang while it waits."""
    thread = threading.current_thread()
    if not isinstance(thread, _WorkerThread):
        # In a test, it is the thread of the test.
        return queue.get()
    thread.since, thread.is_waiting = time.monotonic(), True
    try:
        return queue.get()
    finally:
        thread.since, thread.is_waiting = time.monotonic(), False


class ThreadPool:
    """A bounded pool of threads.

    It does without the futures and locks of `ThreadPoolExecutor`. `name` names threads, and the
    pool in logs and reports; `limit` says how many threads there are, `bound` how many jobs may
    wait for one, and `patience` by how much longer than `hang_seconds` a job may take before it
    counts as hanging.
    """

    def __init__(
        self,
        name: str = "turn",
        limit: Callable[[], int] = lambda: config.threads,
        bound: Callable[[], int] = lambda: config.max_queue,
        patience: float = 1.0,
    ) -> None:
        self.name = name
        self._limit = limit
        self._bound = bound
        self._patience = patience
        self.reset()
        watchdog.watch(self)

    def reset(self) -> None:
        """Begin without threads and jobs: in a process that was forked."""
        self._lock = threading.Lock()
        self._shares: dict[str, _Share] = {}
        self._ready: deque[Call[Any]] = deque()
        # Jobs that are ready or held.
        self.waiting = 0
        self._threads: set[_WorkerThread] = set()
        # Those of them that are set aside.
        self._aside = 0
        # Idle threads wait here. A caller reduces `_idle` before it puts something in.
        self.handoff: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._idle = 0
        self._started = 0
        self._could_not_start = False
        self._is_exhausted = False
        # When a refusal was logged.
        self._refused = float("-inf")

    # Jobs come in

    def submit(self, job: Job, caller: Caller = NOBODY) -> None:
        """Run `job` in a thread, as soon as one is free.

        Raises `ServerBusyError` if too many jobs wait, unless the caller's work must run.
        """
        self._put(Call(caller, job, None))

    def offer(self, job: Job, caller: Caller = Caller()) -> bool:  # noqa: B008 - it is immutable
        """As `submit`, for work that may be skipped; whether it was accepted."""
        try:
            self.submit(job, caller)
        except ServerBusyError:
            return False
        return True

    def begin(self, caller: Caller, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Call[T]:
        """Make the call in a thread; its `done` is to be awaited, or it withdrawn."""
        call = Call(caller, partial(function, *args, **kwargs), asyncio.get_running_loop())
        self._put(call)
        return call

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the call, made in a thread."""
        return await self.begin(NOBODY, function, *args, **kwargs).done

    async def run_for(self, caller: Caller, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for `caller`; raises `ServerBusyError` if too many jobs wait.

        If the caller is cancelled before the call has begun, the call is withdrawn, unless it must
        run.
        """
        call = self.begin(caller, function, *args, **kwargs)
        try:
            return await call.done
        except asyncio.CancelledError:
            if not caller.must_run:
                self.withdraw(call)
            raise

    def _put(self, call: Call[Any]) -> None:
        if (test := testmode.get()) is not None:
            test.run_inline(call.run)
            return
        key = call.caller.key
        with self._lock:
            limit = self._limit()
            call.share = share = self._shares.get(key) or _Share(key)
            if share.is_full(limit):
                self._wait(call, share.held)
                return
            if not self._assign(call, limit):
                self._wait(call, self._ready)
            share.active += 1
            self._shares[key] = share

    # The lock is held in everything from here to `withdraw`.

    def _wait(self, call: Call[Any], queue: deque[Call[Any]]) -> None:
        bound, now = self._bound(), time.monotonic()
        if self.waiting >= bound and not call.caller.must_run:
            detail = f'{self.waiting} jobs wait for a thread of the pool "{self.name}", and {bound} may.'
            if now - self._refused > _SILENT_SECONDS:
                self._refused = now
                logger.warning("%s was refused, as may be others: %s", call.title, detail)
            raise ServerBusyError(f"{call.title} was refused: {detail}")
        call.since = now
        self.waiting += 1
        queue.append(call)

    def _promote(self, share: _Share) -> None:
        """A caller has one job less: a held one may become ready."""
        limit = self._limit() if share.held else 0
        while share.held and not share.is_full(limit):
            share.active += 1
            self._ready.append(share.held.popleft())
        if not (share.active or share.aside or share.held):
            self._shares.pop(share.key, None)

    def _distribute(self) -> None:
        limit = self._limit()
        while self._ready and self._assign(self._ready[0], limit):
            self._ready.popleft()
            self.waiting -= 1

    def _assign(self, call: Call[Any], limit: int) -> bool:
        """Give a job to a thread that is idle, or that may be started; whether there is one."""
        if self._idle:
            self._idle -= 1
        elif self._excess(limit) >= 0 or not self._start():
            return False
        self.handoff.put(call)
        return True

    def _excess(self, limit: int) -> int:
        """How many threads there are above the limit, without those set aside."""
        return len(self._threads) - min(self._aside, _ASIDE_FACTOR * limit) - limit

    def _start(self) -> bool:
        self._started += 1
        thread = _WorkerThread(self, f"djust-{self.name}-{self._started}")
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
        self._threads.add(thread)
        return True

    def _finish(self, thread: _WorkerThread, call: Call[Any]) -> None:
        share = call.share
        assert share is not None, "it was put"
        thread.call = None
        if thread.is_aside:
            thread.is_aside = thread.is_reported = False
            share.aside -= 1
            self._aside -= not thread.is_dismissed
        else:
            share.active -= 1
        self._promote(share)

    # From any thread

    def withdraw(self, call: Call[Any]) -> bool:
        """Withdraw a job that has not begun; whether that was possible."""
        with self._lock:
            share = call.share
            if share is not None and call in share.held:
                share.held.remove(call)
            elif share is not None and call in self._ready:
                self._ready.remove(call)
                share.active -= 1
                self._promote(share)
            else:
                return False
            self.waiting -= 1
            return True

    def set_aside(self, call: Call[Any]) -> None:
        """Set the thread of the job aside, if it has one: other jobs no longer wait for it."""
        with self._lock:
            thread, share = call.thread, call.share
            if thread is None or share is None or thread.call is not call or thread.is_aside or thread.is_dismissed:
                return
            thread.is_aside = True
            self._aside += 1
            share.aside += 1
            share.active -= 1
            self._promote(share)
            self._distribute()

    def next_for(self, thread: _WorkerThread) -> Call[Any] | None:
        """The next job of a thread whose job is over; None if the thread has to end."""
        call, following, is_idle = thread.call, None, False
        assert call is not None, "a thread asks after each job"
        with self._lock:
            was_aside, was_reported = thread.is_aside, thread.is_reported
            self._finish(thread, call)
            if was_aside and self._excess(self._limit()) > 0:
                self._threads.discard(thread)
                self._distribute()
            elif self._ready:
                following = self._ready.popleft()
                self.waiting -= 1
            elif not thread.is_dismissed:
                is_idle = True
                self._idle += 1
        if was_reported:
            message, seconds = '%s has come back in the pool "%s" after %.1f s.', time.monotonic() - thread.since
            with suppress(BaseException):
                logger.warning(message, call.title, self.name, seconds)
        # An idle thread must not keep its last job alive.
        del call
        return self.handoff.get() if is_idle else following

    def leave(self, thread: _WorkerThread) -> None:
        """The thread ends. If something unforeseen ends it, its place is free again."""
        with self._lock:
            self._threads.discard(thread)
            if thread.call is not None:
                self._finish(thread, thread.call)
                self._distribute()

    # The end

    def dismiss(self) -> list[_WorkerThread]:
        """Let the threads end after the waiting jobs; returns them. They no longer count.

        New threads start when there is a new job.
        """
        with self._lock:
            threads, self._threads = self._threads, set()
            for thread in threads:
                thread.is_dismissed = True
            for _ in range(self._idle):
                self.handoff.put(None)
            self._idle = self._aside = 0
            return [*threads]

    # Health

    @property
    def _hang_seconds(self) -> float:
        return config.hang_seconds * self._patience

    @property
    def is_exhausted(self) -> bool:
        """Whether no thread is free and work has waited for longer than a job may take."""
        with self._lock:
            since = self._ready[0].since if self._ready and not self._idle else float("inf")
        return time.monotonic() - since > self._hang_seconds > 0

    def report(self) -> PoolReport:
        """How many threads there are, are busy and hang, and how much work waits."""
        with self._lock:
            return {
                "threads": len(self._threads),
                "busy": len(self._threads) - self._idle,
                "hung": self._aside,
                "waiting": self.waiting,
                "limit": self._limit(),
            }

    def examine(self) -> bool:
        """Set aside what hangs, for the watchdog; whether anything runs or waits."""
        hang_seconds = self._hang_seconds
        with self._lock:
            running = [(thread, call) for thread in self._threads if (call := thread.call) is not None]
            self._distribute()
        for thread, call in running:
            if time.monotonic() - thread.since > hang_seconds > 0:
                self.set_aside(call)
                self._report_hang(thread, call)
        is_exhausted = self.is_exhausted
        if is_exhausted is not self._is_exhausted:
            self._is_exhausted = is_exhausted
            self._announce(is_exhausted)
        return bool(running or self._ready)

    def _report_hang(self, thread: _WorkerThread, call: Call[Any]) -> None:
        with self._lock:
            if thread.call is not call or thread.is_reported or thread.is_waiting:
                return
            thread.is_reported = True
            seconds = time.monotonic() - thread.since
        frame = sys._current_frames().get(thread.ident or 0)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "(it has just ended)"
        logger.warning(
            '%s hangs: it has run for %.1f s in the thread %s of the pool "%s". Another thread may take its place, up '
            "to a bound: give what it waits for a time-out. Its stack:\n%s",
            *(call.title, seconds, thread.name, self.name, stack),
        )

    def _announce(self, is_exhausted: bool) -> None:
        report = self.report()
        if is_exhausted:
            logger.error(
                'The pool "%s" is exhausted: no thread is free, and work has waited for longer than %g s (%d threads, '
                '%d of them hang, %d jobs wait). See the warnings about what hangs; %s["threads"] is the limit of most '
                "pools.",
                *(self.name, self._hang_seconds, report["threads"], report["hung"], report["waiting"], SETTING),
            )
        else:
            logger.warning('The pool "%s" has recovered: work does not wait for long any more.', self.name)
        signal = pool_exhausted if is_exhausted else pool_recovered
        if signal.receivers:
            counts = {"threads": report["threads"], "hung": report["hung"], "waiting": report["waiting"]}
            signal_pool.submit(lambda: signal.send_robust(sender=None, pool=self.name, **counts))


def join(threads: list[_WorkerThread]) -> None:
    """Wait for the end of threads, for some seconds."""
    end = time.monotonic() + STOP_SECONDS
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


# For receivers of signals: one thread, so that they see events in order.
signal_pool = ThreadPool("signal", lambda: 1)
