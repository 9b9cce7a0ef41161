"""The request that a view class is mounted with in a test, without any middleware."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.messages.storage import default_storage
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils.module_loading import import_string


def request_for(path: str, user: Any, session: dict[str, Any] | None) -> HttpRequest:
    """A GET of `path` with what the middleware of the installed apps would have added."""
    request = RequestFactory().get(path)
    if apps.is_installed("django.contrib.sessions"):
        request.session = import_module(settings.SESSION_ENGINE).SessionStore()
        if session:
            request.session.update(session)
            request.session.save()
    if user is None and apps.is_installed("django.contrib.auth"):
        # Only an installed app's models can be imported.
        user = import_string("django.contrib.auth.models.AnonymousUser")()
    if user is not None:
        request.user = user
    if apps.is_installed("django.contrib.messages"):
        vars(request)["_messages"] = default_storage(request)
    return request
