"""Runs the turns of one page: guards and middleware, the handler, the answer.

In a thread or on the event loop.

    turns = TurnRunner(nodes, request)        with the page, before its view is mounted
    await turns.ask("join")                   may the visitor use the page?
    text = await turns.run(turn)              the frame that answers

The turn of a `def` handler is one job of a thread, guards and rendering included. The turn of an
`async def` handler runs on the event loop; what of it needs a thread gets one of `async_threads`,
or the one in which synchronous middleware waits. Either way a turn has these steps:

    guards and middleware       `live/guards.py`; the rest happens inside them
    authorize                   may refuse the turn
    call_handler                the time it may take; `handle_error` may take care of an exception
    turn.answer                 renders the page; the frame is its result
    save_session                what the turn has written to the session
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import threading
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import PermissionDenied, SynchronousOnlyOperation
from django.http import HttpRequest

from djust.exceptions import ForbiddenError, HandlerError, HandlerTimeoutError, ParameterError
from djust.live.failures import failure_on_loop, refuse_awaitable
from djust.live.guards import GuardFailedError, Guards, LateError, NotAllowedError, asker, guards_of
from djust.live.metering import Meter
from djust.live.nodes import Nodes
from djust.live.visitor import ThreadState, refresh_session_and_user, save_session, session_to_save
from djust.protocol import frames as wire
from djust.services import call_scope
from djust.state.fields import per_class
from djust.threads.pool import Caller, exits_as_errors
from djust.threads.pools import SyncThread, async_threads, io_pool, request_pool, turn_pool
from djust.threads.testmode import FRESH, report, testmode
from djust.views import LiveView

logger = logging.getLogger("djust")

Call: TypeAlias = Callable[[], Any]
# What a call has returned, and the exception that `handle_error` has not handled.
Outcome: TypeAlias = tuple[object, Exception | None]
# Runs a function in a thread, and gives what it returns.
InThread: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]

WENT_WRONG = "Something went wrong. What the page shows is up to date; you may try again."
TOO_SLOW = "That took too long and was given up. You may try again."
NOT_RENDERED = "Something went wrong, and the page could not be brought up to date."

# Raised before anything of the view was called.
NOT_CALLED = (ParameterError, NotAllowedError, GuardFailedError, ForbiddenError)

# Classes whose rendering needs the database: not tried on the event loop again.
_rendered_in_threads: set[type[LiveView]] = set()


@dataclass(slots=True, eq=False)
class Turn:
    """What a turn does.

    `bind` gives the call, and refuses parameters that do not fit; `answer` gives the frame for what
    the call has returned or raised.
    """

    view: LiveView
    title: str
    bind: Callable[[], Call]
    answer: Callable[[Turn, object, Exception | None], str]
    is_async: bool
    # The reference of the event; 0 for a turn of the server itself.
    ref: int = 0
    wants_reply: bool = False
    timeout: float | None = None
    # The guards of the page were passed a moment ago.
    passed: bool = False
    # Neither guards nor `authorize` are asked.
    is_unasked: bool = False
    # The page is rendered afterwards; not if it is gone.
    shows: bool = True
    # The session fingerprint of the page: whose share of the threads it takes.
    owner: str = ""
    meter: Meter | None = None
    guards: Guards | None = None
    # What ends first, where the call runs in a thread and has only so much time.
    deadline: Deadline | None = None

    @property
    def event(self) -> str:
        """The title without the view's name."""
        return self.title.partition(".")[2]

    @property
    def purpose(self) -> str:
        """What the turn is for, as middleware and guards see it."""
        return "event" if self.ref else "push"

    @property
    def has_middleware(self) -> bool:
        """Whether it runs inside middleware of the project."""
        return self.guards is not None and self.guards.has_middleware

    def logged(self, error: Exception) -> Exception:
        """Log what the turn has raised, and note it for the meter."""
        if isinstance(error, HandlerError):
            logger.warning("%s %s", error, error.detail)
        else:
            logger.error("%s raised %s", self.title, type(error).__name__, exc_info=error)
        if self.meter is not None:
            self.meter.error = error
        report(error)
        return error

    def unrendered(self, error: Exception) -> str:
        """The frame for an exception that has left the page as it was."""
        return wire.encode([wire.ERROR, self.ref, *client_error(self.logged(error), NOT_RENDERED)])


class TurnRunner:
    """Runs the turns of a page, which lets one run at a time. It does not know its page."""

    __slots__ = ("_guards", "_nodes", "_request", "_thread", "context", "loop", "thread_state")

    def __init__(self, nodes: Nodes, request: HttpRequest) -> None:
        self._nodes = nodes
        self._request = request
        self._guards = guards_of(nodes.root.view, request)
        self._thread: SyncThread | None = None
        # The context in which every turn and every background task begins.
        self.context = FRESH
        # The event loop of the page, as soon as a browser has it.
        self.loop: asyncio.AbstractEventLoop | None = None
        # The state of the page's GET, which every turn restores; set when that was answered.
        self.thread_state: ThreadState

    async def ask(self, purpose: str) -> None:
        """Raise `NotAllowedError` or `GuardFailedError` unless the visitor may use the page."""
        guards = self._guards
        if guards is None:
            return
        caller = asker(self._request, purpose)
        try:
            if guards.is_asynchronous:
                with SyncThread().entered(lambda: caller):
                    await guards.acall(_nothing, purpose=purpose)
            else:
                await request_pool.run_for(caller, self._ask_in_thread, guards, purpose)
        except HandlerError:
            raise
        except Exception as error:
            # For example, middleware cannot be made.
            raise GuardFailedError from error

    def _ask_in_thread(self, guards: Guards, purpose: str) -> None:
        self._enter(None)
        guards.call(lambda: None, purpose=purpose)

    async def run(self, turn: Turn) -> str:
        """Run a turn; the frame that answers.

        Raises what `NOT_CALLED` holds if nothing of the view was called.
        """
        task = asyncio.current_task()
        guards = turn.guards = None if turn.is_unasked else self._guards
        # A part of the turn can only run on the event loop.
        needs_loop = turn.is_async or self._awaits_data(turn) or authorizes_on_loop(type(turn.view))
        try:
            if needs_loop or (guards is not None and guards.is_asynchronous):
                return await self._run_on_loop(turn)
            if turn.timeout is None:
                return await turn_pool.run_for(self._caller(turn), self._run_in_thread, turn)
            return await self._run_in_time(turn, turn.timeout)
        except NOT_CALLED:
            raise
        except BaseException as error:  # noqa: BLE001 — a template or get_context_data may raise whatever it likes
            return turn.unrendered(failure_on_loop(error, task))

    def _caller(self, turn: Turn) -> Caller:
        """Whose work the turn is.

        Turns of the server itself are never refused, because no browser would send them again.
        """
        return Caller(turn.owner or f"address {self._request.META.get('REMOTE_ADDR')}", turn.title, not turn.ref)

    def _awaits_data(self, turn: Turn) -> bool:
        """Whether there is a get_context_data to be awaited before the turn is answered."""
        return turn.shows and self._nodes.awaits_data

    def _enter(self, turn: Turn | None) -> None:
        """A part of the turn begins in this thread or task."""
        if not self.thread_state.is_default:
            self.thread_state.activate()
        if turn is not None and turn.meter is not None:
            turn.meter.enter()

    # A turn in a thread

    def _run_in_thread(self, turn: Turn) -> str:
        self._enter(turn)
        if turn.guards is None:
            refresh_session_and_user(self._request)
            return self._call_and_answer(turn)
        return turn.guards.call(partial(self._call_and_answer, turn), purpose=turn.purpose, asks=not turn.passed)

    def _call_and_answer(self, turn: Turn) -> str:
        deadline = turn.deadline
        if deadline is not None and not deadline.begins():
            # It has waited for a thread, or for the guards of the page, until its time was up.
            return ""
        try:
            if not turn.is_unasked and authorizes(type(turn.view)):
                authorize(turn)
            with call_scope():
                reply, failure = call_handler(turn, turn.bind())
                if deadline is not None and deadline.has_passed:
                    return ""
                return turn.answer(turn, reply, failure)
        finally:
            # After the template, which may write to the session as well.
            if session := session_to_save(self._request):
                save_session(session)

    async def _run_in_time(self, turn: Turn, seconds: float) -> str:
        """A turn in a thread, whose handler has so much time.

        After that, the thread goes on, because it cannot be stopped.
        """
        turn.deadline = deadline = Deadline()
        call = turn_pool.begin(self._caller(turn), self._run_in_thread, turn)
        done, _ = await asyncio.wait([call.done], timeout=seconds)
        if done or not deadline.comes_first("time"):
            return await call.done
        if not turn_pool.withdraw(call):
            turn_pool.set_aside(call)
        error = HandlerTimeoutError(turn.title, seconds)
        if turn.guards is not None and not deadline.has_begun:
            # It is not known whether the visitor may still use the page.
            return turn.unrendered(error)
        # Not in the pool of handlers: when it is exhausted, no answer would say that time is up.
        return await async_threads.run(self._give_up, turn, error)

    def _give_up(self, turn: Turn, error: Exception) -> str:
        self._enter(turn)

        def inside() -> str:
            with call_scope():
                return turn.answer(turn, None, unhandled_error(turn, error))

        return inside() if turn.guards is None else turn.guards.call(inside, purpose=turn.purpose, asks=False)

    # A turn on the event loop

    async def _run_on_loop(self, turn: Turn) -> str:
        self._enter(turn)
        if self._thread is None:
            self._thread = SyncThread()
        self._thread.enter(partial(self._caller, turn))
        try:
            if turn.guards is None:
                refresh_session_and_user(self._request)
                return await self._call_and_answer_on_loop(turn, self._thread)
            # Inside the guards of the page, which have as much time as the handler.
            inside = partial(self._call_and_answer_on_loop, turn, self._thread)
            asks = not turn.passed
            return await turn.guards.acall(inside, purpose=turn.purpose, asks=asks, seconds=turn.timeout)
        except LateError as error:
            return turn.unrendered(HandlerTimeoutError(turn.title, error.seconds))
        finally:
            self._thread.leave()

    async def _call_and_answer_on_loop(self, turn: Turn, thread: SyncThread) -> str:
        in_thread = partial(self._call_in_thread, turn)
        try:
            if not turn.is_unasked and authorizes(type(turn.view)):
                await authorize_on_loop(turn, in_thread)
                if not turn.has_middleware:
                    # The calls that needed a thread have ended, and a `def` handler gets a thread
                    # of its own.
                    thread.leave()
                    thread.enter(partial(self._caller, turn))
            call = turn.bind()
            async with call_scope():
                try:
                    calls = partial(self._call_handler_in_thread, turn)
                    reply, failure = await call_handler_on_loop(turn, call, partial(self._enter, turn), calls)
                    if self._awaits_data(turn):
                        data = self._nodes.await_data()
                        await (data if turn.timeout is None else _in_time(data, turn, turn.timeout))
                finally:
                    if not turn.has_middleware:
                        # Rendering may need a thread itself.
                        thread.leave()
                return await self._answer_on_loop(turn, reply, failure)
        finally:
            if session := session_to_save(self._request):
                await _in_thread(turn, io_pool.run, partial(save_session, session))

    async def _call_in_thread(self, turn: Turn, function: Call) -> Any:
        return await _in_thread(turn, partial(turn_pool.run_for, self._caller(turn)), function)

    async def _call_handler_in_thread(self, turn: Turn, function: Call) -> Any:
        # A test has one thread.
        if turn.timeout is None or turn.guards is None or not turn.has_middleware or testmode.get() is not None:
            return await self._call_in_thread(turn, function)
        # One that hangs would keep the thread in which middleware waits. It passes that once more,
        # in a thread of its own.
        passing = partial(turn.guards.call, function, purpose=turn.purpose, asks=False)
        return await turn_pool.run_for(self._caller(turn), passing)

    async def _answer_on_loop(self, turn: Turn, reply: object, failure: Exception | None) -> str:
        view_class = type(self._nodes.root.view)
        is_on_loop = (turn.is_async or self._awaits_data(turn)) and not turn.has_middleware
        if is_on_loop and view_class not in _rendered_in_threads:
            try:
                return turn.answer(turn, reply, failure)
            except SynchronousOnlyOperation:
                _rendered_in_threads.add(view_class)

        def answer() -> str:
            self._enter(turn)
            with call_scope():
                return turn.answer(turn, reply, failure)

        # Not in the pool of handlers, which may all be blocked. What middleware has set for its
        # thread holds for templates.
        text: str = await _in_thread(turn, async_threads.run, answer)
        return text


async def _in_thread(turn: Turn, run: InThread, function: Call) -> Any:
    """Call in the thread and the context of synchronous middleware, with its thread locals and
    context variables.

    Without any, by `run`.
    """
    return await (sync_to_async(function, thread_sensitive=True)() if turn.has_middleware else run(function))


async def _nothing() -> None: ...


# The call


class Deadline:
    """Decides which comes first: the end of a handler in a thread, or the end of its time."""

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

    def comes_first(self, name: str) -> bool:
        """Whether this, "handler" or "time", is the first that has ended."""
        with self._lock:
            self._first = self._first or name
            return self._first == name

    @property
    def has_passed(self) -> bool:
        """Whether the event was answered before the handler has ended."""
        return self._first == "time"


def call_handler(turn: Turn, call: Call) -> Outcome:
    """Call in this thread.

    If the deadline passes meanwhile, what the call raises is logged, and the view not asked.
    """
    meter, deadline = turn.meter, turn.deadline
    if meter is not None:
        meter.begins()
    try:
        try:
            with exits_as_errors:
                reply = call()
                if reply is not None:
                    refuse_awaitable(reply, turn.title)
        finally:
            if meter is not None:
                meter.called()
    except Exception as error:  # noqa: BLE001 — a handler may raise whatever it likes
        if deadline is not None and not deadline.comes_first("handler"):
            return None, turn.logged(error)
        return None, unhandled_error(turn, error)
    if deadline is not None:
        deadline.comes_first("handler")
    return reply, None


async def call_handler_on_loop(turn: Turn, call: Call, enter: Call, in_thread: InThread) -> Outcome:
    """Await an `async def`; a `def` is called by `in_thread`, where `enter` comes first."""
    if not turn.is_async:
        return await _call_in_thread(turn, call, enter, in_thread)
    task, meter = asyncio.current_task(), turn.meter
    if meter is not None:
        meter.begins()
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
        if meter is not None:
            meter.called()
    try:
        handled = _handle(turn, failure)
        if inspect.isawaitable(handled):
            await handled
    except BaseException as error:  # noqa: BLE001 — handle_error may raise whatever it likes
        return None, turn.logged(failure_on_loop(error, task))
    return None, None


async def _call_in_thread(turn: Turn, call: Call, enter: Call, in_thread: InThread) -> Outcome:
    """Call in a thread.

    When the time is up, the thread goes on, as it cannot be stopped, and its outcome is dropped.
    """
    turn.deadline = deadline = Deadline()

    def job() -> Outcome:
        if deadline.has_passed:
            # It has waited for a thread until its time was up.
            return None, None
        enter()
        with call_scope():
            return call_handler(turn, call)

    def give_up(error: Exception) -> Exception | None:
        enter()
        return unhandled_error(turn, error)

    running = in_thread(job)
    try:
        outcome: Outcome = await (running if turn.timeout is None else _in_time(running, turn, turn.timeout))
        return outcome
    except HandlerTimeoutError as error:
        deadline.comes_first("time")
        # Not in the pool of handlers: when it is exhausted, no answer would say that time is up.
        return None, await _in_thread(turn, async_threads.run, partial(give_up, error))


async def _in_time(awaitable: Any, turn: Turn, seconds: float) -> Any:
    try:
        async with asyncio.timeout(seconds) as clock:
            return await awaitable
    except TimeoutError as error:
        if clock.expired():
            raise HandlerTimeoutError(turn.title, seconds) from error
        raise


def unhandled_error(turn: Turn, error: Exception) -> Exception | None:
    """The exception, unless the view's `handle_error` handles it. An unhandled one is logged."""
    try:
        with exits_as_errors:
            refuse_awaitable(_handle(turn, error), f"{type(turn.view).__name__}.handle_error")
    except Exception as left:  # noqa: BLE001 — handle_error may raise whatever it likes
        return turn.logged(left)
    return None


def _handle(turn: Turn, error: Exception) -> Any:
    if type(turn.view).handle_error is LiveView.handle_error:
        # As the default method does, without more lines in the traceback.
        raise error
    return turn.view.handle_error(turn.event, error)


# What a browser receives


def client_error(error: Exception, text: str) -> tuple[str, str]:
    """What the browser receives for an exception: everything in DEBUG, else `text`.

    The text of a refusal is shown to every user.
    """
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


# Authorization by the view


@per_class
def authorizes(view_class: type[Any]) -> bool:
    """Whether a view class has an `authorize` of its own, which has to be asked."""
    return view_class.authorize is not LiveView.authorize


@per_class
def authorizes_on_loop(view_class: type[Any]) -> bool:
    return iscoroutinefunction(view_class.authorize)


def authorize(turn: Turn) -> None:
    """Raise `ForbiddenError` if `authorize` does not let the turn run."""
    try:
        with exits_as_errors:
            _accept(turn, turn.view.authorize(turn.event))
    except Exception as error:
        raise _forbidden(turn, error) from error


async def authorize_on_loop(turn: Turn, in_thread: InThread) -> None:
    """The same on the event loop; a `def` is called in a thread."""
    if not authorizes_on_loop(type(turn.view)):
        await in_thread(partial(authorize, turn))
        return
    try:
        _accept(turn, await turn.view.authorize(turn.event))
    except Exception as error:
        raise _forbidden(turn, error) from error


def _accept(turn: Turn, verdict: object) -> None:
    refuse_awaitable(verdict, f"{type(turn.view).__name__}.authorize")
    if verdict is not None and not verdict:
        raise PermissionDenied(f"authorize({turn.event!r}) returned {verdict!r:.100}")


def _forbidden(turn: Turn, error: Exception) -> HandlerError:
    if isinstance(error, PermissionDenied):
        return ForbiddenError("You are not allowed to do this.", f"{turn.title}: {error}")
    if isinstance(error, HandlerError):
        return ForbiddenError(str(error), error.detail)
    return GuardFailedError()
