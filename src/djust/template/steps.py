"""Steps: what a generated function does, in order, to fill the parts of a fragment.

`fragments` makes them of a tree of markup; `codegen.evaluate` writes them as Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from djust.render.values import Fragment
from djust.template.nodes import Node
from djust.template.tree import Content


@dataclass(slots=True, eq=False)
class LeafStep:
    """Part `index` gets the text of `pieces`; a single `Interpolation` keeps its plain value.

    `kind` as in `render.values`. `checked`: output that turns out to be unbalanced breaks the
    element around; not if all of it is this part already.
    """

    index: int
    kind: str
    pieces: Sequence[Content]
    checked: bool = True


@dataclass(slots=True, eq=False)
class BranchStep:
    """Part `index` gets the first arm whose condition holds. A dynamic include has no arms."""

    index: int
    node: Node
    arms: list[Program]


@dataclass(slots=True, eq=False)
class LoopStep:
    """Part `index` gets one row per item; `key`: part of the row that identifies it, if any."""

    index: int
    node: Node
    body: Program
    key: int | None


@dataclass(slots=True, eq=False)
class ScopeStep:
    """`steps` run with the scope's names bound."""

    node: Node
    steps: list[Step]


@dataclass(slots=True, eq=False)
class EffectStep:
    """A node that has no output is run where it stands."""

    node: Node


Step = LeafStep | BranchStep | LoopStep | ScopeStep | EffectStep


@dataclass(slots=True, eq=False)
class Program:
    """A fragment and the steps that fill its parts."""

    fragment: Fragment
    steps: list[Step]


def contents_of(step: Step) -> Sequence[Content]:
    """What `step` shows."""
    return step.pieces if isinstance(step, LeafStep) else [step.node]


def parts_of(step: Step) -> Iterator[int]:
    """The numbers of the parts that `step` fills."""
    if isinstance(step, ScopeStep):
        for inner in step.steps:
            yield from parts_of(inner)
    elif not isinstance(step, EffectStep):
        yield step.index
