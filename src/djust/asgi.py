"""The ASGI application: Django's own, with the socket beside it.

    # asgi.py of a project
    from djust.asgi import get_asgi_application
    application = get_asgi_application()

It serves "http", "websocket" and "lifespan", and may as well stand inside the routers of Channels.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import django
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler

from djust import process
from djust.conf import config
from djust.live.handler import Receive, RequestRunner, Scope, Send, path_below_prefix
from djust.live.transports.websocket import Sockets

__all__ = ["Application", "get_asgi_application"]


def get_asgi_application() -> Application:
    """Set Django up and return the application: use this one in place of Django's."""
    django.setup(set_prefix=False)
    return Application(ASGIHandler())


class Application:
    """Django's handler for requests, the socket of live pages, and the life of the process."""

    def __init__(self, handler: ASGIHandler) -> None:
        self._runner = RequestRunner(handler)
        self._sockets = Sockets(self._runner)
        self._http: Callable[..., Awaitable[None]] = handler
        if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
            self._http = ASGIStaticFilesHandler(handler)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._runner.serves(scope):
                await self._runner.answer(scope, receive, send)
            else:
                await self._http(scope, receive, send)
        elif scope["type"] == "websocket" and path_below_prefix(scope) == config.socket_path:
            await self._sockets(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()  # websocket.connect
            await send({"type": "websocket.close"})
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        process.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._sockets.close()
        await process.stop()
        await send({"type": "lifespan.shutdown.complete"})
