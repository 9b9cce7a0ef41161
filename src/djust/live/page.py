"""A page: the server's object for one open browser document, and the turns it takes.

    page = Page(view, request)
    page.prepare()                                  the view is mounted: evaluate the template
    page.html()                                     the first HTML
    page.post(Joining(connection, version=0))       connection.send('["joined",0]')
    page.post(message_of([1, "add", {}, []]))       connection.send('[1,1,[0,1]]')
    page.post(Work("Clock.tick", view.tick))        connection.send('[0,2,[0,2]]')
    page.detach(connection)                         it is lost; the page waits for another one
    page.end()                                      the page is gone

There is no I/O here: the channel decodes frames, and a transport carries the answers. Messages wait
in the mailbox, and a page takes one turn at a time:

    process_next      the task of the next message on the event loop; its frame is sent
    process           what to do with this kind of message, and where it was refused
    run               `live/turn.py` runs the turn, in a thread or on the event loop
    answer            the state is checked, the template evaluated, the difference encoded

Views learn of what happens to the page by `connected`, `disconnected` and `unmount`. The
transitions `join`, `detach` and `end` call them, each in a turn of its own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest

from djust import process
from djust.conf import config
from djust.context import context_of
from djust.events.handlers import Handler, refusal
from djust.exceptions import ForbiddenError, HandlerError, ParameterError
from djust.live.guards import GuardFailedError, NotAllowedError
from djust.live.metering import Meter
from djust.live.nodes import Node, Nodes
from djust.live.snapshots import SnapshotWriter
from djust.live.tasks import Tasks
from djust.live.turn import WENT_WRONG, Turn, TurnRunner, client_error, json_error
from djust.live.visitor import NOBODY, ThreadState, take_over
from djust.loop import finish, page_loop
from djust.protocol import frames as wire
from djust.protocol.frames import Event, Resync
from djust.protocol.messages import FAILED, End, Hook, Joining, Message, Peer, Refused, Save, Settled, Visit, Work
from djust.pubsub.subscriptions import handles_on_loop
from djust.signals import event_finished
from djust.tasks import task_of
from djust.threads.testmode import report
from djust.views import LiveView, has_hooks, overrides

logger = logging.getLogger("djust")

_making_tasks = process.Lock()

# Seconds after which the server tries its own turns again, if a guard of the page has failed.
_RETRY_SECONDS = 2.0
# Seconds that `connected`, `disconnected` and `unmount` of a view may take.
HOOK_SECONDS = 5.0


class Bucket:
    """A token bucket: `rate` per second in the long run, `burst` at once (twice the rate)."""

    __slots__ = ("_burst", "_left", "_rate", "_then")

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self._rate = rate
        self._burst = rate * 2 if burst is None else burst
        self._left = self._burst
        self._then = time.monotonic()

    def take(self) -> bool:
        """Whether one more is allowed now."""
        now = time.monotonic()
        self._left = min(self._left + (now - self._then) * self._rate, self._burst)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Page:
    """One open page. `peer` is its connection, if it has one; `version` counts the diffs."""

    __slots__ = (
        *("__weakref__", "_ends", "_held", "_is_over", "_joining", "_mailbox", "_posted", "_task", "_tasks"),
        *("fingerprint", "bucket", "tab_id", "id", "last_ref", "nodes", "peer", "request", "resyncs", "session_due"),
        *("snapshots", "turns", "version", "view", "visitor"),
    )

    def __init__(self, view: LiveView, request: HttpRequest) -> None:
        self.id = secrets.token_urlsafe(12)
        self.view = view
        self.request = request
        self.version = 0
        self.last_ref = 0
        self.resyncs = 0
        # The visitor, and the fingerprint that the page's join tokens are bound to: `set_visitor`.
        self.visitor = NOBODY
        self.fingerprint = ""
        self.tab_id = ""
        self.peer: Peer | None = None
        # The connection that is about to have the page.
        self._joining: Peer | None = None
        # When the session has to be checked, on the monotonic clock.
        self.session_due = float("inf")
        self.snapshots = SnapshotWriter()
        self.nodes = Nodes(view, request)
        context_of(view).start(self)
        self.turns = TurnRunner(self.nodes, request)
        self._tasks: Tasks | None = None
        self.bucket = Bucket(config.events_per_second)
        self._mailbox: list[tuple[Message, float]] = []
        # When the message of this turn came; 0 where nothing is measured.
        self._posted = 0.0
        self._task: asyncio.Task[None] | None = None
        # Turns of the server itself that were refused.
        self._held: list[Work] = []
        # It is about to end, or has ended.
        self._ends = False
        # Its visitor has logged out: of its messages, only hooks and the end are processed.
        self._is_over = False

    def prepare(self) -> None:
        """Evaluate the template for the first time, after the view was mounted."""
        self.turns.thread_state = ThreadState.now()
        self.nodes.prepare()

    def html(self) -> str:
        return self.nodes.html()

    def add(self, node: Node) -> None:
        """Add a view inside another one."""
        node.context.start(self, node.id)
        self.nodes.add(node)

    @property
    def tasks(self) -> Tasks:
        if self._tasks is None:
            with _making_tasks:
                if self._tasks is None:
                    self._tasks = Tasks(self.post, self.turns)
                    if self._ends:
                        # A view starts one in its last turn.
                        self._tasks.end()
        return self._tasks

    def _start(self) -> None:
        """A browser has the page: background tasks begin."""
        self.turns.loop = asyncio.get_running_loop()
        if self._tasks is not None:
            self._tasks.advance()

    # Transitions. A page is attached by `Joining`, a message like others.

    def detach(self, peer: Peer) -> None:
        """The connection `peer` is lost. On the event loop of the page."""
        # A join that has not had its turn yet is void.
        self._mailbox = [entry for entry in self._mailbox if type(entry[0]) is not Joining or entry[0].peer is not peer]
        if self._joining is peer:
            self._joining = None
        if self.peer is peer:
            self.peer = None
            self._post_all(self._hooks("disconnected"))

    def end(self, *, for_good: bool = False) -> None:
        """The page is gone: its tasks end. In any thread.

        Its state is saved. `for_good` forgets it, and what waits in the mailbox is not executed.
        Views that have hooks get their last turns afterwards.
        """
        self.peer = self._joining = None
        self._is_over = self._is_over or for_good
        has_ended, self._ends = self._ends, True
        if self._tasks is not None:
            self._tasks.end()
        if for_good:
            self.snapshots.forget(self)
        if has_ended:
            return
        unmounts = self._hooks("unmount")
        if not unmounts and self._task is None:
            self._finish()
            return
        # Behind a turn that still runs: it may use services, and changes the state. What `unmount`
        # does to that is of no use to a page that is restored.
        last = [*self._hooks("disconnected"), Save(), *unmounts, End()]
        if asyncio._get_running_loop() is page_loop.loop:
            self._post_all(last)
        else:
            page_loop.call(self._post_all, last)

    def _finish(self) -> None:
        if not self._is_over:
            self.snapshots.save_last(self)
        self.nodes.stop()

    def _hooks(self, *names: str) -> list[Message]:
        """Turns that tell views what has happened: outer views first, or last if something ends."""
        nodes = [node for node in self.nodes if has_hooks(type(node.view))]
        return [Hook(name, node.id) for name in names for node in (nodes if name == "connected" else nodes[::-1])]

    # The mailbox

    @property
    def is_full(self) -> bool:
        """Whether the mailbox holds as many messages as it may."""
        return len(self._mailbox) >= config.max_waiting

    @property
    def is_busy(self) -> bool:
        return self._task is not None

    def post(self, message: Message) -> None:
        """Take a message; its answer goes to `peer` when its turn has come."""
        if type(message) is Event and not self.bucket.take():
            message = Refused(message.ref, "Too many events in a short time; this event was ignored.")
        self._mailbox.append((message, time.perf_counter() if event_finished.receivers else 0.0))
        if self._task is None:
            self._begin_next()

    async def settled(self) -> None:
        """Wait until all messages that are in the mailbox now are processed."""
        event = asyncio.Event()
        self.post(Settled(event))
        await event.wait()

    def _post_all(self, messages: list[Message]) -> None:
        for message in messages:
            self.post(message)

    def wake(self) -> None:
        """Take a turn for each view that has messages, if a browser is there to see it."""
        if self.peer is None:
            return
        for node in self.nodes:
            if not node.is_woken and node.has_messages:
                node.is_woken = True
                view_class = type(node.view)
                is_async = handles_on_loop(view_class)
                self.post(Work(f"{view_class.__name__}.handle_info", node.deliver_messages, is_async, node.id))

    def _begin_next(self) -> None:
        message, self._posted = self._mailbox.pop(0)
        turn = self.process_next(message)
        self._task = asyncio.get_running_loop().create_task(turn, context=self.turns.context.copy())

    async def process_next(self, message: Message) -> None:
        """Take one turn, and begin with the next message."""
        try:
            text = await self.process(message)
            # A thread may end the page just now.
            if text and (peer := self.peer) is not None:
                await peer.send(text)
        except Exception:
            logger.exception("%s: a turn failed", type(self.view).__name__)
        except BaseException:
            # The server ends, and there are no more turns.
            self._task = None
            raise
        if self._mailbox:
            self._begin_next()
        else:
            self._task = None
            self.snapshots.schedule(self)

    async def process(self, message: Message) -> str:
        """The frame for a message, empty for none. One message is processed at a time."""
        before = self.last_ref
        if self._is_over and not isinstance(message, Settled | Hook | End):
            return ""
        try:
            match message:
                case Event():
                    return await self._event(message)
                case Work():
                    return await self._work(message)
                case Joining():
                    return await self._join(message)
                case Resync():
                    return await self._resync(message)
                case Refused(ref, text):
                    self.snapshots.changes += 1
                    self.last_ref = max(self.last_ref, ref)
                    return _error(ref, text)
                case Save():
                    await self.snapshots.save(self)
                case Visit(source):
                    take_over(self.request, source)
                case Settled(event):
                    event.set()
                case Hook():
                    return await self._hook(message)
                case End():
                    self._finish()
        except HandlerError as error:
            return self._refuse(message, error, before)
        return ""

    async def _event(self, event: Event) -> str:
        if event.ref <= self.last_ref:
            return _error(event.ref, "This event was answered already and is not executed again.")
        self.last_ref = event.ref
        self.snapshots.changes += 1
        if self.turns.loop is None:
            self._start()
        node = self.nodes.get(event.target)
        if node is None:
            raise self._unknown_target(event)
        handler = node.handlers.get(event.name)
        if handler is None:
            raise refusal(type(node.view), event.name)
        bind = partial(self._bind, event, node, handler)
        turn = Turn(
            *(node.view, handler.title, bind, self.answer, handler.is_async, event.ref, event.wants_reply),
            timeout=None if handler.background else handler.timeout or config.handler_timeout or None,
            passed=event.passed,
        )
        text = await self._run(turn)
        if self._held:
            self._retry_held()
        return text

    async def _work(self, work: Work) -> str:
        self.snapshots.changes += 1
        if (node := self.nodes.get(work.target)) is None:
            return ""
        return await self._run(Turn(node.view, work.title, lambda: work.call, self.answer, work.is_async))

    async def _join(self, joining: Joining) -> str:
        self.snapshots.changes += 1
        self._joining = joining.peer
        if not joining.passed:
            await self.turns.ask("join")
        if self._joining is not joining.peer:
            # It was lost meanwhile.
            return ""
        self.peer, self._joining = joining.peer, None
        if self.turns.loop is None:
            self._start()
        # Before the events that have come with the connection. The one before may be lost without
        # the page having learned of it.
        self._mailbox[:0] = [(hook, 0.0) for hook in self._hooks("disconnected", "connected")]
        self._retry_held()
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

    async def _resync(self, resync: Resync) -> str:
        """Scripts that change the page may lead here; all else is a defect of djust."""
        self.snapshots.changes += 1
        await self.turns.ask("join")
        self.resyncs += 1
        title, place = type(self.view).__name__, self.nodes.place(resync.reason)
        text = "%s: the browser asks for all values again, for the %d. time: %s%s"
        logger.warning(text, title, self.resyncs, resync.reason, place)
        return self._all({wire.EXTRA_HTML: self.html()} if resync.whole else {})

    async def _hook(self, hook: Hook) -> str:
        node = self.nodes.get(hook.target)
        if node is None or (hook.name == "disconnected" and not node.is_connected):
            return ""
        if hook.name == "connected" and self._ends:
            # The browser has gone meanwhile.
            return ""
        node.is_connected = False
        text = ""
        if overrides(type(node.view), hook.name):
            if hook.name != "unmount":
                self.snapshots.changes += 1
            title, method = f"{type(node.view).__name__}.{hook.name}", getattr(node.view, hook.name)
            turn = Turn(
                *(node.view, title, lambda: method, self.answer),
                is_async=iscoroutinefunction(method),
                timeout=HOOK_SECONDS,
                # The connection has just passed what guards the page; what ends has to end for any
                # visitor.
                passed=True,
                is_unasked=hook.name != "connected",
                shows=not self._ends,
            )
            text = await self._run(turn)
        node.is_connected = hook.name == "connected"
        return text

    # Turns

    def _run(self, turn: Turn) -> Coroutine[Any, Any, str]:
        turn.owner = self.fingerprint
        return self._run_measured(turn) if event_finished.receivers else self.turns.run(turn)

    async def _run_measured(self, turn: Turn) -> str:
        turn.meter = Meter(self._posted)
        text = await self.turns.run(turn)
        turn.meter.report(type(turn.view), turn.event, text, pushed=not turn.ref, queue=len(self._mailbox))
        return text

    def _bind(self, event: Event, node: Node, handler: Handler) -> Callable[[], Any]:
        args, kwargs = handler.bind(event.args, event.params)
        call = partial(getattr(node.view, handler.name), *args, **kwargs)
        if not handler.background:
            return call
        return partial(self.tasks.start, task_of(node.view, handler.name, call, handler.timeout))

    # Refusals

    def _refuse(self, message: Message, error: HandlerError, before: int) -> str:
        """No user code was called: answer an event, end the connection, or try again later."""
        if isinstance(error, GuardFailedError):
            text = "%s: what guards the page has failed; %s waits, and nothing was called"
            logger.error(text, type(self.view).__name__, type(message).__name__, exc_info=error.__cause__ or error)
            report(error)
        if isinstance(error, NotAllowedError):
            _send_away(message.peer if isinstance(message, Joining) else self.peer, error)
        if isinstance(message, Event):
            return self._refuse_event(message, error, before)
        if isinstance(error, ForbiddenError):
            logger.info("%s %s", error, error.detail)
        if isinstance(message, Work):
            if not (isinstance(error, NotAllowedError) and error.was_entered):
                self._held.append(message)
            if isinstance(error, GuardFailedError):
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._retry_held)
        elif isinstance(error, GuardFailedError):
            peer = message.peer if isinstance(message, Joining) else self.peer
            if peer is not None:
                peer.close(FAILED)
        return ""

    def _refuse_event(self, event: Event, error: HandlerError, before: int) -> str:
        if isinstance(error, GuardFailedError):
            return _error(event.ref, str(error))
        if isinstance(error, NotAllowedError) and error.has_lost_session and not error.was_entered:
            # The browser joins again, with another session perhaps, and sends the event once more.
            self.last_ref = before
            return ""
        logger.warning("%s %s", error, error.detail)
        report(error)
        return _error(event.ref, str(error), error.detail if settings.DEBUG else "")

    def _unknown_target(self, event: Event) -> ParameterError:
        known = ", ".join(f'"{node.id}"' for node in self.nodes if node.id) or "none"
        title, asked = type(self.view).__name__, ascii(event.target[:100])[1:-1]
        return ParameterError(
            "This part of the page is not there any more.",
            f'{title} has no node "{asked}", for which the event "{event.name[:100]}" is meant; its nodes are {known}. '
            "A node is named by the attribute dj-node of the nearest element around the one that was used.",
        )

    def _retry_held(self) -> None:
        """Try refused turns of the server again: when a browser joins, and after each event."""
        if self._held and self.peer is not None:
            held, self._held = self._held, []
            self._post_all([*held])

    # Answers

    def answer(self, turn: Turn, reply: object, failure: Exception | None) -> str:
        """What `turn` has changed, although its call may have raised `failure`."""
        if not turn.shows:
            return ""
        if not turn.wants_reply or failure is not None:
            reply = None
        elif (reason := json_error(reply)) is not None:
            reply, failure = None, turn.logged(TypeError(f"{turn.title} returned {type(reply).__name__}, and {reason}"))
        diff, fragments, state_error, whole = self.nodes.renew()
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

    def _all(self, extra: dict[str, Any]) -> str:
        values, fragments = self.nodes.all()
        self.version += 1
        return wire.encode([wire.ALL, self.version, values, fragments, self.last_ref, extra])

    def _extra(self, reply: object = None, failure: Exception | None = None) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        if pushed := self.nodes.pushed():
            extra[wire.EXTRA_PUSH] = pushed
        if failure is not None:
            extra[wire.EXTRA_ERROR], detail = client_error(failure, WENT_WRONG)
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


def _error(ref: int, text: str, detail: str = "") -> str:
    return wire.encode([wire.ERROR, ref, text, detail])


async def end_all(pages: Collection[Page], seconds: float) -> None:
    """The server ends: end pages, and wait for so many seconds until their views are unmounted."""
    for page in pages:
        page.end()
    if late := await finish([page.settled() for page in pages if page.is_busy], seconds):
        logger.warning("%d pages could not be unmounted within %g seconds.", late, seconds)
