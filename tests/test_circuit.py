"""The circuit around a service that fails or hangs."""

from __future__ import annotations

import threading
import time

import pytest

from djust.state import circuit as circuit_module
from djust.state.circuit import Circuit


@pytest.fixture
def circuit(monkeypatch: pytest.MonkeyPatch) -> Circuit:
    """One whose times are short."""
    for name, seconds in {"CALL_SECONDS": 0.05, "FIRST_PAUSE": 0.1, "LONGEST_PAUSE": 0.2, "_JITTER": 0.0}.items():
        monkeypatch.setattr(circuit_module, name, seconds)
    return Circuit(lambda: "The cache")


def fail(circuit: Circuit) -> bool:
    """An attempt that fails; whether it was let through."""
    attempt = circuit.begin()
    if attempt is not None:
        circuit.end(attempt, ConnectionError("gone"))
    return attempt is not None


def succeed(circuit: Circuit) -> bool:
    attempt = circuit.begin()
    if attempt is not None:
        circuit.end(attempt)
    return attempt is not None


def test_three_failures_in_a_row_open_it_and_fewer_do_not(circuit: Circuit) -> None:
    assert [fail(circuit), fail(circuit), succeed(circuit), fail(circuit), fail(circuit)] == [True] * 5
    assert circuit.allows()
    assert fail(circuit)
    assert (circuit.is_open, circuit.allows(), fail(circuit)) == (True, False, False)


def test_one_probe_is_let_through_and_closes_it(circuit: Circuit, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        fail(circuit)
    time.sleep(circuit.wait)
    probe = circuit.begin()
    assert probe is not None
    assert circuit.begin() is None, "one at a time"
    circuit.end(probe)
    assert (circuit.is_open, circuit.allows()) == (False, True)
    opened = (
        "The cache has failed or not answered 3 times in a row. It is left alone, and asked again after 0.1 s and then "
        "from time to time, until it answers."
    )
    assert caplog.messages == [
        "The cache fails (ConnectionError: gone).",
        opened,
        "The cache answers again, and is used again.",
    ]


def test_each_probe_that_fails_doubles_the_pause_up_to_a_bound(circuit: Circuit) -> None:
    for _ in range(3):
        fail(circuit)
    pauses = [circuit._pause]
    for _ in range(3):
        time.sleep(circuit.wait)
        assert fail(circuit)
        pauses.append(circuit._pause)
    assert pauses == [0.1, 0.2, 0.2, 0.2]


def test_attempts_that_hang_count_as_failures_at_the_next_call_and_not_for_ever(circuit: Circuit) -> None:
    hanging = [circuit.begin() for _ in range(3)]
    assert circuit.allows()
    time.sleep(0.06)
    assert (circuit.allows(), circuit.is_open) == (False, True)
    time.sleep(circuit.wait)
    assert succeed(circuit)
    for attempt in hanging:
        assert attempt is not None
        circuit.end(attempt, OSError("at last"))
    assert circuit.allows(), "they were counted when they were late"


def test_a_probe_that_hangs_is_a_failure_too(circuit: Circuit) -> None:
    for _ in range(3):
        fail(circuit)
    time.sleep(circuit.wait)
    assert circuit.begin() is not None
    time.sleep(0.06)
    assert not circuit.allows()
    time.sleep(circuit.wait)
    assert succeed(circuit)
    assert not circuit.is_open


def test_a_forced_attempt_is_let_through_in_any_case(circuit: Circuit) -> None:
    for _ in range(3):
        fail(circuit)
    attempt = circuit.begin(forced=True)
    assert attempt is not None
    circuit.end(attempt)
    assert not circuit.is_open


def test_many_threads_get_one_probe_between_them(circuit: Circuit) -> None:
    for _ in range(3):
        fail(circuit)
    time.sleep(circuit.wait)
    probes = []
    meeting = threading.Barrier(16)

    def ask() -> None:
        meeting.wait(5)
        if (attempt := circuit.begin()) is not None:
            probes.append(attempt)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(probes) == 1
