"""The WebSocket transport: a plain ASGI application for scopes of type "websocket".

    connect    the origin is checked
    frames     go into the socket's channel (`live/channel.py`), and out by `Connection.send`
    mounting   a GET with the cookies and headers of the socket, through Django's whole handler

If a browser does not read, the sends of its page wait for a while. Then the socket is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware

from djust.live.channel import Channel, close_all, log_refusal
from djust.live.handler import RequestRunner, Scope, Send
from djust.live.mount import Mount
from djust.loop import finish
from djust.protocol import frames as wire
from djust.protocol.messages import FAILED

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

# A browser that reads nothing for this time counts as gone.
SEND_SECONDS = 30.0
_CLOSE_SECONDS = 5.0


class Sockets:
    """The ASGI application for sockets, and all connections that are open."""

    def __init__(self, runner: RequestRunner) -> None:
        self._runner = runner
        self._open: set[Connection] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = Connection(self._runner, scope, receive, send)
        self._open.add(connection)
        try:
            await connection.run()
        finally:
            self._open.discard(connection)
            connection.ended.set()

    async def close(self) -> None:
        """Close all connections, those of other transports as well, because the server ends."""
        close_all()
        await finish([connection.ended.wait() for connection in self._open], _CLOSE_SECONDS)


class Connection:
    """One socket.

    `close` does not wait. It ends what the socket is doing, even where the browser does not read
    any more, and the socket's own task sends the close reason.
    """

    title = "A socket"

    def __init__(self, runner: RequestRunner, scope: Scope, receive: Receive, send: Send) -> None:
        self.ended = asyncio.Event()
        self._runner = runner
        self._scope = scope
        self._receive = receive
        self._send = send
        self._channel: Channel
        self._life: asyncio.Timeout | None = None
        # Sends that did not end at once.
        self._sends: set[asyncio.Timeout] = set()
        self._close_reason: tuple[int, str] | None = None

    async def run(self) -> None:
        """Serve the socket until it is closed."""
        await self._receive()  # websocket.connect
        request = ASGIRequest(_request_scope(self._scope), BytesIO())
        if not is_allowed(request):
            origin = request.META.get("HTTP_ORIGIN")
            reason = f"its origin {origin!r:.200} is not allowed here"
            log_refusal(self.title, wire.CLOSE_REFUSED, request, reason)
            # Before the handshake: the server answers 403.
            self._close_reason = wire.CLOSE_REFUSED, ""
            await self._send_close()
            return
        self._channel = Channel(self, request, self.get)
        try:
            await self._send({"type": "websocket.accept"})
            await self._serve()
        finally:
            self._channel.lost()
            self._stop_sending()
        await self._send_close()

    async def _serve(self) -> None:
        try:
            async with asyncio.timeout(None) as self._life:
                while self._close_reason is None:
                    message = await self._receive()
                    if message["type"] != "websocket.receive":
                        return
                    text = message.get("text")
                    if text is None:
                        self._channel.refuse(
                            wire.CLOSE_BAD_FRAME, "Malformed frame: expected a text frame, got a binary one."
                        )
                    else:
                        await self._channel.receive(text)
        except TimeoutError:
            # The life of this socket has ended by `close`.
            if self._close_reason is None:
                raise

    # What the channel needs

    async def send(self, text: str) -> None:
        if self._close_reason is None:
            try:
                await self._transmit({"type": "websocket.send", "text": text})
            except Exception:  # noqa: BLE001 — servers differ in what they raise for a socket that is gone
                self._channel.close(FAILED)

    def close(self, code: int, text: str) -> None:
        self._close_reason = code, text
        self._stop_sending()
        if self._life is not None:
            self._life.reschedule(0)

    async def get(self, url: str, mount: Mount) -> HttpResponseBase:
        """Make a GET of `url` through Django's whole handler."""
        return await self._runner.mount(_request_scope(self._scope, url), mount)

    async def _transmit(self, message: Mapping[str, Any]) -> None:
        """Send; gives up if that takes too long, or if the socket is closed in the meantime."""
        sending = self._send(message).__await__()
        try:
            first = next(sending)
        except StopIteration:
            # The usual case. Only the other one needs a clock.
            return
        async with asyncio.timeout(SEND_SECONDS) as clock:
            self._sends.add(clock)
            try:
                await _Begun(sending, first)
            finally:
                self._sends.discard(clock)

    def _stop_sending(self) -> None:
        for clock in self._sends:
            if not clock.expired():
                clock.reschedule(0)
        self._sends.clear()

    async def _send_close(self) -> None:
        if self._close_reason is None:
            return
        code, text = self._close_reason
        try:
            if text:
                await self._transmit({"type": "websocket.send", "text": wire.encode([wire.ERROR, 0, text])})
            await self._transmit({"type": "websocket.close", "code": code})
        except Exception:  # noqa: BLE001, S110 — the socket may be gone, which is all that was wanted
            pass


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
    """The scope of a GET that the socket's browser could have made, of its own path by default."""
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
    """Whether a page of this site, or of a trusted one, opened the socket, as in CSRF checks.

    Browsers always send the origin of a socket. Programs that send none may connect without
    cookies: then there is no session that they could misuse.
    """
    try:
        request.get_host()
    except DisallowedHost:
        return False
    if "HTTP_ORIGIN" not in request.META:
        return not request.COOKIES
    checks = CsrfViewMiddleware(lambda _: HttpResponse())
    is_own_or_trusted: bool = checks._origin_verified(request)  # type: ignore[attr-defined] # the stubs leave it out
    return is_own_or_trusted
