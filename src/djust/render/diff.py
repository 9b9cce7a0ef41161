"""What the browser of one page is sent: what differs, as the protocol writes it, and each
fragment's plan and skeleton once.

    sent = SentFragments()
    sent.diff(root, ("a", 1), ("a", 2))  ->  ([1, 2], [[0, plan]])    part 1 is now 2
    sent.diff(root, ("a", 2), ("a", 3))  ->  ([1, 3], [])             the plan is known
    sent.all(root, ("a", 3))             ->  (["a", 3], [[0, plan]])  the browser starts over

Fragments are numbered per page, in the order in which diffs first require them:
`require(fragment, create)` gives the number, and sees to it that the browser has the plan, and the
skeleton when `create` is true.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import lru_cache
from html.entities import html5
from itertools import compress, count
from operator import ne
from typing import Any

from djust.render.values import ATTRIBUTE, BRANCH, LOOP, RAW, TAG, TEXT, Fragment, Html, Part, Rows, Values, escaped

PLAIN = (TEXT, ATTRIBUTE)
EXACT = 2**53 - 1  # a browser rounds greater integers; they go as text
# Names of attributes that are not lower case in SVG and MathML, as a parser writes them.
_CAMEL = """
attributeName attributeType baseFrequency baseProfile calcMode clipPathUnits definitionURL diffuseConstant
edgeMode filterUnits glyphRef gradientTransform gradientUnits kernelMatrix kernelUnitLength keyPoints keySplines
keyTimes lengthAdjust limitingConeAngle markerHeight markerUnits markerWidth maskContentUnits maskUnits
numOctaves pathLength patternContentUnits patternTransform patternUnits pointsAtX pointsAtY pointsAtZ
preserveAlpha preserveAspectRatio primitiveUnits refX refY repeatCount repeatDur requiredExtensions
requiredFeatures specularConstant specularExponent spreadMethod startOffset stdDeviation stitchTiles
surfaceScale systemLanguage tableValues targetX targetY textLength viewBox viewTarget xChannelSelector
yChannelSelector zoomAndPan
"""
FOREIGN_NAMES = {name.lower(): name for name in _CAMEL.split()}
Require = Callable[[Fragment, bool], int]

_attributes = re.compile(r"""([^\s"'>/=][^\s>/=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>][^\s>]*)))?""")
_reference = re.compile(r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[a-zA-Z][a-zA-Z0-9]*;?)(=?)")
_named = re.compile(r"part (\d{1,9}) of fragment (\d{1,9})\b", re.ASCII)


class SentFragments:
    """The numbers of fragments, and which plans and skeletons the browser of one page holds."""

    __slots__ = ("_created", "_last", "_numbers", "_pending", "_planned")

    def __init__(self) -> None:
        self._numbers: dict[Fragment, int] = {}
        self._planned: set[Fragment] = set()
        self._created: set[Fragment] = set()
        self._pending: dict[Fragment, bool] = {}
        self._last = 0

    def diff(self, root: Fragment, old: Values, new: Values) -> tuple[list[Any], list[Any]]:
        """The diff from `old` to `new`, and the fragments the browser needs for it."""
        diff = changes(root, old, new, self._require)
        if not diff:
            self._pending.clear()
            return [], []
        self._root(root)
        return diff, self._pending_entries()

    def all(self, root: Fragment, values: Values) -> tuple[list[Any], list[Any]]:
        """All values of `root`, and the fragments needed; numbers given before are void."""
        self._numbers.clear()
        self._planned.clear()
        self._created.clear()
        self._pending.clear()
        self._last = 0
        self._root(root)
        return creation(root, values, self._require), self._pending_entries()

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
            self._pending[root] = False

    def _number(self, fragment: Fragment) -> int:
        number = self._numbers.get(fragment)
        if number is None:
            self._last += 1
            number = self._numbers[fragment] = self._last
        return number

    def _require(self, fragment: Fragment, create: bool) -> int:
        if fragment not in self._planned or (create and fragment not in self._created):
            self._pending[fragment] = create or self._pending.get(fragment, False)
        return self._number(fragment)

    def _pending_entries(self) -> list[Any]:
        """`[number, plan, skeleton, namespace]` of the fragments sent for the first time."""
        entries = []
        for fragment, create in self._pending.items():
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
        self._pending.clear()
        return entries


# Differences


def changes(fragment: Fragment, old: Values, new: Values, require: Require) -> list[Any]:
    """The flat list `[part, change, …]` of the parts whose values differ."""
    diff: list[Any] = []
    for index, (before, after) in enumerate(zip(old, new, strict=True)):
        if before is not after and before != after:
            change = _change(fragment.parts[index], before, after, require)
            if change is not None:
                diff += (index, change)
    return diff


def creation(fragment: Fragment, values: Values, require: Require) -> list[Any]:
    """The values of all parts, for a browser that creates the fragment."""
    return [
        # Most values of most pages: nothing to decode, and no call.
        value
        if (type(value) is int and -EXACT <= value <= EXACT)
        or (type(value) is str and part.kind in PLAIN and "\r" not in value and "\0" not in value)
        else _created(part, value, require)
        for part, value in zip(fragment.parts, values, strict=True)
    ]


def _change(part: Part, before: Any, after: Any, require: Require) -> Any:
    """The change of one part, or None if the two values look the same in the browser."""
    if part.kind == BRANCH:
        return _branch_change(before, after, require)
    if part.kind == LOOP:
        return _loop_change(part, before, after, require)
    shown, wanted = _leaf(part, before), _leaf(part, after)
    if shown == wanted:
        return None
    if part.kind == TAG:
        return {name: wanted.get(name) for name in shown | wanted if shown.get(name) != wanted.get(name)}
    return wanted


def _created(part: Part, value: Any, require: Require) -> Any:
    if part.kind == BRANCH:
        return [] if value is None else _whole_branch(value, require)
    if part.kind == LOOP:
        body = _body(part)
        if value[1]:
            require(body, True)
        return [creation(body, row, require) for row in value[1]]
    return _leaf(part, value)


def _body(part: Part) -> Fragment:
    assert part.body is not None, "a loop part always has a body"
    return part.body


# Branches


def _branch_change(before: Any, after: Any, require: Require) -> list[Any] | None:
    if after is None:
        return []
    if before is None or before[0] is not after[0]:
        return _whole_branch(after, require)
    inner = changes(after[0], before[1], after[1], require)
    return [require(after[0], False), inner, 1] if inner else None


def _whole_branch(value: tuple[Fragment, Values], require: Require) -> list[Any]:
    fragment, values = value
    return [require(fragment, True), creation(fragment, values, require)]


# Loops


def _loop_change(part: Part, before: Rows, after: Rows, require: Require) -> list[Any] | None:
    """C loops compare the rows that stay: 1,000 unchanged rows cost 0.05 ms."""
    body = _body(part)
    sources = _sources(before, after)
    if sources is None:
        return _same_rows_change(body, before[1], after[1], require)
    kept = [(source, index) for index, source in enumerate(sources) if source is not None]
    updates: list[Any] = []
    for source, index in kept:
        _update(updates, body, source, before[1][source], after[1][index], require)
    removes = _removes(len(before[1]), kept)
    moves = _moves(kept)
    inserts = _inserts(body, sources, after[1], require)
    require(body, bool(inserts))
    return _operations(updates, removes, moves, inserts)


def _same_rows_change(body: Fragment, before: list[Values], after: list[Values], require: Require) -> list[Any] | None:
    updates: list[Any] = []
    for index in compress(count(), map(ne, before, after)):
        _update(updates, body, index, before[index], after[index], require)
    if not updates:
        return None
    require(body, False)
    return _operations(updates)


def _update(updates: list[Any], body: Fragment, source: int, old: Values, new: Values, require: Require) -> None:
    if old is not new and old != new and (inner := changes(body, old, new, require)):
        updates += (source, inner)


def _operations(*operations: list[Any]) -> list[Any]:
    wire: list[Any] = [operation or 0 for operation in operations]
    while wire[-1] == 0:
        wire.pop()
    return wire


def _sources(before: Rows, after: Rows) -> list[int | None] | None:
    """The index before of each row after, None for a new one; None if all stay in place."""
    old_keys, new_keys = before[0], after[0]
    if old_keys is None or new_keys is None:
        common = min(len(before[1]), len(after[1]))
        if common == len(before[1]) == len(after[1]):
            return None
        return [*range(common), *[None] * (len(after[1]) - common)]
    if old_keys == new_keys:
        return None
    where = dict(zip(old_keys, count(), strict=False))
    return list(map(where.get, new_keys))


def _removes(length: int, kept: list[tuple[int, int]]) -> list[int]:
    """Flat `[index, count, …]` of the rows that are gone."""
    if len(kept) == length:
        return []
    removes: list[int] = []
    next_row = 0
    for source in [*sorted(source for source, _ in kept), length]:
        if source > next_row:
            removes += (next_row, source - next_row)
        next_row = source + 1
    return removes


def _moves(kept: list[tuple[int, int]]) -> list[int]:
    """Flat `[from, to, …]` of the fewest kept rows whose moving gives the new order."""
    sources = [source for source, _ in kept]
    ordered = sorted(sources)
    if sources == ordered:
        return []
    rank = dict(zip(ordered, count(), strict=False))
    displaced = [place for place, (a, b) in enumerate(zip(sources, ordered, strict=True)) if a != b]
    if len(displaced) == 2 and displaced[1] - displaced[0] > 1:
        moving = {sources[place] for place in displaced}  # two rows changed places: no search
    else:
        moving = set(sources).difference(longest_increasing(sources))
    moves: list[int] = []
    for source, index in kept:
        if source in moving:
            moves += (rank[source], index)
    return moves


def longest_increasing(numbers: list[int]) -> list[int]:
    """A longest increasing subsequence of distinct `numbers` (patience sorting, n log n)."""
    tops: list[int] = []  # smallest last number of an increasing run of each length
    places: list[int] = []  # where that number stands
    previous = [-1] * len(numbers)
    for place, number in enumerate(numbers):
        length = bisect_left(tops, number)
        previous[place] = places[length - 1] if length else -1
        if length == len(tops):
            tops.append(number)
            places.append(place)
        else:
            tops[length], places[length] = number, place
    return list(_backwards(numbers, previous, places[-1] if places else -1))[::-1]


def _backwards(numbers: list[int], previous: list[int], place: int) -> Iterator[int]:
    while place >= 0:
        yield numbers[place]
        place = previous[place]


def _inserts(body: Fragment, sources: list[int | None], rows: list[Values], require: Require) -> list[Any]:
    """Flat `[index, rows, …]`: runs of new rows."""
    inserts: list[Any] = []
    last = -2
    for index, source in enumerate(sources):
        if source is not None:
            continue
        row = creation(body, rows[index], require)
        if last == index - 1:
            inserts[-1].append(row)
        else:
            inserts += (index, [row])
        last = index
    return inserts


# Values as the browser sets them: decoded, with the line ends that an HTML parser would give


def _leaf(part: Part, value: Any) -> Any:
    if type(value) is int:
        return value if -EXACT <= value <= EXACT else str(value)
    text: str = value if "\r" not in value and "\0" not in value else _as_parsed(value, part.kind)
    if part.kind == TEXT:
        return _text(text)
    if part.kind == ATTRIBUTE:
        return attribute_text(text) if type(text) is Html else text
    if part.kind == RAW:
        return _raw(part, text)
    return tag_attributes(text, part)


def _as_parsed(value: str, kind: str) -> str:
    """`value` as a parser reads it: line ends are one character; NUL is dropped or replaced."""
    text = value.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "" if kind == TEXT else "\ufffd")
    return Html(text) if type(value) is Html else text


def _text(value: str) -> str | list[str]:
    if type(value) is not Html:
        return value
    return [str.__str__(value)] if "<" in value else html.unescape(value)


def _raw(part: Part, value: str) -> str:
    if part.name not in ("textarea", "title"):
        return escaped(value)  # no entities there: the text is the source
    text = html.unescape(value) if type(value) is Html else value
    # The parser drops a line break that directly follows <textarea>.
    return text[1:] if part.name == "textarea" and text.startswith("\n") else text


def attribute_text(source: str) -> str:
    """The text of attribute value `source`, by the rules for character references in attributes.

    They differ from those for content: a named reference without semicolon is text when `=` or a
    letter or digit follows (HTML standard, "named character reference state").
    """
    return _reference.sub(_decoded, source) if "&" in source else str.__str__(source)


def _decoded(match: re.Match[str]) -> str:
    name, equals = match.group(1), match.group(2)
    if name.startswith("#"):
        return html.unescape("&" + name) + equals
    if name.endswith(";"):
        known = html5.get(name)
        return match.group(0) if known is None else known + equals
    return match.group(0) if equals or name not in html5 else html5[name]


def tag_attributes(source: str, part: Part) -> dict[str, str]:
    """The attributes that a tag part sets: name → text; the first of equal names counts."""
    found = _parsed_attributes(source)
    shown = {name: text for name, text in found.items() if name not in part.taken}
    for name, text in part.fallback:
        shown.setdefault(name, text)
    return {FOREIGN_NAMES.get(name, name): text for name, text in shown.items()} if part.name else shown


@lru_cache(maxsize=1024)
def _parsed_attributes(source: str) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, double, single, bare in _attributes.findall(source):
        attributes.setdefault(name.lower(), attribute_text(double or single or bare))
    return attributes
