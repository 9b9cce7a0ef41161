"""A page in a test: everything that it would do in threads of pools happens in the thread of the test.

A test holds a transaction that other threads do not see, and wants to say when slow work happens. So the context of
all turns of its page (`page.context`) holds a `Rehearsal`, and whoever is about to leave the thread or the turn asks
for it:

    workers     a job that a pool would run
    tasks       slow work that is about to begin
    calls       what user code has raised
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Protocol

Job = Callable[[], None]


class Rehearsal(Protocol):
    """What a test does instead."""

    def take(self, job: Job) -> None:
        """Run `job`, soon, in the thread of the test. Called in any thread."""

    def hold(self, begin: Job) -> None:
        """Call `begin`, on the event loop, when the test lets slow work begin."""

    def raised(self, error: Exception) -> None:
        """User code has raised this, or the event was refused."""


testmode: ContextVar[Rehearsal | None] = ContextVar("djust_rehearsal", default=None)

# What every turn begins with: no turn sees what an earlier one, or the connection, has activated.
FRESH = Context()


def report(error: Exception) -> None:
    """Tell the test, if this is one."""
    if (test := testmode.get()) is not None:
        test.raised(error)
