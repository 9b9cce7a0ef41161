"""What the browser of one page has been sent: each fragment's plan and skeleton travel once.

    sent = SentFragments()
    sent.diff(root, old, new)  ->  (diff, fragments)      both empty when nothing changed
    sent.all(root, values)     ->  (values, fragments)    the browser starts over, numbers are void

Fragments are numbered per page, in the order in which diffs first require them.
"""

from __future__ import annotations

import re
from typing import Any

from djust.render.diff import changes, creation
from djust.render.values import Fragment, Values

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
