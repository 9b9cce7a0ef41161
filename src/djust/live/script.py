"""The script tag that starts the client on a page, and where it stands in the HTML."""

from __future__ import annotations

import secrets
from pathlib import Path

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.templatetags.static import static
from django.urls import get_script_prefix
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from djust.conf import Config, config

# Stands for the join token in the HTML of {% djust_scripts %}, which is rendered before the token
# is made. It cannot be guessed, so no text of a user is taken for it.
TOKEN_PLACEHOLDER = f"token-{secrets.token_hex(8)}"

# The files that the client loads when a page needs them.
MODULES = sorted(
    f"djust/{path.name}"
    for path in (Path(__file__).parents[1] / "static" / "djust").glob("djust.*.js")
    if path.name != "djust.debug.js"
)


def script_tag(request: HttpRequest, token: str) -> SafeString:
    attributes = format_html('data-djust="{}"', token)
    socket_path = get_script_prefix().rstrip("/") + config.socket_path
    if socket_path != Config().socket_path:
        attributes += format_html(' data-socket="{}"', socket_path)
    source = static("djust/djust.js")
    if source.rpartition("/")[2] != "djust.js":
        # A storage puts digests into names: the client would not find its modules beside itself.
        attributes += format_html(' data-modules="{}"', " ".join(map(static, MODULES)))
    # django-csp and Django's own middleware; the nonce is made when it is first used.
    nonce = getattr(request, "csp_nonce", None) or getattr(request, "_csp_nonce", None)
    scripts = [(source, attributes)]
    if not (config.use_websocket and isinstance(request, ASGIRequest)):
        # There are no sockets: the file for POSTs comes first.
        scripts.insert(0, (static("djust/djust.post.js"), format_html('data-csrf="{}"', get_token(request))))
    if settings.DEBUG:
        scripts.insert(0, (static("djust/djust.debug.js"), SafeString()))
    nonced = SafeString() if nonce is None else format_html(' nonce="{}"', nonce)
    return format_html_join("", '<script src="{}" {}{} defer></script>', [(*script, nonced) for script in scripts])


def with_script(html: str, request: HttpRequest, token: str) -> str:
    """`html` with the join token in its {% djust_scripts %}, else with a tag at its end."""
    if TOKEN_PLACEHOLDER in html:
        return html.replace(TOKEN_PLACEHOLDER, token, 1)
    return at_the_end(html, script_tag(request, token))


def at_the_end(html: str, more: str) -> str:
    """`html` with `more` at the end of the body."""
    end = html.rfind("</body>")
    if end < 0:
        end = html.lower().rfind("</body>")
    return f"{html[:end]}{more}{html[end:]}" if end >= 0 else html + more
