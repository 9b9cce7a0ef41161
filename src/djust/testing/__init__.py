"""What tests of live views need.

from djust.testing import LiveClient, override_service
"""

from __future__ import annotations

from djust.services import override_service
from djust.testing.client import LiveClient

__all__ = ["LiveClient", "override_service"]
