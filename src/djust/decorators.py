"""The decorators for methods of views."""

from __future__ import annotations

from djust.events import event_handler

__all__ = ["event_handler"]
