"""What the framework keeps about a view: one record each. Nothing of it stands on the view itself.

    context = context_of(view)      made when it is first asked for, freed with the view
    context.start(page)             live/page.py, when the page is made
    context.outbox                  what push_event has left
    context.part(Inbox)             one of a kind: its inbox, its services; made on demand
    context.stop()                  the page is gone: every part stops

A page holds its view, never the other way round. A record holds neither of them. A view that
outlives its page, such as one in a thread, has no page.
"""

from __future__ import annotations

from asyncio import Task as Awaiting
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast
from weakref import ref

from djust import process
from djust.process import Phase


@dataclass(slots=True, eq=False)
class Task:
    """One call of a view in the background.

    `merge` takes its result or exception into the view, in a turn of the page.
    """

    context: LiveContext
    name: str
    title: str
    call: Callable[[], Any]
    is_async: bool
    merge: Callable[[Any, Exception | None], Any]
    merges_on_loop: bool
    timeout: float | None = None
    # It was cancelled, or replaced by a newer task: its result is dropped.
    dropped: bool = False
    awaiting: Awaiting[None] | None = None


class Runner(Protocol):
    """What runs the tasks of one page; every method may be called in any thread."""

    def names(self, view: object) -> frozenset[str]:
        """The names of the tasks of the view that have not ended."""

    def start(self, task: Task) -> None:
        """Run a task, as soon as a browser has the page.

        An older one of the same view and name is dropped.
        """

    def cancel(self, view: object, name: str) -> None:
        """Drop the task of this name."""

    def assign(self, view: object, values: Mapping[str, Any]) -> None:
        """Set attributes of the view in a turn of the page; before a browser has it, at once."""

    def flush(self, view: object) -> None:
        """Take a turn, to show and send what there is."""


class Host(Protocol):
    """A page, as its views know it."""

    @property
    def tasks(self) -> Runner:
        """The background tasks of the page."""

    def wake(self) -> None:
        """Take a turn, because there are messages for the view. On the event loop."""


class Part(Protocol):
    """Something that a view has for the time of its page."""

    def stop(self) -> None:
        """The page is gone, or the view.

        In any thread, and at any point of other code: the garbage collector may call it.
        """


P = TypeVar("P", bound=Part)


class _ViewRef(ref[Any]):
    """A weak reference that knows the identity of its view after the view is gone."""

    __slots__ = ("view_id",)
    view_id: int


class LiveContext:
    """The record of one view."""

    __slots__ = ("__weakref__", "_page", "_parts", "_view", "node_id", "outbox")

    def __init__(self, view: object) -> None:
        # Held for its callback.
        self._view = _ViewRef(view, _free)
        self._view.view_id = id(view)
        self._page: ref[Host] | None = None
        self.node_id = ""
        self._parts: dict[type[Any], Part] = {}
        # Events for the browser, until the page sends them.
        self.outbox: list[tuple[str, Any]] = []

    @property
    def page(self) -> Host | None:
        """The page of the view; None if it has none, or it is gone."""
        return None if self._page is None else self._page()

    def start(self, page: Host, node_id: str = "") -> None:
        """The view has a page, in which this is its id."""
        self._page, self.node_id = ref(page), node_id

    def wake(self) -> None:
        """Let the page take a turn, because there are messages for the view. On the event loop."""
        if (page := self.page) is not None:
            page.wake()

    def part(self, kind: type[P], make: Callable[[], P] | None = None) -> P:
        """The part of this class; on demand, `make` or the class itself makes it."""
        found = self._parts.get(kind)
        if found is None:
            found = self._parts.setdefault(kind, (make or kind)())
        return cast("P", found)

    def find(self, kind: type[P]) -> P | None:
        """The part of this class, if there is one."""
        return cast("P | None", self._parts.get(kind))

    def take_out(self, kind: type[P]) -> P | None:
        """The part of this class, which the caller has to stop."""
        return cast("P | None", self._parts.pop(kind, None))

    def stop(self) -> None:
        """The page is gone: stop every part.

        A view that is used after that gets new parts, which end with it.
        """
        while self._parts:
            self._parts.popitem()[1].stop()


# By identity: a view may be a dataclass, which compares its fields and has no hash.
_contexts: dict[int, LiveContext] = {}


def context_of(view: object) -> LiveContext:
    """The record of `view`."""
    context = _contexts.get(id(view))
    return _contexts.setdefault(id(view), LiveContext(view)) if context is None else context


def all_contexts() -> list[LiveContext]:
    """The records of all views of this process."""
    # A copy: views go at any time.
    return [*_contexts.copy().values()]


def _free(view: Any) -> None:
    # There is none in a process that was forked.
    if (context := _contexts.pop(view.view_id, None)) is not None:
        context.stop()


# A fork stops nothing: what the views have is still used by its parent.
process.register(Phase.PAGES, forget=_contexts.clear)
