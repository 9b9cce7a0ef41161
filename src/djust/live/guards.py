"""Guards: what protects the GET of a page protects its turns as well.

A URL may have guards: a decorator, a mixin, a `dispatch`, `setup` or `get` of the view's own, the
attributes of `djust.access`. A project may have middleware of its own. A page with either is made
with `Guards`, and each of its turns is a *passage*. A new GET of the page, with the visitor as the
session store knows them now, passes the middleware and the view's function. Where the view would
be mounted, the passage *enters* the turn, which so runs inside the middleware:

    guards = guards_of(view, request)               None for a page with nothing around it
    result = guards.call(body, purpose="event")     in a thread
    result = await guards.acall(body, purpose="push")

    raises NotAllowedError      the visitor was refused: `body` was not called, or its result
                                must not be shown
    raises GuardFailedError     a guard or middleware has failed, which is no verdict

The request of a passage is marked: `request.live_purpose` is "join", "event" or "push", and
its attribute MOUNT is the `Passage`. No browser gets its answer, and no cache keeps it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from copy import copy
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch
from django.views.generic import View

from djust.access import declares_guards
from djust.conf import config
from djust.exceptions import HandlerError
from djust.live.failures import failure_on_loop
from djust.live.middleware import Chain, errors_as_responses, turn_middleware
from djust.live.visitor import OF_VISITOR, has_lost_session, is_lazy, lazy_user, of_request, unread_session
from djust.threads.pool import Caller
from djust.threads.pools import SyncThread
from djust.views import OWN_FUNCTION, LiveView

logger = logging.getLogger("djust")

T = TypeVar("T")

# The attribute of a request that says what it is for: a `Passage`, or a `Mount` of `live/mount.py`.
MOUNT = "_djust_mount"
# In META of requests that a test has made by hand: their page passes no middleware.
WITHOUT_MIDDLEWARE = "djust.without_middleware"
PURPOSE = "live_purpose"


class NotAllowedError(HandlerError):
    """The visitor may not use this page any more.

    `was_entered`: the turn had run already. `has_lost_session`: the store does not know the session
    that the browser names, so the browser has to join again.
    """

    def __init__(self, *, was_entered: bool = False, has_lost_session: bool = False) -> None:
        super().__init__("You are not allowed to use this page any more. Load it again.")
        self.was_entered = was_entered
        self.has_lost_session = has_lost_session


class GuardFailedError(HandlerError):
    """A guard of the page has failed, so there is no verdict about the visitor."""

    def __init__(self) -> None:
        super().__init__("This could not be done just now. Try again in a moment.")


class LateError(Exception):
    """The guards of the page have not answered in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


# Answers that never leave the process


class LiveResponse(HttpResponse):
    """The answer of a view that was reached: a page, or what stands for one."""


def new_token() -> bytes:
    """The content of one answer that never leaves the process.

    Decorators and middleware may make another response of it. It cannot be guessed, not even from
    the token of another passage, which a careless cache may have kept.
    """
    return f"passed {secrets.token_hex(16)}".encode()


def token_response(token: bytes) -> HttpResponseBase:
    """The answer of a view to a passage, or to a GET that is made for a channel."""
    response = LiveResponse(token, status=204)
    response.headers["Cache-Control"] = "private, no-store"
    return response


def is_live(response: HttpResponseBase, token: bytes) -> bool:
    """Whether a live view has given this response, or one with `token` that it was made of."""
    if isinstance(response, LiveResponse):
        return True
    return not response.streaming and token in getattr(response, "content", b"")


def keep_out_of_caches(request: HttpRequest) -> None:
    """Keep the answer out of Django's cache middleware, even if a decorator sets other headers."""
    request._cache_update_cache = False  # type: ignore[attr-defined]


@dataclass(slots=True, eq=False, repr=False)
class Passage:
    """The way of one request through middleware and guards to a turn, and the outcome."""

    guards: Guards
    purpose: str
    # Whether the view's function is to be called; middleware is passed in any case.
    calls_view: bool
    # The turn; None as soon as its caller has stopped waiting.
    body: Callable[[], Any] | None
    token: bytes = field(default_factory=new_token)
    was_entered: bool = False
    result: Any = None
    error: BaseException | None = None

    def authorize(self, view: LiveView) -> HttpResponseBase:
        """The answer of a view that was called: of another one, if a guard refuses with that."""
        return token_response(self.token) if type(view) is self.guards.view_class else HttpResponse(status=403)

    def enter(self, request: HttpRequest) -> None:
        body = self._begin(request)
        try:
            self.result = body()
        except BaseException as error:  # noqa: BLE001 — raised again where the passage began
            self.error = error

    async def enter_on_loop(self, request: HttpRequest) -> None:
        body = self._begin(request)
        task = asyncio.current_task()
        try:
            self.result = await body()
        except BaseException as error:  # noqa: BLE001 — as above
            self.error = failure_on_loop(error, task)

    def _begin(self, request: HttpRequest) -> Callable[[], Any]:
        if self.body is None:
            raise RuntimeError("The turn was given up before its guards have answered.")
        self.was_entered = True
        self.guards.hand_over(self, request)
        return self.body

    async def in_time(self, passing: Coroutine[Any, Any, HttpResponseBase], seconds: float | None) -> HttpResponseBase:
        """The response to a passage that was entered in time. A passage that hangs is abandoned.

        Cancelling it would not stop a thread, and would look like the failure of a guard.
        """
        if seconds is None:
            return await passing
        task = asyncio.ensure_future(passing)
        try:
            await asyncio.wait([task], timeout=seconds)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if task.done() or self.was_entered:
            return await task
        raise LateError(seconds)

    def leave(self) -> None:
        """The caller has stopped waiting. The request may live on, and must not hold the turn."""
        self.body = self.result = self.error = None

    def outcome(self, request: HttpRequest, response: HttpResponseBase) -> Any:
        """What the body has returned or raised, if the response comes from the view."""
        has_failed = response.status_code >= 500
        if self.was_entered and (has_failed or is_live(response, self.token)):
            if has_failed:
                logger.error("Middleware has failed after a turn", exc_info=getattr(response, "failure", None))
            if self.error is not None:
                raise self.error
            return self.result
        if has_failed:
            raise GuardFailedError from getattr(response, "failure", None)
        raise NotAllowedError(was_entered=self.was_entered, has_lost_session=has_lost_session(request))


# The guards of a page

OF_BODY = frozenset({"_body", "_files", "_post", "_read_started", "_stream", "_upload_handlers", "_post_parse_error"})
# Made of META when they are first used, which is that of the browser that holds the page.
_OF_META = frozenset({"COOKIES", "headers", "_current_scheme_host"})
_NOT_HANDED_OVER = OF_BODY | OF_VISITOR | _OF_META | {PURPOSE, MOUNT, "META", "method"}
# What Django's own middleware sets, which turns do not pass.
_OF_DJANGO = frozenset(
    {"LANGUAGE_CODE", "_csp_nonce", "_dont_enforce_csrf_checks", "_messages", "csrf_processing_done", "site"}
)
_made_with: dict[type[HttpRequest], frozenset[str]] = {}


class Guards:
    """What stands around the turns of one page."""

    __slots__ = (
        *("_conditions", "_given", "_names", "_page", "_pristine", "_user"),
        *("has_middleware", "is_asynchronous", "is_guarded", "match", "view_class"),
    )

    def __init__(
        self,
        view_class: type[LiveView],
        request: HttpRequest,
        match: ResolverMatch,
        names: tuple[str, ...],
        *,
        is_guarded: bool,
    ) -> None:
        self.view_class = view_class
        self.match = match
        self._page = request
        self._names = names
        # The view is not mounted yet: guards do not see what it does to its request. What
        # middleware or guards have set they set again, unless it does not hold any more.
        own = _own_names(request)
        self._pristine = {name: value for name, value in vars(request).items() if name in own}
        self._given = frozenset(self._given_to(request))
        # A turn does not depend on whether the browser already knew the page.
        self._conditions = [name for name in request.META if name.startswith("HTTP_IF_") or name == "HTTP_RANGE"]
        self._user = vars(request).get("user")
        self.is_guarded = is_guarded
        # Turns pass middleware, whose context variables and thread locals user code may look at.
        self.has_middleware = bool(names)
        # The view's function can only be called on the event loop.
        self.is_asynchronous = is_guarded and iscoroutinefunction(match.func)

    def call(self, body: Callable[[], T], *, purpose: str, asks: bool = True) -> T:
        """The result of `body`, called in this thread inside the middleware, after the guards.

        Without `asks`, only middleware runs: the guards were asked a moment ago.
        """
        chain = _chain(self._names, is_async=False)
        passage, request = self._begin(body, purpose, asks=asks)
        try:
            result: T = passage.outcome(request, chain(request))
            return result
        finally:
            passage.leave()

    async def acall(
        self,
        body: Callable[[], Awaitable[T]],
        *,
        purpose: str,
        asks: bool = True,
        seconds: float | None = None,
    ) -> T:
        """The same for a coroutine function, on the event loop.

        Raises `LateError` if the body was not called within so many seconds; then it never is.
        """
        chain = _chain(self._names, is_async=True)
        passage, request = self._begin(body, purpose, asks=asks)
        try:
            result: T = passage.outcome(request, await passage.in_time(chain(request), seconds))
            return result
        finally:
            passage.leave()

    def _begin(self, body: Callable[[], Any], purpose: str, *, asks: bool) -> tuple[Passage, HttpRequest]:
        """A passage, with a new GET of the page by the visitor as they are known now."""
        passage = Passage(self, purpose, asks and self.is_guarded, body)
        page = self._page
        request = page.__class__.__new__(page.__class__)
        known, at_hand = vars(request), vars(page)
        known.update(self._pristine)
        known["method"] = "GET"
        known["META"] = meta = dict(page.META)
        for name in self._conditions:
            meta.pop(name, None)
        known["resolver_match"] = self.match
        known[PURPOSE], known[MOUNT] = purpose, passage
        keep_out_of_caches(request)
        if at_hand.get("session") is not None:
            known["session"] = unread_session(page)
        if WITHOUT_MIDDLEWARE in meta:
            known["user"] = _unread(self._user)
        elif self._user is not None and "session" in known:
            known["user"] = lazy_user(request)
            if "auser" in at_hand:
                known["auser"] = of_request(request, at_hand["auser"])
        return passage, request

    def hand_over(self, passage: Passage, asked: HttpRequest) -> None:
        """Give the page's request the visitor and the attributes that the passage has found."""
        known, found = vars(self._page), vars(asked)
        if "session" in found:
            known["session"] = found["session"]
        # A user whom the view has assigned stays.
        if "user" in found and (known.get("user") is self._user or is_lazy(known.get("user"))):
            for name in ("_cached_user", "_acached_user"):
                known.pop(name, None)
                if name in found:
                    known[name] = found[name]
            self._user = known["user"] = found["user"]
        given = self._given_to(asked)
        known.update(given)
        names = given.keys() - self._pristine.keys()
        if passage.calls_view is self.is_guarded:
            # Everything that sets attributes has run. What it has not set again is outdated.
            for name in self._given - names:
                known.pop(name, None)
            self._given = frozenset(names)
        else:
            self._given |= names

    def _given_to(self, request: HttpRequest) -> dict[str, Any]:
        """The attributes of a request that middleware or guards have set."""
        pristine, kind = self._pristine, type(request)
        return {
            name: value
            for name, value in vars(request).items()
            if name not in _NOT_HANDED_OVER
            and (pristine[name] is not value if name in pristine else not hasattr(kind, name))
        }


def _unread(user: Any) -> Any:
    """A user without the permissions that were read for them."""
    unread = copy(user)
    for name in [name for name in vars(unread) if name.endswith("_perm_cache")]:
        delattr(unread, name)
    return unread


def _own_names(request: HttpRequest) -> frozenset[str]:
    """The attributes of a request that neither guards nor the middleware of turns have set."""
    if WITHOUT_MIDDLEWARE in request.META or config.skip_middleware:
        return frozenset(vars(request)) - OF_VISITOR - _OF_META - {MOUNT}
    kind = type(request)
    if kind not in _made_with:
        if isinstance(request, ASGIRequest):
            made: HttpRequest = type(request)(request.scope, BytesIO())
        elif isinstance(request, WSGIRequest):
            made = type(request)(request.environ)
        else:
            made = HttpRequest()
        _made_with[kind] = frozenset(vars(made)) | _OF_DJANGO
    return _made_with[kind]


def guards_of(view: LiveView, request: HttpRequest) -> Guards | None:
    """What stands around a page, whose view was not mounted yet; None if nothing does."""
    match = request.resolver_match
    if match is None:
        return None
    # `as_view(login_required=True)` and `__init__` give attributes to the view alone.
    is_guarded = _is_guarded(match.func) or declares_guards(view)
    names = () if WITHOUT_MIDDLEWARE in request.META else turn_middleware()
    return Guards(type(view), request, match, names, is_guarded=is_guarded) if is_guarded or names else None


def asker(request: HttpRequest, purpose: str) -> Caller:
    """The caller that asking the guards of a page counts for: a GET of the same address."""
    return Caller(f"address {request.META.get('REMOTE_ADDR')}", f"{purpose} {request.path!r:.200}", must_run=True)


@cache
def _is_guarded(function: Callable[..., Any]) -> bool:
    view_class = getattr(function, "view_class", None)
    if not (isinstance(view_class, type) and issubclass(view_class, LiveView)):
        return True
    # A decorator copies the mark of the function that it wraps.
    return (
        getattr(function, OWN_FUNCTION, None) is not function
        or view_class.setup is not View.setup
        or view_class.dispatch is not LiveView.dispatch
        or view_class.get is not LiveView.get
        or view_class.http_method_not_allowed is not View.http_method_not_allowed
    )


# The innermost of the chain


@cache
def _chain(names: tuple[str, ...], *, is_async: bool) -> Chain:
    """One chain for all pages of the process, made when it is first needed."""
    return Chain(names, _ask_on_loop if is_async else _ask, is_async=is_async)


def _forget_chains(**changed: Any) -> None:
    """Settings that middleware has read are others now, in a test."""
    _chain.cache_clear()


setting_changed.connect(_forget_chains)


def make_chains() -> None:
    """Make the chains now, before there are requests."""
    if names := turn_middleware():
        _chain(names, is_async=False)
        _chain(names, is_async=True)


def _ask(chain: Chain, request: HttpRequest) -> HttpResponseBase:
    """Ask the hooks of middleware and the view. If the answer comes from the view, the turn runs.

    A hook that answers refuses as a rule, but it may have called the view.
    """
    passage: Passage = vars(request)[MOUNT]
    function, args, kwargs = passage.guards.match
    for hook in chain.view_hooks:
        answer = hook(request, function, args, kwargs)
        if answer is not None:
            break
    else:
        answer = function(request, *args, **kwargs) if passage.calls_view else token_response(passage.token)
    response: HttpResponseBase = answer
    if is_live(response, passage.token):
        passage.enter(request)
    return response


async def _ask_on_loop(chain: Chain, request: HttpRequest) -> HttpResponseBase:
    passage: Passage = vars(request)[MOUNT]
    function, args, kwargs = passage.guards.match
    for hook in chain.view_hooks:
        answer = await hook(request, function, args, kwargs)
        if answer is not None:
            break
    else:
        answer = await _call_view(chain, passage, request) if passage.calls_view else token_response(passage.token)
    response: HttpResponseBase = answer
    if is_live(response, passage.token):
        await passage.enter_on_loop(request)
    return response


async def _call_view(chain: Chain, passage: Passage, request: HttpRequest) -> HttpResponseBase:
    """Call the view's function in the thread of the middleware, whose thread locals guards see.

    Without middleware, call it in a thread that is free again when it has answered.
    """
    function, args, kwargs = passage.guards.match
    if not iscoroutinefunction(function):
        # An exception becomes a response in the thread: a future cannot hold StopIteration.
        function = sync_to_async(errors_as_responses(function, is_async=False), thread_sensitive=True)
    response: HttpResponseBase
    if not chain.is_empty:
        response = await function(request, *args, **kwargs)
    else:
        with SyncThread().entered(lambda: asker(request, passage.purpose)):
            response = await function(request, *args, **kwargs)
    return response
