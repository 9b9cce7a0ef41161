"""The connection of a back end: kept alive, and made again when it was lost.

    connected ── lost ──▶ waiting ──▶ connected, subscribed to all topics again
                          0.05 s, doubled up to 5 s, with jitter

Then subscribers receive `MessagesMissed`. A subclass says how to connect, how to listen to a topic
and what a connection brings.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Collection
from contextlib import suppress
from typing import ClassVar, Generic, TypeVar

from djust.pubsub.backend import Deliver, Lost

logger = logging.getLogger("djust")

C = TypeVar("C")

FIRST_WAIT = 0.05
LONGEST_WAIT = 5.0
# A service that accepts no connection within this time counts as lost.
CONNECT_SECONDS = 5.0


_PASSWORD = re.compile(r"password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE)


class ListeningBackend(ABC, Generic[C]):
    """One listening connection of type `C`, which outlives the failures of its service."""

    failures: ClassVar[tuple[type[Exception], ...]] = (OSError,)
    """What the client library raises when the service is gone."""

    def __init__(self, address: str, deliver: Deliver, lost: Lost) -> None:
        self._address = address
        self.deliver = deliver
        self._lost = lost
        self._topics: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        # The connection that is subscribed to everything, and the task that reads it.
        self._connected: C | None = None
        self._reading: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @abstractmethod
    async def connect(self) -> C:
        """A new connection."""

    @abstractmethod
    async def listen(self, connection: C, topics: Collection[str]) -> None:
        """Listen to `topics`; returns when the service has confirmed. `read` runs meanwhile."""

    @abstractmethod
    async def unlisten(self, connection: C, topic: str) -> None:
        """Listen to `topic` no more."""

    @abstractmethod
    async def read(self, connection: C) -> None:
        """Call `deliver` for what comes, until the connection is lost: raises one of `failures`."""

    @abstractmethod
    async def disconnect(self, connection: C) -> None:
        """Close the connection, which may be broken."""

    async def subscribe(self, topic: str) -> None:
        """Listen to `topic`; if the service is down, as soon as it is back."""
        self._topics.add(topic)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"djust {type(self).__name__}")
        while True:
            connection = await self._connection()
            try:
                # If this fails, `_run` notices it too, and connects again.
                return await self._listen(connection, [topic])
            except _Lost:
                await asyncio.sleep(FIRST_WAIT)

    async def unsubscribe(self, topic: str) -> None:
        self._topics.discard(topic)
        if self._connected is not None:
            with suppress(*self.failures):
                await self.unlisten(self._connected, topic)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _connection(self) -> C:
        while self._connected is None:
            self._changed.clear()
            await self._changed.wait()
        return self._connected

    async def _listen(self, connection: C, topics: Collection[str]) -> None:
        listening = asyncio.ensure_future(self.listen(connection, topics))
        reading = self._reading
        assert reading is not None, "a connection is read as long as it is there"
        try:
            await asyncio.wait({listening, reading}, return_when=asyncio.FIRST_COMPLETED, timeout=CONNECT_SECONDS)
            if not listening.done() or isinstance(listening.exception(), self.failures):
                raise _Lost
            listening.result()
        finally:
            listening.cancel()

    async def _run(self) -> None:
        wait, was_lost = FIRST_WAIT, False
        while True:
            try:
                await self._live(was_lost)
            except self.failures as error:
                if self._connected is not None or not was_lost:
                    text = "Publish/subscribe: the connection to %s is lost (%s); trying again."
                    logger.warning(text, self._address_shown, str(error) or type(error).__name__)
            except Exception:
                # For example, an exception that no client library should raise. Listening has to go
                # on.
                logger.exception("Publish/subscribe: reading from %s has failed; trying again.", self._address_shown)
            # After a connection that lasted for a while, the pauses begin again. Without one, they
            # grow.
            wait = FIRST_WAIT if self._connected is not None else min(wait * 2, LONGEST_WAIT)
            self._connected = None
            was_lost = True
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 — jitter, not a secret

    async def _live(self, was_lost: bool) -> None:
        """One connection, from its beginning until it is lost."""
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await self.connect()
        self._reading = asyncio.create_task(self.read(connection))
        try:
            topics = set(self._topics)
            await self._listen(connection, topics)
            self._connected = connection
            self._changed.set()
            for topic in topics:
                if topic not in self._topics:
                    # The topic was unsubscribed while the connection was being made.
                    await self.unlisten(connection, topic)
            if was_lost:
                logger.warning("Publish/subscribe: %s is connected again.", self._address_shown)
                self._lost(topics)
            await self._reading
        finally:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            # It is broken, which is why it is closed.
            with suppress(Exception):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self.disconnect(connection)

    @property
    def _address_shown(self) -> str:
        """The address without a password, be it a URL or a connection string of libpq."""
        head, at, tail = self._address.rpartition("@")
        shown = f"{head.partition('://')[0]}://…@{tail}" if at else self._address
        return _PASSWORD.sub("password=…", shown)


class _Lost(ConnectionError):  # noqa: N818 — not an error but what happened
    """The connection was lost while something was asked of it."""
