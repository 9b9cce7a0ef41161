"""Authorization on every way into a page: raw frames, lost permissions, ended sessions, floods."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.decorators import login_required, permission_required, user_passes_test
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin, UserPassesTestMixin
from django.contrib.auth.models import Permission, User
from django.contrib.auth.signals import user_logged_out
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.test import override_settings
from django.urls import path
from django.views.decorators.http import etag

from djust import LiveView, apublish, event_handler, state
from djust.decorators import permission_required as handler_permission_required
from djust.decorators import rate_limit
from djust.exceptions import HandlerError, ProtocolError
from djust.live import logout as sessions
from djust.live.channel import Buckets
from djust.live.registry import registry
from djust.live.token import JoinToken, make_join_token
from djust.live.transports.post import _connections
from djust.protocol.frames import decode, message_of
from djust.routing import live_session
from tests.asgi_client import Browser, Socket
from tests.engines import RedisServer
from tests.transports import PostWire, SocketWire, Wire

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

PERMISSION = "auth.change_group"
done: list[str] = []


class Open(LiveView):
    template = "<body><p>{{ count }}</p></body>"
    count = state(0)

    @event_handler
    def add(self, **more: Any) -> list[str]:
        done.append("add")
        self.count += 1
        return sorted(more)

    @event_handler
    async def add_async(self) -> None:
        done.append("add")
        self.count += 1

    @event_handler
    @handler_permission_required(PERMISSION)
    def change(self) -> None:
        done.append("change")
        self.count += 1

    @event_handler
    @handler_permission_required(PERMISSION)
    async def change_async(self) -> None:
        done.append("change")
        self.count += 1

    @event_handler
    @rate_limit(2, seconds=60)
    def seldom(self) -> None:
        done.append("seldom")
        self.count += 1


class Members(LoginRequiredMixin, Open):
    pass


def awaited(view: Any) -> Any:
    async def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not (await request.auser()).is_authenticated:
            raise PermissionDenied
        return await view(request, *args, **kwargs)

    return guarded


class Awaiting(Open):
    async def mount(self, request: HttpRequest) -> None: ...

    @event_handler
    async def who(self) -> None:
        assert (await self.request.auser()).username == "member"
        self.count += 1


class AsyncMembers(LoginRequiredMixin, Open):
    async def mount(self, request: HttpRequest) -> None: ...


class Editors(PermissionRequiredMixin, Open):
    permission_required = PERMISSION


class Passing(UserPassesTestMixin, Open):
    def test_func(self) -> bool:
        return bool(self.request.user.has_perm(PERMISSION))


class Dispatching(Open):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not request.user.is_authenticated:
            return login_required(lambda _: None)(request)
        return super().dispatch(request, *args, **kwargs)


class Switched(Open):
    """Whose guard an instance may have."""

    login_required = False


class SwitchedInInit(Open):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.login_required = True


class Remembering(Open):
    """Keeps its verdict for the length of a request, as code does that is asked several times."""

    def check_permissions(self, request: HttpRequest) -> Any:
        known = vars(request)
        if "is_editor" not in known:
            known["is_editor"] = request.user.has_perm(PERMISSION)
        return known["is_editor"]


def reads_headers(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        assert request.headers["host"] == "testserver"
        return get_response(request)

    return middleware


class AtOpenShops(Open):
    def check_permissions(self, request: HttpRequest) -> bool:
        return request.headers.get("X-Shop") != "closed"


class Strict(Open):
    """Refuses what others send with an error of the kind that handlers raise."""

    refuses = False
    text = state("")
    template = "<body><p>{{ count }} {{ text }}</p></body>"

    def mount(self, request: HttpRequest) -> None:
        self.subscribe("news")

    def authorize(self, handler: str) -> None:
        if handler == "handle_info" and type(self).refuses:
            raise HandlerError("Not now.")

    def handle_info(self, message: str) -> None:
        self.text = message


edition = ["first"]
has_permission = permission_required(PERMISSION, raise_exception=True)
urlpatterns = [
    path("open/", Open.as_view()),
    path("other/", Open.as_view()),
    path("members/", Members.as_view()),
    path("async-members/", AsyncMembers.as_view()),
    path("awaited/", awaited(Awaiting.as_view())),
    path("editors/", Editors.as_view()),
    path("tested/", Passing.as_view()),
    path("dispatching/", Dispatching.as_view()),
    path("switched/", Switched.as_view(login_required=True)),
    path("switched-in-init/", SwitchedInInit.as_view()),
    path("remembering/", Remembering.as_view()),
    path("shops/", AtOpenShops.as_view()),
    path("strict/", Strict.as_view()),
    path("edition/", etag(lambda request: f'"{edition[0]}"')(Open.as_view())),
    path("decorated/", has_permission(Open.as_view())),
    path("decorated-session/", live_session(Members)),
    path("test/", user_passes_test(lambda user: user.has_perm(PERMISSION))(Open.as_view())),
]
BY_PERMISSION = ["/editors/", "/tested/", "/decorated/", "/test/", "/remembering/"]
BY_LOGIN = [
    "/members/",
    "/async-members/",
    "/dispatching/",
    "/decorated-session/",
    "/switched/",
    "/switched-in-init/",
]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    done.clear()
    registry.clear()


async def editor() -> User:
    user = await User.objects.acreate(username="editor")
    await user.user_permissions.aadd(await Permission.objects.aget(codename="change_group"))
    return user


async def is_refused(page: Wire, event: str) -> None:
    """The event is refused and not executed, and the connection ended."""
    before = len(done)
    if isinstance(page, PostWire):
        # The request itself is refused, before it comes to a frame.
        headers = {"x-djust": page.id, "x-csrftoken": page.token}
        response = await page.browser.get(page.url, "POST", body=f'[99,"{event}",{{}}]'.encode(), **headers)
        assert response.status in (302, 403)
    else:
        await page.send([99, event, {}, [], 1])
        assert (await page.receive())[0] == "error"
        assert await page.closing() == 4403  # type: ignore[attr-defined]
    assert len(done) == before


@pytest.mark.parametrize("url", BY_PERMISSION)
@pytest.mark.parametrize("event", ["add", "add_async"])
async def test_a_permission_that_is_lost_ends_the_page_at_the_next_event(
    wire: type[Wire], url: str, event: str
) -> None:
    user = await editor()
    async with Browser() as browser:
        assert (await browser.get(url)).status in (302, 403)
        await browser.log_in(user)
        page = wire(browser, url)
        await page.open()
        assert (await page.event(event))[2] == [0, 1]
        await user.user_permissions.aclear()
        await is_refused(page, event)


@pytest.mark.parametrize("url", BY_LOGIN)
async def test_a_user_who_is_deactivated_is_refused_at_the_next_event(wire: type[Wire], url: str) -> None:
    user = await User.objects.acreate(username="member")
    async with Browser() as browser:
        assert (await browser.get(url)).status == 302
        await browser.log_in(user)
        page = wire(browser, url)
        await page.open()
        assert (await page.event("add"))[2] == [0, 1]
        await User.objects.filter(pk=user.pk).aupdate(is_active=False)
        await is_refused(page, "add")


async def test_a_join_over_a_socket_is_refused_as_the_get_would_be() -> None:
    user = await editor()
    async with Browser() as browser:
        await browser.log_in(user)
        response = await browser.get("/editors/")
        await user.user_permissions.aclear()
        socket = await browser.connect()
        await socket.send(["join", response.ticket, 0, "/", "one"])
        assert await socket.receive() == [
            "error",
            0,
            "You are not allowed to use this page any more. Load it again.",
        ]
        assert await socket.closing() == 4403


async def test_the_middleware_that_asks_for_a_login_is_honoured_by_events(wire: type[Wire]) -> None:
    middleware = [*django_settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    user = await User.objects.acreate(username="member")
    with override_settings(MIDDLEWARE=middleware):
        async with Browser() as browser:
            assert (await browser.get("/open/")).status == 302
            await browser.log_in(user)
            page = wire(browser, "/open/")
            await page.open()
            assert (await page.event("add"))[2] == [0, 1]
            await User.objects.filter(pk=user.pk).aupdate(is_active=False)
            await is_refused(page, "add")


async def test_a_guard_that_awaits_the_user_gets_the_one_of_today(wire: type[Wire]) -> None:
    user = await User.objects.acreate(username="member")
    async with Browser() as browser:
        assert (await browser.get("/awaited/")).status == 403
        await browser.log_in(user)
        page = wire(browser, "/awaited/")
        await page.open()
        for count in (1, 2):
            assert (await page.event("who"))[2] == [0, count]
        await User.objects.filter(pk=user.pk).aupdate(is_active=False)
        await is_refused(page, "who")


async def test_messages_that_authorize_refuses_with_any_error_for_users_wait(
    wire: type[Wire], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Browser() as browser:
        page = wire(browser, "/strict/")
        await page.open()
        monkeypatch.setattr(Strict, "refuses", True)
        with caplog.at_level("INFO", "djust"):
            await apublish("news", "first")
            while "Not now." not in caplog.text:  # noqa: ASYNC110 — nothing else says that it was refused
                await asyncio.sleep(0.01)
        monkeypatch.setattr(Strict, "refuses", False)
        assert (await page.event("add"))[2] == [0, "1 "]
        assert (await page.receive())[2] == [0, "1 first"]


@pytest.mark.parametrize("skipped", [(), (f"{__name__}.reads_headers",)])
async def test_guards_see_the_headers_of_the_browser_that_holds_the_page(settings: Any, skipped: tuple[str]) -> None:
    settings.LIVEVIEW_CONFIG = {"skip_middleware": skipped}
    with override_settings(MIDDLEWARE=[*django_settings.MIDDLEWARE, f"{__name__}.reads_headers"]):
        async with Browser() as browser:
            response = await browser.get("/shops/")
            browser.headers["x-shop"] = "closed"
            assert (await browser.join(response.ticket))[1][0] == "error"


async def test_a_get_that_asked_for_a_newer_edition_does_not_make_events_ask_so(wire: type[Wire]) -> None:
    async with Browser(headers={"if-none-match": '"second"'}) as browser:
        page = wire(browser, "/edition/")
        edition[0] = "first"
        response = await browser.get("/edition/")
        del browser.headers["if-none-match"]
        edition[0] = "second"
        await page.join(response.ticket)
        assert (await page.event("add"))[2] == [0, 1]


async def test_an_open_page_looks_up_no_user(monkeypatch: pytest.MonkeyPatch) -> None:
    user = await User.objects.acreate(username="u")
    async with Browser() as browser:
        await browser.log_in(user)
        page = await browser.open("/open/")
        monkeypatch.setattr("django.contrib.auth.get_user", lambda request: pytest.fail("was asked for"))
        assert (await page.event("add"))[2] == [0, 1]


@pytest.mark.parametrize("event", ["change", "change_async"])
async def test_a_handler_may_ask_for_a_permission(wire: type[Wire], event: str) -> None:
    user = await editor()
    async with Browser() as browser:
        stranger = wire(browser.another(), "/open/")
        await stranger.open()
        refused = await stranger.event(event)
        assert refused[4]["error"] == f"Open.{event} asks for a permission that you do not have."
        assert done == []
        await browser.log_in(user)
        page = wire(browser, "/open/")
        await page.open()
        assert (await page.event(event))[2] == [0, 1]


async def test_a_handler_may_be_called_only_so_often(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page, other = wire(browser, "/open/"), wire(browser.another(), "/open/")
        await page.open()
        await other.open()
        answers = [await page.event("seldom") for _ in range(3)]
        assert answers[2][4]["error"] == "Open.seldom may be called 2 times in 60 seconds. Wait a moment."
        assert (await other.event("seldom"))[2] == [0, 1]
        assert done == ["seldom"] * 3


# Sessions that end


async def closed_within(socket: Wire | Socket, seconds: float) -> int:
    start = time.monotonic()
    code = await socket.closing()
    assert time.monotonic() - start < seconds
    return code


async def test_logging_out_ends_connections_at_once(wire: type[Wire]) -> None:
    user = await User.objects.acreate(username="u")
    async with Browser() as browser:
        await browser.log_in(user)
        page, other = wire(browser, "/open/"), wire(browser.another(), "/open/")
        await page.open()
        await other.open()
        request = HttpRequest()
        request.session = import_module(django_settings.SESSION_ENGINE).SessionStore(browser.cookies["sessionid"])
        await asyncio.to_thread(user_logged_out.send, sender=User, request=request, user=user)
        assert await closed_within(page, 1) == 4403
        assert (await other.event("add"))[2] == [0, 1]


@pytest.mark.services
async def test_logging_out_in_another_process_ends_connections_here(wire: type[Wire]) -> None:
    user = await User.objects.acreate(username="u")
    with RedisServer() as redis, override_settings(LIVEVIEW_CONFIG={"pubsub": redis.address}):
        async with Browser() as browser:
            await browser.log_in(user)
            page, other = wire(browser, "/open/"), wire(browser.another(), "/open/")
            await page.open()
            await other.open()
            session = next(held.visitor.session for held in registry.pages() if held.visitor.session)
            # What this process says to itself is heard, and means nothing.
            await apublish(sessions.TOPIC, [sessions.monitor.name, session])
            assert (await page.event("add"))[2] == [0, 1]
            await apublish(sessions.TOPIC, ["another process", session])
            assert await closed_within(page, 1) == 4403
            assert (await other.event("add"))[2] == [0, 1]


async def test_a_session_that_expires_ends_its_connections_within_a_second(wire: type[Wire]) -> None:
    user = await User.objects.acreate(username="u")
    async with Browser() as browser:
        await browser.log_in(user)
        store = import_module(django_settings.SESSION_ENGINE).SessionStore(browser.cookies["sessionid"])
        await store.aload()
        await store.aset_expiry(1)
        await store.asave()
        page = wire(browser, "/open/")
        await page.open()
        assert await closed_within(page, 2.2) == 4401


@override_settings(LIVEVIEW_CONFIG={"session_check_seconds": 0.2})
async def test_a_session_that_is_deleted_elsewhere_is_found_out(wire: type[Wire]) -> None:
    user = await User.objects.acreate(username="u")
    async with Browser() as browser:
        await browser.log_in(user)
        page = wire(browser, "/open/")
        await page.open()
        await import_module(django_settings.SESSION_ENGINE).SessionStore(browser.cookies["sessionid"]).adelete()
        assert await closed_within(page, 1.5) == 4401


# Tickets


async def refusal_of(wire: type[Wire], browser: Browser, ticket: str) -> tuple[list[Any], int]:
    page = wire(browser, "/open/")
    return await page.join(ticket), await page.closing()


async def test_join_tokens_that_were_not_made_here_are_refused(wire: type[Wire]) -> None:
    async with Browser() as browser:
        real = (await browser.get("/open/")).ticket
        forged = [
            real[:-1] + ("A" if real[-1] != "A" else "B"),
            signing.dumps(["id", "/open/", ""], salt="another"),
            signing.dumps({"page_id": "x"}, salt="djust.ticket"),
            signing.dumps(["x"], salt="djust.ticket"),
            signing.dumps([1, 2, 3, 4, 5, 6], salt="djust.ticket"),
            signing.dumps([["x"], {}, None], salt="djust.ticket"),
            "",
            "::",
        ]
        for ticket in forged:
            frame, code = await refusal_of(wire, browser, ticket)
            assert (frame[0], code in (4403, 4400)) == ("error", True), ticket


async def test_a_join_token_of_one_view_gives_no_other_one(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = wire(browser, "/open/")
        assert (await page.open())[0] == "joined"
        # What the browser says of its URL changes nothing.
        other = wire(browser, "/open/")
        await other.connect()
        await other.send(["join", page.response.ticket, 0, "/members/", "two"])
        assert (await other.receive())[0] == "all"
        assert {page.request.path for page in registry.pages()} == {"/open/"}


async def test_a_replayed_join_token_gives_its_page_to_no_other_visitor(wire: type[Wire]) -> None:
    user = await User.objects.acreate(username="u")
    async with Browser() as browser:
        await browser.log_in(user)
        page = wire(browser, "/open/")
        await page.open()
        await page.event("add")
        frame, code = await refusal_of(wire, browser.another(), page.response.ticket)
        assert (frame[0], code) == ("error", 4403)
        assert (await page.event("add"))[2] == [0, 2]


# Frames


DEEP = "[" * 60_000 + "]" * 5_000
ODD: list[Any] = [
    '["join"]', "[]", "{}", "null", '"x"', "[1", "\x00", DEEP, '[1,"add",{},[],9]', '[1,"add",[]]', '[1.5,"add",{}]',
    '[true,"add",{}]', '["resync"]', '["resync",1,2,3,4]', '[9007199254740993000,"add",{},[],1,1]', b"\x00\x01",
    '[1,"add",{"x":NaN}]', '[1,"add",{"x":1e999}]', "[" + ",".join("1" * 30_000) + "]",
]  # fmt: skip


@pytest.mark.parametrize("frame", ODD)
async def test_odd_frames_execute_nothing_and_end_the_connection(wire: type[Wire], frame: Any) -> None:
    if isinstance(frame, bytes) and wire is not SocketWire:
        # The body of a POST is text, whatever its bytes are.
        frame = frame.decode()
    async with Browser() as browser:
        page = wire(browser, "/open/")
        await page.open()
        await page.send(frame)
        assert await page.closing() in (4400, 1009, 4403)
        assert done == []
        page = wire(browser, "/open/")
        await page.open()
        assert (await page.event("add"))[2] == [0, 1]


def test_a_frame_that_is_nested_as_deep_as_python_can_read_is_a_frame_or_refused() -> None:
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit()):
        nested = "[" * depth + "]" * depth
        for frame in ('[1,"x",{"a":"\\u0041","y":%s}]', '["resync",%s]', '[%s,"x"]', "[1,%s]"):
            with suppress(ProtocolError):
                message_of(decode(frame % nested))


@pytest.mark.parametrize(
    "name", ["__init__", "__class__", "mount", "count", "request", "add.__call__", "_add", "as_view", ""]
)
async def test_only_handlers_can_be_called(driver: type[Wire], name: str) -> None:
    async with Browser() as browser:
        page = driver(browser, "/open/")
        await page.open()
        assert (await page.event(name))[:2] == ["error", 1]
        assert done == []


async def test_dunder_names_in_parameters_are_only_names(driver: type[Wire]) -> None:
    async with Browser() as browser:
        page = driver(browser, "/open/")
        await page.open()
        names = {"__class__": "x", "self": "y", "__dict__": {"count": 99}, "constructor": 1}
        answer = await page.event("add", names)
        assert answer[4]["reply"] == ["__class__", "__dict__", "constructor"]
        assert answer[2] == [0, 1]


async def test_references_that_go_back_are_not_executed(driver: type[Wire]) -> None:
    async with Browser() as browser:
        page = driver(browser, "/open/")
        await page.open()
        await page.send([5, "add", {}])
        assert (await page.receive())[:2] == [5, 1]
        for ref in (5, 4, 1):
            await page.send([ref, "add", {}])
            assert (await page.receive())[:2] == ["error", ref]
        assert len(done) == 1


# Floods


@pytest.mark.slow
async def test_ten_thousand_joins_cost_little_and_open_few_pages() -> None:
    async with Browser() as browser:
        response = await browser.get("/open/")
        holder, _ = await browser.join(response.ticket, document="the first one")
        start, refused = time.monotonic(), 0
        for number in range(10_000):
            socket = await browser.connect()
            browser.sockets.clear()
            await socket.send(["join", response.ticket, 0, "/", f"document {number}"])
            frame = await socket.receive()
            refused += frame[0] == "error"
            await socket.close()
        seconds = time.monotonic() - start
        assert (await holder.event("add"))[2] == [0, 1]
        print(f"10,000 joins in {seconds:.1f} s, {refused} refused")
        assert refused > 9_000
        assert len(registry) < 200


async def test_joins_by_posts_are_bounded_too() -> None:
    with override_settings(LIVEVIEW_CONFIG={"max_pages": 5}):
        async with Browser() as browser:
            response = await browser.get("/open/")
            pages = [PostWire(browser, "/open/") for _ in range(12)]
            for page in pages:
                await page.join(response.ticket)
            assert len(_connections) == 5
            await pages[0].send([1, "add", {}])
            assert (pages[0].code, done) == (1012, [])
            assert (await pages[-1].event("add"))[2] == [0, 1]


def test_buckets_forget_names_that_are_not_used() -> None:
    buckets = Buckets(rate=0.0, burst=1.0, names=3)
    assert [buckets.take(name) for name in "aabcda"] == [True, False, True, True, True, True]


async def test_a_browser_that_does_not_read_costs_bounded_memory() -> None:
    with override_settings(LIVEVIEW_CONFIG={"max_waiting": 10}):
        async with Browser() as browser:
            page = await browser.open("/open/")
            page.stalls = True
            for ref in range(1, 200):
                await page.send([ref, "add", {}])
            await page.stalled.wait()
            (held,) = registry.pages()
            async with asyncio.timeout(10):
                while held.last_ref == 0:  # noqa: ASYNC110 — nobody tells
                    await asyncio.sleep(0.01)
            assert len(held._mailbox) <= 10
            page.reads.set()
            page.stalls = False


async def test_a_join_token_for_another_path_of_a_post_is_refused() -> None:
    async with Browser() as browser:
        page = PostWire(browser, "/other/")
        ticket = make_join_token(JoinToken("gone", "/open/", ""))
        assert (await page.join(ticket))[0] == "error"
        assert page.code == 4403


async def test_a_closed_connection_stays_closed(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = wire(browser, "/open/")
        await page.open()
        await page.send("[", [1, "add", {}])
        await page.closing()
        await page.send(json.dumps([1, "add", {}]))
        if isinstance(page, SocketWire):
            await page.socket.ended()
        assert done == []
