"""What a back end does: it carries texts from processes that publish to processes that listen.

A back end knows nothing of views. All of its coroutines run on one event loop, `page_loop`;
`publish` runs in any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

Deliver = Callable[[str, str], None]
Lost = Callable[[Iterable[str]], None]


class Backend(Protocol):
    """One connection of this process to a service that distributes messages."""

    def __init__(self, address: str, deliver: Deliver, lost: Lost) -> None:
        """`deliver(topic, text)` is called on the loop for each message, in the order of its
        publisher.

        `lost(topics)` is called when the connection was lost and is back: messages may have been
        missed.
        """

    async def subscribe(self, topic: str) -> None:
        """Listen to `topic`; returns when messages published from now on will arrive."""

    async def unsubscribe(self, topic: str) -> None:
        """Listen to `topic` no more."""

    def publish(self, topic: str, text: str) -> None:
        """Send `text` to all subscribers. Returns when the service has it, raises if it is down."""

    async def apublish(self, topic: str, text: str) -> None:
        """As `publish`, on the loop."""

    async def close(self) -> None:
        """End the connection."""
