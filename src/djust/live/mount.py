"""A request becomes a page, for a stated purpose.

Every request to a live view has one `Mount`, which says what the request is for. `mount_of` finds
it, and no other code that has a request reads headers or parameters of ours:

    GET                                 render        HTML; the page waits for its browser
    GET with the header X-Djust         csrf token    the token that POSTs need
    GET with ?djust-stream=…            stream        what is pushed to a browser that posts
    POST with the header X-Djust        frames        for a browser without a socket
    POST                                form          for a browser without JavaScript

The server makes GETs itself, and says what they are for in an attribute of their requests:

    restore, navigate                   the page goes to a channel, as `mount.page`
    authorize                           a turn passes the guards of its page (`live/guards.py`)

`live/responder.py` says what is done for each purpose. `render` makes a page of a view.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from asgiref.sync import AsyncToSync, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.html import format_html

from djust.live.failures import failure_on_loop, refuse_awaitable
from djust.live.guards import MOUNT, LiveResponse, Passage, is_live, keep_out_of_caches, new_token, token_response
from djust.live.logout import set_visitor
from djust.live.page import Page
from djust.live.registry import registry
from djust.live.script import at_the_end, with_script
from djust.live.snapshots import restore_state
from djust.live.token import JoinToken, digest_of, make_join_token
from djust.live.visitor import maker_of
from djust.loop import page_loop
from djust.services import call_scope
from djust.state.fields import fields_version
from djust.state.snapshots import Snapshot
from djust.threads.pool import exits_as_errors
from djust.threads.pools import SyncThread
from djust.views import Answer, LiveView, mount_view

logger = logging.getLogger("djust")

HEADER = "X-Djust"
HEADER_STREAM = "X-Djust-Stream"
STREAM = "djust-stream"


class Purpose(StrEnum):
    """What a request to a live view is for."""

    RENDER = "render"
    RESTORE = "restore"
    NAVIGATE = "navigate"
    AUTHORIZE = "authorize"
    FRAMES = "frames"
    FORM = "form"
    STREAM = "stream"
    CSRF_TOKEN = "csrf token"  # noqa: S105 — the name of a purpose


@dataclass(slots=True, eq=False, repr=False)
class Mount:
    """The purpose for which a request is served, and its data."""

    purpose: Purpose

    # Nobody waits for the answer any more: see `give_up`.
    is_over: bool = False

    # Restore and navigate. `render` takes out a snapshot of another version of the class.
    snapshot: Snapshot | None = None
    page: Page | None = None
    # The snapshot could not be applied to the view: the page has to be remounted.
    restore_failed: bool = False
    # The content of the answer, which stands for the page.
    token: bytes = b""

    # Authorize.
    passage: Passage | None = None

    # Frames and form: the POST that this GET stands for.
    posted: HttpRequest | None = None
    # Frames and stream: the id of the connection; empty before there is one.
    connection_id: str = ""
    # Frames: the browser reads a stream.
    reads_stream: bool = False

    def give_up(self) -> None:
        """Nobody waits for the answer any more: no page is kept. At any time, in any thread."""
        self.is_over = True
        if self.page is not None:
            self.page.end(for_good=True)

    def page_in(self, response: HttpResponseBase) -> Page | None:
        """The page, unless a guard or middleware has answered `response` in the view's place."""
        page = self.page
        if page is None or is_live(response, self.token):
            return page
        page.end(for_good=True)
        return None


def mount_of(request: HttpRequest) -> Mount:
    """For which purpose `request` is served."""
    # Django's test client can put it into META alone.
    mount = vars(request).get(MOUNT) or request.META.get(MOUNT)
    if isinstance(mount, Mount):
        return mount
    if isinstance(mount, Passage):
        return Mount(Purpose.AUTHORIZE, passage=mount)
    connection_id = request.headers.get(HEADER)
    if request.method == "POST":
        if connection_id is None:
            return Mount(Purpose.FORM, posted=request)
        reads_stream = HEADER_STREAM in request.headers
        return Mount(Purpose.FRAMES, posted=request, connection_id=connection_id, reads_stream=reads_stream)
    if STREAM in request.GET:
        return Mount(Purpose.STREAM, connection_id=request.GET[STREAM])
    return Mount(Purpose.RENDER if connection_id is None else Purpose.CSRF_TOKEN)


def render(view: LiveView, request: HttpRequest, mount: Mount) -> Answer:
    """Mount or restore the view. A browser gets the HTML of its page, a channel `mount.page`.

    If the view's `mount` returns a response, that is the answer.
    """
    page = Page(view, request)
    if mount.snapshot is not None and mount.snapshot.version != fields_version(type(view)):
        mount.snapshot = None
    with exits_as_errors, call_scope():
        mounted = mount_view(view, request, again=mount.snapshot is not None)
        if type(view).view_is_async:
            return _render_on_loop(page, mount, mounted)
        refuse_awaitable(mounted, f"{type(view).__name__}.mount")
        if isinstance(mounted, HttpResponseBase):
            return mounted
        _restore(page, mount)
        return _answer(page, mount)


async def _render_on_loop(page: Page, mount: Mount, mounted: Any) -> HttpResponseBase:
    task = asyncio.current_task()
    async with call_scope():
        try:
            if inspect.isawaitable(mounted):
                mounted = await mounted
            if isinstance(mounted, HttpResponseBase):
                return mounted
            if mount.snapshot is not None:
                await sync_to_async(_restore, thread_sensitive=True)(page, mount)
            await page.nodes.await_data()
            try:
                return _answer(page, mount)
            except SynchronousOnlyOperation:
                return await sync_to_async(_answer, thread_sensitive=True)(page, mount)
        except BaseException as error:  # noqa: BLE001 — raised again
            raise failure_on_loop(error, task)  # noqa: B904 — the cause of a new one is set


def _restore(page: Page, mount: Mount) -> None:
    """Apply the snapshot to the view, if there is one."""
    snapshot = mount.snapshot
    if snapshot is None:
        return
    try:
        restore_state(page.view, snapshot)
    except Exception as error:  # noqa: BLE001 — missing_state may raise whatever it likes
        mount.restore_failed = True
        logger.warning("%s is remounted, its state cannot be restored: %s", type(page.view).__name__, error)
    else:
        page.version, page.last_ref, page.tab_id = snapshot.page_version, snapshot.last_ref, snapshot.tab_id


def _answer(page: Page, mount: Mount) -> HttpResponseBase:
    if mount.restore_failed:
        return HttpResponse()
    page.prepare()
    # The page keeps its request, which must not keep the page.
    for known in (vars(page.request), page.request.META):
        known.pop(MOUNT, None)
    if mount.purpose is not Purpose.RENDER:
        mount.page, mount.token = page, new_token()
        if mount.is_over:
            page.end(for_good=True)
        return token_response(mount.token)
    if page.request.method == "HEAD":
        return _uncached(page.request, LiveResponse())
    return send_page(page, mount)


def send_page(page: Page, mount: Mount, *, status: int = 200, notice: str = "") -> HttpResponse:
    """The HTML of a page, which now waits for its browser, unless the browser is gone."""
    html = page.html()
    set_visitor(page, maker_of(page.request))
    token = make_join_token(JoinToken(page.id, page.request.get_full_path(), page.fingerprint, digest_of(html)))
    if mount.is_over:
        # No browser reads the answer, but middleware sees an ordinary one.
        page.end(for_good=True)
    else:
        page.snapshots.save_first(page, len(html))
        registry.park(page)
    if notice:
        html = at_the_end(html, format_html('<p class="djust-notice" role="alert">{}</p>', notice))
    return _uncached(page.request, LiveResponse(with_script(html, page.request, token), status=status))


def _uncached(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    # No cache may give this page to another visitor, or twice. But no-store would also keep it out
    # of the browser's back/forward cache, and visitors would lose their page when they return.
    response.headers["Cache-Control"] = "private, no-cache"
    keep_out_of_caches(request)
    return response


# Within another request


def mount_in_place(view: LiveView, request: HttpRequest, mount: Mount) -> HttpResponseBase:
    """Mount or restore a view in the thread of a request for it. Its page is `mount.page`."""
    answer = render(view, request, mount)
    if isinstance(answer, HttpResponseBase):
        return answer
    return asyncio.run_coroutine_threadsafe(with_sync_thread(answer), page_loop.loop).result()


async def with_sync_thread(answer: Coroutine[Any, Any, HttpResponseBase]) -> HttpResponseBase:
    """`answer`, with another thread for what is thread-sensitive: that of the request waits."""
    # Middleware may have asked for its own thread, which is the one that waits.
    AsyncToSync.executors.current = None
    with SyncThread().entered():
        return await answer


def known_version(page: Page, mount: Mount, token: JoinToken, shown: int) -> int | None:
    """The version of a restored page if its browser, at version `shown`, already shows it.

    That is so if no browser had joined the page, and it shows what was sent with the join token.
    None: the browser needs all values.
    """
    never_joined = mount.snapshot is not None and not page.tab_id and page.version == shown == 0
    return 0 if never_joined and digest_of(page.html()) == token.digest else None
