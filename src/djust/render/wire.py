"""The wire: names of all frames, their encoding, and what one browser page already has.

Frames are JSON arrays in text frames, `docs/protocol.md` is their reference. `client/src/core/protocol.ts` holds the same
names; a test compares the two.

An `Outlet` belongs to one page. It numbers the fragments that are mentioned to the browser and sends each plan and each
skeleton once:

    outlet.diff(root, old, new)  ->  (diff, fragments)      both empty when nothing changed
    outlet.all(root, values)     ->  (values, fragments)    the browser starts over, numbers are void
"""

from __future__ import annotations

import json
import logging
import math
import re
from typing import Any, Final

from djust.exceptions import ProtocolError
from djust.render.diff import changes, creation
from djust.render.values import Fragment, Values

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
    """`frame` as compact JSON; empty members at its end are left out."""
    while len(frame) > 2 and not frame[-1]:
        frame.pop()
    text = _encode(frame)
    return text if text.isascii() else _without_lone_surrogates(text)


def _without_lone_surrogates(text: str) -> str:
    """`text` as UTF-8 can hold it. Half a character in a view's state must not cost the page its socket."""
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
    """The frame in `text`; raises `ProtocolError` for anything that is not a JSON array a browser may send."""
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
    """Half a character cannot be stored or sent on; better refused here than an exception in a handler."""
    try:
        _encode(frame).encode()
    except ValueError as error:
        raise ProtocolError(f"Malformed frame: not Unicode text ({error}).") from error


_named = re.compile(r"part (\d{1,9}) of fragment (\d{1,9})\b", re.ASCII)


class Outlet:
    """What one browser page has been told: numbers of fragments, and which plans and skeletons it holds."""

    __slots__ = ("_created", "_last", "_news", "_numbers", "_planned")

    def __init__(self) -> None:
        self._numbers: dict[Fragment, int] = {}
        self._planned: set[Fragment] = set()
        self._created: set[Fragment] = set()
        self._news: dict[Fragment, bool] = {}
        self._last = 0

    def diff(self, root: Fragment, old: Values, new: Values) -> tuple[list[Any], list[Any]]:
        """The diff from `old` to `new`, and the fragments the browser needs for it."""
        diff = changes(root, old, new, self._mention)
        if not diff:
            self._news.clear()
            return [], []
        self._root(root)
        return diff, self._entries()

    def all(self, root: Fragment, values: Values) -> tuple[list[Any], list[Any]]:
        """All values of `root`, and the fragments the browser needs; numbers given before are void."""
        self._numbers.clear()
        self._planned.clear()
        self._created.clear()
        self._news.clear()
        self._last = 0
        self._root(root)
        return creation(root, values, self._mention), self._entries()

    def place(self, reason: str) -> str:
        """` (template:line)` of the part that a browser's reason for a resync names, or ""."""
        if found := _named.match(reason):
            part, number = map(int, found.groups())
            for fragment, known in self._numbers.items():
                if known == number and part < len(fragment.parts):
                    return f" ({fragment.parts[part].line})"
        return ""

    def _root(self, root: Fragment) -> None:
        self._numbers[root] = 0
        if root not in self._planned:
            self._news[root] = False

    def _number(self, fragment: Fragment) -> int:
        number = self._numbers.get(fragment)
        if number is None:
            self._last += 1
            number = self._numbers[fragment] = self._last
        return number

    def _mention(self, fragment: Fragment, create: bool) -> int:
        if fragment not in self._planned or (create and fragment not in self._created):
            self._news[fragment] = create or self._news.get(fragment, False)
        return self._number(fragment)

    def _entries(self) -> list[Any]:
        """`[number, plan, skeleton, namespace]` of the fragments mentioned for the first time."""
        entries = []
        for fragment, create in self._news.items():
            entry: list[Any] = [self._number(fragment), 0]
            if fragment not in self._planned:
                entry[1] = fragment.plan(self._number)
            if create:
                entry.append(fragment.skeleton)
                if fragment.namespace:
                    entry.append(fragment.namespace)
            entries.append(entry)
            self._planned.add(fragment)
            if create:
                self._created.add(fragment)
        self._news.clear()
        return entries
