"""Snapshots: the public state of pages, kept outside of their process in a cache of Django.

    keep("6fa1…", Snapshot(version="91c0…", binding="…", page_version=3, last_ref=7, document="0.52", state='{"n":1}'))
    kept("6fa1…")  ->  Snapshot(…), or None

`LIVEVIEW_CONFIG["state_cache"]` names the cache, `state_ttl` says how many seconds it keeps them. Whoever can read the
cache can read the state. A cache that fails costs snapshots and never a page: it is logged once until it works again.
"""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from djust.conf import SETTING, config

logger = logging.getLogger("djust")

_failing: set[str] = set()
_too_large: set[str] = set()


class Snapshot(NamedTuple):
    """What is kept of a page."""

    version: str
    """A digest of the view's fields: another version of the class does not fit."""
    binding: str
    """Whose page it is, as in its ticket."""
    page_version: int
    """How many diffs its browser was sent."""
    last_ref: int
    """The last event that was executed."""
    document: str
    """The id of the document that held the page, or "" if none has joined yet."""
    state: str
    """The public state, from `encode_state`."""


def _cache() -> BaseCache:
    alias = config().state_cache
    try:
        return caches[alias]
    except InvalidCacheBackendError as error:
        raise ImproperlyConfigured(
            f'{SETTING}["state_cache"] is "{alias}", and CACHES has no such entry. Name one of CACHES.'
        ) from error


def _cache_class() -> type[BaseCache]:
    """Asked after every turn, so without a client: Django makes one for each context that asks."""
    known = settings.CACHES.get(config().state_cache)
    return type(_cache()) if known is None else _imported(known["BACKEND"])


@lru_cache
def _imported(path: str) -> type[BaseCache]:
    kind: type[BaseCache] = import_string(path)
    return kind


def keeps_anything() -> bool:
    """Whether the cache keeps anything at all."""
    return not issubclass(_cache_class(), DummyCache)


def is_shared() -> bool:
    """Whether snapshots survive the process: those in its own memory do not."""
    return not issubclass(_cache_class(), (DummyCache, LocMemCache))


def keep(page_id: str, snapshot: Snapshot, title: str) -> bool:
    """Write a snapshot; false if the cache has failed. `title` names its view in warnings."""
    text = json.dumps(snapshot, separators=(",", ":"))
    if len(text) > config().state_max_bytes:
        if title not in _too_large:
            _too_large.add(title)
            logger.warning(
                "%s: the state has %d bytes as text, and a snapshot may have %d; none is kept, so a page whose process "
                "ends is mounted anew. Keep large data out of public state (self._name), or raise "
                '%s["state_max_bytes"].',
                *(title, len(text), config().state_max_bytes, SETTING),
            )
        return True
    try:
        _cache().set(_key(page_id), text, config().state_ttl)
    except Exception as error:  # noqa: BLE001 — whatever the cache's client raises
        _report(error)
        return False
    _failing.clear()
    return True


def kept(page_id: str) -> Snapshot | None:
    """The snapshot of a page, or None if there is none that can be read."""
    try:
        text = _cache().get(_key(page_id))
    except Exception as error:  # noqa: BLE001 — as above
        _report(error)
        return None
    _failing.clear()
    if text is None:
        return None
    try:
        snapshot = Snapshot(*json.loads(text))
    except (ValueError, TypeError):
        # Something else stands under this key, or another version of this package wrote it.
        return None
    return snapshot


def forget(page_id: str) -> None:
    """Delete the snapshot of a page."""
    try:
        _cache().delete(_key(page_id))
    except Exception as error:  # noqa: BLE001 — as above
        _report(error)


def _key(page_id: str) -> str:
    return f"djust:page:{page_id}"


def _report(error: Exception) -> None:
    alias = config().state_cache
    if alias not in _failing:
        _failing.add(alias)
        logger.warning('The cache "%s" fails (%s: %s); snapshots are not kept.', alias, type(error).__name__, error)
