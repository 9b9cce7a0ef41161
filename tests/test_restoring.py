"""Pages survive their process: what was executed is not executed again, and what is shown is the
state.

The model knows every event that was executed. A page that comes back shows the state after one of
them, at least the last one whose snapshot was written, and says which.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.cache import caches
from django.core.cache.backends.filebased import FileBasedCache
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.test import override_settings
from django.urls import path
from hypothesis import given, settings
from hypothesis import strategies as st

from djust import LiveView, event_handler, state
from djust.live.registry import registry, save_at_exit
from djust.live.snapshots import backlog
from djust.state import circuit
from djust.state.snapshots import Snapshot, _too_large, load, save
from tests.asgi_client import Browser
from tests.engines import RedisServer
from tests.myapp.models import Product
from tests.transports import BY_NAME, ClientWire, SocketWire, Wire

FILE_CACHE = "django.core.cache.backends.filebased.FileBasedCache"
BACKENDS = {
    "memory": "django.core.cache.backends.locmem.LocMemCache",
    "files": FILE_CACHE,
    "database": "django.core.cache.backends.db.DatabaseCache",
    "redis": "django.core.cache.backends.redis.RedisCache",
}
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

# What handlers have done in the world: each event has a number of its own.
deeds: list[int] = []
mounts: list[str] = []
begun, go_on = threading.Event(), threading.Event()


class Ledger(LiveView):
    template = "<body><p>{{ entries|join:' ' }}</p><b>{{ tags|length }}</b><i>{{ opened }}</i></body>"
    entries: list[int] = state(default=[])
    tags: set[int] = state(default=set())

    def mount(self, request: HttpRequest, name: str = "") -> Any:
        mounts.append("mount")
        self._client = object()
        self.opened = name
        if request.GET.get("away") == "1" and len(mounts) > 1:
            return HttpResponseRedirect("/elsewhere/")
        return None

    @event_handler
    def enter(self, number: int) -> int:
        assert self._client is not None
        deeds.append(number)
        self.entries.append(number)
        self.tags |= {number}
        return len(self.entries)

    @event_handler
    def enter_slowly(self, number: int) -> None:
        self.entries.append(number)
        begun.set()
        go_on.wait(10)
        self.entries.append(number + 1)

    @event_handler
    def fail(self, number: int) -> None:
        deeds.append(number)
        self.entries.append(number)
        raise ValueError("after the deed")


class Restoring(Ledger):
    def restore(self, request: HttpRequest, name: str) -> None:
        mounts.append("restore")
        self._client = object()
        self.opened = name


class AsyncLedger(Ledger):
    async def mount(self, request: HttpRequest, name: str = "") -> None:
        super().mount(request, name)


class Leaving(Ledger):
    def unmount(self) -> None:
        self.entries.append(9)


class Shop(LiveView):
    template = "<body><p>{{ product.name }}</p></body>"
    product: Any = state()

    def mount(self, request: HttpRequest) -> None:
        self.product = Product.objects.first()


class LenientShop(Shop):
    def missing_state(self, name: str, error: Exception) -> None:
        mounts.append(str(error))
        setattr(self, name, {"name": "sold"})


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse("no live page")


urlpatterns = [
    path("ledger/", Ledger.as_view()),
    path("ledger/<name>/", Ledger.as_view()),
    path("restoring/<name>/", Restoring.as_view()),
    path("leaving/", Leaving.as_view()),
    path("async/<name>/", AsyncLedger.as_view()),
    path("shop/", Shop.as_view()),
    path("lenient/", LenientShop.as_view()),
    path("form/", form),
]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Any) -> Any:
    """A cache that survives the process, as far as djust knows."""
    files = {"BACKEND": FILE_CACHE, "LOCATION": str(tmp_path)}
    sessions = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    with override_settings(CACHES={"default": sessions, "states": files}, LIVEVIEW_CONFIG={"state_cache": "states"}):
        # What another test has left: pages, and what its cache did not take.
        registry.clear()
        backlog.reset()
        yield
    deeds.clear()
    mounts.clear()
    for event in (begun, go_on, LateCache.overtaken, MendedCache.failed):
        event.clear()
    LateCache.late.clear()
    MendedCache.works = False
    _too_large.clear()


async def written(page_id: str, fits: Callable[[Snapshot], bool]) -> Snapshot:
    """The snapshot of a page, when it says what it should."""
    async with asyncio.timeout(10):
        while True:
            snapshot = await asyncio.to_thread(load, page_id)
            if snapshot is not None and fits(snapshot):
                return snapshot
            await asyncio.sleep(0.01)


def crash() -> None:
    """The process forgets its pages without a word."""
    with registry._lock:
        registry._waiting.clear()
        registry._attached.clear()
        registry._bytes = 0
        registry._visitors.clear()


def only_page() -> str:
    (page,) = registry.pages()
    return page.id


async def opened(wire: type[Wire], browser: Browser, url: str = "/ledger/") -> Wire:
    page = wire(browser, url)
    assert (await page.open())[:2] == ["joined", 0]
    return page


async def come_back(page: Wire, version: int) -> list[Any]:
    return await page.join(page.response.ticket, version)


@pytest.mark.parametrize("url", ["/ledger/x/", "/async/x/"])
async def test_a_page_whose_process_is_gone_is_restored(wire: type[Wire], url: str) -> None:
    async with Browser() as browser:
        page = await opened(wire, browser, url)
        await page.event("enter", {"number": 7})
        await page.event("enter", {"number": 8})
        await written(only_page(), lambda snapshot: snapshot.last_ref == 2)
        crash()
        frame = await come_back(page, 2)
        assert (frame[0], frame[2][:3], frame[4]) == ("all", ["7 8", 2, "x"], 2)
        assert mounts == ["mount", "mount"]
        page.ref = 2
        assert (await page.event("enter", {"number": 9}))[4] == {"reply": 3}
        assert deeds == [7, 8, 9]


@pytest.mark.parametrize("name", ["memory", "files", "database", pytest.param("redis", marks=pytest.mark.services)])
async def test_a_page_goes_on_from_every_cache(wire: type[Wire], name: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        location = stack.enter_context(RedisServer()).address if name == "redis" else str(tmp_path / "states")
        cache = {"BACKEND": BACKENDS[name], "LOCATION": "states" if name == "database" else location}
        stack.enter_context(override_settings(CACHES={"default": caches.settings["default"], "states": cache}))
        if name == "database":
            await sync_to_async(call_command)("createcachetable", verbosity=0)
        # A process ends, and another one takes over.
        async with Browser() as browser:
            page = await opened(wire, browser, "/ledger/x/")
            await page.event("enter", {"number": 7})
        async with Browser() as browser:
            page.browser = browser
            frame = await come_back(page, 1)
            assert (frame[0], frame[2][:3], frame[4]) == ("all", ["7", 1, "x"], 1)
            page.ref = 1
            assert (await page.event("enter", {"number": 8}))[4] == {"reply": 2}


async def test_restore_is_called_in_place_of_mount(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = await opened(wire, browser, "/restoring/x/")
        await page.event("enter", {"number": 7})
        await written(only_page(), lambda snapshot: snapshot.last_ref == 1)
        crash()
        frame = await come_back(page, 1)
        assert (frame[2][:3], mounts) == (["7", 1, "x"], ["mount", "restore"])


async def test_a_page_that_another_worker_has_sent_is_restored_with_a_few_bytes(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = wire(browser, "/ledger/x/")
        response = await browser.get(page.url)
        await written(only_page(), lambda snapshot: True)
        crash()
        frame = await page.join(response.ticket)
        assert frame[:3] == ["joined", 0, 0]
        assert len(str(frame)) < 250, "the new ticket"


async def test_an_event_that_the_snapshot_holds_is_not_executed_again(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = await opened(wire, browser)
        await page.event("enter", {"number": 7})
        await written(only_page(), lambda snapshot: snapshot.last_ref == 1)
        crash()
        await come_back(page, 0)
        await page.send([1, "enter", {"number": 7}])
        assert (await page.receive())[:2] == ["error", 1]
        assert deeds == [7]


async def test_another_document_gets_a_page_of_its_own(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = await opened(wire, browser)
        await page.event("enter", {"number": 7})
        await written(only_page(), lambda snapshot: snapshot.last_ref == 1)
        crash()
        other = wire(browser, page.url)
        other.document = "a second tab"
        frame = await other.join(page.response.ticket)
        assert (frame[0], frame[2][:2]) == ("all", ["", 0])


async def test_another_version_of_the_class_is_remounted(wire: type[Wire], monkeypatch: pytest.MonkeyPatch) -> None:
    async with Browser() as browser:
        page = await opened(wire, browser)
        await page.event("enter", {"number": 7})
        snapshot = await written(only_page(), lambda snapshot: snapshot.last_ref == 1)
        save(only_page(), snapshot._replace(version="older"), "Ledger")
        crash()
        frame = await come_back(page, 1)
        assert (frame[0], frame[2][:2]) == ("all", ["", 0])


@pytest.mark.parametrize("text", ["{}", '{"_client":1}', '{"request":1}', "[", '{"entries":{"$":["call"]}}'])
async def test_a_state_that_cannot_be_read_is_no_state(
    wire: type[Wire], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Browser() as browser:
        page = await opened(wire, browser)
        await page.event("enter", {"number": 7})
        snapshot = await written(only_page(), lambda snapshot: snapshot.last_ref == 1)
        save(only_page(), snapshot._replace(state=text), "Ledger")
        crash()
        frame = await come_back(page, 1)
        assert (frame[0], frame[2][:2]) == ("all", ["", 0])
        assert ("Ledger is remounted" in caplog.text) == (text != "{}")


async def test_a_restored_page_is_written_again_for_its_visitor_before_its_browser_goes_on(wire: type[Wire]) -> None:
    user = await User.objects.acreate(username="u")
    async with Browser() as browser:
        await browser.log_in(user)
        page = await opened(wire, browser)
        await page.event("enter", {"number": 7})
        before = await written(only_page(), lambda snapshot: snapshot.last_ref == 1)
        crash()
        assert (await come_back(page, 1))[0] == "all"
        after = load(only_page())
        assert after is not None
        assert (after.fingerprint, after.last_ref) == (before.fingerprint, 1)
        assert after.fingerprint != ""


@pytest.mark.parametrize("url", ["/ledger/x/", "/restoring/x/", "/async/x/"])
async def test_a_page_of_a_test_is_restored_as_well(url: str) -> None:
    async with Browser() as browser:
        page = ClientWire(browser, url)
        await page.open()
        await page.event("enter", {"number": 7})
        await page.event("enter", {"number": 8})
        await page.restart()
        assert (await page.receive())[:3] == ["joined", 2, 2]
        assert (await page.event("enter", {"number": 9}))[4] == {"reply": 3}
        assert (deeds, await asyncio.to_thread(lambda: page.client.state["entries"])) == ([7, 8, 9], [7, 8, 9])


async def test_somebody_elses_state_is_not_restored(wire: type[Wire]) -> None:
    user = await User.objects.acreate(username="u")
    async with Browser() as browser:
        await browser.log_in(user)
        page = await opened(wire, browser)
        await page.event("enter", {"number": 7})
        snapshot = await written(only_page(), lambda snapshot: snapshot.last_ref == 1)
        save(only_page(), snapshot._replace(fingerprint="another"), "Ledger")
        crash()
        frame = await come_back(page, 1)
        assert frame[2][:2] == ["", 0]


async def test_logging_out_forgets_the_state(wire: type[Wire]) -> None:
    user = await User.objects.acreate(username="u")
    async with Browser() as browser:
        await browser.log_in(user)
        page = await opened(wire, browser)
        await page.event("enter", {"number": 7})
        page_id = only_page()
        await written(page_id, lambda snapshot: snapshot.last_ref == 1)
        (held,) = registry.pages()
        registry.drop(held.visitor.session, HttpRequest())
        async with asyncio.timeout(10):
            while await asyncio.to_thread(load, page_id) is not None:  # noqa: ASYNC110 — written by a thread
                await asyncio.sleep(0.01)


async def test_a_redirect_of_restore_leads_away(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = await opened(wire, browser, "/ledger/?away=1")
        await page.event("enter", {"number": 7})
        await written(only_page(), lambda snapshot: snapshot.last_ref == 1)
        crash()
        frame = await come_back(page, 1)
        assert frame == ["go", "/elsewhere/"]


async def test_a_row_that_is_gone_is_the_views_business(wire: type[Wire]) -> None:
    first = await Product.objects.acreate(name="pear")
    await Product.objects.acreate(name="plum")
    async with Browser() as browser:
        strict, lenient = await browser.get("/shop/"), await browser.get("/lenient/")
        ids = [page.id for page in registry.pages()]
        for page_id in ids:
            await written(page_id, lambda snapshot: True)
        crash()
        key = first.pk
        await first.adelete()
        frame = await wire(browser, "/shop/").join(strict.ticket)
        assert frame[2] == ["plum"]
        frame = await wire(browser, "/lenient/").join(lenient.ticket)
        assert (frame[2], mounts) == (["sold"], [f"LenientShop.product: Product {key} no longer exists"])


async def test_snapshots_are_written_when_the_server_ends(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = await opened(wire, browser)
        await page.event("enter", {"number": 7})
        page_id = only_page()
    snapshot = load(page_id)
    assert snapshot is not None
    assert (snapshot.last_ref, snapshot.state) == (1, '{"opened":"","entries":[7],"tags":{"$":["set",[7]]}}')
    async with Browser() as browser:
        page.browser = browser
        frame = await come_back(page, 1)
        assert (frame[0], frame[2][:2]) == ("all", ["7", 1])


async def test_a_server_that_ends_waits_for_handlers_and_writes_what_they_have_done(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = await opened(wire, browser)
        page_id = only_page()
        sending = asyncio.create_task(page.send([1, "enter_slowly", {"number": 7}]))
        await asyncio.to_thread(begun.wait, 10)
        asyncio.get_running_loop().call_later(0.3, go_on.set)
    await sending
    snapshot = load(page_id)
    assert snapshot is not None
    assert (snapshot.last_ref, snapshot.state) == (1, '{"opened":"","entries":[7,8],"tags":{"$":["set",[]]}}')


async def test_snapshots_are_written_when_a_process_without_such_a_server_ends(wire: type[Wire]) -> None:
    async with Browser() as browser:
        page = await opened(wire, browser)
        await page.event("enter", {"number": 7})
        await asyncio.to_thread(save_at_exit)
        snapshot = load(only_page())
        assert snapshot is not None
        assert snapshot.last_ref == 1


async def test_a_page_is_written_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    real = caches["states"].set
    monkeypatch.setattr(
        caches["states"].__class__, "set", lambda *args, **kwargs: (writes.append(1), real(*args[1:], **kwargs))
    )
    async with Browser() as browser:
        page = await opened(SocketWire, browser)
        end = asyncio.get_running_loop().time() + 1.4
        number = 0
        while asyncio.get_running_loop().time() < end:
            number += 1
            await page.event("enter", {"number": number})
            await asyncio.sleep(0.01)
        assert number > 50
        assert len(writes) <= 3, "when it was sent, soon after the first event, and a second later"


async def test_what_unmount_changes_is_not_written_and_nothing_is_scheduled_after_it() -> None:
    async with Browser() as browser:
        page = await opened(SocketWire, browser, "/leaving/")
        (held,) = registry.pages()
        await page.event("enter", {"number": 7})
        await page.lose()
        registry.clear()
        await written(held.id, lambda snapshot: "7" in snapshot.state)
        await held.settled()
        assert held.view.entries == [7, 9]
        assert held.snapshots._timer is None
    snapshot = load(held.id)
    assert snapshot is not None
    assert '"entries":[7]' in snapshot.state


async def test_a_large_state_is_not_written_and_said_so_once(
    wire: type[Wire], caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(LIVEVIEW_CONFIG={"state_cache": "states", "state_max_bytes": 300}):
        async with Browser() as browser:
            pages = [await opened(wire, browser, "/ledger/" + "x" * 500 + "/") for _ in range(2)]
            assert len(pages) == 2
    assert [message.partition(":")[0] for message in caplog.messages if "as text" in message] == ["Ledger"]


class BrokenCache:
    def __init__(self, *_: Any) -> None: ...

    def close(self) -> None: ...

    def get(self, key: str) -> None:
        raise ConnectionError("the cache is gone")

    def set(self, key: str, value: str, timeout: float) -> None:
        raise ConnectionError("the cache is gone")


async def test_a_cache_that_fails_costs_snapshots_and_no_page(
    wire: type[Wire], caplog: pytest.LogCaptureFixture
) -> None:
    broken = {"BACKEND": f"{__name__}.BrokenCache"}
    with override_settings(CACHES={"default": caches.settings["default"], "states": broken}):
        async with Browser() as browser:
            page = await opened(wire, browser)
            await page.event("enter", {"number": 7})
            crash()
            frame = await come_back(page, 1)
            assert frame[0] == "all"
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len([text for text in said if "the cache is gone" in text]) == 1


class LateCache(FileBasedCache):
    """The first snapshot after the join is written late: behind another one, if one is written
    meanwhile.
    """

    late: ClassVar[list[str]] = []
    overtaken = threading.Event()

    def set(self, key: str, value: Any, *args: Any, **kwargs: Any) -> None:
        last_ref, document = json.loads(value)[3:5]
        if document and not last_ref:
            LateCache.late.append(key)
            self.overtaken.wait(0.5)
        super().set(key, value, *args, **kwargs)
        if last_ref:
            self.overtaken.set()


async def test_an_older_snapshot_never_replaces_a_newer_one(wire: type[Wire], tmp_path: Path) -> None:
    late = {"BACKEND": f"{__name__}.LateCache", "LOCATION": str(tmp_path)}
    with override_settings(CACHES={"default": caches.settings["default"], "states": late}):
        async with Browser() as browser:
            page = await opened(wire, browser)
            page_id = only_page()
            async with asyncio.timeout(10):
                while not any(page_id in key for key in LateCache.late):  # noqa: ASYNC110 — set by a thread
                    await asyncio.sleep(0.01)
            await page.event("enter", {"number": 7})
            await page.lose()
            await written(page_id, lambda snapshot: snapshot.last_ref == 1)
    snapshot = load(page_id)
    assert snapshot is not None
    # Pages of other tests may still write what their caches did not take.
    assert (sum(page_id in key for key in LateCache.late), snapshot.last_ref) == (1, 1)


class MendedCache(FileBasedCache):
    """Fails until it is mended."""

    failed = threading.Event()
    works = False

    def set(self, key: str, value: Any, *args: Any, **kwargs: Any) -> None:
        if not MendedCache.works:
            if json.loads(value)[3]:
                self.failed.set()
            raise ConnectionError("the cache is gone")
        super().set(key, value, *args, **kwargs)


@pytest.mark.slow
async def test_what_a_cache_did_not_take_is_written_when_the_page_is_forgotten(
    wire: type[Wire], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The circuit may or may not open: how often the cache fails before it is mended differs from
    # run to run.
    monkeypatch.setattr(circuit, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(circuit, "LONGEST_PAUSE", 0.2)
    mended = {"BACKEND": f"{__name__}.MendedCache", "LOCATION": str(tmp_path)}
    with override_settings(CACHES={"default": caches.settings["default"], "states": mended}):
        async with Browser() as browser:
            page = await opened(wire, browser)
            (held,) = registry.pages()
            await page.event("enter", {"number": 7})
            await page.lose()
            assert await asyncio.to_thread(MendedCache.failed.wait, 10)
            with held.snapshots._lock:
                MendedCache.works = True
            registry.clear()
            await written(held.id, lambda snapshot: snapshot.last_ref == 1)


# Whatever happens, in any order


STEPS = st.lists(
    st.sampled_from(["enter", "fail", "drop", "crash", "flush", "evict", "clear", "deploy", "second tab"]), max_size=14
)


class Model:
    """A person at a page, and what they may see."""

    def __init__(self, browser: Browser, wire: type[Wire]) -> None:
        self.page = wire(browser, "/ledger/")
        self.sent = 0
        self.version = 0
        # The entries after each event of this page, by its reference; what a snapshot holds for
        # certain.
        self.history: dict[int, list[int]] = {0: []}
        self.flushed = 0

    async def open(self) -> None:
        self.page.document = f"document {len(deeds)}"
        assert (await self.page.open())[0] == "joined"
        self.ticket = self.page.response.ticket

    async def event(self, name: str) -> None:
        self.sent += 1
        answer = await self.page.event(name, {"number": self.sent})
        self.version = answer[1]
        self.history[self.page.ref] = [*self.history[max(self.history)], self.sent]
        assert answer[2][1].split() == [str(entry) for entry in self.history[self.page.ref]]

    async def flush(self) -> None:
        newest = max(self.history)
        if newest:
            await written(self.page_id(), lambda snapshot: snapshot.last_ref >= newest)
        self.flushed = newest

    def page_id(self) -> str:
        return next(page.id for page in registry.pages() if page.tab_id == self.page.document)

    async def rejoin(self, *, may_forget: bool, must_keep: bool) -> None:
        """Come back. What is shown is a state that there was, and the last one if the page was not
        lost.
        """
        await self.page.lose()
        ref = self.page.ref
        frame = await self.page.join(self.ticket, self.version)
        # A frame "joined" is [name, version, last, extra], a frame "all" has values and fragments
        # before the last event; empty members at the end are omitted.
        members = [*frame, *[0] * 6][2:4] if frame[0] == "joined" else [*frame, *[0] * 6][4:6]
        last, extra = members[0], members[1] or {}
        if frame[0] == "joined":
            assert frame[1] == self.version
            shown = self.history[max(self.history)]
        else:
            self.version = frame[1]
            shown = [int(entry) for entry in frame[2][0].split()]
        if must_keep:
            assert last == ref
        elif not may_forget:
            assert last >= self.flushed
        assert shown == self.history[last if last in self.history else 0]
        # Another page, which counts on from there.
        self.history = {reference: entries for reference, entries in self.history.items() if reference <= last}
        self.flushed = min(self.flushed, last)
        self.page.ref = last
        self.ticket = extra.get("ticket", self.ticket)
        if not last:
            self.history = {0: shown}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "examples"), [("socket", 100), ("posts", 30), ("stream", 30)])
def test_no_event_is_executed_twice_and_no_state_is_wrong(name: str, examples: int) -> None:
    @given(STEPS)
    @settings(max_examples=examples, deadline=None)
    def live(steps: list[str]) -> None:
        deeds.clear()
        mounts.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("djust.live.snapshots._PAUSE_SECONDS", 0.05)
            asyncio.run(_live(BY_NAME[name], steps))
        assert len(deeds) == len(set(deeds))

    live()


async def _live(wire: type[Wire], steps: list[str]) -> None:
    async with Browser() as browser:
        model = Model(browser, wire)
        await model.open()
        for step in steps:
            await _step(model, step)


async def _step(model: Model, step: str) -> None:
    if step in ("enter", "fail"):
        await model.event(step)
    elif step == "flush":
        await model.flush()
    elif step == "drop":
        adopted = len(mounts)
        await model.rejoin(may_forget=False, must_keep=True)
        assert len(mounts) == adopted, "a page that is there is not mounted again"
    elif step == "crash":
        crash()
        await model.rejoin(may_forget=False, must_keep=False)
    elif step == "evict":
        await model.page.lose()
        registry.clear()
        await model.rejoin(may_forget=True, must_keep=False)
    elif step in ("clear", "deploy"):
        page_id = model.page_id()
        await model.flush()
        crash()
        if step == "clear":
            caches["states"].clear()
        elif (snapshot := load(page_id)) is not None:
            save(page_id, snapshot._replace(version="older"), "Ledger")
        await model.rejoin(may_forget=True, must_keep=False)
    else:
        other = type(model.page)(model.page.browser, model.page.url)
        other.document = f"tab {model.sent} {len(mounts)}"
        frame = await other.join(model.ticket)
        # A page of its own, as it was when it was sent.
        assert frame[:2] == ["joined", 0] or frame[2][:2] == ["", 0]
        await other.lose()
