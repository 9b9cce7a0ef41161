"""The pages of all contestants, served by uvicorn in this process.

`/djust/` is a LiveView whose one handler runs the operations of `rows.py`; `/vanilla/` and the others are an empty page
with the script of that name. The header lines make Chromium's clock exact to 5 µs instead of 100.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

from benchmarks.client.rows import Row, State, Table, operate
from benchmarks.serving import serving

SCRIPTS: dict[str, str] = {}
"""Name of a contestant -> its JavaScript."""


def isolated(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Cross-Origin-Opener-Policy"] = "same-origin"
        response["Cross-Origin-Embedder-Policy"] = "require-corp"
        return response

    return answer


settings.configure(
    SECRET_KEY="client",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.sessions", "django.contrib.staticfiles", "djust"],
    MIDDLEWARE=[f"{__name__}.isolated", "django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    STATIC_URL="/static/",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    LIVEVIEW_CONFIG={"events_per_second": 1e6},
)
django.setup()

from django.template import Context, Template  # noqa: E402 - the settings come first

from djust import LiveView, state  # noqa: E402
from djust.asgi import get_asgi_application  # noqa: E402
from djust.decorators import event_handler  # noqa: E402

PAGE = """<!DOCTYPE html>
<html><head><title>{name}</title><link rel="icon" href="data:,">{head}</head><body>
{body}
</body></html>"""

# The row of js-framework-benchmark, with what each side needs to know a row and its buttons.
TABLE = """<main id="main"><p id="clicks">{{{{ clicks }}}}</p>
<table class="table"><tbody id="rows">
{{% for row in rows %}}<tr {row} class="{{% if row.id == selected %}}danger{{% endif %}}">\
<td class="col-md-1">{{{{ row.id }}}}</td>\
<td class="col-md-4"><a {select}>{{{{ row.label }}}}</a></td><td class="col-md-1"><a {remove}>\
<span class="glyphicon glyphicon-remove" aria-hidden="true"></span></a></td><td class="col-md-6"></td></tr>
{{% endfor %}}</tbody></table></main>"""

LIVE = TABLE.format(
    row='dj-key="{{ row.id }}"',
    select='dj-click="select" data-row="{{ row.id }}"',
    remove='dj-click="remove" data-row="{{ row.id }}"',
)
PLAIN = Template(TABLE.format(row='id="{{ row.id }}"', select="", remove=""))


class TableView(LiveView):
    template = PAGE.format(name="djust", head='<script src="/scripts/djust.js"></script>', body=LIVE)

    rows: list[Row] = state(default=[])
    selected = state(default=0)
    clicks = state(default=0)
    last = state(default=0)

    def mount(self, request: HttpRequest) -> None:
        operate(self, "create", int(request.GET.get("rows", 0)))

    @event_handler
    def operate(self, name: str, value: int) -> None:
        operate(self, name, value)


def plain(table: State) -> str:
    """The HTML of the table for those who take HTML."""
    shown = {"rows": table.rows, "selected": table.selected, "clicks": table.clicks}
    return PLAIN.render(Context(shown))


def page(_: HttpRequest, name: str) -> HttpResponse:
    script = f'<script src="/scripts/{name}.js"></script>'
    return HttpResponse(PAGE.format(name=name, head="", body=plain(Table()) + script))


def script(_: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(SCRIPTS[name], content_type="text/javascript")


urlpatterns: list[Any] = [
    path("djust/", TableView.as_view()),
    path("static/djust/djust.js", script, {"name": "client"}),
    path("scripts/<name>.js", script),
    path("<name>/", page),
]


def echoing(application: Any) -> Any:
    """`application`, and at `/echo` a socket that says what it is told: how every page gets its messages."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket" or scope["path"] != "/echo":
            await application(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    return serve


@contextmanager
def contest(scripts: dict[str, str]) -> Iterator[str]:
    """Serves all contestants; yields the address."""
    SCRIPTS.update(scripts)
    with serving(echoing(get_asgi_application())) as port:
        yield f"http://127.0.0.1:{port}"


BUILT = Path(__file__).parents[2] / "src" / "djust" / "static" / "djust" / "djust.js"
