"""What user code raised or returned, made fit for a log, a browser and an event loop."""

from __future__ import annotations

import asyncio
import inspect
import json
import traceback
from typing import Any

from django.conf import settings

from djust.exceptions import HandlerError, HandlerTimeoutError
from djust.threads.pools import exits_as_errors

WENT_WRONG = "Something went wrong. What the page shows is up to date; you may try again."
TOO_SLOW = "That took too long and was given up. You may try again."
NOT_RENDERED = "Something went wrong, and the page could not be brought up to date."


def failure_on_loop(error: BaseException, task: asyncio.Task[Any] | None) -> Exception:
    """What user code raised in `task`, as an exception; where the task itself has to end, `error` is raised again.

    A handler that awaits a cancelled task has failed, while one whose own task is cancelled ends with the server. A
    coroutine that is thrown away gets GeneratorExit when its task does not run.
    """
    if isinstance(error, Exception):
        return error
    if task is None or asyncio._get_running_loop() is None or asyncio.current_task() is not task or task.cancelling():
        raise error
    try:
        with exits_as_errors:
            raise error
    except RuntimeError as failure:
        return failure
    raise AssertionError("whatever is raised is exits_as_errors")


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


def told(error: Exception, text: str) -> tuple[str, str]:
    """What the browser is told of an exception: everything in DEBUG, else `text`. A refusal may be told to anybody."""
    if isinstance(error, HandlerError):
        return str(error), error.detail if settings.DEBUG else ""
    if not settings.DEBUG:
        return TOO_SLOW if isinstance(error, HandlerTimeoutError) else text, ""
    return f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))


def json_error(reply: object) -> str | None:
    """Why a browser cannot be sent `reply`; None if it can."""
    try:
        json.dumps(reply, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return f"the browser asked for it: {error}. Return what JSON can hold: text, numbers, lists, dictionaries."
    return None
