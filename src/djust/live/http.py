"""GETs of LiveViews: the view is mounted, rendered, and parked until its browser joins.

`respond` is what `LiveView.get` calls. It puts the script tag with the page's ticket into the HTML.

`RequestRunner` runs GETs through Django's whole handler, with all middleware. `asgi` uses it for requests of browsers
to synchronous views, which then take one thread of the pool instead of a change of thread per middleware; `websocket`
uses it to remount a page whose old one is gone. A GET that a browser has given up does not begin any more, or leaves
no page behind.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any

from asgiref.sync import AsyncToSync, ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.templatetags.static import static
from django.urls import get_script_prefix as current_script_prefix
from django.urls import resolve, set_script_prefix
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from djust.conf import Config, config
from djust.exceptions import ServerBusyError
from djust.live.failures import failure_on_loop, refuse_awaitable
from djust.live.guards import LiveResponse, end_of_passage, is_live, keep_out_of_caches, new_token, prepare
from djust.live.logout import set_visitor
from djust.live.page import Page
from djust.live.registry import registry
from djust.live.snapshots import fits, restore_state
from djust.live.token import JoinToken, digest_of, make_join_token
from djust.live.visitor import SocketRequest, maker_of
from djust.loop import page_loop
from djust.services import call_scope
from djust.state.snapshots import Snapshot
from djust.threads.pool import Call
from djust.threads.pools import Caller, SyncThread, exits_as_errors, request_pool
from djust.views import Answer, LiveView, context_of, mount_view

logger = logging.getLogger("djust")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

# After this time a browser that was refused may ask again.
_RETRY_SECONDS = 5
# A GET that takes longer is worth being watched.
_LISTEN_SECONDS = 0.05
# For so long a GET whose browser is gone keeps its place among the threads.
_ASIDE_SECONDS = 0.05

# Stands for the ticket in the HTML of {% djust_scripts %}, which is rendered before there is a ticket. Nobody can guess
# it, so nothing that a user wrote is taken for it.
TICKET_PLACEHOLDER = f"ticket-{secrets.token_hex(8)}"


@dataclass(slots=True)
class Mount:
    """Set while a GET is made for a browser that is there already: the page goes here instead of into HTML."""

    page: Page | None = None
    # State to be restored; taken out where the class has changed since.
    snapshot: Snapshot | None = None
    # The snapshot could not be laid over the view, which is of no use any more.
    restore_failed: bool = False
    # What the view answers with.
    token: bytes = field(default_factory=new_token)

    def page_in(self, response: HttpResponseBase) -> Page | None:
        """The page, unless something around the view has put another answer in the place of `response`."""
        page = self.page
        if page is None or is_live(response, self.token):
            return page
        page.end(for_good=True)
        return None


_adoption: ContextVar[Mount | None] = ContextVar("djust_adoption", default=None)


@dataclass(slots=True)
class Visit:
    """A browser that waits for the answer to its GET; set on the event loop, read in the thread of the GET."""

    is_over: bool = False
    # The browser went away before anything had begun.
    is_withdrawn: bool = False


_visit: ContextVar[Visit | None] = ContextVar("djust_visit", default=None)


def respond(view: LiveView, request: HttpRequest) -> Answer:
    """The answer to a GET: mounts the view, and renders the page unless `mount` returned a response."""
    page = Page(view, request)
    with exits_as_errors, call_scope():
        mounted = mount_view(view, request, again=_snapshot_for(view) is not None)
        if type(view).view_is_async:
            return _respond_on_loop(page, mounted)
        refuse_awaitable(mounted, f"{type(view).__name__}.mount")
        if not isinstance(mounted, HttpResponseBase):
            _lay_over(page)
        return _respond(page, mounted)


async def _respond_on_loop(page: Page, mounted: Any) -> HttpResponseBase:
    task = asyncio.current_task()
    async with call_scope():
        return await _respond_in_scope(page, mounted, task)


async def _respond_in_scope(page: Page, mounted: Any, task: asyncio.Task[Any] | None) -> HttpResponseBase:
    try:
        if inspect.isawaitable(mounted):
            mounted = await mounted
        data = None
        if not isinstance(mounted, HttpResponseBase):
            if _snapshot_for(page.view) is not None:
                await sync_to_async(_lay_over, thread_sensitive=True)(page)
            data = await context_of(page.view)
        try:
            return _respond(page, mounted, data)
        except SynchronousOnlyOperation:
            return await sync_to_async(_respond, thread_sensitive=True)(page, mounted, data)
    except BaseException as error:
        failure = failure_on_loop(error, task)
        if failure is error:
            raise
        raise failure  # noqa: B904 — its cause is set


def mount_in_place(view: LiveView, request: HttpRequest, mount: Mount) -> HttpResponseBase:
    """Mount or restore a view within a request for it, in its thread; if there is a page, it is `mount.page`."""
    with mounting(mount):
        answer = respond(view, request)
        if isinstance(answer, HttpResponseBase):
            return answer
        return asyncio.run_coroutine_threadsafe(in_lane(answer), page_loop.loop).result()


async def in_lane(answer: Coroutine[Any, Any, HttpResponseBase]) -> HttpResponseBase:
    """`answer`, where the thread of its request waits: what is thread-sensitive needs another one."""
    # Middleware may have left word that what is thread-sensitive belongs into its thread, which is the one that waits.
    AsyncToSync.executors.current = None
    lane = SyncThread()
    lane.enter()
    try:
        return await answer
    finally:
        lane.leave()


def _snapshot_for(view: LiveView) -> Snapshot | None:
    mount = _adoption.get()
    if mount is None or mount.snapshot is None:
        return None
    if not fits(view, mount.snapshot):
        mount.snapshot = None
    return mount.snapshot


def _lay_over(page: Page) -> None:
    mount, snapshot = _adoption.get(), _snapshot_for(page.view)
    if mount is None or snapshot is None:
        return
    try:
        restore_state(page.view, snapshot)
    except Exception as error:  # noqa: BLE001 — missing_state may raise whatever it likes
        mount.restore_failed = True
        logger.warning("%s is mounted anew, its state cannot be restored: %s", type(page.view).__name__, error)
    else:
        page.version, page.last_ref, page.tab_id = snapshot.page_version, snapshot.last_ref, snapshot.document


def known_version(page: Page, mount: Mount, token: JoinToken, shown: int) -> int | None:
    """The version of a page that was brought back, if its browser, at version `shown`, shows it: when nobody had joined
    yet, and the page shows what was sent with the ticket. None: the browser has to be sent all values.
    """
    never_joined = mount.snapshot is not None and not page.tab_id and page.version == shown == 0
    return 0 if never_joined and digest_of(page.html()) == token.digest else None


def _respond(page: Page, mounted: Any, data: object = None) -> HttpResponseBase:
    if isinstance(mounted, HttpResponseBase):
        return mounted
    mount = _adoption.get()
    if mount is not None and mount.restore_failed:
        return HttpResponse()
    page.prepare(data)
    if mount is not None:
        mount.page = page
        keep_out_of_caches(page.request)
        return end_of_passage(mount.token)
    if page.request.method == "HEAD":
        return _uncached(page.request, LiveResponse())
    return send_page(page)


def send_page(page: Page, *, status: int = 200, notice: str = "") -> HttpResponse:
    """The HTML of a page, which waits for its browser from now on, unless the browser has gone away meanwhile."""
    html = page.html()
    set_visitor(page, maker_of(page.request))
    ticket = make_join_token(JoinToken(page.id, page.request.get_full_path(), page.fingerprint, digest_of(html)))
    visit = _visit.get()
    if visit is not None and visit.is_over:
        # No browser reads the answer, but middleware sees one like any other.
        page.end(for_good=True)
    else:
        page.snapshots.save_first(page, len(html))
        registry.park(page)
    if notice:
        html = _at_the_end(html, format_html('<p class="djust-notice" role="alert">{}</p>', notice))
    return _uncached(page.request, LiveResponse(_with_script(html, page.request, ticket), status=status))


def _uncached(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    # No cache may give this page to somebody else, or twice; but no-store would also keep the browser's back/forward
    # cache from holding it, which costs visitors their page when they return.
    response.headers["Cache-Control"] = "private, no-cache"
    keep_out_of_caches(request)
    return response


# The script tag


def script_tag(request: HttpRequest, ticket: str) -> SafeString:
    """The tag that starts the client on a page."""
    attributes = format_html('data-djust="{}"', ticket)
    socket_path = current_script_prefix().rstrip("/") + config().socket_path
    if socket_path != Config().socket_path:
        attributes += format_html(' data-socket="{}"', socket_path)
    source, more, post = static("djust/djust.js"), static("djust/djust.more.js"), static("djust/djust.post.js")
    if more.rpartition("/")[2] != "djust.more.js":
        # Not found beside the client: a storage that puts digests into names.
        attributes += format_html(' data-more="{}" data-post="{}"', more, post)
    # django-csp and Django's own middleware; the nonce is made when it is first used.
    nonce = getattr(request, "csp_nonce", None) or getattr(request, "_csp_nonce", None)
    scripts = [(source, attributes)]
    if not (config().use_websocket and isinstance(request, ASGIRequest)):
        # No socket can be had: what is posted instead comes first.
        scripts.insert(0, (post, format_html('data-csrf="{}"', get_token(request))))
    if settings.DEBUG:
        scripts.insert(0, (static("djust/djust.debug.js"), SafeString()))
    nonced = SafeString() if nonce is None else format_html(' nonce="{}"', nonce)
    return format_html_join("", '<script src="{}" {}{} defer></script>', [(*script, nonced) for script in scripts])


def _with_script(html: str, request: HttpRequest, ticket: str) -> str:
    """`html` with the ticket where {% djust_scripts %} stands, else with the script tag at the end of the body."""
    if TICKET_PLACEHOLDER in html:
        return html.replace(TICKET_PLACEHOLDER, ticket, 1)
    return _at_the_end(html, script_tag(request, ticket))


def _at_the_end(html: str, more: str) -> str:
    """`html` with `more` at the end of the body."""
    end = html.rfind("</body>")
    if end < 0:
        end = html.lower().rfind("</body>")
    if end < 0:
        end = len(html)
    return f"{html[:end]}{more}{html[end:]}"


# Django's handler


def path_below_prefix(scope: Scope) -> str:
    """The path of a request or socket without the prefix that the whole site stands below."""
    path: str = scope["path"]
    prefix = get_script_prefix(scope).rstrip("/")
    return path[len(prefix) :] if prefix and path.startswith(f"{prefix}/") else path


@contextmanager
def mounting(mount: Mount | None) -> Iterator[None]:
    token = _adoption.set(mount)
    try:
        yield
    finally:
        _adoption.reset(token)


class _SyncHandler(BaseHandler):
    """Django's handler with every middleware synchronous, as under WSGI."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware(is_async=False)

    def answer(self, request: HttpRequest, scope: Scope, mount: Mount | None, visit: Visit | None) -> HttpResponseBase:
        """The whole life of a request, in this thread; a streaming response is left for the caller to close."""
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=self.__class__, scope=scope)
        # Each job of a thread has a context of its own, so this need not be reset.
        _visit.set(visit)
        with mounting(mount):
            response = self.get_response(request)
        if not response.streaming:
            response.close()
        return response


class RequestRunner:
    """Runs GETs: those to synchronous LiveViews as one job of a thread, others as Django's ASGI handler does."""

    def __init__(self, asynchronous: ASGIHandler) -> None:
        prepare()
        self._asynchronous = asynchronous
        self._synchronous: _SyncHandler | None = None

    @staticmethod
    def serves(scope: Scope) -> bool:
        """Whether this is a request to a LiveView whose `mount` is synchronous.

        A guess that a middleware which changes the URL configuration can make wrong; then the way through Django's own
        handler is a little longer.
        """
        try:
            match = resolve(path_below_prefix(scope))
        except Exception:  # noqa: BLE001 — no such page, or a broken URL configuration: Django has an answer to both
            return False
        view_class = getattr(match.func, "view_class", None)
        return isinstance(view_class, type) and issubclass(view_class, LiveView) and not view_class.view_is_async

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a browser's request for which `serves` is true, if it still waits for the answer."""
        visit = Visit()
        response = await self._answer_visit(scope, receive, visit)
        if response is None:
            return
        if not visit.is_over:
            await self._asynchronous.send_response(response, send)
        if response.streaming:
            await request_pool.run(response.close)

    async def _answer_visit(self, scope: Scope, receive: Receive, visit: Visit) -> HttpResponseBase | None:
        """The answer, or None where the browser went away before anything has begun."""
        job = self._job(scope, None, visit)
        if isinstance(job, HttpResponseBase):
            return job
        try:
            call = request_pool.begin(_caller(scope), job)
        except ServerBusyError as error:
            return _busy(error)
        listener = _Listener(receive, visit, call)
        try:
            return await call
        except asyncio.CancelledError:
            if visit.is_withdrawn:
                return None
            visit.is_over = True
            call.withdraw()
            raise
        finally:
            listener.stop()

    async def adopt(self, scope: Scope, mount: Mount) -> HttpResponseBase:
        """Make a GET for a socket; if it mounts a LiveView, `mount.page` is its page."""
        if self.serves(scope):
            return await self._in_thread(scope, mount)
        async with ThreadSensitiveContext():
            set_script_prefix(get_script_prefix(scope))
            await request_started.asend(sender=self.__class__, scope=scope)
            with mounting(mount):
                response = await self._asynchronous.get_response_async(SocketRequest(scope, BytesIO()))
            await sync_to_async(response.close)()
        return response

    async def _in_thread(self, scope: Scope, mount: Mount) -> HttpResponseBase:
        job = self._job(scope, mount, None)
        if isinstance(job, HttpResponseBase):
            return job
        try:
            return await request_pool.run_for(_caller(scope), job)
        except ServerBusyError as error:
            return _busy(error)

    def _job(
        self, scope: Scope, mount: Mount | None, visit: Visit | None
    ) -> Callable[[], HttpResponseBase] | HttpResponseBase:
        """What a thread has to do for a GET; the answer where the request is not valid."""
        request, refused = self._asynchronous.create_request(scope, BytesIO())
        if request is None:
            assert refused is not None, "either a request or the answer to a bad one"
            return refused
        if self._synchronous is None:
            self._synchronous = _SyncHandler()
        if mount is not None:
            request = SocketRequest(scope, BytesIO())
        return partial(self._synchronous.answer, request, scope, mount, visit)


def _caller(scope: Scope) -> Caller:
    """Whose GET this is: who has no session yet is known by their address alone."""
    client = scope.get("client")
    return Caller(f"address {client[0]}" if client else "", f"{scope['method']} {scope['path']!r:.200}")


def _busy(error: ServerBusyError) -> HttpResponse:
    headers = {"Retry-After": str(_RETRY_SECONDS), "Cache-Control": "no-store"}
    return HttpResponse(str(error), status=503, content_type="text/plain; charset=utf-8", headers=headers)


class _Listener:
    """Notices that the browser of a GET goes away.

    It begins to listen late, when most GETs are answered: a task for each of them would cost 60 µs.
    """

    def __init__(self, receive: Receive, visit: Visit, call: Call[HttpResponseBase]) -> None:
        self._receive = receive
        self._visit = visit
        self._call = call
        self._task: asyncio.Task[bool] | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(_LISTEN_SECONDS, self._begin)

    def stop(self) -> None:
        """The GET is answered."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = self._loop.create_task(_goes_away(self._receive))
        self._task.add_done_callback(self._heard)

    def _heard(self, task: asyncio.Task[bool]) -> None:
        if task.cancelled() or not task.result():
            return
        self._visit.is_over = True
        if self._call.withdraw():
            self._visit.is_withdrawn = True
            self._call.done.cancel()
        else:
            # Browsers that went away at the same time are withdrawn first, and do not get the place.
            self._loop.call_later(_ASIDE_SECONDS, self._call.set_aside)


async def _goes_away(receive: Receive) -> bool:
    """Wait until the browser goes away; false where the server does not tell of it."""
    has_body = True
    try:
        while (message := await receive())["type"] != "http.disconnect":
            if not has_body:
                return False
            has_body = message.get("more_body", False)
    except Exception:  # noqa: BLE001 — servers differ in what they raise for a connection that is gone
        return False
    return True
