"""The open pages of this process.

    parked     the HTML was sent, the browser has not joined     `park_seconds`
    attached   a connection holds it
    detached   the connection was lost                           `detach_seconds`

A page that waits too long is forgotten, and when too many wait, or hold too many bytes, or one visitor has too many,
the oldest is. What is forgotten ends: its tasks are cancelled, its state is kept (`keeping`). GETs run in threads, so
every method holds the lock.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import NamedTuple

from django.http import HttpRequest

from djust import process
from djust.conf import config
from djust.live.page import Page, end_all
from djust.live.snapshots import save_all, save_before_exit
from djust.process import Phase
from djust.protocol.messages import Peer

_SWEEP_SECONDS = 5.0
# How long the end of a process waits for a cache to take snapshots.
_SAVE_SECONDS = 5.0
# How long it waits for `unmount` of the pages' views.
_END_SECONDS = 5.0
# What a page holds beside its HTML and its state.
_PAGE_BYTES = 10_000


@dataclass(slots=True)
class _Waiting:
    page: Page
    end: float
    size: int
    document: str
    binding: str


class _Attached(NamedTuple):
    page: Page
    peer: Peer
    document: str


class Registry:
    """Where pages are found by their id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._attached: dict[str, _Attached] = {}
        # Of the waiting pages.
        self._bytes = 0
        self._visitors: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting) + len(self._attached)

    def park(self, page: Page) -> None:
        """Keep a page that was just sent, until its browser joins."""
        self._keep(page, config().park_seconds)

    def attach(self, page: Page, peer: Peer, document: str) -> None:
        """Keep a page that has come into being for a connection."""
        with self._lock:
            self._attached[page.id] = _Attached(page, peer, document)

    def claim(
        self, page_id: str, peer: Peer, document: str, admits: Callable[[str, str], bool] = lambda binding, holder: True
    ) -> tuple[Page | None, Peer | None]:
        """Attach the page to `peer`. Gives the page, or None, and the connection from which it was taken, or None.

        `admits` says whether the document gets a page, from its binding and the document that held it last ("" for
        none); what it raises is raised, and leaves the page where it is. A page that is attached already is given up
        only to the same document, whose old connection is dead but was not yet found to be. A second tab made from the
        same HTML is another document, and gets a page of its own.
        """
        with self._lock:
            waiting = self._waiting.get(page_id)
            if waiting is not None and waiting.end <= time.monotonic():
                self._end_waiting(page_id)
            elif waiting is not None:
                if not admits(waiting.page.binding, waiting.document):
                    return None, None
                self._take_out(page_id)
                self._attached[page_id] = _Attached(waiting.page, peer, document)
                return waiting.page, None
            attached = self._attached.get(page_id)
            if attached is None or not admits(attached.page.binding, attached.document):
                return None, None
            if not document or attached.document != document:
                return None, None
            self._attached[page_id] = _Attached(attached.page, peer, document)
            return attached.page, attached.peer

    def release(self, page: Page, peer: Peer) -> None:
        """The connection `peer` is gone: keep the page for a while, unless another connection has it."""
        with self._lock:
            attached = self._attached.get(page.id)
            if attached is None or attached.peer is not peer:
                return
            del self._attached[page.id]
        self._keep(page, config().detach_seconds, attached.document)

    def drop(self, session: str, except_request: HttpRequest) -> list[Peer]:
        """Forget the pages that end with a session, named as in `Visitor.session`; the connections that held them.

        That of the request `except_request` stays, and belongs to nobody from now on.
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
        """The pages that have a browser."""
        with self._lock:
            return [one.page for one in self._attached.values()]

    def pages(self) -> list[Page]:
        """All pages of this process."""
        with self._lock:
            waiting = [one.page for one in self._waiting.values()]
            return waiting + [one.page for one in self._attached.values()]

    def clear(self) -> None:
        """Forget all pages."""
        with self._lock:
            for page_id in [*self._waiting]:
                self._end_waiting(page_id)
            for attached in self._attached.values():
                attached.page.end()
            self._attached.clear()

    def keep_sweeping(self) -> None:
        """Sweep now and every few seconds, on the running event loop, until `stop_sweeping`."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._tick(loop)

    def stop_sweeping(self) -> None:
        """The event loop is about to end."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()

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
            self._visitors[waiting.binding] -= 1
            if not self._visitors[waiting.binding]:
                del self._visitors[waiting.binding]
        return waiting

    def _end_waiting(self, page_id: str, *, for_good: bool = False) -> None:
        waiting = self._take_out(page_id)
        assert waiting is not None, "only pages that wait are ended here"
        waiting.page.end(for_good=for_good)

    def _keep(self, page: Page, seconds: float, document: str = "") -> None:
        now = time.monotonic()
        with self._lock:
            self._take_out(page.id)
            size, binding = page.snapshots.size + _PAGE_BYTES, page.binding
            self._waiting[page.id] = _Waiting(page, now + seconds, size, document, binding)
            self._bytes += size
            self._visitors[binding] += 1
            if binding and self._visitors[binding] > config().pages_per_session:
                same = (page_id for page_id, waiting in self._waiting.items() if waiting.binding == binding)
                self._end_waiting(next(same))
            # The first is the oldest. Where no event loop runs, as under WSGI, this is all the sweeping there is.
            while self._waiting and (self._is_too_much() or next(iter(self._waiting.values())).end <= now):
                self._end_waiting(next(iter(self._waiting)))

    def _is_too_much(self) -> bool:
        return len(self._waiting) > config().max_pages or self._bytes > config().max_page_bytes

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        # Another loop may sweep by now, and this one still run in its thread.
        if self._loop is loop:
            self.sweep()
            self._timer = loop.call_later(_SWEEP_SECONDS, self._tick, loop)


registry = Registry()


async def _stop() -> None:
    registry.stop_sweeping()
    await save_all(registry.pages(), _SAVE_SECONDS)
    await end_all(registry.pages(), _END_SECONDS)
    registry.clear()


def save_at_exit() -> None:
    """Where no server tells of its end, as under WSGI, what was not written of the pages is written now."""
    save_before_exit(registry.pages(), _SAVE_SECONDS)


process.register(Phase.PAGES, start=registry.keep_sweeping, stop=_stop, at_exit=save_at_exit)
