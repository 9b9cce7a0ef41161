"""Who looks at a page, and under which conditions: session, user, language, time zone, URL configuration.

The page keeps the request of its GET. Before each turn the request's session and user are made new again, without
reading them: `request.user` in a handler is the user as the database knows it now, and costs nothing where it is not
used. At each join the request becomes one of the browser as it is then (`take_over`): its session may have another key.

    visitor_of(cookies)            whose socket this is                 Visitor("user:7", "k3y…", …)
    visitor_of_request(request)    for whom a request is answered

These look-ups read sessions and never write them. Django's own `get_user` gives a session a new key after a rotation of
SECRET_KEY and ends one that it cannot verify; without a response that would log the browser out behind its back.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo
from functools import partial
from hashlib import blake2b
from importlib import import_module
from types import TracebackType
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.contrib import auth
from django.contrib.sessions.backends import signed_cookies
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.urls import get_script_prefix, get_urlconf, set_script_prefix, set_urlconf
from django.utils import timezone, translation
from django.utils.functional import SimpleLazyObject

from djust.live.token import SESSION, USER, fingerprint

logger = logging.getLogger("djust")


class ThreadState(NamedTuple):
    """What Django keeps per thread or task while it serves a request."""

    language: str | None
    zone: tzinfo
    urlconf: Any
    prefix: str
    usual: bool
    """Nothing differs from a fresh context, so there is nothing to activate in one."""

    @classmethod
    def now(cls) -> ThreadState:
        """Those that hold here and now."""
        language, zone = translation.get_language(), timezone.get_current_timezone()
        urlconf, prefix = get_urlconf(), get_script_prefix()
        if urlconf == settings.ROOT_URLCONF:
            urlconf = None
        usual = (language, zone, urlconf, prefix) == (
            settings.LANGUAGE_CODE,
            timezone.get_default_timezone(),
            None,
            "/",
        )
        return cls(language, zone, urlconf, prefix, usual)

    def activate(self) -> None:
        """Let them hold from here on."""
        if self.language is None:
            translation.deactivate_all()
        else:
            translation.activate(self.language)
        timezone.activate(self.zone)
        set_urlconf(self.urlconf)
        set_script_prefix(self.prefix)


def refresh_session_and_user(request: HttpRequest) -> None:
    """Forget what the request has read of session and user, so that the next access reads it anew."""
    known = vars(request)
    session = known.get("session")
    if session is not None and session.accessed:
        known["session"] = unread_session(request)
    if type(known.get("user")) is not _LazyUser or "_cached_user" in known:
        known.pop("_cached_user", None)
        look_up_lazily(request)
    known.pop("_acached_user", None)


_DJANGO_S = "django.contrib.auth.middleware"


def look_up_lazily(request: HttpRequest) -> None:
    """Let `request.user` and `request.auser` be looked up, by our own functions, when they are next used.

    Only those that AuthenticationMiddleware put there: what somebody else assigned stays.
    """
    known = vars(request)
    if "user" in known:
        known["user"] = of_request(request, known["user"])
    if "auser" in known:
        known["auser"] = of_request(request, known["auser"])


def of_request(request: HttpRequest, value: Any) -> Any:
    """What stands for `value` as `request.user` or `request.auser`."""
    if is_lazy(value):
        return lazy_user(request)
    if isinstance(value, partial) and (value.func is _auser or value.func.__module__ == _DJANGO_S):
        # One of ours may be that of another request, of which this one is a copy.
        return partial(_auser, request)
    return value


def lazy_user(request: HttpRequest) -> Any:
    """The user of the session of `request`, looked up when used."""
    return _LazyUser(partial(user_of, request))


def is_lazy(user: object) -> bool:
    """Whether this is a user as AuthenticationMiddleware or this module leave it, to be looked up when it is used."""
    if type(user) is not SimpleLazyObject:
        return type(user) is _LazyUser
    # Somebody else's middleware may leave a lazy user, too, and has its own way to look that up.
    look_up = object.__getattribute__(user, "__dict__").get("_setupfunc")
    return getattr(look_up, "__module__", "") == _DJANGO_S


class _LazyUser(SimpleLazyObject):  # type: ignore[type-arg] # Django's own takes no argument
    """A user that our own function looks up."""


def unread_session(request: HttpRequest) -> SessionBase:
    """The session of `request`, to be read when it is next used."""
    session = request.session
    # One that was not found may be there again.
    key = session.session_key or request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    return type(session)(key)


def user_of(request: HttpRequest) -> Any:
    """The user whom the request's session belongs to, read once."""
    known = vars(request)
    if "_cached_user" not in known:
        with _LeftAlone(request.session):
            known["_cached_user"] = auth.get_user(request)
    return known["_cached_user"]


async def _auser(request: HttpRequest) -> Any:
    known = vars(request)
    if "_acached_user" not in known:
        with _LeftAlone(request.session):
            known["_acached_user"] = await auth.aget_user(request)
    return known["_acached_user"]


class _LeftAlone:
    """Within, Django's `get_user` neither gives the session another key or content nor ends it."""

    __slots__ = ("_before", "_session")

    def __init__(self, session: SessionBase) -> None:
        self._session = session
        self._before: tuple[Any, bool] | None = None

    def __enter__(self) -> None:
        vars(self._session).update(
            cycle_key=self._spare, acycle_key=self._spare_async, flush=_leave, aflush=_leave_async
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in ("cycle_key", "acycle_key", "flush", "aflush"):
            vars(self._session).pop(name, None)
        if self._before is not None:
            self._session[auth.HASH_SESSION_KEY], self._session.modified = self._before

    def _spare(self) -> None:
        # What `get_user` writes next is taken back.
        if self._before is None:
            self._before = self._session.get(auth.HASH_SESSION_KEY), self._session.modified

    async def _spare_async(self) -> None:
        self._spare()


def _leave() -> None: ...


async def _leave_async() -> None: ...


class SocketRequest(ASGIRequest):
    """The request of a GET that is made for a socket. No response of it reaches the browser, with a new key perhaps."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Let the user that AuthenticationMiddleware puts here be looked up without a change of the session."""
        super().__setattr__(name, of_request(self, value) if name in ("user", "auser") else value)


# What belongs to one request only, and not to the browser; and the page's own address, which tenants may depend on.
_OF_ONE_REQUEST = re.compile(
    "HTTP_(ACCEPT|CACHE_CONTROL|CONNECTION|COOKIE|HOST|ORIGIN|PRAGMA|RANGE|REFERER|UPGRADE|X_CSRFTOKEN"
    "|X_FORWARDED_(HOST|PORT|PROTO)|X_REQUESTED_WITH|IF_.*|(SEC|X_DJUST).*)"
)


def take_over(request: HttpRequest, source: HttpRequest) -> None:
    """Let `request`, that of a page, be one of the browser that now makes `source`: a socket's request, or a POST.

    Cookies, what the browser or a proxy says of it in headers, its address, session and user are those of `source`. The
    object stays the same, as do method, path and whatever else stands on it.
    """
    known, meta = vars(request), source.META
    for name in meta:
        if name.startswith(("HTTP_", "REMOTE_")) and not _OF_ONE_REQUEST.fullmatch(name):
            request.META[name] = meta[name]
    if "HTTP_COOKIE" in meta:
        request.META["HTTP_COOKIE"] = meta["HTTP_COOKIE"]
    else:
        request.META.pop("HTTP_COOKIE", None)
    known.pop("headers", None)
    known["COOKIES"] = dict(source.COOKIES)
    if "session" in known:
        own = vars(source).get("session")
        key = own.session_key if own is not None else source.COOKIES.get(settings.SESSION_COOKIE_NAME)
        known["session"] = type(known["session"])(key)
    known.pop("_cached_user", None)
    known.pop("_acached_user", None)
    look_up_lazily(request)


def session_to_save(request: HttpRequest) -> SessionBase | None:
    """The request's session if a turn has changed it."""
    session = vars(request).get("session")
    return session if session is not None and session.modified else None


def save_session(session: SessionBase) -> None:
    """Save what a turn wrote into the session. The turn has happened, so a failure is logged and not raised."""
    if session.session_key is None or isinstance(session, signed_cookies.SessionStore):
        logger.warning(
            "A handler wrote to a session that the browser has no cookie for, because it has ended or never began. "
            "Only a response can set a cookie, so the change is lost. Begin the session when the page is mounted."
        )
        return
    try:
        session.save()
    except UpdateError:
        logger.warning("A handler wrote to a session that was deleted meanwhile, by logging out perhaps.")
    except Exception:
        logger.exception("A session could not be saved")


# Whose


class SessionStoreError(Exception):
    """The session store has given no answer, so there is no verdict about a session: ask again later."""


class Visitor(NamedTuple):
    """Whom the cookies of a browser belong to."""

    identity: str = ""
    """"user:7" for somebody who has logged in, whatever their session; "session:k3y" for somebody else who has a
    session; "" for somebody with neither."""
    key: str = ""
    """That of the session, or ""."""
    session: str = ""
    """A digest that names what a logout ends: the session, or all of a user where sessions are cookies."""
    is_unknown: bool = False
    """The browser names a session that the store does not know."""
    ends: float = float("inf")
    """When the session expires if nobody uses it, on the monotonic clock."""

    @property
    def fingerprint(self) -> str:
        """What join tokens and pages of this visitor are bound to."""
        return fingerprint(self.identity)

    @property
    def is_user(self) -> bool:
        """Whether somebody has logged in."""
        return self.identity.startswith(USER)


NOBODY = Visitor()
# The session store has failed, and this was logged.
_failing: list[bool] = []


def visitor_of(cookies: Mapping[str, str]) -> Visitor:
    """Session and user as Django's own middleware would find them; reads the session store.

    Raises `SessionStoreError` if that cannot be read.
    """
    key = cookies.get(settings.SESSION_COOKIE_NAME)
    if not key:
        return NOBODY
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request = HttpRequest()
    with _answering():
        session = request.session = store(key)
        is_user = apps.is_installed("django.contrib.auth") and user_of(request).is_authenticated
        return _visitor(session, key, is_user=is_user)


def visitor_of_request(request: HttpRequest) -> Visitor:
    """For whom this request is answered, as its middleware has found.

    Raises `SessionStoreError` if the session store cannot be read.
    """
    known = vars(request)
    session, user = known.get("session"), known.get("user")
    if session is None:
        return NOBODY
    with _answering():
        is_user = user is not None and user.is_authenticated
        return _visitor(session, request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""), is_user=is_user)


def maker_of(request: HttpRequest) -> Visitor:
    """For whom a page was made with this request. The user is not looked up, because a GET may do without."""
    session = vars(request).get("session")
    return NOBODY if session is None or session.session_key is None else _visitor(session, "", is_user=True)


def _visitor(session: SessionBase, named: str, *, is_user: bool) -> Visitor:
    """The visitor who has a session. `named` is what the browser's cookie names."""
    is_cookie = isinstance(session, signed_cookies.SessionStore)
    # Reading loads the session, and only then is the key of one that has ended gone.
    if named and not session.keys() and (is_cookie or session.session_key != named):
        if not is_cookie:
            _expect_unknown(session, named)
        return Visitor(is_unknown=True)
    user_id = session.get(auth.SESSION_KEY, "") if is_user else ""
    key = session.session_key or ""
    if not key:
        return NOBODY
    ends = time.monotonic() + session.get_expiry_age()
    if user_id:
        identity = USER + user_id
    else:
        # The key of a cookie-based one is its whole content and changes with it, so it identifies nobody.
        identity = "" if is_cookie else SESSION + key
    return Visitor(identity, key, _ended_by_logout(session, user_id), ends=ends)


def _expect_unknown(session: SessionBase, key: str) -> None:
    """Raise whatever the store raises if it fails: Django's cache sessions take a failing cache for an empty one."""
    if _is_key(key) and session.exists(key) and type(session)(key).keys():
        raise LookupError("a session was not found, and was there a moment later")


def _is_key(text: str) -> bool:
    """Whether `text` may be the key of a session. Caches raise for others, which tells nothing of how they are."""
    return len(text) <= 200 and text.isascii() and text.isprintable() and " " not in text


def _ended_by_logout(session: SessionBase, user_id: str) -> str:
    name = session.session_key
    if isinstance(session, signed_cookies.SessionStore):
        name = USER + user_id if user_id else ""
    # A key is as good as random, so a digest without a secret tells nothing and is the same in all processes.
    return blake2b(name.encode(), digest_size=16).hexdigest() if name else ""


def ended_by_logout(request: HttpRequest) -> str:
    """What a logout with this request ends, as `Visitor.session` names it; "" for nothing."""
    session = vars(request).get("session")
    if session is None or not session.session_key:
        return ""
    is_cookie = isinstance(session, signed_cookies.SessionStore)
    return _ended_by_logout(session, session.get(auth.SESSION_KEY, "") if is_cookie else "")


@contextmanager
def _answering() -> Iterator[None]:
    """The session store is asked, and perhaps the table of users. A failure is logged once, until they work again."""
    try:
        yield
    except Exception as error:
        if not _failing:
            _failing.append(True)
            text = "Sessions cannot be read (%s: %s). Pages stay open, and joins are tried again until they can."
            logger.warning(text, type(error).__name__, error)
        raise SessionStoreError(str(error)) from error
    _failing.clear()


def has_lost_session(request: HttpRequest) -> bool:
    """Whether the session of a page was looked for and not found, though its browser has named one."""
    session = vars(request).get("session")
    is_lost = session is not None and session.accessed and session.session_key is None and not session.modified
    return bool(is_lost and request.COOKIES.get(settings.SESSION_COOKIE_NAME))


class _Untouched(SessionBase):
    """A session that is neither read nor written."""

    def load(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def save(self, must_create: bool = False) -> None:
        """Leave the one in the store as it is."""


def leave_session(request: HttpRequest) -> None:
    """Let the response neither save the session nor delete its cookie: what was not found may be there again."""
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if key and "session" in vars(request):
        request.session = _Untouched(key)
