"""Processes that were forked from one that had begun to work, as by a server that loads the
application before it forks its workers.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def printed_by(script: str) -> list[str]:
    """The lines that a program prints, its forks included, in the project of the tests."""
    setup = "import django, os; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'; django.setup()"
    # Newer versions of Python warn of forks in processes with threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", f"{setup}\n{script}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_no_lock_of_the_process_is_held_in_a_fork_whoever_held_it() -> None:
    script = """
import importlib, pkgutil, sys, threading
import djust

LOCKS = (type(threading.Lock()), type(threading.RLock()), threading.Condition)

for module in pkgutil.walk_packages(djust.__path__, "djust."):
    importlib.import_module(module.name)

def locks():
    found, seen = {}, set()
    def look(name, value):
        if isinstance(value, LOCKS):
            found.setdefault(id(value), (name, value))
        elif type(value).__module__.startswith("djust") and id(value) not in seen:
            seen.add(id(value))
            for attribute, member in [*getattr(value, "__dict__", {}).items()]:
                look(f"{name}.{attribute}", member)
    for module in [name for name in sys.modules if name.startswith("djust")]:
        for name, value in [*vars(sys.modules[module]).items()]:
            look(f"{module}.{name}", value)
    return dict(found.values())

def hold():
    for lock in held.values():
        lock.acquire()

held = locks()
holder = threading.Thread(target=hold)
holder.start()
holder.join()
print(len(held) > 15, flush=True)
if (child := os.fork()) == 0:
    print([name for name, lock in locks().items() if not lock.acquire(blocking=False)], flush=True)
    os._exit(0)
os.waitpid(child, 0)
os._exit(0)
"""
    assert printed_by(script) == ["True", "[]"]


def test_a_logout_in_a_fork_reaches_the_others_of_its_family() -> None:
    script = """
import json, threading
from django.test import RequestFactory
from djust import LiveView
from djust.live import logout
from djust.live.page import Page
from djust.live.registry import registry
from djust.pubsub.hub import Publication, hub

class Wire:
    topics = set()

    def put(self, publication):
        os.write(write, json.dumps(publication.message).encode())
        os._exit(0)

class View(LiveView):
    template = "<p></p>"

page = Page(View(), RequestFactory().get("/"))
page.visitor = page.visitor._replace(session="ada")
registry.park(page)
read, write = os.pipe()
if os.fork() == 0:
    hub.subscribe(Wire(), logout.TOPIC).result(10)
    logout._publish("ada")
    threading.Event().wait(30)
os.close(write)
logout.monitor.put(Publication(logout.TOPIC, json.loads(os.read(read, 1000))))
print(len(registry), flush=True)
os._exit(0)
"""
    assert printed_by(script) == ["0"]
