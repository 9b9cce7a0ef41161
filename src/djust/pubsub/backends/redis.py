"""The back end on Redis: one connection that listens, one subscription per topic and process.

    LIVEVIEW_CONFIG = {"pubsub": "redis://localhost:6379/0"}

A topic is the channel `djust:<topic>`. Redis keeps no messages. A process that is not connected
when a message is published does not get it, and its views receive `MessagesMissed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.retry import Retry as SyncRetry

from djust.pubsub.backend import Deliver, Lost
from djust.pubsub.backends.connection import CONNECT_SECONDS, ListeningBackend

PREFIX = "djust:"
# A connection that brings nothing for this time is checked.
_HEALTH_SECONDS = 10


class RedisBackend(ListeningBackend[PubSub]):
    """Publish/subscribe of a Redis server."""

    failures = (redis.RedisError, OSError)

    def __init__(self, address: str, deliver: Deliver, lost: Lost) -> None:
        super().__init__(address, deliver, lost)
        options: dict[str, Any] = {
            "socket_timeout": CONNECT_SECONDS,
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_keepalive": True,
            "decode_responses": True,
            # Other programs on the server may send anything. A message that is not text must not
            # end the listening.
            "encoding_errors": "replace",
        }
        # Without retries of the library: a message whose sending failed may have arrived, and a
        # listener that reconnects unnoticed has missed messages.
        self._sender = redis.Redis.from_url(address, **options, retry=SyncRetry(NoBackoff(), 0))
        self._async_sender = redis.asyncio.Redis.from_url(address, **options, retry=Retry(NoBackoff(), 0))
        self._listener = redis.asyncio.Redis.from_url(
            address, **options, retry=Retry(NoBackoff(), 0), health_check_interval=_HEALTH_SECONDS
        )
        self._confirmations: dict[str, asyncio.Future[None]] = {}

    async def connect(self) -> PubSub:
        """A new connection, alone in its pool."""
        await self._listener.connection_pool.disconnect()
        listener = self._listener.pubsub()
        await listener.connect()  # type: ignore[no-untyped-call] # redis-py leaves it without types
        return listener

    async def listen(self, connection: PubSub, topics: Collection[str]) -> None:
        """Subscribe to the channels, and wait until `read` has seen the confirmations."""
        if not topics:
            return
        waiting = [self._confirmation(PREFIX + topic) for topic in topics]
        await connection.subscribe(*(PREFIX + topic for topic in topics))
        await asyncio.gather(*waiting)

    def _confirmation(self, channel: str) -> asyncio.Future[None]:
        future = self._confirmations.get(channel)
        if future is None or future.done():
            future = self._confirmations[channel] = asyncio.get_running_loop().create_future()
        return future

    async def unlisten(self, connection: PubSub, topic: str) -> None:
        await connection.unsubscribe(PREFIX + topic)

    async def read(self, connection: PubSub) -> None:
        """Deliver messages, and fulfil confirmations."""
        while True:
            message = await connection.get_message(timeout=_HEALTH_SECONDS)
            if message is None:
                continue
            channel: str = message["channel"]
            if message["type"] == "message":
                self.deliver(channel.removeprefix(PREFIX), message["data"])
            elif message["type"] == "subscribe":
                future = self._confirmations.pop(channel, None)
                if future is not None and not future.done():
                    future.set_result(None)

    async def disconnect(self, connection: PubSub) -> None:
        self._confirmations.clear()
        await connection.aclose()  # type: ignore[no-untyped-call] # as above

    def publish(self, topic: str, text: str) -> None:
        self._sender.publish(PREFIX + topic, text)

    async def apublish(self, topic: str, text: str) -> None:
        await self._async_sender.publish(PREFIX + topic, text)

    async def close(self) -> None:
        await super().close()
        await self._listener.aclose()
        await self._async_sender.aclose()
        self._sender.close()
