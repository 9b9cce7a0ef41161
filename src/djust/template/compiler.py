"""From a template to a Python function: lower → parse → build → generate.

    lowered = Lowered(resolve_chain(template, context))
    generate("page", lowered, {}, names)  ->  Generated(src, nodes, fragment, tracked)

`cache` makes functions of the code that is generated here. If a function turns out to be wrong,
`cache` has it generated again.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, NamedTuple

from django.template import Engine
from django.template.base import Template

from djust.render.values import Fragment
from djust.template.codegen.evaluate import write_evaluate, write_render
from djust.template.codegen.source import PythonSource
from djust.template.fragments import included_program, page_program
from djust.template.inheritance import Chain
from djust.template.lower import Lowering
from djust.template.markup import parse
from djust.template.nodes import NO_NAMES, Node, all_nodes
from djust.template.steps import Program

# What a function is for: the root of a page; a fragment inside another one; HTML without marks; the
# same for tests, with every include rendered by its own template.
Kind = Literal["page", "included", "render", "instrumented"]

# Nodes whose output was found to be unbalanced, with the ancestors that it closes.
Unbalanced = Mapping[Node, frozenset[int]]


class Generated(NamedTuple):
    """The source of a function, and what it was generated from.

    `fragment`: the fragment whose values it gives; None if it gives HTML. `tracked`: the names
    whose values are compared, because steps are skipped while they stay the same.
    """

    src: PythonSource
    nodes: list[Node]
    fragment: Fragment | None = None
    tracked: frozenset[str] = NO_NAMES


def generate(kind: Kind, lowered: Lowered, unbalanced: Unbalanced, names: Mapping[str, Any]) -> Generated:
    """The function of a template for one purpose; its code refers to `names`."""
    chain, engine = lowered.chain, lowered.engine
    src = PythonSource(names)
    if kind in ("render", "instrumented"):
        nodes = lowered.nodes if kind == "render" else lowered.without_inlined
        write_render(src, nodes, chain, engine.string_if_invalid)
        return Generated(src, nodes)
    program = build_program(kind, lowered, unbalanced)
    tracked = write_evaluate(src, program, lowered.nodes, chain, engine.string_if_invalid)
    return Generated(src, lowered.nodes, program.fragment, tracked)


def build_program(kind: Kind, lowered: Lowered, unbalanced: Unbalanced) -> Program:
    """The fragment of a page or an included template, and the steps that fill its parts."""
    if kind == "page":
        return page_program(parse(lowered.nodes, (), unbalanced), lowered.chain.name)
    return included_program(parse(lowered.nodes, ("",), unbalanced), lowered.chain.name)


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
