"""The life of a page and the turns it takes, as a browser sees them."""

import asyncio
import logging
import threading
from functools import wraps
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import login
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.template import Template
from django.urls import path
from django.utils import timezone, translation

from djust import LiveView, computed, event_handler, state
from djust.live.registry import registry
from djust.protocol import frames as wire
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
    def user_name(self) -> str:
        return str(self.request.user)

    @event_handler
    def language(self) -> str:
        return str(translation.get_language())

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


class Users(LiveView):
    template = "<p>{{ user.username }}</p>{% for name in names %}<i>{{ name }}</i>{% endfor %}{{ thread }}"
    names: list[str] = state(default=[])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        self.names = list(User.objects.values_list("username", flat=True))
        return super().get_context_data(**kwargs)

    @event_handler
    async def create(self, name: str) -> None:
        def create() -> int:
            with transaction.atomic():
                User.objects.create(username=name)
            return threading.get_ident()

        one = await sync_to_async(create)()
        other = await sync_to_async(threading.get_ident)()
        assert one == other != threading.get_ident()

    @event_handler
    def who(self) -> str:
        return str(self.request.user)

    @event_handler
    async def who_async(self) -> str:
        return str(await self.request.auser())

    @event_handler
    def remember(self, text: str) -> None:
        self.request.session["text"] = text

    @event_handler
    async def remember_async(self, text: str) -> None:
        await self.request.session.aset("text", text)

    @event_handler
    def remember_too_late(self) -> None:
        self.request.session["text"] = "late"
        Session.objects.all().delete()

    @event_handler
    def recall(self) -> Any:
        return self.request.session.get("text")


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


urlpatterns = [
    path("counter/", Counter.as_view()),
    path("counter/<int:start>/", Counter.as_view()),
    path("surrounded/", Surrounded.as_view()),
    path("users/", Users.as_view()),
    path("computed/", WithComputed.as_view()),
    path("nocontext/", NoContext.as_view()),
    path("broken/", BrokenTemplate.as_view()),
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


# Database, session and user


@pytest.mark.django_db(transaction=True)
async def test_asynchronous_handlers_may_render_with_the_database() -> None:
    async with Browser() as browser:
        page = await browser.open("/users/")
        assert "Ann" in str((await page.event("create", {"name": "Ann"}))[2])
        assert "Bob" in str((await page.event("create", {"name": "Bob"}))[2])


@pytest.mark.django_db(transaction=True)
async def test_a_backend_that_finds_users_without_a_thread_is_asked(
    django_user_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def aget_user(self: ModelBackend, user_id: Any) -> Any:
        user = await django_user_model.objects.aget(pk=user_id)
        user.username += ", found by aget_user"
        return user

    monkeypatch.setattr(ModelBackend, "aget_user", aget_user)
    user = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(user)
        page = await browser.open("/users/")
        assert (await page.event("who"))[4] == {"reply": "ann"}
        assert (await page.event("who_async"))[4] == {"reply": "ann, found by aget_user"}


@pytest.mark.django_db(transaction=True)
async def test_the_user_is_the_one_of_now(django_user_model: Any) -> None:
    user = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(user)
        page = await browser.open("/users/")
        assert (await page.event("who"))[4] == {"reply": "ann"}
        assert (await page.event("who_async"))[4] == {"reply": "ann"}
        await django_user_model.objects.filter(pk=user.pk).aupdate(username="anna")
        assert (await page.event("who"))[4] == {"reply": "anna"}
        assert (await page.event("who_async"))[4] == {"reply": "anna"}
        await browser.log_out()
        assert (await page.event("who"))[4] == {"reply": "AnonymousUser"}
        assert (await page.event("who_async"))[4] == {"reply": "AnonymousUser"}


@pytest.mark.django_db(transaction=True)
async def test_what_a_handler_writes_to_the_session_is_saved(django_user_model: Any) -> None:
    user = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(user)
        page, other = await browser.open("/users/"), await browser.open("/users/")
        await page.event("remember", {"text": "one"})
        assert (await other.event("recall"))[4] == {"reply": "one"}
        await page.event("remember_async", {"text": "two"})
        assert (await other.event("recall"))[4] == {"reply": "two"}


@pytest.mark.django_db(transaction=True)
async def test_a_session_without_cookie_cannot_be_saved_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/users/")
        await page.event("remember", {"text": "one"})
    assert "the browser has no cookie for" in caplog.text


# Rare things


class Parents(LiveView):
    template = "{% extends parent %}"
    other = state(default=False)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        parent = Template("<b>{{ view.other }}</b>" if self.other else "<i>{{ view.other }}</i>")
        return super().get_context_data(parent=parent, **kwargs)

    @event_handler
    def change(self) -> None:
        self.other = True


class Reading(LiveView):
    template = "{% for user in users %}<i>{{ user.username }}</i>{% endfor %}"

    async def mount(self, request: HttpRequest) -> None:
        await sync_to_async(translation.activate)("fr")
        translation.activate("de")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"users": User.objects.order_by("pk")}

    @event_handler
    async def create(self, name: str, amount: int = 1) -> str:
        await User.objects.acreate(username=name)
        return translation.gettext("Yes")

    @event_handler
    def who(self) -> str:
        return str(self.request.user)

    @event_handler
    def login_as(self, name: str) -> str:
        login(self.request, User.objects.get(username=name), "django.contrib.auth.backends.ModelBackend")
        return str(self.request.user)


class Token:
    """A middleware that knows its user without a session."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        request.user = AnonymousUser()
        return self.get_response(request)


class Untranslated(Token):
    def __call__(self, request: Any) -> Any:
        with translation.override(None):
            return self.get_response(request)


urlpatterns += [path("parents/", Parents.as_view()), path("reading/", Reading.as_view())]


async def test_a_template_whose_outermost_parent_changes_is_sent_whole() -> None:
    async with Browser() as browser:
        page = await browser.open("/parents/")
        name, version, values, fragments, last_ref, extra = await page.event("change")
        assert (name, version, last_ref) == ("all", 1, 1)
        assert [entry[0] for entry in fragments] == [0]
        assert values
        assert "<b" in extra["html"]


@pytest.mark.django_db(transaction=True)
async def test_an_asynchronous_view_may_read_the_database_in_its_template() -> None:
    async with Browser() as browser:
        page = await browser.open("/reading/")
        for n, name in enumerate(("ann", "bob"), 1):
            answer = await page.event("create", {"name": name})
            assert answer[:2] == [n, n]
            assert name in str(answer[2])
            assert answer[4] == {"reply": "Ja"}
        assert await page.event("create", {"name": "cid", "amount": "x"}) == [
            "error",
            3,
            'Reading.create: parameter "amount" must be int.',
        ]


@pytest.mark.django_db(transaction=True)
async def test_what_a_handler_does_to_a_session_that_has_ended_is_lost_and_says_so(
    django_user_model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    user = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(user)
        page = await browser.open("/users/")
        await page.event("recall")
        await browser.log_out()
        assert (await page.event("remember", {"text": "one"}))[0] == 2
    assert "because it has ended or never began" in caplog.text


@pytest.mark.django_db(transaction=True)
async def test_a_session_that_ends_during_the_turn_is_not_saved_again(
    django_user_model: Any, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    user = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(user)
        page = await browser.open("/users/")
        assert (await page.event("remember_too_late"))[:2] == [1, 0]
    assert "a session that was deleted meanwhile" in caplog.text


@pytest.mark.django_db(transaction=True)
async def test_who_logs_in_within_a_handler_is_the_user_of_the_page(django_user_model: Any) -> None:
    await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        page = await browser.open("/reading/")
        assert (await page.event("login_as", {"name": "ann"}))[-1] == {"reply": "ann"}
        assert (await page.event("who"))[-1] == {"reply": "ann"}


@pytest.mark.django_db(transaction=True)
async def test_cookie_based_sessions_recognise_their_user(django_user_model: Any, settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    ann = await django_user_model.objects.acreate(username="ann")
    bob = await django_user_model.objects.acreate(username="bob")
    async with Browser() as browser:
        await browser.log_in(ann)
        page = await browser.open("/users/")
        assert (await page.event("who"))[-1] == {"reply": "ann"}
        other = browser.another()
        await other.log_in(bob)
        socket, _ = await other.join((await browser.get("/users/")).ticket)
        assert await socket.closing() == 4403


async def test_a_request_without_session_and_with_a_fixed_user_is_left_alone(settings: Any) -> None:
    settings.MIDDLEWARE = [f"{__name__}.Token"]
    async with Browser() as browser:
        page = await browser.open("/counter/")
        for _ in range(2):
            assert (await page.event("user_name"))[-1] == {"reply": "AnonymousUser"}


async def test_a_page_without_translations_stays_so(settings: Any) -> None:
    settings.MIDDLEWARE = [f"{__name__}.Untranslated"]
    async with Browser() as browser:
        page = await browser.open("/counter/")
        assert (await page.event("language"))[-1] == {"reply": "None"}


async def test_an_error_of_the_machine_is_answered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        monkeypatch.setattr("djust.live.nodes.state_of", lambda view: 1 / 0)
        assert (await page.event("add"))[:2] == ["error", 1]


# What must end neither the event loop nor the page


class Exits(LiveView):
    template = "<p>{{ count }}</p>{{ view.shown }}"
    count = state(0)
    error: BaseException | None = None

    @property
    def shown(self) -> str:
        if self.count == 100:
            raise SystemExit(3)
        return ""

    @event_handler
    def leave(self, name: str) -> None:
        self.count += 1
        raise EXITS[name]

    @event_handler
    async def leave_async(self, name: str) -> None:
        await asyncio.sleep(0)
        self.leave(name)

    @event_handler
    async def await_cancelled(self) -> None:
        task = asyncio.create_task(asyncio.sleep(10))
        task.cancel()
        self.count += 1
        await task

    @event_handler
    async def leave_in_template(self) -> None:
        self.count = 100

    @event_handler
    def leave_in_template_sync(self) -> None:
        self.count = 100

    @event_handler
    def set(self, count: int) -> None:
        self.count = count

    @event_handler
    async def sleep(self) -> None:
        Exits.sleeping.set()
        await asyncio.sleep(100)

    sleeping: asyncio.Event


EXITS = {"system": SystemExit(1), "keyboard": KeyboardInterrupt(), "generator": GeneratorExit()}


def ordinary(function: Any) -> Any:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Text(LiveView):
    template = "<p>{{ text }}</p>{{ view.remembered }}"
    text = state("")
    writes = False

    @property
    def remembered(self) -> str:
        if self.text:
            self.request.session["shown"] = self.text
        return ""

    @event_handler
    def show(self, code: int) -> None:
        self.text = f"a{chr(code)}b"

    @event_handler
    async def show_async(self, code: int) -> None:
        self.text = f"a{chr(code)}c"

    @event_handler
    def recall(self) -> Any:
        return self.request.session.get("shown")

    @event_handler
    @ordinary
    async def hidden(self) -> None: ...

    @ordinary
    @event_handler
    async def seen(self) -> str:
        await asyncio.sleep(0)
        return "seen"


urlpatterns += [path("exits/", Exits.as_view()), path("text/", Text.as_view())]


@pytest.mark.parametrize("name", EXITS)
@pytest.mark.parametrize("handler", ["leave", "leave_async"])
async def test_an_exit_in_a_handler_is_its_failure(handler: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/exits/")
        answer = await page.event(handler, {"name": name})
        assert answer[:3] == [1, 1, [0, 1]]
        assert "error" in answer[4]
        assert (await page.event("set", {"count": 5}))[2] == [0, 5]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info
    assert isinstance(record.exc_info[1], RuntimeError)
    assert record.exc_info[1].__cause__ is EXITS[name]


@pytest.mark.parametrize("handler", ["leave_in_template", "leave_in_template_sync"])
async def test_an_exit_in_a_template_is_an_error(handler: str) -> None:
    async with Browser() as browser:
        page = await browser.open("/exits/")
        assert (await page.event(handler))[:2] == ["error", 1]
        assert (await page.event("set", {"count": 5}))[2] == [0, 5]


async def test_a_handler_that_awaits_a_cancelled_task_is_answered() -> None:
    async with Browser() as browser:
        page = await browser.open("/exits/")
        answer = await page.event("await_cancelled")
        assert answer[:3] == [1, 1, [0, 1]]
        assert "error" in answer[4]


async def test_no_turn_begins_when_the_server_cancels_the_running_one() -> None:
    Exits.sleeping = asyncio.Event()
    async with Browser() as browser:
        page = await browser.open("/exits/")
        before = asyncio.all_tasks()
        await page.post("sleep")
        await page.post("set", {"count": 5})
        await page.send(["ping"])
        assert await page.receive() == ["pong"]
        await Exits.sleeping.wait()
        [turn] = asyncio.all_tasks() - before
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        assert asyncio.all_tasks() <= before


@pytest.mark.parametrize("handler", ["show", "show_async"])
async def test_half_characters_in_the_state_are_replaced(handler: str, caplog: pytest.LogCaptureFixture) -> None:
    wire._reported.clear()
    async with Browser() as browser:
        page = await browser.open("/text/")
        for n, code in enumerate((0xD800, 0xDC00), 1):
            await page.post(handler, {"code": code})
            text = await page.receive_text()
            text.encode()
            assert f'[{n},{n},[0,"a\ufffd' in text
    assert len([message for message in caplog.messages if "not Unicode text" in message]) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("handler", ["show", "show_async"])
async def test_what_a_template_writes_to_the_session_is_saved(django_user_model: Any, handler: str) -> None:
    user = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(user)
        page, other = await browser.open("/text/"), await browser.open("/text/")
        await page.event(handler, {"code": 65})
        assert (await other.event("recall"))[4] == {"reply": "aAb" if handler == "show" else "aAc"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("handler", ["show", "show_async"])
async def test_an_event_whose_session_cannot_be_saved_is_answered(
    handler: str, django_user_model: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    user = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(user)
        page = await browser.open("/text/")
        monkeypatch.setattr("django.contrib.sessions.backends.cache.SessionStore.save", lambda self: 1 / 0)
        assert (await page.event(handler, {"code": 65}))[:2] == [1, 1]
    assert "A session could not be saved" in caplog.text


async def test_an_asynchronous_handler_below_an_ordinary_decorator_is_explained(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Browser() as browser:
        page = await browser.open("/text/")
        assert "error" in (await page.event("hidden"))[4]
        assert (await page.event("seen"))[4] == {"reply": "seen"}
    assert "Text.hidden returned coroutine, which nobody awaits" in caplog.text
