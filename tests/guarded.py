"""Random stacks of what may stand around a view, the same around a live view and around a plain
one.

    stack = Stack(random.Random(7))
    stack.urlpatterns, stack.middleware    a site with /live/ and /plain/
    tallies["/live/"]["decorator 2"]       how often requests for /live/ passed a layer that counts

Some of the layers refuse a visitor who is banned, locked out or without a permission. What the
plain view answers says what a visitor may do.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction
from django.contrib.auth.decorators import (
    login_not_required,
    login_required,
    permission_required,
    user_passes_test,
)
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin, UserPassesTestMixin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.urls import path
from django.utils.decorators import (
    async_only_middleware,
    method_decorator,
    sync_and_async_middleware,
    sync_only_middleware,
)
from django.utils.deprecation import MiddlewareMixin
from django.views.decorators.cache import cache_control, cache_page, never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_exempt, ensure_csrf_cookie
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import condition, etag, require_http_methods, require_safe
from django.views.decorators.vary import vary_on_cookie, vary_on_headers
from django.views.generic import View

from djust import LiveView, event_handler, state
from djust.pubsub import MessagesMissed

PERMISSION = "auth.change_group"
TOPIC = "news"
SECRET = "what members read"

banned: set[str] = set()
tallies: defaultdict[str, Counter[str]] = defaultdict(Counter)
# What code of live views has done.
deeds: list[str] = []
around: ContextVar[str] = ContextVar("around", default="nothing")
thread = threading.local()

Layer = Callable[[Any], Any]


def is_banned(user: Any) -> bool:
    return user.get_username() in banned


def may_edit(user: Any) -> bool:
    return bool(user.has_perm(PERMISSION))


def refused(kind: str) -> HttpResponse:
    """The answer to somebody who is refused, or what a guard raises instead."""
    if kind == "denied":
        raise PermissionDenied
    if kind == "missing":
        raise Http404
    return HttpResponseRedirect("/elsewhere/") if kind == "302" else HttpResponse("refused", status=int(kind))


REFUSALS = ["302", "403", "404", "410", "denied", "missing"]


# Decorators


def counting(label: str) -> Layer:
    def decorate(view: Any) -> Any:
        if iscoroutinefunction(view):

            @wraps(view)
            async def counted_on_loop(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                tallies[request.path][label] += 1
                return await view(request, *args, **kwargs)

            return counted_on_loop

        @wraps(view)
        def counted(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            tallies[request.path][label] += 1
            return view(request, *args, **kwargs)

        return counted

    return decorate


def bare(view: Any) -> Any:
    """A decorator that copies no name and no attribute, and is `async def` where the view is."""
    if iscoroutinefunction(view):

        async def on_loop(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return await view(request, *args, **kwargs)

        return on_loop
    return partial(view)


def passing_on(view: Any) -> Any:
    """A `def` around any view, which hands its coroutine on."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return view(request, *args, **kwargs)

    return _like(view, wrapper)


def _like(view: Any, wrapper: Any) -> Any:
    """`wrapper`, marked as what hands on a coroutine if it does."""
    if iscoroutinefunction(view) and not iscoroutinefunction(wrapper):
        markcoroutinefunction(wrapper)
    return wrapper


def banning(kind: str, *, is_late: bool) -> Layer:
    """Refuses banned visitors, before the view is called or when it has answered."""

    def decorate(view: Any) -> Any:
        if iscoroutinefunction(view):

            @wraps(view)
            async def guarded_on_loop(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                is_out = is_banned(await request.auser())
                if is_out and not is_late:
                    return refused(kind)
                response = await view(request, *args, **kwargs)
                return refused(kind) if is_out else response

            return guarded_on_loop

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            is_out = is_banned(request.user)
            if is_out and not is_late:
                return refused(kind)
            response = view(request, *args, **kwargs)
            return refused(kind) if is_out else response

        return guarded

    return decorate


def _copy(response: Any) -> HttpResponse:
    return HttpResponse(response.content, status=response.status_code, headers=dict(response.headers))


def copying(view: Any) -> Any:
    """Answers with another response that has the same content."""
    if iscoroutinefunction(view):

        @wraps(view)
        async def copied_on_loop(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return _copy(await view(request, *args, **kwargs))

        return copied_on_loop

    @wraps(view)
    def copied(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _copy(view(request, *args, **kwargs))

    return copied


def leaving_a_variable(view: Any) -> Any:
    """Sets a variable of its own context, which nobody else is to see."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        request.seen_by_decorator = True  # type: ignore[attr-defined]
        return view(request, *args, **kwargs)

    return _like(view, wrapper)


def _tag(request: HttpRequest, *args: Any, **kwargs: Any) -> str:
    return '"same"'


FUNCTION_LAYERS: dict[str, Layer] = {
    "login_required": login_required,
    "permission_required": permission_required(PERMISSION),
    "permission_required, raising": permission_required(PERMISSION, raise_exception=True),
    "user_passes_test": user_passes_test(may_edit),
    "not banned": user_passes_test(lambda user: not is_banned(user), login_url="/elsewhere/"),
    "login_not_required": login_not_required,
    "never_cache": never_cache,
    "cache_page": cache_page(600, cache="pages"),
    "cache_control, public": cache_control(public=True, max_age=600),
    "vary_on_cookie": vary_on_cookie,
    "vary_on_headers": vary_on_headers("Accept"),
    "gzip_page": gzip_page,
    "etag": etag(_tag),
    "condition": condition(_tag),
    "require_safe": require_safe,
    "require_http_methods": require_http_methods(["GET", "HEAD", "POST"]),
    "csrf_exempt": csrf_exempt,
    "ensure_csrf_cookie": ensure_csrf_cookie,
    "xframe_options_deny": xframe_options_deny,
    "bare": bare,
    "passing on": passing_on,
    "copying": copying,
    "leaving a variable": leaving_a_variable,
}
# Neither looks at the response, which is a coroutine inside an asynchronous class.
METHOD_LAYERS = (
    *("login_required", "permission_required", "permission_required, raising", "user_passes_test", "not banned"),
    *("login_not_required", "passing on", "leaving a variable"),
)


# Classes: a layer makes a base of the live class and one of the plain class.


class BanMixin:
    """Refuses in `dispatch`."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if is_banned(request.user):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)  # type: ignore[misc]


class SetupMixin:
    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)  # type: ignore[misc]
        if is_banned(request.user):
            raise Http404


class GetMixin:
    """Guards `get` alone: a plain view may be posted to all the same."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if is_banned(request.user):
            return HttpResponse("banned", status=403)
        return super().get(request, *args, **kwargs)  # type: ignore[misc]


class AllowedMixin:
    """Refuses the method, which is the last thing a view is asked."""

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().http_method_not_allowed(request, *args, **kwargs)  # type: ignore[misc]


class LoginMixin(LoginRequiredMixin):
    pass


class EditMixin(PermissionRequiredMixin):
    permission_required = PERMISSION


class RaisingMixin(PermissionRequiredMixin):
    permission_required = (PERMISSION,)
    raise_exception = True


class TestMixin(UserPassesTestMixin):
    def test_func(self) -> bool:
        return not is_banned(self.request.user)  # type: ignore[attr-defined]


class LoginAttribute:
    login_required = True


class EditAttribute:
    permission_required = [PERMISSION]


class CheckAttribute:
    def check_permissions(self, request: HttpRequest) -> bool:
        return not is_banned(request.user)


class AsyncCheckAttribute:
    async def check_permissions(self, request: HttpRequest) -> bool | None:
        if is_banned(await request.auser()):
            raise PermissionDenied
        return None


def counting_mixin(label: str, method: str) -> type:
    def counted(self: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        tallies[request.path][label] += 1
        return getattr(super(mixin, self), method)(request, *args, **kwargs)

    mixin = type("Counting", (), {method: counted})
    return mixin


# The base of the live class, and that of the plain one.
CLASS_LAYERS: dict[str, tuple[type, type]] = {
    "dispatch": (BanMixin, BanMixin),
    "setup": (SetupMixin, SetupMixin),
    "get": (GetMixin, GetMixin),
    "http_method_not_allowed": (AllowedMixin, AllowedMixin),
    "LoginRequiredMixin": (LoginMixin, LoginMixin),
    "PermissionRequiredMixin": (EditMixin, EditMixin),
    "PermissionRequiredMixin, raising": (RaisingMixin, RaisingMixin),
    "UserPassesTestMixin": (TestMixin, TestMixin),
    "login_required": (LoginAttribute, LoginMixin),
    "permission_required": (EditAttribute, EditMixin),
    "check_permissions": (CheckAttribute, TestMixin),
    "async check_permissions": (AsyncCheckAttribute, TestMixin),
}


# Middleware


class CountingClass:
    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        tallies[request.path]["CountingClass"] += 1
        return self.get_response(request)


@sync_and_async_middleware
def counting_either(get_response: Any) -> Any:
    if iscoroutinefunction(get_response):

        async def on_loop(request: HttpRequest) -> Any:
            tallies[request.path]["counting_either"] += 1
            return await get_response(request)

        return on_loop

    def here(request: HttpRequest) -> Any:
        tallies[request.path]["counting_either"] += 1
        return get_response(request)

    return here


@async_only_middleware
def counting_on_loop(get_response: Any) -> Any:
    async def on_loop(request: HttpRequest) -> Any:
        tallies[request.path]["counting_on_loop"] += 1
        return await get_response(request)

    return on_loop


class CountingHook(MiddlewareMixin):
    def process_request(self, request: HttpRequest) -> None:
        tallies[request.path]["CountingHook"] += 1

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        tallies[request.path]["CountingHook, view"] += 1


class _Banning:
    kind = "403"

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return refused(self.kind) if is_banned(request.user) else self.get_response(request)


class Banning302(_Banning):
    kind = "302"


class Banning403(_Banning):
    pass


class Banning404(_Banning):
    kind = "404"


class Banning410(_Banning):
    kind = "410"


class BanningDenied(_Banning):
    kind = "denied"


class BanningMissing(_Banning):
    kind = "missing"


class BanningView:
    """Refuses in `process_view`."""

    kind = "403"

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
        return refused(self.kind) if is_banned(request.user) else None


class BanningViewDenied(BanningView):
    kind = "denied"


class BanningRequest(MiddlewareMixin):
    def process_request(self, request: HttpRequest) -> Any:
        return refused("403") if is_banned(request.user) else None


class BanningLate(MiddlewareMixin):
    """Refuses when the view has answered."""

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        return refused("403") if is_banned(request.user) else response


@async_only_middleware
def banning_on_loop(get_response: Any) -> Any:
    async def on_loop(request: HttpRequest) -> Any:
        return refused("410") if is_banned(await request.auser()) else await get_response(request)

    return on_loop


@sync_only_middleware
def banning_function(get_response: Any) -> Any:
    return lambda request: refused("302") if is_banned(request.user) else get_response(request)


class RoleGuard:
    """Sets an attribute for those who have it, and refuses those who have none."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        if not is_banned(request.user):
            request.role = "guest"  # type: ignore[attr-defined]
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
        return None if hasattr(request, "role") else refused("403")


class CallingTheView:
    """Calls the view itself."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
        called = async_to_sync(view) if iscoroutinefunction(view) else view
        return called(request, *args, **kwargs)


class CopyingMiddleware:
    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        response = self.get_response(request)
        if response.streaming or request.path not in ("/live/", "/plain/"):
            return response
        copied = _copy(response)
        copied.cookies = response.cookies
        return copied


@contextmanager
def _surrounded() -> Iterator[None]:
    token, thread.value = around.set("set"), "set"
    try:
        yield
    finally:
        around.reset(token)
        thread.value = "nothing"


class Surrounding:
    """Sets a context variable and a thread local."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        with _surrounded():
            return self.get_response(request)


MIDDLEWARE = (
    *("CountingClass", "counting_either", "counting_on_loop", "CountingHook", "Banning302", "Banning403"),
    *("Banning404", "Banning410", "BanningDenied", "BanningMissing", "BanningView", "BanningViewDenied"),
    *("BanningRequest", "BanningLate", "banning_on_loop", "banning_function", "RoleGuard"),
    *("CallingTheView", "CopyingMiddleware", "Surrounding"),
)
LOGIN = "django.contrib.auth.middleware.LoginRequiredMiddleware"


# Views


class Live(LiveView):
    template = (
        f"<body><p>{SECRET}: {{{{ count }}}}</p><form method='post' dj-submit='add'>{{% csrf_token %}}</form></body>"
    )
    count = state(0)

    def mount(self, request: HttpRequest) -> Any:
        self.subscribe(TOPIC)

    @event_handler
    def add(self) -> list[str]:
        deeds.append("add")
        self.count += 1
        return [around.get(), getattr(thread, "value", "nothing")]

    @event_handler
    async def add_on_loop(self) -> list[str]:
        deeds.append("add")
        self.count += 1
        return [around.get(), "unknown"]

    def handle_info(self, message: Any) -> Any:
        if isinstance(message, MessagesMissed):
            # Of a page that was restored.
            return
        deeds.append("info")
        self.count += 1


class LiveOnLoop(Live):
    """A view of coroutines."""

    async def mount(self, request: HttpRequest) -> None:
        assert await Group.objects.acount() == 0
        await self.asubscribe(TOPIC)

    async def handle_info(self, message: Any) -> None:
        super().handle_info(message)


class LiveContext(LiveOnLoop):
    async def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        return super().get_context_data(**kwargs)


LIVE = (Live, LiveOnLoop, LiveContext)


class Plain(View):
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        get_token(request)
        return HttpResponse(SECRET)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse(SECRET)


class Stack:
    """One stack, around a live view and a plain one."""

    def __init__(self, rng: random.Random) -> None:
        self.names: list[str] = []
        self.live: type[LiveView] = rng.choice(LIVE)
        plain: type[View] = Plain
        # Layers that count, by whether the view's function leads to them.
        self.counting: list[str] = []
        self.counting_middleware: list[str] = []
        for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
            plain = self._add_class_layer(rng, plain)
        live_function, plain_function = self.live.as_view(), plain.as_view()
        for _ in range(rng.choice([0, 0, 1, 2, 3, 4])):
            name, layer = self._function_layer(rng)
            self.names.append(name)
            live_function, plain_function = layer(live_function), layer(plain_function)
        self.urlpatterns = [path("live/", live_function), path("plain/", plain_function)]
        self.middleware = self._middleware(rng)

    def __repr__(self) -> str:
        return f"{self.live.__name__}, from the inside out: {', '.join([*self.names, *self.middleware])}"

    def _add_class_layer(self, rng: random.Random, plain: type[View]) -> type[View]:
        kind = rng.choice(["base", "base", "method", "count"])
        if kind == "count":
            method = rng.choice(["setup", "dispatch", "get"])
            label = f"{method} {len(self.names)}"
            self.counting.append(label)
            mixin = counting_mixin(label, method)
            self._derive(mixin)
            self.names.append(label)
            return type("Plain", (mixin, plain), {})
        if kind == "method":
            name, method = rng.choice(METHOD_LAYERS), rng.choice(["dispatch", "get"])
            self.names.append(f"{name} of {method}")
            decorate = method_decorator(FUNCTION_LAYERS[name], name=method)
            self._derive()
            self.live = decorate(self.live)
            return decorate(type("Plain", (plain,), {}))
        name = rng.choice(list(CLASS_LAYERS))
        mixin, plain_mixin = CLASS_LAYERS[name]
        if issubclass(self.live, mixin) or issubclass(plain, plain_mixin):
            return plain
        self.names.append(f"class {name}")
        self._derive(mixin)
        return type("Plain", (plain_mixin, plain), {})

    def _derive(self, *mixins: type) -> None:
        self.live = type(self.live.__name__, (*mixins, self.live), {})

    def _function_layer(self, rng: random.Random) -> tuple[str, Layer]:
        kind = rng.choice(["known", "known", "count", "ban"])
        if kind == "count":
            label = f"decorator {len(self.names)}"
            self.counting.append(label)
            return label, counting(label)
        if kind == "ban":
            refusal, is_late = rng.choice(REFUSALS), rng.random() < 0.5
            return f"ban {refusal} {'late' if is_late else ''}", banning(refusal, is_late=is_late)
        name = rng.choice(list(FUNCTION_LAYERS))
        return name, FUNCTION_LAYERS[name]

    def _middleware(self, rng: random.Random) -> list[str]:
        chosen = rng.sample(MIDDLEWARE, rng.choice([0, 0, 1, 2, 3]))
        self.counting_middleware = [
            *(name for name in chosen if name.lower().startswith("counting")),
            *(["CountingHook, view"] if "CountingHook" in chosen else []),
        ]
        names = [f"{__name__}.{name}" for name in chosen]
        if rng.random() < 0.2:
            names.insert(rng.randint(0, len(names)), LOGIN)
        return names

    @property
    def surrounds(self) -> bool:
        """Some middleware sets something around handlers."""
        return any(name.endswith("Surrounding") for name in self.middleware)

    @property
    def counts_exactly(self) -> bool:
        """No middleware calls the view itself, for the turns of a form or a POST as well."""
        return not any(name.endswith("CallingTheView") for name in self.middleware)

    @property
    def is_late(self) -> bool:
        """Some middleware refuses when handlers have run already."""
        return any(name.endswith("BanningLate") for name in self.middleware)

    @property
    def is_late_for_posts(self) -> bool:
        """A decorator or middleware refuses the answer to a POST, in which handlers have run."""
        return self.is_late or any(name.endswith(" late") for name in self.names)
