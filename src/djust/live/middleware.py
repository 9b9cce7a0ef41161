"""The project's middleware around the turns of pages.

A turn is no request, but its code may rely on what middleware sets around one: a context variable,
a thread local, the connection of a tenant. And middleware may refuse a visitor whom it let in a
moment ago. So a turn passes the middleware of `settings.MIDDLEWARE` once, with a GET of its page,
and runs where the view would be called.

    chain = Chain(turn_middleware(), innermost, is_async=False)
    response = chain(request)              innermost(chain, request) runs inside the middleware

Turns do not pass Django's own middleware (`_HANDLED`): either djust does the same for a turn, or it
has no meaning for a turn. They do not pass what `LIVEVIEW_CONFIG["skip_middleware"]` names either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import (
    BadRequest,
    ImproperlyConfigured,
    MiddlewareNotUsed,
    PermissionDenied,
    SuspiciousOperation,
)
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from djust.conf import config
from djust.live.failures import failure_on_loop
from djust.threads.pool import exits_as_errors

GetResponse: TypeAlias = Callable[..., Any]

_HANDLED = frozenset(
    {
        "django.contrib.admindocs.middleware.XViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.PersistentRemoteUserMiddleware",
        "django.contrib.auth.middleware.RemoteUserMiddleware",
        "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.contrib.redirects.middleware.RedirectFallbackMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.sites.middleware.CurrentSiteMiddleware",
        "django.middleware.cache.CacheMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
        "django.middleware.cache.UpdateCacheMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "django.middleware.common.BrokenLinkEmailsMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csp.ContentSecurityPolicyMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.gzip.GZipMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.locale.LocaleMiddleware",
        "django.middleware.security.SecurityMiddleware",
    }
)

# Exceptions for which Django has a status of its own are refusals. Others are failures.
_STATUS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], int], ...] = (
    (Http404, 404),
    (PermissionDenied, 403),
    ((BadRequest, MultiPartParserError, SuspiciousOperation), 400),
)


def turn_middleware() -> tuple[str, ...]:
    """The middleware that turns pass, by its dotted names, the outermost first."""
    skipped = _HANDLED.union(config.skip_middleware)
    return tuple(name for name in settings.MIDDLEWARE if name not in skipped)


class Chain:
    """The chain of middleware, as Django's handler makes it, around `innermost(chain, request)`.

    `is_empty` says that there is none in it. Whatever is raised in it becomes a response.
    """

    def __init__(self, names: tuple[str, ...], innermost: GetResponse, *, is_async: bool) -> None:
        self.view_hooks: list[GetResponse] = []
        self.is_empty = True
        handler, handler_is_async = errors_as_responses(partial(innermost, self), is_async=is_async), is_async
        for name in reversed(names):
            factory = import_string(name)
            can_sync, can_async = getattr(factory, "sync_capable", True), getattr(factory, "async_capable", False)
            mode = False if can_sync and not handler_is_async else can_async
            inner = _adapted(handler, handler_is_async, mode)
            try:
                instance = factory(inner)
            except MiddlewareNotUsed:
                continue
            if instance is None:
                raise ImproperlyConfigured(f"The middleware {name} returned None instead of a function.")
            if (hook := getattr(instance, "process_view", None)) is not None:
                hook_is_async = iscoroutinefunction(hook)
                hook = errors_as_responses(hook, is_async=hook_is_async)
                self.view_hooks.insert(0, _adapted(hook, hook_is_async, is_async))
            self.is_empty = False
            handler, handler_is_async = errors_as_responses(instance, is_async=mode), mode
        if handler_is_async is not is_async:
            handler = errors_as_responses(_adapted(handler, handler_is_async, is_async), is_async=is_async)
        self._handler = handler

    def __call__(self, request: HttpRequest) -> Any:
        """The response, or a coroutine that gives it."""
        return self._handler(request)


def _adapted(function: GetResponse, function_is_async: bool, is_async: bool) -> GetResponse:
    if function_is_async is is_async:
        return function
    return sync_to_async(function, thread_sensitive=True) if is_async else async_to_sync(function)


def errors_as_responses(get_response: GetResponse, *, is_async: bool) -> GetResponse:
    """`get_response`, or a hook, whose exceptions become responses, as in Django's own chain.

    So do exceptions that would end a thread or the event loop.
    """
    if is_async:

        async def asynchronous(*args: Any, **kwargs: Any) -> HttpResponseBase:
            task = asyncio.current_task()
            try:
                response: HttpResponseBase = await get_response(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 — middleware and guards may raise whatever they like
                return Failed(failure_on_loop(error, task))
            return response

        return asynchronous

    def synchronous(*args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            with exits_as_errors:
                response: HttpResponseBase = get_response(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 — as above
            return Failed(error)
        return response

    return synchronous


class Failed(HttpResponse):
    """What stands for an exception, which is `failure` unless it is a refusal."""

    def __init__(self, error: Exception) -> None:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        super().__init__(status=status)
        self.failure = error if status == 500 else None
