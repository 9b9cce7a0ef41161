"""Finds the elements around dynamic items: a small HTML parser that runs at compile time over a template's items.

It knows just enough of HTML to say where an item stands (content, attribute value, inside a tag, raw text) and whether
the markup in a block is balanced. What it finds is a tree of `Element`, `Blocks`, `Scoped` and items. Where a block is
not balanced, or the markup is such that a browser would rearrange it, the enclosing element is marked `broken`: its
content becomes one region. The stage after this one, `fragments`, makes fragments and steps of the tree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from djust.template.lower import names_read
from djust.template.parts import (
    UNKNOWN,
    Block,
    Blocks,
    Content,
    Element,
    For,
    If,
    Inclusion,
    Item,
    Scope,
    Scoped,
    Setting,
    Static,
    bodies,
    is_silent,
)

VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
RAW_TEXT = frozenset(["textarea", "title", "script", "style", "iframe", "noembed", "noframes", "noscript", "xmp"])
OPTIONAL_END = frozenset(
    "li dt dd p rt rp optgroup option thead tbody tfoot tr td th colgroup html head body".split()  # noqa: SIM905
)
BLOCK_LEVEL = frozenset(
    {"address", "article", "aside", "blockquote", "center", "details", "dialog", "dir", "div", "dl", "fieldset", "form"}
    | {"figcaption", "figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "main", "menu"}
    | {"nav", "ol", "p", "pre", "search", "section", "table", "ul"}
)
# A start tag of this name closes an open element of these names.
IMPLIED_END: dict[str, frozenset[str]] = {
    "li": frozenset({"li"}),
    "dt": frozenset({"dt", "dd"}),
    "dd": frozenset({"dt", "dd"}),
    "option": frozenset({"option"}),
    "optgroup": frozenset({"option", "optgroup"}),
    "tr": frozenset({"tr", "td", "th", "colgroup"}),
    "td": frozenset({"td", "th"}),
    "th": frozenset({"td", "th"}),
    **dict.fromkeys(("thead", "tbody", "tfoot"), frozenset({"thead", "tbody", "tfoot", "tr", "td", "th", "colgroup"})),
    "body": frozenset({"head"}),
    **dict.fromkeys(BLOCK_LEVEL, frozenset({"p"})),
}
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
# A start tag of this name inside an element of these names closes it, or is not taken for a start tag at all.
NEVER_NESTED: dict[str, frozenset[str]] = {
    **{name: frozenset({name}) for name in ("a", "button", "form", "nobr")},
    **dict.fromkeys(HEADINGS, HEADINGS),
    **{name: frozenset({"select"}) for name in ("input", "textarea", "select")},
}
# Content that a browser would move elsewhere or wrap when it stands directly in these elements.
TABLE_PARTS = frozenset({"table", "thead", "tbody", "tfoot", "tr", "colgroup"})
ROW_PARENTS = {"tr": ("thead", "tbody", "tfoot"), "td": ("tr",), "th": ("tr",), "col": ("colgroup",)}
FOREIGN = frozenset({"svg", "math"})
HTML_AGAIN = frozenset({"foreignobject", "desc", "title", "annotation-xml"})

_tag_end = re.compile("[\"'>]")
_name = re.compile(r"[a-zA-Z][^\s/>]*")


@dataclass(slots=True)
class Tree:
    """`balanced`: every element that is opened is closed, in order, and nothing reaches outside.

    `closes`: names of elements around it that its start tags close, as `<p>` does with an open `<p>`.
    """

    children: list[Content]
    balanced: bool
    closes: frozenset[str] = frozenset()


def parse(
    items: Sequence[Item], outer: tuple[str, ...] = (), loose: Mapping[Item, frozenset[str]] = MappingProxyType({})
) -> Tree:
    """The tree of `items`, which stand inside open elements named `outer`.

    `loose` are items whose output was found not to be balanced: they break the element around them, and those around
    the elements that the output closes.
    """
    return _Parser(outer, loose).run(items)


class UnbalancedError(Exception):
    """The output of `item` opens or closes elements that it does not close or open."""

    def __init__(self, item: Item, closes: frozenset[str]) -> None:
        super().__init__(item)
        self.item = item
        self.closes = closes


@lru_cache(maxsize=256)
def reach(html: str, inside: tuple[str, ...]) -> frozenset[str] | None:
    """None if HTML found at run time leaves the elements around it as they are, else the names of those it closes."""
    tree = parse([Static(html)], inside or ("",))
    return None if tree.balanced else tree.closes


class _Parser:
    """The state is: the stack of open elements, and the tag, comment or raw text we are in the middle of."""

    def __init__(self, outer: tuple[str, ...], loose: Mapping[Item, frozenset[str]]) -> None:
        self.outer = outer
        self.loose = loose
        self.root = Element("", [], [])
        self.stack = [self.root]
        self.tag: list[Item] | None = None
        self.quote = ""
        self.comment = False
        self.closes: set[str] = set()

    def run(self, items: Sequence[Item]) -> Tree:
        for item in items:
            if isinstance(item, Static):
                self._feed(item.text)
            else:
                self._dynamic(item)
        if self.tag is not None or self.comment:
            self.root.broken = True
            self._append(*(self.tag or ()))
        open_elements = [element.name for element in self.stack[1:]]
        unclosed = any(self.outer or name not in OPTIONAL_END for name in open_elements)
        return Tree(self.root.children, not (self.root.broken or unclosed), frozenset(self.closes))

    # Static text

    def _feed(self, text: str) -> None:
        position = 0
        while position < len(text):
            if self.tag is not None:
                position = self._in_tag(text, position)
            elif self.comment:
                position = self._in_comment(text, position)
            elif self.stack[-1].name in RAW_TEXT and not self._foreign():
                position = self._in_raw(text, position)
            else:
                position = self._in_data(text, position)

    def _in_data(self, text: str, position: int) -> int:
        start = text.find("<", position)
        if start != position:
            end = start if start != -1 else len(text)
            self._append(Static(text[position:end]))
            return end
        if text.startswith("<!--", start):
            return self._open_comment(text, start)
        if match := _name.match(text, start + 1):
            self.tag = [Static(text[start : match.end()])]
            return match.end()
        if text.startswith("</", start):
            return self._in_end_tag(text, start)
        if text.startswith(("<!", "<?"), start):
            end = text.find(">", start) + 1
            if not end:
                self.root.broken = True
            self._append(Static(text[start : end or len(text)]))
            return end or len(text)
        if start + 1 == len(text):
            self.root.broken = self.stack[-1].broken = True  # a dynamic tag name follows, perhaps
        self._append(Static("<"))
        return start + 1

    def _open_comment(self, text: str, start: int) -> int:
        end = text.find("-->", start + 4)
        if end == -1:
            self.comment = True
            self._append(Static(text[start:]))
            return len(text)
        self._append(Static(text[start : end + 3]))
        return end + 3

    def _in_comment(self, text: str, position: int) -> int:
        end = text.find("-->", position)
        self.comment = end == -1
        end = len(text) if end == -1 else end + 3
        self._append(Static(text[position:end]))
        return end

    def _in_raw(self, text: str, position: int) -> int:
        close = re.compile(rf"</{self.stack[-1].name}(?=[\s/>])", re.IGNORECASE).search(text, position)
        if close is None:
            self._append(Static(text[position:]))
            return len(text)
        if close.start() > position:
            self._append(Static(text[position : close.start()]))
        return self._in_end_tag(text, close.start())

    def _in_tag(self, text: str, position: int) -> int:
        assert self.tag is not None
        if self.quote:
            end = text.find(self.quote, position)
            if end == -1:
                self.tag.append(Static(text[position:]))
                return len(text)
            self.tag.append(Static(text[position : end + 1]))
            self.quote = ""
            return end + 1
        match = _tag_end.search(text, position)
        end = match.end() if match else len(text)
        self.tag.append(Static(text[position:end]))
        if match is None:
            return end
        if match.group() == ">":
            self._start_tag(text[: end - 1].endswith("/"))
        elif self._before_value(text[: end - 1]):
            self.quote = match.group()
        return end

    def _before_value(self, text: str) -> bool:
        return text.rstrip().endswith("=")

    # Tags

    def _start_tag(self, self_closing: bool) -> None:
        pieces, self.tag = self.tag or [], None
        first = pieces[0]
        assert isinstance(first, Static)
        name = first.text[1:].lower()
        self._close_implied(name)
        element = Element(name, _merged(pieces), [])
        foreign = self._foreign() or name in FOREIGN
        self._check_table(element)
        self._append(element)
        if not (name in VOID and not foreign) and not (self_closing and foreign):
            self.stack.append(element)

    def _close_implied(self, name: str) -> None:
        names = [*self.outer, *(element.name for element in self.stack[1:])]
        for other in NEVER_NESTED.get(name, ()):
            if other in names:
                self._reach(other)
        closes = IMPLIED_END.get(name)
        if not closes:
            return
        while len(self.stack) > 1 and self.stack[-1].name in closes:
            self.stack.pop()
        names = [*self.outer, *(element.name for element in self.stack[1:])]
        if names and len(self.stack) == 1 and names[-1] in closes:
            self.root.broken = True  # it would close an element that was opened outside this block
            self.closes.add(names[-1])
        if "p" in closes and "p" in names:
            self._reach("p")

    def _reach(self, name: str) -> None:
        """An open element `name` is closed, or not opened again: the element around it is what has to be one region."""
        depth = next((d for d in range(len(self.stack) - 1, 0, -1) if self.stack[d].name == name), 0)
        if not depth:
            self.closes.add(name)
        for element in self.stack[max(depth - 1, 0) :]:
            element.broken = True

    def _in_end_tag(self, text: str, start: int) -> int:
        end = text.find(">", start) + 1
        match = _name.match(text, start + 2)
        if not end or not match:
            self.root.broken = self.stack[-1].broken = True
            self._append(Static(text[start : end or len(text)]))
            return end or len(text)
        self._end_tag(match.group().lower(), text[start:end])
        return end

    def _end_tag(self, name: str, text: str) -> None:
        depth = next((d for d in range(len(self.stack) - 1, 0, -1) if self.stack[d].name == name), 0)
        if not depth:
            self.stack[-1].broken = True
            self._append(Static(text))
            return
        if any(element.name not in OPTIONAL_END for element in self.stack[depth + 1 :]):
            self.stack[depth - 1].broken = True
        if len(self.stack[depth].children) == 1 and self.stack[depth].children[0] in self.loose:
            self.stack[depth - 1].broken = True  # nothing beside it closes what it opens
        self.stack[depth].end = text
        del self.stack[depth:]

    def _foreign(self) -> bool:
        for name in reversed([*self.outer, *(element.name for element in self.stack[1:])]):
            if name in HTML_AGAIN:
                return False
            if name in FOREIGN:
                return True
        return False

    def _check_table(self, element: Element) -> None:
        """Inside a block, a row whose section the browser would have to invent breaks the table around it."""
        parents = ROW_PARENTS.get(element.name)
        if parents and len(self.stack) == 1 and self.outer and self.outer[-1] not in parents:
            self.root.broken = True

    # Dynamic items

    def _dynamic(self, item: Item) -> None:
        top = self.stack[-1]
        if self.tag is not None:
            if not _keeps_tag(item, self.quote):
                self._break_all()
            self.tag.append(item)
        elif self.comment:
            top.broken = True
            self._append(item)
        elif top.name in RAW_TEXT and not self._foreign():
            if f"</{top.name}" in _all_text(item).lower():
                self._break_all()
            self._append(item)
        else:
            self._content(item)

    def _break_all(self) -> None:
        for element in self.stack:
            element.broken = True

    def _content(self, item: Item) -> None:
        names = (*self.outer, *(element.name for element in self.stack[1:]))
        parent = names[-1] if names else ""
        if parent == "html" or (parent in TABLE_PARTS and not isinstance(item, If | For | Scope)):
            # Text is moved out of tables, and an unknown tag may produce it. It may also be the rows of a section.
            self.stack[-1].broken = self.stack[-1].broken or not is_silent(item)
        if isinstance(item, UNKNOWN):
            item.inside = names
        if item in self.loose:
            self.stack[-1].broken = True
            for name in sorted(self.loose[item]):
                self._reach(name)
        if isinstance(item, If | For):
            self._block(item, names)
        elif isinstance(item, Scope):
            self._scope(item, names)
        else:
            self._append(item)

    def _block(self, item: If | For, names: tuple[str, ...]) -> None:
        trees = [parse(body, names or ("",), self.loose) for body in bodies(item)]
        if all(tree.balanced for tree in trees):
            self._append(Blocks(item, [tree.children for tree in trees]))
        else:
            self._unbalanced(item, trees)

    def _unbalanced(self, item: Item, trees: Sequence[Tree]) -> None:
        self.stack[-1].broken = True
        for name in sorted(frozenset[str]().union(*(tree.closes for tree in trees))):
            self._reach(name)
        self._append(item)

    def _scope(self, item: Scope, names: tuple[str, ...]) -> None:
        if not item.needs and not _binds(item):
            # Nothing is bound: the scope leaves no trace, and its markup need not be balanced.
            for inner in item.body:
                if isinstance(inner, Static):
                    self._feed(inner.text)
                else:
                    self._dynamic(inner)
            return
        tree = parse(item.body, names or ("",), self.loose)
        if tree.balanced:
            self._append(Scoped(item, tree.children))
        else:
            self._unbalanced(item, [tree])

    def _append(self, *contents: Content) -> None:
        children = self.stack[-1].children
        for content in contents:
            if isinstance(content, Static) and children and isinstance(children[-1], Static):
                children[-1] = Static(children[-1].text + content.text)
            else:
                children.append(content)


def _binds(item: Scope) -> bool:
    if isinstance(item, Block):
        return "block" in names_read(item.body)
    if isinstance(item, Setting):
        return True
    return bool(item.bindings) or (isinstance(item, Inclusion) and item.isolated)


def _merged(pieces: Sequence[Item]) -> list[Item]:
    merged: list[Item] = []
    for piece in pieces:
        if isinstance(piece, Static) and merged and isinstance(merged[-1], Static):
            merged[-1] = Static(merged[-1].text + piece.text)
        else:
            merged.append(piece)
    return merged


def _all_text(item: Item) -> str:
    if isinstance(item, Static):
        return item.text
    return " ".join(_all_text(inner) for body in bodies(item) for inner in body)


def _keeps_tag(item: Item, quote: str) -> bool:
    """Whether a tag goes on after `item` as it was before: the same quote open, or none."""
    for body in bodies(item):
        inside = quote
        for inner in body:
            if not isinstance(inner, Static):
                if not _keeps_tag(inner, inside):
                    return False
                continue
            for char in inner.text:
                if quote:
                    if char == quote:
                        return False
                elif inside:
                    inside = "" if char == inside else inside
                elif char in "\"'":
                    inside = char
                elif char in "<>":
                    return False
        if inside != quote:
            return False
    return True
