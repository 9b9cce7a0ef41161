"""Background tasks of a page, as a browser sees them."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import RequestFactory
from django.urls import path
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from djust import LiveView, background, event_handler, state
from djust.decorators import background as exported_background
from djust.live.page import Page
from djust.live.registry import registry
from djust.state.codec import decode, encode
from djust.state.validation import check_state
from djust.tasks import AsyncResult, running_task
from djust.threads.pools import task_pool
from tests.asgi_client import Browser, Socket

pytestmark = pytest.mark.urls(__name__)


class Gate:
    """A place where tasks wait until the test lets them go; it says who has come."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[Any] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()
        self.is_open = False
        self.doors: dict[Any, tuple[threading.Event, asyncio.Event]] = {}

    def door(self, who: Any) -> tuple[threading.Event, asyncio.Event]:
        doors = self.doors.setdefault(who, (threading.Event(), asyncio.Event()))
        if self.is_open:
            for door in doors:
                door.set()
        return doors

    def pass_through(self, who: Any) -> Any:
        door, _ = self.door(who)
        self.loop.call_soon_threadsafe(self.came.put_nowait, who)
        assert door.wait(10)
        return who

    async def apass_through(self, who: Any) -> Any:
        self.came.put_nowait(who)
        await self.door(who)[1].wait()
        return who

    async def next(self) -> Any:
        async with asyncio.timeout(10):
            return await self.came.get()

    def open(self, who: Any) -> None:
        for door in self.door(who):
            door.set()

    def open_all(self) -> None:
        self.is_open = True
        for who in [*self.doors]:
            self.open(who)


gate: Gate


@pytest.fixture(autouse=True)
async def fresh_gate() -> None:
    global gate
    gate = Gate()


class Dashboard(LiveView):
    template = (
        "<p>{% if metrics.loading %}…{% endif %}{% if metrics.ok %}{{ metrics.result }}{% endif %}"
        "{% if metrics.failed %}!{{ metrics.error }}{% endif %}</p>"
    )

    def mount(self, request: HttpRequest) -> None:
        self.assign_async("metrics", gate.pass_through, "mount")

    @event_handler
    def load(self, who: str) -> None:
        self.assign_async("metrics", gate.pass_through, who)

    @event_handler
    async def load_async(self, who: str) -> None:
        self.assign_async("metrics", gate.apass_through, who)

    @event_handler
    def load_lambda(self) -> None:
        self.assign_async("metrics", lambda: gate.apass_through("lambda"))

    @event_handler
    def fail(self) -> None:
        self.assign_async("metrics", int, "seven")

    @event_handler
    def fail_quietly(self) -> None:
        def load() -> None:
            raise TimeoutError

        self.assign_async("metrics", load)

    @event_handler
    def cancel(self) -> None:
        self.cancel_async("metrics")

    @event_handler
    def tell(self) -> list[Any]:
        result = self.metrics
        return [result.loading, result.ok, result.failed, result.result, result.error]


class Worker(LiveView):
    template = "<p>{{ percent }}</p><i>{{ file }}</i><b>{{ view.running_tasks|join:',' }}</b>{{ errors|join:',' }}"
    percent = state(0)
    file = state("")
    errors: list[str] = state(default=[])
    names: list[str] = state(default=[])

    def mount(self, request: HttpRequest) -> None:
        translation.activate(request.GET.get("language", "en"))

    @event_handler
    @background
    def export(self, year: int) -> str:
        for percent in (10, 20):
            self.assign_later(percent=percent)
            gate.pass_through(percent)
        return f"{year}.csv"

    @background
    @event_handler
    async def export_async(self, year: int) -> str:
        self.push_event("begun", year)
        await gate.apass_through("async")
        return f"{year}.csv"

    @event_handler
    @exported_background
    def explode(self) -> None:
        raise ValueError("no such year")

    @event_handler(timeout=0.05)
    @background
    async def hang(self) -> None:
        await asyncio.Event().wait()

    @event_handler(timeout=0.05)
    @background
    def hang_in_thread(self) -> None:
        gate.pass_through("late")
        try:
            self.assign_later(percent=77)
        except asyncio.CancelledError as error:
            gate.loop.call_soon_threadsafe(gate.came.put_nowait, str(error))
            raise

    @event_handler
    def start(self, who: str, name: str = "one") -> None:
        self.start_async(gate.pass_through, who, name=name)

    @event_handler
    def start_coroutine(self, name: str) -> None:
        self.start_async(gate.apass_through, name, name=name)

    @event_handler
    def start_lambda(self) -> None:
        self.start_async(lambda: 1)

    @event_handler
    @background
    def hurry(self) -> None:
        for percent in range(1, 1_000):
            self.assign_later(percent=percent)

    @event_handler
    def start_coroutine_late(self) -> None:
        def late() -> Any:
            gate.pass_through("late")
            return gate.apass_through("never")

        self.start_async(late)

    @event_handler
    def cancel(self, name: str) -> None:
        self.cancel_async(name)

    @event_handler
    def assign_directly(self) -> None:
        self.start_async(self._assign_directly)

    def _assign_directly(self) -> None:
        for n in range(200):
            setattr(self, f"extra_{n}", n)
        self.percent = 99

    @event_handler
    def look_around(self) -> None:
        self.start_async(self._look_around)

    @event_handler
    def look_around_async(self) -> None:
        self.start_async(self._alook_around, name="_look_around")

    def _look_around(self) -> str:
        return f"{translation.gettext('Yes')} {User.objects.count()} {threading.current_thread().name.split('-')[1]}"

    async def _alook_around(self) -> str:
        one, other = [await sync_to_async(threading.current_thread)() for _ in range(2)]
        assert {one.name.split("-")[1], other.name.split("-")[1]} == {"async"}
        return f"{translation.gettext('Yes')} {await User.objects.acount()} loop"

    def handle_async(self, name: str, result: Any) -> None:
        self.file = result
        self.names.append(name)

    def handle_error(self, event: str, error: Exception) -> None:
        self.errors.append(f"{event}: {error}")


class AsyncWorker(LiveView):
    template = "<p>{{ text }}</p>"
    text = state("")

    @event_handler
    def start(self) -> None:
        self.start_async(User.objects.count, name="count")

    @event_handler
    def wait(self, name: str) -> None:
        self.start_async(gate.pass_through, name, name=name)

    @event_handler
    def start_failing(self) -> None:
        self.start_async(partial(int, "x"), name="count")

    async def handle_async(self, name: str, result: int) -> None:
        self.text = f"{result} {await User.objects.acount()}"


class Mounting(LiveView):
    template = "<p>{{ n }}</p>"
    n = state(0)

    async def mount(self, request: HttpRequest) -> None:
        self.assign_later(n=1)
        self.start_async(self.count)

    async def count(self) -> None:
        self.assign_later(n=2)


urlpatterns = [
    path("mounting/", Mounting.as_view()),
    path("dashboard/", Dashboard.as_view()),
    path("worker/", Worker.as_view()),
    path("async/", AsyncWorker.as_view()),
]


async def open_dashboard(browser: Browser) -> Socket:
    """A dashboard whose first call has ended."""
    page = await browser.open("/dashboard/")
    assert await gate.next() == "mount"
    gate.open("mount")
    assert (await page.receive())[:3] == [0, 1, [0, "mount"]]
    return page


@asynccontextmanager
async def visit() -> AsyncIterator[Browser]:
    """A browser; before its server ends nobody waits any more."""
    async with Browser() as browser:
        try:
            yield browser
        finally:
            gate.open_all()


async def settled(page: Page) -> None:
    """Wait until no task runs, and no message waits."""
    async with asyncio.timeout(10):
        while page.tasks.running or page._task is not None:  # noqa: ASYNC110 — a page tells nobody that it is idle
            await asyncio.sleep(0.001)


# assign_async


async def test_a_page_is_sent_while_its_data_is_loaded_when_the_browser_has_it() -> None:
    async with visit() as browser:
        response = await browser.get("/dashboard/")
        assert "<p>…</p>" in response.visible
        assert gate.came.empty(), "nobody may ever open this page"
        page, _ = await browser.join(response.ticket)
        assert await gate.next() == "mount"
        gate.open("mount")
        assert (await page.receive())[:3] == [0, 1, [0, "mount"]]
        assert (await page.event("tell"))[4] == {"reply": [False, True, False, "mount", ""]}


async def test_what_was_loaded_stays_while_it_is_loaded_again() -> None:
    async with visit() as browser:
        page = await open_dashboard(browser)
        assert (await page.event("load", {"who": "two"}))[:3] == [1, 2, [0, "…mount"]]
        assert (await page.event("tell"))[4] == {"reply": [True, True, False, "mount", ""]}
        gate.open("two")
        assert (await page.receive())[:3] == [0, 3, [0, "two"]]


async def test_a_coroutine_loads_on_the_event_loop() -> None:
    async with visit() as browser:
        page = await open_dashboard(browser)
        for handler, who in (("load_async", "one"), ("load_lambda", "lambda")):
            await page.event(handler, {"who": who})
            assert await gate.next() == who
            gate.open(who)
            assert (await page.receive())[2] == [0, who]


async def test_a_loader_that_fails_is_a_result(caplog: pytest.LogCaptureFixture) -> None:
    async with visit() as browser:
        page = await open_dashboard(browser)
        await page.event("fail")
        text = "invalid literal for int() with base 10: 'seven'"
        assert (await page.receive())[2] == [0, f"!{text}"]
        assert (await page.event("tell"))[4] == {"reply": [False, False, True, "mount", text]}
        assert caplog.messages == ["Dashboard.metrics: its loader raised ValueError"]
        assert caplog.records[0].exc_info
        await page.event("fail_quietly")
        assert (await page.receive())[2] == [0, "!TimeoutError"]


async def test_the_newer_call_wins() -> None:
    async with visit() as browser:
        page = await open_dashboard(browser)
        for who in ("older", "newer"):
            await page.event("load", {"who": who})
            assert await gate.next() == who
        gate.open("newer")
        assert (await page.receive())[2] == [0, "newer"]
        gate.open("older")
        await page.event("load", {"who": "last"})
        gate.open("last")
        assert (await page.receive())[2] == [0, "last"]


async def test_an_older_coroutine_is_cancelled() -> None:
    async with visit() as browser:
        page = await open_dashboard(browser)
        await page.event("load_async", {"who": "older"})
        assert await gate.next() == "older"
        older = next(task for task in asyncio.all_tasks() if "Tasks._run" in repr(task.get_coro()))
        await page.event("load_async", {"who": "newer"})
        with pytest.raises(asyncio.CancelledError):
            await older
        gate.open("newer")
        assert (await page.receive())[2] == [0, "newer"]


async def test_a_cancelled_call_leaves_what_was_there() -> None:
    async with visit() as browser:
        page = await open_dashboard(browser)
        await page.event("load", {"who": "two"})
        assert (await page.event("cancel"))[2] == [0, "mount"]
        assert (await page.event("tell"))[4] == {"reply": [False, True, False, "mount", ""]}
        assert (await page.event("cancel"))[1] == 3
        gate.open("two")


@pytest.mark.parametrize(
    "result", [AsyncResult(loading=True), AsyncResult(ok=True, result={"a": [1]}), AsyncResult(failed=True, error="no")]
)
def test_a_result_is_serializable(result: AsyncResult) -> None:
    check_state(Dashboard, {"metrics": result}, strict=True)
    assert decode(encode(result)) == result


# start_async and background


async def test_a_background_handler_is_answered_at_once_and_shows_its_progress() -> None:
    async with visit() as browser:
        page = await browser.open("/worker/")
        assert (await page.event("export", {"year": "2030"}))[:3] == [1, 1, [2, "export"]]
        assert (await page.receive())[:3] == [0, 2, [0, 10]]
        assert await gate.next() == 10
        # Other events are served meanwhile.
        assert (await page.event("cancel", {"name": "other"}))[:2] == [2, 2]
        gate.open(10)
        assert (await page.receive())[:3] == [0, 3, [0, 20]]
        gate.open(20)
        assert (await page.receive())[:3] == [0, 4, [1, "2030.csv", 2, ""]]


async def test_what_a_coroutine_pushes_is_sent_at_once() -> None:
    async with visit() as browser:
        page = await browser.open("/worker/")
        assert (await page.event("export_async", {"year": "2030"}))[:3] == [1, 1, [2, "export_async"]]
        assert await page.receive() == [0, 1, 0, 0, {"push": [["begun", 2030]]}]
        gate.open("async")
        assert (await page.receive())[:3] == [0, 2, [1, "2030.csv", 2, ""]]


async def test_parameters_of_a_background_handler_are_checked() -> None:
    async with visit() as browser:
        page = await browser.open("/worker/")
        assert await page.event("export", {"year": "next"}) == [
            "error",
            1,
            'Worker.export: parameter "year" must be int.',
        ]


async def test_exceptions_of_tasks_go_to_handle_error() -> None:
    async with visit() as browser:
        page = await browser.open("/worker/")
        await page.event("explode")
        assert (await page.receive())[2] == [2, "", 3, "explode: no such year"]


async def test_an_unhandled_exception_is_logged_and_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with visit() as browser:
        page = await browser.open("/async/")
        await page.event("start_failing")
        told = "Something went wrong. What the page shows is up to date; you may try again."
        assert await page.receive() == [0, 0, 0, 0, {"error": told}]
        assert caplog.messages == ["AsyncWorker.count raised ValueError"]


async def test_a_background_handler_may_have_a_timeout() -> None:
    async with visit() as browser:
        page = await browser.open("/worker/")
        for handler in ("hang", "hang_in_thread"):
            await page.event(handler)
            changed = await page.receive()
            assert f"{handler}: Worker.{handler} has taken longer than its timeout of 0.05 s" in changed[2][-1]
        assert await gate.next() == "late"
        gate.open("late")
        assert await gate.next() == "Worker.hang_in_thread is not wanted any more."


@pytest.mark.django_db(transaction=True)
async def test_the_result_may_be_taken_by_a_coroutine() -> None:
    async with visit() as browser:
        page = await browser.open("/async/")
        await page.event("start")
        assert (await page.receive())[2] == [0, "0 0"]


@pytest.mark.django_db(transaction=True)
async def test_tasks_have_the_language_of_the_page_and_threads_of_their_own() -> None:
    async with visit() as browser:
        page = await browser.open("/worker/?language=de")
        await page.event("look_around")
        assert (await page.receive())[2][:2] == [1, "Ja 0 task"]
        await page.event("look_around_async")
        assert (await page.receive())[2][:2] == [1, "Ja 0 loop"]


async def test_a_function_without_a_name_needs_one(caplog: pytest.LogCaptureFixture) -> None:
    async with visit() as browser:
        page = await browser.open("/worker/")
        answer = await page.event("start_lambda")
        assert "a task is known by its name, and this function has none of its own" in answer[2][-1]


async def test_a_cancelled_task_ends_at_its_next_progress(settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"tasks": 1}
    async with visit() as browser:
        page = await browser.open("/worker/")
        await page.event("export", {"year": "2030"})
        assert (await page.receive())[2] == [0, 10]
        assert await gate.next() == 10
        assert (await page.event("cancel", {"name": "export"}))[2] == [2, ""]
        gate.open(10)
        # It does not come to 20, and leaves its thread.
        assert await task_pool.run(int) == 0
        assert gate.came.empty()
        assert (await page.event("cancel", {"name": "export"})) == [3, 3]


async def test_direct_assignments_are_shown_when_the_task_ends() -> None:
    async with visit() as browser:
        page = await browser.open("/worker/")
        changed = await page.event("assign_directly")
        while 99 not in (changed[2] or []):
            changed = await page.receive()
        assert changed[2][:2] == [0, 99]


async def test_a_coroutine_that_a_dropped_function_returns_is_thrown_away() -> None:
    async with visit() as browser:
        page = await browser.open("/worker/")
        await page.event("start_coroutine_late")
        assert await gate.next() == "late"
        await page.event("cancel", {"name": "late"})
        gate.open("late")
        assert (await page.event("start", {"who": "next"}))[0] == 3
        assert await gate.next() == "next"


async def test_what_mount_assigns_later_is_assigned_at_once() -> None:
    async with visit() as browser:
        page = await browser.open("/mounting/")
        assert "<p>1</p>" in page.response.visible
        assert await page.receive() == [0, 1, [0, 2], [[0, [0, [["t"]]]]]]


# Bounds


async def test_a_page_runs_so_many_tasks_at_the_same_time(settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"tasks_per_page": 2}
    async with visit() as browser:
        page = await browser.open("/worker/")
        for who in "abcd":
            await page.event("start", {"who": who, "name": who})
        assert {await gate.next(), await gate.next()} == {"a", "b"}
        assert gate.came.empty()
        gate.open("b")
        assert await gate.next() == "c"
        gate.open("a")
        assert await gate.next() == "d"


async def test_a_task_that_was_dropped_while_it_waited_never_runs(settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"tasks_per_page": 1}
    async with visit() as browser:
        page = await browser.open("/worker/")
        await page.event("start", {"who": "first", "name": "other"})
        for who in "abc":
            await page.event("start", {"who": who})
        assert await gate.next() == "first"
        gate.open("first")
        assert await gate.next() == "c"


async def test_a_process_runs_so_many_coroutines_at_the_same_time(settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"tasks": 1, "tasks_per_page": 100}
    async with visit() as browser:
        page = await browser.open("/worker/")
        for number in range(33):
            await page.event("start_coroutine", {"name": f"n{number}"})
        came = {await gate.next() for _ in range(32)}
        assert gate.came.empty()
        gate.open(min(came))
        assert await gate.next() not in came


async def test_so_many_tasks_of_a_page_may_wait(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.LIVEVIEW_CONFIG = {"tasks_per_page": 1, "max_waiting": 2}
    async with visit() as browser:
        page = await browser.open("/async/")
        await page.event("wait", {"name": "running"})
        assert await gate.next() == "running"
        for name in ("a", "b", "b", "b"):
            assert "error" not in str(await page.event("wait", {"name": name}))
        assert "error" in str(await page.event("wait", {"name": "c"}))
        error = caplog.records[0].exc_info[1]  # type: ignore[index]
        assert str(error) == (
            "AsyncWorker.c cannot be started: 2 tasks of its page wait already, as many as "
            'LIVEVIEW_CONFIG["max_waiting"] allows.'
        )
        assert "error" in str(await page.event("wait", {"name": "running"})), "what runs is not given up for it"
        for name in ("running", "a"):
            gate.open(name)
        assert [await gate.next(), await gate.next()] == ["a", "b"]
        gate.open("b")
        await page.receive()


async def test_of_values_that_come_faster_than_pages_are_shown_the_newest_counts() -> None:
    async with visit() as browser:
        page = await browser.open("/worker/")
        await page.event("hurry")
        seen: list[int] = []
        while not seen or seen[-1] < 999:
            changed = (await page.receive())[2]
            seen.append(changed[1])
        assert seen == sorted(set(seen))


async def test_slow_tasks_do_not_delay_handlers(settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 1, "tasks": 2}
    async with visit() as browser:
        page = await browser.open("/worker/")
        for who in "abc":
            await page.event("start", {"who": who, "name": who})
        assert {await gate.next(), await gate.next()} == {"a", "b"}
        assert gate.came.empty()
        assert (await page.event("cancel", {"name": "none"}))[0] == 4


# The end of a page


async def test_a_detached_page_keeps_its_tasks_and_shows_their_results_to_the_browser_that_comes_back() -> None:
    async with visit() as browser:
        page = await browser.open("/worker/")
        await page.event("start", {"who": "a"})
        assert await gate.next() == "a"
        await page.close()
        gate.open("a")
        (held,) = [waiting.page for waiting in registry._waiting.values()]
        await settled(held)
        _, joined = await browser.join(page.response.ticket, 1)
        assert joined[0] == "all"
        assert "a" in joined[2]


async def test_tasks_end_when_the_page_goes() -> None:
    async with visit() as browser:
        page = await browser.open("/worker/")
        await page.event("export_async", {"year": "1"})
        assert await gate.next() == "async"
        running = next(task for task in asyncio.all_tasks() if "Tasks._run" in repr(task.get_coro()))
        await page.close()
        ((page_id, waiting),) = registry._waiting.items()
        registry._waiting[page_id] = waiting._replace(end=0.0)
        registry.sweep()
        with pytest.raises(asyncio.CancelledError):
            await running


class Unfinished(LiveView):
    template = "<p></p>"

    async def forever(self) -> None:
        await asyncio.Event().wait()

    async def sleep(self) -> None:
        await asyncio.sleep(1_000)


async def test_tasks_never_keep_a_page_alive_and_end_with_it(rf: RequestFactory) -> None:
    page = Page(Unfinished(), rf.get("/"))
    page.prepare()
    page.view.start_async(page.view.forever)
    page._start()
    await asyncio.sleep(0)
    running = next(task for task in asyncio.all_tasks() if "Tasks._run" in repr(task.get_coro()))
    await asyncio.sleep(0)
    gone = weakref.ref(page)
    del page
    gc.collect()
    assert gone() is None
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_timer_that_a_cancelled_task_has_set_does_not_keep_its_view(rf: RequestFactory) -> None:
    page = Page(Unfinished(), rf.get("/"))
    page.prepare()
    page.view.start_async(page.view.sleep)
    page._start()
    # The loop forgets cancelled timers at once when none comes before them.
    earlier = asyncio.get_running_loop().call_later(900, print)
    await asyncio.sleep(0.01)
    gone = weakref.ref(page.view)
    page.end()
    del page
    await asyncio.sleep(0.01)
    gc.collect()
    assert gone() is None
    earlier.cancel()


async def test_a_page_that_was_never_opened_runs_nothing(rf: RequestFactory) -> None:
    page = Page(Unfinished(), rf.get("/"))
    page.view.start_async(gate.pass_through, "never")
    page.end()
    page.view.start_async(gate.pass_through, "never")
    page.prepare()
    page._start()
    await asyncio.sleep(0)
    assert gate.came.empty()
    assert page.tasks.names(page.view) == frozenset()


async def test_a_task_that_outlives_its_page_is_cancelled(rf: RequestFactory) -> None:
    page = Page(Unfinished(), rf.get("/"))
    page.prepare()
    view, ended = page.view, asyncio.Event()

    def work() -> None:
        gate.pass_through("work")
        for call in (partial(view.assign_later, n=1), partial(view.push_event, "late")):
            with pytest.raises(asyncio.CancelledError, match=r"^Unfinished.work is not wanted any more.$"):
                call()
        gate.loop.call_soon_threadsafe(ended.set)

    view.start_async(work)
    page._start()
    await gate.next()
    del page
    gc.collect()
    gate.open("work")
    async with asyncio.timeout(5):
        await ended.wait()


def test_a_view_without_page_can_start_nothing_but_assign() -> None:
    view = Unfinished()
    with pytest.raises(RuntimeError, match=r"^Unfinished has no page, so nothing can run in its background"):
        view.start_async(view.forever)
    with pytest.raises(RuntimeError, match=r"^Unfinished has no page"):
        view.assign_async("figures", view.forever)
    assert vars(view)["figures"] == AsyncResult()
    view.assign_later(n=1)
    assert vars(view)["n"] == 1
    assert view.running_tasks == frozenset()
    assert running_task.get() is None


# What the newest call has said is what is shown in the end, in whatever order calls end.


CALLS = st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 9)), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(CALLS)
def test_whatever_ends_first_the_newest_result_of_each_name_is_taken(calls: list[tuple[str, bool, int]]) -> None:
    """Each call has a name, is a coroutine or not, and a number that says when it ends."""
    taken: dict[str, list[int]] = {"a": [], "b": []}

    class View(LiveView):
        template = "<p></p>"

        def handle_async(self, name: str, result: int) -> None:
            taken[name].append(result)

    async def run() -> None:
        page = Page(View(), RequestFactory().get("/"))
        page.prepare()
        page._start()
        doors = [(threading.Event(), asyncio.Event()) for _ in calls]

        def wait(number: int) -> int:
            assert doors[number][0].wait(5)
            return number

        async def await_(number: int) -> int:
            await doors[number][1].wait()
            return number

        for number, (name, is_async, _) in enumerate(calls):
            page.view.start_async(await_ if is_async else wait, number, name=name)
        for number in sorted(range(len(calls)), key=lambda number: calls[number][2]):
            for door in doors[number]:
                door.set()
            await asyncio.sleep(0)
        await settled(page)

    asyncio.run(run())
    newest = {name: number for number, (name, *_) in enumerate(calls)}
    assert taken == {name: [newest[name]] if name in newest else [] for name in "ab"}
