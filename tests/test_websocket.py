"""Who may open a socket and join a page, and what happens to everything else that is sent."""

import asyncio
import threading
from typing import Any

import pytest
from django.contrib.auth import logout
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path

from djust import LiveView, event_handler, state
from djust.live.registry import registry
from djust.live.token import JoinToken, make_join_token
from tests.asgi_client import Browser, Closed, Socket

pytestmark = pytest.mark.urls(__name__)

gate = threading.Event()


class Counter(LiveView):
    template = "<p>{{ count }}</p>"
    count = state(0)
    calls: list[str] = []

    @event_handler
    def add(self, by: int = 1) -> None:
        self.count += by

    @event_handler
    def wait(self) -> None:
        assert gate.wait(10)

    def undecorated(self) -> None:
        Counter.calls.append("undecorated")

    def _private(self) -> None:
        Counter.calls.append("_private")


class Moving(LiveView):
    template = "<p></p>"
    answer: Any = None

    def mount(self, request: HttpRequest) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class AsyncMoving(LiveView):
    template = "<p></p>"

    async def mount(self, request: HttpRequest) -> Any:
        await asyncio.sleep(0)
        return Moving.answer


class Private(LoginRequiredMixin, LiveView):
    template = "<p>{{ user.username }}</p>"
    login_url = "/login/"

    @event_handler
    def log_out(self) -> None:
        logout(self.request)


class Slow(Counter):
    def mount(self, request: HttpRequest) -> None:
        assert gate.wait(10)


class Reading(Counter):
    def mount(self, request: HttpRequest) -> None:
        self.seen = request.session.get("seen")


def leave(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("gone")


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("not live")


urlpatterns = [
    path("counter/", Counter.as_view()),
    path("moving/", Moving.as_view()),
    path("async/", AsyncMoving.as_view()),
    path("private/", Private.as_view()),
    path("plain/", plain),
    path("slow/", Slow.as_view()),
    path("reading/", Reading.as_view()),
    path("logout/", leave),
]


@pytest.fixture(autouse=True)
def fresh() -> None:
    gate.clear()
    Counter.calls.clear()
    Moving.answer = None


# Handlers


@pytest.mark.parametrize("name", ["undecorated", "_private", "__init__", "mount", "get", "nothing", "count", "", "a.b"])
async def test_only_declared_handlers_can_be_called(name: str) -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        assert await page.event(name) == ["error", 1, f"Counter.{name} is not an event handler."]
        assert (await page.event("add"))[:3] == [2, 1, [0, 1]]
    assert Counter.calls == []


async def test_in_debug_the_error_tells_which_handlers_there_are(settings: Any) -> None:
    settings.DEBUG = True
    async with Browser() as browser:
        response = await browser.get("/counter/")
        page, _ = await browser.join(response.ticket)
        assert await page.event("sub") == [
            "error",
            1,
            "Counter.sub is not an event handler.",
            (
                'The browser asked for "sub"; handlers of Counter are "add", "wait". '
                "Decorate the method with @event_handler."
            ),
        ]


async def test_a_parameter_that_does_not_fit_refuses_the_event() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        assert await page.event("add", {"by": "s3cret"}) == ["error", 1, 'Counter.add: parameter "by" must be int.']
        assert (await page.event("add"))[:3] == [2, 1, [0, 1]]


async def test_the_value_is_shown_only_in_debug(settings: Any) -> None:
    settings.DEBUG = True
    async with Browser() as browser:
        page, _ = await browser.join((await browser.get("/counter/")).ticket)
        assert (await page.event("add", {"by": "s3cret"}))[3] == "Got 's3cret'."


# Frames


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "nonsense",
        "{}",
        "[]",
        "[1",
        "null",
        '["what"]',
        '["join","x",0,"/"]',
        "[1]",
        '["resync"]',
        '[1,"add",{"by":1e999}]',
        '[0,"add",{}]',
        '[-1,"add",{}]',
        '[1.5,"add",{}]',
        '[true,"add",{}]',
        '["1","add",{}]',
        "[1,5,{}]",
        '[1,"add",[]]',
        '[1,"add",{},{}]',
        '[1,"add",{},[],5]',
        '[1,"add",{"a":"\\ud800"}]',
        "[" * 30_000,
        f'[{"9" * 5000},"add",{{}}]',
        b"[1]",
    ],
    ids=lambda frame: repr(frame)[:30],
)
async def test_what_is_no_frame_closes_the_socket_and_the_page_can_be_resumed(frame: str | bytes) -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.send(frame)
        error = await page.receive()
        assert error[:2] == ["error", 0]
        assert error[2].startswith("Malformed frame: ")
        assert await page.closing() == 4400
        _, joined = await browser.join(page.response.ticket)
        assert joined == ["joined", 0]


async def test_a_socket_that_does_not_join_is_closed(settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"join_seconds": 0.01}
    async with Browser() as browser:
        socket = await browser.connect()
        assert await socket.closing() == 4408


@pytest.mark.parametrize("rest", [[], [None, 0], ["x"], ["x", "0"], ["x", -1], ["x", True]])
async def test_a_join_must_be_complete(rest: list[Any]) -> None:
    async with Browser() as browser:
        socket = await browser.connect()
        await socket.send(["join", *rest])
        assert await socket.closing() in (4400, 4403)


# Tickets


async def test_a_forged_join_token_is_refused() -> None:
    async with Browser() as browser:
        ticket = (await browser.get("/counter/")).ticket
        socket, frame = await browser.join(ticket[:-2] + "xx")
        assert frame[:2] == ["error", 0]
        assert await socket.closing() == 4403


async def test_an_expired_join_token_leads_to_its_page(settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"ticket_seconds": 0}
    async with Browser() as browser:
        ticket = (await browser.get("/counter/?q=1")).ticket
        socket, frame = await browser.join(ticket)
        assert frame == ["go", "/counter/?q=1"]
        assert await socket.closing() == 1000


@pytest.mark.django_db(transaction=True)
async def test_the_join_token_of_another_user_is_refused(django_user_model: Any) -> None:
    ann = await django_user_model.objects.acreate(username="ann")
    bob = await django_user_model.objects.acreate(username="bob")
    async with Browser() as browser:
        await browser.log_in(ann)
        ticket = (await browser.get("/private/")).ticket
        thief = browser.another()
        for user in (None, bob):
            if user is not None:
                await thief.log_in(user)
            socket, frame = await thief.join(ticket)
            assert frame == ["error", 0, "This page was opened in another session or by another user."]
            assert await socket.closing() == 4403
        _, joined = await browser.join(ticket)
        assert joined == ["joined", 0]


@pytest.mark.django_db(transaction=True)
async def test_the_page_of_a_session_that_has_ended_cannot_be_joined(django_user_model: Any) -> None:
    ann = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(ann)
        ticket = (await browser.get("/private/")).ticket
        cookies = dict(browser.cookies)
        await browser.log_out()
        browser.cookies = cookies
        socket, _ = await browser.join(ticket)
        assert await socket.closing() == 4401
        browser.cookies = {}
        socket, _ = await browser.join(ticket)
        assert await socket.closing() == 4403


@pytest.mark.django_db(transaction=True)
async def test_a_page_made_before_its_visitor_logged_in_cannot_be_joined(django_user_model: Any) -> None:
    ann = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        ticket = (await browser.get("/counter/")).ticket
        await browser.log_in(ann)
        socket, _ = await browser.join(ticket)
        assert await socket.closing() == 4403


async def test_a_page_without_session_can_be_joined_when_an_anonymous_one_began() -> None:
    async with Browser() as browser:
        ticket = (await browser.get("/counter/")).ticket
        browser.cookies["sessionid"] = "begunmeanwhile"
        _, joined = await browser.join(ticket)
        assert joined == ["joined", 0]


# Remounting


async def gone(browser: Browser, url: str) -> tuple[Socket, Any]:
    """Join with a token for `url` whose page does not exist."""
    return await browser.join(make_join_token(JoinToken("gone", url, "")))


@pytest.mark.parametrize("url", ["/moving/", "/async/"])
async def test_remounting_follows_a_redirect(url: str) -> None:
    Moving.answer = redirect("/elsewhere/")
    async with Browser() as browser:
        socket, frame = await gone(browser, url)
        assert frame == ["go", "/elsewhere/"]
        assert await socket.closing() == 1000


async def test_remounting_passes_the_mixins_of_the_view() -> None:
    async with Browser() as browser:
        _, frame = await gone(browser, "/private/?a=1")
        assert frame == ["go", "/login/?next=/private/%3Fa%3D1"]


@pytest.mark.parametrize(
    ("error", "code"), [(PermissionDenied(), 4403), (Http404(), 4403), (ConnectionError("S3"), 1011)]
)
async def test_remounting_may_fail(error: Exception, code: int) -> None:
    Moving.answer = error
    async with Browser() as browser:
        socket, frame = await gone(browser, "/moving/")
        assert frame[0] == "error"
        assert await socket.closing() == code


async def test_a_view_that_is_not_live_any_more_is_loaded() -> None:
    async with Browser() as browser:
        _, frame = await gone(browser, "/plain/")
        assert frame == ["go", "/plain/"]


@pytest.mark.parametrize("url", ["/moving/", "/async/"])
async def test_remounting_works_for_both_kinds_of_views(url: str) -> None:
    async with Browser() as browser:
        socket, frame = await gone(browser, url)
        assert frame[0] == "all"
        await socket.close()
        _, joined = await browser.join(frame[5]["ticket"], 1)
        assert joined == ["joined", 1]


async def test_a_browser_that_leaves_while_its_page_is_mounted_leaves_nothing_behind() -> None:
    async with Browser() as browser:
        socket = await browser.connect()
        await socket.send(["join", make_join_token(JoinToken("gone", "/async/", "")), 0, "/"])
        await socket.close()
        assert len(registry) == 0


async def test_an_event_right_behind_the_join_waits_for_the_page() -> None:
    async with Browser() as browser:
        socket = await browser.connect()
        await socket.send(["join", make_join_token(JoinToken("gone", "/counter/", "")), 0, "/"])
        await socket.post("add")
        assert (await socket.receive())[0] == "all"
        assert (await socket.receive())[:2] == [1, 2]


async def test_an_event_behind_a_refused_join_is_not_executed() -> None:
    async with Browser() as browser:
        socket = await browser.connect()
        await socket.send(["join", "forged", 0, "/"])
        await socket.post("add")
        assert await socket.closing() == 4403


async def test_a_session_store_that_fails_closes_the_socket(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        ticket = (await browser.get("/counter/")).ticket
        browser.cookies["sessionid"] = "abc"
        settings.SESSION_ENGINE = "no.such.engine"
        socket, frame = await browser.join(ticket)
        assert frame == ["error", 0, "The page could not be opened. Something went wrong."]
        assert await socket.closing() == 1011
    assert "A page could not be joined" in caplog.text


async def test_a_socket_that_is_gone_without_a_word_does_not_disturb_the_page() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.post("wait")
        await page.send(["ping"])
        assert await page.receive() == ["pong"]
        page.breaks = True
        gate.set()
        await page.send(["ping"])
        await page.close()
        again, frame = await browser.join(page.response.ticket)
        assert frame == ["joined", 0, 1]
        assert (await again.event("add"))[0] == "error", "reference 1 was answered"


async def test_a_socket_may_leave_before_it_joins() -> None:
    async with Browser() as browser:
        socket = await browser.connect()
        await socket.close()


# Origins


@pytest.mark.parametrize(
    ("origin", "trusted"),
    [
        ("http://testserver", []),
        ("https://shop.example.com", ["https://shop.example.com"]),
        ("https://a.example.com", ["https://*.example.com"]),
    ],
)
async def test_sockets_of_this_site_and_of_trusted_ones_are_accepted(
    origin: str, trusted: list[str], settings: Any
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = trusted
    async with Browser() as browser:
        ticket = (await browser.get("/counter/")).ticket
        socket = await browser.connect(origin=origin)
        await socket.send(["join", ticket, 0, "/"])
        assert await socket.receive() == ["joined", 0]


@pytest.mark.parametrize(
    ("origin", "trusted"),
    [
        ("http://evil.com", []),
        ("https://testserver", []),
        ("http://testserver:81", []),
        ("null", []),
        ("http://a.example.com", ["https://*.example.com"]),
        ("https://example.com.evil.com", ["https://*.example.com"]),
        ("https://[", ["https://*.example.com"]),
    ],
)
async def test_sockets_of_other_sites_are_refused(origin: str, trusted: list[str], settings: Any) -> None:
    settings.CSRF_TRUSTED_ORIGINS = trusted
    async with Browser() as browser:
        with pytest.raises(Closed):
            await browser.connect(origin=origin)


async def test_a_socket_to_a_host_that_is_not_allowed_is_refused(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    async with Browser(host="evil.com") as browser:
        with pytest.raises(Closed):
            await browser.connect()


async def test_without_an_origin_only_programs_without_cookies_are_let_in() -> None:
    async with Browser() as browser:
        await browser.connect(origin="")
        browser.cookies["sessionid"] = "x"
        with pytest.raises(Closed):
            await browser.connect(origin="")


async def test_other_paths_are_refused() -> None:
    async with Browser() as browser:
        with pytest.raises(Closed):
            await browser.connect("/elsewhere/")


async def test_the_socket_path_can_be_chosen(settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"socket_path": "/live"}
    async with Browser() as browser:
        response = await browser.get("/counter/")
        assert ' data-socket="/live" ' in response.text
        socket = await browser.connect("/live")
        await socket.send(["join", response.ticket, 0, "/"])
        assert await socket.receive() == ["joined", 0]


# The end


async def test_the_server_closes_all_sockets_when_it_ends() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        browser.sockets.clear()
    assert await page.closing() == 1012


# Connections that are replaced, dead, or do not read


async def test_a_dead_socket_does_not_harm_the_one_that_takes_its_page_over() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        page.breaks = True
        again, joined = await browser.join(page.response.ticket)
        assert joined == ["joined", 0]
        assert (await again.event("add"))[:2] == [1, 1]


async def test_a_dead_socket_does_not_keep_the_server_from_ending() -> None:
    async with Browser() as browser:
        dead, page = await browser.open("/counter/"), await browser.open("/counter/")
        dead.breaks = True
        browser.sockets.clear()
    assert await page.closing() == 1012


async def test_a_browser_that_does_not_read_loses_its_page_to_its_next_socket() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        page.stalls = True
        await page.post("add")
        await page.stalled.wait()
        again, frame = await browser.join(page.response.ticket)
        assert frame[:3] == ["all", 2, [1]]
        assert (await again.event("add"))[0] == "error", "reference 1 was answered"
        page.reads.set()


async def test_a_browser_that_leaves_while_a_send_waits_frees_its_page() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        page.stalls = True
        await page.post("add")
        await page.stalled.wait()
        await page.close()
        _, frame = await browser.join(page.response.ticket)
        assert frame[:3] == ["all", 2, [1]]


async def test_a_browser_that_does_not_read_for_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("djust.live.transports.websocket.SEND_SECONDS", 0.01)
    async with Browser() as browser:
        page = await browser.open("/counter/")
        page.stalls = True
        await page.post("add")
        await page.ended()
        _, frame = await browser.join(page.response.ticket)
        assert frame[:3] == ["all", 2, [1]]


async def test_a_send_that_waits_and_then_succeeds_is_an_ordinary_one() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        page.pauses = True
        assert (await page.event("add"))[:2] == [1, 1]
        assert (await page.event("add"))[:2] == [2, 2]


async def test_a_failed_send_ends_the_socket() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        page.breaks = True
        await page.post("add")
        await page.ended()


async def test_an_attached_page_is_given_to_the_same_document_whatever_it_has_seen() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.event("add")
        again, frame = await browser.join(page.response.ticket, 0)
        assert frame == ["all", 2, [1], [[0, [0, [["t"]]]]], 1]
        assert await page.closing() == 1000
        again.ref = 1
        assert (await again.event("add"))[:3] == [2, 3, [0, 2]]


@pytest.mark.django_db(transaction=True)
async def test_another_document_that_resumes_a_page_counts_its_own_events(django_user_model: Any) -> None:
    ann = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = await browser.open("/counter/")
        await page.event("add")
        await page.close()
        other, frame = await browser.join(page.response.ticket, 0, "other")
        assert frame == ["all", 2, [1], [[0, [0, [["t"]]]]]]
        assert (await other.event("add"))[:3] == [1, 3, [0, 2]]


async def test_a_ping_is_answered_while_a_page_is_mounted() -> None:
    async with Browser() as browser:
        socket = await browser.connect()
        await socket.send(["join", make_join_token(JoinToken("gone", "/slow/", "")), 0, "/", "one"])
        await socket.send(["ping"])
        assert await socket.receive() == ["pong"]
        await socket.post("add")
        gate.set()
        assert (await socket.receive())[0] == "all"
        assert (await socket.receive())[:2] == [1, 2]


# Refusals are logged


async def test_every_refusal_is_logged_once(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.LIVEVIEW_CONFIG = {"events_per_second": 5, "max_frame": 1000}
    async with Browser() as browser:
        with pytest.raises(Closed):
            await browser.connect(origin="http://evil.com")
        forged, _ = await browser.join("forged")
        await forged.closing()
        for frame in ("x" * 1001, "nonsense"):
            page = await browser.open("/counter/")
            await page.send(frame)
            await page.closing()
        page = await browser.open("/counter/")
        for _ in range(20):
            await page.send(["ping"])
        await page.closing()
        settings.LIVEVIEW_CONFIG = {"join_seconds": 0.01}
        await (await browser.connect()).closing()
    messages = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert [message.split(": ")[0] for message in messages] == [
        "A socket was closed with code 4403 at '/djust/socket/'",
        "A socket was closed with code 4403 at '/djust/socket/'",
        "A socket was closed with code 1009 at '/counter/'",
        "A socket was closed with code 4400 at '/counter/'",
        "A socket was closed with code 4429 at '/counter/'",
        "A socket was closed with code 4408 at '/djust/socket/'",
    ]


# Sessions that end


async def test_a_stale_session_cookie_does_not_cost_the_visitor_the_page() -> None:
    async with Browser() as browser:
        browser.cookies["sessionid"] = "endedlongago0000000000000000000"
        response = await browser.get("/reading/")
        _, joined = await browser.join(response.ticket)
        assert joined == ["joined", 0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("engine", ["cache", "db"])
async def test_logging_out_closes_the_sockets_of_the_session(
    django_user_model: Any, settings: Any, engine: str
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    ann = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        other = browser.another()
        for one in (browser, other):
            await one.log_in(ann)
        elsewhere = await other.open("/counter/")
        page, detached = await browser.open("/counter/"), await browser.open("/counter/")
        await detached.close()
        await browser.get("/counter/")
        assert len(registry) == 4
        assert (await browser.get("/logout/")).status == 200
        assert await page.closing() == 4403
        assert len(registry) == 1
        assert (await elsewhere.event("add"))[:2] == [1, 1]
        await elsewhere.close()


@pytest.mark.django_db(transaction=True)
async def test_a_handler_that_logs_out_is_still_answered(django_user_model: Any) -> None:
    ann = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(ann)
        page, other = await browser.open("/private/"), await browser.open("/counter/")
        assert (await page.event("log_out"))[0] == 1
        assert await other.closing() == 4403
