"""What a view has subscribed to, and how what was published becomes a call of its `handle_info`.

    hub ─▶ inbox.put(Publication("orders", {"id": 7}))
             └─ a turn of the page ─▶ deliver_messages(view) ─▶ view.handle_info({"id": 7})

Each view has an inbox of its own, a part of its `LiveContext`.

A page takes everything that waits in one turn, so many messages share one rendering. A view without
a browser takes no turns: while its page is parked or detached, messages wait, and one turn takes
them all when the browser comes.

A page that is too slow does not grow without bound. Beyond `LIVEVIEW_CONFIG["max_messages"]`, djust
keeps only the newest message of each topic, and `MessagesMissed` asks the view to load again what
depends on the topics.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import ref

from djust.conf import config
from djust.context import context_of
from djust.loop import page_loop
from djust.pubsub.hub import SUBSCRIBE_SECONDS, Publication, hub
from djust.state.fields import per_class

logger = logging.getLogger("djust")


@dataclass(frozen=True, slots=True)
class MessagesMissed:
    """Messages of `topics` may have been missed: load again what depends on them.

    `reason` is `"connection"` (the connection to Redis or PostgreSQL was lost, and is back),
    `"overflow"` (more came than the page could handle), `"late"` (the service confirmed only after
    `subscribe` had returned) or `"restored"` (the page was restored from a snapshot).
    """

    topics: tuple[str, ...]
    reason: str


# The name by which it was first published.
Resubscribed = MessagesMissed


class SubscribingView(Protocol):
    """A view, as far as this module knows it."""

    def handle_info(self, message: Any) -> Any:
        """A message came."""

    def push_event(self, name: str, payload: Any = None) -> None:
        """Send an event to the browser."""


class Inbox:
    """What waits for one view. Messages come in on the loop and go out in the thread of a turn."""

    __slots__ = ("__weakref__", "_gaps", "_waiting", "_wake", "topics")

    def __init__(self, wake: Callable[[], None]) -> None:
        self.topics: set[str] = set()
        self._waiting: deque[Publication] = deque()
        # By topic: why messages may have been missed.
        self._gaps: dict[str, str] = {}
        self._wake = wake

    def __bool__(self) -> bool:
        return bool(self._waiting or self._gaps)

    def put(self, publication: Publication) -> None:
        self._waiting.append(publication)
        if len(self._waiting) > config.max_messages:
            self._coalesce()
        self._wake()

    def mark_gap(self, topics: Iterable[str], reason: str) -> None:
        gaps = dict.fromkeys(self.topics.intersection(topics), reason)
        if gaps:
            self._gaps.update(gaps)
            self._wake()

    def drain(self) -> list[Publication]:
        """All messages that wait. Gaps come last, so that the view loads again after all else."""
        drained: list[Publication] = []
        try:
            while True:
                drained.append(self._waiting.popleft())
        except IndexError:
            pass
        gaps, self._gaps = self._gaps, {}
        for reason in sorted(set(gaps.values())):
            topics = tuple(sorted(topic for topic in gaps if gaps[topic] == reason))
            drained.append(Publication("", MessagesMissed(topics, reason)))
        return drained

    def stop(self) -> None:
        """The page is gone, or the view: end all subscriptions."""
        # The garbage collector may run in any thread, also in one that holds the hub's lock.
        page_loop.call(hub.unsubscribe, self, tuple(self.topics))

    def _coalesce(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        newest = {(publication.topic, publication.event): publication for publication in waiting}
        self._gaps.update((publication.topic, "overflow") for publication in waiting)
        self._waiting.extend(newest.values())


def inbox_of(view: SubscribingView) -> Inbox | None:
    """The inbox of a view that has subscribed to something."""
    return context_of(view).find(Inbox)


def subscribe(view: SubscribingView, topic: str) -> None:
    """Subscribe; outside of coroutines wait until the service confirms, for a moment at most."""
    inbox, subscribed = _subscribe(view, topic)
    if asyncio._get_running_loop() is None:
        try:
            subscribed.result(SUBSCRIBE_SECONDS)
        except CancelledError:
            # The process closes its connections.
            return
        except TimeoutError:
            logger.warning('The subscription to "%s" takes long; the view gets MessagesMissed when it is made.', topic)
    _mark_gap_when_late(inbox, topic, subscribed)


async def asubscribe(view: SubscribingView, topic: str) -> None:
    """Subscribe; returns when the service has confirmed, or soon if it does not."""
    inbox, subscribed = _subscribe(view, topic)
    await asyncio.wait([asyncio.wrap_future(subscribed)], timeout=SUBSCRIBE_SECONDS)
    _mark_gap_when_late(inbox, topic, subscribed)


def unsubscribe(view: SubscribingView, *topics: str) -> None:
    """End subscriptions; without topics all of them."""
    if (inbox := inbox_of(view)) is not None:
        hub.unsubscribe(inbox, topics or tuple(inbox.topics))


def _subscribe(view: SubscribingView, topic: str) -> tuple[Inbox, Future[None]]:
    context = context_of(view)
    inbox = context.part(Inbox, lambda: Inbox(context.wake))
    return inbox, hub.subscribe(inbox, topic)


def _mark_gap_when_late(inbox: Inbox, topic: str, subscribed: Future[None]) -> None:
    if subscribed.done():
        return
    held = ref(inbox)

    def mark(_: Future[None]) -> None:
        if (inbox := held()) is not None:
            page_loop.call(inbox.mark_gap, [topic], "late")

    subscribed.add_done_callback(mark)


# The turn of a page


@per_class
def handles_on_loop(view_class: type[Any]) -> bool:
    """Whether `handle_info` of this class is `async def`."""
    return inspect.iscoroutinefunction(view_class.handle_info)


def deliver_messages(view: SubscribingView) -> Any:
    """Call `handle_info` for everything that waits; an awaitable if it is `async def`."""
    inbox = inbox_of(view)
    messages = iter(inbox.drain() if inbox is not None else [])
    if handles_on_loop(type(view)):
        return _deliver_on_loop(view, messages)
    errors: list[Exception] = []
    for message in messages:
        try:
            _deliver(view, message)
        except Exception as error:  # noqa: BLE001 — a message that fails does not cost the next one
            errors.append(error)
    _raise(view, errors)
    return None


async def _deliver_on_loop(view: SubscribingView, messages: Iterator[Publication]) -> None:
    errors: list[Exception] = []
    for message in messages:
        try:
            handled = _deliver(view, message)
            if handled is not None:
                await handled
        except Exception as error:  # noqa: BLE001 — as above
            errors.append(error)
    _raise(view, errors)


def _deliver(view: SubscribingView, publication: Publication) -> Awaitable[None] | None:
    if publication.event:
        view.push_event(publication.event, publication.message)
        return None
    handled: Awaitable[None] | None = view.handle_info(publication.message)
    return handled


def _raise(view: SubscribingView, errors: list[Exception]) -> None:
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup(f"{type(view).__name__}.handle_info failed for {len(errors)} messages", errors)
