"""A page: the server's object for one open browser page, and the turns it takes.

    page = Page(view, request)
    page.prepare()                                  the view is mounted: evaluate the template
    page.html()                                     the first HTML
    page.post(Joining(connection, version=0))       connection.send('["joined",0]')
    page.post(message_of([1, "add", {}, []]))       connection.send('[1,1,[0,1]]')

There is no I/O here: a driver such as `websocket` decodes frames and carries the answers. A page takes one turn at a
time: the handler is called, the state checked, the template evaluated, the difference encoded. The turn of a `def`
handler is one job of a worker thread, that of an `async def` handler runs on the event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import logging
import secrets
import traceback
from functools import partial
from typing import Any, NamedTuple, Protocol

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template import Template
from django.utils.functional import SimpleLazyObject
from django.utils.timezone import get_current_timezone
from django.utils.translation import get_language

from djust.conf import config
from djust.events import Handler, handlers_of, refusal
from djust.exceptions import HandlerError, ParameterError, ProtocolError
from djust.live.limits import Bucket
from djust.live.visitor import Surroundings, renew_visitor, save_session, session_to_save
from djust.live.workers import TurnThread, contained, errands, workers
from djust.render import wire
from djust.render.values import Fragment, Values
from djust.state.codec import check_state
from djust.state.fields import computed_getters
from djust.state.tracking import Tracker
from djust.template import CompiledTemplate, compile_template
from djust.template.scope import page_context, rendering
from djust.views import LiveView, Outbox, bind_outbox, state_of

logger = logging.getLogger("djust")

WENT_WRONG = "Something went wrong. What the page shows is up to date; you may try again."
NOT_RENDERED = "Something went wrong, and the page could not be brought up to date."

# Classes whose rendering needs the database: not tried on the event loop again.
_rendered_in_threads: set[type[LiveView]] = set()


class Peer(Protocol):
    """Where the frames of a page go: one connection of its browser."""

    async def send(self, text: str) -> None:
        """Send one frame; whether it arrives is not the page's concern."""

    def close(self, code: int, text: str = "") -> None:
        """Close the connection, soon; its browser is told `text` before."""

    def close_from_thread(self, code: int, text: str = "") -> None:
        """As `close`, in any thread."""


# Messages


class Event(NamedTuple):
    """The browser calls a handler."""

    ref: int
    name: str
    params: dict[str, Any]
    args: list[Any]
    # The browser waits for what the handler returns.
    asks: bool = False


class Refused(NamedTuple):
    """An event that is answered in its turn, without being looked at."""

    ref: int
    text: str


class Resync(NamedTuple):
    """The browser could not apply something. `whole`: all values would not help, the document is not what it was."""

    reason: str
    whole: bool = False


class Joining(NamedTuple):
    """A connection takes the page. `version` is what its browser shows; None if it shows another page's values.

    `document` is the id that the browser gave its document.
    """

    peer: Peer
    version: int | None
    ticket: str = ""
    document: str = ""


Message = Event | Refused | Resync | Joining


def message_of(frame: list[Any]) -> Event | Resync:
    """The message in a frame that a browser may send to its page."""
    if frame[0] == wire.RESYNC and 2 <= len(frame) <= 3:
        return Resync(str(frame[1])[:200], bool(frame[2:] and frame[2]))
    if 2 <= len(frame) <= 5:
        members: list[Any] = [*frame, *({}, [], 0)[len(frame) - 2 :]]
        ref, name, params, args, asks = members
        valid = type(ref) is int and ref > 0 and type(name) is str and type(params) is dict and type(args) is list
        if valid and asks in (0, 1):
            return Event(ref, name, params, args, asks == 1)
    raise ProtocolError(
        'Malformed frame: expected [ref, "handler", {params}, [args], asks] or ["resync", "reason"], '
        f"got {len(frame)} members that begin with {frame[0]!r:.40}."
    )


class Page:
    """One open page. `peer` is its connection, None while it has none; `version` counts the diffs."""

    __slots__ = (
        "__weakref__",
        "_bucket",
        "_compiled",
        "_document",
        "_fixed",
        "_handlers",
        "_lane",
        "_last",
        "_lazy",
        "_mailbox",
        "_outbox",
        "_outlet",
        "_surroundings",
        "_task",
        "_template",
        "_tracker",
        "binding",
        "id",
        "last_ref",
        "peer",
        "request",
        "resyncs",
        "version",
        "view",
    )

    def __init__(self, view: LiveView, request: HttpRequest) -> None:
        self.id = secrets.token_urlsafe(12)
        self.view = view
        self.request = request
        self.version = 0
        self.last_ref = 0
        self.resyncs = 0
        # Of the visitor for whom it was made, as in its ticket.
        self.binding = ""
        self._document = ""
        self.peer: Peer | None = None
        self._handlers = handlers_of(type(view))
        self._outbox: Outbox = []
        bind_outbox(view, self._outbox)
        self._bucket = Bucket(config().events_per_second)
        self._mailbox: list[Message] = []
        self._task: asyncio.Task[None] | None = None
        self._lane: _Lane | None = None
        self._outlet = wire.Outlet()
        self._tracker = Tracker()
        self._lazy = computed_getters(view)
        # One token for the life of the page: Django's processor masks it differently in each rendering.
        self._fixed = {"csrf_token": SimpleLazyObject(partial(get_token, request)), "view": view}
        # These are set by `prepare`.
        self._surroundings: Surroundings
        self._template: Template
        self._compiled: CompiledTemplate
        self._last: tuple[Fragment, Values]

    # The first rendering

    def prepare(self) -> None:
        """Evaluate the template for the first time, after the view was mounted."""
        self._surroundings = Surroundings.now()
        self._template = self.view.get_template()
        self._compiled = compile_template(self._template)
        data, state = self._data()
        if (offence := self._offence(state)) is not None:
            raise offence
        self._last = self._evaluate(data, None)

    def html(self) -> str:
        """The HTML of the page as it was prepared."""
        fragment, values = self._last
        return fragment.html(values)

    # The mailbox

    @property
    def is_full(self) -> bool:
        """Whether as many messages wait as may."""
        return len(self._mailbox) >= config().max_waiting

    def post(self, message: Message) -> None:
        """Take a message; its answer goes to `peer` when its turn has come."""
        if type(message) is Event and not self._bucket.take():
            message = Refused(message.ref, "Too many events in a short time; this one was left out.")
        self._mailbox.append(message)
        if self._task is None:
            self._next_turn()

    def _next_turn(self) -> None:
        # A fresh context: no turn sees what an earlier one, or the connection, has activated.
        turn = self._take_turn(self._mailbox.pop(0))
        self._task = asyncio.get_running_loop().create_task(turn, context=contextvars.Context())

    async def _take_turn(self, message: Message) -> None:
        try:
            text = await self.handle(message)
            if self.peer is not None:
                await self.peer.send(text)
        except Exception:
            logger.exception("%s: a turn failed", type(self.view).__name__)
        except BaseException:
            # The server ends, and there are no more turns.
            self._task = None
            raise
        if self._mailbox:
            self._next_turn()
        else:
            self._task = None

    # Turns

    async def handle(self, message: Message) -> str:
        """Take one turn; the frame that answers. Whoever calls sees to it that only one runs at a time."""
        if isinstance(message, Event):
            return await self._event(message)
        if isinstance(message, Joining):
            return self._join(message)
        if isinstance(message, Refused):
            self.last_ref = max(self.last_ref, message.ref)
            return wire.encode([wire.ERROR, message.ref, message.text])
        return self._resync(message)

    def _resync(self, message: Resync) -> str:
        """What others do to a page may lead here; else it is a defect of this package."""
        self.resyncs += 1
        title, place = type(self.view).__name__, self._outlet.place(message.reason)
        text = "%s: the browser asks for all values again, for the %d. time: %s%s"
        logger.warning(text, title, self.resyncs, message.reason, place)
        return self._all({wire.EXTRA_HTML: self.html()} if message.whole else {})

    def _join(self, joining: Joining) -> str:
        self.peer = joining.peer
        if joining.document != self._document:
            # Another document counts its events from 1.
            self._document = joining.document
            self.last_ref = 0
        extra = self._extra()
        if joining.ticket:
            extra[wire.EXTRA_TICKET] = joining.ticket
        if joining.version == self.version:
            return wire.encode([wire.JOINED, self.version, self.last_ref, extra])
        return self._all(extra)

    def _all(self, extra: dict[str, Any]) -> str:
        values, fragments = self._outlet.all(*self._last)
        self.version += 1
        return wire.encode([wire.ALL, self.version, values, fragments, self.last_ref, extra])

    async def _event(self, event: Event) -> str:
        if event.ref <= self.last_ref:
            return wire.encode([wire.ERROR, event.ref, "This event was answered already and is not executed again."])
        self.last_ref = event.ref
        handler = self._handlers.get(event.name)
        if handler is None:
            return self._refuse(event, refusal(type(self.view), event.name))
        task = asyncio.current_task()
        try:
            if handler.is_async:
                return await self._turn_on_loop(event, handler)
            return await workers.run(self._turn_in_thread, event, handler)
        except ParameterError as error:
            return self._refuse(event, error)
        except BaseException as error:  # noqa: BLE001 — a template or get_context_data may raise whatever it likes
            failure = failure_on_loop(error, task)
            self._log(event, failure)
            return wire.encode([wire.ERROR, event.ref, *_told(failure, NOT_RENDERED)])

    def _turn_in_thread(self, event: Event, handler: Handler) -> str:
        if not self._surroundings.usual:
            self._surroundings.activate()
        renew_visitor(self.request)
        args, kwargs = handler.bind(event.args, event.params)
        reply, failure = None, None
        try:
            with contained:
                reply = getattr(self.view, handler.name)(*args, **kwargs)
                refuse_awaitable(reply, handler.title)
        except Exception as error:  # noqa: BLE001 — a handler may raise whatever it likes
            reply, failure = None, error
            self._log(event, error)
        try:
            return self._answer(event, reply, failure)
        finally:
            # After the template, which may write to the session as well.
            if session := session_to_save(self.request):
                save_session(session)

    async def _turn_on_loop(self, event: Event, handler: Handler) -> str:
        if not self._surroundings.usual:
            self._surroundings.activate()
        renew_visitor(self.request)
        args, kwargs = handler.bind(event.args, event.params)
        reply, failure = None, None
        if self._lane is None:
            self._lane = _Lane()
        self._lane.enter()
        task = asyncio.current_task()
        try:
            reply = getattr(self.view, handler.name)(*args, **kwargs)
            if inspect.isawaitable(reply):
                # A decorator around it may have answered without it.
                reply = await reply
        except BaseException as error:  # noqa: BLE001 — a handler may raise whatever it likes
            failure = failure_on_loop(error, task)
            self._log(event, failure)
        finally:
            self._lane.leave()
        try:
            return await self._answer_on_loop(event, reply, failure)
        finally:
            if session := session_to_save(self.request):
                await errands.run(save_session, session)

    async def _answer_on_loop(self, event: Event, reply: object, failure: Exception | None) -> str:
        if type(self.view) not in _rendered_in_threads:
            try:
                return self._answer(event, reply, failure)
            except SynchronousOnlyOperation:
                _rendered_in_threads.add(type(self.view))
        return await workers.run(self._answer_in_thread, event, reply, failure)

    def _answer_in_thread(self, event: Event, reply: object, failure: Exception | None) -> str:
        if not self._surroundings.usual:
            self._surroundings.activate()
        return self._answer(event, reply, failure)

    # Answers

    def _answer(self, event: Event, reply: object, failure: Exception | None) -> str:
        """What `event` has changed. `failure` is what its handler raised: the state that it left is shown."""
        if not event.asks or failure is not None:
            reply = None
        elif (unfit := _unfit(reply)) is not None:
            title = self._handlers[event.name].title
            reply, failure = None, TypeError(f"{title} returned {type(reply).__name__}, and {unfit}")
            self._log(event, failure)
        data, state = self._data()
        offence = self._offence(state)
        before, (fragment, values) = self._last, self._evaluate(data, self._last)
        self._last = fragment, values
        if offence is not None:
            self._log(event, offence)
        if fragment is not before[0]:
            # The template's outermost parent is another one, or it was compiled anew: another document.
            return self._all({**self._extra(reply, failure or offence), wire.EXTRA_HTML: fragment.html(values)})
        diff, fragments = self._outlet.diff(fragment, before[1], values)
        if diff:
            self.version += 1
        return wire.answer(event.ref, self.version, diff, fragments, self._extra(reply, failure or offence))

    def _refuse(self, event: Event, error: HandlerError) -> str:
        logger.warning("%s %s", error, error.detail)
        return wire.encode([wire.ERROR, event.ref, str(error), error.detail if settings.DEBUG else ""])

    def _log(self, event: Event, error: Exception) -> None:
        logger.error("%s.%s raised %s", type(self.view).__name__, event.name, type(error).__name__, exc_info=error)

    def _extra(self, reply: object = None, failure: Exception | None = None) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        if self._outbox:
            extra[wire.EXTRA_PUSH] = self._outbox.copy()
            self._outbox.clear()
        if failure is not None:
            extra[wire.EXTRA_ERROR], detail = _told(failure, WENT_WRONG)
            if detail:
                extra[wire.EXTRA_DETAIL] = detail
        if reply is not None:
            extra[wire.EXTRA_REPLY] = reply
        return extra

    # Rendering

    def _data(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The names for the template, and the public state, which get_context_data may have changed."""
        if type(self.view).get_context_data is LiveView.get_context_data:
            # The template finds `view` among the fixed names.
            state = state_of(self.view)
            return state, state
        data = self.view.get_context_data()
        if not isinstance(data, dict):
            raise TypeError(
                f"{type(self.view).__name__}.get_context_data must return a dict; got {type(data).__name__}. "
                "Does it end with `return super().get_context_data(**kwargs)`?"
            )
        return data, state_of(self.view)

    def _offence(self, state: dict[str, Any]) -> TypeError | None:
        """What strict serialization has against the state."""
        try:
            check_state(type(self.view), state, strict=config().strict_serialization)
        except TypeError as error:
            return error
        return None

    def _evaluate(self, data: dict[str, Any], last: tuple[Fragment, Values] | None) -> tuple[Fragment, Values]:
        tracked = self._compiled.tracked
        same = self._tracker.unchanged(data, tracked, (get_language(), get_current_timezone())) if tracked else tracked
        related = self.view.auto_related
        context = page_context(self._template, self.request, data, self._lazy, self._fixed, auto_related=related)
        try:
            with rendering(context, self._template):
                return self._compiled.evaluate(context, last, same)
        except BaseException:
            # What was watched was not shown: the next rendering must not take it for the same.
            self._tracker.forget()
            raise


class _Lane:
    """Sends the thread-sensitive calls of a page's asynchronous handlers to the page's own `TurnThread`."""

    __slots__ = ("_context", "_thread")

    def __init__(self) -> None:
        self._context = ThreadSensitiveContext()
        self._thread = TurnThread()
        SyncToAsync.context_to_thread_executor[self._context] = self._thread

    def enter(self) -> None:
        SyncToAsync.thread_sensitive_context.set(self._context)
        self._thread.begin()

    def leave(self) -> None:
        self._thread.end()


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
        with contained:
            raise error
    except RuntimeError as failure:
        return failure
    raise AssertionError("whatever is raised is contained")


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


def _told(error: Exception, text: str) -> tuple[str, str]:
    """What the browser is told of an exception: everything in DEBUG, else `text`."""
    if not settings.DEBUG:
        return text, ""
    return f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))


def _unfit(reply: object) -> str | None:
    """Why a browser cannot be sent `reply`; None if it can."""
    try:
        json.dumps(reply, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return f"the browser asked for it: {error}. Return what JSON can hold: text, numbers, lists, dictionaries."
    return None
