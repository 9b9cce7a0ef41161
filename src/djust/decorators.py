"""The decorators for methods of views."""

from __future__ import annotations

from djust.events import event_handler
from djust.tasks import background

__all__ = ["background", "event_handler"]
