"""What differs between two values of the same fragment, as the protocol writes it.

    changes(fragment, ("a", 1), ("a", 2), mention)  ->  [1, 2]      part 1 is now 2
    creation(fragment, ("a", 2), mention)           ->  ["a", 2]    all values, for a browser that makes the fragment

`mention(fragment, create)` gives the fragment's number and sees to it that the browser has its plan, and its skeleton
when `create` is true. `wire.Outlet` is the one that calls.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import lru_cache
from html.entities import html5
from typing import Any

from djust.render.values import ATTRIBUTE, BRANCH, LOOP, RAW, TAG, TEXT, Fragment, Html, Part, Rows, Values

PLAIN = (TEXT, ATTRIBUTE)
Mention = Callable[[Fragment, bool], int]

_attributes = re.compile(r"""([^\s"'>/=][^\s>/=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>][^\s>]*)))?""")
_reference = re.compile(r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[a-zA-Z][a-zA-Z0-9]*;?)(=?)")


def changes(fragment: Fragment, old: Values, new: Values, mention: Mention) -> list[Any]:
    """The flat list `[part, change, …]` of the parts whose values differ."""
    diff: list[Any] = []
    for index, (before, after) in enumerate(zip(old, new, strict=True)):
        if before is not after and before != after:
            change = _change(fragment.parts[index], before, after, mention)
            if change is not None:
                diff += (index, change)
    return diff


def creation(fragment: Fragment, values: Values, mention: Mention) -> list[Any]:
    """The values of all parts, for a browser that creates the fragment."""
    return [
        # Most values of most pages: nothing to decode, no call.
        value
        if type(value) is int or (type(value) is str and part.kind in PLAIN and "\r" not in value)
        else _created(part, value, mention)
        for part, value in zip(fragment.parts, values, strict=True)
    ]


def _change(part: Part, before: Any, after: Any, mention: Mention) -> Any:
    """The change of one part, or None if the two values look the same in the browser."""
    if part.kind == BRANCH:
        return _branch_change(before, after, mention)
    if part.kind == LOOP:
        return _loop_change(part, before, after, mention)
    shown, wanted = _leaf(part, before), _leaf(part, after)
    if shown == wanted:
        return None
    if part.kind == TAG:
        return {name: wanted.get(name) for name in shown | wanted if shown.get(name) != wanted.get(name)}
    return wanted


def _created(part: Part, value: Any, mention: Mention) -> Any:
    if part.kind == BRANCH:
        return [] if value is None else _whole_branch(value, mention)
    if part.kind == LOOP:
        body = _body(part)
        if value[1]:
            mention(body, True)
        return [creation(body, row, mention) for row in value[1]]
    return _leaf(part, value)


def _body(part: Part) -> Fragment:
    assert part.body is not None, "a loop part always has a body"
    return part.body


# Branches


def _branch_change(before: Any, after: Any, mention: Mention) -> list[Any] | None:
    if after is None:
        return []
    if before is None or before[0] is not after[0]:
        return _whole_branch(after, mention)
    inner = changes(after[0], before[1], after[1], mention)
    return [mention(after[0], False), inner, 1] if inner else None


def _whole_branch(value: tuple[Fragment, Values], mention: Mention) -> list[Any]:
    fragment, values = value
    return [mention(fragment, True), creation(fragment, values, mention)]


# Loops


def _loop_change(part: Part, before: Rows, after: Rows, mention: Mention) -> list[Any] | None:
    body = _body(part)
    sources = _sources(before, after)
    kept = [(source, index) for index, source in enumerate(sources) if source is not None]
    updates: list[Any] = []
    for source, index in kept:
        old, new = before[1][source], after[1][index]
        if old is not new and old != new and (inner := changes(body, old, new, mention)):
            updates += (source, inner)
    if updates:
        mention(body, False)
    removes = _removes(len(before[1]), {source for source, _ in kept})
    moves = _moves(kept)
    inserts = _inserts(body, sources, after[1], mention)
    if removes or moves or inserts:
        mention(body, bool(inserts))
    operations: list[Any] = [updates or 0, removes or 0, moves or 0, inserts or 0]
    while operations and operations[-1] == 0:
        operations.pop()
    return operations or None


def _sources(before: Rows, after: Rows) -> list[int | None]:
    """For each row after, the index before of the row it continues, or None if it is new."""
    old_keys, new_keys = before[0], after[0]
    if old_keys is None or new_keys is None:
        common = min(len(before[1]), len(after[1]))
        return [*range(common), *[None] * (len(after[1]) - common)]
    if old_keys == new_keys:
        return list(range(len(new_keys)))
    where = {key: index for index, key in enumerate(old_keys)}
    return [where.get(key) for key in new_keys]


def _removes(length: int, kept: set[int]) -> list[int]:
    """Flat `[index, count, …]` of the rows that are gone."""
    if len(kept) == length:
        return []
    removes: list[int] = []
    for index in range(length):
        if index in kept:
            continue
        if removes and removes[-2] + removes[-1] == index:
            removes[-1] += 1
        else:
            removes += (index, 1)
    return removes


def _moves(kept: list[tuple[int, int]]) -> list[int]:
    """Flat `[from, to, …]` of the fewest kept rows whose moving gives the new order."""
    sources = [source for source, _ in kept]
    if all(a < b for a, b in zip(sources, sources[1:], strict=False)):
        return []
    rank = {source: index for index, source in enumerate(sorted(sources))}
    staying = set(longest_increasing(sources))
    moves: list[int] = []
    for source, index in kept:
        if source not in staying:
            moves += (rank[source], index)
    return moves


def longest_increasing(numbers: list[int]) -> list[int]:
    """A longest strictly increasing subsequence of distinct `numbers` (patience sorting, n log n)."""
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


def _inserts(body: Fragment, sources: list[int | None], rows: list[Values], mention: Mention) -> list[Any]:
    """Flat `[index, rows, …]`: runs of new rows."""
    inserts: list[Any] = []
    last = -2
    for index, source in enumerate(sources):
        if source is not None:
            continue
        row = creation(body, rows[index], mention)
        if last == index - 1:
            inserts[-1].append(row)
        else:
            inserts += (index, [row])
        last = index
    return inserts


# Values as the browser sets them: decoded, with the line ends that an HTML parser would give


def _leaf(part: Part, value: Any) -> Any:
    if type(value) is int:
        return value
    text: str = value if "\r" not in value else _line_ends(value)
    if part.kind == TEXT:
        return _text(text)
    if part.kind == ATTRIBUTE:
        return attribute_text(text) if type(text) is Html else text
    if part.kind == RAW:
        return _raw(part, text)
    return tag_attributes(text, part)


def _line_ends(value: str) -> str:
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return Html(text) if type(value) is Html else text


def _text(value: str) -> str | list[str]:
    if type(value) is not Html:
        return value
    return [str.__str__(value)] if "<" in value else html.unescape(value)


def _raw(part: Part, value: str) -> str:
    if part.name in ("script", "style"):
        return str.__str__(value)
    text = html.unescape(value) if type(value) is Html else value
    # The parser drops a line break that directly follows <textarea>.
    return text[1:] if part.name == "textarea" and text.startswith("\n") else text


def attribute_text(source: str) -> str:
    """The text of attribute value `source`, by the rules for character references in attributes.

    They differ from those for content: a named reference without semicolon is text when `=` or a letter or digit
    follows (HTML standard, "named character reference state").
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
    """The attributes that a tag part sets: name → text; the first of equal names counts, as in HTML."""
    found = _parsed_attributes(source)
    shown = {name: text for name, text in found.items() if name not in part.taken}
    for name, text in part.fallback:
        shown.setdefault(name, text)
    return shown


@lru_cache(maxsize=1024)
def _parsed_attributes(source: str) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, double, single, bare in _attributes.findall(source):
        attributes.setdefault(name.lower(), attribute_text(double or single or bare))
    return attributes
