"""The socket: carries frames between browsers and pages.

A plain ASGI application for scopes of type "websocket". Its connection joins one page:

    connect   the origin is checked
    join      the ticket is checked, and that the visitor is the one it was made for; then the page is
              here: attached to this connection, or
              gone: mounted anew by a GET of the ticket's URL, made with this socket's cookies and headers
    events    go into the page's mailbox; the page sends its answers through `Connection.send`
    close     the page is kept for a while

The receiving loop never waits for a handler: a ping is answered while one runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.utils.http import is_same_domain

from djust.conf import config
from djust.exceptions import ProtocolError, TicketError
from djust.live.http import Adoption, Backstage, Scope, Send
from djust.live.limits import Bucket, is_too_big
from djust.live.page import Event, Joining, Page, message_of
from djust.live.registry import registry
from djust.live.visitor import ANONYMOUS, Visitor, visitor_of
from djust.live.workers import workers
from djust.render import wire
from djust.state.tickets import Ticket, load_ticket, make_ticket, same_visitor

logger = logging.getLogger("djust")

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

# Close codes of WebSocket itself.
NORMAL = 1000
FAILED = 1011
RESTARTING = 1012

_PONG = wire.encode([wire.PONG])


class Sockets:
    """The ASGI application for sockets, and all connections that are open."""

    def __init__(self, backstage: Backstage) -> None:
        self._backstage = backstage
        self._open: set[Connection] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        registry.keep_sweeping()
        connection = Connection(self._backstage, scope, receive, send)
        self._open.add(connection)
        try:
            await connection.run()
        finally:
            self._open.discard(connection)

    async def close(self) -> None:
        """Close all connections, because the server ends."""
        await asyncio.gather(*[connection.close(RESTARTING) for connection in self._open])


class _Closing(Exception):  # noqa: N818 — not an error of ours: the reason why a socket is closed
    """Close the connection with this code; `text` is shown."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Connection:
    """One socket."""

    def __init__(self, backstage: Backstage, scope: Scope, receive: Receive, send: Send) -> None:
        self._backstage = backstage
        self._scope = scope
        self._receive = receive
        self._send = send
        self._cookies: dict[str, str] = {}
        self._page: Page | None = None
        self._joining: asyncio.Task[None] | None = None
        # Frames that are no events have no answer to refuse them with.
        self._others = Bucket(config().events_per_second)
        self._is_closed = False

    async def run(self) -> None:
        """Serve the socket until it is closed."""
        await self._receive()  # websocket.connect
        request = ASGIRequest(_request_scope(self._scope), BytesIO())
        if not is_allowed(request):
            # Before the handshake: the server answers 403.
            await self.close(wire.CLOSE_REFUSED)
            return
        self._cookies = request.COOKIES
        await self._send({"type": "websocket.accept"})
        try:
            await self._serve()
        except ProtocolError as error:
            logger.info("%s", error)
            await self.close(wire.CLOSE_BAD_FRAME, str(error))
        except _Closing as closing:
            await self.close(closing.code, closing.text)
        finally:
            self._leave()

    async def send(self, text: str) -> None:
        """Send one frame, if the socket is still there."""
        if not self._is_closed:
            try:
                await self._send({"type": "websocket.send", "text": text})
            except Exception:  # noqa: BLE001 — servers differ in what they raise for a socket that is gone
                self._is_closed = True

    async def close(self, code: int, text: str = "") -> None:
        """Close the socket; the browser is told `text` before."""
        if self._is_closed:
            return
        if text:
            await self.send(wire.encode([wire.ERROR, 0, text]))
        self._is_closed = True
        await self._send({"type": "websocket.close", "code": code})

    def _leave(self) -> None:
        self._is_closed = True
        if self._joining is not None:
            self._joining.cancel()
        if self._page is not None:
            if self._page.peer is self:
                self._page.peer = None
            registry.release(self._page, self)

    # Frames

    async def _serve(self) -> None:
        try:
            async with asyncio.timeout(config().join_seconds):
                frame = await self._next_frame()
        except TimeoutError:
            raise _Closing(wire.CLOSE_NOT_JOINED, "The page did not join in time.") from None
        if frame is None:
            return
        if frame[0] != wire.JOIN:
            raise _Closing(wire.CLOSE_NOT_JOINED, "The first frame must be a join.")
        self._joining = asyncio.create_task(self._join(frame))
        while (frame := await self._next_frame()) is not None:
            if frame[0] == wire.PING:
                await self._answer_ping()
            else:
                await self._post(frame)

    async def _next_frame(self) -> list[Any] | None:
        """The next frame of the browser, or None when the socket is closed."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return None
        text = message.get("text")
        if text is None:
            raise ProtocolError("Malformed frame: expected a text frame, got a binary one.")
        limit = config().max_frame
        if is_too_big(text, limit):
            raise _Closing(wire.CLOSE_TOO_BIG, f"A frame may have at most {limit} bytes.")
        return wire.decode(text)

    async def _answer_ping(self) -> None:
        self._count_other()
        await self.send(_PONG)

    async def _post(self, frame: list[Any]) -> None:
        message = message_of(frame)
        if type(message) is not Event:
            self._count_other()
        if self._page is None and self._joining is not None:
            # An event right behind the join: the page may still have to be mounted.
            await asyncio.wait([self._joining])
        if self._page is None:
            return
        if type(message) is Event and self._page.is_full:
            text = "Too many events wait for their turn; this one was left out."
            await self.send(wire.encode([wire.ERROR, message.ref, text]))
        else:
            self._page.post(message)

    def _count_other(self) -> None:
        if not self._others.take():
            raise _Closing(wire.CLOSE_TOO_MANY, "Too many frames in a short time.")

    # Joining

    async def _join(self, frame: list[Any]) -> None:
        try:
            ticket, version = _join_members(frame)
            visitor = await self._visitor(ticket)
            page, holder = registry.claim(ticket.page_id, self, version)
            if page is None:
                await self._mount_anew(ticket, visitor)
            else:
                self._page = page
                page.post(Joining(self, version))
            if holder is not None:
                await holder.close(NORMAL)
        except TicketError as error:
            if error.expired:
                await self._go(error.url)
            else:
                await self.close(wire.CLOSE_REFUSED, str(error))
        except ProtocolError as error:
            await self.close(wire.CLOSE_BAD_FRAME, str(error))
        except _Closing as closing:
            await self.close(closing.code, closing.text)
        except Exception:
            logger.exception("A page could not be joined")
            await self.close(FAILED, "The page could not be opened. Something went wrong.")

    async def _visitor(self, ticket: Ticket) -> Visitor:
        """Whose socket this is; refuses a visitor for whom the ticket was not made."""
        visitor = ANONYMOUS
        if ticket.binding or settings.SESSION_COOKIE_NAME in self._cookies:
            visitor = await workers.run(visitor_of, self._cookies)
        if same_visitor(ticket.binding, visitor.binding):
            return visitor
        if not ticket.binding and visitor.is_anonymous:
            # The session began after the page was made, perhaps with its own response.
            return visitor
        raise _Closing(wire.CLOSE_REFUSED, "This page was opened in another session or by another user.")

    async def _mount_anew(self, ticket: Ticket, visitor: Visitor) -> None:
        adoption = Adoption()
        response = await self._backstage.adopt(_request_scope(self._scope, ticket.url), adoption)
        page = adoption.page
        if page is not None:
            self._page = page
            registry.attach(page, self)
            page.post(Joining(self, None, make_ticket(Ticket(page.id, ticket.url, visitor.binding))))
        elif response.status_code < 400:
            # A redirect, to a login page perhaps, or a view that is not live any more.
            await self._go(response.headers.get("Location", ticket.url))
        else:
            code = wire.CLOSE_REFUSED if response.status_code < 500 else FAILED
            raise _Closing(code, f"The page cannot be opened any more: {response.reason_phrase}.")

    async def _go(self, url: str) -> None:
        await self.send(wire.encode([wire.GO, url]))
        await self.close(NORMAL)


def _join_members(frame: list[Any]) -> tuple[Ticket, int]:
    ticket, version = ([*frame[1:3], None, None])[:2]
    if type(version) is not int or version < 0:
        raise ProtocolError('Malformed frame: expected ["join", "ticket", version, "url"].')
    return load_ticket(ticket, config().ticket_seconds), version


def _request_scope(scope: Scope, url: str = "") -> Scope:
    """The scope of a GET of `url` (of the socket's own path without one) that the socket's browser could have made."""
    parts = urlsplit(url)
    dropped = (b"connection", b"upgrade", b"sec-websocket-", *((b"origin",) if url else ()))
    return {
        "type": "http",
        "asgi": scope.get("asgi", {}),
        "http_version": scope.get("http_version", "1.1"),
        "method": "GET",
        "scheme": "https" if scope.get("scheme") == "wss" else "http",
        "path": unquote(parts.path) if url else scope["path"],
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": scope.get("root_path", ""),
        "headers": [(name, value) for name, value in scope["headers"] if not name.lower().startswith(dropped)],
        "client": scope.get("client"),
        "server": scope.get("server"),
        "extensions": {},
    }


# Origins


def is_allowed(request: HttpRequest) -> bool:
    """Whether a page of this site, or of a trusted one, opened the socket. The rules are those of Django's CSRF check.

    Browsers always say where a socket comes from. Programs that do not say are let in when they bring no cookies: then
    there is nobody whose session they could misuse.
    """
    try:
        own = f"{request.scheme}://{request.get_host()}"
    except DisallowedHost:
        return False
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None:
        return not request.COOKIES
    return origin == own or any(_matches(origin, trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def _matches(origin: str, trusted: str) -> bool:
    """Whether `origin` is the trusted one, which may be a pattern such as `https://*.example.com`."""
    if "*" not in trusted:
        return origin == trusted
    try:
        given, wanted = urlsplit(origin), urlsplit(trusted)
    except ValueError:
        return False
    return given.scheme == wanted.scheme and is_same_domain(given.netloc, wanted.netloc.lstrip("*"))
