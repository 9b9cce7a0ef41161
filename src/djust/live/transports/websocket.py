"""The socket: carries frames between browsers and pages.

A plain ASGI application for scopes of type "websocket". Its connection joins one page:

    connect   the origin is checked
    join      the ticket is checked, and that the visitor is the one it was made for; then the page is
              here: attached to this connection, or
              gone: a GET of the ticket's URL, made with this socket's cookies and headers, restores it from its
              snapshot, or remounts it
    events    go into the page's mailbox; the page sends its answers through `Connection.send`
    close     the page is kept for a while

The receiving loop never waits for a handler: a ping is answered while one runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.utils.http import is_same_domain

from djust import process
from djust.conf import config
from djust.exceptions import ProtocolError, ServerBusyError, TicketError
from djust.live.handler import RequestRunner, Scope, Send
from djust.live.joining import Closing, admits, check_user, join_frame
from djust.live.limits import Bucket, is_too_big, joins
from djust.live.logout import watch
from djust.live.mount import Mount, Purpose, known_version
from djust.live.page import Page
from djust.live.registry import registry
from djust.live.snapshots import keep_as, snapshot_of
from djust.live.token import JoinToken, make_join_token
from djust.live.visitor import NOBODY, SessionStoreError, Visitor, visitor_of
from djust.protocol import frames as wire
from djust.protocol.messages import Event, Joining, Message, Visit, message_of
from djust.threads.pools import Caller, io_pool

logger = logging.getLogger("djust")

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

# Close codes of WebSocket itself.
NORMAL = 1000
FAILED = 1011
RESTARTING = 1012

# A browser that takes nothing for so long is gone.
SEND_SECONDS = 30.0
_CLOSE_SECONDS = 5.0

_PONG = wire.encode([wire.PONG])


class Sockets:
    """The ASGI application for sockets, and all connections that are open."""

    def __init__(self, runner: RequestRunner) -> None:
        self._runner = runner
        self._open: set[Connection] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        process.start()
        connection = Connection(self._runner, scope, receive, send)
        self._open.add(connection)
        try:
            await connection.run()
        finally:
            self._open.discard(connection)

    async def close(self) -> None:
        """Close all connections, because the server ends."""
        for connection in self._open:
            connection.close(RESTARTING)
        if self._open:
            waiting = [asyncio.create_task(connection.ended.wait()) for connection in self._open]
            await asyncio.wait(waiting, timeout=_CLOSE_SECONDS)


class Connection:
    """One socket.

    Whoever closes it does not wait for it: `close` ends what the socket is doing, be it that its browser does not read
    any more, and its own task says good-bye.
    """

    def __init__(self, runner: RequestRunner, scope: Scope, receive: Receive, send: Send) -> None:
        self.ended = asyncio.Event()
        self._runner = runner
        self._scope = scope
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._life: asyncio.Timeout | None = None
        # That of the handshake, until a page has taken it over.
        self._request: HttpRequest | None = None
        self._page: Page | None = None
        self._joining: asyncio.Task[None] | None = None
        # What arrives before the page is here.
        self._early: list[Message] = []
        # Sends that have not come to an end at once.
        self._sends: set[asyncio.Timeout] = set()
        # Frames that are no events have no answer to refuse them with.
        self._others = Bucket(config().events_per_second)
        self._is_closed = False
        self._close_reason: tuple[int, str] | None = None

    async def run(self) -> None:
        """Serve the socket until it is closed."""
        await self._receive()  # websocket.connect
        request = ASGIRequest(_request_scope(self._scope), BytesIO())
        try:
            if is_allowed(request):
                self._request = request
                await self._send({"type": "websocket.accept"})
                await self._live()
            else:
                # Before the handshake: the server answers 403.
                origin = request.META.get("HTTP_ORIGIN")
                self._end(wire.CLOSE_REFUSED, refused=f"its origin {origin!r:.200} is not allowed here")
            await self._say_good_bye()
        finally:
            self._leave()
            self.ended.set()

    async def _live(self) -> None:
        try:
            async with asyncio.timeout(None) as self._life:
                if not self._is_closed:
                    await self._serve()
        except TimeoutError:
            # The life of this socket has ended by `close`.
            if not self._is_closed:
                raise
        except ProtocolError as error:
            self._end(wire.CLOSE_BAD_FRAME, str(error), refused=str(error))
        except Closing as closing:
            self._end(closing.code, closing.text, refused=closing.text)
        finally:
            self._leave()

    async def send(self, text: str) -> None:
        """Send one frame, if the socket is still there."""
        if not self._is_closed:
            try:
                await self._transmit({"type": "websocket.send", "text": text})
            except Exception:  # noqa: BLE001 — servers differ in what they raise for a socket that is gone
                self.close(FAILED)

    async def _transmit(self, message: Mapping[str, Any]) -> None:
        """Send; gives up where that takes too long, or when the socket is closed meanwhile."""
        sending = self._send(message).__await__()
        try:
            first = next(sending)
        except StopIteration:
            # The usual case, and only the other one needs a clock.
            return
        async with asyncio.timeout(SEND_SECONDS) as clock:
            self._sends.add(clock)
            try:
                await _Begun(sending, first)
            finally:
                self._sends.discard(clock)

    def close(self, code: int, text: str = "") -> None:
        """Close the socket, soon; the browser is told `text` before."""
        self._stop(code, text)

    def close_from_thread(self, code: int, text: str = "") -> None:
        """As `close`, in any thread."""
        self._loop.call_soon_threadsafe(self.close, code, text)

    def _end(self, code: int, text: str = "", refused: str = "") -> None:
        if refused:
            path = self._scope["path"] if self._page is None else self._page.request.path
            logger.warning("A socket was closed with code %d at %r: %s", code, path, refused)
        self._is_closed = True
        self._close_reason = code, text
        self._stop_sending()

    def _stop(self, code: int, text: str = "", refused: str = "") -> None:
        if not self._is_closed:
            self._end(code, text, refused)
            if self._life is not None:
                self._life.reschedule(0)

    def _stop_sending(self) -> None:
        for clock in self._sends:
            if not clock.expired():
                clock.reschedule(0)
        self._sends.clear()

    async def _say_good_bye(self) -> None:
        if self._close_reason is None:
            return
        code, text = self._close_reason
        try:
            if text:
                await self._transmit({"type": "websocket.send", "text": wire.encode([wire.ERROR, 0, text])})
            await self._transmit({"type": "websocket.close", "code": code})
        except Exception:  # noqa: BLE001, S110 — the socket may be gone, which is all that was wanted
            pass

    def _leave(self) -> None:
        self._is_closed = True
        self._stop_sending()
        if self._joining is not None:
            self._joining.cancel()
        if self._page is not None:
            self._page.detach(self)
            registry.release(self._page, self)
            self._page.snapshots.flush_now(self._page)

    # Frames

    async def _serve(self) -> None:
        try:
            async with asyncio.timeout(config().join_seconds):
                frame = await self._next_frame()
        except TimeoutError:
            raise Closing(wire.CLOSE_NOT_JOINED, "The page did not join in time.") from None
        if frame is None:
            return
        self._joining = asyncio.create_task(self._join(frame))
        while (frame := await self._next_frame()) is not None:
            if self._is_closed:
                return
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
            raise Closing(wire.CLOSE_TOO_BIG, f"A frame may have at most {limit} bytes.")
        return wire.decode(text)

    async def _answer_ping(self) -> None:
        self._count_other()
        await self.send(_PONG)

    async def _post(self, frame: list[Any]) -> None:
        message = message_of(frame)
        if type(message) is not Event:
            self._count_other()
        page = self._page
        is_full = len(self._early) >= config().max_waiting if page is None else page.is_full
        if type(message) is Event and is_full:
            text = "Too many events wait for their turn; this one was left out."
            await self.send(wire.encode([wire.ERROR, message.ref, text]))
        elif page is None:
            # Right behind the join: the page may still have to be mounted.
            self._early.append(message)
        else:
            page.post(message)

    def _count_other(self) -> None:
        if not self._others.take():
            raise Closing(wire.CLOSE_TOO_MANY, "Too many frames in a short time.")

    # Joining

    async def _join(self, frame: list[Any]) -> None:
        try:
            ticket, version, document = join_frame(frame)
            visitor = await self._visitor()
            may_have = partial(admits, document=document, visitor=visitor)
            page, holder = registry.claim(ticket.page_id, self, document, may_have)
            if page is None:
                await self._bring_back(ticket, visitor, version, document)
            else:
                watch(page, visitor)
                if self._request is not None:
                    page.post(Visit(self._request))
                self._take(page, Joining(self, version, document=document))
            if holder is not None:
                holder.close(NORMAL)
        except TicketError as error:
            if error.expired:
                await self._go(error.url)
            else:
                self._stop(wire.CLOSE_REFUSED, str(error), refused=str(error))
        except ProtocolError as error:
            self._stop(wire.CLOSE_BAD_FRAME, str(error), refused=str(error))
        except Closing as closing:
            self._stop(closing.code, closing.text, refused=closing.text)
        except SessionStoreError:
            # The browser tries again, and the look-up has logged it.
            self.close(FAILED)
        except ServerBusyError as error:
            # So it does here, and the pool has logged it.
            self.close(FAILED, str(error))
        except Exception:
            logger.exception("A page could not be joined")
            self.close(FAILED, "The page could not be opened. Something went wrong.")

    def _take(self, page: Page, joining: Joining) -> None:
        self._page, self._request = page, None
        page.post(joining)
        for message in self._early:
            page.post(message)
        self._early.clear()

    async def _visitor(self) -> Visitor:
        """Whose socket this is."""
        cookies = {} if self._request is None else self._request.COOKIES
        if settings.SESSION_COOKIE_NAME not in cookies:
            return NOBODY
        return await io_pool.run_for(Caller(title="a join"), visitor_of, cookies)

    async def _bring_back(self, ticket: JoinToken, visitor: Visitor, version: int, document: str) -> None:
        """The page is not here: restore it from its snapshot, or remount it."""
        check_user(ticket.binding, visitor)
        if not joins.take(ticket.page_id):
            raise Closing(wire.CLOSE_TOO_MANY, "Too many joins in a short time.")
        scope = _request_scope(self._scope, ticket.url)
        may_have = partial(admits, document=document, visitor=visitor)
        snapshot = await snapshot_of(ticket.page_id, document, may_have)
        mount = Mount(Purpose.RESTORE, snapshot=snapshot)
        response = await self._runner.mount(scope, mount)
        if mount.restore_failed:
            mount = Mount(Purpose.RESTORE)
            response = await self._runner.mount(scope, mount)
        page = mount.page_in(response)
        if page is not None:
            watch(page, visitor)
            if mount.snapshot is not None:
                # Before the browser forgets the ticket that leads to it.
                await keep_as(page, mount.snapshot)
            registry.attach(page, self, document)
            new = make_join_token(JoinToken(page.id, ticket.url, page.binding))
            known = known_version(page, mount, ticket, version)
            self._take(page, Joining(self, known, new, document, passed=True))
        elif response.status_code < 400:
            # A redirect, to a login page perhaps, or a view that is not live any more.
            await self._go(response.headers.get("Location", ticket.url))
        else:
            code = wire.CLOSE_REFUSED if response.status_code < 500 else FAILED
            raise Closing(code, f"The page cannot be opened any more: {response.reason_phrase}.")

    async def _go(self, url: str) -> None:
        await self.send(wire.encode([wire.GO, url]))
        self.close(NORMAL)


class _Begun:
    """Awaits the rest of a coroutine that was begun by hand and now waits for `first`."""

    __slots__ = ("_first", "_rest")

    def __init__(self, rest: Generator[Any, None, Any], first: Any) -> None:
        self._rest = rest
        self._first = first

    def __await__(self) -> Generator[Any, None, None]:
        waiting = self._first
        while True:
            try:
                try:
                    yield waiting
                except BaseException as error:  # noqa: BLE001 — it belongs to the coroutine
                    waiting = self._rest.throw(error)
                else:
                    waiting = next(self._rest)
            except StopIteration:
                return


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
