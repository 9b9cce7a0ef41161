"""What views learn of the life of their page: `connected`, `disconnected` and `unmount`."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import RequestFactory
from django.urls import path

from djust import LiveView, event_handler, service, state
from djust.live import page as page_module
from djust.live.page import Page
from djust.live.registry import registry
from djust.protocol.messages import Joining
from djust.state.snapshots import load
from djust.testing import LiveClient
from tests.asgi_client import Browser
from tests.transports import PostWire, Wire

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

calls: list[str] = []
gate = threading.Event()
ended = threading.Event()
SECONDS = 0.05


class Client:
    def close(self) -> None:
        calls.append("closed")


class Lamp(LiveView):
    template = "<p>{{ text }}</p>"
    text = state("")
    client: Any = service(Client, scope="page")

    @event_handler
    def add(self) -> None:
        calls.append("add")
        self.text += "+"

    @event_handler
    def wait(self) -> None:
        calls.append("begins")
        assert gate.wait(10)
        calls.append("ends")

    def connected(self) -> None:
        calls.append("connected")
        self.text += "on "

    def disconnected(self) -> None:
        calls.append("disconnected")
        self.text += "off "

    def unmount(self) -> None:
        assert isinstance(self.client, Client)
        calls.append("unmount")
        ended.set()


class AsyncLamp(Lamp):
    async def connected(self) -> None:
        await User.objects.acount()
        super().connected()

    async def disconnected(self) -> None:
        await User.objects.acount()
        super().disconnected()

    async def unmount(self) -> None:
        await User.objects.acount()
        super().unmount()


class Refusing(Lamp):
    allowed = "add"

    def authorize(self, handler: str) -> bool:
        calls.append(f"may {handler}?")
        return handler in self.allowed.split()


class Hanging(Lamp):
    def unmount(self) -> None:
        super().unmount()
        assert gate.wait(10)


class AsyncHanging(Lamp):
    async def unmount(self) -> None:
        super().unmount()
        await asyncio.Event().wait()


class Unreadable(Lamp):
    """What its template shows can never be had once its page is gone, or when a test says so."""

    hangs = False

    async def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        if self.hangs or (len(registry) == 0 and calls):
            await asyncio.Event().wait()
        return LiveView.get_context_data(self, **kwargs)


class Failing(Lamp):
    def connected(self) -> None:
        raise ValueError("no lamp")

    def disconnected(self) -> None:
        raise ValueError("no switch")

    def unmount(self) -> None:
        try:
            raise ValueError("no room")
        finally:
            ended.set()


class Careful(Failing):
    def handle_error(self, event: str, error: Exception) -> None:
        calls.append(f"{event}: {error}")


class Closing(Lamp):
    def unmount(self) -> None:
        self.text = "closed"
        self.start_async(lambda: calls.append("task"), name="task")
        super().unmount()


guests: list[bool] = []


class Guarded(Lamp):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not guests:
            raise PermissionError
        if guests == [False] and getattr(request, "live_purpose", "") == "join":
            calls.append("asked")
            assert gate.wait(10)
        return super().dispatch(request, *args, **kwargs)


class Plain(LiveView):
    template = "<p>{{ text }}</p>"
    text = state("")
    client: Any = service(Client, scope="page")

    @event_handler
    def wait(self) -> None:
        assert self.client
        calls.append("begins")
        assert gate.wait(10)
        self.text = "waited"
        calls.append("ends")


urlpatterns = [
    path("lamp/", Lamp.as_view()),
    path("async/", AsyncLamp.as_view()),
    path("refusing/", Refusing.as_view()),
    path("hanging/", Hanging.as_view()),
    path("hanging/async/", AsyncHanging.as_view()),
    path("unreadable/", Unreadable.as_view()),
    path("failing/", Failing.as_view()),
    path("careful/", Careful.as_view()),
    path("closing/", Closing.as_view()),
    path("guarded/", Guarded.as_view()),
    path("plain/", Plain.as_view()),
]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    gate.clear()
    ended.clear()
    calls.clear()
    guests[:] = [True]
    yield
    gate.set()


async def until(*wanted: str) -> None:
    async with asyncio.timeout(5):
        while calls != [*wanted]:  # noqa: ASYNC110 — a view tells nobody
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("url", ["/lamp/", "/async/"])
async def test_a_view_learns_that_a_browser_connects_goes_and_comes_again(driver: type[Wire], url: str) -> None:
    async with Browser() as browser:
        page = driver(browser, url)
        assert (await page.open())[:2] == ["joined", 0]
        assert (await page.receive())[:3] == [0, 1, [0, "on "]]
        assert calls == ["connected"]
        assert (await page.event("add"))[:3] == [1, 2, [0, "on +"]]
        await page.lose()
        await until("connected", "add", "disconnected")
        # What it has changed is shown to the browser that comes again.
        frame = await page.again(2)
        assert (frame[0], frame[2]) == ("all", ["on +off "])
        assert (await page.receive())[2] == [0, "on +off on "]
        await until("connected", "add", "disconnected", "connected")


@pytest.mark.parametrize("url", ["/lamp/", "/async/"])
async def test_a_page_that_is_forgotten_is_unmounted_and_then_its_services_are_closed(
    wire: type[Wire], url: str, settings: Any
) -> None:
    async with Browser() as browser:
        page = wire(browser, url)
        await page.open()
        await page.receive()
        settings.LIVEVIEW_CONFIG = {"detach_seconds": 0}
        await page.lose()
        await until("connected", "disconnected", "unmount", "closed")


async def test_a_page_without_a_join_is_only_unmounted() -> None:
    async with Browser() as browser:
        await browser.get("/lamp/")
        registry.clear()
        await until("unmount", "closed")


async def test_a_page_that_is_forgotten_in_a_thread_is_unmounted_on_the_loop_of_pages() -> None:
    async with Browser() as browser:
        await browser.get("/async/")
        await asyncio.to_thread(registry.clear)
        await until("unmount", "closed")


@pytest.mark.parametrize("url", ["/lamp/", "/async/"])
async def test_a_server_that_stops_unmounts_its_pages(wire: type[Wire], url: str) -> None:
    async with Browser() as browser:
        page = wire(browser, url)
        await page.open()
        await page.receive()
        await browser.get(url)
    assert calls[0] == "connected"
    assert sorted(calls[1:]) == ["closed", "closed", "disconnected", "unmount", "unmount"]


async def test_a_logout_unmounts_the_pages_without_asking_guards(wire: type[Wire]) -> None:
    user = await User.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(user)
        page = wire(browser, "/lamp/")
        await page.open()
        await page.receive()
        visitor = next(iter(registry.attached_pages())).visitor
        registry.drop(visitor.session, HttpRequest())
        await until("connected", "disconnected", "unmount", "closed")


async def test_whoever_logs_out_while_a_join_is_asked_for_does_not_get_the_page() -> None:
    user = await User.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(user)
        page = await browser.open("/guarded/")
        await page.receive()
        await page.close()
        await until("connected", "disconnected")
        guests[:] = [False]
        socket = await browser.connect()
        await socket.send(["join", page.response.ticket, 1, "/", "one"])
        await until("connected", "disconnected", "asked")
        await asyncio.to_thread(registry.drop, registry.attached_pages()[0].visitor.session, HttpRequest())
        gate.set()
        await until("connected", "disconnected", "asked", "unmount", "closed")
        assert socket._outgoing.empty()


async def test_a_page_that_ends_before_connected_has_its_turn_is_only_unmounted(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = wire(browser, "/lamp/")
        await page.open()
        await page.receive()
        await page.lose()
        await until("connected", "disconnected")
        calls.clear()
        live = registry.pages()[0]
        live.post(Joining(Nobody(), 1, passed=True))
        live.end()
        await until("unmount", "closed")


async def saved(page_id: str, text: str) -> None:
    """Wait until the snapshot of a page holds this text."""
    async with asyncio.timeout(5):
        while (found := load(page_id)) is None or json.loads(found.state)["text"] != text:  # noqa: ASYNC110 — as above
            await asyncio.sleep(0.005)


class Nobody:
    async def send(self, text: str) -> None: ...

    def close(self, code: int, text: str = "") -> None: ...


async def test_what_unmount_does_to_the_state_is_not_restored_and_its_tasks_do_not_run(
    wire: type[Wire], settings: Any, tmp_path: Path
) -> None:
    backend = "django.core.cache.backends.filebased.FileBasedCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": str(tmp_path)}}
    async with Browser() as browser:
        page = wire(browser, "/closing/")
        await page.open()
        await page.receive()
        await page.event("add")
        await page.lose()
        page_id = registry.pages()[0].id
        registry.clear()
        await until("connected", "add", "disconnected", "unmount", "closed")
        await saved(page_id, "on +off ")
        frame = await page.again(2)
        assert (frame[0], frame[2]) == ("all", ["on +off "])
        assert "task" not in calls


async def test_a_handler_that_runs_keeps_its_services_and_its_state_is_saved(
    wire: type[Wire], settings: Any, tmp_path: Path
) -> None:
    backend = "django.core.cache.backends.filebased.FileBasedCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": str(tmp_path)}}
    async with Browser() as browser:
        page = wire(browser, "/plain/")
        await page.open()
        waiting = asyncio.create_task(page.post("wait"))
        await until("begins")
        if not isinstance(page, PostWire):
            await waiting
        await page.lose()
        page_id = registry.pages()[0].id
        registry.clear()
        await asyncio.sleep(SECONDS)
        assert calls == ["begins"]
        gate.set()
        await until("begins", "ends", "closed")
        await waiting
        await saved(page_id, "waited")
        frame = await page.again(1)
        assert (frame[0], frame[2]) == ("all", ["waited"])


async def test_authorize_is_asked_for_connected_alone(caplog: pytest.LogCaptureFixture, settings: Any) -> None:
    async with Browser() as browser:
        Refusing.allowed = "add"
        page = await browser.open("/refusing/")
        assert (await page.event("add"))[2] == [0, "+"]
        await page.close()
        registry.clear()
        # It was not connected, so it is not disconnected.
        await until("may connected?", "may add?", "add", "unmount", "closed")
        calls.clear()
        Refusing.allowed = "connected"
        page = await browser.open("/refusing/")
        assert (await page.receive())[2] == [0, "on "]
        await page.close()
        registry.clear()
        await until("may connected?", "connected", "disconnected", "unmount", "closed")


async def test_a_page_whose_guards_refuse_is_unmounted_nevertheless() -> None:
    async with Browser() as browser:
        page = await browser.open("/guarded/")
        assert (await page.receive())[2] == [0, "on "]
        guests.clear()
        await page.close()
        registry.clear()
        await until("connected", "disconnected", "unmount", "closed")


async def test_a_handler_that_runs_is_never_interrupted() -> None:
    async with Browser() as browser:
        page = await browser.open("/lamp/")
        await page.receive()
        await page.post("wait")
        await until("connected", "begins")
        await page.close()
        registry.clear()
        await asyncio.sleep(0.02)
        assert calls == ["connected", "begins"]
        gate.set()
        await until("connected", "begins", "ends", "disconnected", "unmount", "closed")


async def test_events_that_come_with_the_join_wait_for_connected() -> None:
    async with Browser() as browser:
        response = await browser.get("/async/")
        socket = await browser.connect()
        await socket.send(["join", response.ticket, 0, "/", "one"])
        await socket.post("add")
        assert [await socket.receive() for _ in range(3)] == [
            ["joined", 0],
            [0, 1, [0, "on "], [[0, [0, [["t"]]]]]],
            [1, 2, [0, "on +"]],
        ]


async def test_a_connection_that_takes_the_place_of_a_dead_one_is_a_new_one() -> None:
    async with Browser() as browser:
        page = await browser.open("/lamp/")
        await page.receive()
        await browser.join(page.response.ticket, 1)
        await until("connected", "disconnected", "connected")


async def test_a_join_whose_connection_is_lost_before_its_turn_is_void(rf: RequestFactory) -> None:
    class Peer:
        async def send(self, text: str) -> None:
            raise AssertionError(text)

        def close(self, code: int, text: str = "") -> None: ...

    page, peer = Page(Lamp(), rf.get("/")), Peer()
    page.prepare()
    page.post(Joining(Peer(), 0, passed=True))
    page.detach(peer)
    page._mailbox.clear()
    page.post(Joining(peer, 0, passed=True))
    page.detach(peer)
    await asyncio.sleep(0.01)
    assert page.peer is not peer


@pytest.mark.parametrize("url", ["/hanging/", "/hanging/async/"])
async def test_a_view_that_hangs_holds_up_neither_the_registry_nor_the_end_of_the_server(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(page_module, "HOOK_SECONDS", SECONDS)
    async with Browser() as browser:
        await browser.get(url)
        registry.clear()
        assert len(registry) == 0
        await until("unmount", "closed")
        await browser.get(url)
    name = "AsyncHanging" if "async" in url else "Hanging"
    assert caplog.messages == [f"{name}.unmount raised HandlerTimeoutError"] * 2
    assert calls == ["unmount", "closed"] * 2


async def test_a_page_whose_data_does_not_come_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "HOOK_SECONDS", SECONDS)
    registry.clear()
    async with Browser() as browser:
        page = await browser.open("/unreadable/")
        await page.receive()
        monkeypatch.setattr(Unreadable, "hangs", True)
        await page.close()
        await until("connected", "disconnected")
        registry.clear()
        await until("connected", "disconnected", "unmount", "closed")


async def test_a_page_that_is_gone_is_not_rendered_any_more() -> None:
    registry.clear()
    async with Browser() as browser:
        page = await browser.open("/unreadable/")
        assert (await page.receive())[2] == [0, "on "]
        registry.clear()
        await until("connected", "disconnected", "unmount", "closed")


async def test_views_that_do_not_end_in_time_are_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, rf: RequestFactory
) -> None:
    async with Browser():
        page = Page(AsyncHanging(), rf.get("/"))
        page.prepare()
        await page_module.end_all([page], SECONDS)
        assert caplog.messages == ["1 pages could not be unmounted within 0.05 seconds."]
        assert page._task is not None
        page._task.cancel()


async def test_what_hooks_raise_is_logged_and_the_page_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/failing/")
        assert "error" in (await page.receive())[4]
        assert (await page.event("add"))[2] == [0, "+"]
        await page.close()
        registry.clear()
        assert await asyncio.to_thread(ended.wait, 5)
        await until("add")
    titles = [f"Failing.{name} raised ValueError" for name in ("connected", "disconnected", "unmount")]
    assert caplog.messages == titles


async def test_handle_error_may_take_care_of_what_hooks_raise(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/careful/")
        await page.event("add")
        await page.close()
        registry.clear()
        await until(*["connected: no lamp", "add", "disconnected: no switch", "unmount: no room"])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_the_test_client_raises_what_hooks_raise() -> None:
    with pytest.raises(ValueError, match="no lamp"):
        LiveClient(Failing)
    page = LiveClient(Lamp)
    page.disconnect()
    with pytest.raises(RuntimeError, match=r"^Lamp: the page is disconnected. Call reconnect\(\) first.$"):
        page.click("add")
    page.reconnect()
    assert page.state == {"text": "on off on "}
    page.close()
    assert calls[:5] == ["connected", "disconnected", "connected", "disconnected", "unmount"]


def test_the_test_client_raises_what_unmount_raises() -> None:
    class Leaving(LiveView):
        template = "<p></p>"

        def unmount(self) -> None:
            raise ValueError("no room")

    page = LiveClient(Leaving)
    with pytest.raises(ValueError, match="no room"):
        page.close()
