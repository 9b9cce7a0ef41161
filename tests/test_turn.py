"""How user code is called: the time it may take, and what becomes of its exceptions."""

import asyncio
import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import path

from djust import LiveView, event_handler, state
from djust.exceptions import HandlerTimeoutError
from tests.asgi_client import Browser

pytestmark = pytest.mark.urls(__name__)

door = threading.Event()
ended = threading.Event()
cancelled: list[str] = []
SECONDS = 0.05
TOO_SLOW = "That took too long and was given up. You may try again."
WENT_WRONG = "Something went wrong. What the page shows is up to date; you may try again."


class Slow(LiveView):
    template = "<p>{{ count }}</p>"
    count = state(0)

    @event_handler(timeout=SECONDS)
    def wait(self) -> str:
        self.count += 1
        assert door.wait(10)
        self.count += 10
        ended.set()
        return "late"

    @event_handler(timeout=SECONDS)
    def fail_late(self) -> None:
        assert door.wait(10)
        try:
            raise ValueError("too late")
        finally:
            ended.set()

    @event_handler(timeout=SECONDS)
    async def wait_async(self) -> None:
        self.count += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("wait_async")
            raise

    @event_handler(timeout=SECONDS)
    async def other_timeout(self) -> None:
        raise TimeoutError("of the service")

    @event_handler(timeout=10)
    def quick(self) -> str:
        self.count += 1
        return threading.current_thread().name.split("-")[1]

    @event_handler(timeout=10)
    async def quick_async(self) -> int:
        self.count += 1
        return self.count

    @event_handler(timeout=10)
    def fail(self) -> None:
        raise ValueError("no such bucket")

    @event_handler
    def nothing(self) -> None: ...

    @event_handler
    def hold(self) -> None:
        assert door.wait(10)

    @event_handler
    async def hold_async(self) -> None:
        await asyncio.Event().wait()

    @event_handler(timeout=10)
    def patient(self) -> None:
        assert door.wait(10)
        self.count += 1


class SlowData(Slow):
    hangs = False

    async def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        if self.hangs:
            await asyncio.Event().wait()
        return LiveView.get_context_data(self, **kwargs)

    @event_handler(timeout=SECONDS)
    def count_quickly(self) -> None:
        self.count += 1


class Middleware:
    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)


class Listing(LiveView):
    template = "<p>{% for user in users %}{{ user.username }}{% endfor %}</p>"

    def mount(self, request: HttpRequest) -> None:
        self.users = User.objects.order_by("pk")

    @event_handler
    async def create(self, name: str) -> None:
        await User.objects.acreate(username=name)
        self.users = User.objects.order_by("pk")


class Careful(LiveView):
    template = "<p>{{ text }}</p>"
    text = state("")

    @event_handler
    def fail(self, text: str) -> str:
        raise ValueError(text)

    @event_handler
    async def fail_async(self, text: str) -> None:
        raise ValueError(text)

    @event_handler(timeout=SECONDS)
    def wait(self) -> None:
        assert door.wait(10)

    def handle_error(self, event: str, error: Exception) -> None:
        if str(error) == "unexpected":
            super().handle_error(event, error)
        if str(error) == "worse":
            raise LookupError("in handle_error")
        self.text = f"{event}: {error}"


class CarefulAsync(LiveView):
    template = "<p>{{ text }}</p>"
    text = state("")

    @event_handler
    async def fail(self) -> None:
        raise ValueError("no such bucket")

    @event_handler
    async def fail_worse(self) -> None:
        raise LookupError("no such bucket")

    @event_handler
    def fail_in_thread(self) -> None:
        raise ValueError("no such bucket")

    async def handle_error(self, event: str, error: Exception) -> None:
        if isinstance(error, LookupError):
            raise error
        self.text = f"{event}: {error} {await User.objects.acount()}"


urlpatterns = [
    path("slow/", Slow.as_view()),
    path("slow/data/", SlowData.as_view()),
    path("listing/", Listing.as_view()),
    path("careful/", Careful.as_view()),
    path("careful/async/", CarefulAsync.as_view()),
]


@pytest.fixture(autouse=True)
def fresh() -> Any:
    door.clear()
    ended.clear()
    cancelled.clear()
    yield
    door.set()


# Time


async def test_an_asynchronous_handler_is_cancelled_when_its_time_is_up(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/slow/")
        assert await page.event("wait_async") == [1, 1, [0, 1], [[0, [0, [["t"]]]]], {"error": TOO_SLOW}]
        assert cancelled == ["wait_async"]
        assert caplog.messages == ["Slow.wait_async raised HandlerTimeoutError"]
        error = caplog.records[0].exc_info[1]  # type: ignore[index]
        assert isinstance(error, HandlerTimeoutError)
        assert str(error) == "Slow.wait_async has taken longer than its timeout of 0.05 s, and was given up."
        assert await page.event("quick_async") == [2, 2, [0, 2], 0, {"reply": 2}]


@pytest.mark.parametrize("url", ["/slow/", "/slow/data/"])
@pytest.mark.parametrize("middleware", [[], [f"{__name__}.Middleware"]])
async def test_a_handler_in_a_thread_is_answered_for_when_its_time_is_up_and_its_result_is_dropped(
    settings: Any, middleware: list[str], url: str
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, *middleware]
    async with Browser() as browser:
        page = await browser.open(url)
        assert await page.event("wait") == [1, 1, [0, 1], [[0, [0, [["t"]]]]], {"error": TOO_SLOW}]
        # The page lives on, although the thread is not through.
        assert await page.event("quick") == [2, 2, [0, 2], 0, {"reply": "turn"}]
        door.set()
        assert await asyncio.to_thread(ended.wait, 5)
        assert await page.event("nothing") == [3, 3, [0, 12]]


async def test_an_event_is_answered_although_the_data_of_its_page_does_not_come(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Browser() as browser:
        page = await browser.open("/slow/data/")
        monkeypatch.setattr(SlowData, "hangs", True)
        assert await page.event("count_quickly") == ["error", 1, TOO_SLOW]
        assert caplog.messages == ["SlowData.count_quickly raised HandlerTimeoutError"]
        monkeypatch.setattr(SlowData, "hangs", False)
        assert (await page.event("count_quickly"))[:3] == [2, 1, [0, 2]]


@pytest.mark.parametrize("event", ["hold", "hold_async"])
async def test_the_settings_say_how_long_a_handler_without_a_timeout_may_take(settings: Any, event: str) -> None:
    async with Browser() as browser:
        page = await browser.open("/slow/")
        settings.LIVEVIEW_CONFIG = {"handler_timeout": SECONDS}
        assert (await page.event(event))[4] == {"error": TOO_SLOW}
        await page.post("patient")
        await asyncio.sleep(2 * SECONDS)
        door.set()
        assert (await page.receive())[2] == [0, 1], "its own timeout counts"


async def test_a_failure_that_comes_too_late_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/slow/")
        assert (await page.event("fail_late"))[4] == {"error": TOO_SLOW}
        door.set()
        assert await asyncio.to_thread(ended.wait, 5)
    assert caplog.messages == ["Slow.fail_late raised HandlerTimeoutError", "Slow.fail_late raised ValueError"]


async def test_a_handler_that_got_no_thread_in_time_is_answered_for_and_not_called(settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 1}
    async with Browser() as browser:
        page, other = await browser.open("/slow/"), await browser.open("/slow/")
        await other.post("hold")
        assert (await page.event("fail_late"))[4] == {"error": TOO_SLOW}
        door.set()
        await other.receive()
    assert not ended.is_set()


@pytest.mark.django_db(transaction=True)
async def test_pages_of_coroutines_render_with_the_database_while_all_threads_are_busy(settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 1}
    async with Browser() as browser:
        page, other = await browser.open("/listing/"), await browser.open("/slow/")
        await other.post("hold")
        await page.post("create", {"name": "ann"})
        assert '[["ann"]]' in await page.receive_text()
        door.set()
        await other.receive()


async def test_a_timeout_of_the_handler_itself_is_an_ordinary_exception(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/slow/")
        assert (await page.event("other_timeout"))[4] == {"error": WENT_WRONG}
        assert (await page.event("fail"))[4] == {"error": WENT_WRONG}
    assert caplog.messages == ["Slow.other_timeout raised TimeoutError", "Slow.fail raised ValueError"]


# Exceptions


@pytest.mark.parametrize("handler", ["fail", "fail_async"])
async def test_a_view_may_take_care_of_exceptions(handler: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/careful/")
        answer = await page.event(handler, {"text": "no such bucket"})
        assert answer == [1, 1, [0, f"{handler}: no such bucket"], [[0, [0, [["t"]]]]]]
        assert caplog.messages == []
        assert await page.event(handler, {"text": "unexpected"}) == [2, 1, 0, 0, {"error": WENT_WRONG}]
        assert await page.event(handler, {"text": "worse"}) == [3, 1, 0, 0, {"error": WENT_WRONG}]
        assert caplog.messages == [f"Careful.{handler} raised ValueError", f"Careful.{handler} raised LookupError"]


async def test_a_view_may_take_care_of_timeouts() -> None:
    async with Browser() as browser:
        page = await browser.open("/careful/")
        answer = await page.event("wait")
        door.set()
        assert answer[2] == [0, "wait: Careful.wait has taken longer than its timeout of 0.05 s, and was given up."]


@pytest.mark.django_db(transaction=True)
async def test_exceptions_of_coroutines_may_be_taken_care_of_by_a_coroutine(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser() as browser:
        page = await browser.open("/careful/async/")
        assert (await page.event("fail"))[2] == [0, "fail: no such bucket 0"]
        assert (await page.event("fail_worse"))[4] == {"error": WENT_WRONG}
        assert caplog.messages == ["CarefulAsync.fail_worse raised LookupError"]
        assert (await page.event("fail_in_thread"))[4] == {"error": WENT_WRONG}
        assert str(caplog.records[1].exc_info[1]).startswith(  # type: ignore[index]
            "CarefulAsync.handle_error returned coroutine, which nobody awaits"
        )
