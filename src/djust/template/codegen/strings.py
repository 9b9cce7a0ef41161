"""Output as a string: code that appends what items show to a list.

Attribute values, tags, raw text and regions are written so, and whole templates when they are rendered without marks.
`Output.text` writes items whose value may also stay plain, for text parts.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.template.base import FilterExpression
from django.template.defaulttags import FilterNode, SpacelessNode
from django.template.library import SimpleBlockNode
from django.template.loader_tags import IncludeNode

from djust.template.codegen.expressions import changed_by, is_native
from djust.template.codegen.scopes import Scopes, dictionary
from djust.template.codegen.source import Source
from djust.template.context import Names
from djust.template.lower import names_read
from djust.template.nodes import (
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
    Partial,
    Scoped,
    Sentence,
    Setting,
    SimpleTag,
    Static,
    StaticUrl,
    Text,
    Url,
    With,
)
from djust.template.tags import message_of

Tag = SimpleTag | InclusionTag | Capture | DynamicInclude | Call | Opaque


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
                    self.src.append(out, repr(content.text))
                case Text():
                    self.src.append(out, self._html(names, content))
                case Element():
                    self.write(names, content.start, out)
                    self.write(names, content.children, out)
                    if content.end:
                        self.src.append(out, repr(content.end))
                case Blocks() | Scoped():
                    self.write(names, [content.item], out)
                case If() | For() | IfChanged():
                    self._write_block(names, content, out)
                case With() | Inclusion() | Partial() | Block() | Setting():
                    with self.scopes.scope(names, content) as inner:
                        self.write(inner, content.body, out)
                case SimpleTag(silent=True):
                    called = self.settled(names, content, self.called(names, content))
                    self._assign_name(names, content.node.target_var, called)
                case Capture(silent=True):
                    captured = self.settled(names, content, self._captured(names, content))
                    self._assign_name(names, content.node.target_var, captured)
                case Sentence(silent=True):
                    self._assign_name(names, content.node.asvar, f"SafeString({self._sentence(names, content)})")
                case Call(silent=True) | Opaque(silent=True):
                    self.src.line(self._output(names, content))
                case _:
                    self.src.append(out, self._output(names, content))

    def _output(self, names: Names, item: Content) -> str:
        """The Python expression of an item's output."""
        match item:
            case Url() | StaticUrl() | SimpleTag():
                return f"escaped({self.text(names, item)})"
            case Sentence():
                return self._sentence(names, item)
            case Capture():
                return self.settled(names, item, self._captured(names, item))
            case InclusionTag():
                data = self.called(names, item)
                code = f"include_tag_html({names.context}, {self.src.constant(item.node)}, {data})"
                return self.settled(names, item, code)
            case Call() if (message := message_of(item)) is not None:
                self.scopes.comment(item)
                return f"escaped(translated({message!r}))"
            case DynamicInclude():
                return self.settled(names, item, f"include_html({self.included(names, item)})")
            case Call() | Opaque():
                self.scopes.comment(item)
                index = f", {item.index}" if isinstance(item, Opaque) and item.index else ""
                code = f"rendered({names.context}, {self.src.constant(item.node)}{index})"
                return self.settled(names, item, code)
        raise TypeError(f"{item!r} has no output of its own")

    def settled(self, names: Names, item: Tag, code: str) -> str:
        """`code`; the name of its result where `item` is given the context and may change how text is shown."""
        if not (isinstance(item, Opaque | DynamicInclude) or getattr(item.node, "takes_context", False)):
            return code
        result = self.scopes.assign(code)
        self.scopes.settings(names)
        return result

    def _html(self, names: Names, item: Text) -> str:
        self.scopes.comment(item)
        return self.expressions.text(names, item.expression, "escaped({})", f"as_html({names.context}, plain, {{}})")

    def _write_block(self, names: Names, item: If | For | IfChanged, out: str) -> None:
        match item:
            case If():
                self.scopes.choose(names, item, lambda arm: self.write(names, item.arms[arm][1], out))
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
        if compared:
            self.src.line(f"{found} = [{', '.join(compared)}]")
            self.src.line(f"if {found} != {frame}[{node}]:")
            with self.src.indented():
                self.src.line(f"{frame}[{node}] = {found}")
                self.write(names, item.body, out)
        else:
            shown = self._twice(names, item.body, found, f"{frame}[{node}]")
            self.src.line(f"if {found}:")
            with self.src.indented():
                self.src.append(out, shown)
        if item.empty:
            self.src.line("else:")
            with self.src.indented():
                self.write(names, item.empty, out)

    def _twice(self, names: Names, items: Sequence[Item], found: str, last: str) -> str:
        """Write code that makes `found` tell whether the output of `items` is not equal to `last`; returns the output.

        When it is empty, Django renders a second time, and what counts or has a state may then show something.
        """
        shown, attempt = self.src.temporary("s"), self.src.temporary("n")
        self.src.line(f"for {attempt} in (1, 2):")
        with self.src.indented():
            self.src.line(f"{shown} = {self._string(names, items)}")
            self.src.line(f"if {attempt} == 1: {found}, {last} = {shown} != {last}, {shown}")
            self.src.line(f"if {shown} or not {found}: break")
        return shown

    def _string(self, names: Names, items: Sequence[Item]) -> str:
        """Write code for the output of `items` as one safe string; returns its name."""
        out, result, place = self.src.temporary("o"), self.src.temporary("s"), self.src.place
        self.src.line(f"{out} = []")
        self.write(names, items, out)
        self.src.comment(place)
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
                context, node = names.context, item.node
                args, kwargs = self._list(names, node.args), self._dict(names, node.kwargs)
                given = self.scopes.assign(f"{args}, {kwargs}")  # before the content, as in Django
                content = f"{context}, " * bool(node.takes_context) + self._string(names, item.body)
                result = f"{self.src.constant(node.func)}({content}, *{given}[0], **{given}[1])"
                return result if item.silent else f"escaped(tag_output({context}, {result}))"
        entry, result = self.src.temporary("entry"), self.src.temporary("s")
        self.src.line(f"{entry} = cache_entry({names.context}, {self.src.constant(item.node)})")
        self.src.line(f"{result} = {entry}.value")
        self.src.line(f"if {result} is None:")
        with self.src.indented():
            self.src.line(f"{result} = {entry}.store({self._string(names, item.body)})")
        return result

    def included(self, names: Names, item: DynamicInclude) -> str:
        """Write what an include names and binds; returns the arguments for who renders it."""
        self.scopes.comment(item)
        node, context = item.node, names.context
        if not isinstance(node, IncludeNode):
            return f"{context}, {self.src.constant(node.partial_mapping[node.partial_name])}"
        name = self._resolved(names, node.template)
        template = self.scopes.assign(f"included({context}, {self.src.constant(node)}, {name})")
        values = {name: self._resolved(names, value) for name, value in node.extra_context.items()}
        return f"{context}, {template}, {dictionary(values)}, {node.isolated_context}"

    def _resolved(self, names: Names, expression: FilterExpression) -> str:
        if is_native(expression):
            return self.expressions.value(names, expression)
        return f"{self.src.constant(expression)}.resolve({names.context})"

    def called(self, names: Names, item: SimpleTag | InclusionTag) -> str:
        """The call of the function of a `simple_tag` or `inclusion_tag`."""
        self.scopes.comment(item)
        node = item.node
        arguments = [names.context] if node.takes_context else []
        arguments.extend(self.expressions.value(names, e) for e in node.args)
        if node.kwargs:
            arguments.append(f"**{self._dict(names, node.kwargs)}")
        return f"{self.src.constant(node.func)}({', '.join(arguments)})"

    def _assign_name(self, names: Names, name: str, value: str) -> None:
        self.src.line(f"{names.context}[{name!r}] = {value}")

    def _write_for(self, names: Names, item: For, out: str) -> None:
        sequence = self.scopes.sequence(names, item)
        self.scopes.rounds(names, item, sequence, lambda inner: self.write(inner, item.body, out))
        if item.empty:
            self.src.line(f"if {sequence} is EMPTY:")
            with self.src.indented(), self.scopes.empty(names, item) as inner:
                self.write(inner, item.empty, out)

    def text(self, names: Names, item: Content, *, checked: bool = False) -> str:
        """The Python expression of the value of a text-like item."""
        match item:
            case Text():
                self.scopes.comment(item)
                text = f"as_text({names.context}, plain, {{}})"
                text = f"balanced({text}, {self.src.constant(item)})" if checked else text
                return self.expressions.text(names, item.expression, "{}", text)
            case Url():
                self.scopes.comment(item)
                args = self._list(names, item.args)
                kwargs = self._dict(names, item.kwargs)
                view = self.expressions.value(names, item.view_name)
                return f"url({names.context}, {args}, {kwargs}, {view})"
            case StaticUrl():
                self.scopes.comment(item)
                path = self.expressions.value(names, item.path)
                return f"static_url({names.context}, {self.src.constant(item.node)}, {path})"
            case SimpleTag():
                output = self.settled(names, item, f"tag_output({names.context}, {self.called(names, item)})")
                return f"balanced({output}, {self.src.constant(item)})" if checked else output
            case Call() if (message := message_of(item)) is not None:
                self.scopes.comment(item)
                return f"translated({message!r})"
            case Sentence():
                output = f"source({self._sentence(names, item)})"
                return f"balanced({output}, {self.src.constant(item)})" if checked else output
            case Call():
                self.scopes.comment(item)
                return f"source(rendered({names.context}, {self.src.constant(item.node)}))"
        raise TypeError(f"{item!r} is not text")

    def _sentence(self, names: Names, item: Sentence) -> str:
        """Write `{% blocktranslate %}`; returns the name of its HTML."""
        self.scopes.comment(item)
        src, assign, node = self.src, self.scopes.assign, item.node
        about = self._assigned(names, node.message_context) if node.message_context else "''"
        inner = names.bind({name: self._assigned(names, value) for name, value in node.extra_context.items()})
        if item.plural is not None:
            counter = self.expressions.value(inner, node.counter)
            count = assign(f"number({src.constant(node)}, {counter})")
            inner = inner.bind({node.countervar: count})
            form = assign(f"plural({about}, {item.singular!r}, {item.plural!r}, {count})")
        elif about.startswith("t"):
            form = assign(f"singular({about}, {item.singular!r})")
        else:
            form = assign(f"translated(({about}, {item.singular!r}))")
        shown = dictionary({name: self._stored(inner, name) for name in item.variables})
        result, read = src.temporary("s"), names_read([item])
        src.line(f"try: {result} = {form} % {shown}")
        src.line("except (KeyError, ValueError):")
        with src.indented():
            local = dictionary({name: code for name, code in names.local.items() if name in read})
            src.line(f"{result} = untranslated({names.context}, {src.constant(node)}, {local})")
        return result

    def _assigned(self, names: Names, expression: FilterExpression) -> str:
        """Write an expression; returns a name, or a literal, that holds its value."""
        found = self.expressions.value(names, expression)
        return found if not expression.is_var and not expression.filters else self.scopes.assign(found)

    def _stored(self, names: Names, name: str) -> str:
        """Write the text of a variable in a sentence, which is not called; returns the expression of its HTML."""
        missing = self.expressions.invalid
        missing = missing % name if "%s" in missing else missing
        found = names.local.get(name) or f"stored({names.context}, {name!r}, {missing!r})"
        return self.scopes.assign(f"as_html({names.context}, plain, {found})")

    def _list(self, names: Names, expressions: list[FilterExpression]) -> str:
        return f"[{', '.join(self.expressions.value(names, e) for e in expressions)}]"

    def _dict(self, names: Names, expressions: dict[str, FilterExpression]) -> str:
        pairs = [f"{key!r}: {self.expressions.value(names, e)}" for key, e in expressions.items()]
        return f"{{{', '.join(pairs)}}}"


def is_text(piece: Content) -> bool:
    """Whether `_text` can write `piece`."""
    if isinstance(piece, Static | Text | Url | StaticUrl):
        return True
    if isinstance(piece, SimpleTag | Sentence):
        return not piece.silent
    return isinstance(piece, Call) and piece.inline and not piece.silent
