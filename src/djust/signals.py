"""Signals of this package.

    @receiver(event_finished)
    def slow(sender, event, seconds, **kwargs):
        if seconds["total"] > 1:
            logger.warning("%s.%s took %.1f s", sender.__name__, event, seconds["total"])

Receivers run in a thread of their own, one signal after the other, and delay no page. Without a
receiver of `event_finished` nothing is measured.
"""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["event_finished", "pool_exhausted", "pool_recovered"]

event_finished = Signal()
"""A turn of a page is over. Sent with

    sender    the view's class
    event     the name of the handler, of the task or of another turn of the server
    pushed    whether the server began it, and not an event of the browser
    seconds   a dict: "waiting" for earlier events of the page and for a thread, "handler",
              "render" (the state is checked, the template evaluated and compared), and "total"
    queries   database queries
    bytes     the size of the answer
    queue     messages that wait behind it in the mailbox of the page
    backlog   turns of all pages that wait for a thread
    error     the exception that was not handled, or None
    ended     when it was over, as `time.time()` gives it
"""

pool_exhausted = Signal()
"""No thread of a pool is free, and work has waited for longer than `hang_seconds`. Sent once, with

    sender    None
    pool      the name of the pool, as in `djust.health.report()`
    threads   its threads
    hung      how many of them have been in one job for longer than `hang_seconds`
    waiting   jobs that wait
"""

pool_recovered = Signal()
"""Work no longer waits that long in a pool that was exhausted. Sent with the same arguments."""
