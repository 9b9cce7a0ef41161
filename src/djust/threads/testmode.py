"""A page in a test: jobs that would run in threads of pools run in the thread of the test.

A test holds a transaction that other threads do not see, and decides when background tasks run. So
the context of all turns of its page (`page.turns.context`) holds a `TestMode`. Code that is about
to leave the thread or the turn asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Protocol

# The result of a job is not used.
Job = Callable[[], object]


class TestMode(Protocol):
    """What a test does instead."""

    def run_inline(self, job: Job) -> None:
        """Run the job of a pool, soon, in the thread of the test. Called in any thread."""

    def defer(self, begin: Job) -> None:
        """Call `begin`, on the event loop, when the test lets background tasks begin."""

    def raised(self, error: Exception) -> None:
        """User code has raised this, or the event was refused."""


testmode: ContextVar[TestMode | None] = ContextVar("djust_testmode", default=None)

# Every turn begins in this empty context, and sees nothing that another one has activated.
FRESH = Context()


def report(error: Exception) -> None:
    """Report an error of user code to the test, if this is one."""
    if (test := testmode.get()) is not None:
        test.raised(error)
