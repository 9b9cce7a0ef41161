"""Background tasks: they wait for a service while the page keeps answering.

    class Dashboard(LiveView):
        template = "{% if metrics.ok %}{{ metrics.result }}{% else %}…{% endif %}{{ percent }}"

        def mount(self, request):
            self.assign_async("metrics", fetch_metrics)     # self.metrics is an AsyncResult now

        @event_handler
        @background
        def export(self, year: int):                        # answered at once; a task from here on
            for done in steps(year):
                self.assign_later(percent=done)             # shown at once
            return "export.csv"

        def handle_async(self, name, result):               # a turn of the page, as a handler is
            self.file = result

A view's methods make a `Task`; the page's `Runner` (`context.py`, `live/tasks.py`) runs it and
merges what comes out of it in a turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction

from djust.context import Host, Runner, Task, context_of
from djust.events.handlers import BACKGROUND_MARK

logger = logging.getLogger("djust")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class AsyncResult:
    """What `assign_async` puts into an attribute.

    `loading` while a call runs. `ok` if the last call that ended has succeeded; `failed` if not,
    with its `error` as text. `result` is that of the last success: it stays while a newer call
    runs, and when that fails.
    """

    loading: bool = False
    ok: bool = False
    failed: bool = False
    result: Any = None
    error: str = ""


running_task: ContextVar[Task | None] = ContextVar("djust_task", default=None)


class BackgroundTasks:
    """The part of `LiveView` for background tasks."""

    def start_async(self, function: Callable[..., Any], *args: Any, name: str = "", **kwargs: Any) -> None:
        """Call `function` in the background; what it returns goes to `handle_async(name, result)`.

        A `def` runs in a thread, an `async def` on the event loop. An exception goes to
        `handle_error(name, error)`. The name is the function's own if none is given; a newer call
        under the same name wins.
        """
        runner_of(self).start(task_of(self, name or _own_name(function), partial(function, *args, **kwargs)))

    def assign_async(self, name: str, loader: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Load the attribute `name` in the background: an `AsyncResult` that is loading now, and
        `ok` or `failed` later.

        A newer call for the same attribute wins. An exception is logged, and is the result's
        `error`.
        """
        merge, call = partial(_assign_result, self, name), partial(loader, *args, **kwargs)
        is_async = _is_async(loader)
        task = Task(context_of(self), name, f"{type(self).__name__}.{name}", call, is_async, merge, is_async)
        before = getattr(self, name, None)
        before = before if isinstance(before, AsyncResult) else AsyncResult()
        setattr(self, name, replace(before, loading=True, failed=False, error=""))
        try:
            runner_of(self).start(task)
        except RuntimeError:
            setattr(self, name, before)
            raise

    def cancel_async(self, name: str) -> None:
        """Drop the task of this name, if there is one, and its result.

        An `async def` is cancelled where it awaits. A `def` cannot be stopped; it ends at its next
        `assign_later`. An attribute of `assign_async` is what it was before, and no longer loading.
        """
        runner_of(self).cancel(self, name)
        value = getattr(self, name, None)
        if isinstance(value, AsyncResult) and value.loading:
            setattr(self, name, replace(value, loading=False))

    def assign_later(self, **values: Any) -> None:
        """Set attributes from inside a task, or from any thread: in a turn of the page, which shows
        them at once.

        If values come faster than the page can show them, it shows the newest. In a task that was
        dropped, this raises `asyncio.CancelledError`, which ends it.
        """
        page = page_now(self)
        if page is not None:
            page.tasks.assign(self, values)
        else:
            set_all(self, values)

    def handle_async(self, name: str, result: Any) -> Any:
        """Receive the result of `start_async` or `@background`: `def` or `async def`."""

    @property
    def running_tasks(self) -> frozenset[str]:
        """The names of the tasks that have not ended: `{% if "export" in view.running_tasks %}`."""
        page = context_of(self).page
        return frozenset() if page is None else page.tasks.names(self)


def background(function: F) -> F:
    """Let a handler run in the background: its event is answered at once, and what it returns goes
    to `handle_async`.

    Stands above or below `@event_handler`. The handler shows its progress by `assign_later`.
    """
    setattr(function, BACKGROUND_MARK, True)
    return function


def task_of(view: BackgroundTasks, name: str, call: partial[Any], timeout: float | None = None) -> Task:
    """The task that makes `call` and gives its result to the view's `handle_async`."""
    is_async = _is_async(call.func)
    merges_on_loop = is_async
    if type(view).handle_async is not BackgroundTasks.handle_async:
        merges_on_loop = iscoroutinefunction(view.handle_async)
    title = f"{type(view).__name__}.{name}"
    merge = partial(_deliver, view, name)
    return Task(context_of(view), name, title, call, is_async, merge, merges_on_loop, timeout)


def page_now(view: object) -> Host | None:
    """The page of `view`; raises `asyncio.CancelledError` in a task that was dropped."""
    task, page = running_task.get(), context_of(view).page
    if task is not None and (task.dropped or page is None):
        raise asyncio.CancelledError(f"{task.title} is not wanted any more.")
    return page


def runner_of(view: BackgroundTasks) -> Runner:
    """What runs the tasks of this view."""
    page = context_of(view).page
    if page is None:
        raise RuntimeError(
            f"{type(view).__name__} has no page, so nothing can run in its background: either it was made by hand, or "
            "its page is gone. Open it as a page."
        )
    return page.tasks


def set_all(view: object, values: Mapping[str, Any]) -> None:
    """Set attributes, in the order given."""
    for name, value in values.items():
        setattr(view, name, value)


def _deliver(view: BackgroundTasks, name: str, result: Any, error: Exception | None) -> Any:
    if error is not None:
        raise error
    return view.handle_async(name, result)


def _assign_result(view: BackgroundTasks, name: str, result: Any, error: Exception | None) -> None:
    if error is None:
        setattr(view, name, AsyncResult(ok=True, result=result))
        return
    logger.error("%s.%s: its loader raised %s", type(view).__name__, name, type(error).__name__, exc_info=error)
    before = getattr(view, name, None)
    last = before.result if isinstance(before, AsyncResult) else None
    setattr(view, name, AsyncResult(failed=True, result=last, error=str(error) or type(error).__name__))


def _is_async(function: Callable[..., Any]) -> bool:
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _own_name(function: Callable[..., Any]) -> str:
    name = str(getattr(function, "__name__", ""))
    if not name.isidentifier():
        raise TypeError(
            f"start_async({function!r}): a task is known by its name, and this function has none of its own. "
            'Give it one: start_async(…, name="report").'
        )
    return name
