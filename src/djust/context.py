"""The machine behind a view: what runs it, found by identity, so that nothing of it stands on the user's object.

    bind_machine(view, page)        live/page.py, when the page is made
    machine_of(view)  ->  page      the methods of views that need it; None for a view without a page, or a page gone

A page holds its view, never the other way round: a view that outlives its page, in a thread perhaps, finds nothing.
"""

from __future__ import annotations

from asyncio import Task as Awaiting
from asyncio import TimerHandle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakValueDictionary


@dataclass(slots=True, eq=False)
class Task:
    """One slow call. `merge` takes its result or exception into the view, in a turn of the page."""

    name: str
    title: str
    call: Callable[[], Any]
    is_async: bool
    merge: Callable[[Any, Exception | None], Any]
    merges_on_loop: bool
    timeout: float | None = None
    # Nobody wants what comes out of it any more.
    dropped: bool = False
    # A result was accepted; later ones are not.
    settled: bool = False
    clock: TimerHandle | None = None
    awaiting: Awaiting[None] | None = None


class Runner(Protocol):
    """What runs the tasks of one page; every method may be called in any thread."""

    @property
    def names(self) -> frozenset[str]:
        """The names of the tasks that have not ended."""

    def start(self, task: Task) -> None:
        """Run a task, as soon as a browser has the page; an older one of the same name is dropped."""

    def cancel(self, name: str) -> None:
        """Drop the task of this name."""

    def assign(self, view: object, values: Mapping[str, Any]) -> None:
        """Set attributes of the view in a turn of the page."""

    def flush(self, view: object) -> None:
        """Take a turn, to show and send what there is."""


class Machine(Protocol):
    """What views ask of their page."""

    @property
    def tasks(self) -> Runner:
        """The slow work of the page."""

    def wake(self) -> None:
        """Take a turn, because there are letters for the view. On the event loop."""


# By identity: a view may be a dataclass, which compares its fields and has no hash.
_machines: WeakValueDictionary[int, Machine] = WeakValueDictionary()


def bind_machine(view: object, machine: Machine) -> None:
    """Let `machine_of(view)` find `machine`, as long as that lives."""
    _machines[id(view)] = machine


def machine_of(view: object) -> Machine | None:
    """The machine of `view`, if it has one."""
    return _machines.get(id(view))


def machine_by_id(view_id: int) -> Machine | None:
    """The same, for who must not hold the view."""
    return _machines.get(view_id)
