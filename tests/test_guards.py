"""Guards of pages hold for their turns: cases that the random stacks of `test_guard_stacks` do not
show.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.contrib.auth.models import Permission, User
from django.core.cache import caches
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.deprecation import MiddlewareMixin
from django.views.decorators.cache import cache_page
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import etag

from djust import LiveView, apublish, background, event_handler, publish, state
from djust.exceptions import HandlerError
from djust.live import page as live_page
from djust.live.registry import registry
from djust.testing import LiveClient
from tests.asgi_client import Browser
from tests.guarded import PERMISSION, copying
from tests.transports import PostWire, SocketWire, Wire

pytestmark = [pytest.mark.django_db(transaction=True)]

done: list[str] = []
begun, go_on = threading.Event(), threading.Event()
closed = threading.Event()
local = threading.local()


class Page(LiveView):
    template = "<body><p>{{ count }}</p><form method='post' dj-submit='add'>{% csrf_token %}</form></body>"
    count = state(0)

    def mount(self, request: HttpRequest) -> Any:
        self.subscribe("pages")

    @event_handler
    def add(self) -> None:
        done.append("add")
        self.count += 1

    @event_handler
    async def add_on_loop(self) -> None:
        done.append("add")
        self.count += 1

    @event_handler
    def wait(self) -> None:
        begun.set()
        assert go_on.wait(10)

    @event_handler
    @background
    def work(self) -> None:
        done.append("work")

    def handle_info(self, message: Any) -> Any:
        done.append("info")
        self.count += 1


@contextmanager
def site(function: Any, *middleware: str, **settings: Any) -> Iterator[None]:
    """A site with `function` at /page/ and an open page at /open/."""
    patterns = [path("page/", function), path("open/", Page.as_view()), path("out/", log_out)]
    root = type("Site", (), {"urlpatterns": patterns})
    names = [*django_settings.MIDDLEWARE, *(f"{__name__}.{name}" for name in middleware)]
    registry.clear()
    with override_settings(ROOT_URLCONF=root, **{"MIDDLEWARE": names, **settings}):
        yield
    registry.clear()


def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    done.clear()
    for event in (begun, go_on, closed):
        event.clear()


async def create_editor() -> User:
    user = await User.objects.acreate(username="editor")
    await user.user_permissions.aadd(await Permission.objects.aget(codename="change_group"))
    return user


# Caches


@pytest.mark.parametrize("name", ["get", "dispatch"])
async def test_a_cache_around_a_method_keeps_neither_frames_nor_passages(wire: type[Wire], name: str) -> None:
    pages = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": f"pages {name} {wire.__name__}"}
    view: Any = method_decorator([cache_page(600, cache="pages"), copying], name=name)(type("Cached", (Page,), {}))
    with site(view.as_view(), CACHES={**django_settings.CACHES, "pages": pages}):
        async with Browser() as browser:
            page = wire(browser, "/page/")
            await page.open()
            assert (await page.event("add"))[2] == [0, 1]
            await browser.get("/page/", "POST", b"", **{"x-csrftoken": browser.cookies.get("csrftoken", "")})
            again = await browser.another().get("/page/")
            assert (again.status, "<p>0</p>" in again.visible) == (200, True)
            assert not caches["pages"]._cache  # type: ignore[attr-defined]


async def test_an_answer_that_a_browser_has_already_refuses_no_turn() -> None:
    tags = ["old"]
    with site(etag(lambda request: f'"{tags[-1]}"')(Page.as_view())):
        async with Browser(headers={"if-none-match": '"new"', "if-match": '"old"'}) as browser:
            page = await browser.open("/page/")
            tags.append("new")
            assert (await page.event("add"))[2] == [0, 1]
            assert (await page.event("add_on_loop"))[2] == [0, 2]


async def test_compressed_pages_take_turns() -> None:
    with site(gzip_page(Page.as_view())):
        async with Browser() as browser:
            response = await browser.get("/page/")
            browser.headers["accept-encoding"] = "gzip"
            page, _ = await browser.join(response.ticket)
            assert (await page.event("add"))[2] == [0, 1]


# Ways around


async def test_frames_posted_to_an_open_page_pass_what_guards_their_own() -> None:
    user = await create_editor()

    class Editors(PermissionRequiredMixin, Page):
        permission_required = PERMISSION

    with site(Editors.as_view()):
        async with Browser() as browser:
            await browser.log_in(user)
            page = PostWire(browser, "/page/")
            await page.open()
            await user.user_permissions.aclear()
            page.url = "/open/"
            await page.send([1, "add", {}])
            assert ((page.code, page.frames[0][0]), done) == ((4403, "error"), [])


async def test_a_page_keeps_the_host_of_its_get() -> None:
    seen: list[str] = []

    def of_host(view: Any) -> Any:
        def guarded(request: HttpRequest) -> Any:
            seen.append(request.get_host())
            return view(request)

        return guarded

    with site(of_host(Page.as_view())):
        async with Browser(host="one.example") as browser:
            response = await browser.get("/page/")
            other = Browser(browser.application, host="two.example")
            other.cookies = browser.cookies
            page, _ = await other.join(response.ticket)
            await page.event("add")
            assert set(seen) == {"one.example"}
            await page.close()


class Roles:
    """Gives an attribute to those who may have it."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        if request.user.has_perm(PERMISSION):
            request.role = "editor"  # type: ignore[attr-defined]
        return self.get_response(request)


async def test_an_attribute_that_middleware_gives_no_more_is_gone(wire: type[Wire]) -> None:
    class WithRole(Page):
        @event_handler
        def role(self) -> str:
            return getattr(self.request, "role", "none")

    user = await create_editor()
    with site(WithRole.as_view(), "Roles"):
        async with Browser() as browser:
            await browser.log_in(user)
            page = wire(browser, "/page/")
            await page.open()
            assert (await page.event("role"))[-1]["reply"] == "editor"
            await user.user_permissions.aclear()
            assert (await page.event("role"))[-1]["reply"] == "none"


async def test_a_guard_by_attribute_refuses_who_has_it_no_more() -> None:
    def editors(view: Any) -> Any:
        def guarded(request: HttpRequest) -> Any:
            return view(request) if getattr(request, "role", "") == "editor" else HttpResponse(status=403)

        return guarded

    user = await create_editor()
    with site(editors(Page.as_view()), "Roles"):
        async with Browser() as browser:
            await browser.log_in(user)
            page = await browser.open("/page/")
            await user.user_permissions.aclear()
            await page.post("add")
            assert (await page.closing(), done) == (4403, [])


async def test_what_mount_makes_of_the_user_fools_no_guard(wire: type[Wire]) -> None:
    class Raised(PermissionRequiredMixin, Page):
        permission_required = PERMISSION

        def mount(self, request: HttpRequest) -> None:
            request.user.is_superuser = True
            request.user = User(username="root", is_superuser=True, is_active=True)

    user = await create_editor()
    with site(Raised.as_view()):
        async with Browser() as browser:
            await browser.log_in(user)
            page = wire(browser, "/page/")
            await page.open()
            assert (await page.event("add"))[2] == [0, 1]
            await user.user_permissions.aclear()
            if isinstance(page, SocketWire):
                await page.send([9, "add", {}])
                assert await page.closing() == 4403
            else:
                headers = {"x-djust": page.id, "x-csrftoken": page.token}  # type: ignore[attr-defined]
                assert (await browser.get("/page/", "POST", b'[9,"add",{}]', **headers)).status == 403
            assert done == ["add"]


# A guard that fails


@pytest.mark.parametrize("failure", [OperationalError, SystemExit, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_guard_that_fails_is_no_verdict(failure: Any, is_async: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(live_page, "_RETRY_SECONDS", 0.05)

    def failing(view: Any) -> Any:
        def guarded(request: HttpRequest) -> Any:
            if closed.is_set():
                raise failure("the database is away")
            return view(request)

        async def guarded_on_loop(request: HttpRequest) -> Any:
            if closed.is_set():
                raise failure("the database is away")
            return await view(request)

        return guarded_on_loop if is_async else guarded

    class OnLoop(Page):
        async def mount(self, request: HttpRequest) -> None:
            await self.asubscribe("pages")

    with site(failing((OnLoop if is_async else Page).as_view())):
        async with Browser() as browser:
            page = await browser.open("/page/")
            closed.set()
            answer = await page.event("add")
            assert answer[:3] == ["error", 1, "This could not be done just now. Try again in a moment."]
            await apublish("pages", 1)
            assert (await page.event("add_on_loop"))[:2] == ["error", 2]
            again = await browser.another().connect()
            await again.send(["join", page.response.ticket, 0, "/page/", "one"])
            assert (await again.closing(), done) == (1011, [])
            closed.clear()
            page, _ = await browser.join(page.response.ticket, 0)
            assert (await page.receive())[2] == [0, 1]
            page.ref = 2
            assert (await page.event("add"))[2] == [0, 2]
            assert done == ["info", "add"]


async def test_a_guard_that_hangs_answers_the_event_when_its_time_is_up() -> None:
    def hanging(view: Any) -> Any:
        def guarded(request: HttpRequest) -> Any:
            if closed.is_set():
                go_on.wait(10)
            return view(request)

        return guarded

    with site(hanging(Page.as_view()), LIVEVIEW_CONFIG={"handler_timeout": 0.2}):
        async with Browser() as browser:
            page = await browser.open("/page/")
            closed.set()
            assert (await page.event("add"))[:2] == ["error", 1]
            closed.clear()
            go_on.set()
            assert (await page.event("add"))[2] == [0, 1]
            assert done == ["add"]


async def test_a_guard_that_lets_in_after_its_time_was_up_mounts_nothing() -> None:
    mounts: list[HttpRequest] = []
    let_in = threading.Event()

    class Mounted(Page):
        def mount(self, request: HttpRequest) -> Any:
            mounts.append(request)

    def hanging(view: Any) -> Any:
        def guarded(request: HttpRequest) -> Any:
            if not closed.is_set():
                return view(request)
            go_on.wait(10)
            response = view(request)
            let_in.set()
            return response

        return guarded

    with site(hanging(Mounted.as_view()), LIVEVIEW_CONFIG={"handler_timeout": 0.2}):
        async with Browser() as browser:
            page = await browser.open("/page/")
            closed.set()
            assert (await page.event("add_on_loop"))[:2] == ["error", 1]
            go_on.set()
            assert await asyncio.to_thread(let_in.wait, 10)
            assert (len(mounts), len(registry.pages()), done) == (1, 1, [])


# Logging out


async def test_what_waits_when_its_user_logs_out_does_not_run() -> None:
    user = await User.objects.acreate(username="u")
    with site(login_required(Page.as_view())):
        async with Browser() as browser:
            await browser.log_in(user)
            page = await browser.open("/page/")
            (held,) = registry.pages()
            await page.post("wait")
            await asyncio.to_thread(begun.wait, 10)
            for handler in ("add", "add_on_loop", "add", "work"):
                await page.post(handler)
            await apublish("pages", 1)
            assert (await browser.get("/out/")).status == 200
            go_on.set()
            assert await page.closing() == 4403
            async with asyncio.timeout(10):
                while held.is_busy:  # noqa: ASYNC110 — nobody tells
                    await asyncio.sleep(0.01)
            assert done == []


# authorize


class Authorized(Page):
    verdict: Any = True

    def authorize(self, handler: str) -> Any:
        assert handler in ("add", "add_on_loop", "handle_info", "work")
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


class AuthorizedOnLoop(Page):
    verdict: Any = True

    async def authorize(self, handler: str) -> Any:
        await sync_to_async(User.objects.count)()
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


AUTHORIZED: list[type[Any]] = [Authorized, AuthorizedOnLoop]
NO = "You are not allowed to do this."
LATER = "This could not be done just now. Try again in a moment."


@pytest.mark.parametrize("view", AUTHORIZED)
@pytest.mark.parametrize("verdict", [False, 0, PermissionDenied("not you"), OperationalError("away")])
@pytest.mark.parametrize("handler", ["add", "add_on_loop", "work"])
async def test_authorize_refuses_events_and_keeps_the_page(
    wire: type[Wire], view: type[Any], verdict: Any, handler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        NO if not isinstance(verdict, OperationalError) else "This could not be done just now. Try again in a moment."
    )
    with site(view.as_view()):
        async with Browser() as browser:
            page = wire(browser, "/page/")
            await page.open()
            monkeypatch.setattr(view, "verdict", verdict)
            assert (await page.event(handler))[:3] == ["error", 1, text]
            assert done == []
            for allowed in (True, None):
                monkeypatch.setattr(view, "verdict", allowed)
                assert (await page.event("add"))[0] != "error"
            assert done == ["add", "add"]


@pytest.mark.parametrize("view", AUTHORIZED)
async def test_authorize_refuses_messages_until_it_does_not(
    wire: type[Wire], view: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with site(view.as_view()):
        async with Browser() as browser:
            page = wire(browser, "/page/")
            await page.open()
            monkeypatch.setattr(view, "verdict", False)
            await apublish("pages", 1)
            assert (await page.event("add"))[:3] == ["error", 1, NO]
            assert done == []
            monkeypatch.setattr(view, "verdict", True)
            answers = [await page.event("add"), await page.receive()]
            assert [answer[2] for answer in answers] == [[0, 1], [0, 2]]
            assert done == ["add", "info"]


@pytest.mark.parametrize("view", AUTHORIZED)
async def test_authorize_refuses_forms(view: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with site(view.as_view()):
        async with Browser() as browser:
            await browser.get("/page/")
            token = {"x-csrftoken": browser.cookies["csrftoken"]}
            monkeypatch.setattr(view, "verdict", False)
            refused = await browser.get("/page/", "POST", b"", **token)
            assert (refused.status, NO in refused.text, "<p>0</p>" in refused.visible, done) == (400, True, True, [])
            monkeypatch.setattr(view, "verdict", True)
            assert "<p>1</p>" in (await browser.get("/page/", "POST", b"", **token)).visible


@pytest.mark.parametrize("view", AUTHORIZED)
def test_authorize_is_asked_in_tests(view: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with LiveClient(view) as page:
        page.event("add")
        monkeypatch.setattr(view, "verdict", False)
        for handler in ("add", "add_on_loop", "work"):
            with pytest.raises(HandlerError, match=NO):
                page.event(handler)
        publish("pages", 1)
        assert (page.state, done) == ({"count": 1}, ["add"])
        monkeypatch.setattr(view, "verdict", True)
        page.event("add")
        assert (page.state, done) == ({"count": 3}, ["add", "add", "info"])


# Tests


def test_pages_of_tests_are_guarded() -> None:
    class Editors(Page):
        permission_required = PERMISSION

    user = User.objects.create(username="editor")
    user.user_permissions.add(Permission.objects.get(codename="change_group"))
    with site(Editors.as_view()):
        for view in (Editors, "/page/"):
            user.user_permissions.set([Permission.objects.get(codename="change_group")])
            page = LiveClient(view, user=user)
            page.event("add")
            user.user_permissions.clear()
            with pytest.raises((HandlerError, ConnectionAbortedError, ExceptionGroup)):
                page.event("add")
            publish("pages", 1)
            with pytest.raises(ConnectionAbortedError):
                page.settle()
            assert done == ["add"]
            done.clear()
        assert LiveClient("/page/").response.status_code == 302


class Late(MiddlewareMixin):
    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        return HttpResponse("closed", status=403) if closed.is_set() else HttpResponse(response.content)


def test_a_page_of_a_test_that_middleware_takes_away_is_not_open() -> None:
    with site(Page.as_view(), "Late"):
        page = LiveClient("/page/")
        page.event("add")
        closed.set()
        assert LiveClient("/page/").response.status_code == 403
        with pytest.raises(RuntimeError, match="no live page was mounted; the answer was 403"):
            LiveClient("/page/").event("add")


# Tenants


class Tenants(MiddlewareMixin):
    """As packages for tenants do it: what a request may see depends on its thread."""

    def process_request(self, request: HttpRequest) -> None:
        local.tenant = request.headers["x-tenant"]

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        local.tenant = "none"
        return response


def tenant() -> str:
    return getattr(local, "tenant", "nobody's thread")


class OfTenant(LiveView):
    template = "<body><p>{{ handled }} {{ view.shown }} {{ given }}</p></body>"
    handled = state("")

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if tenant() != "blue":
            raise PermissionDenied

    def shown(self) -> str:
        return tenant()

    def get_context_data(self, **kwargs: Any) -> Any:
        return super().get_context_data(given=tenant(), **kwargs)

    @event_handler
    def look(self) -> None:
        self.handled = tenant()

    @event_handler
    async def look_on_loop(self) -> None:
        self.handled = f"async {await sync_to_async(tenant)()}"


class OfTenantOnLoop(OfTenant):
    async def get_context_data(self, **kwargs: Any) -> Any:
        return LiveView.get_context_data(self, given=await sync_to_async(tenant)(), **kwargs)


@pytest.mark.parametrize("view", [OfTenant, OfTenantOnLoop])
async def test_guards_handlers_and_templates_are_in_the_thread_of_the_tenant(wire: type[Wire], view: type[Any]) -> None:
    with site(view.as_view(), "Tenants"):
        async with Browser(headers={"x-tenant": "blue"}) as browser:
            page = wire(browser, "/page/")
            await page.open()
            for handler, handled in (("look", "blue"), ("look_on_loop", "async blue")):
                answer = await page.event(handler)
                shown = "blue" if view is OfTenant or handler == "look" else answer[2][1].split()[-2]
                assert answer[2] == [0, f"{handled} {shown} blue"]


# Settings


class Configured:
    """Reads a setting when it is made."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        self.is_closed = getattr(django_settings, "SHOP_IS_CLOSED", False)

    def __call__(self, request: HttpRequest) -> Any:
        return HttpResponse(status=403) if self.is_closed else self.get_response(request)


async def test_middleware_of_turns_is_made_again_when_a_test_changes_settings() -> None:
    with site(Page.as_view(), "Configured"):
        async with Browser() as browser:
            page = await browser.open("/page/")
            assert (await page.event("add"))[2] == [0, 1]
            with override_settings(SHOP_IS_CLOSED=True):
                await page.post("add")
                assert await page.closing() == 4403
    assert done == ["add"]


# Without guards


def test_an_event_of_a_page_without_guards_enters_neither_guards_nor_middleware() -> None:
    entered: set[str] = set()

    def enter(frame: FrameType, event: str, argument: object) -> None:
        entered.add(Path(frame.f_code.co_filename).name)

    with site(Page.as_view()):
        page = LiveClient("/page/")
        page.event("add")
        sys.setprofile(enter)
        try:
            page.event("add")
        finally:
            sys.setprofile(None)
        assert page.state == {"count": 2}
        assert "test_guards.py" in entered, "the handler is traced as well"
        assert not entered & {"guards.py", "middleware.py", "access.py"}
