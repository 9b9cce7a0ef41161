"""Output as a string: code that appends what nodes show to a list.

Attribute values, tags, raw text and regions are written so, and whole templates when they are
rendered without marks. `StringWriter.output` gives what one node shows, whose value may also stay
plain, for text parts.

What a node shows is written by the function for its class: in `OUTPUTS` if that is a Python
expression, in `BLOCKS` if it takes statements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.template.base import FilterExpression

from djust.template import nodes
from djust.template.codegen.expressions import is_native
from djust.template.codegen.scopes import ScopeWriter, dictionary
from djust.template.codegen.source import PythonSource
from djust.template.context import Names
from djust.template.nodes import Node, Static, names_read
from djust.template.tree import Content, Element


class Output(NamedTuple):
    """The Python expressions of what a node shows: as HTML, and as the value of a text part.

    `known` stands before `value`, for values that are certainly text; the others may be markup.
    """

    html: str
    value: str
    known: str = ""


def of_value(code: str) -> Output:
    """What shows the value of `code`."""
    return Output(f"escaped({code})", code)


def of_html(code: str) -> Output:
    """What shows the HTML that `code` gives."""
    return Output(code, f"source({code})")


class StringWriter:
    """Writes into `src`; `scopes` writes the blocks around."""

    def __init__(self, src: PythonSource, scopes: ScopeWriter) -> None:
        self.src = src
        self.scopes = scopes
        self.expressions = scopes.expressions

    def write(self, names: Names, contents: Sequence[Content], out: str) -> None:
        """Write code that appends the output of `contents`, if any, to the list `out`."""
        for content in contents:
            match content:
                case Static():
                    self.src.append(out, repr(content.text))
                case Element():
                    self.write(names, content.start.pieces, out)
                    self.write(names, content.children, out)
                    if content.end:
                        self.src.append(out, repr(content.end))
                case Node():
                    self._write_node(names, content, out)
                case _:
                    self._write_node(names, content.node, out)

    def _write_node(self, names: Names, node: Node, out: str) -> None:
        if (write := BLOCKS.get(type(node))) is not None:
            write(self, names, node, out)
        elif node.has_output:
            self.src.append(out, self.output(names, node).html)
        else:
            given = self.output(names, node).html
            self.src.line(f"{names.context}[{node.target!r}] = {given}" if node.target else given)

    def output(self, names: Names, node: Node) -> Output:
        """What `node` shows. Errors in the lines that are written are errors of its tag."""
        self.scopes.comment(node)
        return OUTPUTS[type(node)](self, names, node)

    def value(self, names: Names, node: Node, *, checked: bool = False) -> str:
        """The Python expression of the value of a text part that shows `node`.

        `checked`: it raises an error if the value opens or closes elements around it.
        """
        _, value, known = self.output(names, node)
        return f"{known}balanced({value}, {self.src.constant(node)})" if checked else f"{known}{value}"

    def _settled(self, names: Names, node: Node, code: str) -> str:
        """`code`; the name of its result where `node` may change how values are shown."""
        if not node.gets_context:
            return code
        result = self.scopes.assign(code)
        self.scopes.settings(names)
        return result

    # Variables and tags

    def _interpolation(self, names: Names, node: nodes.Interpolation) -> Output:
        guard, text, code = self.expressions.shown(names, node.expressions[0])
        html, value = f"as_html({names.context}, plain, {code})", f"as_text({names.context}, plain, {code})"
        if not guard:
            return Output(html, value)
        return Output(f"escaped({text}) if {guard} else {html}", value, f"{text} if {guard} else ")

    def _simple_tag(self, names: Names, node: nodes.SimpleTag) -> Output:
        called = self._called(names, node)
        if not node.has_output:
            return of_html(self._settled(names, node, called))
        return of_value(self._settled(names, node, f"tag_output({names.context}, {called})"))

    def _called(self, names: Names, node: Node) -> str:
        """The call of the function of a `simple_tag` or `inclusion_tag`."""
        tag = node.tag
        arguments = [names.context] if tag.takes_context else []
        arguments.extend(self.expressions.value(names, e) for e in tag.args)
        if tag.kwargs:
            arguments.append(f"**{self.dict_of(names, tag.kwargs)}")
        return f"{self.src.constant(tag.func)}({', '.join(arguments)})"

    # Translations

    def _block_translate(self, names: Names, node: nodes.BlockTranslate) -> Output:
        src, assign, tag = self.src, self.scopes.assign, node.tag
        about = self._assigned(names, tag.message_context) if tag.message_context else "''"
        inner = names.bind({name: self._assigned(names, value) for name, value in tag.extra_context.items()})
        if node.plural is not None:
            counter = self.expressions.value(inner, tag.counter)
            count = assign(f"number({src.constant(tag)}, {counter})")
            inner = inner.bind({tag.countervar: count})
            form = assign(f"plural({about}, {node.singular!r}, {node.plural!r}, {count})")
        elif about.startswith("t"):
            form = assign(f"singular({about}, {node.singular!r})")
        else:
            form = assign(f"translated(({about}, {node.singular!r}))")
        shown = dictionary({name: self._stored(inner, name) for name in node.variables})
        result, read = src.temporary("s"), names_read([node])
        src.line(f"try: {result} = {form} % {shown}")
        src.line("except (KeyError, ValueError):")
        with src.indented():
            local = dictionary({name: code for name, code in names.local.items() if name in read})
            src.line(f"{result} = untranslated({names.context}, {src.constant(tag)}, {local})")
        return of_html(result if node.has_output else f"SafeString({result})")

    def _assigned(self, names: Names, expression: FilterExpression) -> str:
        """Write an expression; returns a name, or a literal, that holds its value."""
        found = self.expressions.value(names, expression)
        return found if not expression.is_var and not expression.filters else self.scopes.assign(found)

    def _stored(self, names: Names, name: str) -> str:
        """Write a variable in a translation, which is not called; returns the name of its HTML."""
        missing = self.expressions.invalid
        missing = missing % name if "%s" in missing else missing
        found = names.local.get(name) or f"stored({names.context}, {name!r}, {missing!r})"
        return self.scopes.assign(f"as_html({names.context}, plain, {found})")

    # Includes

    def _included_html(self, names: Names, node: Node) -> Output:
        return of_html(self.included(names, node, "_html"))

    def included(self, names: Names, node: Node, kind: str = "") -> str:
        """Write an include or inclusion tag; returns what gives its fragment, or its HTML."""
        return self._settled(names, node, INCLUDES[type(node)](self, names, node, kind))

    def _include(self, names: Names, node: nodes.DynamicInclude, kind: str) -> str:
        tag, context = node.tag, names.context
        name = self._resolved(names, tag.template)
        template = self.scopes.assign(f"included({context}, {self.src.constant(tag)}, {name})")
        values = {name: self._resolved(names, value) for name, value in tag.extra_context.items()}
        return f"include{kind}({context}, {template}, {dictionary(values)}, {tag.isolated_context})"

    def _include_partial(self, names: Names, node: nodes.DynamicPartial, kind: str) -> str:
        partial = node.tag.partial_mapping[node.tag.partial_name]
        return f"include{kind}({names.context}, {self.src.constant(partial)})"

    def _include_tag(self, names: Names, node: nodes.InclusionTag, kind: str) -> str:
        data = self._called(names, node)
        return f"include_tag{kind}({names.context}, {self.src.constant(node.tag)}, {data})"

    def _resolved(self, names: Names, expression: FilterExpression) -> str:
        if is_native(expression):
            return self.expressions.value(names, expression)
        return f"{self.src.constant(expression)}.resolve({names.context})"

    # Blocks

    def _if_changed(self, names: Names, node: nodes.IfChanged, out: str) -> None:
        self.scopes.comment(node)
        tag, frame, found = self.src.constant(node.tag), self.src.temporary("frame"), self.src.temporary("found")
        body, otherwise = node.bodies
        local = names.local.get("forloop")
        self.src.line(f"{frame} = {local or f'changed_frame({names.context})'}")
        self.src.line(f"{frame}.setdefault({tag})")
        compared = [self.expressions.value(names, e, ignore_failures=True) for e in node.expressions]
        if compared:
            self.src.line(f"{found} = [{', '.join(compared)}]")
            self.src.line(f"if {found} != {frame}[{tag}]:")
            with self.src.indented():
                self.src.line(f"{frame}[{tag}] = {found}")
                self.write(names, body, out)
        else:
            shown = self._twice(names, body, found, f"{frame}[{tag}]")
            self.src.line(f"if {found}:")
            with self.src.indented():
                self.src.append(out, shown)
        if otherwise:
            self.src.line("else:")
            with self.src.indented():
                self.write(names, otherwise, out)

    def _twice(self, names: Names, body: Sequence[Node], found: str, last: str) -> str:
        """Write code by which `found` tells whether the output, which is returned, is not `last`.

        When it is empty, Django renders a second time, and what counts or has a state may then show
        something.
        """
        shown, attempt = self.src.temporary("s"), self.src.temporary("n")
        self.src.line(f"for {attempt} in (1, 2):")
        with self.src.indented():
            self.src.line(f"{shown} = {self._string(names, body)}")
            self.src.line(f"if {attempt} == 1: {found}, {last} = {shown} != {last}, {shown}")
            self.src.line(f"if {shown} or not {found}: break")
        return shown

    # Blocks that are taken as strings

    def _string(self, names: Names, body: Sequence[Node]) -> str:
        """Write code for the output of `body` as one safe string; returns its name."""
        out, result, location = self.src.temporary("o"), self.src.temporary("s"), self.src.location
        self.src.line(f"{out} = []")
        self.write(names, body, out)
        self.src.comment(location)
        self.src.line(f"{result} = SafeString(''.join({out}))")
        return result

    def _filter(self, names: Names, node: nodes.Filter) -> Output:
        content = names.bind({"var": self._string(names, node.bodies[0])})
        return of_html(self.expressions.value(content, node.inner[0]))

    def _spaceless(self, names: Names, node: nodes.Spaceless) -> Output:
        return of_html(self.scopes.assign(f"spaceless({self._string(names, node.bodies[0])})"))

    def _simple_block(self, names: Names, node: nodes.SimpleBlock) -> Output:
        context, tag = names.context, node.tag
        args, kwargs = self.list_of(names, tag.args), self.dict_of(names, tag.kwargs)
        given = self.scopes.assign(f"{args}, {kwargs}")  # before the content, as in Django
        content = f"{context}, " * bool(tag.takes_context) + self._string(names, node.bodies[0])
        result = f"{self.src.constant(tag.func)}({content}, *{given}[0], **{given}[1])"
        code = f"escaped(tag_output({context}, {result}))" if node.has_output else result
        return of_html(self._settled(names, node, code))

    def _cache(self, names: Names, node: nodes.Cache) -> Output:
        entry, result = self.src.temporary("entry"), self.src.temporary("s")
        self.src.line(f"{entry} = cache_entry({names.context}, {self.src.constant(node.tag)})")
        self.src.line(f"{result} = {entry}.value")
        self.src.line(f"if {result} is None:")
        with self.src.indented():
            self.src.line(f"{result} = {entry}.store({self._string(names, node.bodies[0])})")
        return of_html(result)

    def list_of(self, names: Names, expressions: list[FilterExpression]) -> str:
        return f"[{', '.join(self.expressions.value(names, e) for e in expressions)}]"

    def dict_of(self, names: Names, expressions: dict[str, FilterExpression]) -> str:
        pairs = [f"{key!r}: {self.expressions.value(names, e)}" for key, e in expressions.items()]
        return f"{{{', '.join(pairs)}}}"


def _url(writer: StringWriter, names: Names, node: nodes.Url) -> Output:
    args, kwargs = writer.list_of(names, node.tag.args), writer.dict_of(names, node.tag.kwargs)
    view = writer.expressions.value(names, node.tag.view_name)
    return of_value(f"url({names.context}, {args}, {kwargs}, {view})")


def _static_url(writer: StringWriter, names: Names, node: nodes.StaticUrl) -> Output:
    path = writer.expressions.value(names, node.tag.path)
    return of_value(f"static_url({names.context}, {writer.src.constant(node.tag)}, {path})")


def _rendered(writer: StringWriter, names: Names, node: nodes.Call) -> Output:
    return of_html(f"rendered({names.context}, {writer.src.constant(node.tag)})")


def _opaque(writer: StringWriter, names: Names, node: nodes.Opaque) -> Output:
    index = f", {node.index}" if node.index else ""
    return of_html(writer._settled(names, node, f"rendered({names.context}, {writer.src.constant(node.tag)}{index})"))


def _translation(writer: StringWriter, names: Names, node: nodes.Translation) -> Output:
    return of_value(f"translated({node.message!r})")


def _scope(writer: StringWriter, names: Names, node: Node, out: str) -> None:
    with writer.scopes.scope(names, node) as inner:
        writer.write(inner, node.bodies[0], out)


def _if(writer: StringWriter, names: Names, node: nodes.If, out: str) -> None:
    writer.scopes.write_if(names, node, lambda arm: writer.write(names, node.bodies[arm], out))


def _for(writer: StringWriter, names: Names, node: nodes.For, out: str) -> None:
    sequence = writer.scopes.sequence(names, node)
    writer.scopes.write_loop(names, node, sequence, lambda inner: writer.write(inner, node.bodies[0], out))
    if len(node.bodies) > 1:
        writer.src.line(f"if {sequence} is EMPTY:")
        with writer.src.indented(), writer.scopes.empty(names, node):
            writer.write(names, node.bodies[1], out)


OUTPUTS: dict[type[Node], Callable[[StringWriter, Names, Any], Output]] = {
    nodes.BlockTranslate: StringWriter._block_translate,
    nodes.Cache: StringWriter._cache,
    nodes.Call: _rendered,
    nodes.DynamicInclude: StringWriter._included_html,
    nodes.DynamicPartial: StringWriter._included_html,
    nodes.Filter: StringWriter._filter,
    nodes.InclusionTag: StringWriter._included_html,
    nodes.Interpolation: StringWriter._interpolation,
    nodes.Opaque: _opaque,
    nodes.SimpleBlock: StringWriter._simple_block,
    nodes.SimpleTag: StringWriter._simple_tag,
    nodes.Spaceless: StringWriter._spaceless,
    nodes.StaticUrl: _static_url,
    nodes.Translation: _translation,
    nodes.Url: _url,
}
INCLUDES: dict[type[Node], Callable[[StringWriter, Names, Any, str], str]] = {
    nodes.DynamicInclude: StringWriter._include,
    nodes.DynamicPartial: StringWriter._include_partial,
    nodes.InclusionTag: StringWriter._include_tag,
}
BLOCKS: dict[type[Node], Callable[[StringWriter, Names, Any, str], None]] = {
    nodes.Block: _scope,
    nodes.ContextFlag: _scope,
    nodes.For: _for,
    nodes.If: _if,
    nodes.IfChanged: StringWriter._if_changed,
    nodes.Inclusion: _scope,
    nodes.Override: _scope,
    nodes.Partial: _scope,
    nodes.With: _scope,
}
