"""How much one browser may ask for."""

import pytest

from djust.live.limits import Bucket, is_too_big


def test_a_bucket_allows_a_burst_and_then_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    bucket = Bucket(10)
    assert [bucket.take() for _ in range(21)] == [True] * 20 + [False]
    now = 0.55
    assert [bucket.take() for _ in range(6)] == [True] * 5 + [False]
    now = 1000
    assert [bucket.take() for _ in range(21)] == [True] * 20 + [False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ("x" * 100, False), ("x" * 101, True), ("ä" * 50, False), ("ä" * 51, True), ("😀" * 25, False)],
)
def test_frames_are_measured_in_bytes(text: str, expected: bool) -> None:
    assert is_too_big(text, 100) is expected
