"""The script tag that starts the client on a page, and where it stands in the HTML."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.templatetags.static import static
from django.urls import get_script_prefix
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from djust.conf import Config, config

# Stands for the ticket in the HTML of {% djust_scripts %}, which is rendered before there is a ticket. Nobody can guess
# it, so nothing that a user wrote is taken for it.
TICKET_PLACEHOLDER = f"ticket-{secrets.token_hex(8)}"


def script_tag(request: HttpRequest, ticket: str) -> SafeString:
    """The tag that starts the client on a page."""
    attributes = format_html('data-djust="{}"', ticket)
    socket_path = get_script_prefix().rstrip("/") + config().socket_path
    if socket_path != Config().socket_path:
        attributes += format_html(' data-socket="{}"', socket_path)
    source, more, post = static("djust/djust.js"), static("djust/djust.more.js"), static("djust/djust.post.js")
    if more.rpartition("/")[2] != "djust.more.js":
        # Not found beside the client: a storage that puts digests into names.
        attributes += format_html(' data-more="{}" data-post="{}"', more, post)
    # django-csp and Django's own middleware; the nonce is made when it is first used.
    nonce = getattr(request, "csp_nonce", None) or getattr(request, "_csp_nonce", None)
    scripts = [(source, attributes)]
    if not (config().use_websocket and isinstance(request, ASGIRequest)):
        # No socket can be had: what is posted instead comes first.
        scripts.insert(0, (post, format_html('data-csrf="{}"', get_token(request))))
    if settings.DEBUG:
        scripts.insert(0, (static("djust/djust.debug.js"), SafeString()))
    nonced = SafeString() if nonce is None else format_html(' nonce="{}"', nonce)
    return format_html_join("", '<script src="{}" {}{} defer></script>', [(*script, nonced) for script in scripts])


def with_script(html: str, request: HttpRequest, ticket: str) -> str:
    """`html` with the ticket where {% djust_scripts %} stands, else with the script tag at the end of the body."""
    if TICKET_PLACEHOLDER in html:
        return html.replace(TICKET_PLACEHOLDER, ticket, 1)
    return at_the_end(html, script_tag(request, ticket))


def at_the_end(html: str, more: str) -> str:
    """`html` with `more` at the end of the body."""
    end = html.rfind("</body>")
    if end < 0:
        end = html.lower().rfind("</body>")
    if end < 0:
        end = len(html)
    return f"{html[:end]}{more}{html[end:]}"
