"""Pools of threads: nothing that a job does ends a thread, takes a whole pool, or keeps a place for
ever.
"""

from __future__ import annotations

import asyncio
import logging
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import override_settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from djust.exceptions import ServerBusyError
from djust.signals import pool_exhausted, pool_recovered
from djust.threads.pool import Caller, ThreadPool, join
from djust.threads.pools import SyncThread

ANNE, BEN = Caller("anne", "Basket.save"), Caller("ben", "Basket.save")
SOMEBODY = Caller("", "Basket.load")


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    pool = ThreadPool("test", lambda: 4, lambda: 8)
    yield pool
    join(pool.dismiss())


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hanging jobs wait for; it opens when the test ends."""
    gate = threading.Event()
    yield gate
    gate.set()


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


def ready(pool: ThreadPool) -> tuple[int, int, int]:
    """Threads, busy ones and hanging ones."""
    report = pool.report()
    return report["threads"], report["busy"], report["hung"]


# Threads do not end


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_a_job_that_raises_anything_leaves_its_thread_to_the_next_one(
    kind: type[BaseException], pool: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise kind("no database")

    names: list[str] = []
    for _ in range(20):
        pool.submit(fail, ANNE._replace(must_run=True))
    for _ in range(4):
        pool.submit(lambda: names.append(threading.current_thread().name))
    until(lambda: len(names) == 4)
    until(lambda: pool.report()["busy"] == 0)
    assert ready(pool)[1:] == (0, 0)
    assert caplog.messages == ['Basket.save has failed in the pool "test"'] * 20
    assert all(record.exc_info is not None and record.exc_info[0] is kind for record in caplog.records)


@pytest.mark.django_db
def test_connections_that_cannot_be_tidied_are_replaced(
    pool: ThreadPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def use() -> None:
        seen.append(id(connection._connections[connection._alias]))  # type: ignore[attr-defined] # of the proxy

    pool.submit(use)
    until(lambda: pool.report()["busy"] == 0 and seen)

    def fail(self: object) -> None:
        raise OSError("the socket is gone")

    with monkeypatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "close_if_unusable_or_obsolete", fail)
        pool.submit(use)
        until(lambda: len(seen) == 2 and pool.report()["busy"] == 0)
    pool.submit(use)
    until(lambda: len(seen) == 3 and pool.report()["busy"] == 0)
    assert pool.report()["threads"] == 1
    assert "cannot be tidied" in caplog.messages[0]


def test_a_job_waits_for_a_thread_that_cannot_be_started_yet(
    pool: ThreadPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.LIVEVIEW_CONFIG = {"hang_seconds": 0.5}
    done = threading.Event()

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't start new thread")

    # The function has had another name since Python 3.13.
    start = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"
    with monkeypatch.context() as patch:
        patch.setattr(threading, start, fail)
        for _ in range(3):
            pool.submit(int)
        assert (pool.waiting, pool.report()["threads"]) == (3, 0)
    pool.submit(done.set)
    assert done.wait(5)
    until(lambda: pool.waiting == 0)
    assert caplog.messages == ['A thread of the pool "test" cannot be started: can\'t start new thread']


@pytest.mark.slow
def test_pools_and_their_watchdog_work_in_a_process_that_was_forked() -> None:
    script = """
import os, threading
from django.conf import settings
settings.configure(SECRET_KEY="x", LIVEVIEW_CONFIG={"hang_seconds": 0.05, "threads": 1})
import django; django.setup()
from djust.threads.pools import turn_pool
done = threading.Event()
turn_pool.submit(done.set); assert done.wait(5)
if (child := os.fork()) == 0:
    gate, done = threading.Event(), threading.Event()
    turn_pool.submit(lambda: gate.wait(20)); turn_pool.submit(done.set)
    os._exit(0 if done.wait(5) else 1)
print(os.waitpid(child, 0)[1])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "0", done.stderr


# Shares


def test_one_caller_never_has_more_than_three_quarters_of_the_threads(pool: ThreadPool, gate: threading.Event) -> None:
    running: Counter[str] = Counter()

    def hold() -> None:
        running.update(["anne"])
        gate.wait(10)

    for _ in range(6):
        pool.submit(hold, ANNE)
    until(lambda: running["anne"] == 3)
    done = threading.Event()
    pool.submit(done.set, BEN)
    assert done.wait(5)
    assert (running["anne"], pool.waiting) == (3, 3)
    gate.set()
    until(lambda: running["anne"] == 6)


def test_the_jobs_of_a_caller_begin_in_their_order(pool: ThreadPool, gate: threading.Event) -> None:
    begun: list[int] = []
    one_is_free = threading.Event()
    for event in (gate, gate, one_is_free):
        pool.submit(lambda event=event: event.wait(10) and None, ANNE)  # type: ignore[misc] # bound now
    for number in range(5):
        pool.submit(lambda number=number: begun.append(number), ANNE)  # type: ignore[misc] # bound now
    assert begun == []
    one_is_free.set()
    until(lambda: len(begun) == 5)
    assert begun == [0, 1, 2, 3, 4]


# Hanging


def test_a_job_that_hangs_loses_its_place_and_is_reported_once_with_its_stack(
    pool: ThreadPool, gate: threading.Event, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LIVEVIEW_CONFIG = {"hang_seconds": 0.1}
    done = threading.Event()

    def wait_for_a_service() -> None:
        gate.wait(20)

    for _ in range(4):
        pool.submit(wait_for_a_service, SOMEBODY)
    pool.submit(done.set)
    assert done.wait(5)
    until(lambda: len(caplog.messages) == 4)
    assert ready(pool)[1:] == (4, 4)
    for message in caplog.messages:
        assert message.startswith("Basket.load hangs: it has run for 0.")
        assert 'of the pool "test"' in message
        assert "in wait_for_a_service\n    gate.wait(20)" in message
    time.sleep(0.3)
    assert len(caplog.messages) == 4
    gate.set()
    until(lambda: len(caplog.messages) == 8)
    assert caplog.messages[4].startswith('Basket.load has come back in the pool "test" after ')
    until(lambda: pool.report()["busy"] == 0)
    assert ready(pool) == (4, 0, 0), "threads that are too many have ended"


def test_threads_are_set_aside_up_to_a_bound(pool: ThreadPool, gate: threading.Event, settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"hang_seconds": 0.05}
    must_run = Caller(must_run=True)
    for _ in range(40):
        pool.submit(lambda: gate.wait(20) and None, must_run)
    until(lambda: pool.report()["hung"] == 16)
    time.sleep(0.2)
    assert pool.report() == {"threads": 16, "busy": 16, "hung": 16, "waiting": 24, "limit": 4}
    gate.set()
    until(lambda: pool.report()["busy"] == 0)
    assert ready(pool) == (4, 0, 0)


def test_what_hangs_counts_against_no_share_but_one_caller_cannot_set_everything_aside(
    pool: ThreadPool, gate: threading.Event, settings: Any
) -> None:
    settings.LIVEVIEW_CONFIG = {"hang_seconds": 0.05}
    for _ in range(14):
        pool.submit(lambda: gate.wait(20) and None, ANNE._replace(must_run=True))
    until(lambda: pool.report()["hung"] == 9)
    time.sleep(0.2)
    assert (pool.report()["busy"], pool.waiting) == (9, 5)
    done = threading.Event()
    pool.submit(done.set, BEN)
    assert done.wait(5)


def test_with_zero_seconds_nothing_counts_as_hanging(pool: ThreadPool, gate: threading.Event, settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"hang_seconds": 0}
    for _ in range(5):
        pool.submit(lambda: gate.wait(20) and None)
    time.sleep(0.1)
    assert pool.report() == {"threads": 4, "busy": 4, "hung": 0, "waiting": 1, "limit": 4}
    assert not pool.is_exhausted


async def test_an_asynchronous_handler_that_waits_between_its_calls_is_not_reported(
    settings: Any, caplog: pytest.LogCaptureFixture, gate: threading.Event
) -> None:
    settings.LIVEVIEW_CONFIG = {"hang_seconds": 0.1}
    lane = SyncThread()
    lane.enter(lambda: Caller("anne", "Basket.load"))
    await sync_to_async(int)()
    await asyncio.sleep(0.4)
    assert caplog.messages == []
    call = asyncio.create_task(sync_to_async(gate.wait)(10))
    async with asyncio.timeout(5):
        while not caplog.messages:  # noqa: ASYNC110 — set by a thread
            await asyncio.sleep(0.01)
    assert caplog.messages[0].startswith("Basket.load hangs: it has run for 0.")
    gate.set()
    await call
    lane.leave()


# Bounds and withdrawal


async def test_what_is_too_much_is_refused_at_once_and_what_must_run_is_not(
    pool: ThreadPool, gate: threading.Event
) -> None:
    for _ in range(12):
        pool.submit(lambda: gate.wait(10) and None, SOMEBODY)
    with pytest.raises(ServerBusyError) as refused:
        pool.submit(int, SOMEBODY)
    assert str(refused.value) == "The server is busy. Please try again."
    assert refused.value.detail == ('Basket.load was refused: 8 jobs wait for a thread of the pool "test", and 8 may.')
    with pytest.raises(ServerBusyError):
        await pool.run_for(SOMEBODY, int)
    assert not pool.offer(int)
    ran = asyncio.create_task(pool.run(int))
    await asyncio.sleep(0)
    assert pool.waiting == 9
    gate.set()
    assert await ran == 0


async def test_a_call_that_has_not_begun_is_withdrawn_with_its_caller(pool: ThreadPool, gate: threading.Event) -> None:
    for _ in range(3):
        pool.submit(lambda: gate.wait(10) and None, ANNE)
    ran: list[str] = []
    held = asyncio.create_task(pool.run_for(ANNE, ran.append, "held"))
    await asyncio.sleep(0)
    pool.submit(lambda: gate.wait(10) and None, BEN)
    ready = asyncio.create_task(pool.run_for(BEN, ran.append, "ready"))
    kept = asyncio.create_task(pool.run_for(BEN._replace(must_run=True), ran.append, "must run"))
    await asyncio.sleep(0)
    assert pool.waiting == 3
    for task in (held, ready, kept):
        task.cancel()
    await asyncio.gather(held, ready, kept, return_exceptions=True)
    assert pool.waiting == 1
    gate.set()
    await asyncio.to_thread(until, lambda: ran)
    assert await pool.run_for(ANNE, int) == 0
    assert ran == ["must run"]


async def test_a_call_without_a_caller_keeps_its_thread_and_not_its_place(
    pool: ThreadPool, gate: threading.Event
) -> None:
    calls = [pool.begin(ANNE, gate.wait, 10) for _ in range(3)]
    await asyncio.to_thread(until, lambda: pool.report()["busy"] == 3)
    following = asyncio.create_task(pool.run_for(ANNE, int))
    await asyncio.sleep(0)
    assert pool.waiting == 1
    assert [pool.withdraw(call) for call in calls] == [False] * 3
    pool.set_aside(calls[0])
    assert await following == 0
    gate.set()
    assert [await call.done for call in calls] == [True] * 3


# Health


def test_a_pool_that_is_exhausted_says_so_and_that_it_has_recovered(
    pool: ThreadPool, gate: threading.Event, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LIVEVIEW_CONFIG = {"hang_seconds": 0.05}
    said: list[tuple[str, dict[str, Any]]] = []

    def exhausted(**sent: Any) -> None:
        said.append(("exhausted", sent))

    def recovered(**sent: Any) -> None:
        said.append(("recovered", sent))

    pool_exhausted.connect(exhausted)
    pool_recovered.connect(recovered)
    try:
        for _ in range(20):
            pool.submit(lambda: gate.wait(20) and None)
        until(lambda: said)
        assert pool.is_exhausted
        gate.set()
        until(lambda: len(said) == 2)
        assert not pool.is_exhausted
    finally:
        pool_exhausted.disconnect(exhausted)
        pool_recovered.disconnect(recovered)
    assert [word for word, _ in said] == ["exhausted", "recovered"]
    sent = said[0][1]
    assert (sent["pool"], sent["threads"] + sent["waiting"]) == ("test", 20)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert errors[0].startswith('The pool "test" is exhausted: no thread is free')


# Whatever jobs do


class Model:
    """Counts what runs, and checks the limits at every step."""

    def __init__(self, limit: int) -> None:
        self.lock = threading.Lock()
        self.limit = limit
        self.share = max(1, limit - limit // 4)
        # The caller whose job a thread runs.
        self.running: dict[Any, str] = {}
        self.ran: Counter[int] = Counter()
        self.offences: list[str] = []

    def job(self, number: int, key: str, kind: str) -> Callable[[], None]:
        def run() -> None:
            thread = threading.current_thread()
            with self.lock:
                self.ran[number] += 1
                self.running[thread] = key
                # Any job hangs if the machine is slow, and counts no longer when it is set aside.
                counted = Counter(key for worker, key in self.running.items() if not worker.is_aside)
                if counted.total() > self.limit:
                    self.offences.append(f"{counted} is above the limit")
                if key and counted[key] > self.share:
                    self.offences.append(f"{key} is above its share")
            time.sleep({"work": 0.0005, "hang": 0.06}.get(kind, 0))
            with self.lock:
                del self.running[thread]
            if kind == "raise":
                raise random.choice([ValueError, SystemExit])("whatever")

        return run


JOBS = st.lists(
    st.tuples(st.sampled_from(["", "a", "b", "c"]), st.sampled_from(["work", "work", "raise", "hang"])), max_size=60
)


@given(JOBS, st.integers(1, 6), st.integers(0, 20))
@hypothesis_settings(max_examples=60, deadline=None)
def test_every_job_runs_once_or_is_refused_and_the_limits_hold(
    jobs: list[tuple[str, str]], limit: int, bound: int
) -> None:
    model = Model(limit)
    pool = ThreadPool("random", lambda: limit, lambda: bound)
    logging.disable(logging.CRITICAL)
    try:
        with override_settings(LIVEVIEW_CONFIG={"hang_seconds": 0.02}):
            accepted = [
                number
                for number, (key, kind) in enumerate(jobs)
                if pool.offer(model.job(number, key, kind), Caller(key, kind, must_run=number % 5 == 0))
            ]
            until(lambda: pool.report()["busy"] == 0 and pool.waiting == 0, 20)
            report = pool.report()
    finally:
        logging.disable(logging.NOTSET)
        join(pool.dismiss())
    assert model.offences == []
    assert model.ran == Counter(accepted)
    assert {number for number in range(len(jobs)) if number % 5 == 0} <= set(accepted)
    assert report["threads"] <= limit
    clean = {"busy": 0, "hung": 0, "waiting": 0}
    assert {name: report[name] for name in clean} == clean
