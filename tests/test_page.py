"""The life of a page and the turns it takes, as a browser sees them."""

import asyncio
import logging
import threading
from typing import Any

import pytest
from django.http import HttpRequest
from django.template import Template
from django.urls import path
from django.utils import timezone, translation

from djust import LiveView, computed, event_handler, state
from djust.live.registry import registry
from tests.asgi_client import Browser

pytestmark = pytest.mark.urls(__name__)

mounts: list[str] = []
gate = threading.Event()


class Counter(LiveView):
    template = "<body><p>{{ count }}</p></body>"
    count = state(0)

    def mount(self, request: HttpRequest, start: int = 0) -> None:
        mounts.append(request.get_full_path())
        self.count = start

    @event_handler
    def add(self, by: int = 1) -> str:
        self.count += by
        return f"now {self.count}"

    @event_handler
    async def add_async(self) -> None:
        await asyncio.sleep(0)
        self.count += 1

    @event_handler
    def nothing(self) -> None: ...

    @event_handler
    def fail(self) -> None:
        self.count = 99
        raise ValueError("no such bucket")

    @event_handler
    async def fail_async(self) -> None:
        self.count = 98
        raise ValueError("no such bucket")

    @event_handler
    def store_service(self) -> None:
        self.lock = threading.Lock()

    @event_handler
    def push(self, payload: Any = None) -> None:
        self.push_event("saved", payload)

    @event_handler
    def push_object(self) -> None:
        self.push_event("saved", object())

    @event_handler
    def unsaid(self) -> object:
        return object()

    @event_handler
    def wait(self) -> None:
        assert gate.wait(10)
        self.count += 1

    def undecorated(self) -> None:
        mounts.append("called")


class Surrounded(LiveView):
    template = (
        "{% load i18n tz %}<p>{% translate 'Yes' %} {{ moment|date:'H:i' }}</p>{% csrf_token %}<i>{{ count }}</i>"
    )
    count = state(0)

    def mount(self, request: HttpRequest) -> None:
        self.moment = timezone.datetime(2030, 7, 1, 12, 0, tzinfo=timezone.get_fixed_timezone(0))
        translation.activate(request.GET["language"])
        timezone.activate(request.GET["zone"])

    @event_handler
    def tell(self) -> str:
        return f"{translation.gettext('Yes')} {timezone.get_current_timezone_name()}"

    @event_handler
    async def tell_async(self) -> str:
        return self.tell()

    @event_handler
    def count_up(self) -> None:
        self.count += 1


class WithComputed(LiveView):
    template = "<p>{{ total }}</p><p>{{ view.total }}</p>"
    calls = 0

    @computed
    def total(self) -> int:
        type(self).calls += 1
        return 7


class NoContext(LiveView):
    template = "<p></p>"

    def get_context_data(self, **kwargs: Any) -> Any:
        super().get_context_data(**kwargs)


class BrokenTemplate(LiveView):
    template = "<p>{{ count }}{{ view.explode }}</p>"
    count = state(0)

    def explode(self) -> str:
        if self.count:
            raise ValueError("broken")
        return ""

    @event_handler
    def add(self) -> None:
        self.count += 1

    @event_handler
    def repair(self) -> None:
        self.count = 0


class Parents(LiveView):
    template = "{% extends parent %}"
    other = state(default=False)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        parent = Template("<b>{{ view.other }}</b>" if self.other else "<i>{{ view.other }}</i>")
        return super().get_context_data(parent=parent, **kwargs)

    @event_handler
    def change(self) -> None:
        self.other = True


urlpatterns = [
    path("counter/", Counter.as_view()),
    path("counter/<int:start>/", Counter.as_view()),
    path("surrounded/", Surrounded.as_view()),
    path("computed/", WithComputed.as_view()),
    path("nocontext/", NoContext.as_view()),
    path("broken/", BrokenTemplate.as_view()),
    path("parents/", Parents.as_view()),
]


@pytest.fixture(autouse=True)
def fresh() -> None:
    mounts.clear()
    gate.clear()


# Life


async def test_a_visit_mounts_once() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/5/?q=1")
        assert b"<p dj>5</p>" in page.response.body
        await page.event("add")
    assert mounts == ["/counter/5/?q=1"]


async def test_a_join_where_nothing_changed_costs_a_few_bytes() -> None:
    async with Browser() as browser:
        response = await browser.get("/counter/")
        socket = await browser.connect()
        await socket.send(["join", response.ticket, 0, "/counter/"])
        assert await socket.receive_text() == '["joined",0]'


async def test_an_event_is_answered_with_what_changed() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        assert await page.event("add") == [1, 1, [0, 1], [[0, [0, [["t"]]]]], {"reply": "now 1"}]
        assert await page.event("add", {"by": "2"}) == [2, 2, [0, 3], 0, {"reply": "now 3"}]
        assert await page.event("add", {}, 4) == [3, 3, [0, 7], 0, {"reply": "now 7"}]
        assert await page.event("add_async") == [4, 4, [0, 8]]


async def test_an_event_that_changes_nothing_has_a_short_answer() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.post("nothing")
        assert await page.receive_text() == "[1,0]"


async def test_a_lost_connection_is_resumed_where_it_was() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.event("add")
        await page.close()
        again, joined = await browser.join(page.response.ticket, version=1)
        assert joined == ["joined", 1, 1]
        again.ref = 1
        assert await again.event("add") == [2, 2, [0, 2], 0, {"reply": "now 2"}]
    assert mounts == ["/counter/"]


async def test_a_browser_that_missed_an_answer_gets_all_values() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.event("add")
        await page.event("add")
        await page.close()
        again, frame = await browser.join(page.response.ticket, version=1)
        assert frame == ["all", 3, [2], [[0, [0, [["t"]]]]], 2]
        again.ref = 2
        assert await again.event("add") == [3, 4, [0, 3], 0, {"reply": "now 3"}]


async def test_a_connection_that_was_never_seen_to_die_is_replaced() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.event("add")
        again, joined = await browser.join(page.response.ticket, version=1)
        assert joined == ["joined", 1, 1]
        assert await page.closing() == 1000
        again.ref = 1
        assert await again.event("add") == [2, 2, [0, 2], 0, {"reply": "now 2"}]


async def test_a_second_tab_of_the_same_html_gets_a_page_of_its_own() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/5/")
        await page.event("add")
        other, frame = await browser.join(page.response.ticket, document="other")
        assert frame[:5] == ["all", 1, [5], [[0, [0, [["t"]]]]], 0]
        assert await page.event("add") == [2, 2, [0, 7], 0, {"reply": "now 7"}]
        assert await other.event("add") == [1, 2, [0, 6], 0, {"reply": "now 6"}]
    assert mounts == ["/counter/5/"] * 2


async def test_two_visits_are_independent() -> None:
    async with Browser() as browser:
        one, other = await browser.open("/counter/"), await browser.open("/counter/")
        await one.event("add")
        assert (await other.event("add"))[2] == [0, 1]


async def test_a_page_that_is_gone_is_remounted() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/5/?q=1")
        await page.close()
        registry.clear()
        again, frame = await browser.join(page.response.ticket, version=0)
        assert frame[:5] == ["all", 1, [5], [[0, [0, [["t"]]]]], 0]
        await again.close()
        _, joined = await browser.join(frame[5]["ticket"], version=1)
        assert joined == ["joined", 1]
    assert mounts == ["/counter/5/?q=1"] * 2


async def test_a_resync_sends_all_values(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.event("add")
        await page.send(["resync", "part 7 is missing"])
        assert await page.receive() == ["all", 2, [1], [[0, [0, [["t"]]]]], 1]
        assert (await page.event("add"))[:3] == [2, 3, [0, 2]]
        await page.send(["resync", "part 0 of fragment 0 is gone", 1])
        name, _, values, *_, extra = await page.receive()
        assert (name, values) == ("all", [2])
        assert ">2<" in extra["html"]
    title = "Counter: the browser asks for all values again, for the"
    assert caplog.messages == [
        f"{title} 1. time: part 7 is missing",
        f"{title} 2. time: part 0 of fragment 0 is gone (<unknown source>)",
    ]


# Turns


async def test_events_are_executed_and_answered_in_order() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        names = ["wait", "add", "add_async", "add", "add_async"]
        for name in names:
            await page.post(name)
        gate.set()
        answers = [await page.receive() for _ in names]
    assert [(answer[0], answer[2]) for answer in answers] == [(n, [0, n]) for n in range(1, 6)]


async def test_a_ping_is_answered_while_a_handler_runs() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.post("wait")
        await page.send(["ping"])
        assert await page.receive() == ["pong"]
        gate.set()
        assert (await page.receive())[0] == 1


async def test_blocked_pages_do_not_delay_another_one() -> None:
    async with Browser() as browser:
        blocked = [await browser.open("/counter/") for _ in range(20)]
        free = await browser.open("/counter/")
        for page in blocked:
            await page.post("wait")
        assert (await free.event("add"))[0] == 1
        assert (await free.event("add_async"))[0] == 2
        assert (await browser.get("/counter/")).status == 200
        gate.set()
        for page in blocked:
            assert (await page.receive())[2] == [0, 1]


async def test_a_page_whose_browser_left_during_a_turn_finishes_it() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.post("wait")
        await page.post("add")
        await page.send(["ping"])
        assert await page.receive() == ["pong"]
        await page.close()
        joining = asyncio.create_task(browser.join(page.response.ticket, version=0))
        gate.set()
        _, frame = await joining
        assert frame[:3] == ["all", 3, [2]]
        assert frame[4] == 2


async def test_a_reference_is_never_executed_twice() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.send([5, "add", {}])
        assert (await page.receive())[:3] == [5, 1, [0, 1]]
        for ref in (5, 4):
            await page.send([ref, "add", {}])
            assert (await page.receive())[:2] == ["error", ref]
        await page.send([6, "add", {}])
        assert (await page.receive())[:3] == [6, 2, [0, 2]]


@pytest.mark.parametrize(("name", "left"), [("fail", 99), ("fail_async", 98)])
async def test_an_exception_in_a_handler_is_logged_and_the_state_it_left_is_shown(
    name: str, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        answer = await page.event(name)
        assert answer[:3] == [1, 1, [0, left]]
        assert answer[4] == {"error": "Something went wrong. What the page shows is up to date; you may try again."}
        assert (await page.event("add"))[2] == [0, left + 1]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.name, record.message) == ("djust", f"Counter.{name} raised ValueError")
    assert record.exc_info


async def test_in_debug_the_browser_shows_the_exception(settings: Any) -> None:
    settings.DEBUG = True
    async with Browser() as browser:
        response = await browser.get("/counter/")
        page, joined = await browser.join(response.ticket)
        assert joined == ["joined", 0]
        extra = (await page.event("fail"))[4]
        assert extra["error"] == "ValueError: no such bucket"
        assert "in fail\n" in extra["detail"]


async def test_an_exception_in_a_template_is_reported_and_the_next_event_tries_again() -> None:
    async with Browser() as browser:
        page = await browser.open("/broken/")
        assert await page.event("add") == [
            "error",
            1,
            "Something went wrong, and the page could not be brought up to date.",
        ]
        assert await page.event("repair") == [2, 0]


async def test_strict_serialization_tells_in_the_event_that_stored_the_value(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LIVEVIEW_CONFIG = {"strict_serialization": True}
    async with Browser() as browser:
        page = await browser.open("/counter/")
        answer = await page.event("store_service")
        assert answer[4]["error"].startswith("Something went wrong.")
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info
    assert "The value stands in Counter.lock." in str(record.exc_info[1])


async def test_otherwise_a_warning_is_logged_and_the_page_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        assert await page.event("store_service") == [1, 0]
        assert await page.event("add") == [2, 1, [0, 1], [[0, [0, [["t"]]]]], {"reply": "now 1"}]
    [record] = [record for record in caplog.records if record.name == "djust.serialization"]
    assert "lock (from _thread)" in record.message


async def test_pushed_events_travel_with_the_answer() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        assert await page.event("push", {"payload": {"id": 5}}) == [1, 0, 0, 0, {"push": [["saved", {"id": 5}]]}]
        assert await page.event("nothing") == [2, 0]


async def test_a_payload_that_json_cannot_hold_is_an_error_of_the_handler(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        assert "error" in (await page.event("push_object"))[4]
    assert 'Counter.push_event("saved"): the payload must be what JSON can hold' in caplog.text


async def test_a_reply_is_sent_when_it_is_asked_for() -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.send([1, "add", {}])
        assert await page.receive() == [1, 1, [0, 1], [[0, [0, [["t"]]]]]]
        await page.send([2, "unsaid", {}])
        assert await page.receive() == [2, 1]
        await page.send([3, "add", {}, [], 1])
        assert await page.receive() == [3, 2, [0, 2], 0, {"reply": "now 2"}]


async def test_a_reply_that_json_cannot_hold_is_an_error_of_the_handler(
    caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.DEBUG = True
    async with Browser() as browser:
        page = await browser.open("/counter/")
        extra = (await page.event("unsaid"))[4]
    assert extra["error"].startswith("TypeError: Counter.unsaid returned object, and the browser asked for it: Object")
    assert "Counter.unsaid returned object" in caplog.text


# ThreadState


async def test_language_and_time_zone_of_the_visit_hold_in_every_turn() -> None:
    async with Browser() as browser:
        german = await browser.open("/surrounded/?language=de&zone=Europe/Paris")
        french = await browser.open("/surrounded/?language=fr&zone=Asia/Tokyo")
        for _ in range(2):
            for handler in ("tell", "tell_async"):
                assert (await german.event(handler))[4] == {"reply": "Ja Europe/Paris"}
                assert (await french.event(handler))[4] == {"reply": "Oui Asia/Tokyo"}
        assert (await german.event("count_up"))[2][1:] == [1]
        assert "Ja 14:00" in german.response.visible


async def test_what_one_page_activates_does_not_reach_another_visitor() -> None:
    async with Browser() as browser:
        await browser.open("/surrounded/?language=de&zone=Europe/Paris")
        for _ in range(5):
            assert "Yes 12:00" in (await browser.get("/surrounded/?language=en&zone=UTC")).visible


async def test_the_csrf_token_stays_the_same_for_the_life_of_a_page() -> None:
    async with Browser() as browser:
        page = await browser.open("/surrounded/?language=en&zone=UTC")
        assert (await page.event("count_up"))[2][1:] == [1]
        assert (await page.event("count_up"))[2][1:] == [2]


async def test_computed_values_are_names_for_templates() -> None:
    async with Browser() as browser:
        response = await browser.get("/computed/")
        assert response.text.count("<p dj>7</p>") == 2


async def test_get_context_data_without_a_result_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        assert (await browser.get("/nocontext/")).status == 500
    assert "NoContext.get_context_data must return a dict; got NoneType." in caplog.text


async def test_a_template_whose_outermost_parent_changes_is_sent_whole() -> None:
    async with Browser() as browser:
        page = await browser.open("/parents/")
        name, version, values, fragments, last_ref, extra = await page.event("change")
        assert (name, version, last_ref) == ("all", 1, 1)
        assert [entry[0] for entry in fragments] == [0]
        assert values
        assert "<b" in extra["html"]


async def test_an_error_of_the_machine_is_answered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        monkeypatch.setattr("djust.live.nodes.state_of", lambda view: 1 / 0)
        assert (await page.event("add"))[:2] == ["error", 1]
