"""GETs of LiveViews: the view is mounted, rendered, and parked until its browser joins.

`respond` is what `LiveView.get` calls. It puts the script tag with the page's ticket into the HTML.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import AsyncToSync, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.html import format_html

from djust.live.failures import failure_on_loop, refuse_awaitable
from djust.live.guards import LiveResponse, end_of_passage, is_live, keep_out_of_caches, new_token
from djust.live.logout import watch
from djust.live.page import Page
from djust.live.registry import registry
from djust.live.script import at_the_end, with_script
from djust.live.snapshots import fits, restore_state
from djust.live.token import JoinToken, digest_of, make_join_token
from djust.live.visitor import maker_of
from djust.loop import page_loop
from djust.services import call_scope
from djust.state.snapshots import Snapshot
from djust.threads.pools import SyncThread, exits_as_errors
from djust.views import Answer, LiveView, mount_view

logger = logging.getLogger("djust")


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


@contextmanager
def mounting(mount: Mount | None) -> Iterator[None]:
    token = _adoption.set(mount)
    try:
        yield
    finally:
        _adoption.reset(token)


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
        if not isinstance(mounted, HttpResponseBase):
            if _snapshot_for(page.view) is not None:
                await sync_to_async(_lay_over, thread_sensitive=True)(page)
            await page.nodes.await_data()
        try:
            return _respond(page, mounted)
        except SynchronousOnlyOperation:
            return await sync_to_async(_respond, thread_sensitive=True)(page, mounted)
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
        page.version, page.last_ref, page.document = snapshot.page_version, snapshot.last_ref, snapshot.document


def known_version(page: Page, mount: Mount, ticket: JoinToken, shown: int) -> int | None:
    """The version of a page that was brought back, if its browser, at version `shown`, shows it: when nobody had joined
    yet, and the page shows what was sent with the ticket. None: the browser has to be sent all values.
    """
    never_joined = mount.snapshot is not None and not page.document and page.version == shown == 0
    return 0 if never_joined and digest_of(page.html()) == ticket.digest else None


def _respond(page: Page, mounted: Any) -> HttpResponseBase:
    if isinstance(mounted, HttpResponseBase):
        return mounted
    mount = _adoption.get()
    if mount is not None and mount.restore_failed:
        return HttpResponse()
    page.prepare()
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
    watch(page, maker_of(page.request))
    ticket = make_join_token(JoinToken(page.id, page.request.get_full_path(), page.binding, digest_of(html)))
    visit = _visit.get()
    if visit is not None and visit.is_over:
        # No browser reads the answer, but middleware sees one like any other.
        page.end(for_good=True)
    else:
        page.snapshots.save_first(page, len(html))
        registry.park(page)
    if notice:
        html = at_the_end(html, format_html('<p class="djust-notice" role="alert">{}</p>', notice))
    return _uncached(page.request, LiveResponse(with_script(html, page.request, ticket), status=status))


def _uncached(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    # No cache may give this page to somebody else, or twice; but no-store would also keep the browser's back/forward
    # cache from holding it, which costs visitors their page when they return.
    response.headers["Cache-Control"] = "private, no-cache"
    keep_out_of_caches(request)
    return response
