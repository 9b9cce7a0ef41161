"""Where pages wait, how long, and how many."""

import subprocess
import sys
from typing import Any

import pytest
from django.test import RequestFactory

from djust import LiveView
from djust.live.page import Page
from djust.live.registry import Registry


class Simple(LiveView):
    template = "<p></p>"


class Connection:
    async def send(self, text: str) -> None: ...

    def close(self, code: int, text: str = "") -> None: ...


class Clock:
    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    Clock.now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def registry() -> Registry:
    return Registry()


def page() -> Page:
    return Page(Simple(), RequestFactory().get("/"))


def test_a_parked_page_is_claimed_once(registry: Registry) -> None:
    parked, one, other = page(), Connection(), Connection()
    registry.park(parked)
    assert registry.claim(parked.id, one, "a") == (parked, None)
    assert registry.claim(parked.id, other, "b") == (None, None)


def test_an_unknown_page_is_not_found(registry: Registry) -> None:
    assert registry.claim("nothing", Connection(), "a") == (None, None)


def test_a_parked_page_expires(registry: Registry, clock: type[Clock]) -> None:
    parked = page()
    registry.park(parked)
    clock.now += 31
    assert registry.claim(parked.id, Connection(), "a") == (None, None)


def test_a_detached_page_waits_longer(registry: Registry, clock: type[Clock]) -> None:
    one, connection = page(), Connection()
    registry.attach(one, connection, "a")
    clock.now += 1000
    registry.release(one, connection)
    clock.now += 59
    assert registry.claim(one.id, connection, "a") == (one, None)
    registry.release(one, connection)
    clock.now += 61
    assert registry.claim(one.id, connection, "a") == (None, None)


def test_sweeping_forgets_what_has_expired_and_nothing_else(registry: Registry, clock: type[Clock]) -> None:
    registry.park(page())
    clock.now += 20
    late, connection = page(), Connection()
    registry.park(late)
    attached = page()
    registry.attach(attached, connection, "a")
    clock.now += 20
    registry.sweep()
    assert len(registry) == 2
    assert registry.claim(late.id, connection, "a") == (late, None)


def test_expired_pages_go_without_a_sweeper_too(registry: Registry, clock: type[Clock]) -> None:
    for _ in range(5):
        registry.park(page())
    clock.now += 31
    registry.park(page())
    assert len(registry) == 1


def test_of_too_many_waiting_pages_the_oldest_go(registry: Registry, settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"max_pages": 2}
    pages = [page() for _ in range(4)]
    for one in pages:
        registry.park(one)
    claimed = [registry.claim(one.id, Connection(), "a")[0] for one in pages]
    assert claimed == [None, None, pages[2], pages[3]]


def test_no_page_waits_where_none_may(registry: Registry, settings: Any) -> None:
    settings.LIVEVIEW_CONFIG = {"max_pages": 0}
    registry.park(page())
    assert len(registry) == 0


def test_an_attached_page_is_given_up_to_the_same_document_only(registry: Registry) -> None:
    one, old, new = page(), Connection(), Connection()
    registry.attach(one, old, "a")
    for document in ("b", ""):
        assert registry.claim(one.id, new, document) == (None, None)
    assert registry.claim(one.id, new, "a") == (one, old)
    registry.release(one, old)
    assert registry.claim(one.id, Connection(), "b") == (None, None), "it is still attached to the new one"


async def test_the_sweeper_starts_once_and_stops(registry: Registry, clock: type[Clock]) -> None:
    registry.park(page())
    clock.now += 31
    registry.sweeper.start()
    assert len(registry) == 0
    registry.sweeper.start()
    registry.sweeper.stop()


@pytest.mark.slow
def test_a_process_that_was_forked_has_no_pages_and_ends_none() -> None:
    script = """
import gc, os
import django
from django.conf import settings
engine = "django.template.backends.django.DjangoTemplates"
settings.configure(SECRET_KEY="x", ROOT_URLCONF="", INSTALLED_APPS=["djust"], TEMPLATES=[{"BACKEND": engine}])
django.setup()
from django.test import RequestFactory
from djust import LiveView, service
from djust.context import all_contexts
from djust.live.page import Page
from djust.live.registry import registry
from djust.loop import page_loop

class Client:
    def close(self):
        raise AssertionError("it is the parent's")

class Board(LiveView):
    template = "<p></p>"
    client = service(Client, scope="page")

view = Board()
page = Page(view, RequestFactory().get("/"))
page.prepare()
registry.park(page)
assert view.client
registry._lock.acquire()  # as another thread may have done
if (child := os.fork()) == 0:
    del view, page
    gc.collect()
    print(registry.pages(), all_contexts(), page_loop._loop, flush=True)
    os._exit(0)
registry._lock.release()
print(os.waitpid(child, 0)[1], len(registry))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.splitlines() == ["[] [] None", "0 1"], done.stderr
