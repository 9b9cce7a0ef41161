"""A site of one view for tests with several workers: a page to which numbers are added.

`uvicorn tests.ledgers:application --workers 2`. LEDGERS_CACHE is the back end of Django's cache and
LEDGERS_PLACE its location; what handlers have done is appended to the file LEDGERS_DEEDS.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotFound
from django.urls import path

if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
    settings.configure(
        SECRET_KEY="only for tests",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.ledgers",
        STATIC_URL="/static/",
        INSTALLED_APPS=["django.contrib.sessions", "django.contrib.staticfiles", "djust"],
        MIDDLEWARE=["tests.ledgers.worker_named"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        CACHES={"default": {"BACKEND": os.environ["LEDGERS_CACHE"], "LOCATION": os.environ["LEDGERS_PLACE"]}},
    )

from djust import LiveView, event_handler, state
from djust.asgi import get_asgi_application
from djust.live.token import load_join_token
from djust.state.snapshots import load

Answer = Callable[[HttpRequest], HttpResponseBase]


def worker_named(get_response: Answer) -> Answer:
    """Middleware: the answer says which process has made it."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response["X-Worker"] = str(os.getpid())
        return response

    return answer


class Ledger(LiveView):
    template = "<body><p>{{ entries|join:' ' }}</p></body>"
    entries: list[int] = state(default=[])

    @event_handler
    def enter(self, number: int) -> int:
        with Path(os.environ["LEDGERS_DEEDS"]).open("a") as deeds:
            deeds.write(f"{number}\n")
        self.entries.append(number)
        return os.getpid()


def last_kept(request: HttpRequest) -> HttpResponse:
    """The last event in the snapshot of a token's page."""
    snapshot = load(load_join_token(request.GET["ticket"], 60).page_id)
    return HttpResponseNotFound() if snapshot is None else HttpResponse(str(snapshot.last_ref))


urlpatterns = [path("", Ledger.as_view()), path("kept/", last_kept)]
application = get_asgi_application()
