"""What holds for every test."""

from pathlib import Path

import pytest

from djust.live.limits import joins

BROWSER_TESTS = Path(__file__).parent / "browser"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last and carry their marker.

    Playwright's loop stays in the main thread once a browser is open, and asyncio starts no second one beside it.
    """
    for item in items:
        if BROWSER_TESTS in item.path.parents:
            item.add_marker("browser")
    items.sort(key=lambda item: BROWSER_TESTS in item.path.parents)


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    """Each test joins as often as it likes, though they all use the same few names for pages."""
    joins._buckets.clear()
