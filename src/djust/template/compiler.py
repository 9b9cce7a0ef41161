"""From a template to a Python function: lower → parse → build → generate.

    lowered = lower(resolve_chain(template, context))
    compile_function("page", lowered, {}, names).run(context)  ->  the values of the page's parts

`cache` keeps what is made here, and makes it again when it turns out that it cannot be used.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal

from django.template import Context, Engine
from django.template.base import Node as DjangoNode
from django.template.base import Template

from djust.render.values import Fragment
from djust.template.codegen.evaluate import write_evaluate, write_render
from djust.template.codegen.source import PythonSource
from djust.template.debug import Location, explain, location_of
from djust.template.fragments import included_program, page_program
from djust.template.inheritance import Chain
from djust.template.lower import Lowering
from djust.template.markup import UnbalancedError, parse
from djust.template.nodes import NO_NAMES, Node, all_nodes
from djust.template.report import Report, report_of
from djust.template.steps import Program

# What a function is for: the root of a page; a fragment inside another one; HTML without marks; the
# same for tests, with every include rendered by its own template.
Kind = Literal["page", "included", "render", "instrumented"]

# Nodes whose output was found to be unbalanced, with the ancestors that it closes.
Unbalanced = Mapping[Node, frozenset[int]]

_numbers = itertools.count(1)


def compile_function(
    kind: Kind, lowered: Lowered, unbalanced: Unbalanced, names: Mapping[str, Any]
) -> CompiledFunction:
    """The function of a template for one purpose; its code refers to `names`."""
    chain, engine = lowered.chain, lowered.engine
    src = PythonSource(names)
    if kind in ("render", "instrumented"):
        nodes = lowered.nodes if kind == "render" else lowered.without_inlined
        write_render(src, nodes, chain, engine.string_if_invalid)
        return CompiledFunction(kind, lowered, nodes, src)
    program = build_program(kind, lowered, unbalanced)
    tracked = write_evaluate(src, program, lowered.nodes, chain, engine.string_if_invalid)
    return CompiledFunction(kind, lowered, lowered.nodes, src, program.fragment, tracked)


def build_program(kind: Kind, lowered: Lowered, unbalanced: Unbalanced) -> Program:
    """The fragment of a page or an included template, and the steps that fill its parts."""
    if kind == "page":
        return page_program(parse(lowered.nodes, (), unbalanced), lowered.chain.name)
    return included_program(parse(lowered.nodes, ("",), unbalanced), lowered.chain.name)


def report(lowered: Lowered, unbalanced: Unbalanced) -> Report:
    """What the template consists of, as the root of a page."""
    return report_of(lowered.nodes, build_program("page", lowered, unbalanced))


class Lowered:
    """A template's nodes. Unless `inline_super`, Django renders `{{ block.super }}`."""

    def __init__(self, chain: Chain, *, inline_super: bool = True) -> None:
        self.chain, self.inline_super = chain, inline_super
        self.engine: Engine = chain.templates[0].engine
        self.nodes = Lowering(chain, inline_super=inline_super).template()
        chains = [node.chain for node in all_nodes(self.nodes) if node.chain is not None]
        self.inclusions = list({chain.templates[0]: chain for chain in chains}.values())

    @cached_property
    def without_inlined(self) -> list[Node]:
        """The nodes with every include left to run time."""
        return Lowering(self.chain, inlines=False, inline_super=self.inline_super).template()

    @property
    def templates(self) -> list[Template]:
        """All templates that are compiled into this one."""
        return [template for chain in (self.chain, *self.inclusions) for template in chain.templates]


class CompiledFunction:
    """One generated function, whose errors tell where in the template they happened.

    `fragment`: whose values it gives; None if it gives HTML. `tracked`: the names that are worth to
    be watched, because steps can be skipped while they stay the same.
    """

    def __init__(
        self,
        kind: Kind,
        lowered: Lowered,
        nodes: list[Node],
        src: PythonSource,
        fragment: Fragment | None = None,
        tracked: frozenset[str] = NO_NAMES,
    ) -> None:
        chain = lowered.chain
        self.source = src.text
        self._filename = f"<djust {kind} {chain.name} {next(_numbers)}>"
        self._function = src.function("render" if fragment is None else "evaluate", self._filename)
        self._locations, self._templates = src.locations, lowered.templates
        self._fragment = fragment
        self.tracked = tracked
        extends = any(one.extends for one in (chain, *lowered.inclusions))
        self.silent_super_tags = _tags_in_supers(nodes) if extends else set()
        self._root = chain.templates[-1]  # which is what renders
        self.run: Callable[..., Any] = self._run_child if chain.extends else self._run

    @property
    def fragment(self) -> Fragment:
        assert self._fragment is not None, "only functions that give values have a fragment"
        return self._fragment

    def tag_of(self, error: Exception) -> DjangoNode | None:
        """The tag whose code has raised `error`."""
        location = location_of(error, self._filename, self._locations)
        return None if location is None else location.tag

    def _run_child(self, context: Context, *last: Any) -> Any:
        state, template = context.render_context, context.render_context.template
        state.template = self._root
        try:
            return self._run(context, *last)
        finally:
            state.template = template

    def _run(self, context: Context, *last: Any) -> Any:
        depth = len(context.dicts)
        try:
            return self._function(context, *last)
        except Exception as error:
            del context.dicts[depth:]  # loops and scopes pop their layers only if nothing is raised
            if isinstance(error, UnbalancedError):
                raise
            explained = explain(error, self._filename, self._locations, self._templates)
            if explained is not error:
                raise explained from None
            raise


def _tags_in_supers(nodes: list[Node]) -> set[DjangoNode]:
    """The tags that inlined `{{ block.super }}` show, where some errors stand for a value."""
    supers = [node for node in all_nodes(nodes) if node.is_super]
    locations = [inner.location for node in supers for inner in all_nodes([node])]
    return {location.tag for location in locations if isinstance(location, Location)}
