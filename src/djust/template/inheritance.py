"""Which templates a template extends, and which of their blocks override which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from django.template import Context
from django.template.base import FilterExpression, Template, TextNode
from django.template.loader_tags import BlockNode, ExtendsNode


@dataclass(slots=True, eq=False)
class Chain:
    """A template and the parents it extends, child first.

    `queues`: name of a block → the nodes that define it, the one that is shown first.
    """

    templates: list[Template]
    extends: list[ExtendsNode]
    queues: dict[str, list[BlockNode]]

    @property
    def name(self) -> str:
        origin = self.templates[0].origin
        return str(getattr(origin, "template_name", None) or getattr(origin, "name", None) or "<template>")


def resolve_chain(template: Template, context: Context) -> Chain:
    """`template` and its parents, found as Django finds them; raises what Django raises."""
    templates, extends = [template], []
    while (node := _extends_node(templates[-1])) is not None:
        extends.append(node)
        templates.append(node.get_parent(context))
    queues: dict[str, list[BlockNode]] = {}
    if extends:
        root = [node for node in templates[-1].nodelist.get_nodes_by_type(BlockNode) if isinstance(node, BlockNode)]
        for blocks in (*(node.blocks for node in extends), {block.name: block for block in root}):
            for name, block in blocks.items():
                queues.setdefault(name, []).append(block)
    return Chain(templates, extends, queues)


def _extends_node(template: Template) -> ExtendsNode | None:
    """The `{% extends %}` of a template, which is its first node apart from text."""
    first = next((node for node in template.nodelist if not isinstance(node, TextNode)), None)
    return first if isinstance(first, ExtendsNode) else None


def is_static_chain(template: Template) -> bool:
    """Whether the parents of `template` are named by literals, all the way up."""
    context = binding_context(template)
    current = template
    while (node := _extends_node(current)) is not None:
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
