"""The POST transport: a browser posts frames to the page's URL, and is answered with frames.

    POST /s3/   X-Djust:         ["join","WyI2…",0,"/s3/","58…"]  ->  X-Djust: 9f3c…  ["joined",0]
    POST /s3/   X-Djust: 9f3c…   [1,"select_bucket",{"n":7}]      ->  [1,1,[0,"photos"]]

Each frame stands on a line of its own. The request goes through all of Django's middleware, its
CSRF check and the view's own mixins. Then its frames go into a channel (`live/channel.py`), as
those of a socket do. A POST is answered when its events are, or after a while with the header
`X-Djust-More`.

With an ASGI server, a browser may read pushes from an event stream, `GET /s3/?djust-stream=9f3c…`.
From its second POST with the header `X-Djust-Stream` on, all frames go into the stream. So the
frames of a page never take two ways at the same time, which would change their order.

Channels live on the event loop of the pages. The thread of a request waits for the loop. If a
channel needs the page mounted, that thread mounts it, because its request has passed the guards.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from copy import copy
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.exception import response_for_exception
from django.db import connections as databases
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from djust import process
from djust.conf import config
from djust.live.channel import Channel, Closing, log_refusal
from djust.live.mount import HEADER, HEADER_STREAM, Mount, mount_in_place
from djust.live.visitor import SessionStoreError, Visitor, leave_session, visitor_of_request
from djust.loop import page_loop
from djust.process import Phase
from djust.protocol import frames as wire
from djust.protocol.messages import FAILED, RESTARTING
from djust.threads.pools import answer
from djust.views import LiveView

T = TypeVar("T")

HEADER_MORE = "X-Djust-More"
HEADER_CLOSE = "X-Djust-Close"

# The connection is not known here, or not any more: the browser joins again.
GONE = RESTARTING

# Shorter than the time-outs of proxies.
_ANSWER_SECONDS = 20.0
# A browser sends something every 25 seconds, at least a heartbeat.
_IDLE_SECONDS = 60.0
# A stream sends a comment after this time, so that proxies keep it open.
_BEAT_SECONDS = 15.0
# Frames that wait to be fetched.
_MAX_CHARACTERS = 4_000_000

_TITLE = "A connection by POSTs"


class Answered(NamedTuple):
    """Frames, whether more will come, and the close code if the connection has ended."""

    frames: list[str]
    more: bool = False
    code: int = 0


class Exchange:
    """One POST. Its thread waits for the event loop, and runs jobs for it in the meantime."""

    def __init__(self, view: LiveView, request: HttpRequest, *, reads_stream: bool = False) -> None:
        self.view = view
        self.request = request
        self.reads_stream = reads_stream
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine on the pages' event loop, for the thread of this request."""
        done = asyncio.run_coroutine_threadsafe(coroutine, page_loop.loop)
        done.add_done_callback(lambda _: self._jobs.put(None))
        while (job := self._jobs.get()) is not None:
            job()
        return done.result()

    async def mount(self, mount: Mount) -> HttpResponseBase:
        """Mount the view of the request, in its thread, which must be waiting."""
        mounted: Future[HttpResponseBase] = Future()
        self._jobs.put(partial(answer, mounted, self._mount, mount))
        return await asyncio.wrap_future(mounted)

    def _mount(self, mount: Mount) -> HttpResponseBase:
        view, request = self.view, self.view.request
        # A view whose restoring has failed holds parts of both states, so a copy is mounted.
        self.view = copy(view)
        try:
            return mount_in_place(view, request, mount)
        except Exception as error:  # noqa: BLE001 — as in Django's handler
            for database in databases.all(initialized_only=True):
                if database.settings_dict["ATOMIC_REQUESTS"] and database.in_atomic_block:
                    database.set_rollback(True)
            return response_for_exception(request, error)


class Connection:
    """Connects a channel with its POSTs: it keeps frames until the browser fetches them."""

    title = _TITLE

    def __init__(self, request: HttpRequest) -> None:
        self.id = secrets.token_urlsafe(18)
        # The close code; 0 while the connection is open.
        self.code = 0
        self.channel = Channel(self, request, self.get)
        self._exchange: Exchange | None = None
        self._frames: list[str] = []
        self._size = 0
        # Whether frames go into the stream; whether the last POST said that the browser reads it.
        self._streams = False
        self._was_told = False
        self._stream = 0
        self._news = asyncio.Event()
        self._idle: asyncio.TimerHandle | None = None

    # What the channel needs

    async def send(self, text: str) -> None:
        """Keep a frame until it is fetched."""
        if not self.code:
            self._frames.append(text)
            self._size += len(text)
            self._news.set()
            if self._size > _MAX_CHARACTERS:
                self.channel.close(GONE)

    def close(self, code: int, text: str) -> None:
        """End the connection: the browser learns it with the next answer."""
        self.code = code
        if text:
            self._frames.append(wire.encode([wire.ERROR, 0, text]))
        self._news.set()
        # The next POST learns the reason; after a while the connection is unknown.
        self._set_timer(_connections.pop, self.id, None)

    async def get(self, url: str, mount: Mount) -> HttpResponseBase:
        """Mount the page of the request that waits now, whose URL is `url`."""
        assert self._exchange is not None, "only the frames of a request lead here"
        return await self._exchange.mount(mount)

    # Requests

    async def exchange(self, exchange: Exchange, visitor: Visitor, lines: list[str]) -> Answered:
        """Process the frames of a request; the answer to it."""
        self.channel.visit(exchange.request, visitor, type(exchange.view))
        self._touch()
        self._streams, self._was_told = exchange.reads_stream and self._was_told, exchange.reads_stream
        self._exchange = exchange
        try:
            waits = [await self.channel.receive(line) for line in lines]
            page = self.channel.page
            if not any(waits) and not self.code and page is not None and page.is_busy:
                # A heartbeat does not wait for a handler.
                if self._streams:
                    return Answered([])
                if self._frames:
                    return Answered(self._fetch(), more=True)
            is_settled = await self.channel.settled(_ANSWER_SECONDS)
        finally:
            if self._exchange is exchange:
                self._exchange = None
        frames = [] if self._streams and not self.code else self._fetch()
        return Answered(frames, not is_settled, self.code)

    def _fetch(self) -> list[str]:
        frames, self._frames, self._size = self._frames, [], 0
        self._news.clear()
        return frames

    async def stream(self) -> AsyncIterator[str]:
        # An older stream of the browser may not have ended yet. From now on it gets no frames.
        mine = self._stream = self._stream + 1
        yield "retry: 1000\n: here\n\ndata: \n\n"
        while not self.code and self._stream == mine:
            if self._streams and self._frames:
                for frame in self._fetch():
                    yield f"data: {frame}\n\n"
                continue
            self._news.clear()
            try:
                async with asyncio.timeout(_BEAT_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                yield ": still here\n\n"
            if not self._streams and self._frames:
                # The frames wait for a POST, and so does the stream, for a moment.
                await asyncio.sleep(0.05)

    def _touch(self) -> None:
        if not self.code:
            _connections.move_to_end(self.id)
            self._set_timer(self.channel.close, GONE)

    def _set_timer(self, callback: Callable[..., Any], *args: Any) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, callback, *args)


# The first one has been silent for the longest time.
_connections: OrderedDict[str, Connection] = OrderedDict()
process.register(Phase.PAGES, forget=_connections.clear)


async def _connect(request: HttpRequest) -> Connection:
    connection = Connection(request)
    _connections[connection.id] = connection
    while len(_connections) > config.max_pages:
        # A browser that joins without end ends connections of the same page. Those go first.
        ended = (known.id for known in _connections.values() if known.code)
        _connections.pop(next(ended, None) or next(iter(_connections))).channel.close(GONE)
    return connection


# Requests


def answer_post(view: LiveView, request: HttpRequest, mount: Mount) -> HttpResponseBase:
    """The answer to frames, in the thread of the request."""
    exchange = Exchange(view, request, reads_stream=mount.reads_stream)
    # Not `splitlines`: what a user types may hold U+2028 or U+0085, which JSON leaves as they are.
    lines = [line for line in request.body.decode("utf-8", "replace").split("\n") if line]
    connection = _connections.get(mount.connection_id)
    if mount.connection_id and connection is None:
        return _response(Answered([], code=GONE), request)
    try:
        visitor = visitor_of_request(request)
        if connection is None:
            connection = exchange.wait_for(_connect(request))
            # If there is no frame, the channel reports the mistake.
            lines = lines or [""]
        answered = exchange.wait_for(connection.exchange(exchange, visitor, lines))
    except SessionStoreError:
        # The browser tries again, and the look-up has logged it.
        answered = Answered([], code=FAILED)
    except Closing as closing:
        # The connection stays, for the visitor that it belongs to.
        log_refusal(_TITLE, closing.code, request, closing.text)
        answered = Answered([wire.encode([wire.ERROR, 0, closing.text])], code=closing.code)
    if answered.code in (FAILED, wire.CLOSE_SESSION):
        leave_session(request)
    return _response(answered, request, "" if connection is None else connection.id)


def _response(answered: Answered, request: HttpRequest, connection_id: str = "") -> HttpResponse:
    response = HttpResponse("\n".join(answered.frames), content_type="text/plain; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    response.headers[HEADER] = connection_id
    if answered.more:
        response.headers[HEADER_MORE] = "1"
    if answered.code:
        response.headers[HEADER_CLOSE] = str(answered.code)
    if isinstance(request, ASGIRequest):
        response.headers[HEADER_STREAM] = "1"
    return response


def answer_stream(view: LiveView, request: HttpRequest, mount: Mount) -> HttpResponseBase:
    connection = _connections.get(mount.connection_id)
    if connection is None or not isinstance(request, ASGIRequest):
        # 204 is what keeps an EventSource from asking again.
        return HttpResponse(status=204)
    try:
        exchange = Exchange(view, request)
        exchange.wait_for(_visit(connection.channel, request, visitor_of_request(request)))
    except (Closing, SessionStoreError):
        # The next POST learns the reason.
        leave_session(request)
        return HttpResponse(status=204)
    response = StreamingHttpResponse(connection.stream(), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    # nginx would keep it back.
    response.headers["X-Accel-Buffering"] = "no"
    return response


async def _visit(channel: Channel, request: HttpRequest, visitor: Visitor) -> None:
    channel.visit(request, visitor)
