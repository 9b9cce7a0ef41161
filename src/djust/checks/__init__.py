"""System checks: `manage.py check --tag djust`.

    myapp/views.py:15: (djust.V006) MyView.api_client looks like a service instance stored in state.
            HINT: Service instances are not JSON-serializable. Use a helper method instead.

`views.py` reads the source of the project's views (`sources.py`), follows values through it
(`flow.py`, `values.py`) and knows what cannot be state (`services.py`); `attributes.py` finds
attributes that nothing reads (`mentions.py`); `templates.py` looks into compiled templates;
settings are checked here. Each finding has a code, a place and a hint; `# noqa: V006` on the line
and `SILENCED_SYSTEM_CHECKS` silence it.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import Warning as Finding
from django.core.checks import register
from django.core.checks.registry import CheckRegistry
from django.utils.module_loading import import_string

from djust.asgi import Application
from djust.checks.sources import Project, Text, did_you_mean, shown
from djust.checks.templates import check_templates
from djust.checks.views import check_view
from djust.conf import SETTING, Config

__all__ = ["register_checks"]

_TAG = "djust"
Apps = Sequence[AppConfig] | None


def register_checks() -> None:
    for check in (views, templates, configuration):
        register(check, _TAG)


def views(app_configs: Apps = None, **_: Any) -> list[Finding]:
    """V001, V003, V004, V006, V007, V008, V010, V011."""
    project = Project(app_configs)
    return _distinct(finding for view in project.views for finding in check_view(view, project))


def templates(app_configs: Apps = None, **_: Any) -> list[Finding]:
    """V005, V009, S001, and what V001 and V004 need templates for. Only under `--tag djust` and
    `--deploy`.

    Compiling all templates takes time, and every command of Django runs the checks first.
    """
    return _distinct(check_templates(Project(app_configs))) if _is_asked_for() else []


def _is_asked_for() -> bool:
    # Django does not pass this to checks; the function that runs them has it.
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not CheckRegistry.run_checks.__code__:
        frame = frame.f_back
    given = {} if frame is None else frame.f_locals
    return _TAG in (given.get("tags") or ()) or bool(given.get("include_deployment_checks"))


def configuration(**_: Any) -> list[Finding]:
    """C001, C002, C003."""
    text = _settings_text()
    return [*_asgi(text), *_workers(text), *_keys(text)]


def _distinct(findings: Iterable[Finding]) -> list[Finding]:
    # What a view inherits is found once for each class.
    return list({(finding.id, finding.obj, finding.msg): finding for finding in findings}.values())


# C001


def _asgi(text: Text) -> Iterator[Finding]:
    name = getattr(settings, "ASGI_APPLICATION", None)
    hint = f'Set ASGI_APPLICATION = "{_project_name()}.asgi.application", made by djust.asgi.get_asgi_application().'
    if not name:
        yield from text.finding("C001", 1, "ASGI_APPLICATION is not set, so that pages have no socket.", hint)
        return
    line = text.line_of(r"^\s*ASGI_APPLICATION\b") or 1
    try:
        application = import_string(name)
    except ImportError as error:
        yield from text.finding("C001", line, f'ASGI_APPLICATION = "{name}" cannot be imported: {error}.', hint)
        return
    if not _leads_to_ours(application, 8, set()):
        message = f'ASGI_APPLICATION = "{name}" does not serve the socket of live pages.'
        yield from text.finding("C001", line, message, hint)


def _project_name() -> str:
    module: str = getattr(settings, "ROOT_URLCONF", None) or getattr(settings, "SETTINGS_MODULE", None) or "project"
    return module.rpartition(".")[0] or module


def _leads_to_ours(thing: Any, depth: int, seen: set[int]) -> bool:
    """Whether `thing` is our application or holds it: in attributes, closures or routes."""
    if isinstance(thing, Application):
        return True
    if depth == 0 or id(thing) in seen or isinstance(thing, str | bytes | int | float | type | None):
        return False
    seen.add(id(thing))
    inside: list[Any] = list(vars(thing).values()) if hasattr(thing, "__dict__") else []
    if isinstance(thing, Mapping):
        inside += thing.values()
    elif isinstance(thing, list | tuple | set | frozenset):
        inside += thing
    if inspect.isfunction(thing):
        inside += inspect.getclosurevars(thing).nonlocals.values()
    # A partial or a method.
    inside += [getattr(thing, name, None) for name in ("func", "args", "keywords", "__self__")]
    return any(_leads_to_ours(one, depth - 1, seen) for one in inside)


# C002


def _workers(text: Text) -> Iterator[Finding]:
    source = _several_workers()
    if source is None:
        return
    given = _given()
    line = text.line_of(rf"^\s*{SETTING}\b") or 1
    if given.get("pubsub", "memory") == "memory":
        yield from text.finding(
            "C002",
            line,
            f'{source} asks for several workers, and {SETTING}["pubsub"] is "memory", which reaches one of them.',
            f'Set {SETTING}["pubsub"] to "postgres" or to the address of a Redis or PostgreSQL server.',
        )
    alias = given.get("state_cache", "default")
    backend = settings.CACHES.get(alias, {}).get("BACKEND")
    kind = import_string(backend) if backend else None
    if isinstance(kind, type) and issubclass(kind, LocMemCache | DummyCache):
        line = text.line_of(r"^\s*CACHES\b") or line
        yield from text.finding(
            "C002",
            line,
            f'{source} asks for several workers, and the cache "{alias}", which keeps pages, is {kind.__name__}: '
            "another worker finds nothing in it.",
            f'Let {SETTING}["state_cache"] name a cache that workers share, such as Redis, a database or files.',
        )


def _several_workers() -> str | None:
    """What says that several processes serve, if it can be seen."""
    for name in ("WEB_CONCURRENCY", "UVICORN_WORKERS"):
        if os.environ.get(name, "").isdecimal() and int(os.environ[name]) > 1:
            return f"{name}={os.environ[name]}"
    arguments = os.environ.get("GUNICORN_CMD_ARGS", "")
    found = re.search(r"(?:^|\s)(?:-w\s*|--workers[\s=]+)(\d+)", arguments)
    return f"GUNICORN_CMD_ARGS={arguments}" if found and int(found[1]) > 1 else None


# C003


def _keys(text: Text) -> Iterator[Finding]:
    known = {field.name for field in fields(Config)}
    for key in _given().keys() - known:
        place = rf"""["']?\b{re.escape(str(key))}\b["']?\s*[:=]"""
        line = text.line_of(place) or text.line_of(rf"^\s*{SETTING}\b") or 1
        hint = did_you_mean(str(key).lower(), known, f"The keys are {', '.join(sorted(known))}.")
        yield from text.finding("C003", line, f'{SETTING} has the unknown key "{key}".', hint)


def _given() -> dict[str, Any]:
    given = getattr(settings, SETTING, {})
    return given if isinstance(given, dict) else {}


def _settings_text() -> Text:
    """The file of the settings, so far as there is one."""
    name = getattr(settings, "SETTINGS_MODULE", None) or "settings"
    path = getattr(sys.modules.get(name), "__file__", None)
    if path is None:
        return Text(name, "")
    return Text(shown(path, name), Path(path).read_text(encoding="utf-8"))
