"""What waits in the mailbox of a page, and where its answers go.

    message_of([1, "add", {"n": 2}, []])  ->  Event(1, "add", {"n": 2}, [])

Frames of a browser become `Event` or `Resync`. Whoever has its connection posts `Visit`, `Joining`
and `Refused`. `Work` is what the server itself wants to do to a view: the result of a task, a
message of a topic. A `Hook` says what has happened to the page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from django.http import HttpRequest

from djust.exceptions import ProtocolError
from djust.protocol import frames as wire


class Peer(Protocol):
    """Where the frames of a page go: one connection of its browser."""

    async def send(self, text: str) -> None:
        """Send one frame; whether it arrives is not the page's concern."""

    def close(self, code: int, text: str = "") -> None:
        """Close the connection, soon; its browser is told `text` before."""

    def close_from_thread(self, code: int, text: str = "") -> None:
        """As `close`, in any thread."""


class Event(NamedTuple):
    """The browser calls a handler."""

    ref: int
    name: str
    params: dict[str, Any]
    args: list[Any]
    # The browser waits for what the handler returns.
    wants_reply: bool = False
    # The node whose handler it is; empty for the root of the page.
    target: str = ""
    # It came with a request that has just passed what guards the page.
    passed: bool = False


class Refused(NamedTuple):
    """An event that is answered in its turn, without being looked at."""

    ref: int
    text: str


class Resync(NamedTuple):
    """The browser could not apply something.

    `whole`: all values would not help, the document is not what it was.
    """

    reason: str
    whole: bool = False


class Joining(NamedTuple):
    """A connection takes the page.

    `version` is what its browser shows; None if it shows another page's values.

    `tab_id` is the id that the browser gave its document.
    """

    peer: Peer
    version: int | None
    token: str = ""
    tab_id: str = ""
    # The request that made the page has just passed what guards it.
    passed: bool = False


class Visit(NamedTuple):
    """The browser has come with other cookies: the page's request takes over those of `source`."""

    source: HttpRequest


class Work(NamedTuple):
    """Not the browser but the server changes the view: `call` does, in a turn of its own.

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
    """`event` is set when everything before it in the mailbox is dealt with."""

    event: asyncio.Event


Message = Settled | Save | Visit | Hook | End | Event | Refused | Resync | Joining | Work


def message_of(frame: list[Any]) -> Event | Resync:
    """The message in a frame that a browser may send to its page."""
    if frame[0] == wire.RESYNC and 2 <= len(frame) <= 3:
        return Resync(str(frame[1])[:200], bool(frame[2:] and frame[2]))
    # After the parameters a text can only be the target, which is left out for the root.
    target = frame[3] if len(frame) > 3 and type(frame[3]) is str else None
    rest = frame if target is None else [*frame[:3], *frame[4:]]
    if 2 <= len(rest) <= 5:
        members: list[Any] = [*rest, *({}, [], 0)[len(rest) - 2 :]]
        ref, name, params, args, asks = members
        valid = type(ref) is int and ref > 0 and type(name) is str and type(params) is dict and type(args) is list
        if valid and asks in (0, 1):
            return Event(ref, name, params, args, asks == 1, target or "")
    raise ProtocolError(
        'Malformed frame: expected [ref, "handler", {params}, "target", [args], asks] or ["resync", "reason"], '
        f"got {len(frame)} members that begin with {frame[0]!r:.40}."
    )
