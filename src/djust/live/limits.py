"""How much one browser may ask for.

    Bucket        events of a page, other frames of a channel    `events_per_second`
    joins         remounts with one join token                   ten in a burst, then two a second
    is_too_big    the size of a frame                            `max_frame`

Elsewhere: frames that wait for a page (`max_waiting`, `page`), pages that wait for a browser
(`max_pages`, `max_page_bytes`, `pages_per_session`, `registry`), messages that wait for a view
(`max_messages`, `pubsub/subscriptions.py`).
"""

from __future__ import annotations

import threading
import time


class Bucket:
    """A token bucket: `rate` per second in the long run, `burst` at once (twice the rate)."""

    __slots__ = ("_burst", "_left", "_rate", "_then")

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self._rate = rate
        self._burst = rate * 2 if burst is None else burst
        self._left = self._burst
        self._then = time.monotonic()

    def take(self) -> bool:
        """Whether one more is allowed now."""
        now = time.monotonic()
        self._left = min(self._left + (now - self._then) * self._rate, self._burst)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Buckets:
    """A bucket for each of many names, which are forgotten when there are too many."""

    def __init__(self, rate: float, burst: float, names: int = 10_000) -> None:
        self._rate = rate
        self._burst = burst
        self._names = names
        self._lock = threading.Lock()
        self._buckets: dict[str, Bucket] = {}

    def take(self, name: str) -> bool:
        """Whether one more is allowed now."""
        with self._lock:
            bucket = self._buckets.pop(name, None) or Bucket(self._rate, self._burst)
            # The last one used is the last one forgotten.
            self._buckets[name] = bucket
            if len(self._buckets) > self._names:
                del self._buckets[next(iter(self._buckets))]
            return bucket.take()


# A page that is gone is mounted or restored for a join, which may cost what a GET does.
joins = Buckets(rate=2.0, burst=10.0)


def is_too_big(text: str, limit: int) -> bool:
    """Whether `text` is longer than `limit` bytes of UTF-8."""
    # A character takes up to four bytes, so most frames need not be encoded to be measured.
    return len(text) * 4 > limit and len(text.encode("utf-8", "surrogatepass")) > limit
