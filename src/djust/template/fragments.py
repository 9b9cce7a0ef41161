"""Trees of markup → fragments with numbered parts, and the steps that fill them.

    <b class="{{ a }}">{{ b }}</b>   ->   chunks   ('<b dj class="', 0, '">', 1, '</b>')
                                          anchors  ((0, 1),), and two leaf steps

`page_program` makes the program of a whole template, `included_program` of one that is included at
run time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from djust.render.diff import FOREIGN_NAMES, attribute_text
from djust.render.values import (
    ATTRIBUTE,
    BRANCH,
    CLOSE,
    LOOP,
    MARK,
    OPEN,
    RAW,
    TAG,
    TEXT,
    Anchor,
    Fragment,
    Part,
)
from djust.template.html import DOCUMENT, RAW_TEXT, spaces
from djust.template.nodes import Node, Static
from djust.template.start_tags import Attribute, StartTag, attribute_names, has_nodes, merged, text_of, written
from djust.template.steps import BranchStep, EffectStep, LeafStep, LoopStep, Program, ScopeStep, Step
from djust.template.tree import Blocks, Content, Element, Tree, has_output, is_dynamic

# The length of text that may be sent again with the variables inside it: one part instead of
# several, and no comments.
SHORT_TEXT = 80
KEY_ATTRIBUTES = ("dj-key", "data-key", "key", "id")

_mark = re.compile(rf"(?<!\S){MARK.strip()}(?=[\s=/>])", re.IGNORECASE)
_white = re.compile(r"[ \t\n\r\f]*\Z")


def page_program(tree: Tree, where: str) -> Program:
    """The program of a template's root fragment."""
    if tree.balanced and not _is_broken_document(tree.children):
        return _Builder(where, 0).build(tree.children)
    return _one_region(tree, where)


def included_program(tree: Tree, where: str) -> Program:
    """The program of a template that another one includes under a name known only at run time."""
    return _program(tree.children, where, 0) if tree.balanced else _one_region(tree, where)


def _one_region(tree: Tree, where: str) -> Program:
    fragment = Fragment((Part(TEXT, line=where),), (0,), whole=True, where=where)
    return Program(fragment, [LeafStep(0, TEXT, tree.children, checked=False)])


def _program(children: list[Content], where: str, namespace: int, *, row: bool = False) -> Program:
    """The program of an arm of a branch, of an included template, or of a loop's body."""
    return _Builder(where, namespace).build(children, inner=True, row=row)


def _is_broken_document(children: Sequence[Content]) -> bool:
    """Whether something in or beside `<html>` may change more than the content of elements."""
    documents = [child for child in children if isinstance(child, Element) and child.name in DOCUMENT]
    if not documents:
        return False
    return any(map(is_dynamic, children)) or any(document.broken and document.name == "html" for document in documents)


class _Builder:
    """Collects one fragment: `chunks` its marked HTML, `skeleton` the same without values."""

    def __init__(self, where: str, namespace: int) -> None:
        self.where = where
        self.namespace = namespace
        self.chunks: list[str | int] = []
        self.skeleton: list[str] = []
        self.parts: list[Part] = []
        self.anchors: list[Anchor] = []
        self.steps: list[Step] = []

    def build(self, children: list[Content], *, inner: bool = False, row: bool = False) -> Program:
        shape = _row_shape(children) if row else None
        # A row needs marks around a block: the row marks of an inner loop would be taken for the
        # outer one's.
        whole = inner and shape is None and ((_is_sole(children) and not row) or _is_text_run(children))
        if whole:
            self._sole(children, self.namespace)
        else:
            self._contents(children, self.namespace, rooted=shape is not None)
        fragment = Fragment(
            tuple(self.parts),
            _joined(self.chunks),
            tuple(self.anchors),
            "".join(self.skeleton),
            shape,
            whole,
            self.namespace,
            self.where,
        )
        return Program(fragment, self.steps)

    # Content

    def _contents(self, contents: Sequence[Content], namespace: int, *, rooted: bool = False) -> None:
        for content in contents:
            match content:
                case Static():
                    self._static(content.text)
                case Element():
                    self._element(content, namespace, rooted)
                case Blocks(node=Node(is_scope=True)):
                    with self._scope(content.node):
                        self._contents(content.bodies[0], namespace, rooted=rooted)
                case Node(has_output=False):
                    self.steps.append(EffectStep(content))
                case _:
                    self._anchored(content, namespace)

    def _anchored(self, content: Content, namespace: int) -> None:
        """A content part between two comments."""
        self._static(OPEN)
        self.anchors.append(self._part_of(content, namespace))
        self._static(CLOSE)

    def _sole(self, contents: list[Content], namespace: int) -> int:
        """One part that is all there is in an element or fragment."""
        if _is_text_run(contents):
            return self._leaf(Part(TEXT, line=self.where), contents)
        for content in contents:
            if isinstance(content, Node) and not content.has_output:
                self.steps.append(EffectStep(content))
            elif isinstance(content, Blocks) and content.node.is_scope:
                with self._scope(content.node):
                    return self._sole(content.bodies[0], namespace)
            else:
                return self._part_of(content, namespace)
        raise ValueError(f"{contents!r} has no output.")

    def _part_of(self, content: Content, namespace: int) -> int:
        match content:
            case Blocks(node=node) if node.part == LOOP:
                return self._loop(node, content.bodies, namespace)
            case Blocks(node=node):
                arms = [_program(body, node.location, namespace) for body in content.bodies]
                return self._step(Part(BRANCH, line=node.location), lambda index: BranchStep(index, node, arms))
            case Node(makes_blocks=False) if content.part == BRANCH:
                return self._step(Part(BRANCH, line=content.location), lambda index: BranchStep(index, content, []))
            case _:
                where = content.location if isinstance(content, Node) and content.location else self.where
                return self._leaf(Part(TEXT, line=where), [content])

    def _loop(self, node: Node, bodies: list[list[Content]], namespace: int) -> int:
        if len(bodies) == 1:
            return self._rows(node, bodies[0], namespace)
        full = _Builder(node.location, namespace)
        full._rows(node, bodies[0], namespace)
        fragment = Fragment(tuple(full.parts), (0,), whole=True, namespace=namespace, where=node.location)
        arms = [Program(fragment, full.steps), _program(bodies[1], node.location, namespace)]
        return self._step(Part(BRANCH, line=node.location), lambda index: BranchStep(index, node, arms))

    def _rows(self, node: Node, body: list[Content], namespace: int) -> int:
        row = _program(body, node.location, namespace, row=True)
        key = _key_part(row.fragment)
        part = Part(LOOP, body=row.fragment, line=node.location)
        return self._step(part, lambda index: LoopStep(index, node, row, key))

    # Elements

    def _element(self, element: Element, namespace: int, rooted: bool) -> None:
        own, inside = spaces(element.name, namespace)
        content = _content_kind(element, own)
        stretch = _dynamic_stretch(element.start)
        marked = _has_mark(element.start, stretch)
        anchored = marked or rooted or content != "" or element.start.is_dynamic
        self._static(element.start.head if marked or not anchored else element.start.head + MARK)
        anchor = self._attributes(element.start, stretch, FOREIGN_NAMES if own else {})
        slot = len(self.anchors)
        if anchored:
            self.anchors.append(())
        if content == RAW:
            anchor.append(self._leaf(Part(RAW, element.name, line=self.where), element.children))
        elif content == TEXT:
            anchor.append(self._leaf(Part(TEXT, line=self.where), element.children, checked=False))
        elif content:
            anchor.append(self._sole(element.children, inside))
        else:
            self._contents(element.children, inside)
        if anchored:
            self.anchors[slot] = tuple(anchor)
        self._static(element.end)

    def _attributes(self, tag: StartTag, stretch: range, foreign: Mapping[str, str]) -> list[int]:
        if not tag.is_dynamic:
            self._static(text_of(tag.pieces)[len(tag.head) :])
            return []
        anchor = []
        for at, attribute in enumerate(tag.attributes):
            if at not in stretch:
                self._static(attribute.before)
                if has_nodes(attribute.value):
                    anchor.append(self._attribute(attribute, foreign))
                else:
                    self._static(text_of(attribute.pieces))
            elif at == stretch.start:
                self._static(attribute.before)
                anchor.append(self._leaf(*_tag_part(tag, stretch, foreign, self.where)))
        self._static(">" if _takes_rest(tag, stretch) else tag.end)
        return anchor

    def _attribute(self, attribute: Attribute, foreign: Mapping[str, str]) -> int:
        part = Part(ATTRIBUTE, foreign.get(attribute.key, attribute.key), line=self.where)
        self.chunks.append(f"{text_of(attribute.name)}{attribute.equals}{attribute.quote}")
        index = self._leaf(part, attribute.value)
        self.chunks.append(attribute.quote)
        return index

    # Parts and steps

    def _leaf(self, part: Part, pieces: Sequence[Content], *, checked: bool = True) -> int:
        return self._step(part, lambda index: LeafStep(index, part.kind, pieces, checked))

    def _step(self, part: Part, make: Callable[[int], Step]) -> int:
        index = len(self.parts)
        self.parts.append(part)
        self.chunks.append(index)
        self.steps.append(make(index))
        return index

    def _static(self, text: str) -> None:
        if text:
            self.chunks.append(text)
            self.skeleton.append(text)

    @contextmanager
    def _scope(self, node: Node) -> Iterator[None]:
        """While it is entered, the steps go into the scope of `node`."""
        outer, self.steps = self.steps, []
        yield
        outer.append(ScopeStep(node, self.steps))
        self.steps = outer


def _joined(chunks: list[str | int]) -> tuple[str | int, ...]:
    joined: list[str | int] = []
    for chunk in chunks:
        if isinstance(chunk, str) and joined and isinstance(joined[-1], str):
            joined[-1] += chunk
        elif chunk != "":
            joined.append(chunk)
    return tuple(joined)


def _key_part(row: Fragment) -> int | None:
    """The part that holds the key of a row: an attribute of its root element."""
    if row.shape is None or not row.anchors or isinstance(row.anchors[0], int):
        return None
    names = {row.parts[index].name: index for index in row.anchors[0] if row.parts[index].kind == ATTRIBUTE}
    return next((names[name] for name in KEY_ATTRIBUTES if name in names), None)


def _row_shape(children: Sequence[Content]) -> tuple[int, int] | None:
    """`(lead, trail)` if a loop's body is one element between white space, else None."""
    flat = list(_flat(children))
    elements = [index for index, child in enumerate(flat) if isinstance(child, Element)]
    if len(elements) != 1:
        return None
    before, after = flat[: elements[0]], flat[elements[0] + 1 :]
    if not all(isinstance(child, Static) and _white.match(child.text) for child in before + after):
        return None
    return _length(before), _length(after)


def _flat(children: Sequence[Content]) -> Iterator[Content]:
    for child in children:
        if isinstance(child, Blocks) and child.node.is_scope:
            yield from _flat(child.bodies[0])
        elif has_output(child):
            yield child


def _length(texts: Sequence[Content]) -> int:
    """The number of characters after parsing, where a line end is one character."""
    return sum(len(re.sub("\r\n?", "\n", text.text)) for text in texts if isinstance(text, Static))


# What an element's content is


def _content_kind(element: Element, space: int) -> str:
    """RAW, TEXT (one leaf of all children), "sole" (the only child is a part), or ""."""
    if not any(map(_has_parts, element.children)):
        return ""
    if element.name in RAW_TEXT and not space:
        return RAW
    if element.broken or element.name == "template" or _moves_rows(element) or _drops_line(element):
        return TEXT
    return "sole" if _is_sole(element.children) or _is_text_run(element.children) else ""


def _has_parts(content: Content) -> bool:
    if isinstance(content, Static):
        return False
    if isinstance(content, Element):
        return content.start.is_dynamic or any(map(_has_parts, content.children))
    return True


def _moves_rows(element: Element) -> bool:
    """Whether the browser would wrap the rows of a table's blocks in a section of its own."""
    if element.name != "table":
        return False
    blocks = [child for child in _flat(element.children) if isinstance(child, Blocks)]
    return any(isinstance(inner, Element) and inner.name == "tr" for b in blocks for body in b.bodies for inner in body)


def _drops_line(element: Element) -> bool:
    """Whether a parser may drop a line break at the start of a part, as after `<pre>`."""
    if element.name not in ("pre", "listing") or _is_text_run(element.children):
        return False
    return isinstance(next(_flat(element.children), None), Node | Blocks) and not isinstance(
        element.children[0], Static
    )


def _is_sole(children: Sequence[Content]) -> bool:
    """Whether one content part is all there is."""
    shown = list(filter(has_output, children))
    if len(shown) != 1 or children[-1] is not shown[0]:
        return False
    only = shown[0]
    if isinstance(only, Blocks) and only.node.is_scope:
        return _is_sole(only.bodies[0]) or _is_text_run(only.bodies[0])
    return not isinstance(only, Static | Element)


def _is_text_run(children: Sequence[Content]) -> bool:
    """Whether the content is short text with variables in it, which one text part can show."""
    if not all(_is_text(child) for child in children):
        return False
    static = sum(len(child.text) for child in children if isinstance(child, Static))
    return static <= SHORT_TEXT and any(not isinstance(child, Static) for child in children)


def _is_text(content: Content) -> bool:
    match content:
        case Static():
            return "<" not in content.text
        case Node():
            return content.is_inline
        case Blocks(node=Node(is_choice=True)):
            return all(_is_text(inner) for body in content.bodies for inner in body)
    return False


# Start tags


def _has_mark(tag: StartTag, stretch: range) -> bool:
    """Whether a static attribute of the author's looks like a mark: then it is one."""
    if not tag.is_dynamic:
        return _mark.search(text_of(tag.pieces)) is not None
    static = [a for at, a in enumerate(tag.attributes) if at not in stretch and not has_nodes(a.value)]
    return any(attribute.key == MARK.strip() for attribute in static)


def _dynamic_stretch(tag: StartTag) -> range:
    """The attributes that become one part of kind TAG; none in most tags.

    Those with a dynamic name, with a dynamic value that is not quoted, or with the name of an
    earlier one; what stands between these; and what these may set as well, because the first of
    equal names counts.
    """
    attributes = tag.attributes
    names = [attribute.key for attribute in attributes]
    inside = [
        at
        for at, attribute in enumerate(attributes)
        if has_nodes(attribute.name) or _is_unquoted(attribute) or names[at] in names[:at]
    ]
    if not inside:
        return range(0)
    start, end = inside[0], inside[-1] + 1
    if any(map(_is_unquoted, attributes)):
        return range(start, len(attributes))  # an empty value takes what follows for its value
    pieces = [piece for attribute in attributes[start:end] for piece in (Static(" "), *attribute.pieces)]
    names_set = attribute_names(written(pieces))
    unknown = any("\0" in name for name in names_set)
    for at in range(end, len(attributes)):
        is_set = names[at] in names_set or (unknown and names[at] not in KEY_ATTRIBUTES[:2])
        if is_set and has_nodes(attributes[at].value):
            end = at + 1
    return range(start, end)


def _is_unquoted(attribute: Attribute) -> bool:
    return not attribute.quote and has_nodes(attribute.value)


def _takes_rest(tag: StartTag, stretch: range) -> bool:
    """Whether the stretch reaches to the end of the tag."""
    return any(_is_unquoted(tag.attributes[at]) for at in stretch)


def _tag_part(tag: StartTag, stretch: range, foreign: Mapping[str, str], where: str) -> tuple[Part, list[Node]]:
    """The part of a stretch, and what it shows."""
    before, after = tag.attributes[: stretch.start], tag.attributes[stretch.stop :]
    inside = [piece for at in stretch for piece in (Static(tag.attributes[at].before), *tag.attributes[at].pieces)]
    rest = tag.end[:-1] if _takes_rest(tag, stretch) else ""
    fallback = {a.key: attribute_text(text_of(a.value)) for a in reversed(after) if not has_nodes(a.value)}
    names = [attribute.key for attribute in (*before, *after)]
    part = Part(
        TAG,
        "svg" if foreign else "",
        None,
        frozenset(attribute.key for attribute in before),
        tuple(fallback.items()),
        tuple(dict.fromkeys(foreign.get(name, name) for name in names)),
        where,
    )
    return part, merged([*inside[1:], Static(rest)])
