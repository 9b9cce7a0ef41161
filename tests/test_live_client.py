"""`djust.testing.LiveClient`: a page in a test."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest, HttpResponseRedirect
from django.test import Client, TestCase
from django.urls import path

from djust import LiveView, background, event_handler, publish, state
from djust.exceptions import HandlerError, ParameterError
from djust.loop import page_loop
from djust.pubsub import Resubscribed
from djust.testing import LiveClient

pytestmark = pytest.mark.urls(__name__)


class Basket(LiveView):
    template = """<body title="a dj plays">
    <ul>{% for item in items %}<li dj-key="{{ item }}">{{ item }}
      <button dj-click="remove('{{ item }}')">x</button>
    </li>{% endfor %}</ul>
    {% if note %}<p>{{ note }}</p>{% endif %}
    <input dj-input.trim="search"><select dj-change="choose"></select>
    </body>"""
    items: list[str] = state(default=[])
    note = state(default="")

    def mount(self, request: HttpRequest, first: str = "Pear") -> None:
        self.items = [first]
        self.subscribe("baskets")
        self.push_event("mounted", {"first": first})

    @event_handler
    def add(self, name: str, price: Decimal = Decimal(0)) -> dict[str, Any]:
        self.items.append(name)
        self.push_event("added", [name])
        return {"count": len(self.items), "price": str(price)}

    @event_handler
    def remove(self, name: str) -> None:
        self.items.remove(name)

    @event_handler
    def search(self, value: str = "") -> None:
        self.note = f"searched{value}"

    @event_handler
    def choose(self, value: str = "") -> None:
        self.note = f"chose {value}"

    @event_handler
    def fail(self) -> None:
        self.note = "before"
        raise ZeroDivisionError("no division")

    @event_handler
    async def add_later(self, name: str) -> None:
        await asyncio.sleep(0)
        self.items.append(name)

    def handle_info(self, message: str | Resubscribed) -> None:
        if message == "bad":
            raise LookupError(message)
        self.note = "restored" if isinstance(message, Resubscribed) else message


class Async(LiveView):
    template = "<p>{{ users }} {{ name }}</p>"

    async def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.users = await User.objects.acount()
        self.name = ""

    @event_handler
    async def join(self, name: str) -> None:
        await User.objects.acreate(username=name)
        self.users = await User.objects.acount()

    @event_handler
    def join_here(self, name: str) -> None:
        User.objects.create(username=name)
        self.users = User.objects.count()
        self.name = threading.current_thread().name


class Private(LoginRequiredMixin, LiveView):
    template = "<p>{{ request.user.username }} {{ seen }}{% for message in messages %}{{ message }}{% endfor %}</p>"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.seen = request.session.get("seen", 0)
        request.session["seen"] = self.seen + 1
        messages.success(request, "welcome")

    @event_handler
    def look(self) -> str:
        self.seen = self.request.session["seen"]
        return str(self.request.user)


class Slow(LiveView):
    template = """{% if sales.loading %}loading{% endif %}{{ sales.result }}{{ percent }}{{ done }}
    {% if "export" in view.running_tasks %}exporting{% endif %}<button dj-click="export"></button>"""
    percent = state(0)
    done = state("")

    def mount(self, request: HttpRequest, wait: bool = False) -> None:
        self.assign_async("sales", self._load)
        self._wait = wait

    def _load(self) -> int:
        return User.objects.count()

    @event_handler
    @background
    async def export(self, fails: bool = False) -> str:
        self.assign_later(percent=50)
        if self._wait:
            await asyncio.Event().wait()
        if fails:
            raise OSError("disk full")
        return f"{await User.objects.acount()} users"

    @event_handler
    def stop(self) -> None:
        self.cancel_async("export")

    def handle_async(self, name: str, result: str) -> None:
        self.done = result


class Forms(LiveView):
    template = """<form dj-submit="save">{% csrf_token %}
    <input name="name" value="Ada"><input name="kind" type="hidden" value="a">
    <input type="checkbox" name="news" value="yes">
    <input type="radio" name="size" value="s"><input type="radio" name="size" value="m" checked>
    <select name="colour"><option>dark red</option><option value="b" selected>blue</option></select>
    <select name="tags" multiple><option selected>x</option><option selected>y</option><option>z</option></select>
    <select name="first"><option>one <i>by</i> one</option></select>
    <textarea name="text">
a &amp; b</textarea><input name="old" disabled value="1"><input type="file" name="file">
    <button name="go">Go</button></form>
    <form dj-submit="rename"><input type="hidden" name="id" value="1"><input name="title" value="one"></form>
    <form dj-submit="rename"><input type="hidden" name="id" value="2"><input name="title" value="two"></form>"""

    @event_handler
    def save(self, **fields: Any) -> None:
        self.saved = {name: value for name, value in fields.items() if name != "csrfmiddlewaretoken"}

    @event_handler
    def rename(self, id: int, title: str) -> None:
        self.renamed = id, title


class OnOneLoop(LiveView):
    template = "{{ same }}"

    async def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self.same = await sync_to_async(threading.current_thread)() is threading.main_thread()

    @event_handler
    async def compare(self) -> bool:
        return self._loop is asyncio.get_running_loop()


class Elsewhere(LiveView):
    def mount(self, request: HttpRequest, **kwargs: Any) -> HttpResponseRedirect:
        return HttpResponseRedirect("/elsewhere/")


urlpatterns = [
    path("basket/<str:first>/", Basket.as_view()),
    path("private/", Private.as_view()),
    path("async/", Async.as_view()),
]


def test_a_page_is_mounted_clicked_and_read() -> None:
    page = LiveClient(Basket, first="Fig")
    assert page.state == {"items": ["Fig"], "note": ""}
    page.click("remove", "Fig")
    page.event("add", name="Plum")
    assert page.state["items"] == ["Plum"]
    assert page.html.split("\n")[:3] == [
        '<body title="a dj plays">',
        """    <ul><li dj-key="Plum">Plum""",
        """      <button dj-click="remove('Plum')">x</button>""",
    ]
    page.input("search", value="x")
    assert "<p>searchedx</p>" in page.html
    page.change("choose", value="y")
    assert "<p>chose y</p>" in page.html
    assert page.pushed == [("mounted", {"first": "Fig"}), ("added", ["Plum"])]


def test_what_a_script_asks_for_comes_back() -> None:
    page = LiveClient(Basket)
    assert page.ask("add", name="Plum", price=Decimal("1.50")) == {"count": 2, "price": "1.50"}
    assert page.ask("search") is None


def test_coroutines_are_awaited() -> None:
    page = LiveClient(Basket)
    page.event("add_later", name="Plum")
    assert page.view.items == ["Pear", "Plum"]


def test_coroutines_of_mount_and_of_events_share_a_loop_and_send_to_the_thread_of_the_test() -> None:
    page = LiveClient(OnOneLoop)
    assert page.ask("compare")
    assert page.html == "True"


def test_a_view_at_a_url_goes_through_its_middleware() -> None:
    page = LiveClient("/basket/Fig/")
    assert page.state["items"] == ["Fig"]
    with pytest.raises(
        TypeError, match=r"LiveClient\('/basket/Fig/'\): the URL says what mount gets; it takes no first=…"
    ):
        LiveClient("/basket/Fig/", first="Pear")


def test_what_a_handler_raises_is_raised_and_the_page_goes_on() -> None:
    page = LiveClient(Basket)
    with pytest.raises(ZeroDivisionError, match="no division"):
        page.event("fail")
    assert "<p>before</p>" in page.html
    page.event("add", name="Plum")
    assert page.state["items"] == ["Pear", "Plum"]


def test_events_that_are_refused_raise_their_reason() -> None:
    page = LiveClient(Basket)
    with pytest.raises(HandlerError, match="handle_info") as refused:
        page.event("handle_info", message="x")
    assert "add_later" in refused.value.__notes__[0]
    with pytest.raises(ParameterError, match="price"):
        page.event("add", name="x", price="dear")
    with pytest.raises(TypeError, match="not JSON serializable"):
        page.event("add", name=object())


def test_a_button_must_be_there_to_be_clicked() -> None:
    page = LiveClient(Basket)
    with pytest.raises(AssertionError) as missing:
        page.click("add")
    assert str(missing.value) == 'Basket: no element of the page has dj-click="add"; the page has it for: remove.'


def test_messages_of_topics_arrive() -> None:
    page = LiveClient(Basket)
    publish("baskets", "hello")
    assert "<p>hello</p>" in page.html
    publish("baskets", "bad")
    publish("baskets", "good")
    with pytest.raises(LookupError, match="bad"):
        assert page.html
    assert "<p>good</p>" in page.html


def test_between_two_looks_a_page_takes_no_turn() -> None:
    page = LiveClient(Basket)
    for message in ("one", "two"):
        publish("baskets", message)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), page_loop.loop).result(10)
        assert not page._driver.page.is_busy
    page.event("add", name="Plum")
    assert page.state == {"items": ["Pear", "Plum"], "note": "two"}


def test_hundreds_of_events_are_not_too_many() -> None:
    page = LiveClient(Basket)
    for number in range(500):
        page.event("search", value=str(number))
    assert page.state["note"] == "searched499"


class InATransaction(TestCase):
    """Django's own test case: what a view writes is seen by the test, and gone after it."""

    def test_mount_handlers_and_coroutines_share_the_transaction(self) -> None:
        assert connection.in_atomic_block
        User.objects.create(username="first")
        for view in (Async, "/async/"):
            page = LiveClient(view)
            users = User.objects.count()
            assert page.state["users"] == users
            page.event("join", name=f"a{users}")
            with self.assertNumQueries(2):
                page.event("join_here", name=f"b{users}")
            assert page.state["users"] == User.objects.count() == users + 2
            assert page.state["name"] == threading.current_thread().name

    def test_background_tasks_wait_for_settle(self) -> None:
        User.objects.create(username="first")
        page = LiveClient(Slow)
        assert "loading" in page.html
        page.click("export")
        assert ("exporting" in page.html, page.state["percent"]) == (True, 0)
        page.settle()
        assert (page.state["sales"].result, page.state["percent"], page.state["done"]) == (1, 50, "1 users")
        assert "exporting" not in page.html

    def test_a_user_has_logged_in(self) -> None:
        ada = User.objects.create(username="ada")
        for page in (
            LiveClient(Private, user=ada, session={"seen": 7}),
            LiveClient("/private/", user=ada, session={"seen": 7}),
        ):
            assert page.html == "<p>ada 7welcome</p>"
            assert page.ask("look") == "ada"
            assert page.state["seen"] == 8

    def test_a_client_of_djangos_brings_its_cookies(self) -> None:
        client = Client()
        client.force_login(User.objects.create(username="ada"))
        assert "ada" in LiveClient("/private/", client=client).html
        client.logout()
        assert LiveClient("/private/", client=client).response.status_code == 302


def test_where_no_page_is_mounted_the_answer_says_so() -> None:
    for page, where in ((LiveClient(Private), "/accounts/login/"), (LiveClient(Elsewhere), "/elsewhere/")):
        assert page.response.status_code == 302
        with pytest.raises(RuntimeError, match=f"no live page was mounted; the answer was 302 {where}"):
            page.click("look")
    missing = LiveClient("/nothing/")
    with pytest.raises(RuntimeError, match="/nothing/: no live page was mounted; the answer was 404,"):
        assert missing.html


@pytest.mark.django_db
def test_a_background_task_that_fails_or_never_ends_is_reported() -> None:
    page = LiveClient(Slow)
    page.event("export", fails=True)
    with pytest.raises(OSError, match="disk full"):
        page.settle()
    with LiveClient(Slow, wait=True, timeout=0.3) as waiting:
        waiting.click("export")
        with pytest.raises(TimeoutError, match=r"Slow: still running after 0\.3 s: export\."):
            waiting.settle()
        waiting.event("stop")
        waiting.settle()
        assert waiting.state["percent"] == 50
    with pytest.raises(RuntimeError, match="Slow: the page was closed"):
        assert waiting.html


@pytest.mark.django_db
def test_a_background_task_that_is_dropped_while_it_waits_never_begins() -> None:
    page = LiveClient(Slow)
    page.click("export")
    page.event("stop")
    page.settle()
    assert (page.state["percent"], page.state["done"]) == (0, "")


def test_a_form_sends_what_its_fields_show_and_what_is_entered() -> None:
    page = LiveClient(Forms)
    page.submit("save")
    shown = {
        "name": "Ada",
        "kind": "a",
        "size": "m",
        "colour": "b",
        "tags": ["x", "y"],
        "first": "one by one",
        "text": "a & b",
    }
    assert page.state["saved"] == shown
    page.submit("save", name=3, news=True, size="s", tags=["z"], colour=None)
    entered = {**shown, "name": "3", "news": "yes", "size": "s", "tags": "z"}
    assert page.state["saved"] == {name: value for name, value in entered.items() if name != "colour"}


def test_of_several_forms_the_hidden_fields_decide() -> None:
    page = LiveClient(Forms)
    page.submit("rename", id=2)
    assert page.state["renamed"] == (2, "two")
    page.submit("rename", title="new")
    assert page.state["renamed"] == (1, "new")
    with pytest.raises(AssertionError, match='no form of the page has dj-submit="rename"'):
        page.submit("rename", id=3)
    with pytest.raises(AssertionError, match='the form of "rename" has no field colour; its fields are: id, title'):
        page.submit("rename", colour="red")


def test_a_page_survives_its_process() -> None:
    page = LiveClient(Basket)
    page.event("add", name="Plum")
    page.event("search")
    before, view = page.html, page.view
    page.restart()
    assert page.view is not view
    assert page.html == before.replace("searched", "restored")
    page.event("add", name="Fig")
    assert page.state["items"] == ["Pear", "Plum", "Fig"]


def test_a_loop_that_stands_still_is_reported() -> None:
    before, loop = page_loop.loop, asyncio.new_event_loop()
    page_loop.set_loop(loop)
    try:
        with pytest.raises(TimeoutError, match="Forms: the event loop of the pages does not run"):
            LiveClient(Forms, timeout=-0.9)
    finally:
        page_loop.set_loop(before)
        # What was sent to it is begun, and given up at once.
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop), return_exceptions=True))
        loop.close()


async def test_a_test_with_an_event_loop_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Make the test an ordinary def"):
        LiveClient(Basket)
