"""The decorators for methods of views."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async

from djust.context import context_of
from djust.events.handlers import event_handler
from djust.exceptions import HandlerError
from djust.tasks import background

__all__ = ["background", "event_handler", "permission_required", "rate_limit"]

F = TypeVar("F", bound=Callable[..., Any])


def permission_required(*permissions: str) -> Callable[[F], F]:
    """Let a handler be called only by users who have all these permissions.

    Stands below `@event_handler`.
    """
    if not permissions or not all(isinstance(permission, str) for permission in permissions):
        raise TypeError(
            f"permission_required() expects names of permissions such as 'shop.change_order'; got {permissions!r}."
        )

    def check(view: Any, title: str) -> None:
        user = getattr(view.request, "user", None)
        if user is None or not user.has_perms(permissions):
            raise HandlerError(f"{title} asks for a permission that you do not have.", f"It asks for {permissions}.")

    return _checking(check)


class _Calls(dict[object, "deque[float]"]):
    """For each limit of a view, when the handler was called."""

    def stop(self) -> None:
        """The page is gone, and its limits go with it."""
        self.clear()


def rate_limit(times: int, *, seconds: float) -> Callable[[F], F]:
    """Let a handler be called at most `times` within so many seconds on one page.

    Stands below `@event_handler`.
    """
    if times < 1 or seconds <= 0:
        raise TypeError(f"rate_limit() expects positive numbers; got {times!r} and seconds={seconds!r}.")

    def check(view: Any, title: str) -> None:
        calls = context_of(view).part(_Calls)
        recent = calls.get(check)
        if recent is None:
            recent = calls[check] = deque(maxlen=times)
        now = time.monotonic()
        if len(recent) == times and now - recent[0] < seconds:
            raise HandlerError(f"{title} may be called {times} times in {seconds:g} seconds. Wait a moment.")
        recent.append(now)

    return _checking(check)


def _checking(check: Callable[[Any, str], None]) -> Callable[[F], F]:
    """A decorator that lets `check(view, title)` raise before the handler is called."""

    def decorate(function: F) -> F:
        if iscoroutinefunction(function):

            @wraps(function)
            async def asynchronous(self: Any, *args: Any, **kwargs: Any) -> Any:
                # Permissions may have to be read from the database.
                await sync_to_async(check)(self, f"{type(self).__name__}.{function.__name__}")
                return await cast("Awaitable[Any]", function(self, *args, **kwargs))

            return cast("F", asynchronous)

        @wraps(function)
        def synchronous(self: Any, *args: Any, **kwargs: Any) -> Any:
            check(self, f"{type(self).__name__}.{function.__name__}")
            return function(self, *args, **kwargs)

        return cast("F", synchronous)

    return decorate
