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

from djust.render.values import ATTRIBUTE, RAW, TEXT
from djust.template.expressions import Expressions
from djust.template.parts import (
    Block,
    Blocks,
    BranchStep,
    Chain,
    Content,
    CsrfToken,
    DynamicInclude,
    EffectStep,
    Element,
    For,
    If,
    Inclusion,
    Item,
    LeafStep,
    LoopStep,
    Opaque,
    Program,
    Scoped,
    ScopeStep,
    Static,
    StaticUrl,
    Step,
    Text,
    Url,
    With,
    needs_context,
)
from djust.template.scope import Names
from djust.template.source import Source

_SPECIAL = frozenset("&<>\"'")


def write_evaluate(src: Source, program: Program, chain: Chain, invalid: str, *, impure: bool) -> None:
    """Write `evaluate(context)`."""
    generator = _Generator(src, invalid)
    src.line("def evaluate(context):")
    with src.indented():
        generator.prologue(chain, impure)
        src.line(f"return {generator.values(Names(), program)}")


def write_render(src: Source, items: Sequence[Item], chain: Chain, invalid: str) -> None:
    """Write `render(context)`."""
    generator = _Generator(src, invalid)
    src.line("def render(context):")
    with src.indented():
        generator.prologue(chain, needs_context(items))
        src.line("out = []")
        generator.write(Names(), items, "out")
        src.line("return SafeString(''.join(out))")


class _Generator:
    """Writes steps and pieces. `Names` say where names stand at the place that is being written."""

    def __init__(self, src: Source, invalid: str) -> None:
        self.src = src
        self.expressions = Expressions(src, invalid)

    def prologue(self, chain: Chain, impure: bool) -> None:
        self.src.line("plain = text_types(context)")
        if impure and chain.extends:
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
                    self.src.line(f"rendered({names.context}, {self.src.constant(step.item.node)})")

    def _leaf(self, names: Names, step: LeafStep) -> str:
        result = self._leaf_value(names, step)
        if step.kind == TEXT and len(step.pieces) == 1 and isinstance(step.pieces[0], Text | Opaque):
            self.src.line(f"if type({result}) is Html: check_balance({result}, {self.src.constant(step.pieces[0])})")
        return result

    def _leaf_value(self, names: Names, step: LeafStep) -> str:
        pieces = step.pieces
        if step.kind in (TEXT, ATTRIBUTE, RAW) and all(isinstance(p, Static | Text | Url | StaticUrl) for p in pieces):
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
        """Write code that appends the output of `contents` to the list `out`."""
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
                case Text() | Url() | StaticUrl():
                    self.src.line(f"{out}.append(escaped({self._text(names, content)}))")
                case Opaque() | DynamicInclude() | CsrfToken():
                    self.src.line(f"{out}.append(rendered({names.context}, {self.src.constant(content.node)}))")
                case If():
                    conditions = [condition for condition, _ in content.arms]
                    arms = [body for _, body in content.arms]
                    self._choose(names, conditions, lambda arm, arms=arms: self.write(names, arms[arm], out))  # type: ignore[misc]
                case For():
                    self._write_for(names, content, out)
                case With() | Inclusion() | Block():
                    with self._scope(names, content) as inner:
                        self.write(inner, content.body, out)

    def _write_for(self, names: Names, item: For, out: str) -> None:
        sequence = self._sequence(names, item)
        self._rounds(names, item, sequence, lambda inner: self.write(inner, item.body, out))
        if item.empty:
            self.src.line(f"if not len({sequence}):")
            with self.src.indented():
                self.write(names, item.empty, out)

    # Pieces of both

    def _comment(self, item: Item) -> None:
        self.src.line(f"# {getattr(item, 'line', '')}")

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
        """Write the loop itself; `write_body` writes one round."""
        if item.impure:
            self._context_rounds(names, item, sequence, write_body)
            return
        local = {name: self.src.temporary("i") for name in item.names}
        loop, index, count = (self.src.temporary(hint) for hint in ("loop", "n", "count"))
        if item.counts:
            parent = names.local.get("forloop", f"parent_loop({names.context})")
            self.src.line(f"{count} = len({sequence})")
            self.src.line(f"{loop} = counters({parent}, {count})")
        targets = ", ".join(local.values())
        item_name = targets if len(item.names) == 1 else self.src.temporary("item")
        over = f"{index}, {item_name} in enumerate({sequence})" if item.counts else f"{item_name} in {sequence}"
        self.src.line(f"for {over}:")
        with self.src.indented():
            if item.counts:
                self.src.line(f"count({loop}, {index}, {count})")
                local["forloop"] = loop
            if len(item.names) > 1:
                self.src.line(f"{targets} = unpack({item_name}, {len(item.names)})")
            write_body(names.bind(local))

    def _context_rounds(self, names: Names, item: For, sequence: str, write_body: Callable[[Names], None]) -> None:
        """The loop when something in it reads Django's context."""
        context = names.context
        loop, parent, index, value, count = (self.src.temporary(h) for h in ("loop", "parent", "n", "item", "count"))
        self.src.line(f"{parent} = parent_loop({context})")
        self.src.line(f"{count} = len({sequence})")
        self.src.line(f"with {context}.push():")
        with self.src.indented():
            self.src.line(f"{loop} = {context}['forloop'] = counters({parent}, {count})")
            self.src.line(f"for {index}, {value} in enumerate({sequence}):")
            with self.src.indented():
                self.src.line(f"count({loop}, {index}, {count})")
                inner = names.unbind([*item.names, "forloop"])
                if len(item.names) == 1:
                    self.src.line(f"{context}[{item.names[0]!r}] = {value}")
                    write_body(inner)
                else:
                    unpacked = f"dict(zip({tuple(item.names)!r}, unpack({value}, {len(item.names)})))"
                    self.src.line(f"with {context}.push({unpacked}):")
                    with self.src.indented():
                        write_body(inner)

    @contextmanager
    def _scope(self, names: Names, item: With | Inclusion | Block) -> Iterator[Names]:
        if isinstance(item, Block):
            with self._block(names, item) as inner:
                yield inner
            return
        bindings = {name: self._assign(self.expressions.value(names, e)) for name, e in item.bindings.items()}
        values = f"{{{', '.join(f'{name!r}: {code}' for name, code in bindings.items())}}}"
        isolated = isinstance(item, Inclusion) and item.isolated
        if not item.impure:
            if isolated:
                context = self._assign(f"{names.context}.new()")
                yield Names(context, bindings)
            else:
                yield names.bind(bindings)
        elif isinstance(item, Inclusion):
            context = self.src.temporary("context")
            chain = self.src.constant(item.chain)
            self.src.line(f"with inclusion({names.context}, {chain}, {values}, {isolated}) as {context}:")
            with self.src.indented():
                yield Names(context, {} if isolated else names.unbind(bindings).local)
        else:
            self.src.line(f"with {names.context}.push({values}):")
            with self.src.indented():
                yield names.unbind(bindings)

    @contextmanager
    def _block(self, names: Names, item: Block) -> Iterator[Names]:
        node = self.src.constant(item.node)
        if not item.impure:
            yield names.bind({"block": node})
            return
        self.src.line(f"with block({names.context}, {node}):")
        with self.src.indented():
            yield names.unbind(["block"])


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _quoted(template: str) -> str:
    """The body of an f-string as a literal."""
    return '"' + template.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'
