"""Keeps the state of pages outside of the process, so that it survives what the process does not.

A snapshot is written a moment after a page has become quiet, at most once a second; and when the page is about to be
forgotten or the server ends. It is written by threads of its own: a cache that hangs delays nobody.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from djust.exceptions import StateError
from djust.live.messages import Message, Save, Settled
from djust.live.workers import keepers
from djust.pubsub.subscriptions import inbox_of
from djust.state.codec import decode_state, encode_state
from djust.state.fields import computed_names, fields_version
from djust.state.snapshots import Snapshot, forget, is_shared, keep, keeps_anything, kept
from djust.tasks import AsyncResult
from djust.views import LiveView, is_own_name, state_of

logger = logging.getLogger("djust")

# A burst of events, such as typing, is one snapshot.
_QUIET_SECONDS = 0.05
_PAUSE_SECONDS = 1.0
# A cache that does not answer has nothing.
_READ_SECONDS = 2.0


class Kept(Protocol):
    """A page, as far as this module knows it."""

    id: str
    view: LiveView
    binding: str
    version: int
    last_ref: int
    document: str
    keeper: Keeper

    @property
    def is_busy(self) -> bool:
        """Whether a turn is being taken."""

    def post(self, message: Message) -> None:
        """Take a message."""


class Keeper:
    """Sees to the snapshots of one page, which it is told each time: it does not hold its owner."""

    __slots__ = ("_changed", "_document", "_lock", "_stored", "_then", "_timer", "_written", "size")

    def __init__(self) -> None:
        # What a snapshot would say is counted, and what the last one said.
        self._changed = 1
        self._written = 0
        # Threads may come to their writes in another order: an older snapshot never replaces a newer one.
        self._stored = 0
        self._lock = threading.Lock()
        self._then = 0.0
        self._document = ""
        self._timer: asyncio.TimerHandle | None = None
        # Characters of what the page holds, roughly.
        self.size = 0

    def changed(self) -> None:
        """A turn changes what a snapshot says."""
        self._changed += 1

    def quiet(self, page: Kept) -> None:
        """No message waits for the page: a snapshot is taken soon, if there is something to write."""
        if self._changed != self._written and self._timer is None and is_shared():
            if page.document != self._document:
                # Until it is written, a snapshot says that nobody has joined.
                self._document, self._then = page.document, 0.0
                wait = 0.0
            else:
                wait = max(_QUIET_SECONDS, self._then + _PAUSE_SECONDS - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._due, page)

    def hasten(self, page: Kept) -> None:
        """The browser is gone, and so may soon be the process."""
        if self._timer is not None:
            self._timer.cancel()
            self._due(page)

    def _due(self, page: Kept) -> None:
        self._timer = None
        page.post(Save())

    async def save(self, page: Kept) -> None:
        """Take a snapshot, between two turns; it is written while the page goes on."""
        taken = await keepers.run(self._snapshot, page)
        if taken is not None:
            keepers.submit(lambda: self._write(page, *taken))

    def save_first(self, page: Kept, size: int) -> None:
        """The page was made, with so many characters of HTML: its browser may come to another process."""
        self.size = size
        if is_shared():
            if asyncio._get_running_loop() is None:
                if (taken := self._snapshot(page)) is not None:
                    keepers.submit(lambda: self._write(page, *taken))
            else:
                keepers.submit(lambda: self.save_here(page))

    def save_here(self, page: Kept) -> None:
        """Write what was not written, in this thread."""
        if self._changed != self._written and keeps_anything() and (taken := self._snapshot(page)) is not None:
            self._write(page, *taken)

    def save_last(self, page: Kept) -> None:
        """The page is forgotten: write what was not written, in a thread."""
        if self._changed != self._written and keeps_anything():
            keepers.submit(lambda: self.save_here(page))

    def forget(self, page: Kept) -> None:
        """Nobody is to have this page again."""
        self._written = self._changed
        if keeps_anything():
            keepers.submit(lambda: self._delete(page))

    def _snapshot(self, page: Kept) -> tuple[int, Snapshot] | None:
        """What is to be written, and the count of changes that it holds."""
        self._then, self._written = time.monotonic(), self._changed
        count = self._written
        view_class = type(page.view)
        try:
            state = encode_state(view_class, state_of(page.view))
        except StateError as error:
            logger.warning("%s: no snapshot is kept: %s", view_class.__name__, error)
            return None
        except Exception:
            logger.exception("%s: no snapshot can be taken", view_class.__name__)
            return None
        self.size = max(self.size, len(state))
        version = fields_version(view_class)
        return count, Snapshot(version, page.binding, page.version, page.last_ref, page.document, state)

    def _write(self, page: Kept, count: int, snapshot: Snapshot) -> None:
        with self._lock:
            if count <= self._stored:
                return
            if keep(page.id, snapshot, type(page.view).__name__):
                self._stored = count
            else:
                # Another attempt is made with the next change, or when the page is forgotten.
                self._written = 0

    def _delete(self, page: Kept) -> None:
        with self._lock:
            self._stored = sys.maxsize
            forget(page.id)


async def save_all(pages: Iterable[Kept], seconds: float) -> None:
    """The server ends: write everything that was not written, for at most so many seconds."""
    unsaved = [asyncio.create_task(_save_settled(page)) for page in pages]
    if unsaved:
        _, late = await asyncio.wait(unsaved, timeout=seconds)
        for saving in late:
            saving.cancel()
        if late:
            logger.warning("%d snapshots could not be written in time.", len(late))


async def _save_settled(page: Kept) -> None:
    # Half of what a handler does is not a state to come back to.
    if page.is_busy:
        settled = asyncio.Event()
        page.post(Settled(settled))
        await settled.wait()
    await keepers.run(page.keeper.save_here, page)


# Coming back


async def snapshot_of(page_id: str, document: str, admits: Callable[[str, str], bool]) -> Snapshot | None:
    """The snapshot with which a document may go on.

    `admits` says so, from the binding and the document that held the page; what it raises is raised.
    """
    try:
        async with asyncio.timeout(_READ_SECONDS):
            snapshot = await keepers.run(kept, page_id)
    except TimeoutError:
        logger.warning("The cache of snapshots did not answer within %g seconds.", _READ_SECONDS)
        return None
    if snapshot is None or not admits(snapshot.binding, snapshot.document) or snapshot.document not in ("", document):
        return None
    return snapshot


async def keep_as(page: Kept, snapshot: Snapshot) -> None:
    """Write a snapshot again, for the page that was made of it."""
    try:
        async with asyncio.timeout(_READ_SECONDS):
            await keepers.run(keep, page.id, snapshot._replace(binding=page.binding), type(page.view).__name__)
    except TimeoutError:
        logger.warning("The cache of snapshots did not answer within %g seconds.", _READ_SECONDS)


def fits(view: LiveView, snapshot: Snapshot) -> bool:
    """Whether the snapshot is one of this version of the class."""
    return snapshot.version == fields_version(type(view))


def lay_over(view: LiveView, snapshot: Snapshot) -> None:
    """Give a view that was restored its saved state; raises whatever stands against it."""
    view_class = type(view)
    values, missing = decode_state(view_class, snapshot.state)
    for name, value in values.items():
        if name[0] == "_" or is_own_name(name) or name in computed_names(view_class):
            raise StateError(f"{view_class.__name__}.{name} is not state, and a snapshot holds it.")
        # What was loading then is loaded anew by whoever began it: `mount`, as a rule.
        if not (isinstance(value, AsyncResult) and value.loading):
            setattr(view, name, value)
    for name, error in missing.items():
        view.missing_state(name, error)
    if (inbox := inbox_of(view)) is not None:
        inbox.miss(inbox.topics, "restored")
