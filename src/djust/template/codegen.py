"""Steps → Python.

Two functions can be made of a template:

    evaluate(context) -> values     the values of the parts of its root fragment, for live pages
    render(context) -> SafeString   its HTML without marks, for any page

The template `<p>Hello {{ user }}</p>` gives

    def evaluate(context):
        plain = text_types(context)
        # hello.html:1
        try:
            t1 = name(context, 'user')
        except VariableDoesNotExist:
            t1 = ''
        except Exception as error:
            …
        if type(t1) not in plain: t1 = text(context, t1)
        v2 = source(f'Hello {escaped(t1)}') if type(t1) is Html else f'Hello {t1}'
        return (v2,)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.template.base import FilterExpression
from django.template.defaulttags import AutoEscapeControlNode, FilterNode, SpacelessNode
from django.template.library import InclusionNode, SimpleBlockNode, SimpleNode
from django.templatetags.i18n import LanguageNode
from django.templatetags.l10n import LocalizeNode
from django.templatetags.tz import TimezoneNode

from djust.render.values import ATTRIBUTE, RAW, TEXT
from djust.template.expressions import Expressions, changed_by
from djust.template.parts import (
    NO_NAMES,
    Block,
    Blocks,
    BranchStep,
    Call,
    Capture,
    Chain,
    Content,
    DynamicInclude,
    EffectStep,
    Element,
    For,
    If,
    IfChanged,
    Inclusion,
    InclusionTag,
    Item,
    LeafStep,
    LoopStep,
    Opaque,
    Program,
    Scope,
    Scoped,
    ScopeStep,
    Setting,
    SimpleTag,
    Static,
    StaticUrl,
    Step,
    Text,
    Url,
    With,
    needs_of,
)
from djust.template.scope import Names
from djust.template.source import Source

# Items whose output we cannot know when compiling.
_MAY_BE_UNBALANCED = Text | SimpleTag | Capture | IfChanged | Opaque
_SPECIAL = frozenset("&<>\"'")


def write_evaluate(src: Source, program: Program, chain: Chain, invalid: str, needs: frozenset[str]) -> None:
    """Write `evaluate(context)`."""
    generator = _Generator(src, invalid)
    src.line("def evaluate(context):")
    with src.indented():
        generator.prologue(chain, needs)
        src.line(f"return {generator.values(Names(), program)}")


def write_render(src: Source, items: Sequence[Item], chain: Chain, invalid: str) -> None:
    """Write `render(context)`."""
    generator = _Generator(src, invalid)
    src.line("def render(context):")
    with src.indented():
        generator.prologue(chain, needs_of(items))
        src.line("out = []")
        generator.write(Names(), items, "out")
        src.line("return SafeString(''.join(out))")


class _Generator:
    """Writes steps and pieces. `Names` say where names stand at the place that is being written."""

    def __init__(self, src: Source, invalid: str) -> None:
        self.src = src
        self.expressions = Expressions(src, invalid)

    def prologue(self, chain: Chain, needs: frozenset[str]) -> None:
        self.src.line("plain = text_types(context)")
        if "block" in needs and chain.extends:
            self.src.line(f"override_blocks(context, {self.src.constant(chain)})")

    # Steps

    def values(self, names: Names, program: Program) -> str:
        """Write the steps of `program`; returns the tuple of its values."""
        results: dict[int, str] = {}
        self._steps(names, program.steps, results)
        values = [results[index] for index in range(len(program.fragment.parts))]
        return f"({', '.join(values)}{',' if values else ''})"

    def _steps(self, names: Names, steps: Sequence[Step], results: dict[int, str]) -> None:
        for step in steps:
            match step:
                case LeafStep():
                    results[step.index] = self._leaf(names, step)
                case BranchStep():
                    results[step.index] = self._branch(names, step)
                case LoopStep():
                    results[step.index] = self._loop(names, step)
                case ScopeStep():
                    with self._scope(names, step.item) as inner:
                        self._steps(inner, step.steps, results)
                case EffectStep():
                    self.write(names, [step.item], "")

    def _leaf(self, names: Names, step: LeafStep) -> str:
        result = self._leaf_value(names, step)
        pieces = step.pieces
        if step.kind == TEXT and len(pieces) == 1 and isinstance(pieces[0], _MAY_BE_UNBALANCED):
            self.src.line(f"if type({result}) is Html: check_balance({result}, {self.src.constant(pieces[0])})")
        return result

    def _leaf_value(self, names: Names, step: LeafStep) -> str:
        pieces = step.pieces
        if step.kind in (TEXT, ATTRIBUTE, RAW) and all(_is_text(p) for p in pieces):
            return self._joined(names, pieces)
        out, result = self.src.temporary("o"), self.src.temporary("v")
        self.src.line(f"{out} = []")
        self.write(names, pieces, out)
        joined = f"''.join({out})"
        self.src.line(f"{result} = source({joined})" if step.kind in (TEXT, ATTRIBUTE, RAW) else f"{result} = {joined}")
        return result

    def _joined(self, names: Names, pieces: Sequence[Content]) -> str:
        """Text with variables in it: plain where all of it is, HTML source otherwise."""
        if len(pieces) == 1 and not isinstance(pieces[0], Static):
            return self._text(names, pieces[0])
        dynamic = [None if isinstance(p, Static) else self._text(names, p) for p in pieces]
        statics = [p.text if isinstance(p, Static) else "" for p in pieces]
        plain = "".join(_literal(s) if d is None else f"{{{d}}}" for s, d in zip(statics, dynamic, strict=True))
        html = "".join(_literal(s) if d is None else f"{{escaped({d})}}" for s, d in zip(statics, dynamic, strict=True))
        result = self.src.temporary("v")
        if any(_SPECIAL & set(static) for static in statics):
            self.src.line(f"{result} = source(f{_quoted(html)})")
        else:
            is_html = " or ".join(f"type({d}) is Html" for d in dynamic if d is not None)
            self.src.line(f"{result} = source(f{_quoted(html)}) if {is_html} else f{_quoted(plain)}")
        return result

    def _branch(self, names: Names, step: BranchStep) -> str:
        result = self.src.temporary("v")
        match step.item:
            case If() as item:
                self._comment(item)
                self.src.line(f"{result} = None")
                conditions = [condition for condition, _ in item.arms]
                self._choose(names, conditions, lambda arm: self._arm(names, step.arms[arm], result))
            case For() as item:
                loop = step.arms[0].steps[0]
                assert isinstance(loop, LoopStep)
                sequence = self._sequence(names, item)
                self.src.line(f"if len({sequence}):")
                with self.src.indented():
                    rows = self._loop(names, loop, sequence)
                    self.src.line(f"{result} = ({self.src.constant(step.arms[0].fragment)}, ({rows},))")
                self.src.line("else:")
                with self.src.indented():
                    self._arm(names, step.arms[1], result)
            case DynamicInclude() as item:
                self._comment(item)
                self.src.line(f"{result} = include({names.context}, {self.src.constant(item.node)})")
            case InclusionTag() as item:
                data = self._called(names, item)
                self.src.line(f"{result} = include_tag({names.context}, {self.src.constant(item.node)}, {data})")
        return result

    def _arm(self, names: Names, program: Program, result: str) -> None:
        values = self.values(names, program)
        self.src.line(f"{result} = ({self.src.constant(program.fragment)}, {values})")

    def _loop(self, names: Names, step: LoopStep, sequence: str = "") -> str:
        rows, keys, result = (self.src.temporary(hint) for hint in ("rows", "keys", "v"))
        sequence = sequence or self._sequence(names, step.item)
        self.src.line(f"{rows} = []")
        if step.key is not None:
            self.src.line(f"{keys} = []")

        def row(inner: Names) -> None:
            values: dict[int, str] = {}
            self._steps(inner, step.body.steps, values)
            code = ", ".join(values[index] for index in range(len(values)))
            self.src.line(f"{rows}.append(({code}{',' if values else ''}))")
            if step.key is not None:
                self.src.line(f"{keys}.append({values[step.key]})")

        self._rounds(names, step.item, sequence, row)
        found = f"keyed({keys}, {step.item.line!r})" if step.key is not None else f"model_keys({sequence})"
        self.src.line(f"{result} = ({found}, {rows})")
        return result

    # Output as a string

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
                    with self._scope(names, content) as inner:
                        self.write(inner, content.body, out)
                case SimpleTag(silent=True):
                    self._assign_name(names, content.node.target_var, self._called(names, content))
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
                return f"escaped({self._text(names, item)})"
            case Capture():
                return self._captured(names, item)
            case InclusionTag():
                data = self._called(names, item)
                return f"include_tag_html({names.context}, {self.src.constant(item.node)}, {data})"
            case Call() | Opaque() | DynamicInclude():
                self._comment(item)
                return f"rendered({names.context}, {self.src.constant(item.node)})"
        raise TypeError(f"{item!r} has no output of its own")

    def _write_block(self, names: Names, item: If | For | IfChanged, out: str) -> None:
        match item:
            case If():
                conditions = [condition for condition, _ in item.arms]
                self._choose(names, conditions, lambda arm: self.write(names, item.arms[arm][1], out))
            case For():
                self._write_for(names, item, out)
            case IfChanged():
                self._write_if_changed(names, item, out)

    def _write_if_changed(self, names: Names, item: IfChanged, out: str) -> None:
        self._comment(item)
        node, frame, found = self.src.constant(item.node), self.src.temporary("frame"), self.src.temporary("found")
        local = names.local.get("forloop")
        self.src.line(f"{frame} = {local or f'changed_frame({names.context})'}")
        self.src.line(f"{frame}.setdefault({node})")
        compared = [self.expressions.value(names, e, ignore_failures=True) for e in changed_by(item.node)]
        if compared:
            self.src.line(f"{found} = [{', '.join(compared)}]")
        else:
            self.src.line(f"{found} = {self._string(names, item.body)}")
        self.src.line(f"if {found} != {frame}[{node}]:")
        with self.src.indented():
            self.src.line(f"{frame}[{node}] = {found}")
            if compared:
                self.write(names, item.body, out)
            else:
                self.src.line(f"{out}.append({found})")
        if item.empty:
            self.src.line("else:")
            with self.src.indented():
                self.write(names, item.empty, out)

    def _string(self, names: Names, items: Sequence[Item]) -> str:
        """Write code for the output of `items` as one safe string; returns its name."""
        out, result = self.src.temporary("o"), self.src.temporary("s")
        self.src.line(f"{out} = []")
        self.write(names, items, out)
        self.src.line(f"{result} = SafeString(''.join({out}))")
        return result

    def _captured(self, names: Names, item: Capture) -> str:
        """Write a block whose output is changed as a string; returns the name of the result."""
        self._comment(item)
        match item.node:
            case FilterNode():
                content = self._string(names, item.body)
                return self.expressions.value(names.bind({"var": content}), item.node.filter_expr)
            case SpacelessNode():
                return self._assign(f"strip_spaces_between_tags({self._string(names, item.body)}.strip())")
            case SimpleBlockNode():
                arguments = self._arguments(names, item.node)
                arguments.insert(1 if item.node.takes_context else 0, self._string(names, item.body))
                result = self._assign(f"{self.src.constant(item.node.func)}({', '.join(arguments)})")
                return result if item.silent else self._assign(f"escaped(tag_output({names.context}, {result}))")
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

    def _called(self, names: Names, item: SimpleTag | InclusionTag) -> str:
        self._comment(item)
        arguments = ", ".join(self._arguments(names, item.node))
        return self._assign(f"{self.src.constant(item.node.func)}({arguments})")

    def _assign_name(self, names: Names, name: str, value: str) -> None:
        self.src.line(f"{names.context}[{name!r}] = {value}")

    def _write_for(self, names: Names, item: For, out: str) -> None:
        sequence = self._sequence(names, item)
        self._rounds(names, item, sequence, lambda inner: self.write(inner, item.body, out))
        if item.empty:
            self.src.line(f"if not len({sequence}):")
            with self.src.indented():
                self.write(names, item.empty, out)

    # Pieces of both

    def _comment(self, item: Item) -> None:
        self.src.place = getattr(item, "line", self.src.place)
        self.src.line(f"# {self.src.place}")

    def _text(self, names: Names, item: Content) -> str:
        """Write a text-like item; returns the name of its value."""
        match item:
            case Text():
                self._comment(item)
                found = self.expressions.value(names, item.expression)
                result = found
                if not found.startswith("t"):
                    result = self.src.temporary()
                    self.src.line(f"{result} = {found}")
                self.src.line(f"if type({result}) not in plain: {result} = text({names.context}, {result})")
                return result
            case Url():
                self._comment(item)
                view = self.expressions.value(names, item.view_name)
                args = self._list(names, item.args)
                kwargs = self._dict(names, item.kwargs)
                return self._assign(f"url({names.context}, {view}, {args}, {kwargs})")
            case StaticUrl():
                self._comment(item)
                path = self.expressions.value(names, item.path)
                return self._assign(f"static_url({names.context}, {self.src.constant(item.node)}, {path})")
            case SimpleTag():
                return self._assign(f"tag_output({names.context}, {self._called(names, item)})")
            case Call():
                self._comment(item)
                return self._assign(f"source(rendered({names.context}, {self.src.constant(item.node)}))")
        raise TypeError(f"{item!r} is not text")

    def _assign(self, code: str) -> str:
        result = self.src.temporary()
        self.src.line(f"{result} = {code}")
        return result

    def _list(self, names: Names, expressions: list[FilterExpression]) -> str:
        return f"[{', '.join(self.expressions.value(names, e) for e in expressions)}]"

    def _dict(self, names: Names, expressions: dict[str, FilterExpression]) -> str:
        pairs = [f"{key!r}: {self.expressions.value(names, e)}" for key, e in expressions.items()]
        return f"{{{', '.join(pairs)}}}"

    def _choose(self, names: Names, conditions: Sequence[Any], write_arm: Callable[[int], None], arm: int = 0) -> None:
        """Write the arms of an `if`, each behind its condition."""
        if arm == len(conditions):
            return
        if conditions[arm] is None:
            write_arm(arm)
            return
        self.src.line(f"if {self.expressions.condition(names, conditions[arm])}:")
        with self.src.indented():
            write_arm(arm)
        if arm + 1 < len(conditions):
            self.src.line("else:")
            with self.src.indented():
                self._choose(names, conditions, write_arm, arm + 1)

    def _sequence(self, names: Names, item: For) -> str:
        self._comment(item)
        found = self.expressions.value(names, item.sequence, ignore_failures=True)
        return self._assign(f"backwards(sequence({found}))" if item.reversed else f"sequence({found})")

    def _rounds(self, names: Names, item: For, sequence: str, write_body: Callable[[Names], None]) -> None:
        """Write the loop itself; `write_body` writes one round. Needed names go to the context, others are locals."""
        src, context = self.src, names.context
        local = {name: src.temporary("i") for name in item.names}
        loop, index, count = (src.temporary(hint) for hint in ("loop", "n", "count"))
        if item.counts:
            parent = names.local.get("forloop", f"parent_loop({context})")
            src.line(f"{count} = len({sequence})")
            src.line(f"{loop} = counters({parent}, {count})")
        targets = ", ".join(local.values())
        value = targets if len(item.names) == 1 else src.temporary("item")
        over = f"{index}, {value} in enumerate({sequence})" if item.counts else f"{value} in {sequence}"
        inner = names.bind(local | ({"forloop": loop} if item.counts else {})).unbind(item.needs)
        with self._layer(context, {}, item.needs):
            if "forloop" in item.needs:
                src.line(f"{context}['forloop'] = {loop}")
            src.line(f"for {over}:")
            with src.indented():
                if item.counts:
                    src.line(f"count({loop}, {index}, {count})")
                if len(item.names) > 1:
                    src.line(f"{targets} = unpack({value}, {len(item.names)})")
                pushed = {name: code for name, code in local.items() if name in item.needs}
                # Several names get a layer of their own for each round, as in Django; one name is set again.
                with self._layer(context, pushed, item.needs if len(item.names) > 1 else NO_NAMES):
                    if len(item.names) == 1 and pushed:
                        src.line(f"{context}[{item.names[0]!r}] = {targets}")
                    write_body(inner)

    @contextmanager
    def _layer(self, context: str, values: dict[str, str], needs: frozenset[str]) -> Iterator[None]:
        """A layer on the context, if anything inside needs it."""
        if not needs:
            yield
            return
        self.src.line(f"with {context}.push({_dictionary(values)}):")
        with self.src.indented():
            yield

    @contextmanager
    def _scope(self, names: Names, item: Scope) -> Iterator[Names]:
        match item:
            case Block():
                with self._block(names, item) as inner:
                    yield inner
            case Setting():
                with self._setting(names, item):
                    yield names
            case With():
                bindings = self._bindings(names, item.bindings)
                pushed = {name: code for name, code in bindings.items() if name in item.needs}
                with self._layer(names.context, pushed, item.needs):
                    yield names.bind(bindings).unbind(item.needs)
            case Inclusion():
                with self._inclusion(names, item) as inner:
                    yield inner

    def _bindings(self, names: Names, bindings: dict[str, FilterExpression]) -> dict[str, str]:
        return {name: self._assign(self.expressions.value(names, e)) for name, e in bindings.items()}

    @contextmanager
    def _inclusion(self, names: Names, item: Inclusion) -> Iterator[Names]:
        bindings = self._bindings(names, item.bindings)
        if not item.needs:
            yield Names(self._assign(f"{names.context}.new()"), bindings) if item.isolated else names.bind(bindings)
            return
        context, chain = self.src.temporary("context"), self.src.constant(item.chain)
        pushed = _dictionary({name: code for name, code in bindings.items() if name in item.needs})
        self.src.line(f"with inclusion({names.context}, {chain}, {pushed}, {item.isolated}) as {context}:")
        outer = {} if item.isolated else names.local
        with self.src.indented():
            yield Names(context, {**outer, **bindings}).unbind(item.needs)

    @contextmanager
    def _block(self, names: Names, item: Block) -> Iterator[Names]:
        node = self.src.constant(item.node)
        if "block" not in item.needs:
            with self._layer(names.context, {}, item.needs):
                yield names.bind({"block": node})
            return
        self.src.line(f"with block({names.context}, {node}):")
        with self.src.indented():
            yield names.unbind(item.needs).unbind({"block"})

    @contextmanager
    def _setting(self, names: Names, item: Setting) -> Iterator[None]:
        self._comment(item)
        node, context = item.node, names.context
        match node:
            case LanguageNode() | TimezoneNode():
                expression = node.language if isinstance(node, LanguageNode) else node.tz
                manager = "override_language" if isinstance(node, LanguageNode) else "override_timezone"
                self.src.line(f"with {manager}({self.expressions.value(names, expression)}):")
                with self.src.indented():
                    yield
                return
            case AutoEscapeControlNode():
                attribute, value = "autoescape", node.setting
            case LocalizeNode():
                attribute, value = "use_l10n", node.use_l10n
            case _:
                attribute, value = "use_tz", node.use_tz
        before = self._assign(f"{context}.{attribute}")
        self.src.line(f"{context}.{attribute} = {value!r}")
        self.src.line(f"plain = text_types({context})")
        yield
        self.src.line(f"{context}.{attribute} = {before}")
        self.src.line(f"plain = text_types({context})")


def _is_text(piece: Content) -> bool:
    """Whether `_text` can write `piece`."""
    if isinstance(piece, Static | Text | Url | StaticUrl):
        return True
    return isinstance(piece, SimpleTag | Call) and not piece.silent and (isinstance(piece, SimpleTag) or piece.inline)


def _dictionary(values: dict[str, str]) -> str:
    return f"{{{', '.join(f'{name!r}: {code}' for name, code in values.items())}}}"


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _quoted(template: str) -> str:
    """The body of an f-string as a literal."""
    return '"' + template.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'
