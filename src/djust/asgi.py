"""The ASGI application: Django's own, with the socket beside it.

    # asgi.py of a project
    from djust.asgi import get_asgi_application
    application = get_asgi_application()

It serves "http", "websocket" and "lifespan", and may as well stand inside the routers of Channels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import django
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler

from djust.conf import config
from djust.live.handler import Receive, RequestRunner, Scope, Send, path_below_prefix
from djust.live.logout import watcher
from djust.live.page import end_all
from djust.live.registry import registry
from djust.live.snapshots import save_all
from djust.live.transports.post import STREAM as STREAM_PARAMETER
from djust.live.transports.websocket import Sockets
from djust.pubsub.hub import hub
from djust.services import close_process_services
from djust.threads.pools import stop_threads

# How long the end of the server waits for a cache to take snapshots.
_SAVE_SECONDS = 5.0
# How long it waits for `unmount` of the pages' views.
_END_SECONDS = 5.0

STREAM = STREAM_PARAMETER.encode()

__all__ = ["Application", "get_asgi_application"]


def get_asgi_application() -> Application:
    """Set Django up and return the application; to be used in place of `django.core.asgi.get_asgi_application`."""
    django.setup(set_prefix=False)
    return Application(ASGIHandler())


class Application:
    """Django's handler for requests, the socket of live pages, and the life of the process."""

    def __init__(self, handler: ASGIHandler) -> None:
        self._backstage = RequestRunner(handler)
        self._sockets = Sockets(self._backstage)
        self._http: Callable[..., Awaitable[None]] = handler
        if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
            self._http = ASGIStaticFilesHandler(handler)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            # A stream lasts, and Django's own handler notices when its browser goes away.
            is_page = scope["method"] in ("GET", "HEAD") and STREAM not in scope["query_string"]
            if is_page and self._backstage.serves(scope):
                await self._backstage.answer(scope, receive, send)
            else:
                await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if path_below_prefix(scope) == config().socket_path:
            await self._sockets(scope, receive, send)
        else:
            await receive()  # websocket.connect
            await send({"type": "websocket.close"})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        registry.keep_sweeping()
        watcher.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._sockets.close()
        registry.stop_sweeping()
        watcher.stop()
        await save_all(registry.pages(), _SAVE_SECONDS)
        await end_all(registry.pages(), _END_SECONDS)
        registry.clear()
        await close_process_services()
        await hub.close()
        await asyncio.to_thread(stop_threads)
        await send({"type": "lifespan.shutdown.complete"})
