"""The visitor of a page, and what Django keeps for one: session, user, language, time zone, URLs.

The page keeps the request of its GET. Before each turn, the request forgets the session and the
user that it has read. So `request.user` in a handler is the user as the database has it now, and
costs nothing if it is not used. At each join, the request takes over the present cookies and
headers of the browser (`take_over`): its session may have another key.

    visitor_of(cookies)            the visitor of a socket     Visitor("user:7", "k3y…", …)
    visitor_of_request(request)    the visitor of a request

These look-ups read sessions and never write them. After a rotation of SECRET_KEY, Django's own
`get_user` gives a session a new key, and it ends one that it cannot verify. Without a response,
that would log the browser out.
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
from typing import Any, NamedTuple, Self

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
    is_default: bool
    """Nothing differs from a fresh context, so there is nothing to activate in one."""

    @classmethod
    def now(cls) -> ThreadState:
        """What Django keeps in this thread or task now."""
        language, zone = translation.get_language(), timezone.get_current_timezone()
        urlconf, prefix = get_urlconf(), get_script_prefix()
        if urlconf == settings.ROOT_URLCONF:
            urlconf = None
        default = settings.LANGUAGE_CODE, timezone.get_default_timezone(), None, "/"
        return cls(language, zone, urlconf, prefix, (language, zone, urlconf, prefix) == default)

    def activate(self) -> None:
        """Activate it for the rest of this thread or task."""
        if self.language is None:
            translation.deactivate_all()
        else:
            translation.activate(self.language)
        timezone.activate(self.zone)
        set_urlconf(self.urlconf)
        set_script_prefix(self.prefix)


# The attributes in which a request keeps its session and its user.
OF_VISITOR = frozenset({"session", "user", "auser", "_cached_user", "_acached_user"})


def refresh_session_and_user(request: HttpRequest) -> None:
    """Forget what the request has read of session and user: the next access reads it again."""
    known = vars(request)
    if known.keys().isdisjoint(OF_VISITOR):
        return
    session = known.get("session")
    if session is not None and session.accessed:
        known["session"] = unread_session(request)
    if type(known.get("user")) is not _LazyUser or "_cached_user" in known:
        known.pop("_cached_user", None)
        look_up_lazily(request)
    known.pop("_acached_user", None)


_DJANGO_S = "django.contrib.auth.middleware"


def look_up_lazily(request: HttpRequest) -> None:
    """Let our own functions look `request.user` and `request.auser` up when they are next used.

    Only if AuthenticationMiddleware has set them. Other values stay.
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
        # A lazy user of djust may belong to another request, of which this one is a copy.
        return partial(_auser, request)
    return value


def lazy_user(request: HttpRequest) -> Any:
    """The user of the session of `request`, looked up when used."""
    return _LazyUser(partial(user_of, request))


def is_lazy(user: object) -> bool:
    """Whether AuthenticationMiddleware or this module looks this user up when it is used."""
    if type(user) is not SimpleLazyObject:
        return type(user) is _LazyUser
    # The project's middleware may set a lazy user, too, which is looked up in its own way.
    look_up = object.__getattribute__(user, "__dict__").get("_setupfunc")
    return getattr(look_up, "__module__", "") == _DJANGO_S


class _LazyUser(SimpleLazyObject):  # type: ignore[type-arg] # Django's own takes no argument
    """A user that djust looks up."""


def unread_session(request: HttpRequest) -> SessionBase:
    """The session of `request`, to be read when it is next used."""
    session = request.session
    # A session that was not found may be there again.
    key = session.session_key or request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    return type(session)(key)


def user_of(request: HttpRequest) -> Any:
    """The user whom the request's session belongs to, read once."""
    known = vars(request)
    if "_cached_user" not in known:
        known["_cached_user"] = auth.get_user(_ReadOnly(request.session))  # type: ignore[arg-type] # it reads a session
    return known["_cached_user"]


async def _auser(request: HttpRequest) -> Any:
    known = vars(request)
    if "_acached_user" not in known:
        known["_acached_user"] = await auth.aget_user(_ReadOnly(request.session))  # type: ignore[arg-type] # as above
    return known["_acached_user"]


class _ReadOnly:
    """A request and its session in one, for Django's `get_user`: it cannot change the session."""

    __slots__ = ("_session",)

    def __init__(self, session: SessionBase) -> None:
        self._session = session

    @property
    def session(self) -> Self:
        return self

    def __getitem__(self, name: str) -> Any:
        return self._session[name]

    def get(self, name: str) -> Any:
        return self._session.get(name)

    async def aget(self, name: str) -> Any:
        return await self._session.aget(name)

    def __setitem__(self, name: str, value: Any) -> None: ...

    async def aset(self, name: str, value: Any) -> None: ...

    def cycle_key(self) -> None: ...

    async def acycle_key(self) -> None: ...

    def flush(self) -> None: ...

    async def aflush(self) -> None: ...


class SocketRequest(ASGIRequest):
    """The request of a GET for a socket. The browser gets no response that could set a cookie."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Let djust look the user up, without changing the session."""
        super().__setattr__(name, of_request(self, value) if name in ("user", "auser") else value)


# Headers of one request, not of the browser; and the page's address, which tenants may depend on.
_OF_ONE_REQUEST = re.compile(
    "HTTP_(ACCEPT|CACHE_CONTROL|CONNECTION|HOST|ORIGIN|PRAGMA|RANGE|REFERER|UPGRADE|X_CSRFTOKEN"
    "|X_FORWARDED_(HOST|PORT|PROTO)|X_REQUESTED_WITH|IF_.*|(SEC|X_DJUST).*)"
)


def take_over(request: HttpRequest, source: HttpRequest) -> None:
    """Let the request of a page take over the browser's data in `source`, a handshake or a POST.

    Cookies, headers about the browser, its address, session and user are those of `source`. The
    object stays the same, and so do its method, its path and all other attributes.
    """
    known, meta = vars(request), source.META
    request.META.pop("HTTP_COOKIE", None)
    for name in meta:
        if name.startswith(("HTTP_", "REMOTE_")) and not _OF_ONE_REQUEST.fullmatch(name):
            request.META[name] = meta[name]
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
    """Save what a turn wrote into the session. A failure is logged: the turn has happened."""
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
    """The session store has failed, so nothing is known about a session. Ask again later."""


class Visitor(NamedTuple):
    """The visitor to whom the cookies of a browser belong."""

    identity: str = ""
    """"user:7" for a user, "session:k3y" for an anonymous visitor with a session, or ""."""
    key: str = ""
    """That of the session, or ""."""
    session: str = ""
    """A digest that names what a logout ends: the session, or all of a user if they are cookies."""
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
    """The visitor of this request, as its middleware has found.

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
    """The visitor for whom a page was made. Without looking the user up: a GET may not need it."""
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
        # The key of a cookie-based session is its content, so it changes, and identifies nothing.
        identity = "" if is_cookie else SESSION + key
    return Visitor(identity, key, _ended_by_logout(session, user_id), ends=ends)


def _expect_unknown(session: SessionBase, key: str) -> None:
    """Raise what the store raises if it fails: to Django's cache sessions, that is no session."""
    # Caches raise for what cannot be a key, which does not mean that they fail.
    is_key = len(key) <= 200 and key.isascii() and key.isprintable() and " " not in key
    if is_key and session.exists(key) and type(session)(key).keys():
        raise LookupError("a session was not found, and was there a moment later")


def _ended_by_logout(session: SessionBase, user_id: str) -> str:
    name = session.session_key
    if isinstance(session, signed_cookies.SessionStore):
        name = USER + user_id if user_id else ""
    # A key is as good as random: a digest needs no secret, and is the same in all processes.
    return blake2b(name.encode(), digest_size=16).hexdigest() if name else ""


def ended_by_logout(request: HttpRequest) -> str:
    """What a logout with this request ends, named as in `Visitor.session`; "" for nothing."""
    session = vars(request).get("session")
    if session is None or not session.session_key:
        return ""
    is_cookie = isinstance(session, signed_cookies.SessionStore)
    return _ended_by_logout(session, session.get(auth.SESSION_KEY, "") if is_cookie else "")


@contextmanager
def _answering() -> Iterator[None]:
    """For reads of sessions and users. A failure is logged once, until they work again."""
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
    """Whether the session that the browser of a page names was looked for and not found."""
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
    """Let the response neither save the session nor delete its cookie: it may be found later."""
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if key and "session" in vars(request):
        request.session = _Untouched(key)
