"""The pages of all contestants, served by uvicorn in this process.

`/djust/` is a LiveView whose handlers run the operations of `rows.py`; `/vanilla/` and the others
are an empty page with the script of that name. `/before/` is `/djust/` with another build of our
client. The header lines make Chromium's clock exact to 5 µs instead of 100.
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
        if request.path == "/before/":
            response.content = response.content.replace(b"/static/djust/djust.js", b"/scripts/before.js")
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

# Every button and link can be hit by a click.
STYLE = "<style>nav { position: fixed; top: 0 } main { padding-top: 9em } a { padding: 0 1em }</style>"

PAGE = """<!DOCTYPE html>
<html><head><title>{name}</title><link rel="icon" href="data:,">{style}{head}</head><body>
{body}
</body></html>"""

# What is operated by buttons: the operations of `rows.py` with their arguments.
BUTTONS = [
    *(("create", count) for count in (1000, 10_000, 100)),
    ("append", 1000),
    ("update", 10),
    ("clear", 0),
    *(("swap", at) for at in (1, 2, 3, 4, 5, 100, 200, 300)),
    *(("count", number) for number in range(1, 9)),
]


def toolbar(directive: str) -> str:
    buttons = (
        f'<button {directive} data-name="{name}" data-value="{value}">{name} {value}</button>'
        for name, value in BUTTONS
    )
    return f"<nav>{''.join(buttons)}</nav>"


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
    template = PAGE.format(
        name="djust",
        style=STYLE,
        head='<script src="/scripts/djust.js"></script>',
        body=toolbar('dj-click="operate"') + LIVE,
    )

    rows: list[Row] = state(default=[])
    selected = state(default=0)
    clicks = state(default=0)
    last = state(default=0)

    def mount(self, request: HttpRequest) -> None:
        operate(self, "create", int(request.GET.get("rows", 0)))

    @event_handler
    def operate(self, name: str, value: int) -> None:
        operate(self, name, value)

    @event_handler
    def select(self, row: int) -> None:
        operate(self, "select", self.place_of(row))

    @event_handler
    def remove(self, row: int) -> None:
        operate(self, "remove", self.place_of(row))

    def place_of(self, number: int) -> int:
        return next(at for at, row in enumerate(self.rows) if row["id"] == number)


def plain(table: State) -> str:
    """The HTML of the table for those who take HTML."""
    shown = {"rows": table.rows, "selected": table.selected, "clicks": table.clicks}
    return PLAIN.render(Context(shown))


def page(_: HttpRequest, name: str) -> HttpResponse:
    script = f'<script src="/scripts/{name}.js"></script>'
    return HttpResponse(PAGE.format(name=name, style=STYLE, head="", body=toolbar("") + plain(Table()) + script))


def script(_: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(SCRIPTS[name], content_type="text/javascript")


urlpatterns: list[Any] = [
    path("djust/", TableView.as_view()),
    path("before/", TableView.as_view()),
    path("static/djust/djust.js", script, {"name": "client"}),
    path("scripts/<name>.js", script),
    path("<name>/", page),
]


def echoing(application: Any) -> Any:
    """`application`, and at `/echo` a socket that sends back what it receives: how every page gets
    its messages.
    """

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
