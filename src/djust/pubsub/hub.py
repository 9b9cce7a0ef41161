"""Who in this process has subscribed to which topic, and the one back end that carries messages
between processes.

    publish("orders", {"id": 7})
      └─ back end ─▶ hub of every process ─▶ inbox of every view that has subscribed ─▶ handle_info

A message is encoded as the state of a view is, so it arrives equal and of the same type; every view
of a process gets the same object and must not change it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.core.signals import setting_changed
from django.db import connections
from django.utils.module_loading import import_string

from djust import process
from djust.conf import SETTING, config
from djust.loop import page_loop
from djust.process import Phase
from djust.pubsub.backend import Backend
from djust.pubsub.codec import decode_message, encode_event, encode_message

logger = logging.getLogger("djust")

# How long `subscribe` waits for the service, so that nothing that is loaded afterwards can miss a
# message.
SUBSCRIBE_SECONDS = 1.0
_BACKENDS = {
    "memory": "djust.pubsub.backends.memory.MemoryBackend",
    "redis": "djust.pubsub.backends.redis.RedisBackend",
    "postgres": "djust.pubsub.backends.postgres.PostgresBackend",
}


class Publication(NamedTuple):
    """What was published: a message for `handle_info`, or with `event` an event for the browser."""

    topic: str
    message: Any
    event: str = ""


class Subscriber(Protocol):
    """What may subscribe: usually the inbox of a view."""

    topics: set[str]

    def put(self, publication: Publication) -> None:
        """A message came. On the loop."""

    def mark_gap(self, topics: Iterable[str], reason: str) -> None:
        """Messages may have been missed. On the loop."""


class Hub:
    """The topics of this process."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._backend: Backend | None = None
        self._subscribers: dict[str, set[Subscriber]] = {}
        # By topic: done when the service has confirmed.
        self._subscribed: dict[str, Future[None]] = {}

    # Subscribing

    def subscribe(self, subscriber: Subscriber, topic: str) -> Future[None]:
        """Subscribe to `topic`. The future is done when later messages will arrive."""
        _checked(topic)
        with self._lock:
            backend = self.backend()
            subscriber.topics.add(topic)
            self._subscribers.setdefault(topic, set()).add(subscriber)
            subscribed = self._subscribed.get(topic)
            if subscribed is None:
                coroutine = backend.subscribe(topic)
                subscribed = self._subscribed[topic] = asyncio.run_coroutine_threadsafe(coroutine, page_loop.loop)
            return subscribed

    def unsubscribe(self, subscriber: Subscriber, topics: Iterable[str]) -> None:
        """End the subscriptions of `subscriber` to `topics`."""
        with self._lock:
            for topic in topics:
                subscriber.topics.discard(topic)
                subscribers = self._subscribers.get(topic)
                if subscribers is None:
                    continue
                subscribers.discard(subscriber)
                if not subscribers:
                    del self._subscribers[topic]
                    self._subscribed.pop(topic).cancel()
                    asyncio.run_coroutine_threadsafe(self.backend().unsubscribe(topic), page_loop.loop)

    def _deliver(self, topic: str, text: str) -> None:
        subscribers = self._subscribers_of(topic)
        if not subscribers:
            return
        try:
            event, message = decode_message(text)
        except Exception:
            logger.exception('A message of the topic "%s" cannot be read; it is ignored.', topic)
            return
        publication = Publication(topic, message, event)
        _for_each(subscribers, lambda subscriber: subscriber.put(publication))

    def _subscribers_of(self, topic: str) -> list[Subscriber]:
        with self._lock:
            return list(self._subscribers.get(topic, ()))

    def _lost(self, topics: Iterable[str]) -> None:
        subscribers = {subscriber for topic in topics for subscriber in self._subscribers_of(topic)}
        _for_each(subscribers, lambda subscriber: subscriber.mark_gap(topics, "connection"))

    # Sending

    def backend(self) -> Backend:
        """The back end that the settings name."""
        with self._lock:
            if self._backend is None:
                kind, address = _kind_and_address(config.pubsub)
                try:
                    backend: Callable[..., Backend] = import_string(_BACKENDS[kind])
                except ImportError as error:
                    raise ImproperlyConfigured(
                        f'{SETTING}["pubsub"] is "{kind}", and its client library is missing ({error}). '
                        f"Install it: pip install 'djust[{kind}]'"
                    ) from error
                self._backend = backend(address, self._deliver, self._lost)
            return self._backend

    def detach(self) -> Backend | None:
        """End all subscriptions and remove the back end, which the caller has to close.

        The next subscription or message makes a new one.
        """
        with self._lock:
            backend, self._backend = self._backend, None
            self._subscribers.clear()
            for subscribed in self._subscribed.values():
                # It may wait for a service that is down.
                subscribed.cancel()
            self._subscribed.clear()
            return backend

    async def close(self) -> None:
        if (backend := self.detach()) is not None:
            await backend.close()


def _for_each(subscribers: Iterable[Subscriber], call: Callable[[Subscriber], None]) -> None:
    for subscriber in subscribers:
        try:
            call(subscriber)
        except Exception:
            logger.exception("A subscriber has failed to accept a message; the others get it.")


hub = Hub()
# Connections do not survive a fork.
process.register(Phase.PUBSUB, stop=hub.close, forget=hub._reset)


def _kind_and_address(setting: str) -> tuple[str, str]:
    scheme = setting.partition("://")[0]
    if setting == "memory":
        return "memory", ""
    if scheme in ("redis", "rediss", "unix"):
        return "redis", setting
    if scheme in ("postgres", "postgresql"):
        return "postgres", _address_of_database() if scheme == setting else setting
    raise ImproperlyConfigured(
        f'{SETTING}["pubsub"] is {setting!r}; expected "memory", "postgres" (the default database), or an address such '
        'as "redis://localhost:6379/0" or "postgresql://user:password@host/name".'
    )


def _address_of_database() -> str:
    connection: Any = connections["default"]
    if connection.vendor != "postgresql":
        raise ImproperlyConfigured(
            f'{SETTING}["pubsub"] is "postgres", and the default database is {connection.vendor}. '
            'Give an address: "postgresql://user:password@host/name".'
        )
    known = connection.get_connection_params()
    names = {"dbname", "user", "password", "host", "port", "service", "sslmode", "sslrootcert", "sslcert", "sslkey"}
    quoted = {name: str(value).replace("\\", r"\\").replace("'", r"\'") for name, value in known.items() if value}
    return " ".join(f"{name}='{value}'" for name, value in quoted.items() if name in names)


def _close_when_settings_change(*, setting: str, **_: object) -> None:
    if setting == SETTING and (backend := hub.detach()) is not None:
        closing = asyncio.run_coroutine_threadsafe(backend.close(), page_loop.loop)
        if asyncio._get_running_loop() is not page_loop.loop:
            # A test goes on when the connection is closed, unless the test itself runs the loop
            # that closes it.
            closing.result(5)


setting_changed.connect(_close_when_settings_change)


# What users call


def publish(topic: str, message: Any) -> None:
    """Send `message` to the `handle_info` of every view, in every process, that has subscribed to
    `topic`.

    `message` is anything that state may hold, models excepted: send their keys. Returns when the
    service has it, without waiting for the pages. Raises what the client library raises if the
    service cannot be reached. In coroutines use `apublish`.
    """
    _refuse_loop("publish")
    hub.backend().publish(topic, encode_message(_checked(topic), message))


async def apublish(topic: str, message: Any) -> None:
    """As `publish`, for coroutines."""
    await _send_on_loop(topic, encode_message(_checked(topic), message))


def push_event(topic: str, name: str, payload: Any = None) -> None:
    """Send an event to the browsers of all pages that have subscribed to `topic`."""
    _refuse_loop("push_event")
    hub.backend().publish(topic, encode_event(_checked(topic), name, payload))


async def apush_event(topic: str, name: str, payload: Any = None) -> None:
    """As `push_event`, for coroutines."""
    await _send_on_loop(topic, encode_event(_checked(topic), name, payload))


def _checked(topic: object) -> str:
    if not isinstance(topic, str) or not topic or len(topic) > 500:
        raise TypeError(f"A topic is a text of 1 to 500 characters; got {topic!r:.100}.")
    try:
        topic.encode()
    except UnicodeEncodeError:
        # Browsers can send a lone surrogate, and no service takes it.
        raise TypeError(f"A topic is a text that can be encoded as UTF-8; got {topic!r:.100}.") from None
    return topic


def _refuse_loop(name: str) -> None:
    if asyncio._get_running_loop() is not None:
        raise SynchronousOnlyOperation(
            f"You cannot call djust.{name} from an async context: it would make all others wait. "
            f"Use `await djust.a{name}(…)`."
        )


async def _send_on_loop(topic: str, text: str) -> None:
    backend = hub.backend()
    if asyncio.get_running_loop() is page_loop.loop:
        await backend.apublish(topic, text)
    else:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(backend.apublish(topic, text), page_loop.loop))
