"""Output as a string: code that appends what items show to a list.

Attribute values, tags, raw text and regions are written so, and whole templates when they are rendered without marks.
`Output.text` writes items whose value may also stay plain, for text parts.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.template.base import FilterExpression
from django.template.defaulttags import FilterNode, SpacelessNode
from django.template.library import InclusionNode, SimpleBlockNode, SimpleNode

from djust.template.expressions import changed_by
from djust.template.parts import (
    RENDER_STATE,
    Block,
    Blocks,
    Call,
    Capture,
    Content,
    DynamicInclude,
    Element,
    For,
    If,
    IfChanged,
    Inclusion,
    InclusionTag,
    Item,
    Opaque,
    Scoped,
    Setting,
    SimpleTag,
    Static,
    StaticUrl,
    Text,
    Url,
    With,
    needs_of,
)
from djust.template.scope import Names
from djust.template.scopes import Scopes
from djust.template.source import Source
from djust.template.tags import message_of


class Output:
    """Writes into `src`; `scopes` writes the blocks around."""

    def __init__(self, src: Source, scopes: Scopes) -> None:
        self.src = src
        self.scopes = scopes
        self.expressions = scopes.expressions

    def write(self, names: Names, contents: Sequence[Content], out: str) -> None:
        """Write code that appends the output of `contents` to the list `out`. Silent ones append nothing."""
        for content in contents:
            match content:
                case Static():
                    self.src.line(f"{out}.append({content.text!r})")
                case Element():
                    self.write(names, content.start, out)
                    self.write(names, content.children, out)
                    if content.end:
                        self.src.line(f"{out}.append({content.end!r})")
                case Blocks() | Scoped():
                    self.write(names, [content.item], out)
                case If() | For() | IfChanged():
                    self._write_block(names, content, out)
                case With() | Inclusion() | Block() | Setting():
                    with self.scopes.scope(names, content) as inner:
                        self.write(inner, content.body, out)
                case SimpleTag(silent=True):
                    self._assign_name(names, content.node.target_var, self.called(names, content))
                case Capture(silent=True):
                    self._assign_name(names, content.node.target_var, self._captured(names, content))
                case Call(silent=True) | Opaque(silent=True):
                    self.src.line(f"rendered({names.context}, {self.src.constant(content.node)})")
                case _:
                    self.src.line(f"{out}.append({self._output(names, content)})")

    def _output(self, names: Names, item: Content) -> str:
        """The Python expression of an item's output."""
        match item:
            case Text() | Url() | StaticUrl() | SimpleTag():
                return f"escaped({self.text(names, item)})"
            case Capture():
                return self._captured(names, item)
            case InclusionTag():
                data = self.called(names, item)
                return f"include_tag_html({names.context}, {self.src.constant(item.node)}, {data})"
            case Call() if (message := message_of(item)) is not None:
                self.scopes.comment(item)
                return f"escaped(translated({message!r}))"
            case Call() | Opaque() | DynamicInclude():
                self.scopes.comment(item)
                return f"rendered({names.context}, {self.src.constant(item.node)})"
        raise TypeError(f"{item!r} has no output of its own")

    def _write_block(self, names: Names, item: If | For | IfChanged, out: str) -> None:
        match item:
            case If():
                conditions = [condition for condition, _ in item.arms]
                self.scopes.choose(names, conditions, lambda arm: self.write(names, item.arms[arm][1], out))
            case For():
                self._write_for(names, item, out)
            case IfChanged():
                self._write_if_changed(names, item, out)

    def _write_if_changed(self, names: Names, item: IfChanged, out: str) -> None:
        self.scopes.comment(item)
        node, frame, found = self.src.constant(item.node), self.src.temporary("frame"), self.src.temporary("found")
        local = names.local.get("forloop")
        self.src.line(f"{frame} = {local or f'changed_frame({names.context})'}")
        self.src.line(f"{frame}.setdefault({node})")
        compared = [self.expressions.value(names, e, ignore_failures=True) for e in changed_by(item.node)]
        shown = found
        if compared:
            self.src.line(f"{found} = [{', '.join(compared)}]")
        elif RENDER_STATE in needs_of(item.body):
            shown = self._twice(names, item.body, found, f"{frame}[{node}]")
        else:
            self.src.line(f"{found} = {self._string(names, item.body)}")
        self.src.line(f"if {found} != {frame}[{node}]:")
        with self.src.indented():
            self.src.line(f"{frame}[{node}] = {found}")
            if compared:
                self.write(names, item.body, out)
            else:
                self.src.line(f"{out}.append({shown})")
        if item.empty:
            self.src.line("else:")
            with self.src.indented():
                self.write(names, item.empty, out)

    def _twice(self, names: Names, items: Sequence[Item], found: str, last: str) -> str:
        """Write code for `found`, the output of `items`, and for what is shown if it is not equal to `last`.

        When nothing was shown, Django renders a second time, and tags with a state may then show something.
        """
        shown, attempt = self.src.temporary("s"), self.src.temporary("n")
        self.src.line(f"for {attempt} in (1, 2):")
        with self.src.indented():
            self.src.line(f"{shown} = {self._string(names, items)}")
            self.src.line(f"if {attempt} == 1: {found} = {shown}")
            self.src.line(f"if {shown} or {found} == {last}: break")
        return shown

    def _string(self, names: Names, items: Sequence[Item]) -> str:
        """Write code for the output of `items` as one safe string; returns its name."""
        out, result = self.src.temporary("o"), self.src.temporary("s")
        self.src.line(f"{out} = []")
        self.write(names, items, out)
        self.src.line(f"{result} = SafeString(''.join({out}))")
        return result

    def _captured(self, names: Names, item: Capture) -> str:
        """Write a block whose output is changed as a string; returns the name of the result."""
        self.scopes.comment(item)
        match item.node:
            case FilterNode():
                content = self._string(names, item.body)
                return self.expressions.value(names.bind({"var": content}), item.node.filter_expr)
            case SpacelessNode():
                return self.scopes.assign(f"strip_spaces_between_tags({self._string(names, item.body)}.strip())")
            case SimpleBlockNode():
                arguments = self._arguments(names, item.node)
                arguments.insert(1 if item.node.takes_context else 0, self._string(names, item.body))
                result = self.scopes.assign(f"{self.src.constant(item.node.func)}({', '.join(arguments)})")
                return result if item.silent else self.scopes.assign(f"escaped(tag_output({names.context}, {result}))")
        entry, result = self.src.temporary("entry"), self.src.temporary("s")
        self.src.line(f"{entry} = cache_entry({names.context}, {self.src.constant(item.node)})")
        self.src.line(f"{result} = {entry}.value")
        self.src.line(f"if {result} is None:")
        with self.src.indented():
            self.src.line(f"{result} = {entry}.store({self._string(names, item.body)})")
        return result

    def _arguments(self, names: Names, node: SimpleNode | InclusionNode) -> list[str]:
        """Write the arguments of a `simple_tag` or `inclusion_tag`; returns their expressions."""
        positional = [self.expressions.value(names, e) for e in node.args]
        by_name = [(name, self.expressions.value(names, e)) for name, e in node.kwargs.items()]
        named = [f"**{{{', '.join(f'{name!r}: {value}' for name, value in by_name)}}}"] if by_name else []
        return [*([names.context] if node.takes_context else []), *positional, *named]

    def called(self, names: Names, item: SimpleTag | InclusionTag) -> str:
        self.scopes.comment(item)
        arguments = ", ".join(self._arguments(names, item.node))
        return self.scopes.assign(f"{self.src.constant(item.node.func)}({arguments})")

    def _assign_name(self, names: Names, name: str, value: str) -> None:
        self.src.line(f"{names.context}[{name!r}] = {value}")

    def _write_for(self, names: Names, item: For, out: str) -> None:
        sequence = self.scopes.sequence(names, item)
        self.scopes.rounds(names, item, sequence, lambda inner: self.write(inner, item.body, out))
        if item.empty:
            self.src.line(f"if not len({sequence}):")
            with self.src.indented(), self.scopes.empty(names, item) as inner:
                self.write(inner, item.empty, out)

    def text(self, names: Names, item: Content) -> str:
        """Write a text-like item; returns the name of its value."""
        match item:
            case Text():
                self.scopes.comment(item)
                found = self.expressions.value(names, item.expression)
                result = found
                if not found.startswith("t"):
                    result = self.src.temporary()
                    self.src.line(f"{result} = {found}")
                self.src.line(f"if type({result}) not in plain: {result} = text({names.context}, {result})")
                return result
            case Url():
                self.scopes.comment(item)
                view = self.expressions.value(names, item.view_name)
                args = self._list(names, item.args)
                kwargs = self._dict(names, item.kwargs)
                return self.scopes.assign(f"url({names.context}, {view}, {args}, {kwargs})")
            case StaticUrl():
                self.scopes.comment(item)
                path = self.expressions.value(names, item.path)
                return self.scopes.assign(f"static_url({names.context}, {self.src.constant(item.node)}, {path})")
            case SimpleTag():
                return self.scopes.assign(f"tag_output({names.context}, {self.called(names, item)})")
            case Call() if (message := message_of(item)) is not None:
                self.scopes.comment(item)
                return self.scopes.assign(f"translated({message!r})")
            case Call():
                self.scopes.comment(item)
                return self.scopes.assign(f"source(rendered({names.context}, {self.src.constant(item.node)}))")
        raise TypeError(f"{item!r} is not text")

    def _list(self, names: Names, expressions: list[FilterExpression]) -> str:
        return f"[{', '.join(self.expressions.value(names, e) for e in expressions)}]"

    def _dict(self, names: Names, expressions: dict[str, FilterExpression]) -> str:
        pairs = [f"{key!r}: {self.expressions.value(names, e)}" for key, e in expressions.items()]
        return f"{{{', '.join(pairs)}}}"


def is_text(piece: Content) -> bool:
    """Whether `_text` can write `piece`."""
    if isinstance(piece, Static | Text | Url | StaticUrl):
        return True
    return isinstance(piece, SimpleTag | Call) and not piece.silent and (isinstance(piece, SimpleTag) or piece.inline)
