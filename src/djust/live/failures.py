"""Exceptions for what user code raised or returned, fit for threads and the event loop."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from djust.threads.pool import as_error


def failure_on_loop(error: BaseException, task: asyncio.Task[Any] | None) -> Exception:
    """What user code raised in `task`, as an exception.

    If `task` itself has to end, `error` is raised again.

    A handler that awaits a cancelled task has failed. A handler whose own task is cancelled ends
    with the server. A coroutine that is garbage-collected before its end gets GeneratorExit.
    """
    if isinstance(error, Exception):
        return error
    if task is None or asyncio._get_running_loop() is None or asyncio.current_task() is not task or task.cancelling():
        raise error
    return as_error(error)


def refuse_awaitable(reply: object, title: str) -> None:
    """Refuse a coroutine that the synchronous call of `title` has returned, and close it."""
    if reply is None or not inspect.isawaitable(reply):
        return
    if inspect.iscoroutine(reply):
        reply.close()
    raise TypeError(
        f"{title} returned {type(reply).__name__}, which nobody awaits: it is an async def below a decorator whose "
        "wrapper is a def. Make the wrapper async def, or put @event_handler innermost, next to the method."
    )
