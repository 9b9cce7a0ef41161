"""The same scenarios over every driver of a page: a socket, POSTs with their answers or a stream,
the test client.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.test import Client, override_settings
from django.urls import path

from djust import LiveView, apublish, background, event_handler, state
from djust.live.channel import close_all
from djust.live.registry import registry
from djust.live.token import JoinToken, make_join_token
from djust.live.transports.post import _connections
from djust.loop import page_loop
from tests.asgi_client import Browser, Closed, Response
from tests.transports import BY_NAME, PostWire, SocketWire, StreamWire, Wire

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

gate = threading.Event()
away = threading.Event()
mounting = threading.Event()
unmounted = threading.Event()


class Counter(LiveView):
    template = (
        "<body><p>{{ count }}</p><form method='post' dj-submit='add'>{% csrf_token %}<input name='by'></form></body>"
    )
    count = state(0)

    def mount(self, request: HttpRequest, start: int = 0) -> None:
        assert request.method == "GET"
        self.count = start
        self.subscribe("counters")

    @event_handler
    def add(self, by: int = 1) -> int:
        self.count += by
        return self.count

    @event_handler
    def fail(self) -> None:
        self.count = 99
        raise ValueError("no such bucket")

    @event_handler
    def wait(self) -> None:
        assert gate.wait(10)
        self.count += 1

    @event_handler
    def push(self) -> None:
        self.push_event("saved", {"n": self.count})

    @event_handler
    @background
    def work(self) -> int:
        self.assign_later(count=6)
        assert gate.wait(10)
        return 7

    def handle_async(self, name: str, result: int) -> None:
        self.count = result

    def handle_info(self, message: int) -> None:
        self.count = message


class AsyncCounter(Counter):
    async def mount(self, request: HttpRequest, start: int = 0) -> None:
        self.count = start + await User.objects.acount()
        await self.asubscribe("counters")

    @event_handler
    async def add(self, by: int = 1) -> int:
        await asyncio.sleep(0)
        self.count += by
        return self.count


class TwoForms(Counter):
    template = (
        "<body><p>{{ count }}</p><form method='post' dj-submit='add'></form>"
        "<form dj-submit='fail' method='post'></form><button dj-click='wait'></button></body>"
    )


class Moved(Counter):
    def mount(self, request: HttpRequest, start: int = 0) -> HttpResponse | None:  # type: ignore[override]
        return HttpResponseRedirect("/elsewhere/") if away.is_set() else None


class Losing(Counter):
    def mount(self, request: HttpRequest, start: int = 0) -> None:
        type(request.session)(request.session.session_key).delete()


def members_only(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        refused = "session" in vars(request) and not request.session.get("member")
        return HttpResponse(status=403) if refused else get_response(request)

    return middleware


urlpatterns = [
    path("moved/", Moved.as_view()),
    path("losing/", Losing.as_view()),
    path("counter/<int:start>/", Counter.as_view()),
    path("async/<int:start>/", AsyncCounter.as_view()),
    path("two/", TwoForms.as_view()),
    path("private/", login_required(Counter.as_view())),
]


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    yield
    gate.clear()
    mounting.clear()
    unmounted.clear()
    away.clear()
    _connections.clear()


@pytest.mark.parametrize("url", ["/counter/5/", "/async/5/"])
async def test_a_page_is_joined_and_its_events_are_answered(driver: type[Wire], url: str) -> None:
    async with Browser() as browser:
        page = driver(browser, url)
        assert (await page.open())[:2] == ["joined", 0]
        assert (await page.event("add"))[:3] == [1, 1, [0, 6]]
        assert (await page.event("add", {"by": 4}))[:3] == [2, 2, [0, 10]]


async def test_errors_come_with_their_reference(driver: type[Wire]) -> None:
    async with Browser() as browser:
        page = driver(browser, "/counter/5/")
        await page.open()
        assert (await page.event("nothing"))[:2] == ["error", 1]
        assert (await page.event("add", {"by": "x"}))[:2] == ["error", 2]
        failed = await page.event("fail")
        assert (failed[:3], "error" in failed[4]) == ([3, 1, [0, 99]], True)


async def test_events_are_pushed(driver: type[Wire]) -> None:
    async with Browser() as browser:
        page = driver(browser, "/counter/5/")
        await page.open()
        assert (await page.event("push"))[4]["push"] == [["saved", {"n": 5}]]


async def test_what_is_published_arrives(driver: type[Wire]) -> None:
    async with Browser() as browser:
        page = driver(browser, "/counter/5/")
        await page.open()
        await apublish("counters", 77)
        assert (await page.receive())[:3] == [0, 1, [0, 77]]


async def test_a_background_task_shows_its_progress_and_its_result(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = wire(browser, "/counter/5/")
        await page.open()
        assert (await page.event("work"))[:2] == [1, 0]
        assert (await page.receive())[:3] == [0, 1, [0, 6]]
        gate.set()
        assert (await page.receive())[:3] == [0, 2, [0, 7]]


async def test_a_page_is_resumed_and_nothing_is_executed_twice(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = wire(browser, "/counter/5/")
        await page.open()
        await page.event("add")
        assert await page.join(page.response.ticket, 1) == ["joined", 1, 1]
        await page.send([1, "add", {}])
        assert (await page.receive())[:2] == ["error", 1]


async def test_a_page_that_is_gone_is_remounted(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = wire(browser, "/async/5/")
        await page.open()
        await page.event("add")
        registry._attached.clear()  # as a crash does
        frame = await page.join(page.response.ticket, 1)
        assert (frame[0], frame[2][0]) == ("all", 5)
        assert "ticket" in frame[-1]
        page.ref = 0
        assert (await page.event("add"))[2] == [0, 6]


async def test_a_resync_gives_all_values(driver: type[Wire]) -> None:
    async with Browser() as browser:
        page = driver(browser, "/counter/5/")
        await page.open()
        await page.send(["resync", "for a test"])
        assert (await page.receive())[0] == "all"


async def test_a_ping_is_answered_while_a_handler_runs(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = wire(browser, "/counter/5/")
        await page.open()
        waiting = asyncio.create_task(page.send([1, "wait", {}]))
        if isinstance(page, SocketWire):
            await page.send(["ping"])
            assert await page.receive() == ["pong"]
        gate.set()
        await waiting
        assert (await page.receive())[:3] == [1, 1, [0, 6]]


@pytest.mark.parametrize(
    ("frame", "code"), [(["nonsense"], 4400), ([1, 2, 3], 4400), ([-1, "add", {}], 4400), (["x" * 70_000], 1009)]
)
async def test_what_is_not_a_valid_frame_ends_the_connection(wire: type[Wire], frame: list[Any], code: int) -> None:
    async with Browser() as browser:
        page = wire(browser, "/counter/5/")
        await page.open()
        await page.send(frame)
        assert await page.closing() == code


async def test_what_was_sent_before_an_invalid_frame_is_executed_and_nothing_behind_it(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = wire(browser, "/counter/5/")
        await page.open()
        await page.send([1, "add", {}], "nonsense", [2, "add", {}])
        assert await page.closing() == 4400
        frame = await page.join(page.response.ticket)
        assert (frame[:2], frame[2][0], frame[4]) == (["all", 2], 6, 1)


async def test_somebody_else_does_not_get_the_page(wire: type[Wire]) -> None:
    user = await User.objects.acreate(username="u")
    async with Browser() as browser:
        await browser.log_in(user)
        page = wire(browser, "/counter/5/")
        await page.open()
        thief = wire(browser.another(), "/counter/5/")
        refused = await thief.join(page.response.ticket)
        assert refused == ["error", 0, "This page was opened in another session or by another user."]
        assert await thief.closing() == 4403


async def test_logging_out_ends_the_connection(wire: type[Wire]) -> None:
    user = await User.objects.acreate(username="u")
    async with Browser() as browser:
        await browser.log_in(user)
        page = wire(browser, "/private/")
        await page.open()
        (held,) = registry.pages()
        for peer in registry.drop(held.visitor.session, HttpRequest()):
            page_loop.call(peer.close, 4403, "You have logged out.")
        await asyncio.sleep(0)
        assert await page.closing() == 4403


# Pages that are gone


class Answering(Counter):
    """Mounts a page, or answers with what a test wants."""

    answer: Any = None

    def mount(self, request: HttpRequest) -> Any:  # type: ignore[override]
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


urlpatterns += [path("answering/", Answering.as_view())]


@pytest.mark.parametrize(
    ("answer", "frame", "code"),
    [
        (HttpResponseRedirect("/elsewhere/"), ["go", "/elsewhere/"], 1000),
        (HttpResponse("not live"), ["go", "/answering/"], 1000),
        (PermissionDenied(), ["error", 0, "The page cannot be opened any more: Forbidden."], 4403),
        (Http404(), ["error", 0, "The page cannot be opened any more: Not Found."], 4403),
        (HttpResponse(status=410), ["error", 0, "The page cannot be opened any more: Gone."], 4403),
        (ConnectionError("S3"), ["error", 0, "The page cannot be opened any more: Internal Server Error."], 1011),
    ],
    ids=lambda answer: getattr(answer, "reason_phrase", type(answer).__name__),
)
async def test_a_page_that_cannot_be_mounted_again_ends_the_connection_with_the_reason(
    wire: type[Wire], monkeypatch: pytest.MonkeyPatch, answer: Any, frame: list[Any], code: int
) -> None:
    monkeypatch.setattr(Answering, "answer", answer)
    async with Browser() as browser:
        page = wire(browser, "/answering/")
        assert await page.join(make_join_token(JoinToken("gone", "/answering/", ""))) == frame
        assert await page.closing() == code
        assert registry.pages() == []


async def test_an_expired_join_token_leads_to_its_page(wire: type[Wire], settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"ticket_seconds": 0}
    async with Browser() as browser:
        page = wire(browser, "/counter/5/?q=1")
        assert await page.open() == ["go", "/counter/5/?q=1"]
        assert await page.closing() == 1000


async def test_a_mount_that_breaks_anything_else_is_logged_and_tried_again(
    wire: type[Wire], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("djust.live.channel.known_version", lambda *_: {}["defect"])
    async with Browser() as browser:
        page = wire(browser, "/counter/5/")
        frame = await page.join(make_join_token(JoinToken("gone", "/counter/5/", "")))
        assert frame == ["error", 0, "The page could not be opened. Something went wrong."]
        assert await page.closing() == 1011
        assert registry.pages() == []
    assert "A page could not be joined" in caplog.text


# Ends


async def test_a_server_that_ends_ends_all_connections(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = wire(browser, "/counter/5/")
        await page.open()
        browser.sockets.clear()
        shutting = asyncio.create_task(browser.__aexit__(None, None, None))
        await asyncio.wait([shutting])
        assert await page.closing() == 1012
        browser._lifespan = asyncio.create_task(asyncio.sleep(0))


class SlowMount(Counter):
    def mount(self, request: HttpRequest) -> None:  # type: ignore[override]
        mounting.set()
        assert gate.wait(10)

    def unmount(self) -> None:
        unmounted.set()


urlpatterns += [path("slow/", SlowMount.as_view())]


async def test_a_server_that_ends_while_a_page_is_mounted_says_so_and_unmounts_it(
    wire: type[Wire], caplog: pytest.LogCaptureFixture
) -> None:
    async with Browser() as browser:
        registry.clear()
        page = wire(browser, "/slow/")
        joining = asyncio.create_task(page.join(make_join_token(JoinToken("gone", "/slow/", ""))))
        assert await asyncio.to_thread(mounting.wait, 10)
        close_all()
        gate.set()
        with pytest.raises(Closed) as closed:
            await joining
        assert closed.value.code == 1012
        assert await asyncio.to_thread(unmounted.wait, 10)
        assert registry.pages() == []
    assert caplog.messages == []


@pytest.mark.parametrize("other", ["socket", "posts", "stream"])
async def test_a_document_changes_its_transport_in_the_middle_of_a_turn(wire: type[Wire], other: str) -> None:
    async with Browser() as browser:
        page, next_one = wire(browser, "/counter/5/"), BY_NAME[other](browser, "/counter/5/")
        await page.open()
        waiting = asyncio.create_task(page.post("wait"))
        while not registry.attached_pages()[0].is_busy:  # noqa: ASYNC110 — a page tells nobody
            await asyncio.sleep(0.005)
        joining = asyncio.create_task(next_one.join(page.response.ticket))
        await asyncio.sleep(0.05)
        gate.set()
        frame = await joining
        assert (frame[0], frame[2][0], frame[4]) == ("all", 6, 1)
        await waiting
        # The event was executed, and is not once more.
        assert (await next_one.event("add"))[0] == "error"
        assert (await next_one.event("add"))[2] == [0, 7]


async def test_the_older_connection_of_a_document_ends_when_the_next_one_joins(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = wire(browser, "/counter/5/")
        await page.open()
        await page.event("add")
        again = wire(browser, page.url)
        assert await again.join(page.response.ticket, 1) == ["joined", 1, 1]
        assert await page.closing() == 1000
        again.ref = 1
        assert (await again.event("add"))[:3] == [2, 2, [0, 7]]


async def test_every_refusal_is_logged_once(wire: type[Wire], caplog: pytest.LogCaptureFixture) -> None:
    title = "A socket" if wire is SocketWire else "A connection by POSTs"
    with override_settings(LIVEVIEW_CONFIG={"events_per_second": 5, "max_frame": 1000}):
        async with Browser() as browser:
            forged = wire(browser, "/counter/5/")
            await forged.join("forged")
            await forged.closing()
            for frames in (["x" * 1001], ["nonsense"], [["ping"]] * 20):
                page = wire(browser, "/counter/5/")
                await page.open()
                await page.send(*frames)
                await page.closing()
    messages = [record.message for record in caplog.records if record.levelname == "WARNING"]
    unknown = "/djust/socket/" if wire is SocketWire else "/counter/5/"
    assert [message.split(": ")[0] for message in messages] == [
        f"{title} was closed with code 4403 at {unknown!r}",
        f"{title} was closed with code 1009 at '/counter/5/'",
        f"{title} was closed with code 4400 at '/counter/5/'",
        f"{title} was closed with code 4429 at '/counter/5/'",
    ]


# What only posts have


async def test_a_stream_of_an_asynchronous_view_finds_the_session_of_its_visitor() -> None:
    user = await User.objects.acreate(username="u")
    async with Browser() as browser:
        await browser.log_in(user)
        page = PostWire(browser, "/async/5/")
        await page.open()
        heard = await first_event(browser, f"/async/5/?djust-stream={page.id}")
        assert heard.endswith(b"data: \n\n")


async def first_event(browser: Browser, url: str) -> bytes:
    """What a stream begins with; then the browser goes away."""
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    outgoing: asyncio.Queue[Any] = asyncio.Queue()
    await incoming.put({"type": "http.request", "body": b""})
    scope = {"type": "http", "method": "GET", "scheme": "http", **browser._scope(url, {})}
    streaming = asyncio.create_task(browser.application(scope, incoming.get, outgoing.put))
    async with asyncio.timeout(10):
        assert (await outgoing.get())["status"] == 200
        body: bytes = (await outgoing.get())["body"]
        await incoming.put({"type": "http.disconnect"})
        await streaming
    return body


async def test_a_failed_mount_writes_nothing_where_requests_are_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    def mount(view: Answering, request: HttpRequest) -> None:
        User.objects.create(username="half")
        raise ConnectionError("S3")

    monkeypatch.setattr(Answering, "mount", mount)
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    browser = Client()
    ticket = make_join_token(JoinToken("gone", "/answering/", ""))
    browser.raise_request_exception = False
    answer = await asyncio.to_thread(post, browser, "/answering/", ["join", ticket, 0, "/", "d"])
    assert (answer.headers["x-djust-close"], await User.objects.acount()) == ("1011", 0)


async def test_a_post_needs_the_token_of_djangos_csrf_check() -> None:
    browser = Browser()
    response = await browser.get("/counter/1/")
    body = json.dumps(["join", response.ticket, 0, "/", "one"]).encode()
    refused = await browser.get("/counter/1/", "POST", body=body, **{"x-djust": "", "content-type": "text/plain"})
    assert (refused.status, "x-djust" in refused.headers) == (403, False)


async def test_an_unknown_connection_has_to_join_again() -> None:
    async with Browser() as browser:
        page = PostWire(browser, "/counter/1/")
        await page.open()
        page.id = "unknown"
        await page.send([1, "add", {}])
        assert page.code == 1012


async def test_a_join_token_of_another_page_is_refused() -> None:
    async with Browser() as browser:
        page = PostWire(browser, "/counter/1/")
        other = await browser.get("/counter/2/")
        assert await page.join(other.ticket) == ["error", 0, "The join token belongs to another page."]
        assert page.code == 4403


async def test_a_connection_of_another_visitor_is_of_no_use() -> None:
    user = await User.objects.acreate(username="u")
    async with Browser() as browser:
        await browser.log_in(user)
        page = PostWire(browser, "/counter/1/")
        await page.open()
        thief = PostWire(browser.another(), "/counter/1/")
        thief.frames, thief.id = [], page.id
        thief.token = (await thief.browser.get(thief.url, **{"x-djust": ""})).text
        await thief.send([1, "add", {}])
        assert (thief.code, thief.frames[0][0]) == (4403, "error")


async def test_a_second_stream_takes_the_place_of_the_first() -> None:
    async with Browser() as browser:
        page = StreamWire(browser, "/counter/5/")
        await page.open()
        first = page.events
        second = _connections[page.id].stream()
        assert "here" in await anext(second)
        waiting = asyncio.create_task(anext(second))
        await asyncio.sleep(0)
        await page.send([1, "add", {}])
        async with asyncio.timeout(10):
            assert json.loads((await waiting).removeprefix("data: "))[:2] == [1, 1]
        with pytest.raises(StopAsyncIteration):
            await anext(first)


async def test_a_heartbeat_overtakes_nothing_in_a_stream() -> None:
    async with Browser() as browser:
        page = StreamWire(browser, "/counter/5/")
        await page.open()
        waiting = asyncio.create_task(page.send([1, "wait", {}]))
        while not registry.attached_pages()[0].is_busy:  # noqa: ASYNC110 — nobody tells
            await asyncio.sleep(0.005)
        await page.send(["ping"])
        assert (page.frames, await page.receive()) == ([], ["pong"])
        gate.set()
        await waiting
        assert (await page.receive())[:2] == [1, 1]


async def test_many_frames_go_in_one_post() -> None:
    async with Browser() as browser:
        page = PostWire(browser, "/counter/1/")
        await page.open()
        await page.send([1, "add", {}], ["ping"], [2, "add", {}])
        assert [frame[0] for frame in page.frames] == ["pong", 1, 2]


def post(browser: Client, url: str, frame: list[Any], connection: str = "") -> Any:
    return browser.post(url, json.dumps(frame), "text/plain", headers={"x-djust": connection})


def test_under_wsgi_pages_live_as_well() -> None:
    browser = Client()
    page = browser.get("/counter/3/")
    content = page.content.decode()
    assert "djust.post.js" in content
    ticket = Response(200, {}, page.content).ticket
    first = post(browser, "/counter/3/", ["join", ticket, 0, "/", "d"])
    assert first.content == b'["joined",0]'
    assert "x-djust-stream" not in first.headers
    second = post(browser, "/counter/3/", [1, "add", {"by": 2}], first.headers["x-djust"])
    assert json.loads(second.content)[:3] == [1, 1, [0, 5]]


@override_settings(LIVEVIEW_CONFIG={"use_websocket": False})
async def test_without_sockets_the_script_comes_with_the_token() -> None:
    async with Browser() as browser:
        text = (await browser.get("/counter/3/")).text
        assert text.index("djust.post.js") < text.index("djust/djust.js")
        assert 'data-csrf="' in text


# Without JavaScript


@pytest.mark.parametrize("url", ["/counter/3/", "/async/3/"])
def test_a_form_without_javascript_gets_the_page_after_its_handler(url: str) -> None:
    browser = Client()
    answer = browser.post(url, {"by": "4"})
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "<p dj>7</p>" in text
    joined = post(browser, url, ["join", Response(200, {}, answer.content).ticket, 0, "/", "d"])
    assert joined.content == b'["joined",0]'


def test_a_form_whose_visitor_loses_the_session_meanwhile_leads_to_a_get(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.members_only"]
    browser = Client()
    session = browser.session
    session["member"] = True
    session.save()
    answer = browser.post("/losing/", {"by": "4"})
    assert (answer.status_code, answer["Location"]) == (302, "/losing/")
    assert browser.get(answer["Location"]).status_code == 403


def test_a_value_that_does_not_fit_is_said() -> None:
    answer = Client().post("/counter/3/", {"by": "many"})
    text = answer.content.decode()
    assert answer.status_code == 400
    assert '<p class="djust-notice" role="alert">Counter.add: parameter &quot;by&quot; must be int.</p>' in text
    assert "<p dj>3</p>" in text


def test_a_page_of_several_forms_has_to_say_which() -> None:
    browser = Client()
    refused = browser.post("/two/", {})
    assert (refused.status_code, "it does not say for which handler" in refused.content.decode()) == (400, True)
    assert "<p dj>1</p>" in browser.post("/two/", {"dj-submit": "add"}).content.decode()
    failed = browser.post("/two/", {"dj-submit": "fail"})
    assert (failed.status_code, "<p dj>99</p>" in failed.content.decode()) == (500, True)
    for name in ("wait", "mount", "__init__"):
        assert browser.post("/two/", {"dj-submit": name}).status_code == 400


def forgetful_middleware(get_response: Any) -> Any:
    """The session ends between the request and its handler."""

    def middleware(request: HttpRequest) -> Any:
        if hasattr(request, "live_purpose"):
            cache.clear()
        return get_response(request) if request.user.is_authenticated else HttpResponseRedirect("/login/")

    return middleware


def test_a_form_whose_session_ends_before_its_handler_is_called_leads_back_to_the_page(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.forgetful_middleware"]
    registry.clear()
    browser = Client()
    browser.force_login(User.objects.create(username="u"))
    answer = browser.post("/counter/3/?q=1", {"by": "4"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/counter/3/?q=1")
    assert registry.pages() == []


async def test_what_looks_like_the_end_of_a_line_to_python_is_text_in_a_frame() -> None:
    async with Browser() as browser:
        page = PostWire(browser, "/counter/1/")
        await page.open()
        headers = {"x-djust": page.id, "x-csrftoken": page.token, "content-type": "text/plain"}
        body = '[1,"add",{"by":"\u2028\u0085"}]\n[2,"add",{}]'.encode()
        response = await browser.get(page.url, "POST", body=body, **headers)
        assert "x-djust-close" not in response.headers
        frames = [json.loads(line) for line in response.text.split("\n")]
        assert [frame[:2] for frame in frames] == [["error", 1], [2, 1]]


async def test_joins_without_end_do_not_take_away_the_connections_of_others() -> None:
    with override_settings(LIVEVIEW_CONFIG={"max_pages": 5}):
        async with Browser() as browser:
            page = PostWire(browser, "/counter/1/")
            await page.open()
            other = browser.another()
            response = await other.get("/counter/2/")
            for _ in range(12):
                await PostWire(other, "/counter/2/").join(response.ticket)
            assert (await page.event("add"))[2] == [0, 2]


async def test_refused_joins_do_not_take_away_the_connections_of_others() -> None:
    with override_settings(LIVEVIEW_CONFIG={"max_pages": 5}):
        async with Browser() as browser:
            page = PostWire(browser, "/counter/1/")
            await page.open()
            other = browser.another()
            response = await other.get("/counter/2/")
            for _ in range(12):
                refused = PostWire(other, "/counter/1/")
                await refused.join(response.ticket)
                assert refused.code == 4403
            moved = await other.get("/moved/")
            registry.clear()
            away.set()
            for _ in range(9):
                refused = PostWire(other, "/moved/")
                assert await refused.join(moved.ticket) == ["go", "/elsewhere/"]
            away.clear()
            assert sum(not known.code for known in _connections.values()) == 1
