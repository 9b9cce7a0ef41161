"""Many browser pages in one process: a socket that costs the load generator as little as it can.

page = await Page(port).open("/")
page.send("click", due)         page.times gets the milliseconds from `due` to the answer
await page.event("click")       the same, awaited
"""

import asyncio
import html
import http.client
import json
import re
import time
from typing import Any

_TICKET = re.compile(r'data-djust="([^"]*)"')


class Page(asyncio.Protocol):
    """One browser page: its own session, its own socket. It speaks just enough of WebSocket (RFC
    6455).
    """

    def __init__(self, port: int) -> None:
        self.port, self.ref = port, 0
        self.times: list[float] = []
        self.frames: asyncio.Queue[str] | None = None
        self._due: dict[int, tuple[float, asyncio.Future[float] | None]] = {}
        self._buffer = b""
        self._shaken = asyncio.get_running_loop().create_future()
        self._joined: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._transport: Any = None

    async def open(self, path: str) -> "Page":
        ticket, cookie = await asyncio.to_thread(self._get, path)
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self.port)
        lines = [
            "GET /djust/socket/ HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Origin: http://127.0.0.1:{self.port}",
            *([f"Cookie: {cookie}"] if cookie else []),
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ]
        self._transport.write("\r\n".join([*lines, "", ""]).encode())
        await self._shaken
        self._write(json.dumps(["join", ticket, 0, path, f"document-{id(self)}"]))
        joined = await self._joined
        if not joined.startswith('["joined"'):
            raise RuntimeError(f"The page was not joined: {joined:.200}")
        return self

    def close(self) -> None:
        self._transport.close()

    def _get(self, path: str) -> tuple[str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        cookies = [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie") or []]
        ticket = _TICKET.search(text)
        if ticket is None:
            raise RuntimeError(f"This is not a live page: {text[:200]}")
        return html.unescape(ticket[1]), "; ".join(cookies)

    def send(self, handler: str, due: float, awaited: asyncio.Future[float] | None = None) -> None:
        """Send an event that should have been sent at `due`."""
        self.ref += 1
        self._due[self.ref] = due, awaited
        self._write(f'[{self.ref},"{handler}",{{}}]')

    async def event(self, handler: str) -> float:
        """Milliseconds until the answer."""
        awaited: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.send(handler, time.perf_counter(), awaited)
        return await awaited

    def _write(self, text: str) -> None:
        self._write_frame(b"\x81", text.encode())

    def _write_frame(self, kind: bytes, data: bytes) -> None:
        # A client masks what it sends; a mask of zeros leaves it as it is.
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        self._transport.write(kind + length + b"\0\0\0\0" + data)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        for _, awaited in self._due.values():
            if awaited is not None and not awaited.done():
                awaited.set_exception(error or ConnectionError("The server has closed the socket."))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        buffer = self._buffer + data
        if not self._shaken.done():
            head, found, buffer = buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            if b" 101 " not in head:
                raise RuntimeError(head.decode())
            self._shaken.set_result(None)
        while (size := _whole(buffer)) is not None:
            start, end = size
            if buffer[0] == 0x81:
                self._take(buffer[start:end].decode(), now)
            elif buffer[0] == 0x89:
                # A ping; the server closes sockets that do not answer.
                self._write_frame(b"\x8a", buffer[start:end])
            buffer = buffer[end:]
        self._buffer = buffer

    def _take(self, text: str, now: float) -> None:
        if not self._joined.done():
            self._joined.set_result(text)
        elif text.startswith('["error"'):
            raise RuntimeError(text)
        elif (answered := self._due.pop(int(text[1 : text.index(",")]), None)) is not None:
            due, awaited = answered
            self.times.append((now - due) * 1e3)
            if awaited is not None:
                awaited.set_result(self.times[-1])
        elif self.frames is not None:
            self.frames.put_nowait(text)


def _whole(buffer: bytes) -> tuple[int, int] | None:
    """Where the content of the first frame begins and ends; None if it is not here as a whole."""
    if len(buffer) < 2:
        return None
    start, size = 2, buffer[1]
    if size >= 126:
        start = 4 if size == 126 else 10
        size = int.from_bytes(buffer[2:start], "big")
    return (start, start + size) if len(buffer) >= start + size else None


async def open_pages(port: int, path: str, count: int) -> list[Page]:
    """So many pages, a few at a time."""
    gate = asyncio.Semaphore(4)

    async def one() -> Page:
        async with gate:
            return await Page(port).open(path)

    return list(await asyncio.gather(*[one() for _ in range(count)]))


def percentile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]
