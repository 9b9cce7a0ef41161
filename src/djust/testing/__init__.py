"""What tests of live views need.

from djust.testing import LiveClient, override_service
"""

from __future__ import annotations

from djust.testing.client import LiveClient
from djust.testing.overrides import override_service

__all__ = ["LiveClient", "override_service"]
