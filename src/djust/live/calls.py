"""How a turn calls user code: the time it may take, and what becomes of an exception.

    outcome_here(view, turn, call)              in this thread
    await outcome_on_loop(view, turn, call)     on the event loop, or in a thread of the pool while the loop waits

Both give what the call returned, and the exception that was left of it: `handle_error` may take care of it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from djust.exceptions import HandlerError, HandlerTimeoutError, ServerBusyError
from djust.live.failures import failure_on_loop, refuse_awaitable
from djust.live.metering import Meter
from djust.live.rehearsal import report
from djust.live.workers import Caller, contained, lanes, workers
from djust.services import call_scope
from djust.views import LiveView

logger = logging.getLogger("djust")

Call: TypeAlias = Callable[[], Any]
Outcome: TypeAlias = tuple[object, Exception | None]


class Turn(NamedTuple):
    """What a turn does: `bind` gives the call, and refuses parameters that do not fit. `ref` is 0 for a push."""

    title: str
    bind: Callable[[], Call]
    is_async: bool
    ref: int = 0
    asks: bool = False
    timeout: float | None = None
    meter: Meter | None = None

    @property
    def event(self) -> str:
        """The title without the view's name."""
        return self.title.partition(".")[2]

    def logged(self, error: Exception) -> Exception:
        """What the turn has raised, told to the log and to who measures."""
        if isinstance(error, HandlerError):
            logger.warning("%s %s", error, error.detail)
        else:
            logger.error("%s raised %s", self.title, type(error).__name__, exc_info=error)
        if self.meter is not None:
            self.meter.error = error
        report(error)
        return error


def outcome_here(view: LiveView, turn: Turn, call: Call) -> Outcome:
    """Call in this thread."""
    try:
        return _called(turn, call), None
    except Exception as error:  # noqa: BLE001 — a handler may raise whatever it likes
        return None, left_of(view, turn, error)


def _called(turn: Turn, call: Call) -> object:
    if turn.meter is not None:
        turn.meter.begins()
    try:
        with contained:
            reply = call()
            refuse_awaitable(reply, turn.title)
            return reply
    finally:
        if turn.meter is not None:
            turn.meter.called()


async def outcome_on_loop(view: LiveView, turn: Turn, call: Call, enter: Callable[[], None]) -> Outcome:
    """Call an `async def` here, a `def` in a thread, where `enter` comes first."""
    if not turn.is_async:
        return await _outcome_of_thread(view, turn, call, enter)
    task = asyncio.current_task()
    if turn.meter is not None:
        turn.meter.begins()
    try:
        reply = call()
        if inspect.isawaitable(reply):
            # A decorator around it may have answered without it.
            reply = await (reply if turn.timeout is None else _in_time(reply, turn, turn.timeout))
    except BaseException as error:  # noqa: BLE001 — a handler may raise whatever it likes
        failure = failure_on_loop(error, task)
    else:
        return reply, None
    finally:
        if turn.meter is not None:
            turn.meter.called()
    try:
        handled = _handle(view, turn, failure)
        if inspect.isawaitable(handled):
            await handled
    except BaseException as error:  # noqa: BLE001 — handle_error may raise whatever it likes
        return None, turn.logged(failure_on_loop(error, task))
    return None, None


async def _outcome_of_thread(view: LiveView, turn: Turn, call: Call, enter: Callable[[], None]) -> Outcome:
    """Call in a thread. When time is up the thread goes on, for nobody can stop it, and its outcome is dropped."""
    given_up = threading.Event()

    def job() -> object:
        if given_up.is_set():
            # It has waited for a thread until its time was up.
            return None
        enter()
        try:
            with call_scope():
                return _called(turn, call)
        except Exception as error:
            if given_up.is_set():
                turn.logged(error)
            raise

    try:
        outcome = workers.run_for(Caller(title=turn.title, must_run=not turn.ref), job)
        return await (outcome if turn.timeout is None else _in_time(outcome, turn, turn.timeout)), None
    except ServerBusyError:
        raise
    except Exception as error:  # noqa: BLE001 — a handler may raise whatever it likes
        given_up.set()
        # Not in the pool of handlers: when it is exhausted, nobody would be told that time is up.
        return None, await lanes.run(_left_in_thread, view, turn, error, enter)


async def _in_time(awaitable: Any, turn: Turn, seconds: float) -> Any:
    try:
        async with asyncio.timeout(seconds) as clock:
            return await awaitable
    except TimeoutError as error:
        if clock.expired():
            raise HandlerTimeoutError(turn.title, seconds) from error
        raise


def left_of(view: LiveView, turn: Turn, error: Exception) -> Exception | None:
    """What is left of an exception after the view's `handle_error`, which is logged."""
    try:
        with contained:
            refuse_awaitable(_handle(view, turn, error), f"{type(view).__name__}.handle_error")
    except Exception as left:  # noqa: BLE001 — handle_error may raise whatever it likes
        return turn.logged(left)
    return None


def _left_in_thread(view: LiveView, turn: Turn, error: Exception, enter: Callable[[], None]) -> Exception | None:
    enter()
    return left_of(view, turn, error)


def _handle(view: LiveView, turn: Turn, error: Exception) -> Any:
    if type(view).handle_error is LiveView.handle_error:
        # What it would do, without more lines in the traceback.
        raise error
    return view.handle_error(turn.event, error)
