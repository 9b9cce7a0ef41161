"""What waits in the mailbox of a page, and where its answers go.

Frames of a browser become `Event` or `Resync` (`protocol/frames.py`); an event too many becomes
`Refused`. The channel posts `Visit` and `Joining`. `Work` is what the server itself wants to do to
a view: the result of a task, a message of a topic. A `Hook` says what has happened to the page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from django.http import HttpRequest

from djust.protocol.frames import Event, Resync

# Close codes of WebSocket itself, which every transport uses beside those of `protocol/frames.py`.
NORMAL = 1000
FAILED = 1011
RESTARTING = 1012


class Peer(Protocol):
    """One connection of the browser, to which the frames of a page go."""

    async def send(self, text: str) -> None:
        """Send one frame; whether it arrives is not the page's concern."""

    def close(self, code: int, text: str = "") -> None:
        """Close the connection soon; its browser receives `text` before. On the loop of pages."""


class Refused(NamedTuple):
    """An event that is refused in its turn, without being processed."""

    ref: int
    text: str


class Joining(NamedTuple):
    """A connection takes the page.

    `version` is what its browser shows; None if it shows another page's values.

    `tab_id` is the id that the browser gave its document.
    """

    peer: Peer
    version: int | None
    token: str = ""
    tab_id: str = ""
    # The request that made the page has just passed its guards.
    passed: bool = False


class Visit(NamedTuple):
    """The browser may have other cookies now: the page's request takes over those of `source`."""

    source: HttpRequest


class Work(NamedTuple):
    """The server changes the view, without an event: `call` does, in a turn of its own.

    `title` names it in logs. What has changed is pushed; a call that changed nothing sends nothing.
    """

    title: str
    call: Callable[[], Any]
    is_async: bool = False
    # The node whose view it changes.
    target: str = ""


class Hook(NamedTuple):
    """Something has happened to the page: the method `name` of the node's view is called."""

    name: str
    target: str = ""


class End(NamedTuple):
    """The page is gone, and its views have had their last turns."""


class Save(NamedTuple):
    """A snapshot is to be taken, between two turns."""


class Settled(NamedTuple):
    """`event` is set when all messages before it in the mailbox are processed."""

    event: asyncio.Event


Message = Settled | Save | Visit | Hook | End | Event | Refused | Resync | Joining | Work
