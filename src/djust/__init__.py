"""Reactive views for Django: Python state, Django templates, no JavaScript to write.

    from djust import LiveView, event_handler, state

Importing this package needs neither settings nor an app registry.
"""

from __future__ import annotations

from djust import views
from djust.events.handlers import event_handler
from djust.live import responder
from djust.pubsub import apublish, apush_event, model_changes, publish, push_event
from djust.services import service
from djust.state.fields import computed, state
from djust.tasks import AsyncResult, background
from djust.views import LiveView

__all__ = [
    "AsyncResult",
    "LiveView",
    "apublish",
    "apush_event",
    "background",
    "computed",
    "event_handler",
    "model_changes",
    "publish",
    "push_event",
    "service",
    "state",
]

views.install_responder(responder.respond)
