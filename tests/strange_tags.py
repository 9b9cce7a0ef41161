"""Tags that do to a context what tags are not meant to do, and blocks that render their content in
unusual ways.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import template
from django.template import Context, Node
from django.template.base import NodeList, Parser, Token

register = template.Library()

Rendering = Callable[["Strange", Context], Any]


class Strange(Node):
    def __init__(self, rendering: Rendering, nodelist: NodeList | None = None) -> None:
        self.rendering = rendering
        if nodelist is not None:
            self.nodelist = nodelist

    def render(self, context: Context) -> Any:
        return self.rendering(self, context)


def tag(rendering: Rendering) -> Rendering:
    register.tag(rendering.__name__, lambda parser, token: Strange(rendering))
    return rendering


def block(rendering: Rendering) -> Rendering:
    def compile_function(parser: Parser, token: Token) -> Node:
        nodelist = parser.parse((f"end{rendering.__name__}",))
        parser.delete_first_token()
        return Strange(rendering, nodelist)

    register.tag(rendering.__name__, compile_function)
    return rendering


# What they tell


@tag
def names(node: Strange, context: Context) -> str:
    return ",".join(sorted(name for name in context.flatten() if isinstance(name, str)))


@tag
def layers(node: Strange, context: Context) -> str:
    return str(len(context.dicts))


@tag
def block_name(node: Strange, context: Context) -> str:
    return f"{type(context.get('block')).__name__} {getattr(context.get('block'), 'name', '')}"


@tag
def rounds(node: Strange, context: Context) -> str:
    if "forloop" not in context:
        return "no loop"
    return f"{context['forloop']['counter']} in {context['forloop'].get('parentloop', {}).get('counter')}"


@tag
def templates(node: Strange, context: Context) -> str:
    inner: Any = context.render_context.template
    return f"{context.template_name} {context.template and context.template.name} {inner.name}"


# What they change


@tag
def set_here(node: Strange, context: Context) -> str:
    context["text"] = "here"
    return ""


@tag
def set_outside(node: Strange, context: Context) -> str:
    context.dicts[1]["outside"] = "outside"
    return ""


@tag
def set_upward(node: Strange, context: Context) -> str:
    context.set_upward("text", "upward")
    return ""


@tag
def set_loop(node: Strange, context: Context) -> str:
    context["forloop"] = {"counter": 99}
    return ""


@tag
def forget(node: Strange, context: Context) -> str:
    try:
        del context["text"]
    except KeyError:
        return "not here"
    return ""


@tag
def leave_layer(node: Strange, context: Context) -> str:
    context.push(left="left")
    return ""


@tag
def count(node: Strange, context: Context) -> str:
    context.render_context["count"] = context.render_context.get("count", 0) + 1
    return str(context.render_context["count"])


@tag
def escape_off(node: Strange, context: Context) -> str:
    context.autoescape = False
    return ""


@tag
def localize_off(node: Strange, context: Context) -> str:
    context.use_l10n = False
    return ""


@tag
def fail(node: Strange, context: Context) -> str:
    raise ZeroDivisionError("fail")


@tag
def nothing(node: Strange, context: Context) -> None:
    return None


@tag
def another(node: Strange, context: Context) -> str:
    inner = template.Template("[{{ text }}{{ row }}]", engine=context.template.engine)  # type: ignore[union-attr]
    return str(inner.render(context)) + str(inner.render(context.new({"text": "new"})))


# Blocks


@block
def wrapped(node: Strange, context: Context) -> str:
    return f"<{node.nodelist.render(context)}>"


@block
def twice(node: Strange, context: Context) -> str:
    return node.nodelist.render(context) + node.nodelist.render(context)


@block
def never(node: Strange, context: Context) -> str:
    return ""


@block
def scoped(node: Strange, context: Context) -> str:
    with context.push(text="scoped"):
        return str(node.nodelist.render(context))


@block
def updated(node: Strange, context: Context) -> str:
    with context.update({"text": "updated"}):
        return str(node.nodelist.render(context))


@block
def one_by_one(node: Strange, context: Context) -> str:
    return "|".join(str(inner.render_annotated(context)) for inner in node.nodelist)


@block
def forgiving(node: Strange, context: Context) -> str:
    try:
        return str(node.nodelist.render(context))
    except Exception as error:  # noqa: BLE001 - it forgives everything
        return type(error).__name__
