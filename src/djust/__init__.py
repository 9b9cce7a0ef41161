"""Reactive views for Django: Python state, Django templates, no JavaScript to write.

    from djust import LiveView, event_handler, state

Importing this package needs neither settings nor an app registry.
"""

from __future__ import annotations

from djust import views
from djust.events import event_handler
from djust.live import http
from djust.state.fields import computed, state
from djust.tasks import AsyncResult, background
from djust.views import LiveView

__all__ = ["AsyncResult", "LiveView", "background", "computed", "event_handler", "state"]

views.install_responder(http.respond)
