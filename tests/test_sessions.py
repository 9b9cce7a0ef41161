"""Sessions that come and go under open pages: a page belongs to a person, who keeps it, and to
nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import alogin, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import path

from djust import LiveView, event_handler, state
from djust.live.registry import registry
from djust.live.transports.post import _connections
from djust.live.visitor import _failing, take_over
from djust.state.snapshots import load
from tests.asgi_client import Browser, Closed
from tests.transports import PostWire, SocketWire, StreamWire, Wire

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

LOST = ["error", 0, "Your session has ended. Log in again in another tab, and this page goes on."]
REFUSED = ["error", 0, "This page was opened in another session or by another user."]

away = False


class Fragile(LocMemCache):
    """A cache service that can be away."""

    def get(self, *args: Any, **kwargs: Any) -> Any:
        _answer()
        return super().get(*args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        _answer()
        return super().set(*args, **kwargs)

    def has_key(self, *args: Any, **kwargs: Any) -> Any:
        _answer()
        return super().has_key(*args, **kwargs)


def _answer() -> None:
    if away:
        raise ConnectionError("the cache is away")


class Draft(LiveView):
    template = "<body><p>{{ text }}</p></body>"
    text = state("")

    def mount(self, request: HttpRequest) -> None:
        if "begin" in request.GET:
            request.session["basket"] = ["pear"]

    @event_handler
    def write(self, text: str = "") -> None:
        self.text = text

    @event_handler
    def who(self) -> str:
        return str(self.request.user)

    @event_handler
    async def who_async(self) -> str:
        return str(await self.request.auser())

    @event_handler
    def remember(self, text: str = "") -> str:
        self.request.session["text"] = text
        return str(self.request.session.session_key)

    @event_handler
    def leave(self) -> None:
        logout(self.request)
        self.text = "left"


class AsyncDraft(Draft):
    async def mount(self, request: HttpRequest) -> None: ...  # type: ignore[override]


def change_password(request: HttpRequest) -> HttpResponse:
    request.user.set_password("new")
    request.user.save()
    update_session_auth_hash(request, request.user)
    return HttpResponse()


def cycle(request: HttpRequest) -> HttpResponse:
    request.session.cycle_key()
    return HttpResponse()


def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse()


async def log_in(request: HttpRequest, pk: int) -> HttpResponse:
    await alogin(request, await User.objects.aget(pk=pk), backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse()


urlpatterns = [
    path("draft/", Draft.as_view()),
    path("async/", AsyncDraft.as_view()),
    path("private/", login_required(Draft.as_view())),
    path("password/", change_password),
    path("cycle/", cycle),
    path("in/<int:pk>/", log_in),
    path("out/", log_out),
]


@pytest.fixture(autouse=True)
def _fresh(settings: Any, tmp_path: Any) -> Iterator[None]:
    """Sessions in a service of their own, as with Redis; snapshots in files, as any process could
    read them.
    """
    global away
    registry.clear()
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(tmp_path)},
        "sessions": {"BACKEND": f"{__name__}.Fragile", "LOCATION": "sessions"},
    }
    settings.SESSION_CACHE_ALIAS = "sessions"
    settings.LIVEVIEW_CONFIG = {"session_check_seconds": 0.2}
    yield
    away = False
    _failing.clear()
    caches["sessions"].clear()
    _connections.clear()


async def user_named(name: str) -> User:
    return await User.objects.acreate(username=name)


async def written(wire: type[Wire], browser: Browser, text: str = "typed", url: str = "/draft/") -> Wire:
    """A page into which something was typed."""
    page = wire(browser, url)
    assert (await page.open())[:2] == ["joined", 0]
    assert (await page.event("write", {"text": text}))[:3] == [1, 1, [0, text]]
    return page


def another(page: Wire, browser: Browser | None = None, document: str = "two") -> Wire:
    """Another document, of the same browser or of another one, that knows the token of a page."""
    other = type(page)(browser or page.browser, page.url)
    other.document = document
    return other


async def ends_with(page: Wire) -> int:
    """The code with which the server ends the connection."""
    if isinstance(page, SocketWire):
        return await page.closing()
    assert isinstance(page, PostWire)
    return page.code


async def rejoin(page: Wire, version: int = 1) -> list[Any]:
    return await page.join(page.response.ticket, version)


async def reply(page: Wire, name: str, params: dict[str, Any] | None = None) -> Any:
    return (await page.event(name, params))[4]["reply"]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 — nobody tells
            await asyncio.sleep(0.01)


def store(key: str | None = None) -> SessionBase:
    session: SessionBase = import_module(django_settings.SESSION_ENGINE).SessionStore(key)
    return session


async def is_stored(browser: Browser) -> bool:
    return await asyncio.to_thread(store().exists, browser.cookies["sessionid"])


# A session store that loses what it has


async def test_who_logs_in_again_after_the_store_was_emptied_goes_on(wire: type[Wire]) -> None:
    ann = await user_named("ann")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = await written(wire, browser)
        caches["sessions"].clear()
        if isinstance(page, PostWire):
            assert await page.event("who") == LOST
        assert await ends_with(page) == 4401
        assert await rejoin(page) == LOST
        assert await ends_with(page) == 4401
        assert "sessionid" in browser.cookies
        # The login page of the other tab has taken away the cookie.
        key = browser.cookies.pop("sessionid")
        assert await rejoin(page) == REFUSED
        await browser.log_in(ann)
        assert browser.cookies["sessionid"] != key
        assert await rejoin(page) == ["joined", 1, 1]
        page.ref = 1
        assert await reply(page, "who") == "ann"
        assert await reply(page, "remember", {"text": "x"}) == browser.cookies["sessionid"]
        assert await asyncio.to_thread(store(browser.cookies["sessionid"]).get, "text") == "x"


async def test_somebody_else_who_logs_in_after_the_store_was_emptied_is_refused(wire: type[Wire]) -> None:
    ann, bob = await user_named("ann"), await user_named("bob")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = await written(wire, browser)
        caches["sessions"].clear()
        await browser.log_in(bob)
        assert await rejoin(page) == REFUSED
        assert await ends_with(page) == 4403
        await browser.log_in(ann)
        assert await rejoin(page) == ["joined", 1, 1]


async def test_the_snapshot_outlives_the_session_and_the_process(wire: type[Wire]) -> None:
    ann, bob = await user_named("ann"), await user_named("bob")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = await written(wire, browser)
        (held,) = registry.pages()
        await until(lambda: (found := load(held.id)) is not None and found.last_ref == 1)
        caches["sessions"].clear()
        registry._attached.clear()  # as a crash does
        assert await rejoin(page) == LOST
        await browser.log_in(bob)
        assert await rejoin(page) == REFUSED
        await browser.log_in(ann)
        frame = await rejoin(page)
        assert (frame[0], frame[2], frame[4]) == ("all", ["typed"], 1)
        page.ref = 1
        assert await reply(page, "who") == "ann"


async def test_an_anonymous_visitor_whose_session_is_lost_goes_on(wire: type[Wire]) -> None:
    async with Browser() as browser:
        await browser.get("/draft/?begin=1")
        page = await written(wire, browser)
        caches["sessions"].clear()
        if isinstance(page, SocketWire):
            assert await page.closing() == 4401
        assert await rejoin(page) == ["joined", 1, 1]
        page.ref = 1
        assert (await page.event("write", {"text": "more"}))[:3] == [2, 2, [0, "more"]]


async def test_a_store_that_finds_the_session_again_ends_no_page() -> None:
    ann = await user_named("ann")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = await browser.open("/draft/")
        (held,) = registry.pages()
        data = await asyncio.to_thread(store(browser.cookies["sessionid"]).load)
        with override_settings(LIVEVIEW_CONFIG={"session_check_seconds": 0.7}):
            caches["sessions"].clear()
            await until(lambda: held.visitor.is_unknown)
            key = f"django.contrib.sessions.cache{browser.cookies['sessionid']}"
            caches["sessions"].set(key, data)
            await until(lambda: not held.visitor.is_unknown)
        assert (await page.event("who"))[-1] == {"reply": "ann"}


async def test_sessions_that_are_in_the_database_too_come_back_from_there(settings: Any, wire: type[Wire]) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
    ann = await user_named("ann")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = await written(wire, browser)
        (held,) = registry.pages()
        caches["sessions"].clear()
        before = held.visitor
        if isinstance(page, SocketWire):
            await until(lambda: held.visitor is not before)
        assert await reply(page, "who") == "ann"
        assert await rejoin(page) == ["joined", 1, 2]


# A session store that fails


async def test_a_store_that_fails_is_no_verdict(wire: type[Wire], caplog: pytest.LogCaptureFixture) -> None:
    global away
    ann = await user_named("ann")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = await written(wire, browser)
        away = True
        if isinstance(page, SocketWire):
            await until(lambda: bool(_failing))
            (held,) = registry.pages()
            due = held.session_due
            await until(lambda: held.session_due > due)
            assert not page.socket._task.done()
        other = another(page)
        if isinstance(other, PostWire):
            other.id, other.frames, other.token = "", [], page.token  # type: ignore[attr-defined]
            await other.send(["join", page.response.ticket, 0, "/", "two"])
            assert (other.code, other.frames) == (1011, [])
            await page.send([2, "who", {}, [], 1])
            assert (page.code, page.frames) == (1011, [])  # type: ignore[attr-defined]
            assert "sessionid" in browser.cookies
        else:
            with pytest.raises(Closed, match="1011"):
                await other.join(page.response.ticket)
        away = False
        assert caplog.text.count("Sessions cannot be read (ConnectionError: the cache is away)") == 1
        assert await rejoin(page) == ["joined", 1, 1]
        page.ref = 1
        assert await reply(page, "who") == "ann"


async def test_a_page_finds_its_user_again_when_the_store_has_come_back() -> None:
    global away
    ann = await user_named("ann")
    with override_settings(LIVEVIEW_CONFIG={"session_check_seconds": 60}):
        async with Browser() as browser:
            await browser.log_in(ann)
            page = await browser.open("/draft/")
            away = True
            # Django's cache sessions take a cache that is away for an empty one.
            assert (await page.event("who"))[-1] == {"reply": "AnonymousUser"}
            away = False
            assert (await page.event("who"))[-1] == {"reply": "ann"}
            assert (await page.event("who_async"))[-1] == {"reply": "ann"}


# A session that gets another key


@pytest.mark.parametrize("url", ["/draft/", "/async/", "/private/"])
async def test_the_visitor_stays_logged_in_when_the_secret_key_is_rotated(wire: type[Wire], url: str) -> None:
    ann = await user_named("ann")
    async with Browser() as browser:
        await browser.log_in(ann)
        key = browser.cookies["sessionid"]
        page = await written(wire, browser, url=url)
        with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["only for tests"]):
            assert await reply(page, "who") == "ann"
            assert await reply(page, "who_async") == "ann"
            if isinstance(page, SocketWire):
                # No response tells the browser of another key.
                assert await is_stored(browser)
                assert browser.cookies["sessionid"] == key
            assert await rejoin(page) == ["joined", 1, 3]
            assert await is_stored(browser)
            registry._attached.clear()  # as a crash does
            assert (await rejoin(page))[0] == "all"
            assert await is_stored(browser)
            response = await browser.get("/private/")
            assert (response.status, await is_stored(browser)) == (200, True)
            if isinstance(page, SocketWire):
                # The GET was answered with another key.
                assert browser.cookies["sessionid"] != key
                assert await page.closing() == 4401
            frame = await rejoin(page)
            assert frame[0] in ("all", "joined")
            page.ref = frame[-1] if frame[0] == "joined" and type(frame[-1]) is int else 10
            assert await reply(page, "who") == "ann"
        with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[]):
            assert (await browser.get("/private/")).status == 200


@pytest.mark.parametrize("change", ["/cycle/", "/password/", "again"])
async def test_a_session_with_another_key_keeps_its_page(wire: type[Wire], change: str) -> None:
    ann = await user_named("ann")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = await written(wire, browser)
        key = browser.cookies["sessionid"]
        if change == "again":
            await asyncio.to_thread(store(key).delete)
            await browser.log_in(ann)
        else:
            await browser.get(change)
        assert browser.cookies["sessionid"] != key
        if isinstance(page, SocketWire):
            # Without a word: nobody has to log in.
            with pytest.raises(Closed, match="4401"):
                await page.receive()
            assert await rejoin(page) == ["joined", 1, 1]
            page.ref = 1
        assert await reply(page, "who") == "ann"
        assert await reply(page, "remember", {"text": "new"}) == browser.cookies["sessionid"]
        assert await asyncio.to_thread(store(browser.cookies["sessionid"]).get, "text") == "new"


async def test_a_guarded_page_executes_its_event_when_the_browser_has_come_with_the_new_session() -> None:
    ann = await user_named("ann")
    with override_settings(LIVEVIEW_CONFIG={"session_check_seconds": 60}):
        async with Browser() as browser:
            await browser.log_in(ann)
            page = await written(SocketWire, browser, url="/private/")
            await browser.get("/cycle/")
            await page.send([2, "write", {"text": "more"}])
            with pytest.raises(Closed, match="4401"):
                await page.receive()
            assert await rejoin(page) == ["joined", 1, 1]
            await page.send([2, "write", {"text": "more"}])
            assert (await page.receive())[:3] == [2, 2, [0, "more"]]


async def test_a_password_that_is_changed_in_another_browser_ends_the_page() -> None:
    ann = await user_named("ann")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = await written(SocketWire, browser)
        elsewhere = browser.another()
        await elsewhere.log_in(ann)
        await elsewhere.get("/password/")
        assert await ends_with(page) == 4401
        assert await rejoin(page) == REFUSED
        assert await ends_with(page) == 4403


async def test_cookie_based_sessions_keep_the_page_of_their_user(settings: Any, wire: type[Wire]) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    ann, bob = await user_named("ann"), await user_named("bob")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = await written(wire, browser)
        await browser.get("/password/")
        if isinstance(page, SocketWire):
            assert await page.closing() == 4401
        assert await rejoin(page) == ["joined", 1, 1]
        page.ref = 1
        assert await reply(page, "who") == "ann"
        await browser.log_in(bob)
        assert await rejoin(page) == REFUSED


# Who logs in


@pytest.mark.parametrize("begins", [True, False], ids=["with a session", "without one"])
async def test_who_logs_in_in_another_tab_goes_on_with_the_page(wire: type[Wire], begins: bool) -> None:
    ann, bob = await user_named("ann"), await user_named("bob")
    async with Browser() as browser:
        if begins:
            await browser.get("/draft/?begin=1")
        page = await written(wire, browser)
        assert await reply(page, "who") == "AnonymousUser"
        await browser.get(f"/in/{ann.pk}/")
        if isinstance(page, PostWire):
            # The token of Django's CSRF check is another one as well.
            page.token = (await browser.get(page.url, **{"x-djust": ""})).text
            assert await reply(page, "who") == "ann"
        elif begins:
            assert await ends_with(page) == 4401
        frame = await rejoin(page)
        assert frame[:2] == ["joined", 1]
        page.ref = frame[2]
        assert await reply(page, "who") == "ann"
        # It is hers now.
        thief = another(page, browser.another(), document="one")
        assert await thief.join(page.response.ticket) == REFUSED
        await thief.browser.log_in(bob)
        assert await thief.join(page.response.ticket) == REFUSED
        assert await reply(page, "who") == "ann"


async def test_another_document_does_not_get_the_page_of_who_has_logged_in_meanwhile(wire: type[Wire]) -> None:
    ann = await user_named("ann")
    async with Browser() as browser:
        await browser.get("/draft/?begin=1")
        page = await written(wire, browser)
        await browser.get(f"/in/{ann.pk}/")
        assert await another(page).join(page.response.ticket) == REFUSED
        assert await rejoin(page) == ["joined", 1, 1]


async def test_the_page_of_a_visitor_without_a_session_is_given_only_to_its_tab(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = await written(wire, browser)
        (held,) = registry.pages()
        # The snapshot of the GET shows what everybody with the token has seen, and is anybody's.
        await until(lambda: (found := load(held.id)) is not None and found.last_ref == 1)
        for peer in registry.peers_of([held]):
            peer.close(1012)
        await until(lambda: not registry.attached_pages())
        for other in (another(page), another(page, browser.another()), another(page, document="")):
            frame = await other.join(page.response.ticket)
            assert (frame[0], frame[2]) == ("all", [""])
        assert await rejoin(page) == ["joined", 1, 1]


async def test_the_snapshot_of_a_visitor_without_a_session_is_given_only_to_its_tab(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = await written(wire, browser)
        (held,) = registry.pages()
        await until(lambda: (found := load(held.id)) is not None and found.last_ref == 1)
        registry._attached.clear()  # as a crash does
        assert (await another(page).join(page.response.ticket))[2] == [""]
        assert (await rejoin(page))[2] == ["typed"]


# Somebody else


@pytest.mark.parametrize("state", ["parked", "attached", "detached", "snapshot"])
async def test_the_page_of_a_user_is_given_to_no_other_visitor(wire: type[Wire], state: str) -> None:
    ann, bob = await user_named("ann"), await user_named("bob")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = wire(browser, "/draft/")
        if state == "parked":
            page.response = await browser.get(page.url)
        else:
            page = await written(wire, browser)
        (held,) = registry.pages()
        if state == "detached":
            for peer in registry.peers_of([held]):
                peer.close(1012)
            await until(lambda: not registry.attached_pages())
        if state == "snapshot":
            await until(lambda: (found := load(held.id)) is not None and found.last_ref == 1)
            registry._attached.clear()  # as a crash does
        thief = another(page, browser.another(), document="one")
        for login in (None, bob):
            if login is not None:
                await thief.browser.log_in(login)
            assert await thief.join(page.response.ticket) == REFUSED
            assert await ends_with(thief) == 4403
        for key in ("akeythatnobodyhas", "what is no key", "x" * 1000):
            thief.browser.cookies = {"sessionid": key}
            assert await thief.join(page.response.ticket) == LOST
            assert await ends_with(thief) == 4401
        # In a browser of her own she may.
        await thief.browser.log_in(ann)
        frame = await thief.join(page.response.ticket)
        assert (frame[0], frame[2:3]) == (("joined", []) if state == "parked" else ("all", [["typed"]]))


async def test_a_stream_is_given_to_no_other_visitor() -> None:
    ann, bob = await user_named("ann"), await user_named("bob")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = await written(StreamWire, browser)
        assert isinstance(page, StreamWire)
        url = f"/draft/?djust-stream={page.id}"
        thief = browser.another()
        assert (await thief.get(url)).status == 204
        await thief.log_in(bob)
        assert (await thief.get(url)).status == 204


# Logging out


async def test_logging_out_ends_the_pages_of_this_browser_for_good_and_no_others(wire: type[Wire]) -> None:
    ann = await user_named("ann")
    async with Browser() as browser:
        await browser.log_in(ann)
        page, other = await written(wire, browser), await written(wire, browser)
        elsewhere = browser.another()
        await elsewhere.log_in(ann)
        kept_page = await written(wire, elsewhere)
        ids = [
            held.id for held in registry.pages() if held.request.COOKIES["sessionid"] == browser.cookies["sessionid"]
        ]
        assert len(ids) == 2
        await browser.get("/out/")
        if isinstance(page, SocketWire):
            assert [await ends_with(one) for one in (page, other)] == [4403, 4403]
        assert not {held.id for held in registry.pages()} & {*ids}
        assert len(registry.pages()) == 1
        await until(lambda: [load(page_id) for page_id in ids] == [None, None])
        assert await reply(kept_page, "who") == "ann"
        await browser.log_in(ann)
        assert (await rejoin(page))[2] == [""]


async def test_who_logs_out_in_a_handler_sees_the_answer_and_loses_the_page() -> None:
    ann = await user_named("ann")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = await written(SocketWire, browser)
        (held,) = registry.pages()
        assert (await page.event("leave"))[:3] == [2, 2, [0, "left"]]
        assert await page.receive() == ["error", 0, "You have logged out."]
        assert await ends_with(page) == 4403
        await until(lambda: load(held.id) is None)
        assert registry.pages() == []


async def test_logging_out_of_a_cookie_based_session_ends_all_pages_of_the_user(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    ann, bob = await user_named("ann"), await user_named("bob")
    async with Browser() as browser:
        pages = []
        for user in (ann, ann, bob):
            one = browser.another()
            await one.log_in(user)
            pages.append(await one.open("/draft/"))
            browser.cookies = browser.cookies or one.cookies
        await browser.get("/out/")
        assert [await page.closing() for page in pages[:2]] == [4403, 4403]
        assert (await pages[2].event("who"))[-1] == {"reply": "bob"}


# What a page takes over


async def test_a_page_takes_over_the_headers_of_the_browser_that_joins() -> None:
    async with Browser() as browser:
        browser.headers = {"user-agent": "old", "accept-language": "de", "accept": "text/html"}
        page = await browser.open("/draft/")
        (held,) = registry.pages()
        request = held.request
        await page.close()
        browser.headers = {"user-agent": "new", "accept": "*/*"}
        browser.cookies = {"theme": "dark"}
        await browser.join(page.response.ticket)
        await until(lambda: not held.is_busy)
        assert held.request is request
        assert request.COOKIES == {"theme": "dark"}
        names = ["User-Agent", "Accept-Language", "Accept", "Cookie", "Origin", "Host"]
        assert [request.headers.get(name) for name in names] == [
            *("new", "de", "text/html", "theme=dark", None, "testserver"),
        ]


async def test_what_somebody_else_has_put_on_a_request_stays() -> None:
    request, source = RequestFactory().get("/", HTTP_COOKIE="a=1"), RequestFactory().get("/", REMOTE_ADDR="10.0.0.1")
    request.user = user = User(username="by header")
    request.tenant = "north"  # type: ignore[attr-defined]
    source.session = store("the key of a session")
    request.session = store()
    take_over(request, source)
    assert (request.user, request.tenant) == (user, "north")  # type: ignore[attr-defined]
    assert (request.session.session_key, request.META["REMOTE_ADDR"]) == ("the key of a session", "10.0.0.1")
    assert (request.COOKIES, request.META["HTTP_COOKIE"]) == ({}, "")
