"""How a turn calls user code: the time it may take, and what becomes of an exception.

    call_handler(view, turn, call)              in this thread
    await acall_handler(view, turn, call)     on the event loop, or in a thread while the loop waits

Both give what the call returned, and the exception that was left of it: `handle_error` may take care of it. Before
either, `authorize_here` or `authorize_on_loop` asks the view's `authorize`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import PermissionDenied

from djust.exceptions import ForbiddenError, HandlerError, HandlerTimeoutError
from djust.live.failures import failure_on_loop, refuse_awaitable
from djust.live.guards import GuardFailedError
from djust.live.metering import Meter
from djust.services import call_scope
from djust.state.fields import per_class
from djust.threads.pools import async_threads, exits_as_errors
from djust.threads.testmode import report
from djust.views import LiveView

logger = logging.getLogger("djust")

Call: TypeAlias = Callable[[], Any]
Outcome: TypeAlias = tuple[object, Exception | None]
# Runs a function in a thread, and gives what it returns.
InThread: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]


class Turn(NamedTuple):
    """What a turn does: `bind` gives the call, and refuses parameters that do not fit; `answer` gives the frame for
    what it has returned or raised. `ref` is 0 for a push.
    """

    title: str
    bind: Callable[[], Call]
    answer: Callable[..., str]
    is_async: bool
    ref: int = 0
    asks: bool = False
    timeout: float | None = None
    meter: Meter | None = None
    # What guards the page has just been passed.
    passed: bool = False
    # The binding of the page: whose share of the threads it takes.
    owner: str = ""

    @property
    def event(self) -> str:
        """The title without the view's name."""
        return self.title.partition(".")[2]

    @property
    def purpose(self) -> str:
        """What the turn is for, as middleware and guards see it."""
        return "event" if self.ref else "push"

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


class Deadline:
    """Decides which comes first: the end of a handler that runs in a thread, or the end of its time."""

    __slots__ = ("_first", "_lock", "has_begun")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first = ""
        self.has_begun = False

    def begins(self) -> bool:
        """The handler is about to be called; whether there is still time."""
        with self._lock:
            self.has_begun = not self._first
            return self.has_begun

    def ends(self) -> bool:
        """The handler has ended; whether that was in time."""
        return self._is_first("handler")

    def passes(self) -> bool:
        """The time is over; whether the handler still runs, or has not begun."""
        return self._is_first("time")

    @property
    def has_passed(self) -> bool:
        """Whether the event was answered before the handler has ended."""
        return self._first == "time"

    def _is_first(self, name: str) -> bool:
        with self._lock:
            self._first = self._first or name
            return self._first == name


def call_handler(view: LiveView, turn: Turn, call: Call, deadline: Deadline | None = None) -> Outcome:
    """Call in this thread. If `deadline` passes meanwhile, what the call raises is logged, and the view not asked."""
    try:
        reply = _called(turn, call)
    except Exception as error:  # noqa: BLE001 — a handler may raise whatever it likes
        if deadline is not None and not deadline.ends():
            return None, turn.logged(error)
        return None, unhandled_error(view, turn, error)
    if deadline is not None:
        deadline.ends()
    return reply, None


def _called(turn: Turn, call: Call) -> object:
    if turn.meter is not None:
        turn.meter.begins()
    try:
        with exits_as_errors:
            reply = call()
            refuse_awaitable(reply, turn.title)
            return reply
    finally:
        if turn.meter is not None:
            turn.meter.called()


async def acall_handler(
    view: LiveView, turn: Turn, call: Call, enter: Callable[[], None], in_thread: InThread
) -> Outcome:
    """Call an `async def` here, a `def` by `in_thread`, where `enter` comes first."""
    if not turn.is_async:
        return await _outcome_of_thread(view, turn, call, enter, in_thread)
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


async def _outcome_of_thread(
    view: LiveView, turn: Turn, call: Call, enter: Callable[[], None], in_thread: InThread
) -> Outcome:
    """Call in a thread. When time is up the thread goes on, for nobody can stop it, and its outcome is dropped."""
    deadline = Deadline()

    def job() -> Outcome:
        if deadline.has_passed:
            # It has waited for a thread until its time was up.
            return None, None
        enter()
        with call_scope():
            return call_handler(view, turn, call, deadline)

    running = in_thread(job)
    try:
        outcome: Outcome = await (running if turn.timeout is None else _in_time(running, turn, turn.timeout))
        return outcome
    except HandlerTimeoutError as error:
        deadline.passes()
        # Not in the pool of handlers: when it is exhausted, nobody would be told that time is up.
        return None, await async_threads.run(_left_in_thread, view, turn, error, enter)


async def _in_time(awaitable: Any, turn: Turn, seconds: float) -> Any:
    try:
        async with asyncio.timeout(seconds) as clock:
            return await awaitable
    except TimeoutError as error:
        if clock.expired():
            raise HandlerTimeoutError(turn.title, seconds) from error
        raise


def unhandled_error(view: LiveView, turn: Turn, error: Exception) -> Exception | None:
    """What is left of an exception after the view's `handle_error`, which is logged."""
    try:
        with exits_as_errors:
            refuse_awaitable(_handle(view, turn, error), f"{type(view).__name__}.handle_error")
    except Exception as left:  # noqa: BLE001 — handle_error may raise whatever it likes
        return turn.logged(left)
    return None


def _left_in_thread(view: LiveView, turn: Turn, error: Exception, enter: Callable[[], None]) -> Exception | None:
    enter()
    return unhandled_error(view, turn, error)


def _handle(view: LiveView, turn: Turn, error: Exception) -> Any:
    if type(view).handle_error is LiveView.handle_error:
        # What it would do, without more lines in the traceback.
        raise error
    return view.handle_error(turn.event, error)


# Authorization by the view


@per_class
def authorizes(view_class: type[Any]) -> bool:
    """Whether a view class has an `authorize` of its own, which has to be asked."""
    return view_class.authorize is not LiveView.authorize


@per_class
def authorizes_on_loop(view_class: type[Any]) -> bool:
    """Whether `authorize` is an `async def`."""
    return iscoroutinefunction(view_class.authorize)


def authorize_here(view: LiveView, turn: Turn) -> None:
    """Raise `ForbiddenError` if `authorize` does not let the turn run."""
    try:
        with exits_as_errors:
            _accept(view, turn, view.authorize(turn.event))
    except Exception as error:
        raise _forbidden(turn, error) from error


async def authorize_on_loop(view: LiveView, turn: Turn, in_thread: InThread) -> None:
    """The same on the event loop; a `def` is called in a thread."""
    if not authorizes_on_loop(type(view)):
        await in_thread(lambda: authorize_here(view, turn))
        return
    try:
        _accept(view, turn, await view.authorize(turn.event))
    except Exception as error:
        raise _forbidden(turn, error) from error


def _accept(view: LiveView, turn: Turn, verdict: object) -> None:
    refuse_awaitable(verdict, f"{type(view).__name__}.authorize")
    if verdict is not None and not verdict:
        raise PermissionDenied(f"authorize({turn.event!r}) returned {verdict!r:.100}")


def _forbidden(turn: Turn, error: Exception) -> HandlerError:
    if isinstance(error, PermissionDenied):
        return ForbiddenError("You are not allowed to do this.", f"{turn.title}: {error}")
    if isinstance(error, HandlerError):
        return ForbiddenError(str(error), error.detail)
    return GuardFailedError()
