"""Whether a visitor may still do what they could when their page was made.

Decorators, mixins and `LoginRequiredMiddleware` stand around the GET of a view, and events come by another way. So
before an event of a page whose URL is guarded, the view's function is called once more, through everything that stands
around it, up to the point where it would be mounted. A page without guards costs nothing.

    is_guarded(request)            is there anything to ask?
    check_here(request)            raises `NotAllowedError`, in a thread
    await check(request)           the same, on the event loop
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from django.views.generic import View

from djust.exceptions import HandlerError
from djust.live.workers import mounters
from djust.views import OWN_FUNCTION, LiveView

logger = logging.getLogger("djust")

_LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"

_probing: ContextVar[bool] = ContextVar("djust_probing", default=False)


class _Reached(HttpResponse):
    """What a view answers that was reached."""


class NotAllowedError(HandlerError):
    """The visitor may not use this page any more."""

    def __init__(self) -> None:
        super().__init__("You are not allowed to use this page any more. Load it again.")


def is_guarded(request: HttpRequest) -> bool:
    """Whether something may refuse a visitor of this page."""
    match = request.resolver_match
    return match is not None and (_is_guarded(match.func) or bool(_middleware(match.func)))


def reached() -> HttpResponse | None:
    """The answer of a view that is only asked whether it can be reached; None if it is to do its work."""
    return _Reached() if _probing.get() else None


def check_here(request: HttpRequest) -> None:
    """Raise `NotAllowedError` unless the visitor may still use this page."""
    with _refusing():
        _ask_middleware(request)
        match = request.resolver_match
        assert match is not None, "is_guarded() says that there is one"
        if inspect.iscoroutinefunction(match.func):
            raise AssertionError("an asynchronous view is asked on the event loop")
        _expect_reached(match.func(request, *match.args, **match.kwargs))


async def check(request: HttpRequest) -> None:
    """The same for whoever runs on the event loop."""
    match = request.resolver_match
    assert match is not None, "is_guarded() says that there is one"
    if not inspect.iscoroutinefunction(match.func):
        await mounters.run(check_here, request)
        return
    await mounters.run(_ask_middleware, request)
    with _refusing():
        _expect_reached(await match.func(request, *match.args, **match.kwargs))


def is_asynchronous(request: HttpRequest) -> bool:
    """Whether the page's view can only be asked on the event loop."""
    match = request.resolver_match
    return match is not None and inspect.iscoroutinefunction(match.func)


@contextmanager
def _refusing() -> Iterator[None]:
    token = _probing.set(True)
    try:
        yield
    except NotAllowedError:
        raise
    except (PermissionDenied, Http404) as error:
        raise NotAllowedError from error
    except Exception as error:
        logger.exception("A page is closed, because what guards it has failed")
        raise NotAllowedError from error
    finally:
        _probing.reset(token)


def _expect_reached(response: object) -> None:
    if not isinstance(response, _Reached):
        raise NotAllowedError


@cache
def _is_guarded(function: Callable[..., Any]) -> bool:
    view_class = getattr(function, "view_class", None)
    if not (isinstance(view_class, type) and issubclass(view_class, LiveView)):
        return True
    # A decorator copies the mark of the function that it wraps.
    return getattr(function, OWN_FUNCTION, None) is not function or view_class.dispatch is not View.dispatch


@cache
def _middleware_classes(names: tuple[str, ...]) -> tuple[Any, ...]:
    # By name: its module needs the app registry, and perhaps nobody uses it.
    found = [import_string(name) for name in names]
    classes = [one for one in found if isinstance(one, type)]
    return tuple(one for one in classes if any(_name(parent) == _LOGIN_REQUIRED for parent in one.__mro__))


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _middleware(function: Callable[..., Any]) -> tuple[Any, ...]:
    if not getattr(function, "login_required", True):
        return ()
    return _middleware_classes(tuple(settings.MIDDLEWARE))


def _ask_middleware(request: HttpRequest) -> None:
    match = request.resolver_match
    assert match is not None, "is_guarded() says that there is one"
    for middleware in _middleware(match.func):
        if middleware(lambda _: _Reached()).process_view(request, match.func, match.args, match.kwargs) is not None:
            raise NotAllowedError
