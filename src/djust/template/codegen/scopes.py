"""Loops, conditions and scopes as Python: what decides which code runs, and which names it sees.

`Scopes` writes the frame around code that its callers write: `rounds` a loop, `choose` the arms of an `if`, `scope` a
`with`, include, block or setting. Names that something inside needs are pushed on Django's context, all others are
locals of the generated function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.template.defaulttags import AutoEscapeControlNode
from django.templatetags.i18n import LanguageNode
from django.templatetags.l10n import LocalizeNode
from django.templatetags.tz import TimezoneNode

from djust.template.codegen.expressions import Expressions, is_direct
from djust.template.codegen.source import Source
from djust.template.context import Names
from djust.template.nodes import (
    NO_NAMES,
    RENDER_STATE,
    Block,
    For,
    If,
    Inclusion,
    Item,
    Partial,
    Scope,
    Setting,
    With,
    needs_of,
    sets_of,
)
from djust.template.optimize.lookups import lookups_of
from djust.template.optimize.prefetch import Related

# How many conditions stand in one `if` of Python, which nests them.
_ELIFS = 50


class Scopes:
    """Writes into `src`; `expressions` writes the expressions in conditions, loops and bindings."""

    def __init__(self, src: Source, expressions: Expressions) -> None:
        self.src = src
        self.expressions = expressions

    def rounds(self, names: Names, item: For, sequence: str, write_body: Callable[[Names], None]) -> None:
        """Write the loop itself; `write_body` writes one round. Needed names go to the context, others are locals."""
        if item.empty is None and (item.counts or item.needs):  # many loops have no items, and need nothing then
            self.src.line(f"if {sequence} is not EMPTY:")
            with self.src.indented():
                self._rounds(names, item, sequence, write_body)
        else:
            self._rounds(names, item, sequence, write_body)

    def _rounds(self, names: Names, item: For, sequence: str, write_body: Callable[[Names], None]) -> None:
        src, context = self.src, names.context
        values = [src.temporary("i") for _ in item.names]
        local = dict(zip(item.names, values, strict=True))  # of two names that are the same, the last one counts
        loop = src.temporary("loop") if item.counts else ""
        if item.counts:
            parent = names.local.get("forloop", f"parent_loop({context})")
            src.line(f"{loop} = {{'parentloop': {parent}}}")
        targets = ", ".join(values)
        value = targets if len(item.names) == 1 else src.temporary("item")
        over = f"{value} in counted({loop}, {sequence})" if item.counts else f"{value} in {sequence}"
        inner = names.bind(local | ({"forloop": loop} if item.counts else {})).unbind(sets_of(item)).within_loop()
        with self._layer(context, {"forloop": loop} if "forloop" in item.needs else {}, item.needs):
            src.line(f"for {over}:")
            with src.indented():
                if len(item.names) > 1:
                    count = len(item.names)
                    fits = f"type({value}) is tuple and len({value}) == {count}"
                    src.line(f"{targets} = {value} if {fits} else unpack({value}, {count})")
                pushed = {name: code for name, code in local.items() if name in item.needs}
                # Several names get a layer of their own for each round, as in Django; one name is set again.
                with self._layer(context, pushed, item.needs if len(item.names) > 1 else NO_NAMES):
                    if len(item.names) == 1 and pushed:
                        src.line(f"{context}.dicts[-1][{item.names[0]!r}] = {targets}")
                    write_body(inner)

    @contextmanager
    def empty(self, names: Names, item: For) -> Iterator[Names]:
        """The scope of `{% empty %}`: names that are set in it end with the loop."""
        with self._layer(names.context, {}, needs_of(item.empty or ())):
            yield names

    @contextmanager
    def _layer(self, context: str, values: dict[str, str], needs: frozenset[str]) -> Iterator[None]:
        """A layer on the context, if anything inside needs it. After an error, who runs the function removes it."""
        sets = bool(needs) and needs != {RENDER_STATE}
        if sets:
            self.src.line(f"{context}.dicts.append({dictionary(values)})")
        yield
        if sets:
            self.src.line(f"{context}.dicts.pop()")

    @contextmanager
    def scope(self, names: Names, item: Scope) -> Iterator[Names]:
        match item:
            case Block():
                with self._block(names, item) as inner:
                    yield inner
            case Setting():
                with self._setting(names, item):
                    yield names
            case With():
                bindings = self._bindings(names, item)
                pushed = {name: code for name, code in bindings.items() if name in item.needs}
                with self._layer(names.context, pushed, item.needs):
                    yield names.bind(bindings).unbind(sets_of(item))
            case Partial(needs=needs) if not needs:
                yield names
            case Partial():
                self.src.line(f"with rendering({names.context}, {self.src.constant(item.template)}):")
                with self.src.indented():
                    yield names.unbind(sets_of(item))
            case Inclusion():
                with self._inclusion(names, item) as inner:
                    yield inner

    def _bindings(self, names: Names, item: With | Inclusion) -> dict[str, str]:
        if item.bindings:
            self.comment(item)
        return {name: self.assign(self.expressions.value(names, e)) for name, e in item.bindings.items()}

    @contextmanager
    def _inclusion(self, names: Names, item: Inclusion) -> Iterator[Names]:
        bindings = self._bindings(names, item)
        if not item.needs:
            isolated = Names(self.assign(f"{names.context}.new()"), bindings, names.repeated) if item.isolated else None
            yield isolated or names.bind(bindings)
            return
        context, chain = self.src.temporary("context"), self.src.constant(item.chain)
        pushed = dictionary({name: code for name, code in bindings.items() if name in item.needs})
        self.src.line(f"with inclusion({names.context}, {chain}, {pushed}, {item.isolated}) as {context}:")
        outer = {} if item.isolated else names.local
        with self.src.indented():
            yield Names(context, {**outer, **bindings}, names.repeated).unbind(sets_of(item))
        if item.isolated:
            self.settings(names)  # what is inside may have changed those of its own context

    @contextmanager
    def _block(self, names: Names, item: Block) -> Iterator[Names]:
        node = self.src.constant(item.node)
        if "block" not in item.needs:
            with self._layer(names.context, {}, item.needs):
                yield names.bind({"block": node})
            return
        self.src.line(f"with block({names.context}, {node}):")
        with self.src.indented():
            yield names.unbind(sets_of(item)).unbind({"block"})

    @contextmanager
    def _setting(self, names: Names, item: Setting) -> Iterator[None]:
        self.comment(item)
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
        before = self.assign(f"{context}.{attribute}")
        self.src.line(f"{context}.{attribute} = {value!r}")
        self.settings(names)
        yield
        self.src.line(f"{context}.{attribute} = {before}")
        self.settings(names)

    def settings(self, names: Names) -> None:
        """Ask anew how text is shown, after what may have changed that."""
        self.src.tentative(f"plain = text_types({names.context})")

    def sequence(self, names: Names, item: For) -> str:
        self.comment(item)
        found = self.expressions.value(names, item.sequence, ignore_failures=True)
        if lookups := lookups_of(item):
            loop = self.src.constant(Related(lookups))
            return self.assign(f"related({names.context}, {found}, {loop}{', reverse=True' * item.reversed})")
        return self.assign(f"backwards(sequence({found}))" if item.reversed else f"sequence({found})")

    def choose(self, names: Names, item: If, write_arm: Callable[[int], None]) -> None:
        """Write the arms of an `if`, each behind its condition.

        A condition of several statements cannot stand in an `elif`: the first stands in an `else`; where there are
        more, all stand one below the other, so that Python's limit for levels of indentation is not reached.
        """
        runs: list[list[int]] = []
        for arm, (condition, _) in enumerate(item.arms):
            if not runs or not (condition is None or (is_direct(condition) and len(runs[-1]) < _ELIFS)):
                runs.append([])
            runs[-1].append(arm)
        taken = self.src.temporary("taken") if len(runs) > 2 else ""
        if taken:
            self.src.line(f"{taken} = False")
        for number, run in enumerate(runs):
            if number == 0:
                self._run(names, item, run, write_arm, taken)
                continue
            self.src.line(f"if not {taken}:" if taken else "else:")
            with self.src.indented():
                self._run(names, item, run, write_arm, taken)

    def _run(self, names: Names, item: If, arms: list[int], write_arm: Callable[[int], None], taken: str) -> None:
        """Write arms as one `if` of Python; `taken` is told when one is taken."""
        for arm in arms:
            condition = item.arms[arm][0]
            if condition is None:
                self.src.line("else:")
            else:
                self.comment(item)
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

    def comment(self, item: Item) -> None:
        self.src.comment(getattr(item, "line", self.src.place))


def dictionary(values: dict[str, str]) -> str:
    return f"{{{', '.join(f'{name!r}: {code}' for name, code in values.items())}}}"
