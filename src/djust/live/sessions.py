"""The end of sessions: whoever logs out, or whose session expires, loses their open pages within a second.

A logout in this process is told by Django's signal, one in another process by publish/subscribe. When a session is due
to expire, and every `session_check_seconds` in between, the session store is asked whether the visitor of an open page
is still who they were; pages of one session are asked for together.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from djust.conf import config
from djust.live.page import Page
from djust.live.registry import registry
from djust.live.visitor import binding_of_request, visitor_of
from djust.live.workers import errands
from djust.pubsub.encoding import encode_message
from djust.pubsub.hub import hub
from djust.pubsub.inbox import Letter
from djust.render import wire

TOPIC = "djust:sessions"
NEVER = float("inf")
_TICK_SECONDS = 0.5
# This process, for messages to itself.
_ME = secrets.token_hex(8)


def watch(page: Page) -> None:
    """From now on the page ends with its session. In a thread: the session may have to be loaded."""
    session = getattr(page.request, "session", None)
    if not page.binding or session is None or not session.session_key:
        page.session_due = NEVER
        return
    page.session_due = time.monotonic() + min(session.get_expiry_age() + 0.1, config().session_check_seconds)


class Watch:
    """Looks every half second for pages whose session is to be asked for."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self.topics: set[str] = set()

    def start(self) -> None:
        """Watch from now on, on the running event loop."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            if config().pubsub != "memory":
                hub.subscribe(self, TOPIC)
            self._tick(loop)

    def stop(self) -> None:
        """The event loop is about to end."""
        self._loop = None

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not loop:
            return
        now = time.monotonic()
        groups: dict[str, list[Page]] = defaultdict(list)
        for page in registry.attached_pages():
            if page.session_due <= now:
                page.session_due = now + config().session_check_seconds
                groups[page.request.session.session_key or ""].append(page)
        for key, pages in groups.items():
            errands.offer(lambda key=key, pages=pages: _ask(key, pages))  # type: ignore[misc] # defaults bind them
        loop.call_later(_TICK_SECONDS, self._tick, loop)

    # What the hub asks of an inbox

    def put(self, letter: Letter) -> None:
        """A session has ended in another process."""
        process, binding = letter.message
        if process != _ME:
            end_pages(binding, HttpRequest(), "You have logged out.")

    def miss(self, topics: Iterable[str], reason: str) -> None:
        """Messages may have been missed: the session store knows."""
        for page in registry.attached_pages():
            page.session_due = min(page.session_due, 0.0) if page.session_due is not NEVER else NEVER


def _ask(key: str, pages: list[Page]) -> None:
    visitor = visitor_of({settings.SESSION_COOKIE_NAME: key})
    for binding in {page.binding for page in pages}:
        if binding != visitor.binding:
            end_pages(binding, HttpRequest(), "Your session has ended.")


def end_pages(binding: str, spared: HttpRequest, text: str) -> None:
    """Close the connections of a visitor and forget their pages, without that of the request `spared`."""
    for peer in registry.drop(binding, spared):
        peer.close_from_thread(wire.CLOSE_REFUSED, text)


@receiver(user_logged_out, dispatch_uid="djust")
def _end_session(sender: object, request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Close what belongs to a session when its user logs out.

    The page whose own handler does so is spared, so that its answer arrives. Cookie-based sessions have no key: all
    pages of the user are closed.
    """
    binding = binding_of_request(request) if request is not None else ""
    if request is not None and binding:
        end_pages(binding, request, "You have logged out.")
        if config().pubsub != "memory":
            # Whoever logs out does not wait for it.
            errands.submit(lambda: hub.backend().publish(TOPIC, encode_message(TOPIC, [_ME, binding])))


watcher = Watch()
