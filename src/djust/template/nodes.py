"""What a template is made of, between Django's nodes and the generated function.

`lower` turns each of Django's nodes (here a *tag*) into nodes of this module; `markup` arranges
these, together with the elements found in static text, into a tree.

    {% if a %}<b class="{{ b }}">x</b>{% endif %}

lowers to `If` with one body, `[Static('<b class="'), Interpolation(b), Static('">x</b>')]`; in the
tree it is `Blocks`, whose only body is the `Element` b.

A node carries its facts: what it evaluates, what is inside it, which names it binds and sets,
whether it has output. They are stated once, by its class and by its lowering. Later stages ask for
facts. The only class that they match is `Static`, which is text; the writers in `codegen` alone
know the others. A new tag is one class here, one lowering, and one writer (CONTRIBUTING.md, "Adding
a template tag").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from django.template.base import FilterExpression, Variable
from django.template.base import Node as DjangoNode
from django.template.loader_tags import BlockNode

from djust.render.values import BRANCH, LOOP, TEXT
from djust.template.debug import Location
from djust.template.inheritance import Chain


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
# Needed by tags that keep state in `context.render_context`, which each include has for itself;
# not a variable's name.
RENDER_STATE = ""

# Names → the expressions whose values they stand for; None where it is something else.
Bindings = Mapping[str, FilterExpression | None]
_NO_BINDINGS: Bindings = MappingProxyType({})


class Node:
    """One tag, variable or stretch of text of a template.

    The attributes below are its facts, with the values that most nodes have.
    """

    tag: Any = None
    """The node of Django's that it was lowered from."""
    location: str = ""
    """Where it stands, such as "a.html:3"."""
    is_static: bool = False
    """It is `text` that never changes."""
    text: str = ""
    chain: Chain | None = None
    """The template that is inlined here, and its parents."""

    expressions: Sequence[FilterExpression] = ()
    """What generated code evaluates for it, in this order."""
    delegated: Sequence[FilterExpression] = ()
    """What a node of Django's evaluates instead, with Django's context."""
    inner: Sequence[FilterExpression] = ()
    """As `expressions`, evaluated where the names that it binds are known."""
    variables: Sequence[str] = ()
    """Names that it reads besides those in expressions."""
    bodies: Sequence[list[Node]] = ()
    """The nodes inside it. Names are bound in the first body."""
    binds: Bindings = _NO_BINDINGS
    """The names that it binds."""
    sets: frozenset[str] = NO_NAMES
    """The names that it sets for what follows it."""
    sets_inside: frozenset[str] = NO_NAMES
    """As `sets`, with what the nodes inside it set."""
    needs: frozenset[str] = NO_NAMES
    """The names that must stand on Django's context while it is rendered: Django's nodes read or
    set them there. What is given the context may read anything, so it needs ALL_NAMES. A loop or
    `with` around keeps its names as Python locals, except these, which it pushes on the context."""
    has_output: bool = True
    """If not, it only sets names."""
    target: str = ""
    """The name that is set to what generated code makes of it; then it has no output."""

    part: str = TEXT
    """The kind of part that shows it: TEXT, or BRANCH or LOOP if it makes fragments."""
    is_text: bool = False
    """Its output is a word or a sentence, no markup, as far as one can tell when compiling."""
    is_inline: bool = False
    """It is text that may be one value with the text around it."""
    is_uncertain: bool = False
    """Its output may open or close elements, which shows only at run time. `ancestors` are then the
    open elements around it."""
    ancestors: tuple[str, ...] = ()
    makes_blocks: bool = False
    """Its bodies become fragments, each of which has to be balanced."""
    is_scope: bool = False
    """It shows its only body, with other names or settings."""
    leaves_trace: bool = True
    """False for a scope that changes nothing: its body could stand in its place."""
    is_choice: bool = False
    """It shows one of its bodies, or none unless it `is_exhaustive`."""
    is_exhaustive: bool = True
    is_string: bool = False
    """It takes the output of its bodies as a string, and may change it."""
    shows_value: bool = False
    """Its output is the value of its expression."""
    gets_context: bool = False
    """It is given the context and may change how values are shown."""
    is_native: bool = True
    """Generated code renders it, or knows which names Django's node uses."""
    is_super: bool = False
    """It stands for `{{ block.super }}`."""
    translates: bool = False
    """It asks a message catalog."""

    is_steady: bool = False
    """Its output depends on nothing but the values of the names that it reads."""
    may_skip: bool = False
    """Its bodies are not rendered in every case."""
    reads_all: bool = False
    """It reads all items of its expressions' values."""
    certain: int | None = None
    """So many of its expressions are evaluated in every case; None: all."""
    counts: bool = False
    """Something inside reads `forloop`, in which a loop counts."""
    each: bool = False
    """The names that it binds stand for each item of the value."""
    isolated: bool = False
    """Its body sees no other names than those that it binds."""
    escapes: bool | None = None
    """Whether values are escaped in its body; None: as around it."""

    def __init__(
        self,
        tag: Any,
        *,
        expressions: Sequence[FilterExpression] = (),
        bodies: Sequence[list[Node]] = (),
        binds: Bindings = _NO_BINDINGS,
        sets: frozenset[str] = NO_NAMES,
        needs: frozenset[str] = NO_NAMES,
        has_output: bool = True,
        target: str | None = None,
    ) -> None:
        if target is not None:
            sets, needs, has_output = sets | {target}, needs | {target}, False
            self.target = target
        self.tag, self.location = tag, Location.of(tag)
        self.expressions, self.bodies = expressions, bodies
        self.binds, self.sets, self.has_output = binds, sets, has_output
        for body in bodies:
            for node in body:
                needs, sets = node.needs | needs, node.sets_inside | sets
        self.needs, self.sets_inside = needs, sets
        self.is_inline = self.is_text and has_output

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.location}>"


class Static(Node):
    """Text that never changes."""

    is_static = is_steady = is_inline = True

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Static({self.text!r})"


class Interpolation(Node):
    """`{{ expression }}`."""

    is_text = is_uncertain = is_steady = shows_value = True


class Url(Node):
    """`{% url … %}`."""

    is_text = is_steady = True


class StaticUrl(Node):
    """`{% static path %}`."""

    is_text = is_steady = True


class Translation(Node):
    """`{% translate "literal" %}`; `message` is what the catalog is asked for."""

    is_text = is_steady = translates = True

    def __init__(self, tag: Any, message: str) -> None:
        super().__init__(tag)
        self.message = message


class BlockTranslate(Node):
    """`{% blocktranslate %}`: the catalog is asked for `singular` and `plural`.

    Its `variables` are the names in these; it binds those of `with` and its counter.
    """

    is_text = is_uncertain = is_steady = translates = True

    def __init__(self, tag: Any, singular: str, plural: str | None, variables: Sequence[str]) -> None:
        given = [e for e in (tag.message_context, *tag.extra_context.values()) if e is not None]
        binds = {**tag.extra_context, tag.countervar: None} if tag.countervar else tag.extra_context
        super().__init__(tag, expressions=given, binds=binds, target=tag.asvar or None)
        self.inner = [] if tag.counter is None else [tag.counter]
        self.singular, self.plural, self.variables = singular, plural, variables


class SimpleTag(Node):
    """A `simple_tag`. With a target variable, it has no output and sets a name."""

    is_text = is_uncertain = True


class InclusionTag(Node):
    """An `inclusion_tag`: the template that it names becomes a fragment."""

    part = BRANCH


class Call(Node):
    """A tag of Django's that its own node renders; the names it reads and sets are known."""

    is_text = True


class Opaque(Node):
    """A node we do not know, at `index` of its list; its own `render(context)` gives the output."""

    is_uncertain = gets_context = True
    is_native = False
    certain = 0
    index = 0

    def __init__(self, tag: Any, *, has_output: bool = True) -> None:
        super().__init__(tag, needs=ALL_NAMES, sets=ALL_NAMES, has_output=has_output)

    @property
    def delegated(self) -> Sequence[FilterExpression]:  # type: ignore[override] # asked for by few
        return [found for node in self.tag.get_nodes_by_type(DjangoNode) for found in _expressions_in(node)]


class DynamicInclude(Node):
    """`{% include %}` of a template known only at run time, or of one around it (recursion)."""

    part = BRANCH
    gets_context = True
    certain = 0

    def __init__(self, tag: Any, *, sets: frozenset[str]) -> None:
        super().__init__(tag, needs=ALL_NAMES, sets=sets)
        self.delegated = list(_expressions_in(tag))


class DynamicPartial(DynamicInclude):
    """`{% partial %}` within itself."""


class If(Node):
    """`{% if %}`: a body for each of the tag's conditions."""

    part = BRANCH
    makes_blocks = is_choice = is_steady = may_skip = reads_all = True
    certain = 1


class For(Node):
    """`{% for %}`: its bodies are the loop's and that of `{% empty %}`, if there is one."""

    part = LOOP
    makes_blocks = is_steady = may_skip = reads_all = each = True


class IfChanged(Node):
    """`{% ifchanged %}`: its output is one string; its second body is that of `{% else %}`."""

    is_uncertain = may_skip = True


class RenderedBlock(Node):
    """A block whose output is taken as a string."""

    is_uncertain = is_string = True


class Filter(RenderedBlock):
    """`{% filter %}`: its expression has the output of its body under the name `var`."""

    def __init__(self, tag: Any, body: list[Node]) -> None:
        super().__init__(tag, bodies=[body], binds={"var": None})
        self.inner = [tag.filter_expr]


class Spaceless(RenderedBlock):
    """`{% spaceless %}`."""


class Cache(RenderedBlock):
    """`{% cache %}`."""

    may_skip = True


class SimpleBlock(RenderedBlock):
    """A `simple_block_tag` of anybody."""


class With(Node):
    """`{% with %}`: its expressions are evaluated in the outer scope."""

    is_scope = is_steady = True


class Inclusion(Node):
    """`{% include "literal" %}`, its template inlined."""

    is_scope = is_steady = True

    def __init__(self, tag: Any, chain: Chain, body: list[Node]) -> None:
        given = tag.extra_context
        super().__init__(tag, expressions=[*given.values()], bodies=[body], binds=given)
        self.chain, self.isolated = chain, bool(tag.isolated_context)
        self.leaves_trace = bool(given or self.isolated)


class Partial(Node):
    """`{% partial %}`, inlined: for Django a template of its own, in the same context."""

    is_scope = is_steady = True
    leaves_trace = False

    def __init__(self, tag: Any, template: Any, body: list[Node]) -> None:
        super().__init__(tag, bodies=[body])
        self.template = template


class Block(Node):
    """`{% block %}`; its tag is the one that overrides it."""

    is_scope = True

    def __init__(self, tag: BlockNode, body: list[Node]) -> None:
        # `block.super` in an expression is rendered by Django's own nodes, which read any name.
        self.leaves_trace = "block" in names_read(body)
        self.is_steady = not self.leaves_trace
        needs = ALL_NAMES if self.leaves_trace else NO_NAMES
        super().__init__(tag, bodies=[body], binds={"block": None}, needs=needs)


class ContextFlag(Node):
    """A block in which the attribute `flag` of Django's context is `value`, such as autoescape."""

    is_scope = is_steady = True

    def __init__(self, tag: Any, flag: str, value: object, body: list[Node]) -> None:
        super().__init__(tag, bodies=[body])
        self.flag, self.value = flag, value


class Override(Node):
    """A block in which `manager`, a name of the run time, sets the language or the timezone."""

    is_scope = True

    def __init__(self, tag: Any, manager: str, expression: FilterExpression, body: list[Node]) -> None:
        super().__init__(tag, expressions=[expression], bodies=[body])
        self.manager = manager


def append(nodes: list[Any], node: object) -> None:
    """Append `node` to `nodes`; a text is joined to a text before it."""
    if isinstance(node, Static) and nodes and isinstance(nodes[-1], Static):
        nodes[-1] = Static(nodes[-1].text + node.text)
    else:
        nodes.append(node)


def all_nodes(nodes: Iterable[Node]) -> Iterator[Node]:
    """`nodes` and all that are inside them."""
    for node in nodes:
        yield node
        for body in node.bodies:
            yield from all_nodes(body)


def needs_of(nodes: Iterable[Node]) -> frozenset[str]:
    """The names that must stand on Django's context while `nodes` are rendered."""
    needs = NO_NAMES
    for node in nodes:
        needs = node.needs | needs
    return needs


def moved_names(node: Node) -> frozenset[str]:
    """The names that inside `node` have to be read from the context, and not from a local."""
    return node.sets_inside if node.needs is ALL_NAMES else node.needs


def names_read(nodes: Iterable[Node]) -> set[str]:
    """First names of all variables that generated code reads for `nodes`, bound ones included."""
    names: set[str] = set()
    for node in all_nodes(nodes):
        names.update(node.variables, *map(reads, node.expressions))
        if node.inner and not node.delegated:
            names.update(*map(reads, node.inner))
    return names


def reads(expression: FilterExpression) -> set[str]:
    """The first names of the variables in `expression`."""
    variables = [arg for _, args in expression.filters for lookup, arg in args if lookup]
    if expression.is_var:
        variables.append(expression.var)
    return {v.lookups[0] for v in variables if isinstance(v, Variable) and v.lookups}


def _expressions_in(tag: DjangoNode) -> Iterator[FilterExpression]:
    """The expressions in the attributes of a node of Django's, alone, in lists, in dictionaries."""
    for value in vars(tag).values():
        several = value.values() if isinstance(value, dict) else value
        for found in several if isinstance(value, list | tuple | dict) else [value]:
            if isinstance(found, FilterExpression):
                yield found
