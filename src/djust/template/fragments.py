"""Trees of markup → fragments with numbered parts, and the steps that fill them.

Example: the tree of `<b class="{{ a }}">{{ b }}</b>` becomes the fragment with chunks `('<b dj class="', 0, '">', 1,
'</b>')`, anchors `((0, 1),)`, and two leaf steps.

`page_program` makes the program of a whole template, `program` of one arm or loop body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

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
from djust.template.markup import Tree
from djust.template.nodes import (
    Blocks,
    BranchStep,
    Call,
    Content,
    DynamicInclude,
    EffectStep,
    Element,
    For,
    If,
    InclusionTag,
    Item,
    LeafStep,
    LoopStep,
    Program,
    Scoped,
    ScopeStep,
    Sentence,
    SimpleTag,
    Static,
    StaticUrl,
    Step,
    Text,
    Url,
    bodies,
    is_silent,
)

# Text around variables that may be sent again with them; one part instead of several, and no comments.
SHORT_TEXT = 80
KEY_ATTRIBUTES = ("dj-key", "data-key", "key", "id")

_FIRST_PLACEHOLDER = 0xF0000  # a private plane: one character stands for one item of a tag
_unit = re.compile(r"""([^\s"'>/=][^\s>/=]*)(?:(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+))?""")
_mark = re.compile(rf"(?<!\S){MARK.strip()}(?=[\s=/>])", re.IGNORECASE)
_white = re.compile(r"[ \t\n\r\f]*\Z")


def page_program(tree: Tree, where: str) -> Program:
    """The program of a template's root fragment."""
    if tree.balanced and not _is_broken_document(tree.children):
        return _Builder(where, 0).build(tree.children)
    # The whole document is one region.
    fragment = Fragment((Part(TEXT, line=where),), (0,), whole=True, where=where)
    return Program(fragment, [LeafStep(0, TEXT, tree.children, checked=False)])


def included_program(tree: Tree, where: str) -> Program:
    """The program of a template that another one includes under a name known only at run time."""
    if tree.balanced:
        return program(tree.children, where, 0)
    fragment = Fragment((Part(TEXT, line=where),), (0,), whole=True, where=where)
    return Program(fragment, [LeafStep(0, TEXT, tree.children, checked=False)])


def program(children: list[Content], where: str, namespace: int, *, row: bool = False) -> Program:
    """The program of an arm of a branch, of an included template, or of a loop's body."""
    return _Builder(where, namespace).build(children, inner=True, row=row)


def _is_broken_document(children: Sequence[Content]) -> bool:
    """Whether something in or beside `<html>` may make more of the document than the content of its elements."""
    documents = [child for child in children if isinstance(child, Element) and child.name in DOCUMENT]
    if not documents:
        return False
    beside = any(not isinstance(child, Static | Element) and not is_silent(child) for child in children)
    return beside or any(document.broken and document.name == "html" for document in documents)


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
        # A row needs marks around a block: the row marks of an inner loop would be taken for the outer one's.
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
                case Scoped():
                    with self._scoped(content):
                        self._contents(content.children, namespace, rooted=rooted)
                case _ if is_silent(content):
                    self._effect(content)
                case _:
                    self._anchored(content, namespace)

    def _effect(self, content: Content) -> None:
        assert not isinstance(content, Element | Blocks | Scoped), "only items are silent"
        self.steps.append(EffectStep(content))

    def _anchored(self, content: Content, namespace: int) -> None:
        """A content part between two comments."""
        self._static(OPEN)
        self.anchors.append(self._part_of(content, namespace))
        self._static(CLOSE)

    def _sole(self, contents: list[Content], namespace: int) -> int:
        """One part that is all there is in an element or fragment."""
        if _is_text_run(contents):
            return self._leaf(Part(TEXT, line=self.where), contents)
        content = next(child for child in contents if not is_silent(child))
        for silent in contents[: contents.index(content)]:
            self._effect(silent)
        if isinstance(content, Scoped):
            with self._scoped(content):
                return self._sole(content.children, namespace)
        return self._part_of(content, namespace)

    def _part_of(self, content: Content, namespace: int) -> int:
        match content:
            case Blocks(item=If() as item):
                arms = [program(body, item.line, namespace) for body in content.bodies]
                return self._step(Part(BRANCH, line=item.line), lambda index: BranchStep(index, item, arms))
            case Blocks(item=For() as item):
                return self._loop(item, content.bodies, namespace)
            case DynamicInclude() | InclusionTag():
                return self._step(Part(BRANCH, line=content.line), lambda index: BranchStep(index, content, []))
            case _:
                return self._leaf(Part(TEXT, line=getattr(content, "line", self.where)), [content])

    def _loop(self, item: For, bodies: list[list[Content]], namespace: int) -> int:
        if item.empty is None:
            return self._rows(item, bodies[0], namespace)
        full = _Builder(item.line, namespace)
        full._rows(item, bodies[0], namespace)
        fragment = Fragment(tuple(full.parts), (0,), whole=True, namespace=namespace, where=item.line)
        arms = [Program(fragment, full.steps), program(bodies[1], item.line, namespace)]
        return self._step(Part(BRANCH, line=item.line), lambda index: BranchStep(index, item, arms))

    def _rows(self, item: For, body: list[Content], namespace: int) -> int:
        row = program(body, item.line, namespace, row=True)
        key = _key_part(row.fragment)
        part = Part(LOOP, body=row.fragment, line=item.line)
        return self._step(part, lambda index: LoopStep(index, item, row, key))

    # Elements

    def _element(self, element: Element, namespace: int, rooted: bool) -> None:
        own, inside = spaces(element.name, namespace)
        head, attributes = _start_tag(element, own)
        content = _content_kind(element, own)
        # An attribute of the author's that looks like a mark is one.
        marked = any(isinstance(a, str) and _mark.search(a) for a in attributes)
        anchored = marked or rooted or content != "" or any(not isinstance(a, str) for a in attributes)
        self._static(head if marked or not anchored else head + MARK)
        anchor = self._attributes(attributes)
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

    def _attributes(self, attributes: Sequence[str | _Attribute | _Tag]) -> list[int]:
        anchor = []
        for attribute in attributes:
            if isinstance(attribute, str):
                self._static(attribute)
            elif isinstance(attribute, _Attribute):
                self.chunks.append(f"{attribute.source}{attribute.equals}{attribute.quote}")
                anchor.append(self._leaf(Part(ATTRIBUTE, attribute.name, line=self.where), attribute.pieces))
                self.chunks.append(attribute.quote)
            else:
                part = Part(
                    TAG, attribute.space, None, attribute.taken, attribute.fallback, attribute.others, self.where
                )
                anchor.append(self._leaf(part, attribute.pieces))
        return anchor

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

    def _scoped(self, content: Scoped) -> _ScopedSteps:
        return _ScopedSteps(self, content)


class _ScopedSteps:
    """While it is entered, the builder's steps go into a scope."""

    def __init__(self, builder: _Builder, content: Scoped) -> None:
        self.builder, self.content = builder, content

    def __enter__(self) -> None:
        self.outer, self.builder.steps = self.builder.steps, []

    def __exit__(self, *exc: object) -> None:
        self.outer.append(ScopeStep(self.content.item, self.builder.steps))
        self.builder.steps = self.outer


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
        if isinstance(child, Scoped):
            yield from _flat(child.children)
        elif not is_silent(child):
            yield child


def _length(texts: Sequence[Content]) -> int:
    """The number of characters after parsing, where a line end is one character."""
    return sum(len(re.sub("\r\n?", "\n", text.text)) for text in texts if isinstance(text, Static))


# What an element's content is


def _content_kind(element: Element, space: int) -> str:
    """RAW, TEXT (one leaf of all children), "sole" (the only child is a part), or "" (ordinary content)."""
    if not any(_is_dynamic(child) for child in element.children):
        return ""
    if element.name in RAW_TEXT and not space:
        return RAW
    if element.broken or element.name == "template" or _moves_rows(element) or _drops_line(element):
        return TEXT
    return "sole" if _is_sole(element.children) or _is_text_run(element.children) else ""


def _is_dynamic(content: Content) -> bool:
    if isinstance(content, Static):
        return False
    if isinstance(content, Element):
        return any(not isinstance(piece, Static) for piece in content.start) or any(map(_is_dynamic, content.children))
    return True


def _moves_rows(element: Element) -> bool:
    """Whether the browser would wrap the rows of a table's blocks in a section of its own."""
    if element.name != "table":
        return False
    blocks = [child for child in _flat(element.children) if isinstance(child, Blocks)]
    return any(isinstance(inner, Element) and inner.name == "tr" for b in blocks for body in b.bodies for inner in body)


def _drops_line(element: Element) -> bool:
    """Whether a parser may drop a line break at the start of what is dynamic, as it does after `<pre>`."""
    if element.name not in ("pre", "listing") or _is_text_run(element.children):
        return False
    return isinstance(next(_flat(element.children), None), Item | Blocks) and not isinstance(
        element.children[0], Static
    )


def _is_sole(children: Sequence[Content]) -> bool:
    """Whether one content part is all there is."""
    loud = [child for child in children if not is_silent(child)]
    if len(loud) != 1 or not children or children[-1] is not loud[0]:
        return False
    only = loud[0]
    if isinstance(only, Scoped):
        return _is_sole(only.children) or _is_text_run(only.children)
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
        case Text() | Url() | StaticUrl() | SimpleTag() | Sentence() | Call(inline=True):
            return not is_silent(content)
        case Blocks(item=If()):
            return all(_is_text(inner) for body in content.bodies for inner in body)
    return False


# Start tags


@dataclass(slots=True, eq=False)
class _Attribute:
    """An attribute whose quoted value is dynamic. `source`: its name as the template writes it."""

    name: str
    source: str
    equals: str
    quote: str
    pieces: list[Item]


@dataclass(slots=True, eq=False)
class _Tag:
    """A stretch of a start tag that is dynamic outside attribute values. `space`: not empty in SVG and MathML."""

    space: str
    pieces: list[Item]
    taken: frozenset[str]
    fallback: tuple[tuple[str, str], ...]
    others: tuple[str, ...]


def _start_tag(element: Element, space: int) -> tuple[str, list[str | _Attribute | _Tag]]:
    """`("<name", rest)` of a start tag, the rest as static text and dynamic attributes."""
    items: list[Item] = []
    text = ""
    for piece in element.start:
        if isinstance(piece, Static):
            text += piece.text
        else:
            text += chr(_FIRST_PLACEHOLDER + len(items))
            items.append(piece)
    head = text[: len(element.name) + 1]
    if not items:
        return head, [text[len(head) :]]
    return head, _split_tag(text[len(head) :], items, FOREIGN_NAMES if space else {})


def _split_tag(text: str, items: list[Item], foreign: Mapping[str, str]) -> list[str | _Attribute | _Tag]:
    units = list(_unit.finditer(text))
    names = [u.group(1).lower() for u in units]
    loose = [u for at, u in enumerate(units) if _is_loose(u, len(items)) or names[at] in names[:at]]
    start, end = (loose[0].start(), loose[-1].end()) if loose else (len(text), len(text))
    if any(_is_unquoted(u, len(items)) for u in loose):
        end = text.rindex(">")  # an empty value takes what follows for its value
    written = {u.group(1).lower() for u in _unit.finditer(_written(_pieces(text[start:end], items)))}
    for unit, name in zip(units, names, strict=True):
        # The first of equal names counts: what the stretch may set as well belongs to it.
        unknown = any("\0" in other for other in written) and name not in KEY_ATTRIBUTES[:2]
        if unit.start() >= end and (unknown or name in written) and _has_items(unit.group(3) or "", len(items)):
            end = unit.end()
    parts: list[str | _Attribute | _Tag] = []
    position = 0
    for unit in units:
        if unit.start() >= start and unit.end() <= end:
            if unit.start() == start:
                parts += (text[position:start], _tag(text, units, start, end, items, foreign))
                position = end
        elif _has_items(unit.group(3) or "", len(items)):
            value = unit.group(3)
            parts += (
                text[position : unit.start()],
                _Attribute(
                    foreign.get(unit.group(1).lower(), unit.group(1).lower()),
                    unit.group(1),
                    unit.group(2),
                    value[0],
                    _pieces(value[1:-1], items),
                ),
            )
            position = unit.end()
    parts.append(text[position:])
    return parts


def _is_loose(unit: re.Match[str], count: int) -> bool:
    """Whether a name is dynamic, or a value without quotes."""
    return _has_items(unit.group(1), count) or _is_unquoted(unit, count)


def _is_unquoted(unit: re.Match[str], count: int) -> bool:
    value = unit.group(3) or ""
    return value[:1] not in ("'", '"') and _has_items(value, count)


def _written(items: Iterable[Item]) -> str:
    """What `items` write, with a NUL for everything that is dynamic."""
    return "".join(
        item.text if isinstance(item, Static) else " ".join(map(_written, bodies(item))) or "\0" for item in items
    )


def _tag(
    text: str, units: list[re.Match[str]], start: int, end: int, items: list[Item], foreign: Mapping[str, str]
) -> _Tag:
    before = frozenset(u.group(1).lower() for u in units if u.end() <= start)
    after = {
        u.group(1).lower(): attribute_text((u.group(3) or "").strip("\"'"))
        for u in reversed(units)
        if u.start() >= end and not _has_items(u.group(3) or "", len(items))
    }
    names = [u.group(1).lower() for u in units if u.end() <= start or u.start() >= end]
    others = tuple(dict.fromkeys(foreign.get(name, name) for name in names))
    return _Tag("svg" if foreign else "", _pieces(text[start:end], items), before, tuple(after.items()), others)


def _has_items(text: str, count: int) -> bool:
    return any(_FIRST_PLACEHOLDER <= ord(char) < _FIRST_PLACEHOLDER + count for char in text)


def _pieces(text: str, items: list[Item]) -> list[Item]:
    """`text` with the items that its placeholders stand for."""
    pieces: list[Item] = []
    for char in text:
        index = ord(char) - _FIRST_PLACEHOLDER
        if 0 <= index < len(items):
            pieces.append(items[index])
        elif pieces and isinstance(pieces[-1], Static):
            pieces[-1].text += char
        else:
            pieces.append(Static(char))
    return pieces
