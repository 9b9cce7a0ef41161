"""The names of all frames, their encoding, JSON arrays in text frames, and what a browser sends.

    answer(1, 1, [0, "title"], [], {})   ->  '[1,1,[0,"title"]]'
    decode('[1,"add",{"by":2}]')         ->  [1, "add", {"by": 2}]
    message_of([1, "add", {"by": 2}])    ->  Event(1, "add", {"by": 2}, [])

`docs/protocol.md` is the reference. `client/src/core/protocol.ts` holds the same names; a test
compares the two.
"""

from __future__ import annotations

import json
import logging
import math
from typing import Any, Final, NamedTuple

from djust.exceptions import ProtocolError

logger = logging.getLogger("djust")

# Frames
JOIN: Final = "join"
JOINED: Final = "joined"
ALL: Final = "all"
RESYNC: Final = "resync"
ERROR: Final = "error"
GO: Final = "go"
PING: Final = "ping"
PONG: Final = "pong"

# Members of an answer's `extra`
EXTRA_PUSH: Final = "push"
EXTRA_ERROR: Final = "error"
EXTRA_DETAIL: Final = "detail"
EXTRA_TICKET: Final = "ticket"
EXTRA_REPLY: Final = "reply"
EXTRA_HTML: Final = "html"

# Close codes
CLOSE_TOO_BIG: Final = 1009
CLOSE_BAD_FRAME: Final = 4400
CLOSE_SESSION: Final = 4401
CLOSE_REFUSED: Final = 4403
CLOSE_NOT_JOINED: Final = 4408
CLOSE_TOO_MANY: Final = 4429

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def encode(frame: list[Any]) -> str:
    """`frame` as compact JSON, without empty members at its end."""
    while len(frame) > 2 and not frame[-1]:
        frame.pop()
    text = _encode(frame)
    return text if text.isascii() else _without_lone_surrogates(text)


def _without_lone_surrogates(text: str) -> str:
    """`text` as UTF-8 can hold it. A lone surrogate in a view's state must not
    cost the page its socket.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        if not _reported:
            _reported.append(True)
            logger.error("A page shows what is not Unicode text: %s. Replacement characters are sent.", error)  # noqa: TRY400
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


_reported: list[bool] = []


def answer(ref: int, version: int, diff: list[Any], fragments: list[Any], extra: dict[str, Any]) -> str:
    """The frame that answers event `ref`, or a push if `ref` is 0."""
    return encode([ref, version, diff or 0, fragments or 0, extra])


def decode(text: str) -> list[Any]:
    """The frame in `text`; raises `ProtocolError` for anything but a non-empty JSON array."""
    try:
        frame = _decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"Malformed frame: expected a JSON array, got {text[:40]!r} ({error}).") from error
    if type(frame) is not list or not frame:
        raise ProtocolError(f"Malformed frame: expected a non-empty JSON array, got {text[:40]!r}.")
    if "\\u" in text:
        _refuse_lone_surrogates(frame)
    return frame


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is too large")
    return value


_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _refuse_lone_surrogates(frame: list[Any]) -> None:
    """A lone surrogate can be neither stored nor sent on, so no handler receives one."""
    try:
        _encode(frame).encode()
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"Malformed frame: not Unicode text ({error}).") from error


# What a browser sends to its page


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
    # It came with a request that has just passed the guards of the page.
    passed: bool = False


class Resync(NamedTuple):
    """The browser could not apply something.

    `whole`: all values would not help, because the document has changed.
    """

    reason: str
    whole: bool = False


def message_of(frame: list[Any]) -> Event | Resync:
    """The message in a frame that a browser may send to its page."""
    if frame[0] == RESYNC and 2 <= len(frame) <= 3:
        return Resync(str(frame[1])[:200], bool(frame[2:] and frame[2]))
    # After the parameters, a text can only be the target, which is omitted for the root.
    target = frame[3] if len(frame) > 3 and type(frame[3]) is str else None
    rest = frame if target is None else [*frame[:3], *frame[4:]]
    if 2 <= len(rest) <= 5:
        members: list[Any] = [*rest, *({}, [], 0)[len(rest) - 2 :]]
        ref, name, params, args, asks = members
        valid = type(ref) is int and ref > 0 and type(name) is str and type(params) is dict and type(args) is list
        if valid and asks in (0, 1):
            return Event(ref, name, params, args, asks == 1, target or "")
    raise ProtocolError(
        'Malformed frame: expected [ref, "handler", {params}, "target", [args], wants_reply] or ["resync", "reason"], '
        f"got {len(frame)} members that begin with {frame[0]!r:.40}."
    )
