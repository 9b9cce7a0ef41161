"""Tags as projects write them, for tests: with and without the context, with and without a target
variable.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context, Node
from django.utils.safestring import mark_safe

register = template.Library()


@register.simple_tag
def join(*args: Any, **kwargs: Any) -> str:
    return "/".join([*map(str, args), *(f"{name}={value}" for name, value in kwargs.items())])


@register.simple_tag(takes_context=True)
def same(context: Context, value: Any) -> Any:
    """Whatever it is given. Without escaping, the output of a tag must be a string."""
    return value if context.autoescape else str(value)


@register.simple_tag
def safe_mark(value: Any) -> str:
    return mark_safe(f"<u>{value}</u>")


@register.simple_tag(takes_context=True)
def seen(context: Context, name: str = "text") -> str:
    return f"{name}:{context.get(name, 'nothing')}:{context.autoescape}"


@register.simple_tag(takes_context=True)
def put(context: Context, name: str, value: Any) -> str:
    context[name] = value
    return ""


@register.simple_block_tag
def box(content: str, title: Any = "untitled") -> str:
    return f"[{title}:{content}]"


@register.simple_block_tag(takes_context=True)
def framed(context: Context, content: str) -> str:
    return mark_safe(f"<i>{context.get('text', '-')}{content}</i>")


@register.inclusion_tag("inclusion.html")
def card(value: Any, other: Any = None) -> dict[str, Any]:
    return {"text": value, "other": other}


@register.inclusion_tag("inclusion.html", takes_context=True)
def card_here(context: Context) -> dict[str, Any]:
    return {"text": context.get("text"), "other": context.get("forloop", {}).get("counter")}


@register.filter
def shout(value: Any, mark: str = "!") -> str:
    return f"{value}{mark}"


@register.filter(is_safe=True)
def kept(value: Any) -> Any:
    return value


@register.filter(needs_autoescape=True)
def told(value: Any, autoescape: bool = True) -> str:
    return f"{value}<{autoescape}>"


@register.filter(expects_localtime=True)
def clock(value: Any) -> str:
    return str(value)


class ShowNode(Node):
    """A tag of the old kind: it sees the whole context."""

    def render(self, context: Context) -> str:
        names = ("text", "x", "y", "forloop", "w")
        return ";".join(f"{name}={shown(context[name])}" for name in names if name in context)


def shown(value: Any) -> str:
    return f"{value.get('counter')}" if isinstance(value, dict) else str(value)


@register.tag
def show(parser: Any, token: Any) -> ShowNode:
    return ShowNode()
