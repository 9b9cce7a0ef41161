"""Django's nodes (*tags*) → ours, with their facts. One short function per tag.

A tag that has none becomes a `Call`, if it is one of Django's, or `Opaque`. So does a tag with an
expression that cannot be written as Python.

Inheritance is resolved here: a template that extends others has the nodes of the root parent, every
block replaced by the tag that overrides it, and `{{ block.super }}` by the nodes of the block it
overrides. Partials and includes of literal names are inlined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import django
from django.template import TemplateDoesNotExist, TemplateSyntaxError, defaulttags
from django.template.base import FilterExpression, NodeList, Origin, TextNode, Variable, VariableNode
from django.template.base import Node as DjangoNode
from django.template.library import InclusionNode, SimpleBlockNode, SimpleNode
from django.template.loader_tags import BlockNode, IncludeNode, construct_relative_path
from django.templatetags.cache import CacheNode
from django.templatetags.i18n import BlockTranslateNode, LanguageNode, TranslateNode
from django.templatetags.l10n import LocalizeNode
from django.templatetags.static import StaticNode
from django.templatetags.tz import LocalTimeNode, TimezoneNode
from django.utils.safestring import SafeString

from djust.template import nodes
from djust.template.codegen.expressions import is_native, leaves
from djust.template.debug import Location
from djust.template.inheritance import Chain, binding_context, is_static_chain, resolve_chain
from djust.template.nodes import ALL_NAMES, NO_NAMES, RENDER_STATE, Node, Static, all_nodes, append, names_read
from djust.template.tags import delegate, names_of

# CPython refuses code with more than 20 nested loops and `with` blocks, and with more than 100
# levels of indentation; what is nested deeper is left to Django.
MAX_BLOCKS = 15
MAX_DEPTH = 40

# How many nested blocks of Python a tag may become.
_BLOCKS: dict[type[DjangoNode], int] = {
    defaulttags.AutoEscapeControlNode: 0,
    BlockNode: 1,
    CacheNode: 0,
    defaulttags.ForNode: 1,
    defaulttags.IfChangedNode: 1,
    defaulttags.IfNode: 0,
    IncludeNode: 1,
    LanguageNode: 1,
    LocalTimeNode: 0,
    LocalizeNode: 0,
    TimezoneNode: 1,
    defaulttags.WithNode: 0,
}


class Lowering:
    """Lowers one template; `active`: the origins of those being lowered around it.

    Unless it `inlines`, every include is left to run time; unless `inline_super`, Django renders
    `{{ block.super }}`. `partials` are the partials we are in.
    """

    def __init__(
        self,
        chain: Chain,
        active: tuple[Origin, ...] = (),
        partials: tuple[Any, ...] = (),
        *,
        inlines: bool = True,
        inline_super: bool = True,
    ) -> None:
        self.chain = chain
        self.inlines, self.inline_super = inlines, inline_super
        self.partials = (*partials, *chain.templates)
        self.active = (*active, *(template.origin for template in chain.templates))
        self.blocks: list[tuple[str, int]] = []  # the blocks we are in: name, position in its queue
        self.depth = 0
        self.nested_blocks = 0

    def template(self) -> list[Node]:
        """The nodes of the whole template."""
        # What stands before `{% extends %}` is shown, too; Django's parser allows nothing but text
        # there.
        *children, root = self.chain.templates
        leading = [tag for template in children for tag in template.nodelist if isinstance(tag, TextNode)]
        return self.nodes([*leading, *root.nodelist], -len(leading))

    def nodes(self, tags: Sequence[DjangoNode], first: int = 0) -> list[Node]:
        found: list[Node] = []
        for index, tag in enumerate(tags, first):
            for node in self._tag(tag):
                if isinstance(node, nodes.Opaque) and node.tag is tag:
                    node.index = index
                append(found, node)
        return found

    def shadowed(self, names: Iterable[str], tags: Sequence[DjangoNode]) -> list[Node]:
        """The nodes of `tags`, in which `names` are bound; a `block` is then not Django's."""
        if "block" not in names:
            return self.nodes(tags)
        self.blocks.append(("", 0))
        found = self.nodes(tags)
        self.blocks.pop()
        return found

    def _tag(self, tag: DjangoNode) -> Iterable[Node]:
        lower = LOWERINGS.get(type(tag), _djangos)
        found = [*(self._nested(tag, lower) if type(tag) in _BLOCKS else lower(self, tag))]
        if all(is_native(e) for node in found for e in (*node.expressions, *node.inner)):
            return found
        return _djangos(self, tag, has_output=all(node.has_output for node in found))

    def _nested(self, tag: DjangoNode, lower: Lower) -> Iterator[Node]:
        blocks = _BLOCKS[type(tag)]
        if self.depth == MAX_DEPTH or self.nested_blocks + blocks > MAX_BLOCKS:
            yield nodes.Opaque(tag)
            return
        self.depth += 1
        self.nested_blocks += blocks
        yield from lower(self, tag)
        self.depth -= 1
        self.nested_blocks -= blocks

    def variable(self, tag: VariableNode) -> Iterator[Node]:
        expression = tag.filter_expression
        if self._is_super(expression):
            name, position = self.blocks[-1]
            if position + 1 < len(self.chain.queues[name]):
                block = self._block_at(name, position + 1)
                block.is_super = True
                yield block
        else:
            yield nodes.Interpolation(tag, expressions=[expression])

    def _is_super(self, expression: FilterExpression) -> bool:
        var = expression.var
        if not (self.inline_super and self.blocks and self.chain.extends and isinstance(var, Variable)):
            return False
        return var.lookups == ("block", "super") and not expression.filters and self.blocks[-1][0] != ""

    def block(self, tag: BlockNode) -> Iterator[Node]:
        name = tag.name
        if not self.chain.extends:
            yield self._block_of(tag, ("", 0))
        elif any(active == name for active, _ in self.blocks):
            yield nodes.Opaque(tag)  # a block inside itself: Django's block context decides
        elif name in self.chain.queues:
            yield self._block_at(name, 0)
        else:  # in a tag that hides its content from Django's search for blocks: nothing overrides it
            yield self._block_of(tag, ("", 0))

    def _block_at(self, name: str, position: int) -> Node:
        return self._block_of(self.chain.queues[name][position], (name, position))

    def _block_of(self, tag: BlockNode, active: tuple[str, int]) -> Node:
        self.blocks.append(active)
        body = self.nodes(tag.nodelist)
        if any(node.needs is not ALL_NAMES and "block" in node.needs for node in all_nodes(body)):
            body = self.shadowed({"block"}, tag.nodelist)  # a tag reads or sets that name
        self.blocks.pop()
        return nodes.Block(tag, body)

    def include(self, tag: IncludeNode) -> Iterator[Node]:
        chain = self._included(tag)
        # An include reads all names, but sets them in its own layer.
        if chain is None:
            yield nodes.DynamicInclude(tag, sets=NO_NAMES)
        else:
            yield _own_state(nodes.Inclusion(tag, chain, self._inlined(chain)))

    def _inlined(self, chain: Chain) -> list[Node]:
        """The nodes of a template that is inlined here."""
        inner = Lowering(chain, self.active, self.partials, inline_super=self.inline_super)
        inner.depth, inner.nested_blocks = self.depth, self.nested_blocks
        return inner.template()

    def partial(self, tag: Any) -> Iterator[Node]:
        node: Node
        try:
            partial = tag.partial_mapping[tag.partial_name]
        except KeyError:
            yield nodes.Call(tag)  # it raises an error
            return
        vars(partial).setdefault("engine", self.chain.templates[0].engine)
        if not self.inlines or partial in self.partials:
            node = nodes.DynamicPartial(tag, sets=ALL_NAMES)
        else:
            node = _own_state(nodes.Partial(tag, partial, self._inlined(Chain([partial], [], {}))))
        here = Location.of(tag)
        for inner in all_nodes([node]):
            if isinstance(inner.location, Location) and inner.location.partial is None:
                inner.location.partial = here
        yield node

    def partial_definition(self, tag: Any) -> Iterator[Node]:
        if tag.inline:
            yield from self.nodes(tag.nodelist)

    def _included(self, tag: IncludeNode) -> Chain | None:
        """The chain of a literal include that can be inlined, else None."""
        expression = tag.template
        if not self.inlines or not is_native(expression) or expression.is_var or expression.filters:
            return None
        name = expression.var
        if not isinstance(name, str) or not all(map(is_native, tag.extra_context.values())):
            return None
        engine = self.chain.templates[0].engine
        try:
            path = construct_relative_path(cast(str, tag.origin.template_name), name)
            template = engine.select_template([path])
            if not is_static_chain(template):
                return None
            chain = resolve_chain(template, binding_context(template))
        except (TemplateDoesNotExist, TemplateSyntaxError):
            return None  # raised when the include is reached, as Django does
        return None if any(t.origin in self.active for t in chain.templates) else chain


Lower = Callable[[Lowering, Any], Iterator[Node]]


def _own_state(node: nodes.Inclusion | nodes.Partial) -> Node:
    """`node`, in a render state of its own if something in it may ask for `block.super`."""
    if "block" in names_read(node.bodies[0]):
        node.needs = node.needs | {RENDER_STATE}
    return node


# One function per tag


def _djangos(lowering: Lowering, tag: DjangoNode, *, has_output: bool = True) -> Iterator[Node]:
    """What Django's own node renders."""
    yield delegate(tag) or nodes.Opaque(tag, has_output=has_output)


def _text(lowering: Lowering, tag: TextNode) -> Iterator[Node]:
    if tag.s:
        yield Static(tag.s)


def _if(lowering: Lowering, tag: defaulttags.IfNode) -> Iterator[Node]:
    conditions = [condition for condition, _ in tag.conditions_nodelists if condition is not None]
    expressions = [leaf for condition in conditions for leaf in leaves(condition)]
    node = nodes.If(tag, expressions=expressions, bodies=[lowering.nodes(tags) for _, tags in tag.conditions_nodelists])
    node.is_exhaustive = len(conditions) < len(node.bodies)
    yield node


def _for(lowering: Lowering, tag: defaulttags.ForNode) -> Iterator[Node]:
    sequence = cast(FilterExpression, tag.sequence)
    bodies = [lowering.shadowed(tag.loopvars, cast(NodeList, tag.nodelist_loop))]
    if tag.nodelist_empty:
        bodies.append(lowering.nodes(cast(NodeList, tag.nodelist_empty)))
    binds = {"forloop": None, **dict.fromkeys(tag.loopvars, sequence)}
    node = nodes.For(tag, expressions=[sequence], bodies=bodies, binds=binds)
    node.counts = "forloop" in node.needs or "forloop" in names_read(bodies[0])
    yield node


def _with(lowering: Lowering, tag: defaulttags.WithNode) -> Iterator[Node]:
    given = tag.extra_context
    body = lowering.shadowed(given, tag.nodelist)
    yield nodes.With(tag, expressions=[*given.values()], bodies=[body], binds=given)


def _url(lowering: Lowering, tag: defaulttags.URLNode) -> Iterator[Node]:
    if tag.asvar:
        yield from _djangos(lowering, tag)
    else:
        yield nodes.Url(tag, expressions=[tag.view_name, *tag.args, *tag.kwargs.values()])


def _static(lowering: Lowering, tag: StaticNode) -> Iterator[Node]:
    if tag.varname is not None:
        yield from _djangos(lowering, tag)
    else:
        yield nodes.StaticUrl(tag, expressions=[tag.path])


def _translate(lowering: Lowering, tag: TranslateNode) -> Iterator[Node]:
    expression = tag.filter_expression
    literal = expression.var.literal if type(expression.var) is Variable and not expression.filters else None
    if tag.noop or tag.message_context or tag.asvar is not None or not isinstance(literal, SafeString):
        yield from _djangos(lowering, tag)
    else:  # Percent signs are doubled, as in the catalogs that makemessages writes.
        yield nodes.Translation(tag, literal.replace("%", "%%"))


def _block_translate(lowering: Lowering, tag: Any) -> Iterator[Node]:
    singular, names = tag.render_token_list(tag.singular)
    plural = None
    if tag.plural and tag.countervar and tag.counter:
        plural, others = tag.render_token_list(tag.plural)
        names = [*names, *others]
    yield nodes.BlockTranslate(tag, singular, plural, tuple(dict.fromkeys(names)))


def _autoescape(lowering: Lowering, tag: defaulttags.AutoEscapeControlNode) -> Iterator[Node]:
    node = nodes.ContextFlag(tag, "autoescape", tag.setting, lowering.nodes(tag.nodelist))
    node.escapes = bool(tag.setting)
    yield node


def _localize(lowering: Lowering, tag: LocalizeNode) -> Iterator[Node]:
    yield nodes.ContextFlag(tag, "use_l10n", tag.use_l10n, lowering.nodes(tag.nodelist))


def _localtime(lowering: Lowering, tag: LocalTimeNode) -> Iterator[Node]:
    node = nodes.ContextFlag(tag, "use_tz", tag.use_tz, lowering.nodes(tag.nodelist))
    node.is_steady = False
    yield node


def _language(lowering: Lowering, tag: LanguageNode) -> Iterator[Node]:
    yield nodes.Override(tag, "override_language", tag.language, lowering.nodes(tag.nodelist))


def _timezone(lowering: Lowering, tag: TimezoneNode) -> Iterator[Node]:
    yield nodes.Override(tag, "override_timezone", tag.tz, lowering.nodes(tag.nodelist))


def _filter(lowering: Lowering, tag: defaulttags.FilterNode) -> Iterator[Node]:
    yield nodes.Filter(tag, lowering.nodes(tag.nodelist))


def _spaceless(lowering: Lowering, tag: defaulttags.SpacelessNode) -> Iterator[Node]:
    yield nodes.Spaceless(tag, bodies=[lowering.nodes(tag.nodelist)])


def _cache(lowering: Lowering, tag: CacheNode) -> Iterator[Node]:
    needs = names_of([tag.expire_time_var, tag.cache_name, *tag.vary_on])
    yield nodes.Cache(tag, bodies=[lowering.nodes(tag.nodelist)], needs=needs)


def _if_changed(lowering: Lowering, tag: Any) -> Iterator[Node]:
    compared = list(tag._varlist)  # none if it compares its output
    bodies = [lowering.nodes(tag.nodelist_true), lowering.nodes(tag.nodelist_false or ())]
    node = nodes.IfChanged(tag, expressions=compared, bodies=bodies, needs=frozenset({RENDER_STATE}))
    node.variables = ["forloop"]  # where it keeps its state
    yield node


def _simple_tag(lowering: Lowering, tag: SimpleNode) -> Iterator[Node]:
    yield _function_tag(nodes.SimpleTag, tag, target=tag.target_var)


def _simple_block(lowering: Lowering, tag: SimpleBlockNode) -> Iterator[Node]:
    bodies = [lowering.nodes(tag.nodelist)]
    yield _function_tag(nodes.SimpleBlock, tag, bodies=bodies, target=tag.target_var)


def _inclusion_tag(lowering: Lowering, tag: InclusionNode) -> Iterator[Node]:
    yield _function_tag(nodes.InclusionTag, tag, needs=frozenset({"csrf_token"}))


def _function_tag(kind: type[Node], tag: Any, *, needs: frozenset[str] = NO_NAMES, **facts: Any) -> Node:
    """A tag that is a function of a project or package; generated code gives it its arguments."""
    takes_names = tag.takes_context and tag.func is not getattr(defaulttags, "querystring", None)
    names = ALL_NAMES if takes_names else NO_NAMES
    node = kind(tag, expressions=[*tag.args, *tag.kwargs.values()], needs=names | needs, sets=names, **facts)
    node.gets_context = bool(tag.takes_context)
    return node


def _template_tag(lowering: Lowering, tag: defaulttags.TemplateTagNode) -> Iterator[Node]:
    yield Static(tag.mapping.get(tag.tagtype, ""))


def _verbatim(lowering: Lowering, tag: defaulttags.VerbatimNode) -> Iterator[Node]:
    yield Static(tag.content)


def _nothing(lowering: Lowering, tag: DjangoNode) -> Iterator[Node]:
    yield from ()


LOWERINGS: dict[type[DjangoNode], Lower] = {
    TextNode: _text,
    VariableNode: Lowering.variable,
    defaulttags.AutoEscapeControlNode: _autoescape,
    BlockNode: Lowering.block,
    BlockTranslateNode: _block_translate,
    CacheNode: _cache,
    defaulttags.CommentNode: _nothing,
    defaulttags.FilterNode: _filter,
    defaulttags.ForNode: _for,
    defaulttags.IfChangedNode: _if_changed,
    defaulttags.IfNode: _if,
    IncludeNode: Lowering.include,
    InclusionNode: _inclusion_tag,
    LanguageNode: _language,
    defaulttags.LoadNode: _nothing,
    LocalTimeNode: _localtime,
    LocalizeNode: _localize,
    SimpleBlockNode: _simple_block,
    SimpleNode: _simple_tag,
    defaulttags.SpacelessNode: _spaceless,
    StaticNode: _static,
    defaulttags.TemplateTagNode: _template_tag,
    TimezoneNode: _timezone,
    TranslateNode: _translate,
    defaulttags.URLNode: _url,
    defaulttags.VerbatimNode: _verbatim,
    defaulttags.WithNode: _with,
}
if django.VERSION >= (6, 0):
    LOWERINGS[defaulttags.PartialNode] = Lowering.partial
    LOWERINGS[defaulttags.PartialDefNode] = Lowering.partial_definition
    _BLOCKS[defaulttags.PartialNode] = 1
