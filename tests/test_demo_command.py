"""`python -m examples.services`, which `make demo` runs: it serves, and ends with all that it
started.
"""

import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ["", "s3/", "files/", "catalog/", "dashboard/", "weather/", "leaderboard/"]

pytestmark = pytest.mark.slow

Demo = subprocess.Popen[str]


def start(*options: str) -> Demo:
    return subprocess.Popen(
        [sys.executable, "-m", "examples.services", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def address(demo: Demo) -> str:
    """Read until the demo says where it is."""
    assert demo.stdout
    said = []
    for line in demo.stdout:
        said.append(line)
        if found := re.search(r"djust demo: (http://\S+)", line):
            return found[1]
    raise AssertionError("".join(said))


def children(demo: Demo) -> list[int]:
    listed = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text()
    return [int(pid) for pid in listed.split()]


@pytest.fixture
def demo() -> Iterator[Demo]:
    with start("--port", "0") as demo:
        try:
            yield demo
        finally:
            if demo.poll() is None:
                demo.terminate()


def test_every_page_is_served(demo: Demo) -> None:
    url = address(demo)
    for page in PAGES:
        with urllib.request.urlopen(url + page, timeout=20) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
            assert ("data-djust=" in answer.read().decode()) is (page != "")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_all_that_it_started(demo: Demo, ending: signal.Signals) -> None:
    address(demo)
    started = children(demo)
    demo.send_signal(ending)
    rest, _ = demo.communicate(timeout=30)
    assert (demo.returncode, "Traceback" in rest) == (0, False), rest
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []


def test_a_port_that_is_taken_is_an_error_with_advice(demo: Demo) -> None:
    port = address(demo).rstrip("/").rpartition(":")[2]
    with start("--port", port) as second:
        said, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert (
        said.strip()
        == f"Port {port} is taken (Address already in use). Choose another one: make demo ARGS='--port 8001'"
    )
