"""Which topics a view has subscribed to, and how what was published becomes a call of its `handle_info`.

A view without a browser takes no turns: while its page is parked or detached, letters wait in its inbox, and one turn
takes them all when the browser comes.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, Protocol
from weakref import ref

from djust.context import context_of
from djust.loop import page_loop
from djust.pubsub.hub import SUBSCRIBE_SECONDS, hub
from djust.pubsub.inbox import Inbox, Letter
from djust.state.fields import per_class

logger = logging.getLogger("djust")


class Listener(Protocol):
    """A view, as far as this module knows it."""

    def handle_info(self, message: Any) -> Any:
        """A message came."""

    def push_event(self, name: str, payload: Any = None) -> None:
        """Send an event to the browser."""


class Subscriptions(Inbox):
    """The inbox of a view, which the hub fills as long as its page is there."""

    __slots__ = ()

    def stop(self) -> None:
        """Have nothing more."""
        # Garbage may be collected in any thread, one that holds the hub's lock included.
        page_loop.call(hub.unsubscribe, self, tuple(self.topics))


def inbox_of(view: Listener) -> Inbox | None:
    """The inbox of a view that has subscribed to something."""
    return context_of(view).find(Subscriptions)


def subscribe(view: Listener, topic: str) -> None:
    """Subscribe; outside of coroutines returns when the service has confirmed, or soon if it does not."""
    subscribed = _subscribe(view, topic)
    if asyncio._get_running_loop() is None:
        try:
            subscribed.result(SUBSCRIBE_SECONDS)
        except CancelledError:
            # The process closes its connections.
            return
        except TimeoutError:
            logger.warning('The subscription to "%s" takes long; the view is told when messages come.', topic)
        else:
            return
    _tell_when_late(view, topic, subscribed)


async def asubscribe(view: Listener, topic: str) -> None:
    """Subscribe; returns when the service has confirmed, or soon if it does not."""
    subscribed = _subscribe(view, topic)
    done, _ = await asyncio.wait([asyncio.wrap_future(subscribed)], timeout=SUBSCRIBE_SECONDS)
    if not done:
        _tell_when_late(view, topic, subscribed)


def unsubscribe(view: Listener, *topics: str) -> None:
    """End subscriptions; without topics all of them."""
    if (inbox := inbox_of(view)) is not None:
        hub.unsubscribe(inbox, topics or tuple(inbox.topics))


def _subscribe(view: Listener, topic: str) -> Future[None]:
    context = context_of(view)
    return hub.subscribe(context.part(Subscriptions, lambda: Subscriptions(context.wake)), topic)


def _tell_when_late(view: Listener, topic: str, subscribed: Future[None]) -> None:
    if subscribed.done():
        return
    inbox = ref(context_of(view).part(Subscriptions))

    def tell(_: Future[None]) -> None:
        listening = inbox()
        if listening is not None:
            page_loop.call(listening.miss, [topic], "late")

    subscribed.add_done_callback(tell)


# The turn of a page


@per_class
def handles_on_loop(view_class: type[Any]) -> bool:
    """Whether `handle_info` of this class is `async def`."""
    return inspect.iscoroutinefunction(view_class.handle_info)


def handle_letters(view: Listener) -> Any:
    """Call `handle_info` for everything that waits; an awaitable if it is `async def`."""
    inbox = inbox_of(view)
    letters = iter(inbox.take() if inbox is not None else [])
    if handles_on_loop(type(view)):
        return _handle_on_loop(view, letters)
    errors: list[Exception] = []
    for letter in letters:
        try:
            _handle(view, letter)
        except Exception as error:  # noqa: BLE001 — a message that fails does not cost the next one
            errors.append(error)
    _raise(view, errors)
    return None


async def _handle_on_loop(view: Listener, letters: Iterator[Letter]) -> None:
    errors: list[Exception] = []
    for letter in letters:
        try:
            handled = _handle(view, letter)
            if handled is not None:
                await handled
        except Exception as error:  # noqa: BLE001 — as above
            errors.append(error)
    _raise(view, errors)


def _handle(view: Listener, letter: Letter) -> Awaitable[None] | None:
    if letter.event:
        view.push_event(letter.event, letter.message)
        return None
    handled: Awaitable[None] | None = view.handle_info(letter.message)
    return handled


def _raise(view: Listener, errors: list[Exception]) -> None:
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup(f"{type(view).__name__}.handle_info failed for {len(errors)} messages", errors)
