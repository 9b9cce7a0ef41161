"""The pools of threads in which synchronous code of views runs: pages never block each other.

Each kind of work has a pool of its own (`pools`), so that none waits for another:

    turn_pool              turns of pages             at most LIVEVIEW_CONFIG["threads"]
    request_pool           GETs                       as many
    async_threads          asynchronous handlers      four times as many: one that waits for a
                                                      service keeps its thread; their guards, and
                                                      rendering after these and after handlers
                                                      that were given up
    task_pool              background tasks           LIVEVIEW_CONFIG["tasks"]
    io_pool                our own short jobs         a few
    snapshot_encode_pool   state becomes text         a few
    snapshot_write_pool    writes to the state cache  a few; one that hangs delays neither reading
                                                      nor encoding
    snapshot_read_pool     reads of the state cache   a few
    signal_pool            receivers of our signals   one, so that they see events in order

`SyncThread` serves asynchronous handlers: everything they send to a thread by `sync_to_async`, such
as Django's `aget` and `asave`, runs in one thread of `async_threads` for the length of a turn.
Without it, asgiref would send the calls of all pages to a single thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

from djust import process
from djust.conf import config
from djust.process import Phase
from djust.threads.pool import NOBODY, Caller, ThreadPool, as_error, join, signal_pool, wait_for
from djust.threads.testmode import Job

P = ParamSpec("P")
T = TypeVar("T")

_FEW_THREADS = 8
# Turns have a larger bound, because each page has only one at a time.
_TURN_FACTOR = 10
# Tasks may take long.
_TASK_PATIENCE = 60.0

turn_pool = ThreadPool("turn", bound=lambda: config.max_queue * _TURN_FACTOR)
request_pool = ThreadPool("get")
async_threads = ThreadPool("async", lambda: config.threads * 4, lambda: config.max_queue * _TURN_FACTOR)
task_pool = ThreadPool("task", lambda: config.tasks, patience=_TASK_PATIENCE)
io_pool = ThreadPool("errand", lambda: _FEW_THREADS)
snapshot_encode_pool = ThreadPool("snapshot-encode", lambda: _FEW_THREADS)
snapshot_write_pool = ThreadPool("snapshot-write", lambda: _FEW_THREADS)
snapshot_read_pool = ThreadPool("snapshot-read", lambda: _FEW_THREADS)

all_pools = (
    *(snapshot_encode_pool, snapshot_write_pool, snapshot_read_pool),
    *(turn_pool, request_pool, async_threads, task_pool, io_pool, signal_pool),
)


def stop_threads() -> None:
    """Let the running jobs of all pools end, for some seconds."""
    # First the encoders, because what they encode has to be written.
    join(snapshot_encode_pool.dismiss())
    join([thread for pool in all_pools for thread in pool.dismiss()])


process.register(Phase.THREADS, stop=lambda: asyncio.to_thread(stop_threads), at_exit=stop_threads)
for _pool in all_pools:
    process.register(Phase.THREADS, forget=_pool.reset)


class SyncThread:
    """Gives the thread-sensitive calls of a page's asynchronous handlers a thread of their own."""

    __slots__ = ("_context", "_executor")

    def __init__(self) -> None:
        self._context = ThreadSensitiveContext()
        self._executor = _TurnExecutor()
        # asgiref keeps the executor as long as the context lives, so it must not hold the context.
        SyncToAsync.context_to_thread_executor[self._context] = self._executor

    def enter(self, caller: Callable[[], Caller] = lambda: NOBODY) -> None:
        """A turn begins in this context; `caller()` says whose, if a thread is needed."""
        self.enter_without_turn()
        self._executor.begin(caller)

    def enter_without_turn(self) -> None:
        """From here on, each call has a thread of its own: a long task must not keep one."""
        SyncToAsync.thread_sensitive_context.set(self._context)

    def leave(self) -> None:
        self._executor.end()

    @contextmanager
    def entered(self, caller: Callable[[], Caller] = lambda: NOBODY) -> Iterator[None]:
        """A turn inside the block. After it, thread-sensitive calls go where they went before."""
        before = SyncToAsync.thread_sensitive_context.get(None)
        self.enter(caller)
        try:
            yield
        finally:
            self.leave()
            SyncToAsync.thread_sensitive_context.set(before)  # type: ignore[arg-type] # none is what asgiref asks for


class _TurnExecutor(Executor):
    """Runs the calls of a turn in one thread, which the first of them gets from `async_threads`."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Job | None] | None = None
        # The caller whose turn it is; None between two turns.
        self._caller: Callable[[], Caller] | None = None

    def begin(self, caller: Callable[[], Caller]) -> None:
        """A turn begins: calls from now on share a thread."""
        self._caller = caller

    def end(self) -> None:
        """The turn is over; the thread goes back to its pool."""
        # The caller knows the page, which asgiref would keep for as long as this is held.
        self._caller = None
        if self._queue is not None:
            self._queue.put(None)
            self._queue = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in the turn's thread; between turns, which tasks outlive, in its own."""
        future: Future[Any] = Future()
        queue, caller = self._queue, self._caller
        if queue is None:
            queue = SimpleQueue()
            # A turn that has begun must be able to continue.
            async_threads.submit(partial(_serve, queue), caller()._replace(must_run=True) if caller else NOBODY)
        queue.put(partial(answer, future, fn, *args, **kwargs))
        if caller is None:
            queue.put(None)
        else:
            self._queue = queue
        return future


def _serve(queue: SimpleQueue[Job | None]) -> None:
    """Make the calls of a turn. Between two of them the thread waits for the handler."""
    while (job := wait_for(queue)) is not None:
        job()


def answer(future: Future[T], fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> None:
    """Make a call, and give its outcome to the future, unless that was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = fn(*args, **kwargs)
    except (StopIteration, GeneratorExit) as error:
        # A future cannot hold these exceptions: its caller would wait for ever.
        future.set_exception(as_error(error))
    except BaseException as error:  # noqa: BLE001 - raised again where the call was made
        future.set_exception(error)
    else:
        future.set_result(result)
