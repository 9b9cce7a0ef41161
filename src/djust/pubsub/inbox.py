"""The inbox of a view: what was published to its topics and waits for the page's next turn.

A page takes everything that waits in one turn, so many messages share one rendering. A page that cannot follow does not
grow without bound: beyond `LIVEVIEW_CONFIG["max_messages"]` only the newest message of each topic is kept, and
`Resubscribed` tells the view to load again what it may have missed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from djust.conf import config


@dataclass(frozen=True, slots=True)
class Resubscribed:
    """Messages of `topics` may have been missed: load again what depends on them.

    `reason` is `"connection"` (that to Redis or PostgreSQL was lost and is there again), `"overflow"` (more came than
    the page could handle) or `"late"` (the service answered only after `subscribe` had returned).
    """

    topics: tuple[str, ...]
    reason: str


class Letter(NamedTuple):
    """A message for `handle_info`, or with `event` a pushed event for the browser."""

    topic: str
    message: Any
    event: str = ""


class Inbox:
    """What waits for one view. Letters are put in on the loop and taken out in the thread of a turn."""

    __slots__ = ("__weakref__", "_letters", "_missed", "_wake", "topics")

    def __init__(self, wake: Callable[[], None]) -> None:
        self.topics: set[str] = set()
        self._letters: deque[Letter] = deque()
        self._missed: dict[str, str] = {}
        self._wake = wake

    def __bool__(self) -> bool:
        return bool(self._letters or self._missed)

    def put(self, letter: Letter) -> None:
        """Keep a letter for the next turn."""
        self._letters.append(letter)
        if len(self._letters) > config().max_messages:
            self._thin_out()
        self._wake()

    def miss(self, topics: Iterable[str], reason: str) -> None:
        """Tell the view in the next turn that it may have missed messages."""
        missed = dict.fromkeys(self.topics.intersection(topics), reason)
        if missed:
            self._missed.update(missed)
            self._wake()

    def take(self) -> list[Letter]:
        """Everything that waits; what may have been missed comes last, so that it is loaded after all else."""
        letters: list[Letter] = []
        try:
            while True:
                letters.append(self._letters.popleft())
        except IndexError:
            pass
        missed, self._missed = self._missed, {}
        for reason in sorted(set(missed.values())):
            topics = tuple(sorted(topic for topic in missed if missed[topic] == reason))
            letters.append(Letter("", Resubscribed(topics, reason)))
        return letters

    def _thin_out(self) -> None:
        letters, self._letters = self._letters, deque()
        newest = {(letter.topic, letter.event): letter for letter in letters}
        self._missed.update((letter.topic, "overflow") for letter in letters)
        self._letters.extend(newest.values())
