"""Loops, conditions and scopes as Python: what decides which code runs, and which names it sees.

`ScopeWriter` writes the frame around code that its callers write: `write_loop` a loop, `write_if`
the arms of an `if`, `scope` a `with`, include, block or flag. Names that something inside needs are
pushed on Django's context, all others are locals of the generated function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from djust.template import nodes
from djust.template.codegen.expressions import ExpressionWriter, is_direct
from djust.template.codegen.source import PythonSource
from djust.template.context import Names
from djust.template.nodes import NO_NAMES, RENDER_STATE, Node, moved_names, needs_of
from djust.template.optimize.lookups import lookups_of
from djust.template.optimize.prefetch import Related

# How many conditions stand in one `if` of Python, which nests them.
_ELIFS = 50


class ScopeWriter:
    """Writes into `src`; `expressions` writes the expressions in conditions, loops and bindings."""

    def __init__(self, src: PythonSource, expressions: ExpressionWriter) -> None:
        self.src = src
        self.expressions = expressions

    def write_loop(self, names: Names, node: Node, sequence: str, write_body: Callable[[Names], None]) -> None:
        """Write the loop itself; `write_body` writes one round."""
        if len(node.bodies) == 1 and (node.counts or node.needs):  # many loops have no items, and need nothing then
            self.src.line(f"if {sequence} is not EMPTY:")
            with self.src.indented():
                self._write_rounds(names, node, sequence, write_body)
        else:
            self._write_rounds(names, node, sequence, write_body)

    def _write_rounds(self, names: Names, node: Node, sequence: str, write_body: Callable[[Names], None]) -> None:
        src, context, variables = self.src, names.context, node.tag.loopvars
        values = [src.temporary("i") for _ in variables]
        local = dict(zip(variables, values, strict=True))  # of two names that are the same, the last one counts
        loop = src.temporary("loop") if node.counts else ""
        if node.counts:
            parent = names.local.get("forloop", f"parent_loop({context})")
            src.line(f"{loop} = {{'parentloop': {parent}}}")
        targets = ", ".join(values)
        value = targets if len(variables) == 1 else src.temporary("item")
        over = f"{value} in counted({loop}, {sequence})" if node.counts else f"{value} in {sequence}"
        inner = names.bind({"forloop": loop, **local} if node.counts else local).unbind(moved_names(node)).within_loop()
        with self._layer(context, {"forloop": loop} if "forloop" in node.needs else {}, node.needs):
            src.line(f"for {over}:")
            with src.indented():
                if len(variables) > 1:
                    count = len(variables)
                    fits = f"type({value}) is tuple and len({value}) == {count}"
                    src.line(f"{targets} = {value} if {fits} else unpack({value}, {count})")
                pushed = {name: code for name, code in local.items() if name in node.needs}
                # Several names get a layer of their own for each round, as in Django; one name is
                # set again.
                with self._layer(context, pushed, node.needs if len(variables) > 1 else NO_NAMES):
                    if len(variables) == 1 and pushed:
                        src.line(f"{context}.dicts[-1][{variables[0]!r}] = {targets}")
                    write_body(inner)

    def empty(self, names: Names, node: Node) -> AbstractContextManager[None]:
        """The scope of `{% empty %}`: names that are set in it end with the loop."""
        return self._layer(names.context, {}, needs_of(node.bodies[1]))

    @contextmanager
    def _layer(self, context: str, values: dict[str, str], needs: frozenset[str]) -> Iterator[None]:
        """A layer on the context, if needed. After an error, the function's caller removes it."""
        sets = bool(needs) and needs != {RENDER_STATE}
        if sets:
            self.src.line(f"{context}.dicts.append({dictionary(values)})")
        yield
        if sets:
            self.src.line(f"{context}.dicts.pop()")

    def scope(self, names: Names, node: Node) -> AbstractContextManager[Names]:
        """What a scope writes around its body; gives the names inside."""
        return SCOPES[type(node)](self, names, node)

    @contextmanager
    def _with(self, names: Names, node: nodes.With) -> Iterator[Names]:
        bindings = self._bindings(names, node)
        pushed = {name: code for name, code in bindings.items() if name in node.needs}
        with self._layer(names.context, pushed, node.needs):
            yield names.bind(bindings).unbind(moved_names(node))

    @contextmanager
    def _partial(self, names: Names, node: nodes.Partial) -> Iterator[Names]:
        if not node.needs:
            yield names
            return
        self.src.line(f"with rendering({names.context}, {self.src.constant(node.template)}):")
        with self.src.indented():
            yield names.unbind(moved_names(node))

    def _bindings(self, names: Names, node: Node) -> dict[str, str]:
        if node.binds:
            self.comment(node)
        values = zip(node.binds, node.expressions, strict=True)
        return {name: self.assign(self.expressions.value(names, expression)) for name, expression in values}

    @contextmanager
    def _inclusion(self, names: Names, node: nodes.Inclusion) -> Iterator[Names]:
        bindings = self._bindings(names, node)
        if not node.needs:
            isolated = Names(self.assign(f"{names.context}.new()"), bindings, names.repeated) if node.isolated else None
            yield isolated or names.bind(bindings)
            return
        context, chain = self.src.temporary("context"), self.src.constant(node.chain)
        pushed = dictionary({name: code for name, code in bindings.items() if name in node.needs})
        self.src.line(f"with inclusion({names.context}, {chain}, {pushed}, {node.isolated}) as {context}:")
        outer = {} if node.isolated else names.local
        with self.src.indented():
            yield Names(context, {**outer, **bindings}, names.repeated).unbind(moved_names(node))
        if node.isolated:
            self.settings(names)  # what is inside may have changed those of its own context

    @contextmanager
    def _block(self, names: Names, node: nodes.Block) -> Iterator[Names]:
        tag = self.src.constant(node.tag)
        if "block" not in node.needs:
            with self._layer(names.context, {}, node.needs):
                yield names.bind({"block": tag})
            return
        self.src.line(f"with block({names.context}, {tag}):")
        with self.src.indented():
            yield names.unbind(moved_names(node)).unbind({"block"})

    @contextmanager
    def _flag(self, names: Names, node: nodes.ContextFlag) -> Iterator[Names]:
        self.comment(node)
        attribute = f"{names.context}.{node.flag}"
        before = self.assign(attribute)
        self.src.line(f"{attribute} = {node.value!r}")
        self.settings(names)
        yield names
        self.src.line(f"{attribute} = {before}")
        self.settings(names)

    @contextmanager
    def _override(self, names: Names, node: nodes.Override) -> Iterator[Names]:
        self.comment(node)
        self.src.line(f"with {node.manager}({self.expressions.value(names, node.expressions[0])}):")
        with self.src.indented():
            yield names

    def settings(self, names: Names) -> None:
        """Write how text is shown from here on, where a setting may have changed."""
        self.src.tentative(f"plain = text_types({names.context})")

    def sequence(self, names: Names, node: Node) -> str:
        self.comment(node)
        found = self.expressions.value(names, node.expressions[0], ignore_failures=True)
        if lookups := lookups_of(node):
            loop = self.src.constant(Related(lookups))
            return self.assign(f"related({names.context}, {found}, {loop}{', reverse=True' * node.tag.is_reversed})")
        return self.assign(f"backwards(sequence({found}))" if node.tag.is_reversed else f"sequence({found})")

    def write_if(self, names: Names, node: Node, write_arm: Callable[[int], None]) -> None:
        """Write the arms of an `if`, each behind its condition.

        A condition of several statements cannot stand in an `elif`: the first stands in an `else`;
        where there are more, all stand one below the other, so that Python's limit for levels of
        indentation is not reached.
        """
        runs: list[list[int]] = []
        for arm, (condition, _) in enumerate(node.tag.conditions_nodelists):
            if not runs or not (condition is None or (is_direct(condition) and len(runs[-1]) < _ELIFS)):
                runs.append([])
            runs[-1].append(arm)
        taken = self.src.temporary("taken") if len(runs) > 2 else ""
        if taken:
            self.src.line(f"{taken} = False")
        for number, run in enumerate(runs):
            if number == 0:
                self._run(names, node, run, write_arm, taken)
                continue
            self.src.line(f"if not {taken}:" if taken else "else:")
            with self.src.indented():
                self._run(names, node, run, write_arm, taken)

    def _run(self, names: Names, node: Node, arms: list[int], write_arm: Callable[[int], None], taken: str) -> None:
        """Write arms as one `if` of Python; each sets `taken`."""
        for arm in arms:
            condition = node.tag.conditions_nodelists[arm][0]
            if condition is None:
                self.src.line("else:")
            else:
                self.comment(node)
                code = self.expressions.condition(names, condition)
                self.src.line(f"{'if' if arm == arms[0] else 'elif'} {code}:")
            with self.src.indented():
                if taken:
                    self.src.line(f"{taken} = True")
                write_arm(arm)

    def assign(self, code: str) -> str:
        result = self.src.temporary()
        self.src.line(f"{result} = {code}")
        return result

    def comment(self, node: Node) -> None:
        self.src.comment(node.location)


def dictionary(values: dict[str, str]) -> str:
    return f"{{{', '.join(f'{name!r}: {code}' for name, code in values.items())}}}"


# Who writes what stands around the body of a scope.
SCOPES: dict[type[Node], Callable[[ScopeWriter, Names, Any], AbstractContextManager[Names]]] = {
    nodes.Block: ScopeWriter._block,
    nodes.ContextFlag: ScopeWriter._flag,
    nodes.Inclusion: ScopeWriter._inclusion,
    nodes.Override: ScopeWriter._override,
    nodes.Partial: ScopeWriter._partial,
    nodes.With: ScopeWriter._with,
}
