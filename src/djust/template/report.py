"""What a template consists of: what is compiled, and what is left to Django's nodes.

    report_of(nodes, program)
    ->  Report(parts={"text": 3, "loop": 1}, native={"for": 1, "variable": 3},
               opaque=(OpaqueNode("chart", "a.html:7"),))

Inlined templates and parents are counted with the template. `manage.py djust_source NAME --report`
prints a report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from django.template.base import Token, TokenType

from djust.render.values import ATTRIBUTE, BRANCH, LOOP, RAW, TAG
from djust.template.debug import Location
from djust.template.nodes import Node, all_nodes
from djust.template.steps import BranchStep, LeafStep, LoopStep, Program, ScopeStep, Step

_KINDS = {ATTRIBUTE: "attribute", TAG: "tag", RAW: "raw", BRANCH: "branch", LOOP: "loop"}


@dataclass(frozen=True, slots=True)
class OpaqueNode:
    """A node that renders itself and all inside it: its tag's name and place ("a.html:3")."""

    tag: str
    place: str


@dataclass(frozen=True, slots=True)
class Report:
    """`parts`: kind → number. `native`: name of a compiled tag → number. `opaque`: in order."""

    parts: Mapping[str, int]
    native: Mapping[str, int]
    opaque: tuple[OpaqueNode, ...]

    def __str__(self) -> str:
        lines = [f"{'parts':8}{_counts(self.parts)}", f"{'native':8}{_counts(self.native)}"]
        lines.append(f"{'opaque':8}{len(self.opaque)}")
        lines.extend(f"{'':8}{node.place}  {node.tag}" for node in self.opaque)
        return "\n".join(lines)


def report_of(nodes: Iterable[Node], program: Program) -> Report:
    """The report of a template with these `nodes`, which `program` evaluates."""
    native: Counter[str] = Counter()
    opaque: list[OpaqueNode] = []
    for node in all_nodes(nodes):
        if node.is_static:
            continue
        if node.is_native:
            native[_tag(node.location)] += 1
        else:
            opaque.append(OpaqueNode(_tag(node.location), str(node.location)))
    return Report(_sorted(Counter(_kinds(program.steps))), _sorted(native), tuple(opaque))


def _kinds(steps: Iterable[Step]) -> Iterator[str]:
    """The kind of every part that `steps` fill."""
    for step in steps:
        match step:
            case LeafStep():
                is_text = all(isinstance(piece, Node) and piece.is_inline for piece in step.pieces)
                yield _KINDS.get(step.kind) or ("text" if is_text else "region")
            case BranchStep():
                yield _KINDS[BRANCH]
                for arm in step.arms:
                    yield from _kinds(arm.steps)
            case LoopStep():
                yield _KINDS[LOOP]
                yield from _kinds(step.body.steps)
            case ScopeStep():
                yield from _kinds(step.steps)


def _tag(location: str) -> str:
    """The name of the tag at `location`."""
    if not isinstance(location, Location):
        return "?"
    token: Token | None = vars(location.tag).get("token")
    if token is None:
        return type(location.tag).__name__
    return "variable" if token.token_type == TokenType.VAR else token.contents.split(maxsplit=1)[0]


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    """`counts`, the highest first."""
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _counts(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    return f"{total}: {', '.join(f'{name} {number}' for name, number in counts.items())}" if total else "0"
