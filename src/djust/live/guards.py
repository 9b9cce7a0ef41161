"""What stands around a page's GET, stands around its turns: who may not load the page may not use it either.

A page whose URL has guards (a decorator, a mixin, a `dispatch`, `setup` or `get` of its own, the attributes of
`djust.access`) or whose project has middleware of its own is made with `Guards`. Each of its turns is a *passage*: a
new GET of the page, with the visitor as the session store knows them now, goes through the middleware and the view's
function. Where the view would be mounted, the passage is *entered*, and the turn runs there, inside the middleware:

    guards = guards_of(view, request)               None for a page with nothing around it
    result = guards.call(body, purpose="event")     in a thread
    result = await guards.acall(body, purpose="push")

    raises NotAllowedError      the visitor was refused, and `body` was not called, or its result must not be shown
    raises GuardFailedError     what was asked has failed, which is no verdict

The request of a passage is marked: `request.live_purpose` is "join", "event" or "push", and `LiveView.get` knows it
by `Passage`. Its answer is never sent to a browser, and no cache keeps it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from copy import copy
from functools import cache
from io import BytesIO
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils.datastructures import MultiValueDict
from django.views.generic import View

from djust.access import declares_guards
from djust.conf import config
from djust.exceptions import HandlerError
from djust.live.failures import failure_on_loop
from djust.live.middleware import Around, Failed, answering, names_around
from djust.live.visitor import has_lost_session, is_lazy, lazy_user, look_up_lazily, of_request, unread_session
from djust.threads.pools import Caller, SyncThread, exits_as_errors, request_pool
from djust.views import OWN_FUNCTION, LiveView

logger = logging.getLogger("djust")

T = TypeVar("T")

PURPOSE = "live_purpose"
# An attribute of requests that a test has made by hand, for a page that passes no middleware.
WITHOUT_MIDDLEWARE = "_djust_without_middleware"
_PASSAGE = "_djust_passage"


class NotAllowedError(HandlerError):
    """The visitor may not use this page any more.

    `was_entered`: this was found out when the turn had run. `has_lost_session`: the session that the browser names was
    not found, so it may be somebody else's turn to say who the visitor is.
    """

    def __init__(self, *, was_entered: bool = False, has_lost_session: bool = False) -> None:
        super().__init__("You are not allowed to use this page any more. Load it again.")
        self.was_entered = was_entered
        self.has_lost_session = has_lost_session


class GuardFailedError(HandlerError):
    """What guards the page has failed, so there is no verdict about the visitor."""

    def __init__(self) -> None:
        super().__init__("This could not be done just now. Try again in a moment.")


class LateError(Exception):
    """What guards the page has not answered in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class LiveResponse(HttpResponse):
    """The answer of a view that was reached: a page, or the end of a passage."""


class Passage:
    """One way of a request through everything that stands around a view, and what came of it."""

    __slots__ = ("_view_class", "asks", "body", "enters", "error", "result", "token", "was_entered")

    def __init__(
        self, view_class: type[LiveView], body: Callable[[], Any], enters: Callable[[HttpRequest], None], *, asks: bool
    ) -> None:
        self._view_class = view_class
        self.body: Callable[[], Any] | None = body
        self.enters = enters
        # Whether the view's function is to be called; middleware is passed in any case.
        self.asks = asks
        self.token = new_token()
        self.was_entered = False
        self.result: Any = None
        self.error: BaseException | None = None

    def reached(self, view: LiveView) -> HttpResponseBase:
        """The answer of a view that the passage has come to. A guard may refuse with the answer of another one."""
        return end_of_passage(self.token) if type(view) is self._view_class else HttpResponse(status=403)

    def enter(self, request: HttpRequest) -> None:
        """Call the body."""
        body = self._begin(request)
        try:
            self.result = body()
        except BaseException as error:  # noqa: BLE001 — raised again where the passage began
            self.error = error

    async def enter_on_loop(self, request: HttpRequest) -> None:
        """Await the body."""
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
        self.enters(request)
        return self.body

    def leave(self, request: HttpRequest) -> None:
        """Nobody waits any more. The request may stay, with the user who was looked up, and is not to hold the turn."""
        self.body = None
        vars(request).pop(_PASSAGE, None)

    def outcome(self, request: HttpRequest, response: HttpResponseBase) -> Any:
        """What the body has returned or raised, if the response to the passage says that the view was reached."""
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


async def _in_time(
    passing: Coroutine[Any, Any, HttpResponseBase], passage: Passage, seconds: float | None
) -> HttpResponseBase:
    """The response to a passage that was entered in time. One that hangs goes on: a thread cannot be stopped."""
    if seconds is None:
        return await passing
    task = asyncio.ensure_future(passing)
    try:
        await asyncio.wait([task], timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if task.done() or passage.was_entered:
        return await task
    raise LateError(seconds)


def passage_of(request: HttpRequest) -> Passage | None:
    """The passage of a request that is one."""
    return cast("Passage | None", vars(request).get(_PASSAGE))


def new_token() -> bytes:
    """The content of one answer that never leaves the process.

    Decorators and middleware may make another response of it. It cannot be guessed, not even from the token of another
    passage, which a careless cache may have kept.
    """
    return f"passed {secrets.token_hex(16)}".encode()


def end_of_passage(token: bytes) -> HttpResponseBase:
    """The answer of a view that was reached by a passage, or by a GET that is made for a socket."""
    response = LiveResponse(token, status=204)
    response.headers["Cache-Control"] = "private, no-store"
    return response


def keep_out_of_caches(request: HttpRequest) -> None:
    """Whatever headers a decorator may set, Django's cache middleware does not store the answer to this request."""
    request._cache_update_cache = False  # type: ignore[attr-defined]


def is_live(response: HttpResponseBase, token: bytes) -> bool:
    """Whether a live view has given this response, or one with `token` that it was made of."""
    if isinstance(response, LiveResponse):
        return True
    return not response.streaming and token in getattr(response, "content", b"")


# Requests

_OF_BODY = ("_body", "_files", "_post", "_read_started", "_stream", "_upload_handlers", "_post_parse_error")
_OF_VISITOR = ("session", "user", "auser", "_cached_user", "_acached_user")


def as_get(request: HttpRequest) -> HttpRequest:
    """A GET with the address, the headers and the visitor of `request`, which is a POST; it shares its META, in which
    Django keeps the CSRF token.
    """
    copied = request.__class__.__new__(request.__class__)
    known = vars(copied)
    known.update(item for item in vars(request).items() if item[0] not in _OF_BODY)
    known.update(method="GET", _stream=BytesIO(), _read_started=False, _post=QueryDict(), _files=MultiValueDict())
    look_up_lazily(copied)
    return copied


def _unread(user: Any) -> Any:
    """A user without the permissions that were read for them."""
    unread = copy(user)
    for name in [name for name in vars(unread) if name.endswith("_perm_cache")]:
        delattr(unread, name)
    return unread


class Guards:
    """What stands around the turns of one page."""

    __slots__ = (
        *("_conditions", "_given", "_own", "_page", "_pristine", "_user", "_view_class"),
        *("has_middleware", "is_asynchronous", "is_guarded"),
    )

    def __init__(
        self, view_class: type[LiveView], request: HttpRequest, *, is_guarded: bool, has_middleware: bool
    ) -> None:
        self._view_class = view_class
        self._page = request
        # The view has not been mounted: what it does to its request is not what guards look at. What middleware or
        # guards have set on it they set again, unless it does not hold any more.
        self._own = _own_names(request)
        self._pristine = {name: value for name, value in vars(request).items() if name in self._own}
        self._given = self._given_names(request)
        # Whether the browser knew the page already is nothing that a turn depends on.
        self._conditions = [name for name in request.META if name.startswith("HTTP_IF_") or name == "HTTP_RANGE"]
        self._user = vars(request).get("user")
        self.is_guarded = is_guarded
        # Turns pass middleware, whose context variables and thread locals user code may look at.
        self.has_middleware = has_middleware
        match = request.resolver_match
        # The view's function can only be called on the event loop.
        self.is_asynchronous = is_guarded and match is not None and iscoroutinefunction(match.func)

    def call(self, body: Callable[[], T], *, purpose: str, asks: bool = True) -> T:
        """The result of `body`, called in this thread inside the middleware, after the guards."""
        passage = Passage(self._view_class, body, self._hand_over, asks=asks and self.is_guarded)
        around = _around(self._names, is_async=False)
        request = self._asking(passage, purpose)
        try:
            with exits_as_errors:
                response = around(request)
        except Exception as error:  # noqa: BLE001 — a guard may even try to end the thread
            response = Failed(error)
        try:
            result: T = passage.outcome(request, response)
            return result
        finally:
            passage.leave(request)

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
        passage = Passage(self._view_class, body, self._hand_over, asks=asks and self.is_guarded)
        around = _around(self._names, is_async=True)
        request = self._asking(passage, purpose)
        task = asyncio.current_task()
        try:
            try:
                response = await _in_time(around(request), passage, seconds)
            except LateError:
                raise
            except BaseException as error:
                if passage.error is not None:
                    raise
                response = Failed(failure_on_loop(error, task))
            result: T = passage.outcome(request, response)
            return result
        finally:
            passage.leave(request)

    @property
    def _names(self) -> tuple[str, ...]:
        return names_around() if self.has_middleware else ()

    def _asking(self, passage: Passage, purpose: str) -> HttpRequest:
        """A new GET of the page, by the visitor as they are known now."""
        page = self._page
        request = page.__class__.__new__(page.__class__)
        known, at_hand = vars(request), vars(page)
        known.update(self._pristine)
        known["method"] = "GET"
        known["META"] = meta = dict(page.META)
        for name in self._conditions:
            meta.pop(name, None)
        known["resolver_match"] = page.resolver_match
        if "COOKIES" in at_hand:
            known["COOKIES"] = at_hand["COOKIES"]
        known[PURPOSE], known[_PASSAGE] = purpose, passage
        keep_out_of_caches(request)
        if at_hand.get("session") is not None:
            known["session"] = unread_session(page)
        if WITHOUT_MIDDLEWARE in known:
            known["user"] = _unread(self._user)
        elif self._user is not None and "session" in known:
            known["user"] = lazy_user(request)
            if "auser" in at_hand:
                known["auser"] = of_request(request, at_hand["auser"])
        return request

    def _hand_over(self, asked: HttpRequest) -> None:
        """Give the page's request the visitor, and what middleware has set on the request of the passage."""
        known, given = vars(self._page), vars(asked)
        if "session" in given:
            known["session"] = given["session"]
        # A user whom the view has put there stays.
        if "user" in given and (known.get("user") is self._user or is_lazy(known.get("user"))):
            for name in ("_cached_user", "_acached_user"):
                known.pop(name, None)
                if name in given:
                    known[name] = given[name]
            self._user = known["user"] = given["user"]
        for name, value in self._pristine.items():
            if given.get(name) is not value and name in given and name not in _NOT_HANDED_OVER:
                known[name] = given[name]
        names, passage = self._given_names(asked), passage_of(asked)
        for name in names:
            known[name] = given[name]
        assert passage is not None, "only requests of passages are entered"
        if passage.asks is self.is_guarded and not config().skip_middleware:
            # All that gives attributes was passed, and what it does not give again does not hold any more.
            for name in self._given - names:
                known.pop(name, None)
            self._given = names
        else:
            self._given |= names

    def _given_names(self, request: HttpRequest) -> frozenset[str]:
        """The attributes of a request that middleware or guards have set."""
        names = vars(request).keys() - self._own - _NOT_HANDED_OVER
        return frozenset(name for name in names if not hasattr(type(request), name)) if names else _NO_NAMES


_NOT_HANDED_OVER = frozenset({*_OF_BODY, *_OF_VISITOR, PURPOSE, _PASSAGE, "META", "COOKIES", "method", "headers"})
_NO_NAMES: frozenset[str] = frozenset()
# What Django's own middleware sets, which turns do not pass, and its handler.
_OF_DJANGO = frozenset(
    {
        *("LANGUAGE_CODE", "_csp_nonce", "_dont_enforce_csrf_checks", "_messages", "csrf_processing_done"),
        *("resolver_match", "site"),
    }
)
# Made of META when they are first used, which is that of the browser that holds the page.
_OF_META = frozenset({"headers", "_current_scheme_host"})
_made_with: dict[type[HttpRequest], frozenset[str]] = {}


def _own_names(request: HttpRequest) -> frozenset[str]:
    """The attributes that a request has before middleware of the project sees it; all, where turns do not pass what
    has set them.
    """
    if WITHOUT_MIDDLEWARE in vars(request) or config().skip_middleware:
        return frozenset(vars(request)) - frozenset(_OF_VISITOR) - _OF_META
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
    has_middleware = WITHOUT_MIDDLEWARE not in vars(request) and bool(names_around())
    if is_guarded or has_middleware:
        return Guards(type(view), request, is_guarded=is_guarded, has_middleware=has_middleware)
    return None


def asker(request: HttpRequest, purpose: str) -> Caller:
    """Whose work it is to ask what guards a page: it takes threads of GETs, and counts as one."""
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
def _around(names: tuple[str, ...], *, is_async: bool) -> Around:
    """One chain for all pages of the process, made when it is first needed."""
    return Around(names, _ask_on_loop if is_async else _ask, is_async=is_async)


def _make_again(**changed: Any) -> None:
    """Settings that middleware has read are others now, in a test."""
    _around.cache_clear()


setting_changed.connect(_make_again)


def prepare() -> None:
    """Make the chains now, before there are requests."""
    if names := names_around():
        _around(names, is_async=False)
        _around(names, is_async=True)


def _ask(around: Around, request: HttpRequest) -> HttpResponseBase:
    passage, match = passage_of(request), request.resolver_match
    assert passage is not None, "only requests of passages come here"
    assert match is not None, "a page without a URL has no guards"
    reached = _answer_of_hooks(around, request)
    if reached is None:
        reached = match.func(request, *match.args, **match.kwargs) if passage.asks else end_of_passage(passage.token)
    if is_live(reached, passage.token):
        passage.enter(request)
    return reached


def _answer_of_hooks(around: Around, request: HttpRequest) -> HttpResponseBase | None:
    """What the first `process_view` answers that answers: a refusal as a rule, but it may have called the view."""
    match = request.resolver_match
    assert match is not None, "the caller has looked"
    for hook in around.view_hooks:
        answer: HttpResponseBase | None = hook(request, match.func, match.args, match.kwargs)
        if answer is not None:
            return answer
    return None


async def _ask_on_loop(around: Around, request: HttpRequest) -> HttpResponseBase:
    passage, match = passage_of(request), request.resolver_match
    assert passage is not None, "only requests of passages come here"
    assert match is not None, "a page without a URL has no guards"
    reached: HttpResponseBase | None = None
    for hook in around.view_hooks:
        reached = await hook(request, match.func, match.args, match.kwargs)
        if reached is not None:
            break
    if reached is None:
        reached = await _reach(around, request) if passage.asks else end_of_passage(passage.token)
    if is_live(reached, passage.token):
        await passage.enter_on_loop(request)
    return reached


async def _reach(around: Around, request: HttpRequest) -> HttpResponseBase:
    """Call the view's function where the middleware is: what that has set for a thread has to hold for guards as well.

    Without middleware, in a thread that is free again when it has answered.
    """
    match = request.resolver_match
    assert match is not None, "the caller has looked"
    response: HttpResponseBase
    # What it raises is a response where it is raised: a future cannot hold StopIteration.
    reach = match.func if iscoroutinefunction(match.func) else answering(match.func, is_async=False)
    if around.is_empty:
        if iscoroutinefunction(match.func):
            with SyncThread().entered(lambda: asker(request, vars(request)[PURPOSE])):
                response = await reach(request, *match.args, **match.kwargs)
        else:
            caller = asker(request, vars(request)[PURPOSE])
            response = await request_pool.run_for(caller, reach, request, *match.args, **match.kwargs)
    elif iscoroutinefunction(match.func):
        response = await reach(request, *match.args, **match.kwargs)
    else:
        response = await sync_to_async(reach, thread_sensitive=True)(request, *match.args, **match.kwargs)
    return response
