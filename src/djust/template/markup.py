"""Finds the elements around dynamic nodes: a small HTML parser that runs at compile time.

It knows just enough of HTML to say where a node stands (content, attribute value, inside a tag, raw
text) and whether the markup in a block is balanced. What it finds is a tree of `Element`, `Blocks`
and nodes. Where a block is not balanced, or the markup is such that a browser would rearrange it,
the enclosing element is marked `broken`: its content becomes one region. The stage after this one,
`fragments`, makes fragments and steps of the tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from types import MappingProxyType

from djust.render.values import CLOSE, OPEN, ROW
from djust.template.html import (
    BREAKING_OUT,
    CLOSES,
    CONTENT,
    DOCUMENT,
    FOREIGN,
    FORMATTING,
    HEAD_CONTENT,
    MARKERS,
    OPTIONAL_END,
    PARENTS,
    RAW_TEXT,
    RUBY,
    TABLE_PARTS,
    VOID,
    spaces,
)
from djust.template.nodes import Node, Static, append
from djust.template.start_tags import StartTag, start_tag, written
from djust.template.tree import Blocks, Content, Element, Tree, is_dynamic

MARKS = {mark: mark.replace("<!--", "<!-- ") for mark in (OPEN, CLOSE, ROW)}

# Which arm to take: of a block, and of the blocks in it.
PATHS = tuple(product((0, 1, -1), (0, 1, -1)))

_name = re.compile(r"[a-zA-Z][^\s/>]*")
_tags = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
# Inside a comment inside a script, a script may stand.
_script_inside = re.compile(r"<!--(?:(?!-->).)*<script[\s/>](?:(?!-->).)*\Z", re.IGNORECASE | re.DOTALL)


def parse(
    nodes: Sequence[Node], outer: tuple[str, ...] = (), unbalanced: Mapping[Node, frozenset[int]] = MappingProxyType({})
) -> Tree:
    """The tree of `nodes`, which stand inside open elements named `outer`.

    `unbalanced` are nodes whose output was found not to be balanced, with the ancestors that it
    closes: they break the element around them, and those around the elements that the output
    closes.
    """
    return _Parser(outer, unbalanced).run(nodes)


class UnbalancedError(Exception):
    """The output of `node` opens or closes elements that it does not close or open."""

    def __init__(self, node: Node, closed_ancestors: frozenset[int]) -> None:
        super().__init__(node)
        self.node = node
        self.closed_ancestors = closed_ancestors


@lru_cache(maxsize=256)
def ancestors_closed_by(html: str, inside: tuple[str, ...]) -> frozenset[int] | None:
    """`Tree.closed_ancestors` of HTML found at run time; None if it leaves all as they are."""
    parser = _Parser(inside or ("",), {})
    tree = parser.run([Static(html)])
    if tree.balanced and not any(mark in html for mark in MARKS):
        return None
    parser.settle(0)
    return parser.closed_ancestors


class _Parser:
    """The state is: the open elements, and the tag, comment or raw text we are in the middle of.

    Of the elements that are opened here there is a `stack`; `names` has those around it, too.
    """

    def __init__(self, outer: tuple[str, ...], unbalanced: Mapping[Node, frozenset[int]]) -> None:
        self.unbalanced = unbalanced
        self.base = len(outer)
        self.names = list(outer)
        self.inside = [0]  # the namespace of the content of each, after that of the document
        for name in outer:
            self.inside.append(spaces(name, self.inside[-1])[1])
        self.root = Element(StartTag())
        self.stack = [self.root]
        self.closed_ancestors: frozenset[int] = frozenset()
        self.tag: StartTag | None = None
        self.comment = ""  # what ends it
        # Whether elements of a head, and whether content of a body was found at the level of the
        # document.
        self.headed, self.begun = False, bool(outer)

    def run(self, nodes: Sequence[Node]) -> Tree:
        for node in nodes:
            if isinstance(node, Static):
                self._feed(node.text)
            else:
                self._dynamic(node)
        if self.tag is not None or self.comment:
            self.root.broken = True
            self._append(*(self.tag.pieces if self.tag is not None else ()))
        unclosed = any(self.base or element.name not in OPTIONAL_END for element in self.stack[1:])
        self._cut(1)
        return Tree(self.root.children, not (self.root.broken or unclosed), self.closed_ancestors)

    # Static text

    def _feed(self, text: str) -> None:
        position = 0
        while position < len(text):
            if self.tag is not None:
                position = self.tag.feed(text, position)
                self._end_start_tag()
            elif self.comment:
                position = self._in_comment(text, position)
            elif self._is_raw():
                position = self._in_raw(text, position)
            else:
                position = self._in_data(text, position)

    def _in_data(self, text: str, position: int) -> int:
        start = text.find("<", position)
        if start != position:
            end = start if start != -1 else len(text)
            self._text(text[position:end])
            return end
        if text.startswith("<!--", start):
            return self._open_comment(text, start)
        if found := start_tag(text, start):
            self.tag, end = found
            self._end_start_tag()
            return end
        if text.startswith("</", start):
            return self._in_end_tag(text, start)
        if text.startswith(("<!", "<?"), start):
            self.comment = "]]>" if self.inside[-1] and text.startswith("<![CDATA[", start) else ">"
            return self._in_comment(text, start)
        if start + 1 == len(text):
            self.root.broken = self.stack[-1].broken = True  # a dynamic tag name follows, perhaps
        self._text("<")
        return start + 1

    def _text(self, text: str) -> None:
        parent = self.names[-1] if self.names else ""
        if (parent in TABLE_PARTS or parent in ("", "head", "html")) and text.strip(" \t\n\r\f"):
            if parent in TABLE_PARTS:
                self._break(self._last("table"))
            elif parent == "head":
                self._break(self._last("head"))
            self.begun = True
        self._append(Static(text))

    def _open_comment(self, text: str, start: int) -> int:
        ends = text.find("-->", start + 2), text.find("--!>", start + 4) + 1
        end = min((end for end in ends if end > 0), default=-1)
        if end == -1:
            self.comment = "-->"
            self._append(Static(text[start:]))
            return len(text)
        # A comment of the author's that looks like a mark must not be one.
        self._append(Static(MARKS.get(text[start : end + 3], text[start : end + 3])))
        return end + 3

    def _in_comment(self, text: str, position: int) -> int:
        end = text.find(self.comment, position)
        end = len(text) if end == -1 else end + len(self.comment)
        if text[position:end].endswith(self.comment):
            self.comment = ""
        self._append(Static(text[position:end]))
        return end

    def _in_raw(self, text: str, position: int) -> int:
        name = self.stack[-1].name
        ends = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
        close = ends.search(text, position)
        while close and name == "script" and _script_inside.search(text[position : close.start()]):
            close = ends.search(text, close.end())
        if close is None:
            self._append(Static(text[position:]))
            return len(text)
        if close.start() > position:
            self._append(Static(text[position : close.start()]))
        return self._in_end_tag(text, close.start())

    # Tags

    def _end_start_tag(self) -> None:
        """Open the element whose start tag is read, if it is."""
        tag = self.tag
        if tag is None or not tag.end:
            return
        self.tag, name = None, tag.name
        if self.inside[-1]:
            self._check_foreign(name)
        elif "template" not in self.names:
            if name == "table" and "p" in self.names:
                self._break(self._last("p"))  # the doctype decides whether it closes the paragraph
            for closing in CLOSES.get(name, ()):
                self._close_implied(*closing)
            self._check_place(name)
        own, inside = spaces(name, self.inside[-1])
        element = Element(tag)
        self._append(element)
        if not (tag.is_self_closing if own else name in VOID):
            self.stack.append(element)
            self.names.append(name)
            self.inside.append(inside)

    def _check_place(self, name: str) -> None:
        """Break what an element of HTML changes that may not stand where it was found."""
        parent = self.names[-1] if self.names else ""
        if name in DOCUMENT or parent in ("", "html"):
            self._check_document(name, parent)
        if name in ("plaintext", "frame"):
            self._break(0)
        elif name in ("mglyph", "malignmark"):
            self._break(self._last("math"))
        elif name in PARENTS:
            parents, around = PARENTS[name]
            if parent in around and parent:
                if len(self.stack) == 1:
                    self._break(self.base)
            elif parent not in parents:
                self._break(self._last("table"))
        elif parent in CONTENT and name not in CONTENT[parent]:
            # Content that leaves a table or a head stands beside it; that of `select` is dropped by
            # some browsers.
            self._break(self._last("select") + 1 if parent[0] in "so" else self._last("head", "table"))

    def _check_document(self, name: str, parent: str) -> None:
        if name in HEAD_CONTENT:
            self.headed = True
            disorder = not self.begun and any(is_dynamic(child) for child in self.stack[-1].children)
        elif name in DOCUMENT:
            late = self.begun or (name != "body" and self.headed)
            disorder = late or name == "frameset" or parent not in ("", "html") or self.base > 0
            self.headed = self.headed or name != "html"
            self.begun = self.begun or name == "body"
        else:
            disorder, self.begun = False, True
        if disorder:
            self._break(0)

    def _check_foreign(self, name: str) -> None:
        """HTML ends the SVG or MathML that it stands in."""
        space = self.inside[-1]
        if name in BREAKING_OUT or FOREIGN.get(name, space) != space or name == "annotation-xml":
            self._break(self._foreign_root())

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
        element = self.stack[depth]
        sums = {_balance(element.children, path).get(name, (0, 0))[1] for path in PATHS} if element.broken else {0}
        if not depth or min(sums) > 0:
            self._break(self._foreign_root() if self.inside[-1] else len(self.names))
            self._append(Static(text))  # of an element that was opened in a block, or of none
            return
        # Nothing beside such an only child closes what it opens.
        opens = len(element.children) == 1 and element.children[0] in self.unbalanced
        if opens or max(sums) > 0 or any(other.name not in OPTIONAL_END for other in self.stack[depth + 1 :]):
            self._break(self.base + depth - 1)
        element.end = text
        self._cut(depth)

    def _is_raw(self) -> bool:
        return self.stack[-1].name in RAW_TEXT and not self.inside[-2]

    # Open elements

    def _foreign_root(self) -> int:
        return max(at for at, space in enumerate(self.inside) if not space)

    def _last(self, *names: str) -> int:
        """Where the innermost element of these names stands, or where the next one would stand."""
        found = (at for at in range(len(self.names) - 1, -1, -1) if self.names[at] in names)
        return next(found, len(self.names))

    def _break(self, at: int) -> None:
        """Open element `at` is closed or changed: the content of the one around is one region."""
        while 0 < at <= len(self.names) and self.names[at - 1] in RUBY:
            at -= 1  # a browser that parses the content of ruby alone does not know that it is ruby
        for element in self.stack[max(at - self.base, 0) :]:
            element.broken = True
        if at < self.base:
            self.closed_ancestors |= {at}

    def _cut(self, depth: int) -> None:
        """Close the elements from `depth` of the stack on."""
        for at in range(len(self.stack) - 1, depth - 1, -1):
            if self.stack[at].broken:
                self.settle(at)
        del self.stack[depth:], self.names[self.base + depth - 1 :], self.inside[self.base + depth :]

    def settle(self, depth: int) -> None:
        """Break what tags reach that have no partner in the broken element at `depth` of the stack.

        On paths that take the same arm of all blocks, as blocks with the same condition do.
        """
        around = self.names[: self.base + depth]
        for path in PATHS:
            for name, (lowest, sum_) in _balance(self.stack[depth].children, path).items():
                if lowest < 0 and name in around:
                    self._break(len(around) - 1 - around[::-1].index(name))
                if sum_ > 0 and name in FORMATTING:
                    self._break(
                        max((at + 1 for at, other in enumerate(around) if other in MARKERS | {"body"}), default=0)
                    )

    def _close_implied(self, closes: frozenset[str], stops: frozenset[str]) -> None:
        """Close the elements that a start tag ends; break those that need an end tag."""
        lowest = -1
        for at in range(len(self.names) - 1, -1, -1):
            if self.names[at] in closes:
                lowest = at
            elif self.names[at] in stops or self.inside[at + 1]:
                break
        if lowest == -1:
            return
        depth = lowest - self.base + 1
        if depth < 1 or any(element.name not in OPTIONAL_END for element in self.stack[depth:]):
            self._break(lowest)
        else:
            self._cut(depth)

    def _append(self, *contents: Content) -> None:
        for content in contents:
            append(self.stack[-1].children, content)

    # Dynamic nodes

    def _dynamic(self, node: Node) -> None:
        top = self.stack[-1]
        if self.tag is not None:
            if not _keeps_tag(node, self.tag.quote):
                self._break(0)
            self.tag.add(node)
        elif self.comment:
            top.broken = True
            self._append(node)
        elif self._is_raw():
            if f"</{top.name}" in written([node]).lower():
                self._break(0)
            self._append(node)
        else:
            self._content(node)

    def _content(self, node: Node) -> None:
        if node.is_scope and not (node.needs or node.leaves_trace):
            # Nothing is bound, so that its markup need not be balanced.
            for inner in node.bodies[0]:
                if isinstance(inner, Static):
                    self._feed(inner.text)
                else:
                    self._dynamic(inner)
            return
        names = tuple(self.names)
        if node.has_output:
            self._check_dynamic(node, names[-1] if names else "")
        if node.is_uncertain:
            node.ancestors = names
        if node in self.unbalanced:
            self._break(min(self.unbalanced[node], default=len(names)))
        if node.makes_blocks or node.is_scope:
            self._bodies(node, names)
        else:
            self._append(node)

    def _check_dynamic(self, node: Node, parent: str) -> None:
        if parent == "html" or (not parent and self.headed and not self.begun):
            self._break(0)
        elif parent in TABLE_PARTS:
            if node.is_text:
                self._break(self._last("table"))
            elif not (node.makes_blocks or node.is_scope) or any(map(_is_wrapped, self.stack[-1].children)):
                self._break(len(self.names))  # perhaps the rows of a section

    def _bodies(self, node: Node, names: tuple[str, ...]) -> None:
        trees = [parse(body, names or ("",), self.unbalanced) for body in node.bodies]
        begins = {child.name for tree in trees for child in tree.children if isinstance(child, Element)}
        if not (self.begun or self.names or HEAD_CONTENT.isdisjoint(begins)):
            self._break(0)  # a block before the body begins must not reach into the head
        if not all(tree.balanced for tree in trees):
            self._break(min((at for tree in trees for at in tree.closed_ancestors), default=len(self.names)))
            self._append(node)
        else:
            self._append(Blocks(node, [tree.children for tree in trees]))


def _is_wrapped(content: Content) -> bool:
    """Whether a parser puts an element around this child of a part of a table."""
    return isinstance(content, Element) and content.name in ("tr", "td", "th", "col")


def _balance(contents: Sequence[Content], path: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """By name: the lowest and the last difference of the numbers of start and end tags."""
    found: dict[str, tuple[int, int]] = {}
    for text in _flow(contents, path):
        for end, tag in _tags.findall(text):
            name = tag.lower()
            if name not in VOID and name not in OPTIONAL_END:
                lowest, number = found.get(name, (0, 0))
                number += -1 if end else 1
                found[name] = min(lowest, number), number
    return found


def _flow(contents: Sequence[Content], path: tuple[int, int]) -> Iterator[str]:
    """The static text of `contents` that is not balanced already; of an `if`, arm `path`."""
    for content in contents:
        match content:
            case Static():
                yield content.text
            case Element():
                yield f"<{content.name}>"
                yield from _flow(content.children, path)
                yield content.end
            case Node(is_choice=True):
                arms = [*content.bodies] if content.is_exhaustive else [*content.bodies, []]
                if path[0] < len(arms):
                    yield from _flow(arms[path[0]], path[::-1])
            case Node(bodies=[body, *_], is_string=False):
                yield from _flow(body, path)


def _keeps_tag(node: Node, quote: str) -> bool:
    """Whether a tag goes on after `node` as it was before: the same quote open, or none."""
    for body in node.bodies:
        tag = StartTag()
        for inner in body:
            if not isinstance(inner, Static):
                if not _keeps_tag(inner, quote or tag.quote):
                    return False
                tag.add(inner)
            elif quote in inner.text if quote else tag.feed(inner.text, 0) < len(inner.text) or tag.end:
                return False
        if tag.quote:
            return False
    return True
