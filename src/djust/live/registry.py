"""The open pages of this process.

    parked     the HTML was sent, the browser has not joined     `park_seconds`
    attached   a connection holds it
    detached   the connection was lost                           `detach_seconds`

A page that waits too long is forgotten. So is the oldest one, if too many wait, if they hold too
many bytes, or if one visitor has too many. A page that is forgotten ends: its tasks are cancelled,
and its state is saved. GETs run in threads, so every method holds the lock.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Container
from typing import NamedTuple

from django.http import HttpRequest

from djust import process
from djust.conf import config
from djust.live.page import Page, end_all
from djust.live.snapshots import save_all
from djust.loop import Ticker
from djust.process import Phase
from djust.protocol.messages import Peer
from djust.state.snapshots import is_shared

_SWEEP_SECONDS = 5.0
# How long the end of a process waits until a cache has taken all snapshots.
_SAVE_SECONDS = 5.0
# How long it waits for `unmount` of the pages' views.
_END_SECONDS = 5.0
# What a page holds beside its HTML and its state.
_PAGE_BYTES = 10_000


class _Waiting(NamedTuple):
    page: Page
    tab_id: str
    end: float
    size: int


class _Attached(NamedTuple):
    page: Page
    tab_id: str
    peer: Peer


class Registry:
    """Where pages are found by their id."""

    def __init__(self) -> None:
        self.reset()
        self.sweeper = Ticker(_SWEEP_SECONDS, self.sweep)

    def reset(self) -> None:
        """Begin without pages. Those of a process that was forked are its parent's."""
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._attached: dict[str, _Attached] = {}
        # Of the waiting pages.
        self._bytes = 0
        self._visitors: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._attached)

    def park(self, page: Page) -> None:
        """Keep a page whose HTML was just sent, until its browser joins."""
        self._keep(page, config.park_seconds)

    def attach(self, page: Page, peer: Peer, tab_id: str) -> None:
        """Keep a page that was made for a connection."""
        with self._lock:
            self._attached[page.id] = _Attached(page, tab_id, peer)

    def claim(
        self, page_id: str, peer: Peer, tab_id: str, admits: Callable[[str, str], bool] = lambda _, holder: True
    ) -> tuple[Page | None, Peer | None]:
        """Attach the page to `peer`. Returns the page and the peer that had it, or None for each.

        `admits` says whether the tab gets a page, from its fingerprint and the tab that held it
        last ("" for none). If it raises, the page stays where it is. An attached page goes only to
        the same tab, whose old connection is dead, which was not noticed yet. A second tab with the
        same HTML gets a page of its own.
        """
        with self._lock:
            waiting = self._waiting.get(page_id)
            if waiting is not None and waiting.end <= time.monotonic():
                self._end_waiting(page_id)
            found = self._waiting.get(page_id) or self._attached.get(page_id)
            if found is None or not admits(found.page.fingerprint, found.tab_id):
                return None, None
            holder = found.peer if isinstance(found, _Attached) else None
            if holder is not None and (not tab_id or found.tab_id != tab_id):
                return None, None
            self._take_out(page_id)
            self._attached[page_id] = _Attached(found.page, tab_id, peer)
            return found.page, holder

    def release(self, page: Page, peer: Peer) -> None:
        """The connection `peer` is gone: keep the page for a while, unless another one has it."""
        with self._lock:
            attached = self._attached.get(page.id)
            if attached is None or attached.peer is not peer:
                return
            del self._attached[page.id]
        self._keep(page, config.detach_seconds, attached.tab_id)

    def drop(self, session: str, except_request: HttpRequest) -> list[Peer]:
        """Forget the pages that end with `session` (see `Visitor`); the peers that held them.

        The page of the request `except_request` stays, and has no visitor from now on.
        """
        with self._lock:
            for waiting in [one for one in self._waiting.values() if one.page.visitor.session == session]:
                self._end_waiting(waiting.page.id, for_good=True)
            dropped = []
            for one in [one for one in self._attached.values() if one.page.visitor.session == session]:
                if one.page.request is except_request:
                    one.page.visitor = one.page.visitor._replace(key="")
                    continue
                del self._attached[one.page.id]
                one.page.end(for_good=True)
                dropped.append(one.peer)
            return dropped

    def peers_of(self, pages: Container[Page]) -> list[Peer]:
        """The connections that hold some of these pages."""
        with self._lock:
            return [one.peer for one in self._attached.values() if one.page in pages]

    def attached_pages(self) -> list[Page]:
        with self._lock:
            return [one.page for one in self._attached.values()]

    def pages(self) -> list[Page]:
        with self._lock:
            waiting = [one.page for one in self._waiting.values()]
            return waiting + [one.page for one in self._attached.values()]

    def clear(self) -> None:
        with self._lock:
            for page_id in [*self._waiting]:
                self._end_waiting(page_id)
            for attached in self._attached.values():
                attached.page.end()
            self._attached.clear()

    def sweep(self) -> None:
        """Forget the pages whose time is over."""
        now = time.monotonic()
        with self._lock:
            for page_id in [page_id for page_id, waiting in self._waiting.items() if waiting.end <= now]:
                self._end_waiting(page_id)

    def _take_out(self, page_id: str) -> _Waiting | None:
        waiting = self._waiting.pop(page_id, None)
        if waiting is not None:
            self._bytes -= waiting.size
            fingerprint = waiting.page.fingerprint
            self._visitors[fingerprint] -= 1
            if not self._visitors[fingerprint]:
                del self._visitors[fingerprint]
        return waiting

    def _end_waiting(self, page_id: str, *, for_good: bool = False) -> None:
        waiting = self._take_out(page_id)
        assert waiting is not None, "only pages that wait are ended here"
        waiting.page.end(for_good=for_good)

    def _keep(self, page: Page, seconds: float, tab_id: str = "") -> None:
        now = time.monotonic()
        with self._lock:
            self._take_out(page.id)
            size, fingerprint = page.snapshots.size + _PAGE_BYTES, page.fingerprint
            self._waiting[page.id] = _Waiting(page, tab_id, now + seconds, size)
            self._bytes += size
            self._visitors[fingerprint] += 1
            if fingerprint and self._visitors[fingerprint] > config.pages_per_session:
                same = (key for key, waiting in self._waiting.items() if waiting.page.fingerprint == fingerprint)
                self._end_waiting(next(same))
            # The first is the oldest. Under WSGI nothing else sweeps.
            while self._waiting and (self._is_too_much() or next(iter(self._waiting.values())).end <= now):
                self._end_waiting(next(iter(self._waiting)))

    def _is_too_much(self) -> bool:
        return len(self._waiting) > config.max_pages or self._bytes > config.max_page_bytes


registry = Registry()


async def _stop() -> None:
    registry.sweeper.stop()
    await save_all(registry.pages(), _SAVE_SECONDS)
    await end_all(registry.pages(), _END_SECONDS)
    registry.clear()


def save_at_exit() -> None:
    """Save the pages where no server tells of its end, as under WSGI."""
    pages = registry.pages()
    if pages and is_shared():
        asyncio.run(save_all(pages, _SAVE_SECONDS, settled=False))


process.register(Phase.PAGES, start=registry.sweeper.start, stop=_stop, at_exit=save_at_exit, forget=registry.reset)
