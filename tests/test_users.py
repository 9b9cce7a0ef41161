"""The user, the session and the database in the turns of a page."""

import threading
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import login
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.urls import path
from django.utils import translation

from djust import LiveView, event_handler, state
from tests.asgi_client import Browser

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]


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


class Open(LiveView):
    template = "<p></p>"

    @event_handler
    def user_name(self) -> str:
        return str(self.request.user)

    @event_handler
    def language(self) -> str:
        return str(translation.get_language())


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


urlpatterns = [
    path("users/", Users.as_view()),
    path("reading/", Reading.as_view()),
    path("open/", Open.as_view()),
]


async def test_asynchronous_handlers_may_render_with_the_database() -> None:
    async with Browser() as browser:
        page = await browser.open("/users/")
        assert "Ann" in str((await page.event("create", {"name": "Ann"}))[2])
        assert "Bob" in str((await page.event("create", {"name": "Bob"}))[2])


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


async def test_what_a_handler_writes_to_the_session_is_saved(django_user_model: Any) -> None:
    user = await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        await browser.log_in(user)
        page, other = await browser.open("/users/"), await browser.open("/users/")
        await page.event("remember", {"text": "one"})
        assert (await other.event("recall"))[4] == {"reply": "one"}
        await page.event("remember_async", {"text": "two"})
        assert (await other.event("recall"))[4] == {"reply": "two"}


async def test_a_session_without_cookie_cannot_be_saved_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/users/")
        await page.event("remember", {"text": "one"})
    assert "the browser has no cookie for" in caplog.text


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


async def test_who_logs_in_within_a_handler_is_the_user_of_the_page(django_user_model: Any) -> None:
    await django_user_model.objects.acreate(username="ann")
    async with Browser() as browser:
        page = await browser.open("/reading/")
        assert (await page.event("login_as", {"name": "ann"}))[-1] == {"reply": "ann"}
        assert (await page.event("who"))[-1] == {"reply": "ann"}


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
        page = await browser.open("/open/")
        for _ in range(2):
            assert (await page.event("user_name"))[-1] == {"reply": "AnonymousUser"}


async def test_a_page_without_translations_stays_so(settings: Any) -> None:
    settings.MIDDLEWARE = [f"{__name__}.Untranslated"]
    async with Browser() as browser:
        page = await browser.open("/open/")
        assert (await page.event("language"))[-1] == {"reply": "None"}
