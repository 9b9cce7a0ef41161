"""A page over each transport: the same methods, whatever carries its frames.

    page = wire(browser, "/counter/5/")
    assert await page.open() == ["joined", 0]
    assert (await page.event("add"))[:3] == [1, 1, [0, 6]]
    await page.lose()
    assert await page.join(page.response.ticket, 1) == ["joined", 1, 1]

Fixtures of `conftest.py`: `wire` is each transport of a browser, `driver` the test client as well.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from typing import Any

from djust.exceptions import HandlerError
from djust.live.transports.post import _connections
from djust.testing import LiveClient
from tests.asgi_client import Browser, Closed, Response, Socket


class Wire:
    """One page over one transport: frames go in, the next frame comes out."""

    # The id that the browser gives its document.
    document = "one"
    response: Response

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser, self.url, self.ref = browser, url, 0

    async def event(self, name: str, params: dict[str, Any] | None = None) -> list[Any]:
        await self.post(name, params)
        return await self.receive()

    async def post(self, name: str, params: dict[str, Any] | None = None) -> None:
        """Send an event, which asks for the handler's reply, without reading the answer."""
        self.ref += 1
        await self.send([self.ref, name, params or {}, [], 1])

    async def send(self, *frames: list[Any] | str) -> None:
        """Send frames, together where the transport can. A text is sent as it is."""
        raise NotImplementedError

    async def receive(self) -> list[Any]:
        raise NotImplementedError

    async def open(self) -> list[Any]:
        """Load the page and join it."""
        self.response = await self.browser.get(self.url)
        return await self.join(self.response.ticket)

    async def join(self, ticket: str, version: int = 0) -> list[Any]:
        """Join over a new connection; the first frame."""
        await self.connect()
        await self.send(["join", ticket, version, "/", self.document])
        return await self.receive()

    async def connect(self) -> None:
        """Begin a new connection, without a join."""
        raise NotImplementedError

    async def closing(self) -> int:
        """Read on until the server ends the connection; the code."""
        raise NotImplementedError

    async def lose(self) -> None:
        """Lose the connection, and wait until the server has noticed."""
        raise NotImplementedError

    async def again(self, version: int) -> list[Any]:
        """Join the page again, which the document shows in this version; the first frame."""
        return await self.join(self.response.ticket, version)


def _text(frame: list[Any] | str) -> str:
    return frame if isinstance(frame, str) else json.dumps(frame)


class SocketWire(Wire):
    socket: Socket

    async def connect(self) -> None:
        self.socket = await self.browser.connect()

    async def send(self, *frames: list[Any] | str) -> None:
        for frame in frames:
            await self.socket.send(frame)

    async def receive(self) -> list[Any]:
        frame: list[Any] = await self.socket.receive()
        return frame

    async def closing(self) -> int:
        return await self.socket.closing()

    async def lose(self) -> None:
        await self.socket.close()


class PostWire(Wire):
    streams = False

    async def connect(self) -> None:
        self.id, self.frames, self.code = "", [], 0
        self.token = (await self.browser.get(self.url, **{"x-djust": ""})).text

    async def send(self, *frames: list[Any] | str) -> None:
        headers = {"x-djust": self.id, "x-csrftoken": self.token, "content-type": "text/plain"}
        if self.streams:
            headers["x-djust-stream"] = "1"
        body = "\n".join(_text(frame) for frame in frames)
        response = await self.browser.get(self.url, "POST", body=body.encode(), **headers)
        assert response.status == 200, response
        self.id = self.id or response.headers["x-djust"]
        self.code = int(response.headers.get("x-djust-close", 0))
        self.more = "x-djust-more" in response.headers
        self.frames += [json.loads(line) for line in response.text.split("\n") if line]

    async def receive(self) -> list[Any]:
        async with asyncio.timeout(10):
            while not self.frames:
                if self.code:
                    raise Closed(self.code)
                await self.send()
                await asyncio.sleep(0.01)
        frame: list[Any] = self.frames.pop(0)
        return frame

    async def closing(self) -> int:
        async with asyncio.timeout(10):
            while not self.code:
                await self.send()
                await asyncio.sleep(0.01)
        return self.code

    async def lose(self) -> None:
        # As when nothing has come from the browser for a minute.
        _connections[self.id].channel.close(1012)


class StreamWire(PostWire):
    """As the client with an EventSource, which works when its first event has come.

    Two POSTs say so to the server.
    """

    async def join(self, ticket: str, version: int = 0) -> list[Any]:
        self.streams = False
        frame = await super().join(ticket, version)
        if self.code:
            return frame
        connection = _connections[self.id]
        self.events = connection.stream()
        assert (await anext(self.events)).endswith("data: \n\n")
        self.streams = True
        await self.send()
        await self.send()
        return frame

    async def receive(self) -> list[Any]:
        if self.frames or self.code:
            return await super().receive()
        async with asyncio.timeout(10):
            try:
                text = await anext(self.events)
            except StopAsyncIteration:
                # The browser asks why.
                return await super().receive()
        frame: list[Any] = json.loads(text.removeprefix("data: "))
        return frame


class ClientWire(Wire):
    """The test client, in a thread without an event loop, as it wants to have."""

    async def open(self) -> list[Any]:
        self.client = await asyncio.to_thread(LiveClient, self.url)
        self.driver = self.client._driver
        return await self.receive()

    async def send(self, *frames: list[Any] | str) -> None:
        # What a handler raises is in the frame as well.
        with suppress(ValueError, HandlerError):
            await asyncio.to_thread(self.driver.receive, *(_text(frame) for frame in frames))

    async def receive(self) -> list[Any]:
        if not self.driver.frames:
            await self.send()
        return self.driver.frames.pop(0)

    async def lose(self) -> None:
        await asyncio.to_thread(self.client.disconnect)

    async def again(self, version: int) -> list[Any]:
        self.driver.frames.clear()
        await asyncio.to_thread(self.client.reconnect)
        return await self.receive()

    async def restart(self) -> None:
        """Lose the process of the page, and join it again."""
        self.client._ref = self.ref
        await asyncio.to_thread(self.client.restart)

    async def closing(self) -> int:
        found = re.search(r"the server has gone \((\d+)\)", str(self.driver._end))
        assert found, self.driver._end
        return int(found[1])


BY_NAME: dict[str, type[Wire]] = {"socket": SocketWire, "posts": PostWire, "stream": StreamWire, "client": ClientWire}
