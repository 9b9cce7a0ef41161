"""One browser document's side of the protocol, over any transport: join, frames, limits, end.

A transport only carries text. It knows no join tokens, snapshots or limits:

    channel = Channel(transport, request, transport.get)
    await channel.receive('["join","WyI2…",0,"/s3/","58…"]')   transport.send('["joined",0]')
    await channel.receive('[1,"select_bucket",{"n":7}]')        transport.send('[1,1,[0,"photos"]]')
    channel.lost()                                              the page waits for its browser

The first frame is the join. The channel checks its token and the visitor. If the page is in this
process, it is attached to the channel. Otherwise a GET of the token's URL, which the transport
makes, restores it from its snapshot or remounts it. Later frames go into the page's mailbox, and
the page sends its answers. `receive` never waits for a handler or a join.

A page belongs to a user, or to an anonymous visitor, who may have a session. `admits` decides who
gets a page that exists in this process or as a snapshot:

    the page of a user         only that user, in any session
    of an anonymous session    that session, and the very tab that held the page
    of anyone else             the very tab that held it; until one has, any anonymous visitor

The id of a tab is its secret. So an anonymous visitor may log in, or lose the session, and keeps
the page. Everything here happens on the event loop of the pages.

What one browser may ask for is bounded:

    events of a page            `events_per_second`, and `max_waiting` that wait (`live/page.py`)
    other frames of a channel   `events_per_second`
    remounts with one token     ten in a burst, then two a second
    the size of a frame         `max_frame`

Pages that wait for a browser are bounded by `live/registry.py`, messages that wait for a view by
`pubsub/subscriptions.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol
from weakref import WeakSet

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from djust import process
from djust.conf import config
from djust.exceptions import ProtocolError, ServerBusyError, TicketError
from djust.live.logout import set_visitor
from djust.live.mount import Mount, Purpose, known_version
from djust.live.page import Bucket, Page
from djust.live.registry import registry
from djust.live.snapshots import load_snapshot
from djust.live.token import JoinToken, is_of_session, is_of_user, load_join_token, make_join_token, same_visitor
from djust.live.visitor import NOBODY, SessionStoreError, Visitor, visitor_of
from djust.protocol import frames as wire
from djust.protocol.frames import Event
from djust.protocol.messages import FAILED, NORMAL, RESTARTING, Joining, Message, Visit
from djust.threads.pool import Caller
from djust.threads.pools import io_pool
from djust.views import LiveView

logger = logging.getLogger("djust")

SESSION_LOST = "Your session has ended. Log in again in another tab, and this page goes on."
_SOMEBODY_ELSE = "This page was opened in another session or by another user."
_BUSY = "Too many events wait for their turn; this event was ignored."

_PONG = wire.encode([wire.PONG])


# A GET of a URL, with the browser's cookies and headers; a live page goes into the `Mount`.
Get = Callable[[str, Mount], Awaitable[HttpResponseBase]]


class Transport(Protocol):
    """What carries the frames of one channel, as far as the channel knows it."""

    title: str
    """What logs call it."""

    async def send(self, text: str) -> None:
        """Send one frame, if the connection is still there."""

    def close(self, code: int, text: str) -> None:
        """Close the connection, soon; the browser receives `text` before, if there is one."""


class Closing(Exception):  # noqa: N818 — not an error of ours: the reason why a browser is sent away
    """Close the channel with this code; `text` is shown."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


async def _send_nowhere(text: str) -> None:
    """The connection is gone: the frame is dropped."""


class Channel:
    """The peer of the page that it has joined, until it is `lost` or closed.

    `request` is the browser's, `get` makes another one for a page that is not here.
    """

    __slots__ = (
        *("__weakref__", "_early", "_get", "_has_passed", "_is_over", "_joining", "_loop", "_others", "_reached"),
        *("_request", "_timer", "_transport", "_visitor", "page", "send"),
    )

    def __init__(self, transport: Transport, request: HttpRequest, get: Get | None = None) -> None:
        self.page: Page | None = None
        # The page's frames need no detour.
        self.send = transport.send
        self._transport: Transport | None = transport
        self._get = get
        self._loop = asyncio.get_running_loop()
        # The browser's request, until a page has it; its visitor; the view that it has reached.
        self._request: HttpRequest | None = request
        self._visitor: Visitor | None = None
        self._reached: type[LiveView] | None = None
        self._has_passed = False
        self._joining: asyncio.Task[None] | None = None
        # What arrives before the page is here.
        self._early: list[Message] = []
        # Frames other than events have no answer with which they could be refused.
        self._others = Bucket(config.events_per_second)
        self._is_over = False
        late = Closing(wire.CLOSE_NOT_JOINED, "The page did not join in time.")
        self._timer = self._loop.call_later(config.join_seconds, self._fail, late)
        _open.add(self)

    # Its end

    def lost(self) -> None:
        """The connection is gone: the page waits for the browser to come back."""
        if self._is_over:
            return
        self._is_over = True
        self._timer.cancel()
        _open.discard(self)
        if self._joining is not None:
            self._joining.cancel()
        # The transport holds this channel: it must not become part of a cycle with the page.
        self._transport, self.send, self._get = None, _send_nowhere, None
        if (page := self.page) is not None:
            page.detach(self)
            registry.release(page, self)
            page.snapshots.flush(page)

    def close(self, code: int, text: str = "") -> None:
        """End the connection; the browser receives `text` before."""
        transport = self._transport
        self.lost()
        if transport is not None:
            transport.close(code, text)

    def _fail(self, error: Exception) -> None:
        """Close the channel for this reason, and log it once."""
        match error:
            case SessionStoreError():
                # The browser tries again, and the look-up has logged it.
                self.close(FAILED)
            case ServerBusyError():
                # So it does here, and the pool has logged it.
                self.close(FAILED, str(error))
            case Closing():
                self.refuse(error.code, error.text)
            case ProtocolError():
                self.refuse(wire.CLOSE_BAD_FRAME, str(error))
            case TicketError():
                self.refuse(wire.CLOSE_REFUSED, str(error))
            case _:
                logger.error("A page could not be joined", exc_info=error)
                self.close(FAILED, "The page could not be opened. Something went wrong.")

    def refuse(self, code: int, text: str) -> None:
        """Close the channel because of what the browser has sent, and log it."""
        if self._transport is not None:
            request = self._request if self.page is None else self.page.request
            log_refusal(self._transport.title, code, request, text)
            self.close(code, text)

    # Frames

    async def receive(self, text: str) -> bool:
        """Process a frame of the browser. True if a turn will answer it later."""
        if self._is_over:
            return False
        limit = config.max_frame
        if is_too_big(text, limit):
            self.refuse(wire.CLOSE_TOO_BIG, f"A frame may have at most {limit} bytes.")
            return False
        page = self.page
        try:
            frame = wire.decode(text)
            if page is None and self._joining is None:
                self._timer.cancel()
                self._joining = asyncio.create_task(self._join(frame))
                return True
            if frame[0] == wire.PING:
                self._count_other()
                await self.send(_PONG)
                return False
            message = wire.message_of(frame)
            if type(message) is not Event:
                self._count_other()
        except (ProtocolError, Closing) as error:
            self._fail(error)
            return False
        if type(message) is Event:
            if page.is_full if page is not None else len(self._early) >= config.max_waiting:
                await self.send(wire.encode([wire.ERROR, message.ref, _BUSY]))
                return False
            if self._has_passed and page is not None and not page.is_busy:
                # Nothing has happened since its request passed the guards.
                message = message._replace(passed=True)
        if page is None:
            # Right behind the join: the page may still have to be mounted.
            self._early.append(message)
        else:
            page.post(message)
        return True

    def _count_other(self) -> None:
        if not self._others.take():
            raise Closing(wire.CLOSE_TOO_MANY, "Too many frames in a short time.")

    async def settled(self, seconds: float | None = None) -> bool:
        """Wait until all received frames are processed; false if that takes longer than `seconds`.

        The time of the join does not count.
        """
        if self._joining is not None:
            await asyncio.wait([self._joining])
        if self.page is None or self._is_over:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self.page.settled()
        except TimeoutError:
            return False
        return True

    # Whose it is

    def visit(self, request: HttpRequest, visitor: Visitor, reached: type[LiveView] | None = None) -> None:
        """The browser has made a request, perhaps with another session than before.

        `reached` is the view that the request has reached, through all guards of its URL. Raises
        `Closing` if the visitor may not have the page. The channel stays open, because it may
        belong to another visitor.
        """
        page = self.page
        if page is None:
            self._request, self._visitor, self._reached = request, visitor, reached
            return
        # A browser that knows this channel has its tab.
        admits(page.fingerprint, "this tab", "this tab", visitor)
        self._has_passed = _has_passed(page, request, reached)
        if visitor.key != page.visitor.key and not self._is_over:
            set_visitor(page, visitor)
            page.post(Visit(request))

    async def _who(self, request: HttpRequest) -> Visitor:
        if self._visitor is not None:
            return self._visitor
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return NOBODY
        return await io_pool.run_for(Caller(title="a join"), visitor_of, request.COOKIES)

    # Joining

    async def _join(self, frame: list[Any]) -> None:
        process.start()
        try:
            await self._enter(*join_frame(frame))
        except TicketError as error:
            if error.expired:
                await self._go(error.url)
            else:
                self._fail(error)
        except Exception as error:  # noqa: BLE001 — whatever the project's own code raises for a GET
            self._fail(error)

    async def _enter(self, token: JoinToken, version: int, tab_id: str) -> None:
        request = self._request
        assert request is not None, "a channel joins once"
        if self._reached is not None and token.url != request.get_full_path():
            # The guards that this request has passed are not those of that page.
            raise Closing(wire.CLOSE_REFUSED, "The join token belongs to another page.")
        visitor = await self._who(request)
        page, holder = registry.claim(token.page_id, self, tab_id, partial(admits, tab_id=tab_id, visitor=visitor))
        if holder is not None:
            holder.close(NORMAL)
        if page is None:
            await self._restore_or_mount(token, version, tab_id, visitor)
        else:
            set_visitor(page, visitor)
            page.post(Visit(request))
            passed = _has_passed(page, request, self._reached)
            self.attach(page, Joining(self, version, tab_id=tab_id, passed=passed))

    async def _restore_or_mount(self, token: JoinToken, version: int, tab_id: str, visitor: Visitor) -> None:
        check_user(token.fingerprint, visitor)
        if not joins.take(token.page_id):
            raise Closing(wire.CLOSE_TOO_MANY, "Too many joins in a short time.")
        assert self._get is not None, "only a channel that can make a GET is sent a join"
        may_have = partial(admits, tab_id=tab_id, visitor=visitor)
        snapshot = await load_snapshot(token.page_id, tab_id, may_have)
        mount = Mount(Purpose.RESTORE, snapshot=snapshot)
        try:
            response = await self._get(token.url, mount)
            if mount.restore_failed:
                mount = Mount(Purpose.RESTORE)
                response = await self._get(token.url, mount)
            page = mount.page_in(response)
            if page is not None:
                set_visitor(page, visitor)
                if mount.snapshot is not None:
                    # Before the browser forgets the token that leads to it.
                    await page.snapshots.save_as(page, mount.snapshot)
                new = make_join_token(JoinToken(page.id, token.url, page.fingerprint))
                joining = Joining(self, known_version(page, mount, token, version), new, tab_id, passed=True)
        except BaseException:
            # As a rule, the connection was lost meanwhile.
            mount.give_up()
            raise
        if page is not None:
            registry.attach(page, self, tab_id)
            self.attach(page, joining)
        elif response.status_code < 400:
            # A redirect, such as to a login page, or the answer of a view that is no longer live.
            await self._go(response.headers.get("Location", token.url))
        else:
            code = wire.CLOSE_REFUSED if response.status_code < 500 else FAILED
            raise Closing(code, f"The page cannot be opened any more: {response.reason_phrase}.")

    def attach(self, page: Page, joining: Joining) -> None:
        """Attach a page. Its first frame is the answer to the join."""
        self._timer.cancel()
        self.page, self._request = page, None
        page.post(joining)
        for message in self._early:
            page.post(message)
        self._early.clear()

    async def _go(self, url: str) -> None:
        await self.send(wire.encode([wire.GO, url]))
        self.close(NORMAL)


_open: WeakSet[Channel] = WeakSet()


def close_all() -> None:
    """Close all channels of the running event loop, because the server ends."""
    loop = asyncio.get_running_loop()
    for channel in [*_open]:
        if channel._loop is loop:
            channel.close(RESTARTING)


def log_refusal(title: str, code: int, request: HttpRequest | None, reason: str) -> None:
    """Log that a connection was closed because of what its browser has sent."""
    path = "" if request is None else request.path
    logger.warning("%s was closed with code %d at %r: %s", title, code, path, reason)


def _has_passed(page: Page, request: HttpRequest, reached: type[LiveView] | None) -> bool:
    """Whether a request that has reached the view `reached` has passed the guards of a page.

    It may have come by another URL, or a guard may have answered it with another view.
    """
    if reached is not type(page.view):
        return False
    own = page.request
    return (request.get_full_path(), request.get_host()) == (own.get_full_path(), own.get_host())


# What is too much


class Buckets:
    """A bucket for each of many names, which are forgotten when there are too many."""

    def __init__(self, rate: float, burst: float, names: int = 10_000) -> None:
        self._rate = rate
        self._burst = burst
        self._names = names
        self._buckets: dict[str, Bucket] = {}

    def take(self, name: str) -> bool:
        """Whether one more is allowed now."""
        bucket = self._buckets.pop(name, None) or Bucket(self._rate, self._burst)
        # The last one used is the last one forgotten.
        self._buckets[name] = bucket
        if len(self._buckets) > self._names:
            del self._buckets[next(iter(self._buckets))]
        return bucket.take()


# A page that is gone is mounted or restored for a join, which may cost what a GET does.
joins = Buckets(rate=2.0, burst=10.0)


def is_too_big(text: str, limit: int) -> bool:
    """Whether `text` is longer than `limit` bytes of UTF-8."""
    # A character takes up to four bytes, so most frames need not be encoded to be measured.
    return len(text) * 4 > limit and len(text.encode("utf-8", "surrogatepass")) > limit


# Who gets which page


def join_frame(frame: list[Any]) -> tuple[JoinToken, int, str]:
    """The token of a join, the version that the browser shows, and the id that it gave its tab.

    Raises `ProtocolError`, `TicketError` or `Closing`.
    """
    if frame[0] != wire.JOIN:
        raise Closing(wire.CLOSE_NOT_JOINED, "The first frame must be a join.")
    members: list[Any] = [*frame[1:5], *(None, None, "", "")[len(frame) - 1 :]]
    token, version, _, tab_id = members
    if type(version) is not int or version < 0 or type(tab_id) is not str or len(tab_id) > 64:
        raise ProtocolError('Malformed frame: expected ["join", "token", version, "url", "tab_id"].')
    return load_join_token(token, config.ticket_seconds), version, tab_id


def admits(fingerprint: str, holder: str, tab_id: str, visitor: Visitor) -> bool:
    """Whether a tab of `visitor` gets a page with this fingerprint.

    `holder` is the tab that held it last, or "" if none has. False: the page stays for its owner,
    and the tab gets another one. Raises `Closing` if the tab must not get any page.
    """
    if is_of_user(fingerprint):
        check_user(fingerprint, visitor)
        return True
    if fingerprint and not is_of_session(fingerprint):
        # Another version of the package has made it.
        return False
    if tab_id and tab_id == holder:
        return True
    if fingerprint:
        if same_visitor(fingerprint, visitor.identity):
            return True
        if visitor.is_unknown:
            return False
        raise Closing(wire.CLOSE_REFUSED, _SOMEBODY_ELSE)
    if holder:
        return False
    if visitor.is_user:
        raise Closing(wire.CLOSE_REFUSED, _SOMEBODY_ELSE)
    # The session may have begun after the page was made, perhaps with its own response.
    return True


def check_user(fingerprint: str, visitor: Visitor) -> None:
    """Raise `Closing` if a fingerprint belongs to a user, and the visitor is somebody else."""
    if not is_of_user(fingerprint) or same_visitor(fingerprint, visitor.identity):
        return
    if visitor.is_unknown:
        raise Closing(wire.CLOSE_SESSION, SESSION_LOST)
    raise Closing(wire.CLOSE_REFUSED, _SOMEBODY_ELSE)
