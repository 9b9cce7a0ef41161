"""Pools of threads that outlive what their jobs do.

    pool = ThreadPool("turn", lambda: config().threads)
    await pool.run(function, 1)                                        the result, from a thread
    await pool.run_for(Caller("b64…", "BasketView.save"), function)    the same, for somebody
    pool.submit(job)                                                   without a result

`crew` says what a pool does with its jobs; this module is how jobs come in and results go out, and how a pool
tells of its health.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar

from djust.conf import SETTING, config
from djust.exceptions import ServerBusyError
from djust.signals import pool_exhausted, pool_recovered
from djust.threads.crew import NOBODY, Caller, Crew, Entry, PoolThread
from djust.threads.testmode import Job, testmode
from djust.threads.watchdog import watchdog

logger = logging.getLogger("djust")

P = ParamSpec("P")
T = TypeVar("T")

STOP_SECONDS = 5.0


class PoolReport(TypedDict):
    """The threads of one kind of work, as numbers."""

    threads: int
    """Threads that live, busy or idle."""
    busy: int
    """Threads that run a job."""
    hung: int
    """Those of them that have run one job for too long, and no longer count against the limit."""
    waiting: int
    """Jobs that wait for a thread."""
    limit: int
    """The most threads that there are, without those that hang."""


class _Containment:
    """`with exits_as_errors:` what would end the thread or the event loop becomes an ordinary exception."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Exception):
            raise RuntimeError(f"{type(error).__name__} was raised, which is not an error but an exit.") from error


exits_as_errors = _Containment()


class Call(Generic[T]):
    """A call that a pool was given: await it for its result."""

    __slots__ = ("_crew", "_entry", "done")

    def __init__(self, done: asyncio.Future[tuple[T, None] | tuple[None, Exception]], crew: Crew, entry: Entry) -> None:
        self.done = done
        self._crew = crew
        self._entry = entry

    def __await__(self) -> Generator[Any, None, T]:
        result, error = yield from self.done
        if error is not None:
            raise error
        return result  # type: ignore[return-value] # either of both

    def withdraw(self) -> bool:
        """Let it never begin; false if it has begun."""
        return self._crew.withdraw(self._entry)

    def set_aside(self) -> None:
        """Its result is not needed any more: while it runs, its thread does not count."""
        self._crew.set_aside(self._entry)


class ThreadPool:
    """A bounded pool of threads.

    It does without the futures and locks of `ThreadPoolExecutor`. `name` names threads, and the pool in logs and
    reports; `limit` says how many threads there are, `bound` how many jobs may wait for one, and `patience` by how much
    longer than `hang_seconds` a job may take before it counts as hanging.
    """

    def __init__(
        self,
        name: str = "turn",
        limit: Callable[[], int] = lambda: config().threads,
        bound: Callable[[], int] = lambda: config().max_queue,
        patience: float = 1.0,
    ) -> None:
        self.name = name
        self._limit = limit
        self._bound = bound
        self._patience = patience
        self.reset()

    def reset(self) -> None:
        """Begin without threads: they do not survive a fork."""
        self._crew = Crew(self.name, self._limit)
        self._is_exhausted = False
        watchdog.watch(self)

    def submit(self, job: Job, caller: Caller = NOBODY) -> None:
        """Run `job` in a thread, as soon as one is free; raises `ServerBusyError` where `caller` can be refused."""
        self._put(job, caller, job)

    def offer(self, job: Job, caller: Caller = Caller()) -> bool:  # noqa: B008 — it is immutable
        """As `submit`, for work that may be skipped; whether it was accepted."""
        try:
            self._put(job, caller, job)
        except ServerBusyError:
            return False
        return True

    def _put(self, job: Job, caller: Caller, named_by: Callable[..., Any]) -> Entry:
        entry = Entry(job, caller, named_by)
        if (test := testmode.get()) is not None:
            test.take(job)
        else:
            self._crew.put(entry, self._bound())
        return entry

    @property
    def waiting(self) -> int:
        """Jobs that wait for a thread."""
        return self._crew.waiting

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the call, made in a thread."""
        return await self._begin(NOBODY, function, args, kwargs)

    async def run_for(self, caller: Caller, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for `caller`; raises `ServerBusyError` where too many jobs wait.

        If the caller is cancelled before the call has begun, the call is withdrawn, unless it must run.
        """
        call = self._begin(caller, function, args, kwargs)
        try:
            return await call
        except asyncio.CancelledError:
            if not caller.must_run:
                call.withdraw()
            raise

    def begin(self, caller: Caller, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Call[T]:
        """Make the call in a thread; to be awaited, or taken back."""
        return self._begin(caller, function, args, kwargs)

    def _begin(self, caller: Caller, function: Callable[..., T], args: Any, kwargs: Any) -> Call[T]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[T, None] | tuple[None, Exception]] = loop.create_future()

        def job() -> None:
            outcome: tuple[T, None] | tuple[None, Exception]
            try:
                with exits_as_errors:
                    outcome = function(*args, **kwargs), None
            except Exception as error:  # noqa: BLE001 — raised again where the call was made
                outcome = None, error
            try:
                loop.call_soon_threadsafe(_settle, done, outcome)
            except RuntimeError:
                # The loop was closed meanwhile, and the result is not needed.
                pass

        return Call(done, self._crew, self._put(job, caller, function))

    # Its end

    def stop(self) -> None:
        """Let running jobs end, for some seconds; threads start again when there is a new job."""
        join(self.dismiss())

    def dismiss(self) -> list[PoolThread]:
        """Let the threads end after their jobs; gives them."""
        crew = self._crew
        self.reset()
        return crew.close()

    # Its health

    def examine(self, now: float) -> bool:
        """Called by the watchdog every now and then: look for what hangs; whether there is anything to look at."""
        crew, hang_seconds = self._crew, config().hang_seconds * self._patience
        is_busy = crew.examine(now, hang_seconds)
        is_exhausted = now - crew.oldest() > hang_seconds > 0
        if is_exhausted is not self._is_exhausted:
            self._is_exhausted = is_exhausted
            self._announce(is_exhausted)
        return is_busy

    def _announce(self, is_exhausted: bool) -> None:
        report = self.report()
        if is_exhausted:
            logger.error(
                'The pool "%s" is exhausted: no thread is free, and work has waited for longer than %g s (%d threads, '
                '%d of them hang, %d jobs wait). See the warnings about what hangs; %s["threads"] is the limit of most '
                "pools.",
                *(self.name, config().hang_seconds * self._patience, report["threads"], report["hung"]),
                *(report["waiting"], SETTING),
            )
        else:
            logger.warning('The pool "%s" has recovered: work does not wait for long any more.', self.name)
        signal = pool_exhausted if is_exhausted else pool_recovered
        if signal.receivers:
            counts = {"threads": report["threads"], "hung": report["hung"], "waiting": report["waiting"]}
            signal_pool.submit(lambda: _send(signal, self.name, counts))

    def report(self) -> PoolReport:
        """Its threads, how many of them are busy and how many of these hang, what waits, and the limit."""
        crew = self._crew
        with crew.lock:
            busy = sum(thread.entry is not None for thread in crew.threads)
            return {
                "threads": len(crew.threads),
                "busy": busy,
                "hung": crew.aside,
                "waiting": crew.waiting,
                "limit": self._limit(),
            }

    @property
    def is_exhausted(self) -> bool:
        """Whether no thread is free and work has waited for longer than a job may take."""
        hang_seconds = config().hang_seconds * self._patience
        return time.monotonic() - self._crew.oldest() > hang_seconds > 0


def _send(signal: Any, name: str, counts: dict[str, int]) -> None:
    signal.send_robust(sender=None, pool=name, **counts)


def _settle(done: asyncio.Future[T], outcome: T) -> None:
    if not done.done():
        done.set_result(outcome)


def join(threads: list[PoolThread]) -> None:
    """Wait for the end of threads, for some seconds."""
    end = time.monotonic() + STOP_SECONDS
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


# Receivers of signals: one thread, so that they see events in order.
signal_pool = ThreadPool("signal", lambda: 1)
