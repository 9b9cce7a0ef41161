"""What holds for every test."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from djust.live.channel import joins
from djust.live.transports.post import _connections

BROWSER_TESTS = Path(__file__).parent / "browser"


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Browser tests come last and carry their marker.

    Playwright's loop stays in the main thread once a browser is open, and asyncio starts no second
    one beside it. Other plugins sort as well, so this comes after them.
    """
    for item in items:
        if BROWSER_TESTS in item.path.parents:
            item.add_marker("browser")
    yield
    items.sort(key=lambda item: BROWSER_TESTS in item.path.parents)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where tests run in several processes, a file runs in one of them: its servers start once.

    One process gets all browser tests, which measure time.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return "browser" if path.startswith("tests/browser/") else path

    return Scheduler(config, log)


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
    _connections.clear()


@pytest.fixture(params=["socket", "posts", "stream"])
def wire(request: pytest.FixtureRequest) -> Any:
    """A page over each transport of a browser."""
    from tests.transports import BY_NAME  # Models are imported when Django has been set up.

    return BY_NAME[request.param]


@pytest.fixture(params=["socket", "posts", "stream", "client"])
def driver(request: pytest.FixtureRequest) -> Any:
    """The test client as well, which has no connection that could be lost."""
    from tests.transports import BY_NAME

    return BY_NAME[request.param]
