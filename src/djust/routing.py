"""URLs of live views."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.http import HttpRequest

from djust.services import is_asynchronous
from djust.views import OWN_FUNCTION, LiveView, mark_own, mount_names, provide

__all__ = ["live_session"]


def live_session(view_class: type[LiveView], /, **provided: Any) -> Callable[..., Any]:
    """A view for `path()` whose `mount` receives the provided values as keyword arguments.

        path("dashboard/", live_session(DashboardView, metrics_client=get_metrics_client, limit=20))

    A callable that needs no arguments is called for each page, to make the value. A generator
    function with `@contextmanager` is entered, and left when the page is gone. Anything else is
    passed as it is, and not closed, because all pages may share it.
    """
    if LiveView not in getattr(view_class, "__mro__", ()):
        raise TypeError(
            f"live_session() expects a LiveView class as its first argument; got {view_class!r}. "
            "Write path('dashboard/', live_session(DashboardView, name=factory))."
        )
    taken = mount_names(view_class)
    if "request" in provided:
        raise TypeError(
            f"live_session({view_class.__name__}, request=…): mount receives the request of each page automatically. "
            "Give the value another name."
        )
    factories = {name: _factory(view_class, taken, name, value) for name, value in provided.items()}
    view = view_class.as_view()

    def live(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if factories:
            provide(request, factories)
        return view(request, *args, **kwargs)

    # update_wrapper copies the marker by which Django recognises a coroutine function.
    wrapped = update_wrapper(live, view)
    # Decorators inside stay visible: only around a function of ours is this one ours.
    return mark_own(wrapped) if getattr(view, OWN_FUNCTION, None) is view else wrapped


def _factory(view_class: type[LiveView], taken: frozenset[str] | None, name: str, value: Any) -> Callable[[], Any]:
    if taken is not None and name not in taken:
        names = ", ".join(sorted(taken)) or "none"
        raise TypeError(
            f'live_session({view_class.__name__}, {name}=…): {view_class.__name__}.mount takes no "{name}"; '
            f"its keyword arguments are: {names}. Add it, or let mount take **kwargs."
        )
    if not callable(value):
        return lambda: value
    if is_asynchronous(value) and not view_class.view_is_async:
        raise TypeError(
            f"live_session({view_class.__name__}, {name}={_name(value)}) is provided by a coroutine, and "
            f"{view_class.__name__}.mount is not one, so it could not wait for it. Make mount async def."
        )
    try:
        inspect.signature(value).bind()
    except TypeError as error:
        raise TypeError(
            f"live_session({view_class.__name__}, {name}={value!r}) is called without arguments to make the value of "
            f"each page, but: {error}. Pass a function without parameters, such as lambda: {_name(value)}(…)."
        ) from error
    except ValueError:
        # A callable written in C, which has no signature.
        pass
    factory: Callable[[], Any] = value
    return factory


def _name(value: object) -> str:
    return str(getattr(value, "__name__", type(value).__name__))
