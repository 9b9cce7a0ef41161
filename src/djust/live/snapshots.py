"""Saves the state of pages outside of the process, and restores pages from it.

    page.snapshots.changes += 1                  a turn changes what a snapshot says
    page.snapshots.schedule(page)                no message waits: save soon, at most once a second
    page.snapshots.flush(page)                   the browser is gone: save now
    page.snapshots.save_last(page)               the page is gone
    await load_snapshot(page_id, tab_id, …)      the snapshot from which a page is restored

A snapshot holds the state of the page's root alone. `mount`, or `restore`, makes other nodes again.

A snapshot holds the state of the page's root alone. `mount`, or `restore`, makes other nodes again.

Encoding, writing and reading have pools of their own, and no turn waits for the cache: one that
hangs delays no page. What the cache did not take is written when it answers again: a page saves
itself, and the `backlog` has the last snapshots of pages that are gone.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from djust import process
from djust.exceptions import ServerBusyError, StateError
from djust.loop import finish, page_loop
from djust.process import Phase
from djust.protocol.messages import Message, Save
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
    save,
)
from djust.tasks import AsyncResult
from djust.threads.pool import Caller
from djust.threads.pools import snapshot_encode_pool, snapshot_read_pool, snapshot_write_pool
from djust.views import LiveView, is_own_name, state_of

logger = logging.getLogger("djust")

# A burst of events, such as typing, is one snapshot.
_QUIET_SECONDS = 0.05
_PAUSE_SECONDS = 1.0
# A cache that does not answer in this time counts as empty.
_READ_SECONDS = 2.0
# How long the end of a process waits for a write; when a page replaces a write that hangs.
_WRITE_SECONDS = 2.0
_OVERTAKE_SECONDS = 10.0
# Snapshots of pages that are gone, held while the cache fails; the oldest goes first.
_MOST_LAST = 1_000
_MOST_CHARACTERS = 64_000_000
# How many pages write at first when the cache is back, so that they do not overload it.
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

    async def settled(self) -> None:
        """Wait until everything that is in the mailbox now is dealt with."""


class SnapshotWriter:
    """Saves the snapshots of one page, which is an argument, so that this does not hold it.

    At most one thread writes for a page at a time, always the newest snapshot. Another thread
    replaces one that hangs. If its write ends after all, the snapshot is written once more.
    """

    __slots__ = (
        *("_is_forgotten", "_is_over", "_lock", "_newest", "_next", "_tab_id", "_taken", "_then", "_timer", "_writing"),
        *("changes", "size"),
    )

    def __init__(self) -> None:
        # The number of changes; how many the last snapshot has, 0 if it has to be made again.
        self.changes = 1
        self._taken = 0
        self._lock = threading.Condition(threading.Lock())
        # The snapshot that waits to be written, and how many changes the newest one has.
        self._next: Snapshot | None = None
        self._newest = -1
        # When the thread that writes began, by which it is also identified.
        self._writing = 0.0
        # The page is gone: this is the last snapshot, or its snapshots have to be deleted.
        self._is_over = False
        self._is_forgotten = False
        # When the page was saved last, and for which tab.
        self._then = 0.0
        self._tab_id = ""
        self._timer: asyncio.TimerHandle | None = None
        # Characters of what the page holds, roughly.
        self.size = 0

    def schedule(self, page: SnapshotOwner) -> None:
        """No message waits for the page: save it soon, if it has changed and the cache works."""
        if self.changes != self._taken and self._timer is None and not self._is_over and is_shared():
            if not is_available():
                wait = _next_retry()
            elif page.tab_id != self._tab_id:
                # Until it is written, a snapshot says that nobody has joined.
                self._tab_id, wait = page.tab_id, 0.0
            else:
                wait = max(_QUIET_SECONDS, self._then + _PAUSE_SECONDS - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._due, page)

    def flush(self, page: SnapshotOwner) -> None:
        """Save what is scheduled now: the browser is gone, and so may soon be the process."""
        if self._timer is not None:
            self._timer.cancel()
            self._due(page)

    def _due(self, page: SnapshotOwner) -> None:
        self._timer, self._then = None, time.monotonic()
        page.post(Save())

    async def save(self, page: SnapshotOwner) -> None:
        """Take a snapshot, between two turns; it is written while the page goes on."""
        if self.changes != self._taken and keeps_anything() and is_available():
            # If the pool refuses, the next change tries again.
            with suppress(ServerBusyError):
                await snapshot_encode_pool.run_for(_caller(page, "encode"), self._encode, page)

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
        snapshot = self._snapshot(page) if self.changes != self._taken else None
        with self._lock:
            self._next = snapshot or self._next
            self._lock.wait_for(lambda: not self._writing, _WRITE_SECONDS)
            writing = self._begin()
        self._write(page, writing, forced=True)

    def save_last(self, page: SnapshotOwner) -> None:
        """The page is forgotten: write what was not written, in a thread."""
        with self._lock:
            self._end()
        if self.changes != self._taken and keeps_anything():
            snapshot_encode_pool.submit(lambda: self._encode(page))

    def forget(self, page: SnapshotOwner) -> None:
        """The page does not come back."""
        with self._lock:
            self._end()
            self._taken, self._next, self._is_forgotten = self.changes, None, True
        if self._newest >= 0 and keeps_anything():
            self._delete_soon(page)

    def _end(self) -> None:
        self._is_over = True
        # The timer holds the page.
        if (timer := self._timer) is not None:
            page_loop.call(timer.cancel)

    async def save_as(self, page: SnapshotOwner, snapshot: Snapshot) -> None:
        """Write the snapshot from which the page was restored, and wait a moment for that."""
        if not is_available():
            return
        with self._lock:
            self._newest, self._next, writing = 0, snapshot._replace(fingerprint=page.fingerprint), self._begin()
        try:
            async with asyncio.timeout(_READ_SECONDS):
                await snapshot_write_pool.run_for(_caller(page, "write"), self._write, page, writing)
        except (TimeoutError, ServerBusyError):
            with self._lock:
                self._release()

    def _encode(self, page: SnapshotOwner) -> None:
        count = self.changes
        snapshot = self._snapshot(page)
        with self._lock:
            if snapshot is None or self._is_forgotten or count < self._newest:
                return
            self._newest, self._next = count, snapshot
            if self._writing and time.monotonic() - self._writing < _OVERTAKE_SECONDS:
                # The thread that writes takes this one when it is through.
                return
            writing = self._begin()
        if not snapshot_write_pool.offer(lambda: self._write(page, writing), _caller(page, "write")):
            with self._lock:
                self._miss(page, self._next)
                self._release()

    def _snapshot(self, page: SnapshotOwner) -> Snapshot | None:
        self._taken = self.changes
        view_class = type(page.view)
        try:
            state = encode_state(state_of(page.view))
        except StateError as error:
            logger.warning("%s: no snapshot is kept: %s", view_class.__name__, error)
            return None
        except Exception:
            logger.exception("%s: no snapshot can be taken", view_class.__name__)
            return None
        self.size = max(self.size, len(state))
        version = fields_version(view_class)
        return Snapshot(version, page.fingerprint, page.version, page.last_ref, page.tab_id, state)

    # Writing. The lock is held in `_begin`, `_release` and `_miss`.

    def _begin(self) -> float:
        """From now on the caller is the thread that writes."""
        self._writing = time.monotonic()
        return self._writing

    def _release(self) -> None:
        self._writing = 0.0
        self._lock.notify_all()

    def _next_for(self, writing: float) -> Snapshot | None:
        """The snapshot to write, for the thread that began at `writing`; None if it is done."""
        with self._lock:
            if self._writing != writing:
                return None
            snapshot, self._next = self._next, None
            if snapshot is None:
                self._release()
            return snapshot

    def _write(self, page: SnapshotOwner, writing: float, *, forced: bool = False) -> None:
        """Write what there is to write, in this thread, unless another one has taken over."""
        while (snapshot := self._next_for(writing)) is not None:
            is_written = save(page.id, snapshot, type(page.view).__name__, forced=forced)
            with self._lock:
                if self._is_forgotten:
                    self._delete_soon(page)
                elif self._writing != writing:
                    # It has hung, and may have replaced what another thread has written.
                    self._miss(page, None)
                elif not is_written:
                    self._miss(page, self._next or snapshot)
                    self._next = None

    def _miss(self, page: SnapshotOwner, last: Snapshot | None) -> None:
        """The cache did not take a snapshot: save a later one, or `last` if the page is gone."""
        self._taken = 0
        if not self._is_over:
            page_loop.call(self.schedule, page)
        elif last is not None:
            backlog.put(page.id, last, type(page.view).__name__)

    def _delete_soon(self, page: SnapshotOwner) -> None:
        def delete() -> None:
            if not forget(page.id):
                backlog.put(page.id, None)

        if not snapshot_write_pool.offer(delete, _caller(page, "delete")):
            backlog.put(page.id, None)


def _caller(page: SnapshotOwner, what: str) -> Caller:
    return Caller(page.fingerprint, f"{type(page.view).__name__} ({what} snapshot)")


_retry = 0.0


def _next_retry() -> float:
    """Seconds after which one more page may try to save itself, if the cache has failed."""
    global _retry
    now = time.monotonic()
    _retry = max(_retry + 1 / _RETRIES_PER_SECOND, now + circuit.wait, now + _PAUSE_SECONDS)
    return _retry - now


class Backlog:
    """The snapshots of pages that are gone, and that the cache did not take.

    A timer tries again when the circuit around the cache allows it, until nothing is left.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Empty the backlog: a fork has no timer, and the pages belong to its parent."""
        self._lock = threading.Lock()
        # By page id: the snapshot, None for one to be deleted, and what it is called.
        self._last: OrderedDict[str, tuple[Snapshot | None, str]] = OrderedDict()
        self._characters = 0
        self._timer: threading.Timer | None = None

    def __len__(self) -> int:
        return len(self._last)

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
            if not self._last:
                return
            # The attempt may hang.
            self._wait()
        if is_available():
            snapshot_write_pool.offer(self._write, Caller("", "snapshots that could not be written"))

    def _write(self) -> None:
        while True:
            with self._lock:
                if not self._last:
                    return
                page_id, (snapshot, title) = next(iter(self._last.items()))
                self._drop(page_id)
            if not (forget(page_id) if snapshot is None else save(page_id, snapshot, title)):
                self.put(page_id, snapshot, title)
                return


backlog = Backlog()
process.register(Phase.PAGES, forget=backlog.reset)


# The end of the process


async def save_all(pages: Iterable[SnapshotOwner], seconds: float, *, settled: bool = True) -> None:
    """Write everything that was not written, for at most so many seconds.

    `settled`: on the event loop of the pages, where their handlers can be waited for.
    """
    if late := await finish([_save_here(page, settled=settled) for page in pages], seconds):
        logger.warning("%d snapshots could not be written in time.", late)


async def _save_here(page: SnapshotOwner, *, settled: bool) -> None:
    # The state in the middle of a handler is not one to restore.
    if settled and page.is_busy:
        await page.settled()
    await snapshot_write_pool.run(page.snapshots.save_here, page)


# Coming back


async def load_snapshot(page_id: str, tab_id: str, admits: Callable[[str, str], bool]) -> Snapshot | None:
    """The snapshot for a page of this tab; None also if the cache does not answer.

    `admits` decides, from the fingerprint and the tab that held the page. It may raise.
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


def restore_state(view: LiveView, snapshot: Snapshot) -> None:
    """Assign the saved state to a view. Raises an exception if the state cannot be restored."""
    view_class = type(view)
    values, missing = decode_state(view_class, snapshot.state)
    for name, value in values.items():
        if name[0] == "_" or is_own_name(name) or name in computed_names(view_class):
            raise StateError(f"{view_class.__name__}.{name} is not state, and a snapshot holds it.")
        # What was loading then is loaded again by the code that began it: `mount`, as a rule.
        if not (isinstance(value, AsyncResult) and value.loading):
            setattr(view, name, value)
    for name, error in missing.items():
        view.missing_state(name, error)
    if (inbox := inbox_of(view)) is not None:
        inbox.mark_gap(inbox.topics, "restored")
