"""The driver of one page in a test: it moves frames, and lends the page the thread of the test.

It is the channel's transport and the page's `TestMode`. The page lives on the event loop of all
pages of the process; jobs that it would give to threads, database and all, come back here and run
while the test waits for the answer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from djust.exceptions import HandlerError
from djust.live.channel import Channel
from djust.live.logout import set_visitor
from djust.live.page import Bucket, Page
from djust.live.snapshots import SnapshotOwner, SnapshotWriter
from djust.live.visitor import maker_of
from djust.loop import page_loop
from djust.protocol import frames as wire
from djust.protocol.messages import Joining
from djust.threads.testmode import FRESH, Job, testmode
from djust.views import has_hooks

T = TypeVar("T")


class Driver:
    """Drives the page to which it is attached. Errors call it `title`; `timeout` is in seconds."""

    def __init__(self, title: str, timeout: float) -> None:
        self.page: Page
        self.title = title
        self._channel: Channel
        # The server has ended the connection.
        self._end: ConnectionAbortedError | None = None
        self.pushed: list[tuple[str, Any]] = []
        # Frames that were not fetched yet.
        self.frames: list[list[Any]] = []
        # What the browser shows while it is disconnected.
        self._version = 0
        self._timeout = timeout
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._held: list[Job] = []
        self._errors: list[Exception] = []
        self._news = asyncio.Event()
        self._context = FRESH.copy()
        self._context.run(testmode.set, self)

    def attach(self, page: Page) -> None:
        """Attach to a page that was mounted, as its browser."""
        self.page = page
        set_visitor(page, maker_of(page.request))
        page.turns.context = self._context
        page.snapshots = _Watcher(self._news)
        # A test is faster than people are.
        page.bucket = Bucket(1e9)
        self._look(self._attach(page, page.version))

    def receive(self, *frames: str) -> None:
        """Let the page process these frames and all messages. Raises what user code raised."""
        if frames and self._end is not None:
            raise self._end
        self._look(self._through(*frames))

    def answer(self, ref: int) -> list[Any]:
        """The frame that answers event `ref`. Earlier frames are dropped."""
        frames, self.frames = self.frames, []
        return next(frame for frame in frames if frame[0] == ref or frame[:2] == [wire.ERROR, ref])

    def settle(self) -> None:
        self._look(self._ended())
        if self._end is not None:
            raise self._end

    def disconnect(self) -> None:
        self._version = self.page.version
        self._look(self._lose())

    def reconnect(self) -> None:
        self._look(self._attach(self.page, self._version))

    def leave(self) -> None:
        if any(has_hooks(type(node.view)) for node in self.page.nodes):
            self._look(self._lose(ends=True))
        else:
            page_loop.call(self._channel.lost)
            self.page.end()

    # What the channel needs

    async def send(self, text: str) -> None:
        frame = json.loads(text)
        extra = frame[-1] if isinstance(frame[-1], dict) else {}
        self.pushed += [(name, payload) for name, payload in extra.get(wire.EXTRA_PUSH, ())]
        self.frames.append(frame)

    def close(self, code: int, text: str) -> None:
        """The server ends the connection: an error in a test."""
        self._end = ConnectionAbortedError(f"{self.title}: the server has gone ({code}): {text}")
        self._errors.append(self._end)

    # The testmode

    def run_inline(self, job: Job) -> None:
        """Run a job in the thread of the test, while that waits."""
        self._jobs.put(job)

    def defer(self, begin: Job) -> None:
        """Let a background task begin with `settle`."""
        self._held.append(begin)

    def raised(self, error: Exception) -> None:
        if isinstance(error, HandlerError) and error.detail:
            error.add_note(error.detail)
        self._errors.append(error)

    # On the loop

    async def _attach(self, page: Page, version: int) -> None:
        self._end = None
        self._channel = Channel(self, page.request)
        self._channel.attach(page, Joining(self._channel, version, tab_id=page.tab_id))
        await self._through()

    async def _through(self, *frames: str) -> None:
        self.page.peer = self._channel
        self.page.wake()
        for frame in frames:
            await self._channel.receive(frame)
        await self._channel.settled()

    async def _lose(self, *, ends: bool = False) -> None:
        self.page.peer = self._channel
        self._channel.lost()
        if ends:
            self.page.end()
        await self.page.settled()

    async def _ended(self) -> None:
        await self._through()
        while self._held or self._is_active():
            self._news.clear()
            held, self._held = self._held, []
            for begin in held:
                self._context.copy().run(begin)
            if self._is_active():
                await self._news.wait()

    def _is_active(self) -> bool:
        return self.page.is_busy or bool(self.page.tasks.running)

    # In the thread of the test

    def _look(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run `coroutine`, then detach: no turn of the page may begin without this thread."""
        try:
            self.run(coroutine)
        finally:
            self.page.peer = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine on the pages' loop. This thread does what pools would."""
        context = copy_context()
        context.run(testmode.set, self)
        end = time.monotonic() + self._timeout
        timed = asyncio.wait_for(coroutine, self._timeout)
        done = context.run(asyncio.run_coroutine_threadsafe, timed, page_loop.loop)
        done.add_done_callback(lambda _: self._jobs.put(None))
        try:
            while (job := self._jobs.get(timeout=self._timeout + 1)) is not None:
                self._context.copy().run(job)
        except Empty:
            raise TimeoutError(
                f"{self.title}: the event loop of the pages does not run. It is one that a test framework has stopped "
                "between two tests: give asynchronous tests loops of their own."
            ) from None
        errors, self._errors = self._errors, []
        if len(errors) > 1:
            raise ExceptionGroup(f"{self.title}: {len(errors)} exceptions", errors)
        if errors:
            raise errors[0]
        try:
            return done.result()
        except TimeoutError as error:
            if time.monotonic() < end:
                # It is one of user code.
                raise
            running = self.page.tasks.running if hasattr(self, "page") else []
            raise TimeoutError(
                f"{self.title}: still running after {self._timeout:g} s: {', '.join(running) or 'one call'}."
            ) from error


class _Watcher(SnapshotWriter):
    """Takes the place of the snapshot writer, and tells the driver that a turn has ended."""

    __slots__ = ("_news",)

    def __init__(self, news: asyncio.Event) -> None:
        super().__init__()
        self._news = news

    def schedule(self, page: SnapshotOwner) -> None:
        """No message waits for the page."""
        self._news.set()

    async def save(self, page: SnapshotOwner) -> None:
        """The page is about to end."""

    def save_last(self, page: SnapshotOwner) -> None:
        """The page is not restored."""
