"""What is measured of each turn, and who receives it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import path
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from djust import LiveView, event_handler, otel, state
from djust.live import metering
from djust.signals import event_finished
from djust.threads.pool import signal_pool
from djust.threads.pools import turn_pool
from tests.asgi_client import Browser

pytestmark = pytest.mark.urls(__name__)

door = threading.Event()


class Counter(LiveView):
    template = "<p>{{ count }}</p>"
    count = state(0)

    @event_handler
    def add(self) -> None:
        self.count += 1

    @event_handler
    async def add_async(self) -> None:
        self.count += 1

    @event_handler
    def ask(self) -> None:
        self.count = User.objects.count() + User.objects.count()

    @event_handler
    async def ask_async(self) -> None:
        self.count = await User.objects.acount()

    @event_handler
    def fail(self) -> None:
        raise ValueError("no such bucket")

    @event_handler
    def hold(self) -> None:
        assert door.wait(10)

    @event_handler
    def begin(self) -> None:
        self.start_async(int, "7")

    def handle_async(self, name: str, result: int) -> None:
        self.count = result


urlpatterns = [path("counter/", Counter.as_view())]


class Reports:
    """What was reported, in order, as it arrives."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def __call__(self, sender: type, **report: Any) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, {"sender": sender, **report})

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            return await self._queue.get()


@pytest.fixture
async def reports() -> Any:
    reports = Reports()
    event_finished.connect(reports)
    yield reports
    event_finished.disconnect(reports)


async def test_every_turn_is_reported(reports: Reports) -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        for handler in ("add", "add_async"):
            await page.post(handler)
            size = len(await page.receive_text())
            report = await reports.next()
            seconds = report["seconds"]
            assert all(part >= 0 for part in seconds.values())
            assert sum(seconds.values()) == pytest.approx(2 * seconds["total"])
            unmeasured = ("seconds", "ended", "signal")
            assert {name: value for name, value in report.items() if name not in unmeasured} == {
                "sender": Counter,
                "event": handler,
                "pushed": False,
                "queries": 0,
                "bytes": size,
                "queue": 0,
                "backlog": 0,
                "error": None,
            }


async def test_turns_of_the_server_are_reported_too(reports: Reports) -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.event("begin")
        assert [(report["event"], report["pushed"]) for report in (await reports.next(), await reports.next())] == [
            ("begin", False),
            ("int", True),
        ]


async def test_what_was_refused_is_no_turn(reports: Reports) -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.event("nonsense")
        await page.event("add")
        assert (await reports.next())["event"] == "add"


@pytest.mark.django_db(transaction=True)
async def test_queries_are_counted_in_threads_and_on_the_event_loop(reports: Reports) -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        counted = []
        for handler in ("ask", "ask_async", "add"):
            await page.event(handler)
            counted.append((await reports.next())["queries"])
        assert counted == [2, 1, 0]


async def test_waiting_and_working_are_measured_separately(reports: Reports, settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"threads": 1}
    door.clear()
    async with Browser() as browser:
        page, other = await browser.open("/counter/"), await browser.open("/counter/")
        await page.post("hold")
        await page.post("add")
        await page.post("add")
        await other.post("add")
        await asyncio.sleep(0.6)
        assert turn_pool.waiting == 1
        door.set()
        for socket in (page, page, page, other):
            await socket.receive()
        seen = [await reports.next() for _ in range(4)]
    held = next(report for report in seen if report["event"] == "hold")
    assert held["seconds"]["handler"] > 0.54 > held["seconds"]["waiting"]
    assert held["queue"] == 2
    assert all(
        report["seconds"]["waiting"] > 0.54 > report["seconds"]["handler"] for report in seen if report is not held
    )


async def test_the_exception_of_a_handler_is_reported(reports: Reports) -> None:
    async with Browser() as browser:
        page = await browser.open("/counter/")
        await page.event("fail")
        assert repr((await reports.next())["error"]) == "ValueError('no such bucket')"


async def test_receivers_delay_no_page_and_may_fail(reports: Reports, caplog: pytest.LogCaptureFixture) -> None:
    door.clear()

    def slow(**report: Any) -> None:
        assert door.wait(10)
        raise LookupError("a receiver")

    event_finished.disconnect(reports)
    event_finished.connect(slow)
    event_finished.connect(reports)
    async with Browser() as browser:
        page = await browser.open("/counter/")
        for _ in range(3):
            assert await page.event("add")
        door.set()
        assert [(await reports.next())["event"] for _ in range(3)] == ["add"] * 3
    event_finished.disconnect(slow)
    assert caplog.messages[0].startswith("Error calling test_receivers")


async def test_reports_that_wait_for_receivers_are_bounded(
    reports: Reports, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(metering, "_MAX_REPORTS", 1)
    door.clear()
    signal_pool.submit(lambda: door.wait(10) and None)
    async with Browser() as browser:
        page = await browser.open("/counter/")
        for _ in range(3):
            await page.event("add")
        door.set()
    assert caplog.messages == ["Receivers of event_finished are too slow: Counter.add was not reported."]


# OpenTelemetry


@contextmanager
def telemetry() -> Iterator[tuple[InMemorySpanExporter, InMemoryMetricReader]]:
    spans, measured = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([measured])
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    otel.instrument(tracers, meters)
    try:
        yield spans, measured
    finally:
        otel.uninstrument()
        meters.shutdown()
        tracers.shutdown()


async def test_turns_are_spans_and_measurements(reports: Reports) -> None:
    event_finished.disconnect(reports)
    with telemetry() as (spans, measured):
        event_finished.connect(reports)
        async with Browser() as browser:
            page = await browser.open("/counter/")
            for handler in ("add", "fail"):
                await page.event(handler)
                report = await reports.next()
        added, failed = spans.get_finished_spans()
        data = measured.get_metrics_data()
    assert (added.name, added.status.status_code) == ("Counter.add", StatusCode.UNSET)
    assert added.attributes is not None
    assert added.attributes["djust.view"] == f"{__name__}.Counter"
    assert (failed.name, failed.status.description) == ("Counter.fail", "ValueError: no such bucket")
    assert failed.events[0].name == "exception"
    assert failed.end_time is not None
    assert failed.start_time is not None
    assert failed.end_time - failed.start_time == pytest.approx(report["seconds"]["total"] * 1e9, abs=2_000)
    assert data is not None
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    assert {metric.name: sum(point.count for point in metric.data.data_points) for metric in metrics} == {
        "djust.turn.duration": 2,
        "djust.turn.waiting": 2,
    }
