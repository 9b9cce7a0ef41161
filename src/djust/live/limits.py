"""How much one browser may ask for."""

from __future__ import annotations

import time


class Bucket:
    """A token bucket: `rate` per second over a longer time, twice as many in a burst."""

    __slots__ = ("_left", "_rate", "_then")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left = rate * 2
        self._then = time.monotonic()

    def take(self) -> bool:
        """Whether one more is allowed now."""
        now = time.monotonic()
        self._left = min(self._left + (now - self._then) * self._rate, self._rate * 2)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def is_too_big(text: str, limit: int) -> bool:
    """Whether `text` is longer than `limit` bytes of UTF-8."""
    # A character takes up to four bytes; most frames are far away from the limit and are not encoded to be measured.
    return len(text) * 4 > limit and len(text.encode("utf-8", "surrogatepass")) > limit
