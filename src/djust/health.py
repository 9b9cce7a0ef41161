"""What a health check may ask: whether work gets a thread in this process.

    report()  ->  {"healthy": True, "state_cache": "available",
                   "pools": {"turn": {"threads": 3, "busy": 1, …}, …}}

It takes some microseconds, waits for nothing and asks no service, so an `async def` view can answer
with it even where every thread hangs.
"""

from __future__ import annotations

from typing import TypedDict

from djust.state.snapshots import is_available
from djust.threads.pool import PoolReport
from djust.threads.pools import all_pools

__all__ = ["Report", "report"]


class Report(TypedDict):
    """The health of this process."""

    healthy: bool
    """No pool is exhausted: nothing has waited for a thread for longer than `hang_seconds`."""
    state_cache: str
    """"available", or "failing" while djust does not use the cache of snapshots; pages go on."""
    pools: dict[str, PoolReport]


def report() -> Report:
    """The health of this process, now. Serializable as JSON; raises nothing. In any thread."""
    return {
        "healthy": not any(pool.is_exhausted for pool in all_pools),
        "state_cache": "available" if is_available() else "failing",
        "pools": {pool.name: pool.report() for pool in all_pools},
    }
