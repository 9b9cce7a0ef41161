"""GETs of live views: what the first HTML is, and who answers when it is not HTML."""

import json
import re
import threading
from functools import wraps
from typing import Any

import pytest
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.sessions.models import Session
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.test import Client
from django.urls import path

from djust import LiveView, event_handler, state
from djust.live.registry import registry
from tests.asgi_client import Browser

pytestmark = pytest.mark.urls(__name__)


class Page(LiveView):
    template = "<!DOCTYPE html><html><body><p>{{ count }}</p></body></html>"
    count = state(0)
    threads: list[str] = []

    def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        Page.threads.append(threading.current_thread().name)
        if "to" in request.GET:
            return redirect(request.GET["to"])
        if "fail" in request.GET:
            raise ConnectionError("the bucket service does not answer")
        if "session" in request.GET:
            request.session["seen"] = True
        return None

    @event_handler
    def add(self) -> None:
        self.count += 1


class Renaming(StaticFilesStorage):
    def url(self, name: str | None) -> str:
        return f"{super().url(name)}.1"


class AsyncPage(Page):
    async def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        return super().mount(request, **kwargs)


class Private(LoginRequiredMixin, Page):
    login_url = "/login/"


class AsyncPrivate(LoginRequiredMixin, AsyncPage):
    login_url = "/login/"


class Placed(Page):
    template = "{% load djust %}<html><head>{% djust_scripts %}</head><body><p>{{ count }}</p></body></html>"


class Fragment(Page):
    template = "<p>{{ count }}</p>"


class Shouting(Page):
    template = "<HTML><BODY><p>{{ count }}</p></BODY></HTML>"


class MixedCase(Page):
    template = "<Body><p>{{ count }}</p></Body></html>"


class Quoting(Page):
    template = "<body><p>{{ count }}</p><script>'</body>'</script></body>"


class Leaky(Page):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.client = threading.Lock()


class Database(AsyncPage):
    template = "{% for session in sessions %}{{ session.pk }}{% endfor %}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(sessions=Session.objects.all())


class Form(Page):
    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("posted")


def tagged(request: HttpRequest) -> HttpResponse:
    from django.template import engines

    return HttpResponse(engines["django"].from_string("{% load djust %}[{% djust_scripts %}]").render({}, request))


class Nonce:
    """A middleware that gives each request a nonce, as django-csp does."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        request.csp_nonce = "abc123"
        return self.get_response(request)


urlpatterns = [
    path("page/", Page.as_view()),
    path("async/", AsyncPage.as_view()),
    path("private/", Private.as_view()),
    path("private/async/", AsyncPrivate.as_view()),
    path("placed/", Placed.as_view()),
    path("fragment/", Fragment.as_view()),
    path("shouting/", Shouting.as_view()),
    path("mixed-case/", MixedCase.as_view()),
    path("quoting/", Quoting.as_view()),
    path("leaky/", Leaky.as_view()),
    path("database/", Database.as_view()),
    path("form/", Form.as_view()),
    path("tagged/", tagged),
]

SCRIPT = r'<script src="/static/djust/djust.js" data-djust="[\w:-]+" defer></script>'
both = pytest.mark.parametrize("url", ["/page/", "/async/"])


@both
async def test_the_html_carries_marks_values_and_the_script(url: str) -> None:
    async with Browser() as browser:
        response = await browser.get(url)
    assert re.fullmatch(f"<!DOCTYPE html><html><body><p dj>0</p>{SCRIPT}</body></html>", response.text)
    assert response.headers["content-type"] == "text/html; charset=utf-8"


@both
async def test_no_cache_gives_a_page_to_somebody_else(url: str) -> None:
    async with Browser() as browser:
        assert (await browser.get(url)).headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize(
    ("url", "html"),
    [
        ("/placed/", f"<html><head>{SCRIPT}</head><body><p>0</p></body></html>"),
        ("/fragment/", f"<p>0</p>{SCRIPT}"),
        ("/shouting/", f"<HTML><BODY><p>0</p>{SCRIPT}</BODY></HTML>"),
        ("/mixed-case/", f"<Body><p>0</p>{SCRIPT}</Body></html>"),
        ("/quoting/", f"<body><p>0</p><script>'</body>'</script>{SCRIPT}</body>"),
    ],
)
async def test_the_script_stands_where_it_belongs(url: str, html: str) -> None:
    async with Browser() as browser:
        response = await browser.get(url)
    assert re.fullmatch(html, response.visible)


async def test_a_page_with_its_own_script_tag_is_live() -> None:
    async with Browser() as browser:
        page = await browser.open("/placed/")
        assert (await page.event("add"))[:2] == [1, 1]


async def test_on_other_pages_the_tag_leaves_nothing() -> None:
    async with Browser() as browser:
        assert (await browser.get("/tagged/")).text == "[]"


@pytest.mark.parametrize("url", ["/page/", "/placed/"])
async def test_the_script_carries_the_nonce_of_the_request(url: str, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Nonce"]
    async with Browser() as browser:
        assert ' nonce="abc123" defer></script>' in (await browser.get(url)).text


async def test_in_debug_the_tools_come_before_the_client(settings: Any) -> None:
    settings.DEBUG = True
    async with Browser() as browser:
        text = (await browser.get("/page/")).text
    assert '<script src="/static/djust/djust.debug.js"  defer></script><script src="/static/djust/djust.js" ' in text


async def test_a_storage_that_renames_files_tells_where_the_rest_of_the_client_is(settings: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": f"{__name__}.Renaming"}}
    async with Browser() as browser:
        text = (await browser.get("/page/")).text
    modules = "hooks", "ignored", "outside", "post"
    addresses = " ".join(f"/static/djust/djust.{name}.js.1" for name in modules)
    assert f' data-modules="{addresses}"' in text


@both
async def test_a_response_of_mount_is_the_answer(url: str) -> None:
    async with Browser() as browser:
        response = await browser.get(f"{url}?to=/elsewhere/")
        assert (response.status, response.headers["location"]) == (302, "/elsewhere/")
        assert len(registry) == 0


@both
async def test_a_service_that_fails_in_mount_is_an_ordinary_error(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        response = await browser.get(f"{url}?fail=1")
        assert response.status == 500
        assert len(registry) == 0
    assert "the bucket service does not answer" in caplog.text


@pytest.mark.parametrize("url", ["/private/", "/private/async/"])
async def test_mixins_answer_before_anything_is_mounted(url: str) -> None:
    Page.threads.clear()
    async with Browser() as browser:
        response = await browser.get(url)
    assert (response.status, response.headers["location"]) == (302, f"/login/?next={url}")
    assert Page.threads == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["/private/", "/private/async/"])
async def test_mixins_let_those_pass_whom_they_know(url: str, django_user_model: Any) -> None:
    user = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(user)
        page = await browser.open(url)
        assert (await page.event("add"))[:2] == [1, 1]


@both
async def test_a_head_request_leaves_no_page_behind(url: str) -> None:
    async with Browser() as browser:
        response = await browser.get(url, "HEAD")
        assert (response.status, response.body) == (200, b"")
        assert len(registry) == 0


async def test_other_methods_are_answered_as_for_any_view() -> None:
    async with Browser() as browser:
        assert (await browser.get("/page/", "POST")).status == 403  # CSRF
        assert (await browser.get("/page/", "OPTIONS")).headers["allow"] == "GET, POST, HEAD, OPTIONS"
        assert (await browser.get("/async/", "OPTIONS")).headers["allow"] == "GET, POST, HEAD, OPTIONS"


async def test_strict_serialization_fails_the_get_that_stored_the_value(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LIVEVIEW_CONFIG = {"strict_serialization": True}
    async with Browser() as browser:
        assert (await browser.get("/leaky/")).status == 500
    assert "TypeError: LiveView state contains non-serializable value: lock (from _thread)." in caplog.text


async def test_synchronous_mounts_run_in_the_pool() -> None:
    Page.threads.clear()
    async with Browser() as browser:
        await browser.get("/page/")
        await browser.get("/async/")
    assert Page.threads[0].startswith("djust-")
    assert Page.threads[1] == threading.current_thread().name


async def test_a_session_that_begins_with_the_page_belongs_to_it() -> None:
    async with Browser() as browser:
        page = await browser.open("/page/?session=1")
        assert "sessionid" in browser.cookies
        assert (await page.event("add"))[:2] == [1, 1]


def test_djangos_own_test_client_sees_the_page() -> None:
    for url in ("/page/", "/async/"):
        response = Client().get(url)
        assert b"<p dj>0</p>" in response.content
    assert Client().post("/form/").content == b"posted"
    registry.clear()


@pytest.mark.parametrize(("url", "status"), [("/page/?q=%ff", 200), ("/%ff/", 404), ("/page/?q=\udcff", 400)])
async def test_strange_urls_do_no_harm(url: str, status: int) -> None:
    async with Browser() as browser:
        assert (await browser.get(url)).status == status


@pytest.mark.django_db(transaction=True)
async def test_an_asynchronous_view_may_render_with_the_database() -> None:
    async with Browser() as browser:
        assert (await browser.get("/database/")).status == 200


def ordinary(function: Any) -> Any:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Hidden(Page):
    @ordinary
    async def mount(self, request: HttpRequest, **kwargs: Any) -> Any: ...


class Leaving(Page):
    def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        raise SystemExit(1)


class AsyncLeaving(Page):
    async def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        raise SystemExit(1)


urlpatterns += [
    path("hidden/", Hidden.as_view()),
    path("leaving/", Leaving.as_view()),
    path("leaving/async/", AsyncLeaving.as_view()),
]


async def test_an_asynchronous_mount_below_an_ordinary_decorator_is_explained(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Browser() as browser:
        assert (await browser.get("/hidden/")).status == 500
    assert "Hidden.mount returned coroutine, which nobody awaits" in caplog.text


@pytest.mark.parametrize("url", ["/leaving/", "/leaving/async/"])
async def test_an_exit_in_mount_is_an_ordinary_error(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        assert (await browser.get(url)).status == 500
    assert "RuntimeError: SystemExit was raised" in caplog.text


class Logging:
    """Middleware that writes the headers of each request as JSON."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        json.dumps(dict(request.META))
        return self.get_response(request)


@both
async def test_the_metadata_of_every_request_is_text(url: str, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Logging"]
    async with Browser() as browser:
        page = await browser.open(url)
        assert (await page.event("add"))[:2] == [1, 1]
        registry.clear()
        _, frame = await browser.join(page.response.ticket)
        assert frame[0] == "all"
