"""The threads in which synchronous code runs."""

import asyncio
import threading
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import caches
from django.http import HttpRequest
from django.urls import path
from django.utils import translation

from djust import LiveView, event_handler, state
from djust.threads.pool import ThreadPool, join, tidy_connections
from djust.threads.pools import SyncThread
from tests.asgi_client import Browser


@pytest.fixture
def workers() -> Any:
    workers = ThreadPool()
    yield workers
    join(workers.dismiss())


async def test_results_and_exceptions_come_back(workers: ThreadPool) -> None:
    assert await workers.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await workers.run(divmod, 7, 0)
    with pytest.raises(RuntimeError, match="KeyboardInterrupt was raised"):
        await workers.run(_raise, KeyboardInterrupt())


def _raise(error: BaseException) -> None:
    raise error


async def test_a_thread_is_used_again(workers: ThreadPool) -> None:
    names = set()
    for _ in range(5):
        names.add(await workers.run(threading.get_ident))
        await asyncio.sleep(0.01)
    assert len(names) == 1


async def test_there_are_as_many_threads_as_needed_but_no_more_than_allowed(workers: ThreadPool, settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 3}
    meeting, seen = threading.Barrier(3), []

    def meet() -> None:
        seen.append(threading.get_ident())
        meeting.wait(5)

    await asyncio.gather(*[workers.run(meet) for _ in range(6)])
    assert len(set(seen)) == 3


async def test_a_cancelled_caller_leaves_the_job_alone(workers: ThreadPool) -> None:
    begun, gate, done = threading.Event(), threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        gate.wait(5)
        done.set()

    task = asyncio.create_task(workers.run(job))
    await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    assert await asyncio.to_thread(done.wait, 5)
    assert await workers.run(int) == 0


async def test_a_job_does_not_see_what_another_has_activated(workers: ThreadPool, settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 1}
    await workers.run(translation.activate, "de")
    assert await workers.run(translation.get_language) == "en-us"


async def test_a_thread_keeps_its_cache_clients(workers: ThreadPool, settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 1}
    one = await workers.run(lambda: caches["default"])
    other = await workers.run(lambda: caches["default"])
    assert one is other


async def test_a_misconfigured_cache_is_the_problem_of_those_who_use_it(workers: ThreadPool, settings: Any) -> None:
    settings.CACHES = {**settings.CACHES, "broken": {"BACKEND": "no.such.Cache"}}
    assert await workers.run(int) == 0


async def test_running_jobs_end_before_dismissed_threads_do(workers: ThreadPool) -> None:
    begun, ended = threading.Event(), []

    def job() -> None:
        begun.set()
        ended.append(threading.current_thread())

    task = asyncio.create_task(workers.run(job))
    await asyncio.to_thread(begun.wait, 5)
    await asyncio.to_thread(join, workers.dismiss())
    await task
    assert not ended[0].is_alive()
    assert await workers.run(int) == 0, "a new job starts a new thread"


def test_a_loop_that_is_gone_is_no_reason_to_fail(workers: ThreadPool) -> None:
    gate = threading.Event()

    async def leave() -> None:
        asyncio.create_task(workers.run(gate.wait, 5))  # noqa: RUF006
        await asyncio.sleep(0)

    asyncio.run(leave())
    gate.set()
    assert asyncio.run(workers.run(int)) == 0


async def test_the_calls_of_a_turn_share_a_thread_and_those_of_other_pages_do_not() -> None:
    async def turn(thread: SyncThread, meeting: threading.Barrier) -> set[int]:
        thread.enter()
        await sync_to_async(meeting.wait)(5)
        idents = {await sync_to_async(threading.get_ident)() for _ in range(3)}
        thread.leave()
        return idents

    meeting = threading.Barrier(2)
    one, other = await asyncio.gather(*[asyncio.create_task(turn(SyncThread(), meeting)) for _ in range(2)])
    assert len(one) == len(other) == 1
    assert one != other


async def test_a_call_that_outlives_its_turn_still_works() -> None:
    thread = SyncThread()
    thread.enter_without_turn()
    assert await sync_to_async(int)() == 0
    thread.enter()
    assert await sync_to_async(int)() == 0
    thread.leave()
    assert await sync_to_async(int)() == 0
    with pytest.raises(ZeroDivisionError):
        await sync_to_async(divmod)(1, 0)


@pytest.mark.django_db
def test_connections_are_tidied() -> None:
    assert tidy_connections() is True


class Busy(LiveView):
    template = "<p>{{ count }}</p>"
    count = state(0)
    meeting: threading.Barrier
    gate: asyncio.Event
    all_wait: asyncio.Event
    left: list[int]

    def mount(self, request: HttpRequest) -> None:
        if "slow" in request.GET:
            Busy.meeting.wait(10)
            Busy.hold.wait(10)

    hold: threading.Event

    @event_handler
    async def fetch(self) -> None:
        await sync_to_async(int)()
        Busy.left.append(1)
        if len(Busy.left) == 32:
            Busy.all_wait.set()
        await Busy.gate.wait()

    @event_handler
    def add(self) -> None:
        self.count += 1

    @event_handler
    async def add_async(self) -> None:
        await sync_to_async(int)()
        self.count += 1


urlpatterns = [path("busy/", Busy.as_view())]


@pytest.mark.urls(__name__)
async def test_slow_gets_do_not_delay_a_click() -> None:
    Busy.meeting, Busy.hold = threading.Barrier(33), threading.Event()
    async with Browser() as browser:
        page = await browser.open("/busy/")
        gets = [asyncio.create_task(browser.get("/busy/?slow=1")) for _ in range(32)]
        await asyncio.to_thread(Busy.meeting.wait, 10)
        assert (await page.event("add"))[2] == [0, 1]
        assert (await page.event("add_async"))[2] == [0, 2]
        Busy.hold.set()
        await asyncio.gather(*gets)


@pytest.mark.urls(__name__)
async def test_asynchronous_handlers_that_wait_after_a_query_do_not_delay_a_click() -> None:
    Busy.gate, Busy.all_wait, Busy.left = asyncio.Event(), asyncio.Event(), []
    async with Browser() as browser:
        free = await browser.open("/busy/")
        pages = [await browser.open("/busy/") for _ in range(32)]
        for page in pages:
            await page.post("fetch")
        await Busy.all_wait.wait()
        assert (await free.event("add"))[2] == [0, 1]
        assert (await free.event("add_async"))[2] == [0, 2]
        Busy.gate.set()
        for page in pages:
            assert (await page.receive())[0] == 1
