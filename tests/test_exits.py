"""What must end neither the event loop nor the page: exits in the code of users, and values and
sessions that cannot be sent or saved.
"""

import asyncio
import logging
from functools import wraps
from typing import Any

import pytest
from django.urls import path

from djust import LiveView, event_handler, state
from djust.protocol import frames as wire
from tests.asgi_client import Browser

pytestmark = pytest.mark.urls(__name__)


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


urlpatterns = [path("exits/", Exits.as_view()), path("text/", Text.as_view())]


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
