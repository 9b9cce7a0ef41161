"""Runs the turns of one page: guards and middleware, the handler, the answer; in a thread or on the event loop.

    turns = TurnRunner(view, request)         with the page, before its view is mounted
    await turns.ask("join")                   may the visitor use the page?
    text = await turns.run(turn)              the frame that answers

The turn of a `def` handler is one job of a thread, guards and rendering included. That of an `async def` handler runs
on the event loop; what of it needs a thread gets one of `async_threads`, or the one in which synchronous
middleware waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest

from djust.exceptions import ForbiddenError, HandlerError, HandlerTimeoutError, ParameterError
from djust.live.calls import (
    Deadline,
    Turn,
    acall_handler,
    authorize_here,
    authorize_on_loop,
    authorizes,
    authorizes_on_loop,
    call_handler,
    unhandled_error,
)
from djust.live.failures import NOT_RENDERED, failure_on_loop, told
from djust.live.guards import GuardFailedError, Guards, LateError, NotAllowedError, asker, guards_of
from djust.live.visitor import ThreadState, refresh_session_and_user, save_session, session_to_save
from djust.protocol import frames as wire
from djust.services import call_scope
from djust.threads.pools import Caller, SyncThread, async_threads, io_pool, request_pool, turn_pool
from djust.views import LiveView, awaits_context, given_context_data

# Classes whose rendering needs the database: not tried on the event loop again.
_rendered_in_threads: set[type[LiveView]] = set()

# Raised before anything of the view was called.
NOT_CALLED = (ParameterError, NotAllowedError, GuardFailedError, ForbiddenError)


class TurnRunner:
    """Runs turns of a page, which sees to it that one runs at a time. It does not know its page."""

    __slots__ = ("_awaits_context", "_guards", "_lane", "_request", "_view", "thread_state")

    def __init__(self, view: LiveView, request: HttpRequest) -> None:
        self._view = view
        self._request = request
        self._guards = guards_of(view, request)
        self._awaits_context = awaits_context(type(view))
        self._lane: SyncThread | None = None
        # Those of the page's GET, which every turn restores; set when that has been answered.
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
                await request_pool.run_for(caller, self._ask_here, purpose)
        except HandlerError:
            raise
        except Exception as error:
            # Middleware that cannot be made, perhaps.
            raise GuardFailedError from error

    def _ask_here(self, purpose: str) -> None:
        assert self._guards is not None, "the caller has looked"
        self._activate()
        self._guards.call(lambda: None, purpose=purpose)

    async def run(self, turn: Turn) -> str:
        """Run a turn; the frame that answers. Raises what `NOT_CALLED` holds if nothing of the view was called."""
        task = asyncio.current_task()
        try:
            if self._is_on_loop(turn):
                return await self._turn_on_loop(turn)
            if turn.timeout is None:
                return await turn_pool.run_for(self._caller(turn), self._turn_in_thread, turn)
            return await self._turn_in_time(turn, turn.timeout)
        except NOT_CALLED:
            raise
        except BaseException as error:  # noqa: BLE001 — a template or get_context_data may raise whatever it likes
            failure = turn.logged(failure_on_loop(error, task))
            return wire.encode([wire.ERROR, turn.ref, *told(failure, NOT_RENDERED)])

    def _is_on_loop(self, turn: Turn) -> bool:
        """Whether a part of the turn can only run on the event loop."""
        return (
            turn.is_async
            or self._awaits_context
            or authorizes_on_loop(type(self._view))
            or (self._guards is not None and self._guards.is_asynchronous)
        )

    def _caller(self, turn: Turn) -> Caller:
        """Whose work the turn is. No browser waits for what the server itself does, so that is never refused."""
        return Caller(turn.owner or f"address {self._request.META.get('REMOTE_ADDR')}", turn.title, not turn.ref)

    # A turn in a thread

    def _turn_in_thread(self, turn: Turn, deadline: Deadline | None = None) -> str:
        self._enter(turn)
        if self._guards is None:
            refresh_session_and_user(self._request)
            return self._run_here(turn, deadline)
        run = partial(self._run_here, turn, deadline)
        return self._guards.call(run, purpose=turn.purpose, asks=not turn.passed)

    def _run_here(self, turn: Turn, deadline: Deadline | None) -> str:
        if deadline is not None and not deadline.begins():
            # It has waited, for a thread or for what guards the page, until its time was up.
            return ""
        try:
            if authorizes(type(self._view)):
                authorize_here(self._view, turn)
            with call_scope():
                reply, failure = call_handler(self._view, turn, turn.bind(), deadline)
                if deadline is not None and deadline.has_passed:
                    return ""
                return turn.answer(turn, reply, failure)
        finally:
            # After the template, which may write to the session as well.
            if session := session_to_save(self._request):
                save_session(session)

    async def _turn_in_time(self, turn: Turn, seconds: float) -> str:
        """A turn in a thread, whose handler has so much time. Then the thread goes on, for nobody can stop it."""
        deadline = Deadline()
        call = turn_pool.begin(self._caller(turn), self._turn_in_thread, turn, deadline)
        done, _ = await asyncio.wait([call.done], timeout=seconds)
        if done or not deadline.passes():
            return await call
        if not call.withdraw():
            call.set_aside()
        error = HandlerTimeoutError(turn.title, seconds)
        if self._guards is not None and not deadline.has_begun:
            # Nobody knows whether the visitor may still use the page.
            return _not_called(turn, error)
        # Not in the pool of handlers: when it is exhausted, no answer would say that time is up.
        return await async_threads.run(self._give_up, turn, error)

    def _give_up(self, turn: Turn, error: Exception) -> str:
        self._enter(turn)

        def run() -> str:
            with call_scope():
                return turn.answer(turn, None, unhandled_error(self._view, turn, error))

        return run() if self._guards is None else self._guards.call(run, purpose=turn.purpose, asks=False)

    # A turn on the event loop

    async def _turn_on_loop(self, turn: Turn) -> str:
        self._enter(turn)
        if self._lane is None:
            self._lane = SyncThread()
        self._lane.enter(partial(self._caller, turn))
        try:
            if self._guards is None:
                refresh_session_and_user(self._request)
                return await self._run_on_loop(turn)
            return await self._pass_on_loop(self._guards, turn)
        finally:
            self._lane.leave()

    async def _pass_on_loop(self, guards: Guards, turn: Turn) -> str:
        """A turn inside what guards the page, which has as much time as its handler."""
        run = partial(self._run_on_loop, turn)
        try:
            return await guards.acall(run, purpose=turn.purpose, asks=not turn.passed, seconds=turn.timeout)
        except LateError as error:
            return _not_called(turn, HandlerTimeoutError(turn.title, error.seconds))

    async def _run_on_loop(self, turn: Turn) -> str:
        in_thread = self._in_lane if self._has_middleware else partial(self._in_pool, turn)
        try:
            if authorizes(type(self._view)):
                await authorize_on_loop(self._view, turn, in_thread)
                if self._lane is not None and not self._has_middleware:
                    # What it has needed a thread for has ended, and a `def` handler gets one of its own.
                    self._lane.leave()
                    self._lane.enter(partial(self._caller, turn))
            call = turn.bind()
            async with call_scope():
                enter = partial(self._enter, turn)
                try:
                    reply, failure = await acall_handler(self._view, turn, call, enter, in_thread)
                    data = await given_context_data(self._view)
                finally:
                    if self._lane is not None and not self._has_middleware:
                        # Rendering may need a thread itself.
                        self._lane.leave()
                return await self._answer_on_loop(turn, reply, failure, data)
        finally:
            if session := session_to_save(self._request):
                save = partial(save_session, session)
                await (self._in_lane(save) if self._has_middleware else io_pool.run(save))

    @property
    def _has_middleware(self) -> bool:
        return self._guards is not None and self._guards.has_middleware

    async def _in_pool(self, turn: Turn, function: Callable[[], Any]) -> Any:
        """Call in a thread of the pool of handlers."""
        return await turn_pool.run_for(self._caller(turn), function)

    @staticmethod
    async def _in_lane(function: Callable[[], Any]) -> Any:
        """Call where synchronous middleware is, in its context: thread locals and context variables hold there."""
        return await sync_to_async(function, thread_sensitive=True)()

    async def _answer_on_loop(self, turn: Turn, reply: object, failure: Exception | None, data: object) -> str:
        is_on_loop = (turn.is_async or self._awaits_context) and not self._has_middleware
        if is_on_loop and type(self._view) not in _rendered_in_threads:
            try:
                return turn.answer(turn, reply, failure, data)
            except SynchronousOnlyOperation:
                _rendered_in_threads.add(type(self._view))

        def in_thread() -> str:
            self._enter(turn)
            with call_scope():
                return turn.answer(turn, reply, failure, data)

        if self._has_middleware:
            # What that has set for its thread holds for templates.
            text: str = await self._in_lane(in_thread)
            return text
        # Not in the pool of handlers, which may all be blocked.
        return await async_threads.run(in_thread)

    def _enter(self, turn: Turn) -> None:
        """A part of the turn begins in this thread or task."""
        self._activate()
        if turn.meter is not None:
            turn.meter.enter()

    def _activate(self) -> None:
        if not self.thread_state.is_default:
            self.thread_state.activate()


def _not_called(turn: Turn, error: Exception) -> str:
    return wire.encode([wire.ERROR, turn.ref, *told(turn.logged(error), NOT_RENDERED)])


async def _nothing() -> None: ...
