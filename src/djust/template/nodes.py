"""What a template is made of, between Django's nodes and the generated function.

`lower` turns Django's nodes into *items*; `markup` arranges them, together with the elements found in the static text,
into *steps*, which fill the parts of fragments; `codegen` writes the steps as Python.

    {% if a %}<b class="{{ b }}">x</b>{% endif %}

lowers to `If([(a, [Static('<b class="'), Text(b), Static('">x</b>')])])`, and markup turns that into a `BranchStep` for
part 0, whose only arm fills a fragment with the static `<b dj class="` … and a `LeafStep` for its attribute part.

Every item knows its `needs`: the names that must stand on Django's context while it is rendered, because a node of
Django's reads or sets them there. An opaque tag may read anything, so it needs ALL_NAMES. A loop or `with` around an
item keeps its names as Python locals, except the needed ones, which it pushes on the context as Django does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.template.base import FilterExpression, Node, Template
from django.template.loader_tags import BlockNode, ExtendsNode

from djust.render.values import Fragment


class _AllNames(frozenset[str]):
    """The set of all names there are."""

    def __contains__(self, name: object) -> bool:
        return True

    def __or__(self, other: object) -> _AllNames:
        return self

    __ror__ = __or__

    def __bool__(self) -> bool:
        return True


NO_NAMES: frozenset[str] = frozenset()
ALL_NAMES: frozenset[str] = _AllNames()
# Needed by tags that keep state in `context.render_context`, which each include has for itself; not a variable's name.
RENDER_STATE = ""


@dataclass(slots=True, eq=False)
class Static:
    """Text that never changes."""

    text: str
    needs = NO_NAMES


@dataclass(slots=True, eq=False)
class Text:
    """`{{ expression }}`. `inside`, here and below: the elements around, which its output may turn out to close."""

    expression: FilterExpression
    line: str
    inside: tuple[str, ...] = ()
    needs = NO_NAMES


@dataclass(slots=True, eq=False)
class Url:
    """`{% url … %}`; with `asvar` it has no output and sets a name (then it is impure)."""

    view_name: FilterExpression
    args: list[FilterExpression]
    kwargs: dict[str, FilterExpression]
    line: str
    needs = NO_NAMES


@dataclass(slots=True, eq=False)
class StaticUrl:
    """`{% static path %}`."""

    node: Node
    path: FilterExpression
    line: str
    needs = NO_NAMES


@dataclass(slots=True, eq=False)
class SimpleTag:
    """A `simple_tag` of anybody. With a target variable it has no output and sets a name."""

    node: Any
    line: str
    silent: bool
    needs: frozenset[str]
    inside: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Call:
    """A tag of Django's that its own node renders; the names it reads and sets are known. `silent`: no output."""

    node: Node
    line: str
    needs: frozenset[str]
    silent: bool = False
    inline: bool = True


@dataclass(slots=True, eq=False)
class Sentence:
    """`{% blocktranslate %}`. `singular` and `plural` are what catalogs are asked for, with the `variables` in them.

    With `asvar` it has no output and sets a name.
    """

    node: Any
    line: str
    singular: str
    plural: str | None
    variables: tuple[str, ...]
    needs: frozenset[str]
    silent: bool
    inside: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Opaque:
    """A node we do not know, at `index` of its list; its own `render(context)` gives the output."""

    node: Node
    line: str
    silent: bool = False
    inside: tuple[str, ...] = ()
    index: int = 0
    needs = ALL_NAMES


@dataclass(slots=True, eq=False)
class DynamicInclude:
    """`{% include %}` of a template that is known only at run time, or that is being lowered already (recursion).

    So is a `{% partial %}` within itself.
    """

    node: Any
    line: str
    needs = ALL_NAMES


@dataclass(slots=True, eq=False)
class InclusionTag:
    """An `inclusion_tag` of anybody: the template it names becomes a fragment."""

    node: Any
    line: str
    needs: frozenset[str]


@dataclass(slots=True, eq=False)
class If:
    """`arms`: (condition of Django's smartif or None for else, items)."""

    arms: list[tuple[Any, list[Item]]]
    line: str
    needs: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.needs = needs_of([item for _, items in self.arms for item in items])


@dataclass(slots=True, eq=False)
class For:
    """`{% for %}`. `counts`: something inside reads `forloop`."""

    names: list[str]
    sequence: FilterExpression
    reversed: bool
    body: list[Item]
    empty: list[Item] | None
    line: str
    needs: frozenset[str] = field(init=False)
    counts: bool = False

    def __post_init__(self) -> None:
        self.needs = needs_of([*self.body, *(self.empty or ())])


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
    needs: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.needs = needs_of(self.body)


@dataclass(slots=True, eq=False)
class Inclusion:
    """`{% include "literal" %}`, its template inlined. `chain`: the included template and its parents."""

    chain: Chain
    bindings: dict[str, FilterExpression]
    isolated: bool
    body: list[Item]
    line: str
    needs: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.needs = needs_of(self.body)


@dataclass(slots=True, eq=False)
class Partial:
    """`{% partial %}`, its content inlined: Django renders it as a template of its own in the context that is there."""

    template: Any
    body: list[Item]
    line: str
    needs: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.needs = needs_of(self.body)


@dataclass(slots=True, eq=False)
class Block:
    """`{% block %}`, resolved to the node that overrides it; `is_super`: it stands for `{{ block.super }}`."""

    node: BlockNode
    body: list[Item]
    line: str
    is_super: bool = False
    needs: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.needs = needs_of(self.body)


@dataclass(slots=True, eq=False)
class Setting:
    """A block that changes how the context renders: autoescape, localize, localtime, language, timezone."""

    node: Any
    body: list[Item]
    line: str
    needs: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.needs = needs_of(self.body)


@dataclass(slots=True, eq=False)
class Capture:
    """A block whose output is taken as a string and changed: filter, spaceless, cache, a `simple_block_tag`.

    `own`: the names that its node reads or sets itself.
    """

    node: Any
    body: list[Item]
    line: str
    own: frozenset[str] = NO_NAMES
    silent: bool = False
    inside: tuple[str, ...] = ()
    needs: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.needs = self.own | needs_of(self.body)


@dataclass(slots=True, eq=False)
class IfChanged:
    """`{% ifchanged %}`: its output is one string."""

    node: Any
    body: list[Item]
    empty: list[Item]
    line: str
    inside: tuple[str, ...] = ()
    needs: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.needs = needs_of([*self.body, *self.empty]) | {RENDER_STATE}


# Items whose output cannot be known when compiling.
UNKNOWN = Text | SimpleTag | Sentence | Capture | IfChanged | Opaque
Scope = With | Inclusion | Partial | Block | Setting
Rendered = Call | Opaque | DynamicInclude | InclusionTag
Output = Text | Url | StaticUrl | SimpleTag | Sentence | Capture | IfChanged | Rendered
Item = Static | Output | If | For | Scope


def needs_of(items: Iterable[Item]) -> frozenset[str]:
    """The names that must stand on Django's context while `items` are rendered."""
    needs = NO_NAMES
    for item in items:
        needs = item.needs | needs
    return needs


def sets_of(item: For | Scope) -> frozenset[str]:
    """The names that something inside `item` may set. An include reads all names, but sets them in its own layer."""
    if item.needs is not ALL_NAMES:
        return item.needs
    sets = NO_NAMES
    for inner in all_items(inner for body in bodies(item) for inner in body):
        own = inner.own if isinstance(inner, Capture) else NO_NAMES if bodies(inner) else inner.needs
        sets = sets if isinstance(inner, DynamicInclude) else own | sets
    return sets


def is_silent(item: object) -> bool:
    """Whether `item` has no output and only sets names."""
    return isinstance(item, Call | SimpleTag | Sentence | Capture | Opaque) and item.silent


_NESTING = frozenset({If, For, IfChanged, With, Inclusion, Partial, Block, Setting, Capture})


def bodies(item: Item) -> list[list[Item]]:
    """The lists of items inside `item`."""
    match item:
        case If():
            return [body for _, body in item.arms]
        case For():
            return [item.body, item.empty or []]
        case IfChanged():
            return [item.body, item.empty]
        case With() | Inclusion() | Partial() | Block() | Setting() | Capture():
            return [item.body]
    return []


def all_items(items: Iterable[Item]) -> Iterator[Item]:
    """`items` and all that are inside them."""
    for item in items:
        yield item
        if type(item) in _NESTING:
            for body in bodies(item):
                yield from all_items(body)


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
    """Part `index` gets the text of `pieces`. `kind` as in `render.values`; a single `Text` keeps its plain value.

    `checked`: output that turns out to be unbalanced breaks the element around; not if all of it is this part already.
    """

    index: int
    kind: str
    pieces: Sequence[Content]
    checked: bool = True


@dataclass(slots=True, eq=False)
class BranchStep:
    """Part `index` gets the first arm whose condition holds. A dynamic include has no arms."""

    index: int
    item: If | For | DynamicInclude | InclusionTag
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

    item: Item


Step = LeafStep | BranchStep | LoopStep | ScopeStep | EffectStep


@dataclass(slots=True, eq=False)
class Program:
    """A fragment and the steps that fill its parts."""

    fragment: Fragment
    steps: list[Step]
