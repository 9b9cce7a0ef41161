"""Start tags, read once: `markup` feeds text and nodes, `fragments` asks for attributes.

    <a href="/{{ x }}" {{ y }}>   ->   attributes
                                       Attribute(" ", [Static("href")], "=", '"', [Static("/"), x])
                                       Attribute(" ", [y])

The states are those of the HTML standard, section "Tokenization", from "Before attribute name
state" on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from djust.template.nodes import Node, Static, append

_BETWEEN, _NAME, _AFTER_NAME, _BEFORE_VALUE, _UNQUOTED = "between", "name", "after name", "before value", "unquoted"
_QUOTES = ('"', "'")

# What is read in each state without leaving it.
_RUNS = {
    _BETWEEN: re.compile(r"[\s/]*"),
    _NAME: re.compile(r"[^\s/>=]*"),
    _AFTER_NAME: re.compile(r"\s*"),
    _BEFORE_VALUE: re.compile(r"\s*"),
    _UNQUOTED: re.compile(r"[^\s>]*"),
    '"': re.compile(r'[^"]*'),
    "'": re.compile(r"[^']*"),
}
# A whole tag in which nothing is dynamic, as most are: one step instead of several per attribute.
_plain = re.compile(
    r"""<([a-zA-Z][^\s/>]*+)(?:\s++[^\s"'<>/=]++(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'=<>`]++))?+)*+\s*+(/?+)>"""
)
_name = re.compile(r"[a-zA-Z][^\s/>]*")


@dataclass(eq=False)
class Attribute:
    """`before`: white space and slashes. `equals`: with its white space; "" without a value."""

    before: str
    name: list[Node] = field(default_factory=list)
    equals: str = ""
    quote: str = ""
    value: list[Node] = field(default_factory=list)

    @cached_property
    def key(self) -> str:
        """The name in lower case, with a NUL for what is dynamic."""
        return text_of(self.name).lower()

    @property
    def pieces(self) -> list[Node]:
        """Everything except `before`."""
        return merged([*self.name, Static(self.equals + self.quote), *self.value, Static(self.quote)])


class StartTag:
    """A start tag: its `pieces`, and its `attributes` if one of these is dynamic.

    `end` is what follows the last attribute; it is empty as long as the tag goes on.
    """

    def __init__(self, head: str = "") -> None:
        self.name = head[1:].lower()
        self.head = head
        self.pieces: list[Node] = [Static(head)]
        self.attributes: list[Attribute] = []
        self.end = ""
        self._state = _BETWEEN
        self._space = ""

    @property
    def quote(self) -> str:
        """The quote that begins the value we are in, or ""."""
        return self._state if self._state in _QUOTES else ""

    @property
    def is_dynamic(self) -> bool:
        return len(self.pieces) > 1

    @property
    def is_self_closing(self) -> bool:
        return self.end.endswith("/>")

    def feed(self, text: str, position: int) -> int:
        """Read on in `text`; returns where its rest begins, which is not of this tag."""
        start = position
        while position < len(text) and not self.end:
            match = _RUNS[self._state].match(text, position)
            assert match is not None, "every run may be empty"
            self._read(match[0])
            position = match.end()
            if position < len(text):
                position += self._leave(text[position])
        _add(self.pieces, text[start:position])
        return position

    def add(self, node: Node) -> None:
        """`node` stands here."""
        self.pieces.append(node)
        if self._state in (_BETWEEN, _AFTER_NAME):
            self._begin()
        elif self._state == _BEFORE_VALUE:
            self._state = _UNQUOTED
        attribute = self.attributes[-1]
        (attribute.name if self._state == _NAME else attribute.value).append(node)

    def _read(self, run: str) -> None:
        if self._state in (_BETWEEN, _AFTER_NAME):
            self._space += run
        elif self._state == _BEFORE_VALUE:
            self.attributes[-1].equals += run
        else:
            _add(self.attributes[-1].name if self._state == _NAME else self.attributes[-1].value, run)

    def _leave(self, char: str) -> int:
        """Change the state before `char`, where a run ended; returns the length that it reads."""
        state = self._state
        if state == _BETWEEN and char == ">":
            self.end = self._space + char
        elif state == _BETWEEN:
            self._begin()
            _add(self.attributes[-1].name, char)
        elif state == _AFTER_NAME and char == "=":
            self.attributes[-1].equals, self._space = self._space + char, ""
            self._state = _BEFORE_VALUE
        elif state == _BEFORE_VALUE and char in _QUOTES:
            self.attributes[-1].quote = self._state = char
        elif state in _QUOTES:
            self._state = _BETWEEN
        else:
            after = {_NAME: _AFTER_NAME, _BEFORE_VALUE: _BETWEEN if char == ">" else _UNQUOTED}
            self._state = after.get(state, _BETWEEN)
            return 0
        return 1

    def _begin(self) -> None:
        self.attributes.append(Attribute(self._space))
        self._space, self._state = "", _NAME


def start_tag(text: str, position: int) -> tuple[StartTag, int] | None:
    """The start tag at `position`, if there is one, and where it has been read to."""
    if plain := _plain.match(text, position):
        tag = StartTag(text[position : plain.end(1)])
        tag.pieces = [Static(plain[0])]
        tag.end = plain[2] + ">"
        return tag, plain.end()
    if not (name := _name.match(text, position + 1)):
        return None
    tag = StartTag(text[position : name.end()])
    return tag, tag.feed(text, name.end())


def attribute_names(text: str) -> set[str]:
    """The names in the source of attributes."""
    tag = StartTag()
    tag.feed(text + " ", 0)
    return {attribute.key for attribute in tag.attributes}


def text_of(pieces: Iterable[Node]) -> str:
    """The text of `pieces`, with a NUL for everything that is dynamic."""
    return "".join(piece.text if isinstance(piece, Static) else "\0" for piece in pieces)


def written(pieces: Iterable[Node]) -> str:
    """As `text_of`, with the text inside what is dynamic."""
    return "".join(
        piece.text if isinstance(piece, Static) else " ".join(map(written, piece.bodies)) or "\0" for piece in pieces
    )


def merged(pieces: Iterable[Node]) -> list[Node]:
    """`pieces` with texts that stand side by side in one."""
    found: list[Node] = []
    for piece in pieces:
        if not isinstance(piece, Static) or piece.text:
            append(found, piece)
    return found


def _add(pieces: list[Node], text: str) -> None:
    if text:
        append(pieces, Static(text))


def has_nodes(pieces: Iterable[Node]) -> bool:
    """Whether one of `pieces` is dynamic."""
    return any(not isinstance(piece, Static) for piece in pieces)
