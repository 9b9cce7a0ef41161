"""The threads in which synchronous code of views runs, so that no view delays the event loop or another view.

Each kind of work has a pool of its own (`pools`), so that none waits for another one:

    turn_pool              turns of pages             at most LIVEVIEW_CONFIG["threads"]
    request_pool           GETs                       as many
    async_threads          asynchronous handlers      four times as many: one that waits for a
                                                      service keeps its thread; and rendering
                                                      after these, and after handlers that were
                                                      given up
    task_pool              background tasks           LIVEVIEW_CONFIG["tasks"]
    io_pool                our own short jobs         a few
    snapshot_encode_pool   state becomes text         a few
    snapshot_write_pool    writes to the state cache  a few; one that hangs delays neither reading
                                                      nor encoding
    snapshot_read_pool     reads of the state cache   a few
    signal_pool            receivers of our signals   one, so that they see events in order

`TurnThread` serves asynchronous handlers: everything they send to a thread by `sync_to_async`, such as Django's `aget`
and `asave`, runs in one thread of `async_threads` for the length of a turn. Without it, asgiref would send the
calls of all pages to a single thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

from djust import process
from djust.conf import config
from djust.process import Phase
from djust.threads.care import tidy_connections
from djust.threads.crew import NOBODY, Caller, PoolThread
from djust.threads.pool import ThreadPool, exits_as_errors, join, signal_pool
from djust.threads.testmode import Job

__all__ = [
    "NOBODY",
    "Caller",
    "SyncThread",
    "ThreadPool",
    "TurnThread",
    "all_pools",
    "async_threads",
    "exits_as_errors",
    "io_pool",
    "request_pool",
    "signal_pool",
    "snapshot_encode_pool",
    "snapshot_read_pool",
    "snapshot_write_pool",
    "stop_threads",
    "task_pool",
    "tidy_connections",
    "turn_pool",
]

logger = logging.getLogger("djust")

_ERRAND_THREADS = 8
# Pages bound the turns that wait: each has one at a time.
_TURN_FACTOR = 10
# A task is what takes long.
_TASK_PATIENCE = 60.0

turn_pool = ThreadPool("turn", bound=lambda: config().max_queue * _TURN_FACTOR)
request_pool = ThreadPool("get")
async_threads = ThreadPool("async", lambda: config().threads * 4, lambda: config().max_queue * _TURN_FACTOR)
task_pool = ThreadPool("task", lambda: config().tasks, patience=_TASK_PATIENCE)
io_pool = ThreadPool("errand", lambda: _ERRAND_THREADS)
snapshot_encode_pool = ThreadPool("snapshot-encode", lambda: _ERRAND_THREADS)
snapshot_write_pool = ThreadPool("snapshot-write", lambda: _ERRAND_THREADS)
snapshot_read_pool = ThreadPool("snapshot-read", lambda: _ERRAND_THREADS)

all_pools = (
    *(snapshot_encode_pool, snapshot_write_pool, snapshot_read_pool),
    *(turn_pool, request_pool, async_threads, task_pool, io_pool, signal_pool),
)


def stop_threads() -> None:
    """Let the running jobs of all pools end, for some seconds."""
    # What was encoded is still to be written.
    join(snapshot_encode_pool.dismiss())
    join([thread for pool in all_pools for thread in pool.dismiss()])


process.register(Phase.THREADS, stop=lambda: asyncio.to_thread(stop_threads), at_exit=stop_threads)
for _pool in all_pools:
    process.register(Phase.THREADS, forget=_pool.reset)


def _nobody() -> Caller:
    return NOBODY


class TurnThread(Executor):
    """The thread of the thread-sensitive calls of one page: taken from `async_threads` by the first one of a turn."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Job | None] | None = None
        self._in_turn = False
        self._caller = _nobody

    def begin(self, caller: Callable[[], Caller] = _nobody) -> None:
        """A turn begins, of `caller()`: calls from now on share a thread."""
        self._in_turn = True
        self._caller = caller

    def end(self) -> None:
        """The turn is over; the thread goes back to its pool."""
        self._in_turn = False
        # It knows the page, whose lane asgiref would keep for as long as this is held.
        self._caller = _nobody
        if self._queue is not None:
            self._queue.put(None)
            self._queue = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in the turn's thread; outside of a turn (a task that outlives it) in a thread of its own."""
        future: Future[Any] = Future()
        queue = self._queue
        if queue is None:
            queue = SimpleQueue()
            # A turn that has begun has to be able to go on.
            async_threads.submit(lambda: _serve(queue), self._caller()._replace(must_run=True))
            if self._in_turn:
                self._queue = queue
        queue.put(lambda: _fulfil(future, fn, args, kwargs))
        if not self._in_turn:
            queue.put(None)
        return future


class SyncThread:
    """Sends the thread-sensitive calls of a page's asynchronous handlers to a `TurnThread` of its own."""

    __slots__ = ("_context", "_thread")

    def __init__(self) -> None:
        self._context = ThreadSensitiveContext()
        self._thread = TurnThread()
        SyncToAsync.context_to_thread_executor[self._context] = self._thread

    def enter(self, caller: Callable[[], Caller] = _nobody) -> None:
        """A turn begins in this context; `caller()` says whose, if a thread is needed."""
        self.enter_without_turn()
        self._thread.begin(caller)

    def enter_without_turn(self) -> None:
        """From here on each call has a thread for itself: a task may last, and must not keep one."""
        SyncToAsync.thread_sensitive_context.set(self._context)

    def leave(self) -> None:
        """The turn is over."""
        self._thread.end()

    @contextmanager
    def entered(self, caller: Callable[[], Caller] = _nobody) -> Iterator[None]:
        """A turn of `caller()` inside the block; after it, what is thread-sensitive goes where it went before."""
        before = SyncToAsync.thread_sensitive_context.get(None)
        self.enter(caller)
        try:
            yield
        finally:
            self.leave()
            SyncToAsync.thread_sensitive_context.set(before)  # type: ignore[arg-type] # none is what asgiref asks for


def _serve(queue: SimpleQueue[Job | None]) -> None:
    """Make the calls of a turn. Between two of them the thread waits for the handler, and does not hang."""
    thread = threading.current_thread()
    # In a test, it is the thread of the test.
    wait = thread.wait if isinstance(thread, PoolThread) else _nothing
    wait(is_waiting=True)
    while (job := queue.get()) is not None:
        wait(is_waiting=False)
        try:
            job()
        except BaseException:
            logger.exception("A call of an asynchronous handler could not be answered")
        wait(is_waiting=True)
    wait(is_waiting=False)


def _nothing(*, is_waiting: bool) -> None: ...


def _fulfil(future: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            result = fn(*args, **kwargs)
        except (StopIteration, GeneratorExit) as error:
            # Whoever awaits a future cannot be given these, and would wait for ever.
            failure = RuntimeError(f"{type(error).__name__} was raised in a thread.")
            failure.__cause__ = error
            future.set_exception(failure)
        except BaseException as error:  # noqa: BLE001 — raised again where the call was made
            future.set_exception(error)
        else:
            future.set_result(result)
