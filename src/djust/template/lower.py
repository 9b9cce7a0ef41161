"""Django's nodes → items. One short function per built-in tag; what has none becomes `Opaque`.

Inheritance is resolved here: the items of a template that extends others are those of the root parent, every block
replaced by the node that overrides it, and `{{ block.super }}` by the items of the node it overrides. Includes of
literal names are inlined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from django.template import Context, TemplateDoesNotExist, TemplateSyntaxError
from django.template.base import FilterExpression, Node, NodeList, Origin, Template, TextNode, Variable, VariableNode
from django.template.defaulttags import (
    CommentNode,
    CsrfTokenNode,
    ForNode,
    IfNode,
    LoadNode,
    URLNode,
    VerbatimNode,
    WithNode,
)
from django.template.library import SimpleNode
from django.template.loader_tags import BlockNode, ExtendsNode, IncludeNode, construct_relative_path
from django.templatetags.i18n import (
    GetAvailableLanguagesNode,
    GetCurrentLanguageBidiNode,
    GetCurrentLanguageNode,
    GetLanguageInfoListNode,
    GetLanguageInfoNode,
)
from django.templatetags.static import StaticNode

from djust.template.expressions import is_native, leaves, reads
from djust.template.parts import (
    Block,
    Chain,
    CsrfToken,
    DynamicInclude,
    For,
    If,
    Inclusion,
    Item,
    Opaque,
    Static,
    StaticUrl,
    Text,
    Url,
    With,
)

# CPython refuses code with more than 20 nested loops and `with` blocks, and with more than 100 levels of indentation;
# what is nested deeper is left to Django.
MAX_BLOCKS = 15
MAX_DEPTH = 40

_NAME_SETTERS = (
    GetAvailableLanguagesNode,
    GetCurrentLanguageBidiNode,
    GetCurrentLanguageNode,
    GetLanguageInfoListNode,
    GetLanguageInfoNode,
)
# How many nested blocks of Python a tag may become.
_BLOCKS: dict[type[Node], int] = {BlockNode: 1, ForNode: 3, IfNode: 0, IncludeNode: 1, WithNode: 1}


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
    """Lowers one template; `active` are the origins of the templates being lowered around it, to notice recursion."""

    def __init__(self, chain: Chain, active: tuple[Origin, ...] = ()) -> None:
        self.chain = chain
        self.active = (*active, *(template.origin for template in chain.templates))
        self.blocks: list[tuple[str, int]] = []  # the blocks we are in: name, position in its queue
        self.depth = 0
        self.nested_blocks = 0

    def items(self) -> list[Item]:
        return self.nodes(self.chain.templates[-1].nodelist)

    def nodes(self, nodes: Sequence[Node]) -> list[Item]:
        items: list[Item] = []
        for node in nodes:
            for item in self._node(node):
                if isinstance(item, Static) and items and isinstance(items[-1], Static):
                    items[-1] = Static(items[-1].text + item.text)
                else:
                    items.append(item)
        return items

    def _node(self, node: Node) -> Iterator[Item]:
        lower = LOWERINGS.get(type(node))
        if lower is None:
            yield Opaque(node, self._line(node), _is_silent(node))
            return
        if type(node) in _BLOCKS:
            yield from self._nested(node, lower)
        else:
            yield from lower(self, node)

    def _nested(self, node: Node, lower: Callable[[Lowering, Any], Iterator[Item]]) -> Iterator[Item]:
        blocks = _BLOCKS[type(node)]
        if self.depth == MAX_DEPTH or self.nested_blocks + blocks > MAX_BLOCKS:
            yield Opaque(node, self._line(node))
            return
        self.depth += 1
        self.nested_blocks += blocks
        yield from lower(self, node)
        self.depth -= 1
        self.nested_blocks -= blocks

    def _line(self, node: Node) -> str:
        token, origin = getattr(node, "token", None), getattr(node, "origin", None)
        name = getattr(origin, "template_name", None) or getattr(origin, "name", None) or "<template>"
        return f"{name}:{getattr(token, 'lineno', None) or 0}"

    def _text(self, node: TextNode) -> Iterator[Item]:
        if node.s:
            yield Static(node.s)

    def _variable(self, node: VariableNode) -> Iterator[Item]:
        expression = node.filter_expression
        if self._is_super(expression):
            yield from self._super()
        elif is_native(expression):
            yield Text(expression, self._line(node))
        else:
            yield Opaque(node, self._line(node))

    def _is_super(self, expression: FilterExpression) -> bool:
        var = expression.var
        if not (self.blocks and self.chain.extends and isinstance(var, Variable)):
            return False
        return var.lookups == ("block", "super") and not expression.filters and self.blocks[-1][0] != ""

    def _super(self) -> Iterator[Item]:
        name, position = self.blocks[-1]
        queue = self.chain.queues[name]
        if position + 1 < len(queue):
            yield self._block_at(name, position + 1)

    def _block(self, node: BlockNode) -> Iterator[Item]:
        name = node.name
        if not self.chain.extends:
            self.blocks.append(("", 0))
            yield Block(node, self.nodes(node.nodelist), self._line(node))
            self.blocks.pop()
        elif any(active == name for active, _ in self.blocks):
            yield Opaque(node, self._line(node))  # a block inside itself: Django's block context decides
        else:
            yield self._block_at(name, 0)

    def _block_at(self, name: str, position: int) -> Block:
        node = self.chain.queues[name][position]
        self.blocks.append((name, position))
        block = Block(node, self.nodes(node.nodelist), self._line(node))
        self.blocks.pop()
        return block

    def _if(self, node: IfNode) -> Iterator[Item]:
        conditions = [condition for condition, _ in node.conditions_nodelists if condition is not None]
        if all(is_native(leaf) for condition in conditions for leaf in leaves(condition)):
            arms = [(condition, self.nodes(nodelist)) for condition, nodelist in node.conditions_nodelists]
            yield If(arms, self._line(node))
        else:
            yield Opaque(node, self._line(node))

    def _for(self, node: ForNode) -> Iterator[Item]:
        sequence = cast(FilterExpression, node.sequence)
        if not is_native(sequence):
            yield Opaque(node, self._line(node))
            return
        body = self.nodes(cast(NodeList, node.nodelist_loop))
        empty = self.nodes(cast(NodeList, node.nodelist_empty)) if node.nodelist_empty else None
        item = For(list(node.loopvars), sequence, node.is_reversed, body, empty, self._line(node))
        item.counts = item.impure or "forloop" in names_read(body)
        yield item

    def _with(self, node: WithNode) -> Iterator[Item]:
        if all(is_native(value) for value in node.extra_context.values()):
            yield With(dict(node.extra_context), self.nodes(node.nodelist), self._line(node))
        else:
            yield Opaque(node, self._line(node))

    def _include(self, node: IncludeNode) -> Iterator[Item]:
        line = self._line(node)
        chain = self._included(node)
        if chain is None:
            yield DynamicInclude(node, line)
            return
        inner = Lowering(chain, self.active)
        inner.depth, inner.nested_blocks = self.depth, self.nested_blocks
        yield Inclusion(chain, node.extra_context, node.isolated_context, inner.items(), line)

    def _included(self, node: IncludeNode) -> Chain | None:
        """The chain of a literal include that can be inlined, else None."""
        name = node.template.var
        if node.template.is_var or node.template.filters or not isinstance(name, str):
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

    def _url(self, node: URLNode) -> Iterator[Item]:
        line = self._line(node)
        expressions = [node.view_name, *node.args, *node.kwargs.values()]
        if node.asvar or not all(map(is_native, expressions)):
            yield Opaque(node, line, silent=bool(node.asvar))
        else:
            yield Url(node.view_name, list(node.args), dict(node.kwargs), line)

    def _static(self, node: StaticNode) -> Iterator[Item]:
        if type(node) is not StaticNode or node.varname is not None or not is_native(node.path):
            yield Opaque(node, self._line(node), silent=node.varname is not None)
        else:
            yield StaticUrl(node, node.path, self._line(node))

    def _csrf(self, node: CsrfTokenNode) -> Iterator[Item]:
        yield CsrfToken(node, self._line(node))

    def _verbatim(self, node: VerbatimNode) -> Iterator[Item]:
        yield Static(node.content)

    def _nothing(self, node: Node) -> Iterator[Item]:
        yield from ()


LOWERINGS: dict[type[Node], Callable[[Lowering, Any], Iterator[Item]]] = {
    TextNode: Lowering._text,
    VariableNode: Lowering._variable,
    BlockNode: Lowering._block,
    IfNode: Lowering._if,
    ForNode: Lowering._for,
    WithNode: Lowering._with,
    IncludeNode: Lowering._include,
    URLNode: Lowering._url,
    StaticNode: Lowering._static,
    CsrfTokenNode: Lowering._csrf,
    VerbatimNode: Lowering._verbatim,
    CommentNode: Lowering._nothing,
    LoadNode: Lowering._nothing,
}


def _is_silent(node: Node) -> bool:
    """Whether `node` only sets a name of the context and has no output."""
    if isinstance(node, SimpleNode):
        return node.target_var is not None
    return isinstance(node, _NAME_SETTERS)


def names_read(items: Sequence[Item]) -> set[str]:
    """First names of all variables that `items` read, those bound inside included."""
    names: set[str] = set()
    for item in items:
        match item:
            case Text():
                names |= reads(item.expression)
            case Url():
                for expression in (item.view_name, *item.args, *item.kwargs.values()):
                    names |= reads(expression)
            case StaticUrl():
                names |= reads(item.path)
            case If():
                for condition, body in item.arms:
                    names |= names_read(body)
                    names = names.union(*(map(reads, leaves(condition)) if condition is not None else ()))
            case For():
                names |= reads(item.sequence) | names_read(item.body) | names_read(item.empty or [])
            case With() | Inclusion():
                names |= names_read(item.body)
                for expression in item.bindings.values():
                    names |= reads(expression)
            case Block():
                names |= names_read(item.body)
    return names
