"""The back end on PostgreSQL: LISTEN and NOTIFY, without another service.

    LIVEVIEW_CONFIG = {"pubsub": "postgres"}        the database of DATABASES["default"]
    LIVEVIEW_CONFIG = {"pubsub": "postgresql://user:password@host/name"}

A channel's name has at most 63 bytes, so it is a digest of the topic. A payload has less than
8,000, so a longer text is cut into parts, which one statement sends: PostgreSQL delivers them
together and in order.

    0.{"text": 1}                       a text that is one part
    0+{"te   1+xt":   2.1}              one of three parts; the numbers keep equal parts apart
"""

from __future__ import annotations

import asyncio
import hashlib
import select
import threading
from collections.abc import Collection, Iterator
from typing import Any

import psycopg
from psycopg import AsyncConnection, Connection, Notify, sql

from djust.pubsub.backend import Deliver, Lost
from djust.pubsub.backends.connection import CONNECT_SECONDS, ListeningBackend

# Characters of one part: each has up to four bytes, and PostgreSQL takes 7,999 bytes.
_PART = 1_950
_ASCII_PART = 7_800
# Anyone who may NOTIFY could send parts without end.
_LONGEST = 64_000_000
_NOTIFY = "SELECT pg_notify(%s, part) FROM unnest(%s::text[]) WITH ORDINALITY AS parts (part, n) ORDER BY n"
# A server that has vanished without closing the connection is noticed after some 30 seconds.
_KEEP_ALIVE: dict[str, Any] = {
    "connect_timeout": int(CONNECT_SECONDS),
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "application_name": "djust",
}


class PostgresBackend(ListeningBackend[AsyncConnection[Any]]):
    """LISTEN and NOTIFY of a PostgreSQL server. `address` is a connection string of libpq."""

    failures = (psycopg.Error, OSError)

    def __init__(self, address: str, deliver: Deliver, lost: Lost) -> None:
        super().__init__(address, deliver, lost)
        self._lock = threading.Lock()
        self._sender: Connection[Any] | None = None
        # Whether a command waits for the connection, and the lock that gives it.
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()
        self._parts: dict[tuple[int, str], str] = {}
        self._channels: dict[str, str] = {}

    # Listening

    async def connect(self) -> AsyncConnection[Any]:
        self._parts.clear()
        self._channels.clear()
        return await AsyncConnection.connect(self._address, autocommit=True, **_KEEP_ALIVE)

    async def listen(self, connection: AsyncConnection[Any], topics: Collection[str]) -> None:
        await self._execute(connection, "LISTEN {}", topics)

    async def unlisten(self, connection: AsyncConnection[Any], topic: str) -> None:
        await self._execute(connection, "UNLISTEN {}", [topic])
        if topic not in self._topics:
            self._channels.pop(channel_of(topic), None)

    async def _execute(self, connection: AsyncConnection[Any], command: str, topics: Collection[str]) -> None:
        """Run a command for each topic while `read` steps aside: a connection runs one at once."""
        async with self._turn:
            self._wanted.set()
            try:
                for topic in topics:
                    self._channels[channel_of(topic)] = topic
                    await connection.execute(sql.SQL(command).format(sql.Identifier(channel_of(topic))))
            finally:
                self._wanted.clear()

    async def read(self, connection: AsyncConnection[Any]) -> None:
        """Deliver notifications; steps aside for commands."""
        while True:
            waiting = asyncio.create_task(self._wait(connection))
            wanted = asyncio.create_task(self._wanted.wait())
            try:
                await asyncio.wait({waiting, wanted}, return_when=asyncio.FIRST_COMPLETED)
                if waiting.done():
                    waiting.result()
            finally:
                waiting.cancel()
                wanted.cancel()
                await asyncio.gather(waiting, wanted, return_exceptions=True)
            async with self._turn:
                # The command has run. What came meanwhile was kept by the connection.
                pass

    async def _wait(self, connection: AsyncConnection[Any]) -> None:
        async for notification in connection.notifies():
            self._receive(notification)
        raise psycopg.OperationalError("the connection has ended")

    def _receive(self, notification: Notify) -> None:
        topic = self._channels.get(notification.channel)
        sender = notification.pid, notification.channel
        number, kind, text = _split(notification.payload)
        text = self._parts.pop(sender, "") + text if number else text
        if kind == "+" and len(text) <= _LONGEST:
            self._parts[sender] = text
        elif kind == "." and topic is not None:
            self.deliver(topic, text)

    async def disconnect(self, connection: AsyncConnection[Any]) -> None:
        await connection.close()

    # Sending

    def publish(self, topic: str, text: str) -> None:
        """Send in a transaction of its own. To publish after another one, use `on_commit`."""
        with self._lock:
            sender = self._sender
            if sender is None or _is_stale(sender):
                if sender is not None:
                    sender.close()
                sender = self._sender = Connection.connect(self._address, autocommit=True, **_KEEP_ALIVE)
            try:
                sender.execute(_NOTIFY, [channel_of(topic), list(_parts(text))])
            except psycopg.Error:
                # Not sent again: it may have arrived.
                sender.close()
                raise

    async def apublish(self, topic: str, text: str) -> None:
        await asyncio.to_thread(self.publish, topic, text)

    async def close(self) -> None:
        await super().close()
        if self._sender is not None:
            self._sender.close()


def channel_of(topic: str) -> str:
    return f"djust_{hashlib.sha256(topic.encode()).hexdigest()[:40]}"


def _parts(text: str) -> Iterator[str]:
    length = _ASCII_PART if text.isascii() else _PART
    count = max(1, -(-len(text) // length))
    for number in range(count):
        kind = "." if number == count - 1 else "+"
        yield f"{number}{kind}{text[number * length : (number + 1) * length]}"


def _split(payload: str) -> tuple[int, str, str]:
    digits = len(payload) - len(payload.lstrip("0123456789"))
    return int(payload[:digits] or 0), payload[digits : digits + 1], payload[digits + 1 :]


def _is_stale(connection: Connection[Any]) -> bool:
    """Whether the server has closed an idle connection: then the end of the stream can be read."""
    if connection.closed:
        return True
    return bool(select.select([connection.fileno()], [], [], 0)[0])
