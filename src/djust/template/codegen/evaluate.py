"""Steps → Python: the two functions of a template.

    evaluate(context, old, same) -> values   of the parts of its root fragment, for live pages
    render(context) -> SafeString            its HTML without marks, for any page

The template `<p>Hello {{ user }}</p>` gives

    def evaluate(context, old=None, same=NOTHING):
        plain = text_types(context)
        # hello.html:1
        t1 = as_text(context, plain, looked_up(context, ('user',)))
        v2 = source(f'Hello {escaped(t1)}') if type(t1) is Html else f'Hello {t1}'
        return (v2,)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from djust.render.values import ATTRIBUTE, RAW, TEXT
from djust.template.codegen.expressions import ExpressionWriter
from djust.template.codegen.scopes import ScopeWriter
from djust.template.codegen.source import PythonSource
from djust.template.codegen.strings import StringWriter
from djust.template.context import Names
from djust.template.inheritance import Chain
from djust.template.nodes import Node, Static, all_nodes, needs_of
from djust.template.optimize.skipping import skippable
from djust.template.steps import BranchStep, EffectStep, LeafStep, LoopStep, Program, ScopeStep, Step, parts_of

_SPECIAL = frozenset("&<>\"'")


def write_evaluate(
    src: PythonSource, program: Program, nodes: Sequence[Node], chain: Chain, invalid: str
) -> frozenset[str]:
    """Write `evaluate(context)`; returns the names that let steps be skipped."""
    generator = _StepWriter(src, invalid)
    src.line("def evaluate(context, old=None, same=NOTHING):")
    with src.indented():
        generator.prologue(chain, nodes)
        unchanging = skippable(program.steps)
        src.line(f"return {generator.page_values(program, unchanging)}")
    src.drop_unused("plain")
    return frozenset().union(*unchanging.values())


def write_render(src: PythonSource, nodes: Sequence[Node], chain: Chain, invalid: str) -> None:
    """Write `render(context)`."""
    generator = _StepWriter(src, invalid)
    src.line("def render(context):")
    with src.indented():
        generator.prologue(chain, nodes)
        src.line("out = []")
        generator.strings.write(Names(), nodes, "out")
        src.line("return SafeString(''.join(out))")
    src.drop_unused("plain")


class _StepWriter:
    """Writes steps. `Names` say where names stand at the place that is being written."""

    def __init__(self, src: PythonSource, invalid: str) -> None:
        self.src = src
        self.scopes = ScopeWriter(src, ExpressionWriter(src, invalid))
        self.strings = StringWriter(src, self.scopes)

    def prologue(self, chain: Chain, nodes: Sequence[Node]) -> None:
        self.src.tentative("plain = text_types(context)")
        if any(node.translates for node in all_nodes(nodes)):
            self.src.line("translated = translations()")
        if "block" in needs_of(nodes) and chain.extends:
            self.src.line(f"override_blocks(context, {self.src.constant(chain)})")

    def values(self, names: Names, program: Program) -> str:
        """Write the steps of `program`; returns the tuple of its values."""
        results: dict[int, str] = {}
        self._steps(names, program.steps, results)
        return _tuple(results)

    def page_values(self, program: Program, unchanging: Mapping[int, frozenset[str]]) -> str:
        """As `values`, with those of `old`, the last rendering, for steps with names in `same`.

        `unchanging` are the steps for which that may be.
        """
        results: dict[int, str] = {}
        for position, step in enumerate(program.steps):
            if position in unchanging:
                self._skipped(step, unchanging[position], results)
            else:
                self._steps(Names(), [step], results)
        return _tuple(results)

    def _skipped(self, step: Step, read: frozenset[str], results: dict[int, str]) -> None:
        fresh: dict[int, str] = {}
        kept = {index: self.src.temporary("p") for index in parts_of(step)}
        # Sorted, so that the generated code is the same each time.
        names = self.src.constant(tuple(sorted(read)))
        self.src.line(f"if old is None or not same.issuperset({names}):")
        with self.src.indented():
            self._steps(Names(), [step], fresh)
            for index, name in kept.items():
                self.src.line(f"{name} = {fresh[index]}")
        self.src.line("else:")
        with self.src.indented():
            for index, name in kept.items():
                self.src.line(f"{name} = old[{index}]")
        results.update(kept)

    def _steps(self, names: Names, steps: Sequence[Step], results: dict[int, str]) -> None:
        for step in steps:
            match step:
                case LeafStep():
                    results[step.index] = self._leaf(names, step)
                case BranchStep():
                    result = results[step.index] = self.src.temporary("v")
                    self._branch(names, step, result)
                case LoopStep():
                    results[step.index] = self._loop(names, step)
                case ScopeStep():
                    with self.scopes.scope(names, step.node) as inner:
                        self._steps(inner, step.steps, results)
                case EffectStep():
                    self.strings.write(names, [step.node], "")

    def _leaf(self, names: Names, step: LeafStep) -> str:
        """Write the value of a leaf; returns its name."""
        pieces, is_value = step.pieces, step.kind in (TEXT, ATTRIBUTE, RAW)
        inline = [piece for piece in pieces if isinstance(piece, Node) and piece.is_inline]
        only = pieces[0] if len(pieces) == 1 and isinstance(pieces[0], Node) else None
        checked = only is not None and only.is_uncertain and step.checked and step.kind == TEXT
        if is_value and len(inline) == len(pieces):
            if only is not None and not isinstance(only, Static):
                return self.scopes.assign(self.strings.value(names, only, checked=checked))
            return self._joined(names, inline)
        out = self.src.temporary("o")
        self.src.line(f"{out} = []")
        self.strings.write(names, pieces, out)
        result = f"source(''.join({out}))" if is_value else f"''.join({out})"
        return self.scopes.assign(f"balanced({result}, {self.src.constant(only)})" if checked else result)

    def _joined(self, names: Names, pieces: Sequence[Node]) -> str:
        """Text with variables in it: plain where all of it is, HTML source otherwise."""
        dynamic = [None if isinstance(p, Static) else self.scopes.assign(self.strings.value(names, p)) for p in pieces]
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

    def _branch(self, names: Names, step: BranchStep, result: str) -> None:
        """Write the fragment and values of the arm that is shown, or None, to `result`."""
        if step.node.is_choice:
            self.src.line(f"{result} = None")
            self.scopes.write_if(names, step.node, lambda arm: self._arm(names, step.arms[arm], result))
        elif step.arms:
            self._loop_or_empty(names, step, result)
        else:
            self.scopes.comment(step.node)
            self.src.line(f"{result} = {self.strings.included(names, step.node)}")

    def _loop_or_empty(self, names: Names, step: BranchStep, result: str) -> None:
        node, loop = step.node, step.arms[0].steps[0]
        assert isinstance(loop, LoopStep)
        sequence = self.scopes.sequence(names, node)
        self.src.line(f"if {sequence} is not EMPTY:")
        with self.src.indented():
            rows = self._loop(names, loop, sequence)
            self.src.line(f"{result} = ({self.src.constant(step.arms[0].fragment)}, ({rows},))")
        self.src.line("else:")
        with self.src.indented(), self.scopes.empty(names, node):
            self._arm(names, step.arms[1], result)

    def _arm(self, names: Names, program: Program, result: str) -> None:
        values = self.values(names, program)
        self.src.line(f"{result} = ({self.src.constant(program.fragment)}, {values})")

    def _loop(self, names: Names, step: LoopStep, sequence: str = "") -> str:
        rows, keys, result = (self.src.temporary(hint) for hint in ("rows", "keys", "v"))
        sequence = sequence or self.scopes.sequence(names, step.node)
        self.src.line(f"{rows} = []")
        if step.key is not None:
            self.src.line(f"{keys} = []")

        def row(inner: Names) -> None:
            values: dict[int, str] = {}
            self._steps(inner, step.body.steps, values)
            self.src.line(f"{rows}.append({_tuple(values)})")
            if step.key is not None:
                self.src.line(f"{keys}.append({values[step.key]})")

        self.scopes.write_loop(names, step.node, sequence, row)
        found = f"keyed({keys}, {step.node.location!r})" if step.key is not None else f"model_keys({sequence}, {rows})"
        self.src.line(f"{result} = ({found}, {rows})")
        return result


def _tuple(values: Mapping[int, str]) -> str:
    """The tuple of the values of all parts, by number."""
    return f"({', '.join(values[index] for index in range(len(values)))}{',' if values else ''})"


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _quoted(template: str) -> str:
    """The body of an f-string as a literal."""
    template = template.replace("\\", "\\\\").replace("\0", "\\x00")
    return '"' + template.replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'
