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
import logging
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from djust.conf import config
from djust.context import context_of
from djust.events.handlers import Handler, handlers_of, refusal
from djust.exceptions import ForbiddenError, HandlerError, ParameterError
from djust.live.calls import Turn
from djust.live.failures import WENT_WRONG, json_error, told
from djust.live.guards import GuardFailedError, NotAllowedError
from djust.live.limits import Bucket
from djust.live.metering import Meter
from djust.live.nodes import Display
from djust.live.snapshots import SnapshotWriter
from djust.live.tasks import Tasks
from djust.live.turns import TurnRunner
from djust.live.visitor import NOBODY, ThreadState, take_over
from djust.protocol import frames as wire
from djust.protocol.messages import Event, Joining, Message, Peer, Refused, Resync, Save, Settled, Visit, Work
from djust.pubsub.subscriptions import deliver_messages, handles_on_loop, inbox_of
from djust.signals import event_finished
from djust.tasks import task_of
from djust.threads.testmode import FRESH, report
from djust.views import LiveView

logger = logging.getLogger("djust")

_making_tasks = threading.Lock()

# What guards a page has failed: when what the server itself has to do is tried again.
_RETRY_SECONDS = 2.0
# Close codes of WebSocket itself.
_FAILED = 1011


class Page:
    """One open page. `peer` is its connection, None while it has none; `version` counts the diffs."""

    __slots__ = (
        "__weakref__",
        "_handlers",
        "_held",
        "_is_called",
        "_is_over",
        "_loop",
        "_mailbox",
        "_posted",
        "_task",
        "_tasks",
        "_turns",
        "bucket",
        "context",
        "context_of_view",
        "display",
        "fingerprint",
        "id",
        "last_ref",
        "peer",
        "request",
        "resyncs",
        "session_due",
        "snapshots",
        "tab_id",
        "version",
        "view",
        "visitor",
    )

    def __init__(self, view: LiveView, request: HttpRequest) -> None:
        self.id = secrets.token_urlsafe(12)
        self.view = view
        self.request = request
        self.version = 0
        self.last_ref = 0
        self.resyncs = 0
        # Whose it is, and what the join tokens of such a page are bound to: see `set_visitor`.
        self.visitor = NOBODY
        self.fingerprint = ""
        self.tab_id = ""
        self.peer: Peer | None = None
        # That in which every turn begins, and all slow work.
        self.context = FRESH
        # When the session is to be asked for, on the monotonic clock.
        self.session_due = float("inf")
        self._turns = TurnRunner(view, request)
        # What the server itself wanted to do, and was not allowed to.
        self._held: list[Work] = []
        # Its visitor has logged out: nothing of it runs any more.
        self._is_over = False
        self._handlers = handlers_of(type(view))
        self.snapshots = SnapshotWriter()
        self.context_of_view = context_of(view)
        self.context_of_view.attach(self)
        self._tasks: Tasks | None = None
        # Where it lives, as soon as a browser has it.
        self._loop: asyncio.AbstractEventLoop | None = None
        self.bucket = Bucket(config().events_per_second)
        self._mailbox: list[tuple[Message, float]] = []
        # When the message of this turn came; nobody asks where nothing is measured.
        self._posted = 0.0
        # A turn that takes the messages of the view is on its way.
        self._is_called = False
        self._task: asyncio.Task[None] | None = None
        self.display = Display(view, request)

    # The first rendering

    def prepare(self, data: object = None) -> None:
        """Evaluate the template for the first time, after the view was mounted. `data` is from `given_context_data`."""
        self._turns.thread_state = ThreadState.now()
        self.display.prepare(data)

    def html(self) -> str:
        """The HTML of what the page shows."""
        return self.display.html()

    # Slow work

    @property
    def tasks(self) -> Tasks:
        """What runs beside this page."""
        if self._tasks is None:
            with _making_tasks:
                if self._tasks is None:
                    tasks = Tasks(self.post)
                    if self._loop is not None:
                        tasks.release(self._loop, self._turns.thread_state, self.context)
                    self._tasks = tasks
        return self._tasks

    def _taken_up(self) -> None:
        """A browser has the page."""
        if self._loop is None:
            with _making_tasks:
                self._loop = asyncio.get_running_loop()
                if self._tasks is not None:
                    self._tasks.release(self._loop, self._turns.thread_state, self.context)

    def end(self, *, for_good: bool = False) -> None:
        """The page is gone: its tasks end. Its state is kept; or nobody is to have it, and what waits in its mailbox is
        not executed. In any thread.
        """
        self._is_over = self._is_over or for_good
        if self._tasks is not None:
            self._tasks.end()
        if for_good:
            self.snapshots.forget(self)
        elif self._task is None:
            # A turn that still runs keeps the state itself when it ends.
            self.snapshots.save_last(self)
        self.context_of_view.stop()

    def detach(self, peer: Peer) -> None:
        """The connection `peer` is lost."""
        if self.peer is peer:
            self.peer = None

    # The mailbox

    @property
    def is_full(self) -> bool:
        """Whether as many messages wait as may."""
        return len(self._mailbox) >= config().max_waiting

    @property
    def is_busy(self) -> bool:
        """Whether a turn is being taken."""
        return self._task is not None

    def post(self, message: Message) -> None:
        """Take a message; its answer goes to `peer` when its turn has come."""
        if type(message) is Event and not self.bucket.take():
            message = Refused(message.ref, "Too many events in a short time; this one was left out.")
        self._mailbox.append((message, time.perf_counter() if event_finished.receivers else 0.0))
        if self._task is None:
            self._next_turn()

    def wake(self) -> None:
        """Take a turn for the messages of the view, if a browser is there to see it."""
        if self.peer is not None and not self._is_called:
            self._is_called = True
            title = f"{type(self.view).__name__}.handle_info"
            self.post(Work(title, partial(_deliver_messages, self), handles_on_loop(type(self.view))))

    def _next_turn(self) -> None:
        message, self._posted = self._mailbox.pop(0)
        turn = self._take_turn(message)
        self._task = asyncio.get_running_loop().create_task(turn, context=self.context.copy())

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
            self.snapshots.schedule(self)

    # Turns

    async def handle(self, message: Message) -> str:
        """Take one turn; the frame that answers, empty for none. Whoever calls sees to it that one runs at a time."""
        if isinstance(message, Settled):
            message.event.set()
            return ""
        if self._is_over:
            return ""
        if isinstance(message, Event):
            return await self._event(message)
        if isinstance(message, Save):
            await self.snapshots.save(self)
            return ""
        if isinstance(message, Visit):
            take_over(self.request, message.source)
            return ""
        self.snapshots.changed()
        if isinstance(message, Refused):
            self.last_ref = max(self.last_ref, message.ref)
            return wire.encode([wire.ERROR, message.ref, message.text])
        return await self._let(message)

    async def _let(self, message: Work | Joining | Resync) -> str:
        """What shows or changes the page without an event. It has no answer: refused, it ends the connection."""
        peer = message.peer if isinstance(message, Joining) else self.peer
        try:
            if isinstance(message, Work):
                work = Turn(message.title, lambda: message.call, self._answer, message.is_async)
                return await self._turn(work._replace(owner=self.fingerprint))
            if not (isinstance(message, Joining) and message.passed):
                await self._turns.ask("join")
        except (NotAllowedError, GuardFailedError, ForbiddenError) as error:
            if isinstance(message, Work) and not (isinstance(error, NotAllowedError) and error.was_entered):
                self._held.append(message)
            self._put_off(error, message, peer)
            return ""
        return self._join(message) if isinstance(message, Joining) else self._resync(message)

    def _put_off(self, error: HandlerError, message: object, peer: Peer | None) -> None:
        if isinstance(error, ForbiddenError):
            logger.info("%s %s", error, error.detail)
        elif isinstance(error, GuardFailedError):
            self._report(error, message)
            if isinstance(message, Work):
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._take_up_held)
            elif peer is not None:
                peer.close(_FAILED)
        else:
            _send_away(peer, error)

    def _take_up_held(self) -> None:
        """What was refused may be allowed by now: when a browser joins, and after each event."""
        if self._held and self.peer is not None:
            held, self._held = self._held, []
            for work in held:
                self.post(work)

    def _report(self, error: GuardFailedError, message: object) -> None:
        logger.error(
            "%s: what guards the page has failed; %s waits, and nothing was called",
            *(type(self.view).__name__, type(message).__name__),
            exc_info=error.__cause__ or error,
        )
        report(error)

    def _resync(self, message: Resync) -> str:
        """What others do to a page may lead here; else it is a defect of this package."""
        self.resyncs += 1
        title, place = type(self.view).__name__, self.display.place(message.reason)
        text = "%s: the browser asks for all values again, for the %d. time: %s%s"
        logger.warning(text, title, self.resyncs, message.reason, place)
        return self._all({wire.EXTRA_HTML: self.html()} if message.whole else {})

    def _join(self, joining: Joining) -> str:
        self.peer = joining.peer
        self._taken_up()
        self._take_up_held()
        if inbox_of(self.view):
            self.wake()
        if joining.tab_id != self.tab_id:
            # Another document counts its events from 1.
            self.tab_id = joining.tab_id
            self.last_ref = 0
        extra = self._extra()
        if joining.token:
            extra[wire.EXTRA_TICKET] = joining.token
        if joining.version == self.version:
            return wire.encode([wire.JOINED, self.version, self.last_ref, extra])
        return self._all(extra)

    def _all(self, extra: dict[str, Any]) -> str:
        values, fragments = self.display.all()
        self.version += 1
        return wire.encode([wire.ALL, self.version, values, fragments, self.last_ref, extra])

    async def _event(self, event: Event) -> str:
        if event.ref <= self.last_ref:
            return wire.encode([wire.ERROR, event.ref, "This event was answered already and is not executed again."])
        before, self.last_ref = self.last_ref, event.ref
        self.snapshots.changed()
        self._taken_up()
        handler = self._handlers.get(event.name)
        if handler is None:
            return _refused(event, refusal(type(self.view), event.name))
        bind = partial(_bound, self, handler, event)
        timeout = None if handler.background else handler.timeout or config().handler_timeout or None
        turn = Turn(
            *(handler.title, bind, self._answer, handler.is_async, event.ref, event.asks, timeout),
            passed=event.passed,
            owner=self.fingerprint,
        )
        try:
            text = await self._turn(turn)
        except GuardFailedError as error:
            self._report(error, event)
            return wire.encode([wire.ERROR, event.ref, str(error)])
        except (ParameterError, ForbiddenError) as error:
            return _refused(event, error)
        except NotAllowedError as error:
            _send_away(self.peer, error)
            if error.has_lost_session and not error.was_entered:
                # The browser joins again, with another session perhaps, and sends the event once more.
                self.last_ref = before
                return ""
            return _refused(event, error)
        self._take_up_held()
        return text

    async def _turn(self, turn: Turn) -> str:
        if not event_finished.receivers:
            return await self._turns.run(turn)
        meter = Meter(self._posted)
        text = await self._turns.run(turn._replace(meter=meter))
        meter.report(type(self.view), turn.event, text, pushed=not turn.ref, queue=len(self._mailbox))
        return text

    # Answers

    def _answer(self, turn: Turn, reply: object, failure: Exception | None, data: object = None) -> str:
        """What `turn` has changed. `failure` is what its call raised: the state that it left is shown."""
        if not turn.asks or failure is not None:
            reply = None
        elif (reason := json_error(reply)) is not None:
            reply, failure = None, turn.logged(TypeError(f"{turn.title} returned {type(reply).__name__}, and {reason}"))
        diff, fragments, state_error, whole = self.display.renew(data)
        if state_error is not None:
            turn.logged(state_error)
        extra = self._extra(reply, failure or state_error)
        if whole:
            return self._all({**extra, wire.EXTRA_HTML: self.html()})
        if diff:
            self.version += 1
        if not turn.ref and not diff and not extra:
            return ""
        return wire.answer(turn.ref, self.version, diff, fragments, extra)

    def _extra(self, reply: object = None, failure: Exception | None = None) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        if outbox := self.context_of_view.outbox:
            # A task may push one just now.
            extra[wire.EXTRA_PUSH] = [outbox.pop(0) for _ in range(len(outbox))]
        if failure is not None:
            extra[wire.EXTRA_ERROR], detail = told(failure, WENT_WRONG)
            if detail:
                extra[wire.EXTRA_DETAIL] = detail
        if reply is not None:
            extra[wire.EXTRA_REPLY] = reply
        return extra


def _send_away(peer: Peer | None, error: HandlerError) -> None:
    """End the connection: for good, or until the browser comes with a session that is known."""
    if peer is not None:
        if isinstance(error, NotAllowedError) and error.has_lost_session:
            peer.close(wire.CLOSE_SESSION)
        else:
            peer.close(wire.CLOSE_REFUSED, str(error))


def _deliver_messages(page: Page) -> Any:
    page._is_called = False
    return deliver_messages(page.view)


def _bound(page: Page, handler: Handler, event: Event) -> Callable[[], Any]:
    args, kwargs = handler.bind(event.args, event.params)
    call = partial(getattr(page.view, handler.name), *args, **kwargs)
    if not handler.background:
        return call
    return partial(page.tasks.start, task_of(page.view, handler.name, call, handler.timeout))


def _refused(event: Event, error: HandlerError) -> str:
    logger.warning("%s %s", error, error.detail)
    report(error)
    return wire.encode([wire.ERROR, event.ref, str(error), error.detail if settings.DEBUG else ""])
