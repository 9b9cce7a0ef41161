"""The end of sessions: a visitor who logs out loses all open pages at once, for good.

Django's signal reports a logout in this process, and pub/sub one in another process. In addition,
djust asks the session store whether a session still belongs to the same user. It asks when the
session is due to expire and every `session_check_seconds`, once for all pages of the session, at
random times. The answer alone ends no page: the session may have another key by now, or the store
may have lost it. The browser has to join again with its present cookies, and the join decides.
"""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from djust import process
from djust.conf import config
from djust.live.page import Page
from djust.live.registry import registry
from djust.live.visitor import SessionStoreError, Visitor, ended_by_logout, visitor_of
from djust.loop import Ticker, page_loop
from djust.process import Phase
from djust.protocol import frames as wire
from djust.pubsub.codec import encode_message
from djust.pubsub.hub import Publication, hub
from djust.threads.pools import io_pool

logger = logging.getLogger("djust")

TOPIC = "djust:sessions"
NEVER = float("inf")
_TICK_SECONDS = 0.5
# After missed messages, all sessions are checked within this time.
_MISS_SECONDS = 5.0
# A store that does not answer, or does not know a session, is asked again after this time.
_RETRY_SECONDS = 5.0
_DOUBT_SECONDS = 1.0


def set_visitor(page: Page, visitor: Visitor) -> None:
    """Give the page to a visitor: it ends with the visitor's session. In any thread."""
    page.visitor, page.fingerprint = visitor, visitor.fingerprint
    page.session_due = _next_check(visitor) if visitor.identity and visitor.key else NEVER


def _next_check(visitor: Visitor) -> float:
    # Pages that joined at the same time, after a restart, must not be checked at the same time.
    seconds = config.session_check_seconds * _between(0.75, 1.25)
    return min(visitor.ends + 0.1, time.monotonic() + seconds)


def _between(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311 — it spreads load and hides nothing


class SessionMonitor:
    """Looks every half second for pages whose session is due for a check."""

    def __init__(self) -> None:
        self._ticker = Ticker(_TICK_SECONDS, self._ask_due)
        self.topics: set[str] = set()
        self.rename()

    def rename(self) -> None:
        """Give this process a name, by which it knows its own messages. A fork needs another."""
        self.name = secrets.token_hex(8)

    def start(self) -> None:
        if config.pubsub != "memory":
            hub.subscribe(self, TOPIC)
        self._ticker.start()

    async def stop(self) -> None:
        self._ticker.stop()

    def _ask_due(self) -> None:
        now = time.monotonic()
        pages = registry.attached_pages()
        due = {page.visitor.key for page in pages if page.session_due <= now}
        groups: dict[str, list[Page]] = defaultdict(list)
        for page in pages:
            if due and page.session_due < NEVER and page.visitor.key in due:
                # Until there is an answer.
                page.session_due = now + config.session_check_seconds
                groups[page.visitor.key].append(page)
        for key, group in groups.items():
            io_pool.offer(lambda key=key, group=group: _ask(key, group))  # type: ignore[misc] # defaults bind them

    # What the hub asks of a subscriber

    def put(self, publication: Publication) -> None:
        """A session has ended in another process."""
        name, session = publication.message
        if name != self.name:
            end_pages(session, HttpRequest(), "You have logged out.")

    def mark_gap(self, topics: Iterable[str], reason: str) -> None:
        """Messages may have been missed, so the session store is asked."""
        now = time.monotonic()
        soon: dict[str, float] = defaultdict(lambda: now + _between(0, _MISS_SECONDS))
        for page in registry.attached_pages():
            if page.session_due < NEVER:
                page.session_due = min(page.session_due, soon[page.visitor.key])


def _ask(key: str, pages: list[Page]) -> None:
    """Check one session, in a thread. A page without one has logged out in its own handler."""
    try:
        if key:
            _check(key, visitor_of({settings.SESSION_COOKIE_NAME: key}), pages)
        else:
            for session in {page.visitor.session for page in pages}:
                end_pages(session, HttpRequest(), "You have logged out.")
    except SessionStoreError:
        # Nothing is known. The look-up has logged the failure.
        _ask_again(pages, _RETRY_SECONDS)
    except Exception:
        logger.exception("A session could not be checked")


def _check(key: str, found: Visitor, pages: list[Page]) -> None:
    # Browsers that have joined again in the meantime may have another session.
    pages = [page for page in pages if page.visitor.key == key]
    same = [page for page in pages if page.visitor.identity == found.identity]
    due = _next_check(found)
    for page in same:
        page.visitor, page.session_due = found, due
    others = [page for page in pages if page.visitor.identity != found.identity]
    now = time.monotonic()
    doubtful = [page for page in others if found.is_unknown and not page.visitor.is_unknown and page.visitor.ends > now]
    for page in doubtful:
        page.visitor = page.visitor._replace(is_unknown=True)
    _ask_again(doubtful, _DOUBT_SECONDS)
    for peer in registry.peers_of([page for page in others if page not in doubtful]):
        # Without a text: a browser that has a session again needs none.
        page_loop.call(peer.close, wire.CLOSE_SESSION)


def _ask_again(pages: list[Page], seconds: float) -> None:
    """Check a session once more, after one to two times this number of seconds."""
    due = time.monotonic() + min(config.session_check_seconds, _between(seconds, 2 * seconds))
    for page in pages:
        page.session_due = due


def end_pages(session: str, except_request: HttpRequest, text: str) -> None:
    """Close the connections of a session, named as in `Visitor.session`, and forget its pages.

    The page of the request `except_request` stays.
    """
    for peer in registry.drop(session, except_request):
        page_loop.call(peer.close, wire.CLOSE_REFUSED, text)


@receiver(user_logged_out, dispatch_uid="djust")
def _end_session(sender: object, request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Close what belongs to a session when its user logs out.

    The page whose own handler does so stays, so that its answer arrives. Cookie-based sessions have
    no key: all pages of the user are closed.
    """
    session = ended_by_logout(request) if request is not None else ""
    if request is not None and session:
        end_pages(session, request, "You have logged out.")
        if config.pubsub != "memory":
            # The visitor who logs out does not wait for it.
            io_pool.submit(lambda: _publish(session))


def _publish(session: str) -> None:
    try:
        hub.backend().publish(TOPIC, encode_message(TOPIC, [monitor.name, session]))
    except Exception as error:  # noqa: BLE001 — whatever the service's client raises
        text = "A logout could not be published to other processes (%s: %s). They notice it within %g seconds."
        logger.warning(text, type(error).__name__, error, config.session_check_seconds)


monitor = SessionMonitor()
process.register(Phase.PAGES, start=monitor.start, stop=monitor.stop, forget=monitor.rename)
