"""The ASGI application as servers and other applications see it."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path, register_converter, reverse

from djust import LiveView, event_handler, state
from djust.asgi import get_asgi_application
from tests.asgi_client import Browser, Closed

pytestmark = pytest.mark.urls(__name__)

SRC = Path(__file__).parent.parent / "src"


class Page(LiveView):
    template = "<p>{{ count }}</p><a href=\"{% url 'page' %}\"></a>"
    count = state(0)

    @event_handler
    def where(self) -> str:
        return reverse("page")

    @event_handler
    async def where_async(self) -> str:
        return reverse("page")


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse(threading.current_thread().name)


class Streaming:
    """A middleware that replaces responses by streams, as compressing ones do."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        response = self.get_response(request)

        async def stream() -> Any:
            yield response.content

        return StreamingHttpResponse(stream(), headers={"X-Streamed": "yes"})


urlpatterns = [path("page/", Page.as_view(), name="page"), path("plain/", plain)]


async def test_other_views_are_served_by_django() -> None:
    async with Browser() as browser:
        assert not (await browser.get("/plain/")).text.startswith("djust-")
        assert (await browser.get("/nothing/")).status == 404


async def test_static_files_are_served_in_debug(settings: Any, tmp_path: Path) -> None:
    settings.DEBUG = True
    (tmp_path / "x.txt").write_text("static")
    settings.STATICFILES_DIRS = [tmp_path]
    async with Browser() as browser:
        assert (await browser.get("/static/x.txt")).text == "static"
        assert (await browser.get("/page/")).status == 200


async def test_streaming_responses_pass(settings: Any) -> None:
    settings.MIDDLEWARE = [f"{__name__}.Streaming"]
    async with Browser() as browser:
        response = await browser.get("/page/")
        assert response.headers["x-streamed"] == "yes"
        assert "<p>0</p>" in response.visible


async def test_below_a_prefix_urls_are_right_in_every_turn(settings: Any) -> None:
    settings.FORCE_SCRIPT_NAME = "/app"
    async with Browser() as browser:
        page = await browser.open("/app/page/")
        assert '<a href="/app/page/">' in page.response.visible
        for handler in ("where", "where_async"):
            assert (await page.event(handler))[4] == {"reply": "/app/page/"}


async def test_the_socket_can_be_routed_by_somebody_else() -> None:
    application = get_asgi_application()

    async def router(scope: Any, receive: Any, send: Any) -> None:
        """As `ProtocolTypeRouter({"http": …, "websocket": URLRouter([…])})` of Channels."""
        if scope["type"] == "websocket":
            scope = {**scope, "url_route": {}, "path_remaining": ""}
        await application(scope, receive, send)

    async with Browser(router) as browser:
        page = await browser.open("/page/")
        assert (await page.event("where"))[4] == {"reply": "/page/"}


async def test_it_works_without_a_lifespan() -> None:
    browser = Browser()
    page = await browser.open("/page/")
    assert (await page.event("where"))[4] == {"reply": "/page/"}
    await page.close()


@pytest.mark.slow
@pytest.mark.parametrize("module", ["djust", "djust.decorators", "djust.routing", "djust.asgi", "djust.exceptions"])
def test_importing_needs_no_settings(module: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {module}"],
        check=True,
        env={**environment, "PYTHONPATH": str(SRC)},
    )


@pytest.mark.parametrize("forced", [True, False])
async def test_below_a_prefix_the_socket_is_found(forced: bool, settings: Any) -> None:
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await application({**scope, "root_path": "/app"}, receive, send)

    application = get_asgi_application()
    if forced:
        settings.FORCE_SCRIPT_NAME = "/app"
    async with Browser(application if forced else mounted) as browser:
        response = await browser.get("/app/page/")
        assert ' data-socket="/app/djust/socket/" ' in response.text
        socket = await browser.connect("/app/djust/socket/")
        await socket.send(["join", response.ticket, 0, "/app/page/", "one"])
        assert await socket.receive() == ["joined", 0]
        with pytest.raises(Closed):
            await browser.connect("/apple/djust/socket/")


class Breaking:
    """A converter with a mistake in it."""

    regex = "[0-9]+"

    def to_python(self, value: str) -> int:
        return len(value) // 0

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(Breaking, "breaking")
urlpatterns += [path("breaking/<breaking:n>/", Page.as_view())]


async def test_an_error_while_a_url_is_resolved_has_djangos_own_page(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        assert (await browser.get("/breaking/5/")).status == 500
    assert "ZeroDivisionError" in caplog.text
