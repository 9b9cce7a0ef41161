"""What a template is made of, between Django's nodes and the generated function.

`lower` turns Django's nodes into *items*; `markup` arranges them, together with the elements found in the static text,
into *steps*, which fill the parts of fragments; `codegen` writes the steps as Python.

    {% if a %}<b class="{{ b }}">x</b>{% endif %}

lowers to `If([(a, [Static('<b class="'), Text(b), Static('">x</b>')])])`, and markup turns that into a `BranchStep` for
part 0, whose only arm fills a fragment with the static `<b dj class="` … and a `LeafStep` for its attribute part.

Every item knows whether it is *impure*: something in it needs Django's context as Django would have it (an opaque tag,
an include whose template is known only at run time). Names bound around impure items are pushed on the real context;
names around pure ones are Python locals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.template.base import FilterExpression, Node, Template
from django.template.loader_tags import BlockNode, ExtendsNode

from djust.render.values import Fragment


@dataclass(slots=True, eq=False)
class Static:
    """Text that never changes."""

    text: str
    impure = False


@dataclass(slots=True, eq=False)
class Text:
    """`{{ expression }}`."""

    expression: FilterExpression
    line: str
    impure = False


@dataclass(slots=True, eq=False)
class Url:
    """`{% url … %}`; with `asvar` it has no output and sets a name (then it is impure)."""

    view_name: FilterExpression
    args: list[FilterExpression]
    kwargs: dict[str, FilterExpression]
    line: str
    impure = False


@dataclass(slots=True, eq=False)
class StaticUrl:
    """`{% static path %}`."""

    node: Node
    path: FilterExpression
    line: str
    impure = False


@dataclass(slots=True, eq=False)
class CsrfToken:
    """`{% csrf_token %}`: reads one name of the context that templates cannot rebind in between."""

    node: Node
    line: str
    impure = False


@dataclass(slots=True, eq=False)
class Opaque:
    """A node we do not know; its own `render(context)` gives the output. `silent`: it only sets a name."""

    node: Node
    line: str
    silent: bool = False
    impure = True


@dataclass(slots=True, eq=False)
class DynamicInclude:
    """`{% include %}` of a template that is known only at run time, or that is being lowered already (recursion)."""

    node: Any
    line: str
    impure = True


@dataclass(slots=True, eq=False)
class If:
    """`arms`: (condition of Django's smartif or None for else, items)."""

    arms: list[tuple[Any, list[Item]]]
    line: str
    impure: bool = field(init=False)

    def __post_init__(self) -> None:
        self.impure = any(needs_context(items) for _, items in self.arms)


@dataclass(slots=True, eq=False)
class For:
    """`{% for %}`. `counts`: something inside reads `forloop`."""

    names: list[str]
    sequence: FilterExpression
    reversed: bool
    body: list[Item]
    empty: list[Item] | None
    line: str
    impure: bool = field(init=False)
    counts: bool = False

    def __post_init__(self) -> None:
        self.impure = needs_context(self.body) or needs_context(self.empty or [])


@dataclass(slots=True, eq=False)
class Chain:
    """A template and the parents it extends, child first, and which nodes override which blocks."""

    templates: list[Template]
    extends: list[ExtendsNode]
    queues: dict[str, list[BlockNode]]


@dataclass(slots=True, eq=False)
class With:
    """`{% with %}`: `bindings` are evaluated in the outer scope."""

    bindings: dict[str, FilterExpression]
    body: list[Item]
    line: str
    impure: bool = field(init=False)

    def __post_init__(self) -> None:
        self.impure = needs_context(self.body)


@dataclass(slots=True, eq=False)
class Inclusion:
    """`{% include "literal" %}`, its template inlined. `chain`: the included template and its parents."""

    chain: Chain
    bindings: dict[str, FilterExpression]
    isolated: bool
    body: list[Item]
    line: str
    impure: bool = field(init=False)

    def __post_init__(self) -> None:
        self.impure = needs_context(self.body)


@dataclass(slots=True, eq=False)
class Block:
    """`{% block %}`, resolved to the node that overrides it."""

    node: BlockNode
    body: list[Item]
    line: str
    impure: bool = field(init=False)

    def __post_init__(self) -> None:
        self.impure = needs_context(self.body)


Scope = With | Inclusion | Block
Output = Text | Url | StaticUrl | CsrfToken | Opaque
Item = Static | Output | DynamicInclude | If | For | Scope


def needs_context(items: Sequence[Item]) -> bool:
    """Whether anything in `items` needs Django's context as Django would have it."""
    return any(item.impure for item in items)


# A tree of markup: items, and the elements that static text makes around them.


@dataclass(slots=True, eq=False)
class Element:
    """`start`: the start tag, static text and items. `children`: its content. `end`: its end tag, "" if implied."""

    name: str
    start: list[Piece]
    children: list[Content]
    end: str = ""
    broken: bool = False  # some block in it is not balanced: the content is a region


@dataclass(slots=True, eq=False)
class Blocks:
    """An `If` or `For` whose `bodies` (in the order of its arms; body, empty) are balanced on their own."""

    item: If | For
    bodies: list[list[Content]]


@dataclass(slots=True, eq=False)
class Scoped:
    """A scope whose content is balanced."""

    item: Scope
    children: list[Content]


Piece = Item
Content = Item | Element | Blocks | Scoped


# Steps: what a generated function does, in order.


@dataclass(slots=True, eq=False)
class LeafStep:
    """Part `index` gets the text of `pieces`. `kind` as in `render.values`; a single `Text` keeps its plain value."""

    index: int
    kind: str
    pieces: Sequence[Content]


@dataclass(slots=True, eq=False)
class BranchStep:
    """Part `index` gets the first arm whose condition holds. A dynamic include has no arms."""

    index: int
    item: If | For | DynamicInclude
    arms: list[Program]


@dataclass(slots=True, eq=False)
class LoopStep:
    """Part `index` gets one row per item; `key`: part of the row that identifies it, if any."""

    index: int
    item: For
    body: Program
    key: int | None


@dataclass(slots=True, eq=False)
class ScopeStep:
    """`steps` run with the scope's names bound."""

    item: Scope
    steps: list[Step]


@dataclass(slots=True, eq=False)
class EffectStep:
    """A node that has no output is run where it stands."""

    item: Opaque


Step = LeafStep | BranchStep | LoopStep | ScopeStep | EffectStep


@dataclass(slots=True, eq=False)
class Program:
    """A fragment and the steps that fill its parts."""

    fragment: Fragment
    steps: list[Step]
