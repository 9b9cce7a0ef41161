"""The threads in which synchronous code of views runs, so that no view delays the event loop or another view.

Each kind of work has a pool of its own, so that none waits for another one:

    workers    turns of pages             at most LIVEVIEW_CONFIG["threads"] threads
    mounters   GETs                       as many
    lanes      asynchronous handlers      four times as many, because one that waits for a service keeps its thread;
                                          and rendering after these, and after handlers that were given up
    slow       tasks beside pages         LIVEVIEW_CONFIG["tasks"]
    errands    our own short jobs         a few
    keepers    snapshots                  a few
    reporters  receivers of our signals   one, so that they see events in order

Threads are started when they are needed. A thread keeps its database connections from one job to the next, as a thread
of a WSGI server does, and they get the care that Django gives them around a request.

`TurnThread` serves asynchronous handlers: everything they send to a thread by `sync_to_async`, such as Django's `aget`
and `asave`, runs in one thread of `lanes` for the length of a turn. Without it, asgiref would send the calls of all
pages to a single thread.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from queue import SimpleQueue
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.db import connections

from djust.conf import config
from djust.live.rehearsal import Job, rehearsal

P = ParamSpec("P")
T = TypeVar("T")

_STOP_SECONDS = 5.0
_ERRAND_THREADS = 8


class _Containment:
    """`with contained:` what would end the thread or the event loop becomes an ordinary exception of user code."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Exception):
            raise RuntimeError(f"{type(error).__name__} was raised, which is not an error but an exit.") from error


contained = _Containment()


class Workers:
    """A bounded pool of threads.

    It does without the futures and locks of `ThreadPoolExecutor`: a turn costs 30 instead of 47 µs of CPU on its way
    there and back.
    """

    def __init__(self, name: str = "turn", limit: Callable[[], int] = lambda: config().threads) -> None:
        self._name = name
        self._limit = limit
        self._reset()

    def _reset(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle = 0

    def submit(self, job: Job) -> None:
        """Run `job` in a thread, as soon as one is free. It must not raise."""
        if (test := rehearsal.get()) is not None:
            test.take(job)
            return
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif len(self._threads) < self._limit():
                name = f"djust-{self._name}-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)
        self._jobs.put(job)

    @property
    def waiting(self) -> int:
        """Jobs that wait for a thread."""
        return self._jobs.qsize()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the call, made in a thread."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[T, None] | tuple[None, Exception]] = loop.create_future()

        def job() -> None:
            outcome: tuple[T, None] | tuple[None, Exception]
            try:
                with contained:
                    outcome = function(*args, **kwargs), None
            except Exception as error:  # noqa: BLE001 — raised again where the call was made
                outcome = None, error
            try:
                loop.call_soon_threadsafe(_settle, done, outcome)
            except RuntimeError:
                # The loop was closed meanwhile; nobody waits any more.
                pass

        self.submit(job)
        result, error = await done
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def stop(self) -> None:
        """Let running jobs end, for some seconds; threads start again when there is a new job."""
        _join(self.dismiss())

    def dismiss(self) -> list[threading.Thread]:
        """Let the threads end after their jobs; gives them."""
        threads, jobs = self._threads, self._jobs
        self._reset()
        for _ in threads:
            jobs.put(None)
        return threads

    def _work(self) -> None:
        jobs, lock = self._jobs, self._lock
        context = _thread_context()
        has_connections = False
        while (job := jobs.get()) is not None:
            if has_connections:
                tidy_connections()
            context.copy().run(job)
            del job
            has_connections = tidy_connections()
            with lock:
                # A pool that was stopped meanwhile has no idle threads of this generation.
                if self._lock is lock:
                    self._idle += 1
        connections.close_all()


def _thread_context() -> contextvars.Context:
    """The context that each job of this thread gets a copy of.

    So no job sees what an earlier one has activated, such as a language. Django keeps its cache clients in the context
    as well; they are made here, or each job would connect anew.
    """
    for alias in settings.CACHES:
        try:
            caches[alias]
        except InvalidCacheBackendError:
            # Whoever uses this cache is told so.
            pass
    return contextvars.copy_context()


def _settle(done: asyncio.Future[T], outcome: T) -> None:
    if not done.done():
        done.set_result(outcome)


def _join(threads: list[threading.Thread]) -> None:
    end = time.monotonic() + _STOP_SECONDS
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


workers = Workers()
mounters = Workers("get")
lanes = Workers("async", lambda: config().threads * 4)
slow = Workers("task", lambda: config().tasks)
errands = Workers("errand", lambda: _ERRAND_THREADS)
reporters = Workers("signal", lambda: 1)
keepers = Workers("keep", lambda: _ERRAND_THREADS)
_pools = (keepers, workers, mounters, lanes, slow, errands, reporters)


def stop_threads() -> None:
    """Let the running jobs of all pools end, for some seconds."""
    _join([thread for pool in _pools for thread in pool.dismiss()])


atexit.register(stop_threads)
for _pool in _pools:
    # Threads do not survive a fork.
    os.register_at_fork(after_in_child=_pool._reset)


def tidy_connections() -> bool:
    """What Django does with a thread's database connections before and after each request; whether there are any."""
    known = connections.all(initialized_only=True)
    for connection in known:
        connection.queries_log.clear()
        connection.close_if_unusable_or_obsolete()
    return bool(known)


class TurnThread(Executor):
    """The thread of the thread-sensitive calls of one page: taken from `lanes` by the first one of a turn."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Job | None] | None = None
        self._in_turn = False

    def begin(self) -> None:
        """A turn begins: calls from now on share a thread."""
        self._in_turn = True

    def end(self) -> None:
        """The turn is over; the thread goes back to its pool."""
        self._in_turn = False
        if self._queue is not None:
            self._queue.put(None)
            self._queue = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in the turn's thread; outside of a turn (a task that outlives it) in a thread of its own."""
        future: Future[Any] = Future()
        queue = self._queue
        if queue is None:
            queue = SimpleQueue()
            lanes.submit(lambda: _serve(queue))
            if self._in_turn:
                self._queue = queue
        queue.put(lambda: _fulfil(future, fn, args, kwargs))
        if not self._in_turn:
            queue.put(None)
        return future


class Lane:
    """Sends the thread-sensitive calls of a page's asynchronous handlers to a `TurnThread` of its own."""

    __slots__ = ("_context", "_thread")

    def __init__(self) -> None:
        self._context = ThreadSensitiveContext()
        self._thread = TurnThread()
        SyncToAsync.context_to_thread_executor[self._context] = self._thread

    def enter(self) -> None:
        """A turn begins in this context."""
        self.enter_without_turn()
        self._thread.begin()

    def enter_without_turn(self) -> None:
        """From here on each call has a thread for itself: a task may last, and must not keep one."""
        SyncToAsync.thread_sensitive_context.set(self._context)

    def leave(self) -> None:
        """The turn is over."""
        self._thread.end()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """A turn for what stands inside the block; then what is thread-sensitive goes where it went before."""
        before = SyncToAsync.thread_sensitive_context.get(None)
        self.enter()
        try:
            yield
        finally:
            self.leave()
            SyncToAsync.thread_sensitive_context.set(before)  # type: ignore[arg-type] # none is what asgiref asks for


def _serve(queue: SimpleQueue[Job | None]) -> None:
    while (job := queue.get()) is not None:
        job()


def _fulfil(future: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 — raised again where the call was made
            future.set_exception(error)
        else:
            future.set_result(result)
