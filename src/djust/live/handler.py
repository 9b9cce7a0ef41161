"""Django's handler in one thread.

`RequestRunner` runs GETs through Django's whole handler, with all middleware. `asgi` uses it for
requests of browsers to synchronous views: they take one thread of the pool instead of a change of
thread per middleware. A socket uses it to restore or remount a page that is not in this process. A
GET whose browser is gone does not begin, or leaves no page behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from io import BytesIO
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import resolve, set_script_prefix

from djust.exceptions import ServerBusyError
from djust.live.guards import MOUNT, make_chains
from djust.live.mount import STREAM, Mount, mount_of
from djust.live.visitor import SocketRequest
from djust.threads.pool import Caller
from djust.threads.pools import request_pool
from djust.views import LiveView

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

# Seconds after which a browser that was refused may ask again.
_RETRY_SECONDS = 5
# Only a GET that takes longer is watched for the end of its connection.
_LISTEN_SECONDS = 0.05
# Seconds for which a GET whose browser is gone counts against the limit of threads.
_ASIDE_SECONDS = 0.05

_STREAM = STREAM.encode()


def path_below_prefix(scope: Scope) -> str:
    """The path of a request or socket, without the prefix of the whole site."""
    path: str = scope["path"]
    prefix = get_script_prefix(scope).rstrip("/")
    return path[len(prefix) :] if prefix and path.startswith(f"{prefix}/") else path


class _SyncHandler(BaseHandler):
    """Django's handler with every middleware synchronous, as under WSGI."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware(is_async=False)

    def answer(self, request: HttpRequest, scope: Scope) -> HttpResponseBase:
        """The whole life of a request, in this thread. The caller closes a streaming response."""
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=self.__class__, scope=scope)
        response = self.get_response(request)
        if not response.streaming:
            response.close()
        return response


class RequestRunner:
    """Runs GETs: of synchronous LiveViews in one thread, others as Django's handler does."""

    def __init__(self, asynchronous: ASGIHandler) -> None:
        make_chains()
        self._asynchronous = asynchronous
        self._synchronous = _SyncHandler()

    @staticmethod
    def serves(scope: Scope) -> bool:
        """Whether this is a GET of a LiveView whose `mount` is synchronous.

        Middleware that changes the URL configuration can make this guess wrong; then Django's own
        handler takes a little longer. Streams are left to it: it notices when their browser leaves.
        """
        if scope["method"] not in ("GET", "HEAD") or _STREAM in scope["query_string"]:
            return False
        try:
            match = resolve(path_below_prefix(scope))
        except Exception:  # noqa: BLE001 — no such page, or a broken URL configuration: Django has an answer to both
            return False
        view_class = getattr(match.func, "view_class", None)
        return isinstance(view_class, type) and issubclass(view_class, LiveView) and not view_class.view_is_async

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for which `serves` is true, if its browser still waits."""
        request, response = self._asynchronous.create_request(scope, BytesIO())
        if request is None:
            assert response is not None, "either a request or the answer to a bad one"
            await self._asynchronous.send_response(response, send)
            return
        vars(request)[MOUNT] = mount = mount_of(request)
        answer = await self._answer(scope, request, mount, receive)
        if answer is None:
            return
        if not mount.is_over:
            await self._asynchronous.send_response(answer, send)
        if answer.streaming:
            await request_pool.run(answer.close)

    async def _answer(
        self, scope: Scope, request: HttpRequest, mount: Mount, receive: Receive
    ) -> HttpResponseBase | None:
        """The answer, or None if the browser went away before the GET began."""
        try:
            call = request_pool.begin(_caller(scope), partial(self._synchronous.answer, request, scope))
        except ServerBusyError as error:
            return _busy(error)
        leaving: asyncio.Task[bool] | None = None
        try:
            # Most GETs are answered by then: a task for each of them would cost 60 µs.
            await asyncio.wait([call.done], timeout=_LISTEN_SECONDS)
            if not call.done.done():
                leaving = asyncio.create_task(_goes_away(receive))
                either: list[asyncio.Future[Any]] = [call.done, leaving]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if leaving.done() and leaving.result():
                    mount.give_up()
                    if request_pool.withdraw(call):
                        return None
                    # Other browsers that went away at the same time are withdrawn first, so that
                    # none of them gets the place.
                    await asyncio.wait([call.done], timeout=_ASIDE_SECONDS)
                    request_pool.set_aside(call)
            return await call.done
        except asyncio.CancelledError:
            mount.give_up()
            request_pool.withdraw(call)
            raise
        finally:
            if leaving is not None:
                leaving.cancel()

    async def mount(self, scope: Scope, mount: Mount) -> HttpResponseBase:
        """Make a GET for a channel; if it mounts a LiveView, `mount.page` is its page."""
        request = SocketRequest(scope, BytesIO())
        vars(request)[MOUNT] = mount
        if self.serves(scope):
            try:
                return await request_pool.run_for(_caller(scope), partial(self._synchronous.answer, request, scope))
            except ServerBusyError as error:
                return _busy(error)
        async with ThreadSensitiveContext():
            set_script_prefix(get_script_prefix(scope))
            await request_started.asend(sender=self.__class__, scope=scope)
            response: HttpResponseBase = await self._asynchronous.get_response_async(request)
            await sync_to_async(response.close)()
        return response


def _caller(scope: Scope) -> Caller:
    """The caller of a GET. A visitor without a session is known by the address only."""
    client = scope.get("client")
    return Caller(f"address {client[0]}" if client else "", f"{scope['method']} {scope['path']!r:.200}")


def _busy(error: ServerBusyError) -> HttpResponse:
    headers = {"Retry-After": str(_RETRY_SECONDS), "Cache-Control": "no-store"}
    return HttpResponse(str(error), status=503, content_type="text/plain; charset=utf-8", headers=headers)


async def _goes_away(receive: Receive) -> bool:
    """Wait until the browser goes away; false if the server does not report that."""
    has_body = True
    try:
        while (message := await receive())["type"] != "http.disconnect":
            if not has_body:
                return False
            has_body = message.get("more_body", False)
    except Exception:  # noqa: BLE001 — servers differ in what they raise for a connection that is gone
        return False
    return True
