"""Who looks at a page, and under which conditions: session, user, language, time zone, URL configuration.

The page keeps the request of its GET. Before each turn the request's session and user are made new again, without
reading them: `request.user` in a handler is the user as the database knows it now, and costs nothing where it is not
used.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import tzinfo
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.contrib import auth
from django.contrib.sessions.backends import signed_cookies
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.http import HttpRequest
from django.urls import get_script_prefix, get_urlconf, set_script_prefix, set_urlconf
from django.utils import timezone, translation
from django.utils.functional import SimpleLazyObject

from djust.state.tickets import binding

logger = logging.getLogger("djust")


class Surroundings(NamedTuple):
    """What Django keeps per thread or task while it serves a request."""

    language: str | None
    zone: tzinfo
    urlconf: Any
    prefix: str
    usual: bool
    """Nothing differs from a fresh context, so there is nothing to activate in one."""

    @classmethod
    def now(cls) -> Surroundings:
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


def renew_visitor(request: HttpRequest) -> None:
    """Forget what the request has read of session and user, so that the next access reads it anew."""
    known = vars(request)
    session = known.get("session")
    if session is not None and session.accessed:
        known["session"] = session_like(session)
    if type(known.get("user")) is SimpleLazyObject:
        # The user that AuthenticationMiddleware put there; one that somebody else assigned stays.
        if "_cached_user" in known:
            del known["_cached_user"]
            known["user"] = SimpleLazyObject(partial(user_of, request))
        known.pop("_acached_user", None)


def session_like(session: SessionBase) -> SessionBase:
    """The same session, not read yet."""
    return type(session)(session.session_key)


def user_of(request: HttpRequest) -> Any:
    """The user whom the request's session belongs to, read once."""
    known = vars(request)
    if "_cached_user" not in known:
        known["_cached_user"] = auth.get_user(request)
    return known["_cached_user"]


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


# Bindings of tickets


def binding_of_request(request: HttpRequest) -> str:
    """The binding of the visitor for whom this request is answered."""
    session = vars(request).get("session")
    if session is None or session.session_key is None:
        return ""
    # Reading loads the session, and only then is the key of one that has ended gone.
    user_id = session.get(auth.SESSION_KEY, "")
    return binding(_key(session), user_id)


class Visitor(NamedTuple):
    """Whom the cookies of a socket belong to. Somebody without a user is anonymous."""

    binding: str
    is_anonymous: bool


ANONYMOUS = Visitor("", is_anonymous=True)


def visitor_of_request(request: HttpRequest) -> Visitor:
    """For whom this request is answered, as its middleware has found."""
    user = vars(request).get("user")
    return Visitor(binding_of_request(request), is_anonymous=user is None or not user.is_authenticated)


def visitor_of(cookies: Mapping[str, str]) -> Visitor:
    """Session and user as Django's own middleware would find them; reads the session store."""
    key = cookies.get(settings.SESSION_COOKIE_NAME)
    if not key:
        return ANONYMOUS
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user_id = ""
    if apps.is_installed("django.contrib.auth") and auth.get_user(request).is_authenticated:
        user_id = request.session[auth.SESSION_KEY]
    return Visitor(binding(_key(request.session), user_id), is_anonymous=not user_id)


def _key(session: SessionBase) -> str:
    """The session's key. That of a cookie-based one is its whole content and changes with it, so it binds nothing."""
    return "" if isinstance(session, signed_cookies.SessionStore) else session.session_key or ""
