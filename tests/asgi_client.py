"""A browser in this process: it has cookies, makes GETs and opens sockets, all against a plain ASGI
application.

async with Browser() as browser:
    page = await browser.open("/counter/")            GET, connect, join
    assert await page.event("add") == [1, 1, [0, 1]]
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.cookies import SimpleCookie
from importlib import import_module
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.contrib.auth import alogin
from django.contrib.auth.models import User
from django.http import HttpRequest

from djust.asgi import get_asgi_application

SECONDS = 10


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def visible(self) -> str:
        """The text without the marks."""
        return re.sub(r"<!--.{1,2}-->| dj(?=[ >])", "", self.text)

    @property
    def ticket(self) -> str:
        found = re.search(r'data-djust="([^"]*)"', self.text)
        assert found, self.text
        return found[1]


class Closed(Exception):
    """The server has closed the socket."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Browser:
    """One browser. Entered, it also starts and stops the application, as a server does."""

    def __init__(self, application: Any = None, *, host: str = "testserver", headers: Mapping[str, str] = {}) -> None:
        self.application = application or get_asgi_application()
        self.host = host
        self.headers = dict(headers)
        self.cookies: dict[str, str] = {}
        self.sockets: list[Socket] = []

    async def __aenter__(self) -> Self:
        self._life: asyncio.Queue[Any] = asyncio.Queue()
        self._told: asyncio.Queue[Any] = asyncio.Queue()
        self._lifespan = asyncio.create_task(self.application({"type": "lifespan"}, self._life.get, self._told.put))
        await self._life.put({"type": "lifespan.startup"})
        assert (await self._told.get())["type"] == "lifespan.startup.complete"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for socket in self.sockets:
            await socket.close()
        await self._life.put({"type": "lifespan.shutdown"})
        await self._lifespan

    def another(self) -> Browser:
        """A browser of somebody else, of the same server."""
        return Browser(self.application, host=self.host)

    async def log_in(self, user: User) -> None:
        """Get the session cookie of somebody who has logged in."""
        request = HttpRequest()
        request.session = import_module(settings.SESSION_ENGINE).SessionStore()
        await alogin(request, user, backend="django.contrib.auth.backends.ModelBackend")
        await request.session.asave()
        self.cookies[settings.SESSION_COOKIE_NAME] = request.session.session_key or ""

    async def log_out(self) -> None:
        """End the session; the cookie is gone with it."""
        key = self.cookies.pop(settings.SESSION_COOKIE_NAME)
        await import_module(settings.SESSION_ENGINE).SessionStore(key).adelete()

    def _headers(self, extra: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        headers = {"host": self.host, **self.headers}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers |= extra
        return [(name.encode(), value.encode()) for name, value in headers.items() if value or name == "x-djust"]

    def _scope(self, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
        parts = urlsplit(url)
        return {
            "path": parts.path,
            "raw_path": quote(parts.path).encode(),
            "query_string": parts.query.encode("utf-8", "surrogateescape"),
            "root_path": "",
            "headers": self._headers(headers),
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 80),
        }

    async def get(self, url: str, method: str = "GET", body: bytes = b"", **headers: str) -> Response:
        incoming: asyncio.Queue[Any] = asyncio.Queue()
        outgoing: asyncio.Queue[Any] = asyncio.Queue()
        await incoming.put({"type": "http.request", "body": body})
        scope = {"type": "http", "method": method, "scheme": "http", **self._scope(url, headers)}
        async with asyncio.timeout(SECONDS):
            await self.application(scope, incoming.get, outgoing.put)
        start = await outgoing.get()
        body = b"".join([(await outgoing.get()).get("body", b"") for _ in range(outgoing.qsize())])
        reply: dict[str, str] = {}
        for name, value in start["headers"]:
            if name.lower() == b"set-cookie":
                for morsel in SimpleCookie(value.decode()).values():
                    self.cookies[morsel.key] = morsel.value
            else:
                reply[name.decode().lower()] = value.decode()
        return Response(start["status"], reply, body)

    async def connect(self, path: str = "/djust/socket/", origin: str | None = None, **headers: str) -> Socket:
        """Open a socket; raises `Closed` if the server refuses it. `origin=""` sends none."""
        headers["origin"] = f"http://{self.host}" if origin is None else origin
        socket = Socket({"type": "websocket", "scheme": "ws", "subprotocols": [], **self._scope(path, headers)})
        self.sockets.append(socket)
        await socket.start(self.application)
        return socket

    async def join(self, ticket: str, version: int = 0, document: str = "one") -> tuple[Socket, list[Any]]:
        """Open a socket and join. `document` is the id of the document: a second tab has another
        one.
        """
        socket = await self.connect()
        await socket.send(["join", ticket, version, "/", document])
        return socket, await socket.receive()

    async def open(self, url: str) -> Socket:
        """Load a page and join it."""
        response = await self.get(url)
        assert response.status == 200, response
        socket, joined = await self.join(response.ticket)
        assert joined[:2] == ["joined", 0], joined
        socket.response = response
        return socket


class Socket:
    """The browser's end of a socket. Frames are JSON; text and bytes are sent as they are."""

    response: Response

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.ref = 0
        self.breaks = False
        self.pauses = False
        self.stalls = False
        self.stalled = asyncio.Event()
        self.reads = asyncio.Event()
        self._incoming: asyncio.Queue[Any] = asyncio.Queue()
        self._outgoing: asyncio.Queue[Any] = asyncio.Queue()

    async def start(self, application: Any) -> None:
        self._task = asyncio.create_task(application(self.scope, self._incoming.get, self._take))
        await self._incoming.put({"type": "websocket.connect"})
        answer = await self._message()
        if answer["type"] == "websocket.close":
            await self._end(answer)

    async def send(self, frame: list[Any] | str | bytes) -> None:
        message: dict[str, Any] = {"type": "websocket.receive"}
        if isinstance(frame, bytes):
            message["bytes"] = frame
        else:
            message["text"] = frame if isinstance(frame, str) else json.dumps(frame)
        await self._incoming.put(message)

    async def receive_text(self) -> str:
        message = await self._message()
        if message["type"] == "websocket.close":
            await self._end(message)
        text = message["text"]
        assert isinstance(text, str)
        return text

    async def receive(self) -> Any:
        return json.loads(await self.receive_text())

    async def post(self, handler: str, params: Mapping[str, Any] = {}, *args: Any) -> int:
        """Send an event, which asks for the handler's reply, without waiting for the answer; its
        reference.
        """
        self.ref += 1
        await self.send([self.ref, handler, dict(params), list(args), 1])
        return self.ref

    async def event(self, handler: str, params: Mapping[str, Any] = {}, *args: Any) -> Any:
        await self.post(handler, params, *args)
        return await self.receive()

    async def closing(self) -> int:
        """Read on until the server closes the socket; the code."""
        with suppress(Closed):
            while True:
                await self.receive()
        return self.code

    async def close(self) -> None:
        """Go away, and wait until the server has noticed."""
        if not self._task.done():
            await self._incoming.put({"type": "websocket.disconnect", "code": 1001})
            async with asyncio.timeout(SECONDS):
                await self._task

    async def _take(self, message: Any) -> None:
        if self.breaks:
            raise OSError("the connection is gone")
        if self.stalls:
            # A browser that does not read: the server's send waits.
            self.stalled.set()
            await self.reads.wait()
        if self.pauses:
            await asyncio.sleep(0)
            with suppress(RuntimeError):
                await self._fail_soon()
        await self._outgoing.put(message)

    async def _fail_soon(self) -> None:
        failing = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(failing.set_exception, RuntimeError("handled by the server itself"))
        await failing

    async def ended(self) -> None:
        """Wait until the server is through with this socket."""
        async with asyncio.timeout(SECONDS):
            await self._task

    async def _message(self) -> Any:
        async with asyncio.timeout(SECONDS):
            waiting = asyncio.create_task(self._outgoing.get())
            await asyncio.wait([waiting, self._task], return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done() and self._outgoing.empty():
                waiting.cancel()
                self._task.result()
                raise AssertionError("the application ended without closing the socket")
            return await waiting

    async def _end(self, message: Mapping[str, Any]) -> None:
        self.code = message.get("code", 1000)
        await self._incoming.put({"type": "websocket.disconnect", "code": self.code})
        async with asyncio.timeout(SECONDS):
            await self._task
        raise Closed(self.code)
