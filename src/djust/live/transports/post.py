"""The way without a socket: a browser POSTs frames to the page's own URL, and the answer holds the frames of the page.

    POST /s3/   X-Djust: (empty)   ["join","WyI2…",0,"/s3/","58…"]   ->   X-Djust: 9f3c…    ["joined",0]
    POST /s3/   X-Djust: 9f3c…     [1,"select_bucket",{"n":7}]        ->                     [1,1,[0,"photos"]]

Each frame stands on a line of its own. The request goes through all of Django's middleware, its CSRF check and the
view's own mixins; what happens then is what happens to the same frames of a socket: they go into the page's mailbox. An
answer comes when the events it was asked for are answered, or after a while with the header `X-Djust-More`.

A browser may read pushes from an event stream, `GET /s3/?djust-stream=9f3c…`, where the server is an ASGI server. When
it says that it does (header `X-Djust-Stream`), and has said so before, everything goes there: frames of one page never
take two ways at a time, or they would change their order.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import Any, NamedTuple, TypeVar

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from djust import process
from djust.conf import config
from djust.exceptions import ProtocolError, TicketError
from djust.live.joining import Closing, JoinFrame, admits, check_user, join_frame
from djust.live.limits import Bucket, is_too_big, joins
from djust.live.logout import watch
from djust.live.mount import HEADER, HEADER_STREAM, Mount, Purpose, known_version, mount_in_place
from djust.live.page import Page
from djust.live.registry import registry
from djust.live.snapshots import keep_as, snapshot_of
from djust.live.token import JoinToken, make_join_token
from djust.live.visitor import SessionStoreError, Visitor, leave_session, visitor_of_request
from djust.loop import page_loop
from djust.protocol import frames as wire
from djust.protocol.messages import Event, Joining, Settled, Visit, message_of
from djust.state.snapshots import Snapshot
from djust.views import LiveView

logger = logging.getLogger("djust")

T = TypeVar("T")

HEADER_MORE = "X-Djust-More"
HEADER_CLOSE = "X-Djust-Close"

NORMAL = 1000
FAILED = 1011
GONE = 1012

# Shorter than the time-outs of proxies.
_ANSWER_SECONDS = 20.0
# A browser asks every 25 seconds, if only for a sign of life.
_IDLE_SECONDS = 60.0
# A stream says something so often that proxies keep it open.
_BEAT_SECONDS = 15.0
# Frames that nobody fetches.
_MOST_CHARACTERS = 4_000_000

# For a document that holds its page.
_HOLDER = "this one"

_PONG = wire.encode([wire.PONG])


class Answered(NamedTuple):
    """What a browser is answered: frames, whether there will be more, and the code if the connection has ended."""

    frames: list[str]
    more: bool = False
    code: int = 0


class Connection:
    """What takes the place of a socket: the peer of a page between requests. Everything happens on the home loop."""

    def __init__(self) -> None:
        self.id = secrets.token_urlsafe(18)
        self.page: Page | None = None
        self._frames: list[str] = []
        self._size = 0
        self._close_reason: tuple[int, str] | None = None
        # Frames go into the stream; the browser has said once that it reads it.
        self._streams = False
        self._was_told = False
        self._stream = 0
        self._news = asyncio.Event()
        self._others = Bucket(config().events_per_second)
        self._idle: asyncio.TimerHandle | None = None
        self._stay()

    # The peer of the page

    async def send(self, text: str) -> None:
        """Keep a frame until it is fetched."""
        if self._close_reason is None:
            self._keep(text)

    def _keep(self, text: str) -> None:
        self._frames.append(text)
        self._size += len(text)
        self._news.set()
        if self._size > _MOST_CHARACTERS:
            self.close(GONE)

    def close(self, code: int, text: str = "") -> None:
        """End the connection: the browser is told with the next answer."""
        if self._close_reason is None:
            self._close_reason = code, text
            if text:
                self._frames.append(wire.encode([wire.ERROR, 0, text]))
            self._news.set()
            self._leave()

    def close_from_thread(self, code: int, text: str = "") -> None:
        """As `close`, in any thread."""
        page_loop.call(self.close, code, text)

    # Requests

    async def exchange(self, frames: list[list[Any]], *, reads_stream: bool, passed: bool) -> Answered:
        """Put frames into the mailbox; what there is to tell when they are dealt with.

        `passed`: their request has just passed what guards the page.
        """
        self._stay()
        self._streams, self._was_told = reads_stream and self._was_told, reads_stream
        try:
            posted = [frame for frame in frames if self._take(frame, passed=passed and frame is frames[0])]
        except Closing as closing:
            self.close(closing.code, closing.text)
            posted = []
        except ProtocolError as error:
            self.close(wire.CLOSE_BAD_FRAME, str(error))
            posted = []
        if not posted and self._close_reason is None and self.page is not None and self.page.is_busy:
            # A sign of life does not wait for a handler.
            if self._streams:
                return Answered([])
            if self._frames:
                return Answered(self._taken(), more=True)
        is_through = await self._settled()
        if self._streams and self._close_reason is None:
            return Answered([], not is_through)
        return Answered(self._taken(), not is_through, self._close_reason[0] if self._close_reason else 0)

    def _take(self, frame: list[Any], *, passed: bool) -> bool:
        """Deal with a frame; whether the page has to."""
        page = self.page
        if page is None or self._close_reason is not None:
            return False
        if frame[0] == wire.PING:
            self._count_other()
            self._keep(_PONG)
            return False
        message = message_of(frame)
        if type(message) is not Event:
            self._count_other()
        elif page.is_full:
            text = "Too many events wait for their turn; this one was left out."
            self._keep(wire.encode([wire.ERROR, message.ref, text]))
            return False
        elif passed and not page.is_busy:
            # Nothing has happened since its request passed the guards.
            message = message._replace(passed=True)
        page.post(message)
        return True

    def _count_other(self) -> None:
        if not self._others.take():
            raise Closing(wire.CLOSE_TOO_MANY, "Too many frames in a short time.")

    async def _settled(self) -> bool:
        """Wait until the page has dealt with what it was sent; whether it has."""
        if self.page is None or self._close_reason is not None:
            return True
        done = asyncio.Event()
        self.page.post(Settled(done))
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await done.wait()
        except TimeoutError:
            return False
        return True

    def _taken(self) -> list[str]:
        frames, self._frames, self._size = self._frames, [], 0
        self._news.clear()
        return frames

    async def stream(self) -> AsyncIterator[str]:
        """The frames, as events of a stream."""
        # An older stream of the same browser, which may not have noticed its end, takes no frames any more.
        mine = self._stream = self._stream + 1
        yield "retry: 1000\n: here\n\ndata: \n\n"
        while self._close_reason is None and self._stream == mine:
            if self._streams and self._frames:
                for frame in self._taken():
                    yield f"data: {frame}\n\n"
                continue
            self._news.clear()
            try:
                async with asyncio.timeout(_BEAT_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                yield ": still here\n\n"
            if not self._streams and self._frames:
                # They wait for a request; so do we, a moment.
                await asyncio.sleep(0.05)

    # Its end

    def _stay(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._close_reason is None and self.id in _connections:
            _connections.move_to_end(self.id)
        self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self.close, GONE)

    def _leave(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        # A browser that asks once more is told why it has ended; after a while, that there is no such connection.
        asyncio.get_running_loop().call_later(_IDLE_SECONDS, _connections.pop, self.id, None)
        if self.page is not None:
            self.page.detach(self)
            registry.release(self.page, self)
            self.page.snapshots.flush_now(self.page)


# The one that has been silent for longest comes first.
_connections: OrderedDict[str, Connection] = OrderedDict()


# Requests


def answer_post(view: LiveView, request: HttpRequest, mount: Mount) -> HttpResponseBase:
    """The answer to frames, in the thread of the request."""
    try:
        frames = _frames_of(request)
        if mount.connection_id:
            connection = _connections.get(mount.connection_id)
            if connection is None or connection.page is None:
                return _response(Answered([], code=GONE), request)
            _visit(connection.page, request)
        else:
            connection = _join(view, request, _join_of(frames))
        exchange = connection.exchange(
            frames, reads_stream=mount.reads_stream, passed=_has_passed(view, request, connection.page)
        )
        return _response(_at_home(exchange), request, connection.id)
    except _Elsewhere as elsewhere:
        return _response(Answered([wire.encode([wire.GO, elsewhere.url])], code=NORMAL), request)
    except TicketError as error:
        if error.expired:
            return _response(Answered([wire.encode([wire.GO, error.url])], code=NORMAL), request)
        return _refusal(wire.CLOSE_REFUSED, str(error), request)
    except ProtocolError as error:
        return _refusal(wire.CLOSE_BAD_FRAME, str(error), request)
    except SessionStoreError:
        # The browser tries again, and the look-up has logged it.
        leave_session(request)
        return _response(Answered([], code=FAILED), request)
    except Closing as closing:
        if closing.code == wire.CLOSE_SESSION:
            leave_session(request)
        return _refusal(closing.code, closing.text, request)


def _has_passed(view: LiveView, request: HttpRequest, page: Page | None) -> bool:
    """Whether a request that has come to `view` has passed what guards a page: it may have come by another URL, or a
    guard of the page has answered it with another view.
    """
    if page is None or type(view) is not type(page.view):
        return False
    own = page.request
    return (request.get_full_path(), request.get_host()) == (own.get_full_path(), own.get_host())


def _visit(page: Page, request: HttpRequest) -> None:
    """The browser of a page makes a request, with a session that may be another one than before.

    Nobody else knows the connection by whose id the page was found, so this is the very document that holds it.
    """
    visitor = visitor_of_request(request)
    admits(page.binding, _HOLDER, _HOLDER, visitor)
    if visitor.key != page.visitor.key:
        watch(page, visitor)
        page_loop.call(page.post, Visit(request))


def _frames_of(request: HttpRequest) -> list[list[Any]]:
    limit = config().max_frame
    text = request.body.decode("utf-8", "replace")
    frames = []
    # Not `splitlines`: what a user types may hold U+2028 or U+0085, which JSON leaves as they are.
    for line in filter(None, text.split("\n")):
        if is_too_big(line, limit):
            raise Closing(wire.CLOSE_TOO_BIG, f"A frame may have at most {limit} bytes.")
        frames.append(wire.decode(line))
    return frames


def _join_of(frames: list[list[Any]]) -> JoinFrame:
    """The join, which is the first frame of a new connection and is taken out."""
    if not frames:
        raise ProtocolError("Malformed frame: expected a join, got nothing.")
    return join_frame(frames.pop(0))


def _join(view: LiveView, request: HttpRequest, joining: JoinFrame) -> Connection:
    """Let a new connection have the page: the one that is here, or one that is brought back by this very request."""
    ticket = joining.ticket
    if ticket.url != request.get_full_path():
        raise Closing(wire.CLOSE_REFUSED, "The ticket belongs to another page.")
    visitor = visitor_of_request(request)
    page_loop.call(process.start)
    connection = _at_home(_connection())
    try:
        _enter(view, request, joining, connection, visitor)
    except BaseException:
        # Nobody was told of it.
        page_loop.call(connection.close, GONE)
        raise
    return connection


def _enter(view: LiveView, request: HttpRequest, joining: JoinFrame, connection: Connection, visitor: Visitor) -> None:
    ticket, version, document = joining
    may_have = partial(admits, document=document, visitor=visitor)
    page, holder = registry.claim(ticket.page_id, connection, document, may_have)
    if page is None:
        check_user(ticket.binding, visitor)
        if not joins.take(ticket.page_id):
            raise Closing(wire.CLOSE_TOO_MANY, "Too many joins in a short time.")
        snapshot = _at_home(snapshot_of(ticket.page_id, document, may_have))
        page, known = _bring_back(view, request, joining, visitor, snapshot)
        registry.attach(page, connection, document)
        new = make_join_token(JoinToken(page.id, ticket.url, page.binding))
        message = Joining(connection, known, new, document, passed=True)
    else:
        watch(page, visitor)
        page_loop.call(page.post, Visit(request))
        message = Joining(connection, version, document=document, passed=_has_passed(view, request, page))
    if holder is not None:
        holder.close_from_thread(NORMAL)
    connection.page = page
    page_loop.call(page.post, message)


async def _connection() -> Connection:
    connection = Connection()
    _connections[connection.id] = connection
    while len(_connections) > config().max_pages:
        # Whoever joins without end ends connections of the same page, and those go first.
        ended = (known.id for known in _connections.values() if known._close_reason is not None)
        _connections.pop(next(ended, None) or next(iter(_connections))).close(GONE)
    return connection


def _bring_back(
    view: LiveView, request: HttpRequest, joining: JoinFrame, visitor: Visitor, snapshot: Snapshot | None
) -> tuple[Page, int | None]:
    ticket, version, _ = joining
    mount = Mount(Purpose.RESTORE, snapshot=snapshot)
    response = mount_in_place(view, view.request, mount)
    if mount.restore_failed:
        again = type(view)()
        again.setup(view.request, *view.args, **view.kwargs)
        response = mount_in_place(again, again.request, mount := Mount(Purpose.RESTORE))
    page = mount.page
    if page is None:
        raise _Elsewhere(response.headers.get("Location", ticket.url))
    watch(page, visitor)
    if mount.snapshot is not None:
        _at_home(keep_as(page, mount.snapshot))
    return page, known_version(page, mount, ticket, version)


class _Elsewhere(Exception):  # noqa: N818 — not an error: where the browser has to go
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def _at_home(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that runs on the home loop, for this thread."""
    return asyncio.run_coroutine_threadsafe(coroutine, page_loop.loop).result()


def _refusal(code: int, text: str, request: HttpRequest) -> HttpResponse:
    logger.warning("A browser that posts was refused with code %d at %r: %s", code, request.path, text)
    return _response(Answered([wire.encode([wire.ERROR, 0, text])] if text else [], code=code), request)


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


def answer_stream(request: HttpRequest, connection_id: str) -> HttpResponseBase:
    """The stream of a connection."""
    connection = _connections.get(connection_id)
    page = None if connection is None else connection.page
    if connection is None or page is None or not isinstance(request, ASGIRequest):
        # 204 is what keeps an EventSource from asking again.
        return HttpResponse(status=204)
    try:
        _visit(page, request)
    except (Closing, SessionStoreError):
        # A POST finds out why.
        leave_session(request)
        return HttpResponse(status=204)
    response = StreamingHttpResponse(connection.stream(), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    # nginx would keep it back.
    response.headers["X-Accel-Buffering"] = "no"
    return response
