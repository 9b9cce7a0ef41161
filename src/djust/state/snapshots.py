"""Snapshots: the public state of pages, saved outside of their process in a cache of Django.

    save("6fa1…", Snapshot(version="91c0…", page_version=3, last_ref=7, …), "Basket")
    load("6fa1…")  ->  Snapshot(…), or None

`LIVEVIEW_CONFIG["state_cache"]` names the cache, `state_ttl` says how many seconds it keeps them.
Anyone who can read the cache can read the state. If the cache fails, snapshots are lost, but never
a page. While it fails, djust does not use it: there is a `circuit` around it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from djust import process
from djust.conf import SETTING, config
from djust.process import Phase
from djust.state.circuit import Circuit

logger = logging.getLogger("djust")

_too_large: set[str] = set()


class Snapshot(NamedTuple):
    """What is saved of a page."""

    version: str
    """A digest of the view's fields: another version of the class does not fit."""
    fingerprint: str
    """Whose page it is: the session fingerprint of its join token."""
    page_version: int
    """How many diffs its browser was sent."""
    last_ref: int
    """The last event that was executed."""
    tab_id: str
    """The browser tab that held the page, or "" if none has joined yet."""
    state: str
    """The public state, from `encode_state`."""


def _cache() -> BaseCache:
    alias = config.state_cache
    try:
        return caches[alias]
    except InvalidCacheBackendError as error:
        raise ImproperlyConfigured(
            f'{SETTING}["state_cache"] is "{alias}", and CACHES has no such entry. Name one of CACHES.'
        ) from error


def _cache_class() -> type[BaseCache]:
    """Needed after every turn, so no cache client is made: Django makes one for each context."""
    known = settings.CACHES.get(config.state_cache)
    return type(_cache()) if known is None else _imported(known["BACKEND"])


@lru_cache
def _imported(path: str) -> type[BaseCache]:
    kind: type[BaseCache] = import_string(path)
    return kind


def keeps_anything() -> bool:
    """Whether the cache keeps anything at all."""
    return not issubclass(_cache_class(), DummyCache)


def is_shared() -> bool:
    """Whether snapshots survive the process. Those in its own memory do not."""
    return not issubclass(_cache_class(), (DummyCache, LocMemCache))


def save(page_id: str, snapshot: Snapshot, title: str, *, forced: bool = False) -> bool:
    """Write a snapshot; false if the cache did not take it. `title` names its view in warnings.

    While the cache fails, nothing is written, unless the write is `forced` because it is the last
    one.
    """
    text = json.dumps(snapshot, separators=(",", ":"))
    if len(text) > config.state_max_bytes:
        if title not in _too_large:
            _too_large.add(title)
            logger.warning(
                "%s: the state has %d bytes as text, and a snapshot may have %d; none is saved, so a page whose "
                "process ends is remounted. Keep large data out of public state (self._name), or raise "
                '%s["state_max_bytes"].',
                *(title, len(text), config.state_max_bytes, SETTING),
            )
        return True
    return _ask(lambda cache: cache.set(_key(page_id), text, config.state_ttl), forced=forced) is not _FAILED


def load(page_id: str) -> Snapshot | None:
    """The snapshot of a page, or None if there is no readable one."""
    text = _ask(lambda cache: cache.get(_key(page_id)))
    if text is None or text is _FAILED:
        return None
    try:
        return Snapshot(*json.loads(text))
    except (ValueError, TypeError):
        # Something else stands under this key, or another version of this package wrote it.
        return None


def forget(page_id: str) -> bool:
    """Delete the snapshot of a page; false if the cache did not do it."""
    return _ask(lambda cache: cache.delete(_key(page_id))) is not _FAILED


def is_available() -> bool:
    """Whether the cache may be asked now: it works, or it is time to try it again."""
    return circuit.allows()


def _key(page_id: str) -> str:
    return f"djust:page:{page_id}"


_FAILED: Any = object()


def _ask(call: Callable[[BaseCache], Any], *, forced: bool = False) -> Any:
    """The answer of the cache; `_FAILED` if it fails or is not used now."""
    attempt = circuit.begin(forced=forced)
    if attempt is None:
        return _FAILED
    try:
        answer = call(_cache())
    except BaseException as error:
        circuit.end(attempt, error)
        if isinstance(error, Exception):
            # The client of a cache may raise any exception.
            return _FAILED
        raise
    circuit.end(attempt)
    return answer


circuit = Circuit(lambda: f'The cache "{config.state_cache}", which keeps snapshots of pages,')


def _reset(*, setting: str, **_: object) -> None:
    if setting in ("CACHES", SETTING):
        circuit.reset()


setting_changed.connect(_reset)
process.register(Phase.PAGES, forget=circuit.reset)
