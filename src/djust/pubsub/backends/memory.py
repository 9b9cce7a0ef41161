"""The back end for one process: messages reach only the process that has published them."""

from __future__ import annotations

from djust.loop import page_loop
from djust.pubsub.backend import Deliver, Lost


class MemoryBackend:
    """Delivers on the loop of this process, without any service."""

    def __init__(self, address: str, deliver: Deliver, lost: Lost) -> None:
        self._deliver = deliver
        self._topics: set[str] = set()

    async def subscribe(self, topic: str) -> None:
        self._topics.add(topic)

    async def unsubscribe(self, topic: str) -> None:
        self._topics.discard(topic)

    def publish(self, topic: str, text: str) -> None:
        if topic in self._topics:
            page_loop.call(self._deliver, topic, text)

    async def apublish(self, topic: str, text: str) -> None:
        self.publish(topic, text)

    async def close(self) -> None:
        self._topics.clear()
