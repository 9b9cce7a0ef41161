"""No test of Django's that passes with Django's rendering fails when its templates are rendered by
compiled code.

The selection is run once, compiled, in two processes. What fails is run again with plain Django: a
test that passes then is a failure of ours, one that fails then too is the machine's (a test that
expects missing rights fails for root).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.django_suite.package import VERSION, NoPackageError, source_package, unpack

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parent / "compiled.py"
SOURCE = Path(__file__).parents[2] / "src"
SECONDS = 600

# Of the large packages, the parts that render templates. The halves take about the same time.
CACHE_TAG = [
    "cache.tests.CacheMiddlewareTest",
    "cache.tests.TestWithTemplateResponse",
    "cache.tests.TestMakeTemplateFragmentKey",
]
HALVES = [
    ["admin_views"],
    ["template_tests", "template_backends", "template_loader", "i18n", "forms_tests", "staticfiles_tests", *CACHE_TAG],
]
# At least this many tests are there in any version; fewer mean that the selection has gone wrong.
FEWEST = 3000

# Tests that may fail with us: label -> the reason, which follows from the documentation of Django
# or of Python.
EXCEPTIONS: dict[str, str] = {}


def run(tests: Path, result: Path, labels: list[str], *options: str) -> dict[str, Any]:
    """What `compiled.py` writes about these tests."""
    command = [sys.executable, "-W", "ignore", str(PROGRAM), *options, str(tests), str(result), *labels]
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "COV_", "PYTEST"))
    }
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**inherited, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert result.exists(), f"Django's tests did not run to their end.\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
    found: dict[str, Any] = json.loads(result.read_text())
    return found


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return unpack(source_package(), tmp_path_factory.mktemp("django"))
    except NoPackageError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="module")
def halves(tests: Path) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(len(HALVES)) as pool:
        return list(pool.map(lambda n: run(tests, tests / f"half{n}.json", HALVES[n]), range(len(HALVES))))


@pytest.mark.timeout(3 * SECONDS)
def test_no_test_of_django_fails_because_of_us(
    tests: Path, halves: list[dict[str, Any]], record_property: Callable[[str, object], None]
) -> None:
    ran, skipped = (sum(half[key] for half in halves) for key in ("ran", "skipped"))
    failed: dict[str, str] = {label: text for half in halves for label, text in half["failed"].items()}
    plain = run(tests, tests / "plain.json", sorted(failed), "--plain")["failed"] if failed else {}
    also = f", {len(plain)} of them also without us" if failed else ""
    record_property("table", f"Django {VERSION}: {ran} tests, {skipped} skipped, {len(failed)} failed{also}")
    ours = {label: text for label, text in failed.items() if label not in plain and label not in EXCEPTIONS}
    assert not ours, "\n".join(f"{label} passes without us.\n{text}" for label, text in ours.items())
    assert ran >= FEWEST
    assert len(EXCEPTIONS) <= 5
    assert set(EXCEPTIONS) <= set(failed), "these pass; they are no exceptions any more"


def test_all_of_djangos_own_tags_are_compiled(
    halves: list[dict[str, Any]], record_property: Callable[[str, object], None]
) -> None:
    counts = {kind: sum((Counter(half["items"][kind]) for half in halves), Counter()) for kind in ("native", "opaque")}
    for origin, title in (("django", "Django's own tags"), ("other", "other tags")):
        row = f"  {title:18}{counts['native'][origin]:7} native {counts['opaque'][origin]:5} opaque"
        record_property("table", row)
    assert counts["opaque"]["django"] == 0, [half["opaque"] for half in halves]
    assert counts["native"]["django"] > 10_000
