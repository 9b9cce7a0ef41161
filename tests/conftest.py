"""What holds for every test."""

from pathlib import Path

import pytest

from djust.live.limits import joins

BROWSER_TESTS = Path(__file__).parent / "browser"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last and carry their marker.

    Playwright's loop stays in the main thread once a browser is open, and asyncio starts no second
    one beside it. Where tests run in several processes, one of them gets all browser tests, which
    measure time. Any other file is run by one process, so that its servers are started once.
    """
    for item in items:
        in_browser = BROWSER_TESTS in item.path.parents
        if in_browser:
            item.add_marker("browser")
        item.add_marker(pytest.mark.xdist_group("browser" if in_browser else item.path.stem))
    items.sort(key=lambda item: BROWSER_TESTS in item.path.parents)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables that tests have recorded."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "table":
                terminalreporter.write_line(str(text))


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    """Each test joins as often as it likes, though they all use the same few names for pages."""
    joins._buckets.clear()
