"""A page: the server's object for one open browser page, and the turns it takes.

    page = Page(view, request)
    page.prepare()                                  the view is mounted: evaluate the template
    page.html()                                     the first HTML
    page.post(Joining(connection, version=0))       connection.send('["joined",0]')
    page.post(message_of([1, "add", {}, []]))       connection.send('[1,1,[0,1]]')
    page.post(Work("Clock.tick", view.tick))        connection.send('[0,2,[0,2]]')

There is no I/O here: a driver such as `websocket` decodes frames and carries the answers. A page takes one turn at a
time: the handler is called, the state checked, the template evaluated, the difference encoded. The turn of a `def`
handler is one job of a worker thread, that of an `async def` handler runs on the event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest

from djust.conf import config
from djust.events import Handler, handlers_of, refusal
from djust.exceptions import HandlerError, ParameterError
from djust.live.display import Display
from djust.live.failures import NOT_RENDERED, WENT_WRONG, failure_on_loop, refuse_awaitable, told, unfit
from djust.live.limits import Bucket
from djust.live.messages import Event, Joining, Message, Peer, Refused, Resync, Work
from djust.live.visitor import Surroundings, renew_visitor, save_session, session_to_save
from djust.live.workers import TurnThread, contained, errands, workers
from djust.pubsub.subscriptions import bind_page, handle_letters, inbox_of
from djust.render import wire
from djust.views import LiveView, Outbox, bind_outbox

logger = logging.getLogger("djust")

# Classes whose rendering needs the database: not tried on the event loop again.
_rendered_in_threads: set[type[LiveView]] = set()


class _Turn(NamedTuple):
    """What a turn does: `bind` gives the call, and refuses parameters that do not fit. `ref` is 0 for a push."""

    title: str
    bind: Callable[[], Callable[[], Any]]
    is_async: bool
    ref: int = 0
    asks: bool = False


class Page:
    """One open page. `peer` is its connection, None while it has none; `version` counts the diffs."""

    __slots__ = (
        "__weakref__",
        "_bucket",
        "_display",
        "_document",
        "_handlers",
        "_is_called",
        "_lane",
        "_mailbox",
        "_outbox",
        "_surroundings",
        "_task",
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
        bind_page(view, self)
        self._bucket = Bucket(config().events_per_second)
        self._mailbox: list[Message] = []
        # A turn that takes the letters of the view is on its way.
        self._is_called = False
        self._task: asyncio.Task[None] | None = None
        self._lane: _Lane | None = None
        self._display = Display(view, request)
        # Set by `prepare`.
        self._surroundings: Surroundings

    # The first rendering

    def prepare(self) -> None:
        """Evaluate the template for the first time, after the view was mounted."""
        self._surroundings = Surroundings.now()
        self._display.prepare()

    def html(self) -> str:
        """The HTML of what the page shows."""
        return self._display.html()

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

    def wake(self) -> None:
        """Take a turn for the letters of the view, if a browser is there to see it."""
        if self.peer is not None and not self._is_called:
            self._is_called = True
            title = f"{type(self.view).__name__}.handle_info"
            self.post(Work(title, self._take_letters, inspect.iscoroutinefunction(self.view.handle_info)))

    def _take_letters(self) -> Any:
        self._is_called = False
        return handle_letters(self.view)

    def _next_turn(self) -> None:
        # A fresh context: no turn sees what an earlier one, or the connection, has activated.
        turn = self._take_turn(self._mailbox.pop(0))
        self._task = asyncio.get_running_loop().create_task(turn, context=contextvars.Context())

    async def _take_turn(self, message: Message) -> None:
        try:
            text = await self.handle(message)
            if text and self.peer is not None:
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
        """Take one turn; the frame that answers, empty for none. Whoever calls sees to it that one runs at a time."""
        if isinstance(message, Event):
            return await self._event(message)
        if isinstance(message, Work):
            return await self._work(message)
        if isinstance(message, Joining):
            return self._join(message)
        if isinstance(message, Refused):
            self.last_ref = max(self.last_ref, message.ref)
            return wire.encode([wire.ERROR, message.ref, message.text])
        return self._resync(message)

    def _resync(self, message: Resync) -> str:
        """What others do to a page may lead here; else it is a defect of this package."""
        self.resyncs += 1
        title, place = type(self.view).__name__, self._display.place(message.reason)
        text = "%s: the browser asks for all values again, for the %d. time: %s%s"
        logger.warning(text, title, self.resyncs, message.reason, place)
        return self._all({wire.EXTRA_HTML: self.html()} if message.whole else {})

    def _join(self, joining: Joining) -> str:
        self.peer = joining.peer
        if inbox_of(self.view):
            self.wake()
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
        values, fragments = self._display.all()
        self.version += 1
        return wire.encode([wire.ALL, self.version, values, fragments, self.last_ref, extra])

    async def _event(self, event: Event) -> str:
        if event.ref <= self.last_ref:
            return wire.encode([wire.ERROR, event.ref, "This event was answered already and is not executed again."])
        self.last_ref = event.ref
        handler = self._handlers.get(event.name)
        if handler is None:
            return self._refuse(event, refusal(type(self.view), event.name))
        turn = _Turn(handler.title, partial(self._bound, handler, event), handler.is_async, event.ref, event.asks)
        try:
            return await self._turn(turn)
        except ParameterError as error:
            return self._refuse(event, error)

    def _bound(self, handler: Handler, event: Event) -> Callable[[], Any]:
        args, kwargs = handler.bind(event.args, event.params)
        return partial(getattr(self.view, handler.name), *args, **kwargs)

    async def _work(self, work: Work) -> str:
        return await self._turn(_Turn(work.title, lambda: work.call, work.is_async))

    async def _turn(self, turn: _Turn) -> str:
        task = asyncio.current_task()
        try:
            if turn.is_async:
                return await self._turn_on_loop(turn)
            return await workers.run(self._turn_in_thread, turn)
        except ParameterError:
            # Of an event that does not fit: nothing was called.
            raise
        except BaseException as error:  # noqa: BLE001 — a template or get_context_data may raise whatever it likes
            failure = failure_on_loop(error, task)
            _log(turn, failure)
            return wire.encode([wire.ERROR, turn.ref, *told(failure, NOT_RENDERED)])

    def _turn_in_thread(self, turn: _Turn) -> str:
        if not self._surroundings.usual:
            self._surroundings.activate()
        renew_visitor(self.request)
        call = turn.bind()
        reply, failure = None, None
        try:
            with contained:
                reply = call()
                refuse_awaitable(reply, turn.title)
        except Exception as error:  # noqa: BLE001 — a handler may raise whatever it likes
            reply, failure = None, error
            _log(turn, error)
        try:
            return self._answer(turn, reply, failure)
        finally:
            # After the template, which may write to the session as well.
            if session := session_to_save(self.request):
                save_session(session)

    async def _turn_on_loop(self, turn: _Turn) -> str:
        if not self._surroundings.usual:
            self._surroundings.activate()
        renew_visitor(self.request)
        call = turn.bind()
        reply, failure = None, None
        if self._lane is None:
            self._lane = _Lane()
        self._lane.enter()
        task = asyncio.current_task()
        try:
            reply = call()
            if inspect.isawaitable(reply):
                # A decorator around it may have answered without it.
                reply = await reply
        except BaseException as error:  # noqa: BLE001 — a handler may raise whatever it likes
            failure = failure_on_loop(error, task)
            _log(turn, failure)
        finally:
            self._lane.leave()
        try:
            return await self._answer_on_loop(turn, reply, failure)
        finally:
            if session := session_to_save(self.request):
                await errands.run(save_session, session)

    async def _answer_on_loop(self, turn: _Turn, reply: object, failure: Exception | None) -> str:
        if type(self.view) not in _rendered_in_threads:
            try:
                return self._answer(turn, reply, failure)
            except SynchronousOnlyOperation:
                _rendered_in_threads.add(type(self.view))
        return await workers.run(self._answer_in_thread, turn, reply, failure)

    def _answer_in_thread(self, turn: _Turn, reply: object, failure: Exception | None) -> str:
        if not self._surroundings.usual:
            self._surroundings.activate()
        return self._answer(turn, reply, failure)

    # Answers

    def _answer(self, turn: _Turn, reply: object, failure: Exception | None) -> str:
        """What `turn` has changed. `failure` is what its call raised: the state that it left is shown."""
        if not turn.asks or failure is not None:
            reply = None
        elif (reason := unfit(reply)) is not None:
            reply, failure = None, TypeError(f"{turn.title} returned {type(reply).__name__}, and {reason}")
            _log(turn, failure)
        diff, fragments, offence, whole = self._display.renew()
        if offence is not None:
            _log(turn, offence)
        extra = self._extra(reply, failure or offence)
        if whole:
            return self._all({**extra, wire.EXTRA_HTML: self.html()})
        if diff:
            self.version += 1
        if not turn.ref and not diff and not extra:
            return ""
        return wire.answer(turn.ref, self.version, diff, fragments, extra)

    def _refuse(self, event: Event, error: HandlerError) -> str:
        logger.warning("%s %s", error, error.detail)
        return wire.encode([wire.ERROR, event.ref, str(error), error.detail if settings.DEBUG else ""])

    def _extra(self, reply: object = None, failure: Exception | None = None) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        if self._outbox:
            extra[wire.EXTRA_PUSH] = self._outbox.copy()
            self._outbox.clear()
        if failure is not None:
            extra[wire.EXTRA_ERROR], detail = told(failure, WENT_WRONG)
            if detail:
                extra[wire.EXTRA_DETAIL] = detail
        if reply is not None:
            extra[wire.EXTRA_REPLY] = reply
        return extra


def _log(turn: _Turn, error: Exception) -> None:
    logger.error("%s raised %s", turn.title, type(error).__name__, exc_info=error)


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
