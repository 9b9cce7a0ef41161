"""What tests of live views need.

from djust.testing import LiveClient
"""

from __future__ import annotations

from djust.testing.client import LiveClient

__all__ = ["LiveClient"]
