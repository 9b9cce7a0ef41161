"""The background tasks of one page: a `Runner` of `djust/tasks.py`.

    tasks = Tasks(page.post, page.turns)
    tasks.start(task)               waits until a browser has the page
    tasks.advance()                 a browser has the page: tasks run
    tasks.end()                     the page is gone

At most `tasks_per_page` tasks of a page run at the same time, the others wait in order. A `def` is
a job of the pool `task`, so that no handler waits behind it; an `async def` runs on the
event loop of the pages. A result becomes `Work` in the mailbox, and is merged there if its task is
still the newest of its name.

Tasks hold the view, through the functions that they call, but never the page. So running tasks do
not keep a page alive, and they end with it.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ParamSpec
from weakref import WeakKeyDictionary, WeakMethod, ref

from djust.conf import SETTING, config
from djust.context import LiveContext, Task, context_of
from djust.exceptions import HandlerTimeoutError
from djust.live.failures import failure_on_loop
from djust.live.turn import TurnRunner
from djust.protocol.messages import Message, Work
from djust.services import call_scope
from djust.tasks import running_task, set_all
from djust.threads.pool import Caller
from djust.threads.pools import SyncThread, task_pool
from djust.threads.testmode import testmode

P = ParamSpec("P")

# Coroutines of one process, for each thread that slow `def` functions may have.
_COROUTINES_PER_THREAD = 32


class Tasks:
    """The `Runner` of one page, which says what the methods do.

    What begins and ends tasks happens on the event loop of the page.
    """

    def __init__(self, post: Callable[[Message], None], turns: TurnRunner) -> None:
        self._turns = turns
        self._post = WeakMethod(post, partial(_end, ref(self)))
        # Python may collect the page, and so call `end`, in the middle of any of these methods.
        self._lock = threading.RLock()
        self._latest: dict[tuple[LiveContext, str], Task] = {}
        self._queue: deque[Task] = deque()
        self._running: set[Task] = set()
        # For each view the values of `assign_later`, and who assigned them. A view is in it as soon
        # as a turn has been requested for it.
        self._later: dict[LiveContext, dict[str, tuple[Task | None, Any]]] = {}
        self._is_over = False

    @property
    def running(self) -> list[str]:
        """The names of all tasks that have not ended."""
        return sorted(name for _, name in self._latest.copy())

    def names(self, view: object) -> frozenset[str]:
        context = context_of(view)
        return frozenset(name for owner, name in self._latest.copy() if owner is context)

    def start(self, task: Task) -> None:
        with self._lock:
            if self._is_over:
                return
            key = (task.context, task.name)
            older = self._latest.get(key)
            if len(self._queue) - (older in self._queue) >= config.max_waiting:
                raise RuntimeError(
                    f"{task.title} cannot be started: {len(self._queue)} tasks of its page wait already, as many as "
                    f'{SETTING}["max_waiting"] allows.'
                )
            self._drop(older)
            self._latest[key] = task
            self._queue.append(task)
            self._on_loop(self._advance)

    def cancel(self, view: object, name: str) -> None:
        with self._lock:
            self._drop(self._latest.pop((context_of(view), name), None))

    def advance(self) -> None:
        """A browser has the page: tasks that wait for that begin. In any thread."""
        self._on_loop(self._advance)

    def end(self) -> None:
        """Drop everything: the page is gone."""
        with self._lock:
            self._is_over = True
            for task in self._latest.values():
                self._drop(task)
            self._latest.clear()
            self._queue.clear()
            self._later.clear()

    def _on_loop(self, function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        if (loop := self._turns.loop) is not None:
            try:
                loop.call_soon_threadsafe(partial(function, *args, **kwargs), context=self._turns.context.copy())
            except RuntimeError:
                # The server has ended, and the page with it.
                pass

    def _drop(self, task: Task | None) -> None:
        if task is not None:
            task.dropped = True
            if task in self._queue:
                self._queue.remove(task)
            self._on_loop(_stop, task)

    # Running. All of this on the event loop, except `_call`.

    def _advance(self) -> None:
        with self._lock:
            while self._queue and len(self._running) < config.tasks_per_page:
                task = self._queue.popleft()
                self._running.add(task)
                if (test := testmode.get()) is not None:
                    test.defer(partial(self._begin, task))
                else:
                    self._begin(task)

    def _begin(self, task: Task) -> None:
        if task.dropped:
            # It was cancelled while a test held it back.
            self._leave(task)
            return
        running = asyncio.get_running_loop().create_task(self._run(task), context=self._turns.context.copy())
        task.awaiting = running
        # Also if it was cancelled before it began.
        running.add_done_callback(lambda _: self._leave(task) if task.awaiting is running else None)

    async def _run(self, task: Task) -> None:
        """The life of a task; a `def` has a thread for it."""
        value: Any = None
        error: Exception | None = None
        me = asyncio.current_task()
        self._enter(task)
        SyncThread().enter_without_turn()
        try:
            async with asyncio.timeout(task.timeout) as clock:
                if not task.is_async:
                    call = task_pool.begin(Caller(title=task.title, must_run=True), self._call, task)
                    try:
                        await asyncio.wait([call.done])
                    except asyncio.CancelledError:
                        # The thread cannot be stopped, and counts until it has ended.
                        task.awaiting = None
                        call.done.add_done_callback(lambda done: self._leave(task, done))
                        raise
                    value = await call.done
                if task.is_async or inspect.isawaitable(value):
                    # A `def` may give something to be awaited, such as `lambda: client.get(url)`.
                    async with _room(), call_scope():
                        value = await (task.call() if task.is_async else value)
        except BaseException as raised:  # noqa: BLE001 — a task may raise whatever it likes
            if inspect.iscoroutine(value):
                # It may not have begun.
                value.close()
            error = failure_on_loop(raised, me)
            if isinstance(error, TimeoutError) and clock.expired():
                assert task.timeout is not None, "only what has a clock expires"
                error = HandlerTimeoutError(task.title, task.timeout)
        if not task.dropped and (post := self._post()) is not None:
            merge = partial(task.merge, value, error)
            post(Work(task.title, partial(self._merge, task, merge), task.merges_on_loop, task.context.node_id))
        # The result of a thread that continues after its time is dropped.
        task.dropped = task.dropped or isinstance(error, HandlerTimeoutError)

    def _call(self, task: Task) -> Any:
        with call_scope():
            if task.dropped:
                return None
            self._enter(task)
            return task.call()

    def _enter(self, task: Task) -> None:
        running_task.set(task)
        if not self._turns.thread_state.is_default:
            self._turns.thread_state.activate()

    def _leave(self, task: Task, late: asyncio.Future[Any] | None = None) -> None:
        """A task is over. `late`: what its thread has returned after the task was dropped."""
        self._running.discard(task)
        if late is not None and late.exception() is None and inspect.iscoroutine(late.result()):
            late.result().close()
        # Timers of the event loop keep the context of a cancelled task, and so this task. They must
        # not keep its view.
        task.call, task.merge, task.awaiting = _nothing, _nothing, None
        self._advance()

    # What comes out

    def _merge(self, task: Task, merge: Callable[[], Any]) -> Any:
        """The turn of a result; an earlier message of the mailbox may have started a newer task."""
        with self._lock:
            key = (task.context, task.name)
            if self._latest.get(key) is not task:
                return None
            del self._latest[key]
        return merge()

    def assign(self, view: object, values: Mapping[str, Any]) -> None:
        task = running_task.get()
        with self._lock:
            if self._turns.loop is None:
                set_all(view, values)
            elif not self._is_over:
                self.flush(view)
                self._later[context_of(view)].update((name, (task, value)) for name, value in values.items())

    def flush(self, view: object) -> None:
        task, context = running_task.get(), context_of(view)
        with self._lock:
            if context not in self._later and not self._is_over:
                self._later[context] = {}
                title = task.title if task is not None else f"{type(view).__name__}.assign_later"
                on_loop = task is not None and task.is_async
                self._on_loop(self._post_flush, Work(title, partial(self._flush, view), on_loop, context.node_id))

    def _post_flush(self, work: Work) -> None:
        if (post := self._post()) is not None:
            post(work)

    def _flush(self, view: object) -> None:
        with self._lock:
            assigned = self._later.pop(context_of(view), {})
            later = {name: value for name, (task, value) in assigned.items() if task is None or not task.dropped}
        set_all(view, later)


def _nothing(*_: object) -> None: ...


def _end(tasks: ref[Tasks], _: object) -> None:
    if (gone := tasks()) is not None:
        gone.end()


def _stop(task: Task) -> None:
    if task.awaiting is not None:
        task.awaiting.cancel()


_rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _room() -> asyncio.Semaphore:
    """What bounds the coroutines of all pages of a process."""
    loop = asyncio.get_running_loop()
    if loop not in _rooms:
        _rooms[loop] = asyncio.Semaphore(config.tasks * _COROUTINES_PER_THREAD)
    return _rooms[loop]
