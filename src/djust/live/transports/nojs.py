"""Forms without JavaScript: the answer to the POST is the page after the handler has run.

    <form method="post" dj-submit="save">{% csrf_token %} … </form>

The view is mounted as for a GET, the handler is called with the fields, and the whole page is sent.
The handler is the one that the only `dj-submit` form of the page names. If there are forms for
several handlers, each names its own in a field:

    <input type="hidden" name="dj-submit" value="save">

No other handler can be called.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase

from djust.live.mount import Mount, mount_in_place, send_page
from djust.loop import page_loop
from djust.protocol.frames import Event
from djust.views import LiveView

FIELD = "dj-submit"
_FORM = re.compile(r"<form\b[^>]*?\sdj-submit(?:\.[\w.]+)?\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))", re.IGNORECASE)


def answer_form(view: LiveView, request: HttpRequest, mount: Mount) -> HttpResponseBase:
    """The page after the handler of the posted form has run."""
    fields = request.POST
    response = mount_in_place(view, view.request, mount)
    page = mount.page
    if page is None:
        return response
    names = {html.unescape("".join(found)).strip() for found in _FORM.findall(page.html())}
    asked = fields.get(FIELD)
    if asked is None and len(names) == 1:
        (asked,) = names
    if asked not in names:
        return HttpResponse(_reason(view, asked, names), status=400, content_type="text/plain; charset=utf-8")
    params = {name: _value(fields.getlist(name)) for name in fields if name not in (FIELD, "csrfmiddlewaretoken")}
    event = Event(1, asked, params, [], passed=True)
    # In the context of this request, it would need the thread that waits for it.
    context = page.turns.context.copy()
    answer = context.run(asyncio.run_coroutine_threadsafe, page.process(event), page_loop.loop).result()
    if not answer:
        # The visitor's session has ended meanwhile. A GET tells what to do.
        return HttpResponseRedirect(request.get_full_path())
    status, notice = _outcome(json.loads(answer))
    # The browser gets it whole, and knows nothing of an event.
    page.version = page.last_ref = 0
    page.nodes.begin_again()
    return send_page(page, mount, status=status, notice=notice)


def _value(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def _outcome(frame: list[Any]) -> tuple[int, str]:
    """Status and notice for the frame that answers the event."""
    if frame[0] == "error":
        return 400, frame[2]
    extra = frame[-1] if isinstance(frame[-1], dict) else {}
    return (500, extra["error"]) if "error" in extra else (200, "")


def _reason(view: LiveView, asked: str | None, names: set[str]) -> str:
    title = type(view).__name__
    known = ", ".join(f'"{name}"' for name in sorted(names)) or "none"
    if asked is None:
        return (
            f"{title}: a form was posted, and it does not say for which handler; forms of the page are for {known}. "
            f'Add <input type="hidden" name="{FIELD}" value="…"> to each form.'
        )
    return f"{title}: a form was posted for {asked[:80]!r}; forms of the page are for {known}."
