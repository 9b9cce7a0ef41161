"""A page of somebody who has logged in, and a session store that can be emptied, as by a Redis that
restarts.

`uvicorn tests.browser.members:application`
"""

from __future__ import annotations

import os

from django.conf import settings
from django.http import HttpRequest, HttpResponse

if "DJANGO_SETTINGS_MODULE" not in os.environ:
    settings.configure(
        SECRET_KEY="only for tests",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.browser.members",
        STATIC_URL="/static/",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "djust",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:members?mode=memory&cache=shared"}
        },
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        CACHES={
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "sessions": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "sessions"},
        },
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        SESSION_CACHE_ALIAS="sessions",
        LIVEVIEW_CONFIG={"session_check_seconds": 0.5, "use_websocket": "SITE_WITHOUT_SOCKETS" not in os.environ},
    )

from django.contrib.auth import login
from django.contrib.staticfiles.views import serve
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection
from django.urls import path

from djust import LiveView, event_handler, state
from djust.asgi import get_asgi_application

application = get_asgi_application()

from django.contrib.auth.models import User  # noqa: E402 — the apps have to be there


class Letter(LiveView):
    template = """<!DOCTYPE html><html><head><title>Letter</title></head><body>
      <textarea id="text" dj-input="write" dj-debounce="20">{{ text }}</textarea>
      <p id="length">{{ text|length }}</p><p id="author">{{ author }}</p>
      <button id="sign" dj-click="sign">Sign</button></body></html>"""
    text = state(default="")
    author = state(default="")

    @event_handler
    def write(self, value: str) -> None:
        self.text = value

    @event_handler
    def sign(self) -> None:
        self.author = str(self.request.user)


def come_in(request: HttpRequest, name: str) -> HttpResponse:
    user, _ = User.objects.get_or_create(username=name)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse("in")


def greet(request: HttpRequest) -> HttpResponse:
    """As a login page does, it asks who is here; where a session is not found, Django takes away
    its cookie.
    """
    return HttpResponse(f"who are you, {request.user}?")


def empty(request: HttpRequest) -> HttpResponse:
    caches["sessions"].clear()
    return HttpResponse("emptied")


urlpatterns = [
    path("", Letter.as_view()),
    path("in/<str:name>/", come_in),
    path("login/", greet),
    path("empty/", empty),
    path("static/<path:path>", serve, {"insecure": True}),
]

if "DJANGO_SETTINGS_MODULE" not in os.environ:
    connection.ensure_connection()
    # The tables are there as long as a connection is.
    keeper = connection.connection
    call_command("migrate", verbosity=0, run_syncdb=True)
