"""`{% load djust %}`."""

from __future__ import annotations

from django import template
from django.template import Context

from djust.live.script import TOKEN_PLACEHOLDER, script_tag
from djust.views import LiveView

register = template.Library()


@register.simple_tag(takes_context=True)
def djust_scripts(context: Context) -> str:
    """The script tag of a live page, where it should not stand before `</body>`; nothing on other
    pages.
    """
    view, request = context.get("view"), getattr(context, "request", None)
    if not isinstance(view, LiveView) or request is None:
        return ""
    return script_tag(request, TOKEN_PLACEHOLDER)
