"""When the session store is asked whether sessions still belong to the same users."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory, override_settings
from django.urls import path

from djust import LiveView, event_handler
from djust.live import logout as sessions
from djust.live.page import Page
from djust.live.registry import registry
from djust.live.visitor import NOBODY, Visitor
from tests.asgi_client import Browser, Socket

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]


class Draft(LiveView):
    template = "<p></p>"

    @event_handler
    def who(self) -> str:
        return str(self.request.user)


urlpatterns = [path("draft/", Draft.as_view())]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    registry.clear()
    yield
    registry.clear()


async def user_named(name: str) -> User:
    return await User.objects.acreate(username=name)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 — nobody tells
            await asyncio.sleep(0.01)


def page_of(visitor: Visitor) -> Page:
    page = Page(Draft(), RequestFactory().get("/"))
    sessions.set_visitor(page, visitor)
    return page


class Nowhere:
    async def send(self, text: str) -> None: ...

    def close(self, code: int, text: str = "") -> None: ...


@override_settings(LIVEVIEW_CONFIG={"session_check_seconds": 100})
def test_sessions_are_asked_for_at_random_times() -> None:
    now = time.monotonic()
    visitors = [Visitor(f"user:{n}", f"key {n}", f"digest {n}") for n in range(200)]
    due = sorted(page_of(visitor).session_due - now for visitor in visitors)
    assert 75 <= due[0] < 80
    assert 120 < due[-1] <= 126
    assert page_of(visitors[0]._replace(ends=now + 10)).session_due == now + 10.1
    assert page_of(NOBODY).session_due == sessions.NEVER


@override_settings(LIVEVIEW_CONFIG={"session_check_seconds": 100})
def test_after_missed_messages_sessions_are_asked_for_within_five_seconds() -> None:
    now = time.monotonic()
    visitors = [Visitor(f"user:{n}", f"key {n}", f"digest {n}") for n in range(100)]
    pages = [page_of(visitor) for visitor in [*visitors, *visitors, NOBODY]]
    for page in pages:
        registry.attach(page, Nowhere(), "one")
    sessions.monitor.mark_gap([], "the connection was lost")
    due = [page.session_due - now for page in pages]
    assert due[:100] == due[100:200]
    assert due[200] == sessions.NEVER
    assert 0 <= min(due[:100]) < 1
    assert 4 < max(due[:100]) <= 5.5


async def test_the_store_is_asked_once_for_all_pages_of_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    ann = await user_named("ann")
    with override_settings(LIVEVIEW_CONFIG={"session_check_seconds": 60}):
        async with Browser() as browser:
            await browser.log_in(ann)
            pages: list[Socket] = [await browser.open("/draft/") for _ in range(5)]
            asked: list[str] = []
            ask = sessions._ask
            monkeypatch.setattr(sessions, "_ask", lambda key, found: (asked.append(key), ask(key, found)))
            registry.pages()[0].session_due = 0.0
            await until(lambda: bool(asked))
            await until(lambda: len({held.session_due for held in registry.pages()}) == 1)
            assert asked == [browser.cookies["sessionid"]]
            assert (await pages[0].event("who"))[-1] == {"reply": "ann"}
