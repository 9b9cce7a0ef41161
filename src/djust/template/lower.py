"""Django's nodes → items. One short function per built-in tag; what has none becomes a `Call` or `Opaque`.

Inheritance is resolved here: the items of a template that extends others are those of the root parent, every block
replaced by the node that overrides it, and `{{ block.super }}` by the items of the node it overrides. Partials and
includes of literal names are inlined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import django
from django.template import Context, TemplateDoesNotExist, TemplateSyntaxError, defaulttags
from django.template.base import FilterExpression, Node, NodeList, Origin, Template, TextNode, Variable, VariableNode
from django.template.defaulttags import (
    AutoEscapeControlNode,
    CommentNode,
    FilterNode,
    ForNode,
    IfChangedNode,
    IfNode,
    LoadNode,
    SpacelessNode,
    TemplateTagNode,
    URLNode,
    VerbatimNode,
    WithNode,
)
from django.template.library import InclusionNode, SimpleBlockNode, SimpleNode
from django.template.loader_tags import BlockNode, ExtendsNode, IncludeNode, construct_relative_path
from django.templatetags.cache import CacheNode
from django.templatetags.i18n import BlockTranslateNode, LanguageNode
from django.templatetags.l10n import LocalizeNode
from django.templatetags.static import StaticNode
from django.templatetags.tz import LocalTimeNode, TimezoneNode

from djust.template.codegen.expressions import changed_by, is_native, leaves, reads
from djust.template.debug import Place
from djust.template.nodes import (
    ALL_NAMES,
    NO_NAMES,
    RENDER_STATE,
    Block,
    Call,
    Capture,
    Chain,
    DynamicInclude,
    For,
    If,
    IfChanged,
    Inclusion,
    InclusionTag,
    Item,
    Opaque,
    Partial,
    Sentence,
    Setting,
    SimpleTag,
    Static,
    StaticUrl,
    Text,
    Url,
    With,
    all_items,
)
from djust.template.tags import call_of, names_of, sentence_expressions, sentence_of, tag_needs

# CPython refuses code with more than 20 nested loops and `with` blocks, and with more than 100 levels of indentation;
# what is nested deeper is left to Django.
MAX_BLOCKS = 15
MAX_DEPTH = 40

# How many nested blocks of Python a tag may become.
_BLOCKS: dict[type[Node], int] = {
    AutoEscapeControlNode: 0,
    BlockNode: 1,
    ForNode: 1,
    IfChangedNode: 1,
    IfNode: 0,
    IncludeNode: 1,
    LanguageNode: 1,
    LocalTimeNode: 0,
    LocalizeNode: 0,
    TimezoneNode: 1,
    WithNode: 0,
}


def resolve_chain(template: Template, context: Context) -> Chain:
    """`template` and its parents, found as Django finds them; raises what Django raises."""
    templates, extends = [template], []
    while (node := extends_node(templates[-1])) is not None:
        extends.append(node)
        templates.append(node.get_parent(context))
    queues: dict[str, list[BlockNode]] = {}
    if extends:
        for node in extends:
            _add_blocks(queues, node.blocks)
        root = templates[-1]
        _add_blocks(queues, {n.name: n for n in root.nodelist.get_nodes_by_type(BlockNode) if isinstance(n, BlockNode)})
    return Chain(templates, extends, queues)


def _add_blocks(queues: dict[str, list[BlockNode]], blocks: dict[str, BlockNode]) -> None:
    for name, node in blocks.items():
        queues.setdefault(name, []).append(node)


def extends_node(template: Template) -> ExtendsNode | None:
    """The `{% extends %}` of a template, which is its first node apart from text."""
    first = next((node for node in template.nodelist if not isinstance(node, TextNode)), None)
    return first if isinstance(first, ExtendsNode) else None


def is_static_chain(template: Template) -> bool:
    """Whether the parents of `template` are named by literals, all the way up."""
    context = binding_context(template)
    current = template
    while (node := extends_node(current)) is not None:
        parent = cast(FilterExpression, node.parent_name)
        if parent.is_var or parent.filters:
            return False
        current = node.get_parent(context)
    return True


def binding_context(template: Template) -> Context:
    """An empty context in which templates can be looked up."""
    context = Context()
    context.template = template
    return context


class Lowering:
    """Lowers one template; `active` are the origins of the templates being lowered around it, to notice recursion.

    Unless it `inlines`, every include is left to run time; unless it inlines `supers`, Django renders what they show.
    `partials` are the partials we are in.
    """

    def __init__(
        self,
        chain: Chain,
        active: tuple[Origin, ...] = (),
        partials: tuple[Any, ...] = (),
        *,
        inlines: bool = True,
        supers: bool = True,
    ) -> None:
        self.chain = chain
        self.inlines, self.supers = inlines, supers
        self.partials = (*partials, *chain.templates)
        self.active = (*active, *(template.origin for template in chain.templates))
        self.blocks: list[tuple[str, int]] = []  # the blocks we are in: name, position in its queue
        self.depth = 0
        self.nested_blocks = 0

    def items(self) -> list[Item]:
        # What stands before `{% extends %}` is shown, too; Django's parser allows nothing but text there.
        *children, root = self.chain.templates
        leading = [node for template in children for node in template.nodelist if isinstance(node, TextNode)]
        return self.nodes([*leading, *root.nodelist], -len(leading))

    def nodes(self, nodes: Sequence[Node], first: int = 0) -> list[Item]:
        items: list[Item] = []
        for index, node in enumerate(nodes, first):
            for item in self._node(node):
                if isinstance(item, Opaque) and item.node is node:
                    item.index = index
                if isinstance(item, Static) and items and isinstance(items[-1], Static):
                    items[-1] = Static(items[-1].text + item.text)
                else:
                    items.append(item)
        return items

    def shadowed(self, names: Iterable[str], nodes: Sequence[Node]) -> list[Item]:
        """The items of `nodes`, in which `names` are bound; perhaps `block`, which is then not Django's."""
        if "block" not in names:
            return self.nodes(nodes)
        self.blocks.append(("", 0))
        items = self.nodes(nodes)
        self.blocks.pop()
        return items

    def _node(self, node: Node) -> Iterable[Item]:
        lower = LOWERINGS.get(type(node))
        if lower is None:
            return [_call(node)]
        return self._nested(node, lower) if type(node) in _BLOCKS else lower(self, node)

    def _nested(self, node: Node, lower: Callable[[Lowering, Any], Iterator[Item]]) -> Iterator[Item]:
        blocks = _BLOCKS[type(node)]
        if self.depth == MAX_DEPTH or self.nested_blocks + blocks > MAX_BLOCKS:
            yield Opaque(node, Place.of(node))
            return
        self.depth += 1
        self.nested_blocks += blocks
        yield from lower(self, node)
        self.depth -= 1
        self.nested_blocks -= blocks

    def _text(self, node: TextNode) -> Iterator[Item]:
        if node.s:
            yield Static(node.s)

    def _variable(self, node: VariableNode) -> Iterator[Item]:
        expression = node.filter_expression
        if self._is_super(expression):
            yield from self._super()
        elif is_native(expression):
            yield Text(expression, Place.of(node))
        else:
            yield Opaque(node, Place.of(node))

    def _is_super(self, expression: FilterExpression) -> bool:
        var = expression.var
        if not (self.supers and self.blocks and self.chain.extends and isinstance(var, Variable)):
            return False
        return var.lookups == ("block", "super") and not expression.filters and self.blocks[-1][0] != ""

    def _super(self) -> Iterator[Item]:
        name, position = self.blocks[-1]
        queue = self.chain.queues[name]
        if position + 1 < len(queue):
            block = self._block_at(name, position + 1)
            block.is_super = True
            yield block

    def _block(self, node: BlockNode) -> Iterator[Item]:
        name = node.name
        if not self.chain.extends:
            yield self._block_of(node, ("", 0))
        elif any(active == name for active, _ in self.blocks):
            yield Opaque(node, Place.of(node))  # a block inside itself: Django's block context decides
        elif name in self.chain.queues:
            yield self._block_at(name, 0)
        else:  # in a tag that hides its content from Django's search for blocks: nothing overrides it
            yield self._block_of(node, ("", 0))

    def _block_at(self, name: str, position: int) -> Block:
        return self._block_of(self.chain.queues[name][position], (name, position))

    def _block_of(self, node: BlockNode, place: tuple[str, int]) -> Block:
        self.blocks.append(place)
        body = self.nodes(node.nodelist)
        if any(_mentions_block(item) for item in all_items(body)):
            body = self.shadowed({"block"}, node.nodelist)
        self.blocks.pop()
        block = Block(node, body, Place.of(node))
        if "block" in names_read(block.body):
            block.needs = ALL_NAMES  # `block.super` in an expression is rendered by Django's own nodes
        return block

    def _include(self, node: IncludeNode) -> Iterator[Item]:
        line = Place.of(node)
        chain = self._included(node)
        if chain is None:
            yield DynamicInclude(node, line)
            return
        yield _isolated(Inclusion(chain, node.extra_context, node.isolated_context, self._inner(chain), line))

    def _inner(self, chain: Chain) -> list[Item]:
        """The items of a template that is inlined here."""
        inner = Lowering(chain, self.active, self.partials, supers=self.supers)
        inner.depth, inner.nested_blocks = self.depth, self.nested_blocks
        return inner.items()

    def _partial(self, node: Any) -> Iterator[Item]:
        line = Place.of(node)
        try:
            partial = node.partial_mapping[node.partial_name]
        except KeyError:
            yield Call(node, line, NO_NAMES)  # it raises an error
            return
        vars(partial).setdefault("engine", self.chain.templates[0].engine)
        item: Item
        if not self.inlines or partial in self.partials:
            item = DynamicInclude(node, line)
        else:
            item = _isolated(Partial(partial, self._inner(Chain([partial], [], {})), line))
        for inner in all_items([item]):
            place = None if isinstance(inner, Static) else inner.line
            if isinstance(place, Place) and place.partial is None:
                place.partial = line
        yield item

    def _partial_definition(self, node: Any) -> Iterator[Item]:
        if node.inline:
            yield from self.nodes(node.nodelist)

    def _included(self, node: IncludeNode) -> Chain | None:
        """The chain of a literal include that can be inlined, else None."""
        expression = node.template
        if not self.inlines or not is_native(expression) or expression.is_var or expression.filters:
            return None
        name = expression.var
        if not isinstance(name, str):
            return None
        if not all(is_native(value) for value in node.extra_context.values()):
            return None
        engine = self.chain.templates[0].engine
        try:
            path = construct_relative_path(cast(str, node.origin.template_name), name)
            template = engine.select_template([path])
            if not is_static_chain(template):
                return None
            chain = resolve_chain(template, binding_context(template))
        except (TemplateDoesNotExist, TemplateSyntaxError):
            return None  # raised when the include is reached, as Django does
        return None if any(t.origin in self.active for t in chain.templates) else chain


def _isolated(item: Inclusion | Partial) -> Inclusion | Partial:
    """`item`, in a render state of its own if something in it may ask for `block.super`, which is not known there."""
    if "block" in names_read(item.body):
        item.needs = item.needs | {RENDER_STATE}
    return item


def _mentions_block(item: Item) -> bool:
    """Whether `item` is a tag that reads or sets the name `block`."""
    needs = getattr(item, "needs", NO_NAMES)
    return needs is not ALL_NAMES and "block" in needs


# One function per tag


def _if(lowering: Lowering, node: IfNode) -> Iterator[Item]:
    conditions = [condition for condition, _ in node.conditions_nodelists if condition is not None]
    if all(is_native(leaf) for condition in conditions for leaf in leaves(condition)):
        arms = [(condition, lowering.nodes(nodelist)) for condition, nodelist in node.conditions_nodelists]
        yield If(arms, Place.of(node))
    else:
        yield Opaque(node, Place.of(node))


def _for(lowering: Lowering, node: ForNode) -> Iterator[Item]:
    sequence = cast(FilterExpression, node.sequence)
    if not is_native(sequence):
        yield Opaque(node, Place.of(node))
        return
    body = lowering.shadowed(node.loopvars, cast(NodeList, node.nodelist_loop))
    empty = lowering.nodes(cast(NodeList, node.nodelist_empty)) if node.nodelist_empty else None
    item = For(list(node.loopvars), sequence, node.is_reversed, body, empty, Place.of(node))
    compares = any(isinstance(inner, IfChanged) for inner in all_items(body))  # it keeps its state in `forloop`
    item.counts = compares or "forloop" in item.needs or "forloop" in names_read(body)
    yield item


def _with(lowering: Lowering, node: WithNode) -> Iterator[Item]:
    if all(is_native(value) for value in node.extra_context.values()):
        yield With(dict(node.extra_context), lowering.shadowed(node.extra_context, node.nodelist), Place.of(node))
    else:
        yield Opaque(node, Place.of(node))


def _url(lowering: Lowering, node: URLNode) -> Iterator[Item]:
    line = Place.of(node)
    expressions = [node.view_name, *node.args, *node.kwargs.values()]
    if node.asvar or not all(map(is_native, expressions)):
        yield _call(node)
    else:
        yield Url(node.view_name, list(node.args), dict(node.kwargs), line)


def _static(lowering: Lowering, node: StaticNode) -> Iterator[Item]:
    if node.varname is not None or not is_native(node.path):
        yield _call(node)
    else:
        yield StaticUrl(node, node.path, Place.of(node))


def _sentence(lowering: Lowering, node: BlockTranslateNode) -> Iterator[Item]:
    yield sentence_of(node, Place.of(node)) or _call(node)


def _call(node: Node) -> Call | Opaque:
    return call_of(node, Place.of(node)) or Opaque(node, Place.of(node))


def _setting(lowering: Lowering, node: Any) -> Iterator[Item]:
    expression = getattr(node, "language", None) or getattr(node, "tz", None)
    if expression is not None and not is_native(expression):
        yield Opaque(node, Place.of(node))
    else:
        yield Setting(node, lowering.nodes(node.nodelist), Place.of(node))


def _filter(lowering: Lowering, node: FilterNode) -> Iterator[Item]:
    if is_native(node.filter_expr):
        yield Capture(node, lowering.nodes(node.nodelist), Place.of(node))
    else:
        yield Opaque(node, Place.of(node))


def _spaceless(lowering: Lowering, node: SpacelessNode) -> Iterator[Item]:
    yield Capture(node, lowering.nodes(node.nodelist), Place.of(node))


def _cache(lowering: Lowering, node: CacheNode) -> Iterator[Item]:
    own = names_of([node.expire_time_var, node.cache_name, *node.vary_on])
    yield Capture(node, lowering.nodes(node.nodelist), Place.of(node), own)


def _if_changed(lowering: Lowering, node: IfChangedNode) -> Iterator[Item]:
    if all(map(is_native, changed_by(node))):
        body, empty = lowering.nodes(node.nodelist_true), lowering.nodes(node.nodelist_false or ())
        yield IfChanged(node, body, empty, Place.of(node))
    else:
        yield Opaque(node, Place.of(node))


def _simple_tag(lowering: Lowering, node: SimpleNode) -> Iterator[Item]:
    if all(map(is_native, [*node.args, *node.kwargs.values()])):
        target = frozenset([node.target_var] if node.target_var is not None else ())
        yield SimpleTag(node, Place.of(node), bool(target), tag_needs(node) | target)
    else:
        yield Opaque(node, Place.of(node), node.target_var is not None)


def _simple_block(lowering: Lowering, node: SimpleBlockNode) -> Iterator[Item]:
    if all(map(is_native, [*node.args, *node.kwargs.values()])):
        target = frozenset([node.target_var] if node.target_var is not None else ())
        yield Capture(node, lowering.nodes(node.nodelist), Place.of(node), tag_needs(node) | target, bool(target))
    else:
        yield Opaque(node, Place.of(node), node.target_var is not None)


def _inclusion_tag(lowering: Lowering, node: InclusionNode) -> Iterator[Item]:
    if all(map(is_native, [*node.args, *node.kwargs.values()])):
        yield InclusionTag(node, Place.of(node), tag_needs(node) | {"csrf_token"})
    else:
        yield Opaque(node, Place.of(node))


def _template_tag(lowering: Lowering, node: TemplateTagNode) -> Iterator[Item]:
    yield Static(node.mapping.get(node.tagtype, ""))


def _verbatim(lowering: Lowering, node: VerbatimNode) -> Iterator[Item]:
    yield Static(node.content)


def _nothing(lowering: Lowering, node: Node) -> Iterator[Item]:
    yield from ()


LOWERINGS: dict[type[Node], Callable[[Lowering, Any], Iterator[Item]]] = {
    TextNode: Lowering._text,
    VariableNode: Lowering._variable,
    AutoEscapeControlNode: _setting,
    BlockNode: Lowering._block,
    BlockTranslateNode: _sentence,
    CacheNode: _cache,
    CommentNode: _nothing,
    FilterNode: _filter,
    ForNode: _for,
    IfChangedNode: _if_changed,
    IfNode: _if,
    IncludeNode: Lowering._include,
    InclusionNode: _inclusion_tag,
    LanguageNode: _setting,
    LoadNode: _nothing,
    LocalTimeNode: _setting,
    LocalizeNode: _setting,
    SimpleBlockNode: _simple_block,
    SimpleNode: _simple_tag,
    SpacelessNode: _spaceless,
    StaticNode: _static,
    TemplateTagNode: _template_tag,
    TimezoneNode: _setting,
    URLNode: _url,
    VerbatimNode: _verbatim,
    WithNode: _with,
}
if django.VERSION >= (6, 0):
    LOWERINGS[defaulttags.PartialNode] = Lowering._partial
    LOWERINGS[defaulttags.PartialDefNode] = Lowering._partial_definition
    _BLOCKS[defaulttags.PartialNode] = 1


def names_read(items: Sequence[Item]) -> set[str]:
    """First names of all variables that `items` read by themselves, those bound inside included."""
    found = [*all_items(items)]
    names = {name for item in found for expression in expressions_of(item) for name in reads(expression)}
    return names.union(*(item.variables for item in found if isinstance(item, Sentence)))


def expressions_of(item: Item) -> list[FilterExpression]:
    """The expressions of `item` itself."""
    match item:
        case Text():
            return [item.expression]
        case Url():
            return [item.view_name, *item.args, *item.kwargs.values()]
        case StaticUrl():
            return [item.path]
        case If():
            return [leaf for condition, _ in item.arms if condition is not None for leaf in leaves(condition)]
        case For():
            return [item.sequence]
        case With() | Inclusion():
            return list(item.bindings.values())
        case SimpleTag() | InclusionTag():
            return [*item.node.args, *item.node.kwargs.values()]
        case Sentence():
            return sentence_expressions(item.node)
        case Setting():
            found = getattr(item.node, "language", None) or getattr(item.node, "tz", None)
            return [] if found is None else [found]
        case Capture(node=FilterNode()):
            return [item.node.filter_expr]
        case Capture(node=SimpleNode()):
            return [*item.node.args, *item.node.kwargs.values()]
        case IfChanged():
            return changed_by(item.node)
    return []
