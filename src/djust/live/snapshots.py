"""Saves the state of pages outside of the process, and restores pages from it.

    page.snapshots.changed()                     a turn changes what a snapshot says
    page.snapshots.schedule(page)                no message waits: save soon, at most once a second
    page.snapshots.flush(page)                   the browser is gone: save now
    page.snapshots.save_last(page)               the page is gone
    await load_snapshot(page_id, tab_id, …)      another page goes on with it

Encoding, writing and reading have pools of their own, and no turn waits for the cache: one that
hangs delays no page. What the cache did not take is in the `backlog`, and is written when it
answers again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol
from weakref import WeakSet

from djust import process
from djust.exceptions import ServerBusyError, StateError
from djust.process import Phase
from djust.protocol.messages import Message, Save, Settled
from djust.pubsub.subscriptions import inbox_of
from djust.state.codec import decode_state, encode_state
from djust.state.fields import computed_names, fields_version
from djust.state.snapshots import (
    Snapshot,
    circuit,
    forget,
    is_available,
    is_shared,
    keeps_anything,
    load,
    probe,
    save,
)
from djust.tasks import AsyncResult
from djust.threads.pools import Caller, snapshot_encode_pool, snapshot_read_pool, snapshot_write_pool
from djust.views import LiveView, is_own_name, state_of

logger = logging.getLogger("djust")

# A burst of events, such as typing, is one snapshot.
_QUIET_SECONDS = 0.05
_PAUSE_SECONDS = 1.0
# A cache that does not answer has nothing.
_READ_SECONDS = 2.0
# The end of a process waits so long for a write of the same page; and a page for one that hangs.
_WRITE_SECONDS = 2.0
_OVERTAKE_SECONDS = 10.0
# What is held for pages that are gone while the cache is away; the oldest goes first.
_MOST_LAST = 1_000
_MOST_CHARACTERS = 64_000_000
# Pages that write again when the cache is back, so that it is not overrun.
_RETRIES_PER_SECOND = 200


class SnapshotOwner(Protocol):
    """A page, as far as this module knows it."""

    id: str
    view: LiveView
    fingerprint: str
    version: int
    last_ref: int
    tab_id: str
    snapshots: SnapshotWriter

    @property
    def is_busy(self) -> bool:
        """Whether a turn is being taken."""

    def post(self, message: Message) -> None:
        """Take a message."""


class SnapshotWriter:
    """Saves the snapshots of one page, which is an argument: this does not hold its owner.

    At most one thread writes for a page at a time, the newest snapshot that there is. A write that
    hangs is overtaken after a while. If it ends after all, the snapshot is written once more.
    """

    __slots__ = (
        *("_began", "_is_forgotten", "_is_over", "_lock", "_next", "_saved", "_tab_id", "_taken", "_then", "changes"),
        *("_timer", "_writer", "loop", "size"),
    )

    def __init__(self) -> None:
        # Changes; so many are in the newest snapshot, and so many in that of the cache.
        self.changes = 1
        self._taken = 0
        self._saved = -1
        self._lock = threading.Condition(threading.Lock())
        # The snapshot that waits to be written, with its count; who writes, and since when.
        self._next: tuple[int, Snapshot] | None = None
        self._writer: object = None
        self._began = 0.0
        # The page is gone: there is no later snapshot, or there is to be none.
        self._is_over = False
        self._is_forgotten = False
        self._then = 0.0
        self._tab_id = ""
        self._timer: asyncio.TimerHandle | None = None
        # Where the page takes its turns, as soon as it has.
        self.loop: asyncio.AbstractEventLoop | None = None
        # Characters of what the page holds, roughly.
        self.size = 0

    def schedule(self, page: SnapshotOwner) -> None:
        """No message waits for the page: take a snapshot soon, if there is something to write."""
        if self.changes != self._taken and self._timer is None and is_shared():
            self.loop = asyncio.get_running_loop()
            if not is_available():
                backlog.add(page)
                return
            if page.tab_id != self._tab_id:
                # Until it is written, a snapshot says that nobody has joined.
                self._tab_id, self._then = page.tab_id, 0.0
                wait = 0.0
            else:
                wait = max(_QUIET_SECONDS, self._then + _PAUSE_SECONDS - time.monotonic())
            self._timer = self.loop.call_later(wait, self._due, page)

    def flush(self, page: SnapshotOwner) -> None:
        """Save what is scheduled now: the browser is gone, and so may soon be the process."""
        if self._timer is not None:
            self._timer.cancel()
            self._due(page)

    def retry(self, page: SnapshotOwner) -> None:
        """The cache answers again. On the event loop of the page."""
        if self.changes != self._taken and self._timer is None and not self._is_over:
            self._due(page)

    def _due(self, page: SnapshotOwner) -> None:
        self._timer = None
        page.post(Save())

    async def save(self, page: SnapshotOwner) -> None:
        """Take a snapshot, between two turns; it is written while the page goes on."""
        if not is_available():
            backlog.add(page)
            return
        try:
            await snapshot_encode_pool.run_for(_caller(page, "encode"), self._encode, page)
        except ServerBusyError:
            backlog.add(page)

    def save_first(self, page: SnapshotOwner, size: int) -> None:
        """The page was made, of `size` characters: its browser may come to another process."""
        self.size = size
        if is_shared() and is_available():
            if asyncio._get_running_loop() is None:
                self._encode(page)
            else:
                snapshot_encode_pool.offer(lambda: self._encode(page), _caller(page, "encode"))

    def save_here(self, page: SnapshotOwner) -> None:
        """Write what was not written, in this thread, even if the cache fails: this is the end."""
        if not keeps_anything():
            return
        taken = self._snapshot(page) if self.changes != self._taken else None
        with self._lock:
            if taken is not None:
                self._next = taken
            self._lock.wait_for(lambda: self._writer is None, _WRITE_SECONDS)
            if self._next is None:
                return
            writer = self._begin()
        self._write(page, writer, forced=True)

    def save_last(self, page: SnapshotOwner) -> None:
        """The page is forgotten: write what was not written, in a thread."""
        with self._lock:
            self._is_over = True
        if self.changes != self._taken and keeps_anything():
            snapshot_encode_pool.submit(lambda: self._encode(page))

    def forget(self, page: SnapshotOwner) -> None:
        """Nobody is to have this page again."""
        with self._lock:
            self._taken = self.changes
            self._is_over = self._is_forgotten = True
            self._next = None
        if self._began and keeps_anything():
            self._delete_soon(page)

    async def save_as(self, page: SnapshotOwner, snapshot: Snapshot) -> None:
        """Write the snapshot that the page was made of, and wait for that, though not for long."""
        if not is_available():
            return
        with self._lock:
            self._next, writer = (0, snapshot._replace(fingerprint=page.fingerprint)), self._begin()
        try:
            call = snapshot_write_pool.begin(_caller(page, "write"), self._write, page, writer)
        except ServerBusyError:
            self._give_up(writer)
            return
        await asyncio.wait((call.done,), timeout=_READ_SECONDS)
        if not call.done.done() and snapshot_write_pool.withdraw(call):
            self._give_up(writer)

    def _encode(self, page: SnapshotOwner) -> None:
        if (taken := self._snapshot(page)) is not None:
            self._write_soon(page, *taken)

    def _snapshot(self, page: SnapshotOwner) -> tuple[int, Snapshot] | None:
        """What is to be written, and the count of changes that it holds."""
        self._then, self._taken = time.monotonic(), self.changes
        count = self._taken
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
        return count, Snapshot(version, page.fingerprint, page.version, page.last_ref, page.tab_id, state)

    # Writing

    def _begin(self) -> object:
        """From now on the caller, who has the lock, is the one who writes."""
        self._writer, self._began = object(), time.monotonic()
        return self._writer

    def _write_soon(self, page: SnapshotOwner, count: int, snapshot: Snapshot) -> None:
        with self._lock:
            if self._is_forgotten or count <= self._saved or (self._next is not None and count < self._next[0]):
                return
            self._next = count, snapshot
            if self._writer is not None and time.monotonic() - self._began < _OVERTAKE_SECONDS:
                # It takes this one when it is through.
                return
            writer = self._begin()
        if not snapshot_write_pool.offer(lambda: self._write(page, writer), _caller(page, "write")):
            with self._lock:
                self._miss(page, self._next)
            self._give_up(writer)

    def _write(self, page: SnapshotOwner, writer: object, *, forced: bool = False) -> None:
        """Write what there is to write, in this thread, unless another writer has taken over."""
        while True:
            with self._lock:
                if self._writer is not writer:
                    return
                if (taken := self._take_next()) is None:
                    break
                self._began = time.monotonic()
            is_written = save(page.id, taken[1], type(page.view).__name__, forced=forced)
            with self._lock:
                if self._is_forgotten:
                    break
                if self._writer is not writer:
                    # It has hung, and may have replaced what another one wrote meanwhile.
                    self._saved = -1
                    self._miss(page, None)
                    return
                if not is_written:
                    self._miss(page, self._take_next() or taken)
                    break
                self._saved = taken[0]
        self._give_up(writer)
        if self._is_forgotten and taken is not None:
            self._delete_soon(page)

    def _take_next(self) -> tuple[int, Snapshot] | None:
        taken, self._next = self._next, None
        return taken

    def _give_up(self, writer: object) -> None:
        with self._lock:
            if self._writer is writer:
                self._writer = None
                self._lock.notify_all()

    def _miss(self, page: SnapshotOwner, taken: tuple[int, Snapshot] | None) -> None:
        """The cache did not take a snapshot: save a later one, or this one if the page is gone."""
        self._taken = 0
        if not self._is_over:
            backlog.add(page)
        elif taken is not None:
            backlog.put(page.id, taken[1], type(page.view).__name__)

    def _delete_soon(self, page: SnapshotOwner) -> None:
        def delete() -> None:
            if not forget(page.id):
                backlog.put(page.id, None)

        if not snapshot_write_pool.offer(delete, _caller(page, "delete")):
            backlog.put(page.id, None)


def _caller(page: SnapshotOwner, what: str) -> Caller:
    return Caller(page.fingerprint, f"{type(page.view).__name__} ({what} snapshot)")


class Backlog:
    """What the cache did not take: pages that are here, and last snapshots of those that are gone.

    A timer tries again, when the circuit around the cache lets it, until nothing is left.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin with nothing. A fork has no timer, and the pages are its parent's."""
        self._lock = threading.Lock()
        self._pages: WeakSet[SnapshotOwner] = WeakSet()
        # By page id: the snapshot, None for one to be deleted, and what it is called.
        self._last: OrderedDict[str, tuple[Snapshot | None, str]] = OrderedDict()
        self._characters = 0
        self._timer: threading.Timer | None = None

    def __len__(self) -> int:
        return len(self._pages) + len(self._last)

    def add(self, page: SnapshotOwner) -> None:
        """A page has changes that were not written."""
        with self._lock:
            self._pages.add(page)
            self._wait()

    def put(self, page_id: str, snapshot: Snapshot | None, title: str = "") -> None:
        """The last snapshot of a page that is gone; None: its snapshot is to be deleted."""
        with self._lock:
            self._drop(page_id)
            self._last[page_id] = snapshot, title
            self._characters += 0 if snapshot is None else len(snapshot.state)
            while len(self._last) > _MOST_LAST or self._characters > _MOST_CHARACTERS:
                self._drop(next(iter(self._last)))
            self._wait()

    def _drop(self, page_id: str) -> None:
        snapshot, _ = self._last.pop(page_id, (None, ""))
        if snapshot is not None:
            self._characters -= len(snapshot.state)

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(max(circuit.wait, _PAUSE_SECONDS), self._try)
            self._timer.daemon = True
            try:
                self._timer.start()
            except RuntimeError:
                # No thread can be started; what comes next tries again.
                self._timer = None

    def _try(self) -> None:
        with self._lock:
            self._timer = None
            if not len(self):
                return
            # The attempt may hang.
            self._wait()
        if is_available():
            snapshot_write_pool.offer(self._write, Caller("", "snapshots that could not be written"))

    def _write(self) -> None:
        if not probe():
            return
        while self._last:
            with self._lock:
                page_id, (snapshot, title) = next(iter(self._last.items()))
                self._drop(page_id)
            if not (forget(page_id) if snapshot is None else save(page_id, snapshot, title)):
                self.put(page_id, snapshot, title)
                return
        with self._lock:
            pages = [*self._pages]
            self._pages.clear()
        spread = len(pages) / _RETRIES_PER_SECOND
        for page in pages:
            if (loop := page.snapshots.loop) is not None:
                _call_later(loop, random.uniform(0, spread), page)  # noqa: S311 — it spreads load


def _call_later(loop: asyncio.AbstractEventLoop, seconds: float, page: SnapshotOwner) -> None:
    try:
        loop.call_soon_threadsafe(loop.call_later, seconds, page.snapshots.retry, page)
    except RuntimeError:
        # The server has ended, and its pages have been saved.
        pass


backlog = Backlog()
process.register(Phase.PAGES, forget=backlog.reset)


# The end of the process


async def save_all(pages: Iterable[SnapshotOwner], seconds: float) -> None:
    """The server ends: write everything that was not written, for at most so many seconds."""
    unsaved = [asyncio.create_task(_save_settled(page)) for page in pages]
    if unsaved:
        _, late = await asyncio.wait(unsaved, timeout=seconds)
        for saving in late:
            saving.cancel()
        if late:
            logger.warning("%d snapshots could not be written in time.", len(late))


async def _save_settled(page: SnapshotOwner) -> None:
    # Half of what a handler does is not a state to come back to.
    if page.is_busy:
        settled = asyncio.Event()
        page.post(Settled(settled))
        await settled.wait()
    await snapshot_write_pool.run(page.snapshots.save_here, page)


def save_before_exit(pages: Iterable[SnapshotOwner], seconds: float) -> None:
    """The same where no server tells of the end, in the thread that ends the process."""
    unsaved = [*pages]
    if not unsaved or not is_shared():
        return
    saved = threading.Semaphore(0)

    def save_one(page: SnapshotOwner) -> None:
        try:
            page.snapshots.save_here(page)
        finally:
            saved.release()

    for page in unsaved:
        snapshot_write_pool.submit(partial(save_one, page))
    end = time.monotonic() + seconds
    late = sum(not saved.acquire(timeout=max(0.0, end - time.monotonic())) for _ in unsaved)
    if late:
        logger.warning("%d snapshots could not be written in time.", late)


# Coming back


async def load_snapshot(page_id: str, tab_id: str, admits: Callable[[str, str], bool]) -> Snapshot | None:
    """The snapshot with which a tab may go on; None where the cache does not answer, too.

    `admits` says so, from the fingerprint and the tab that held the page; what it raises is raised.
    """
    if not is_available():
        return None
    try:
        async with asyncio.timeout(_READ_SECONDS):
            snapshot = await snapshot_read_pool.run_for(Caller(title="read snapshot"), load, page_id)
    except TimeoutError:
        logger.warning("The cache of snapshots did not answer within %g seconds.", _READ_SECONDS)
        return None
    except ServerBusyError as error:
        logger.warning("A page comes back without its snapshot: %s", error.detail)
        return None
    if snapshot is None or not admits(snapshot.fingerprint, snapshot.tab_id) or snapshot.tab_id not in ("", tab_id):
        return None
    return snapshot


def fits(view: LiveView, snapshot: Snapshot) -> bool:
    """Whether the snapshot is one of this version of the class."""
    return snapshot.version == fields_version(type(view))


def restore_state(view: LiveView, snapshot: Snapshot) -> None:
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
        inbox.mark_gap(inbox.topics, "restored")
