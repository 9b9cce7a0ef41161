"""The settings of this package: one dict, `LIVEVIEW_CONFIG`, with lower-case keys.

    LIVEVIEW_CONFIG = {"strict_serialization": True, "threads": 64}

`config.threads` is the value that holds now, or its default. It costs no call, so it may be asked
for at every event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

SETTING = "LIVEVIEW_CONFIG"


@dataclass(frozen=True, slots=True)
class Config:
    """The known keys of `LIVEVIEW_CONFIG` with their defaults."""

    strict_serialization: bool = False
    """Public state that cannot be serialized raises `TypeError` instead of a warning."""
    threads: int = 32
    """How many `def` handlers run at the same time in one process, and as many mounts as well."""
    max_queue: int = 1_000
    """How many GETs may wait for a thread in one process, as many short jobs of our own, and ten
    times as many events. djust refuses what comes beyond that at once."""
    hang_seconds: float = 5.0
    """A `def` that has run for longer is logged with its stack, and another thread may take its
    place; a task after sixty times as long. 0 turns this off."""
    handler_timeout: float = 0.0
    """Seconds after which an event is answered with an error, unless `@event_handler(timeout=…)`
    says another number; 0 for none."""
    skip_middleware: Sequence[str] = ()
    """Middleware, by dotted name, that GETs and POSTs pass, but not the turns of pages."""
    tasks: int = 32
    """How many `def` tasks run at the same time in one process, and 32 times as many coroutines."""
    tasks_per_page: int = 4
    """How many tasks of one page run at the same time; the others wait."""
    use_websocket: bool = True
    """With False, browsers post their events and do not try to open a socket."""
    socket_path: str = "/djust/socket/"
    max_frame: int = 65_536
    """Bytes of one frame from the browser."""
    max_pages: int = 10_000
    """Pages without a browser that one process keeps; the oldest go first."""
    max_waiting: int = 100
    """Frames that one page lets wait while a handler runs."""
    events_per_second: float = 100.0
    """Events of one page over a longer time; a burst may hold twice as many."""
    state_cache: str = "default"
    """The entry of CACHES that keeps snapshots of pages; with Redis they outlive the process."""
    state_ttl: int = 3_600
    """Seconds for which a snapshot is kept."""
    state_max_bytes: int = 1_000_000
    """A snapshot that is larger is not written."""
    max_page_bytes: int = 268_435_456
    """Bytes that pages without a browser may hold in one process, roughly; the oldest go first."""
    pages_per_session: int = 100
    """Pages without a browser that one process keeps for one visitor; the oldest go first."""
    pubsub: str = "memory"
    """What carries messages between processes: "memory" (nothing), "postgres", or the address of a
    service such as "redis://localhost:6379/0" or "postgresql://user:password@host/name"."""
    max_messages: int = 1_000
    """Published messages that wait for one page; beyond it the newest of each topic is kept."""
    park_seconds: float = 30.0
    """How long a page that was sent waits for its browser to join."""
    detach_seconds: float = 60.0
    """How long a page whose browser went away waits for it to come back."""
    session_check_seconds: float = 30.0
    """How often djust asks the session store whether a session still belongs to the same user."""
    join_seconds: float = 10.0
    """A socket that has not joined after this time is closed."""
    ticket_seconds: float = 86_400.0
    """The age limit of join tokens, and so of the HTML that holds them."""


class _Current:
    """The settings that hold now: read when one is first asked for, and attributes from then on."""

    def __getattr__(self, name: str) -> Any:
        current = asdict(_read(getattr(settings, SETTING, {})))
        if name not in current:
            raise AttributeError(f'There is no setting {SETTING}["{name}"].')
        vars(self).update(current)
        return current[name]


config = cast("Config", _Current())


_ACCEPTED: dict[type, tuple[type, ...]] = {float: (int, float), tuple: (list, tuple)}


def _read(given: dict[str, Any]) -> Config:
    known = {field.name: field.default for field in fields(Config)}
    for name in given.keys() & known.keys():
        expected = _ACCEPTED.get(type(known[name]), type(known[name]))
        if not isinstance(given[name], expected) or isinstance(given[name], bool) is not isinstance(known[name], bool):
            raise ImproperlyConfigured(
                f'{SETTING}["{name}"] must be {type(known[name]).__name__}; got {given[name]!r}. '
                f"The default is {known[name]!r}."
            )
    return Config(**{name: given[name] for name in given.keys() & known.keys()})


def _reset(*, setting: str, **_: object) -> None:
    if setting == SETTING:
        vars(config).clear()


setting_changed.connect(_reset)
