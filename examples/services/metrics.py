"""The metrics service that the URL configuration injects into the dashboard.

A real one would query Prometheus or CloudWatch. This one computes a sample for each second from the
clock alone. So two browsers see the same numbers, and a refresh after three seconds shows three new
samples.
"""

import math
import random
import time
from datetime import UTC, datetime
from typing import Any


class MetricsClient:
    """Answers with the samples of the last seconds."""

    def get_recent(self, limit: int = 20) -> list[dict[str, Any]]:
        """The last `limit` samples, newest first.

        Each has `time` (an aware datetime), `requests`, `latency` and `errors`.
        """
        now = int(time.time())
        return [self._sample(second) for second in range(now, now - limit, -1)]

    def _sample(self, second: int) -> dict[str, Any]:
        noise = random.Random(second)
        load = 1 + 0.5 * math.sin(second / 9) + 0.2 * math.sin(second / 2.3)
        return {
            "time": datetime.fromtimestamp(second, UTC),
            "requests": int(60 * load + noise.randrange(15)),
            "latency": int(45 * load + noise.randrange(25)),
            "errors": max(0, noise.randrange(12) - 10) * noise.randrange(1, 4),
        }


_client = MetricsClient()


def get_metrics_client() -> MetricsClient:
    """The process's client; `live_session` calls this for each page."""
    return _client
