"""A site of one view for tests with processes: what is published to its room is appended to a text.

`uvicorn tests.rooms:application`; `celery -A tests.rooms worker`. ROOMS_PUBSUB and ROOMS_BROKER say
how they talk.
"""

from __future__ import annotations

import os
from typing import Any

import django
from celery import Celery
from django.conf import settings
from django.http import HttpRequest
from django.urls import path

if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
    settings.configure(
        SECRET_KEY="only for tests",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.rooms",
        STATIC_URL="/static/",
        INSTALLED_APPS=["django.contrib.sessions", "django.contrib.staticfiles", "djust"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        LIVEVIEW_CONFIG={"pubsub": os.environ.get("ROOMS_PUBSUB", "memory"), "max_messages": 20_000},
    )
    django.setup()

from djust import LiveView, event_handler, publish, state
from djust.asgi import get_asgi_application
from djust.pubsub import MessagesMissed


class Room(LiveView):
    template = "<body><p>{{ count }} {{ last }} {{ disorder }}</p></body>"
    count = state(default=0)
    last = state(default=-1)
    disorder = state(default="")

    def mount(self, request: HttpRequest) -> None:
        self.subscribe("room")

    def handle_info(self, message: Any) -> None:
        if isinstance(message, MessagesMissed):
            self.disorder += f"{message.reason} "
            return
        if message != self.last + 1:
            self.disorder += f"{message} after {self.last} "
        self.last = message
        self.count += 1

    @event_handler
    def send(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            publish("room", number)

    @event_handler
    def order(self, first: int, count: int) -> None:
        send_numbers.delay(first, count)


urlpatterns = [path("", Room.as_view())]
celery = Celery("rooms", broker=os.environ.get("ROOMS_BROKER", "memory://"))


@celery.task
def send_numbers(first: int, count: int) -> None:
    for number in range(first, first + count):
        publish("room", number)


application = get_asgi_application()
