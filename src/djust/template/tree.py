"""The tree of a template: its nodes, and the elements that static text makes around them.

`markup` finds it; `fragments` makes fragments and steps of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from djust.template.nodes import Node, Static
from djust.template.start_tags import StartTag


class Element:
    """`start`: its start tag. `children`: its content. `end`: its end tag, "" if implied.

    It is `broken` if some block in it is not balanced: its content is a region.
    """

    def __init__(self, start: StartTag) -> None:
        self.name, self.start, self.end = start.name, start, ""
        self.children: list[Content] = []
        self.broken = False


@dataclass(slots=True, eq=False)
class Blocks:
    """A choice, a loop or a scope, each of whose `bodies` is balanced on its own."""

    node: Node
    bodies: list[list[Content]]


Content = Node | Element | Blocks


@dataclass(slots=True)
class Tree:
    """`balanced`: every element that is opened is closed, in order, and nothing reaches outside.

    `closed_ancestors`: which of the elements around it, counted from the outermost, it closes or
    changes, as `<p>` does with an open `<p>`. The content of the element around such a one has to
    be one region.
    """

    children: list[Content]
    balanced: bool
    closed_ancestors: frozenset[int] = frozenset()


def has_output(content: Content) -> bool:
    return not isinstance(content, Node) or content.has_output


def is_dynamic(content: Content) -> bool:
    """Whether `content`, apart from elements, shows what is known only at run time."""
    return not isinstance(content, Static | Element) and has_output(content)
