"""How long the way of one click through the server is: files that it enters, functions of ours that
it calls.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FILES = 18
CALLS = 90


@pytest.mark.slow
def test_a_click_takes_a_short_way_through_the_server() -> None:
    script = [sys.executable, "scripts/trace_click.py"]
    traced = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert traced.returncode == 0, traced.stderr
    *calls, summary = traced.stdout.splitlines()
    found = re.fullmatch(r"(\d+) files, (\d+) calls", summary)
    assert found is not None, summary
    assert int(found[1]) <= FILES, "\n".join(calls)
    assert int(found[2]) <= CALLS, "\n".join(calls)
