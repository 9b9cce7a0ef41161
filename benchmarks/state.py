"""What does it cost to check the state after an event, and to write and read it?

    python -m benchmarks.state               about ten seconds
    python -m benchmarks.state 1,000 rows    only states whose title begins so

Every state is checked as after an event that has changed nothing in it, written by `encode_state`,
and read by `decode_state`, which must give an equal state. Times are the best of many runs: what
the work takes, without what else the machine does. The check of 1,000 rows may take 0.2 ms; the
exit code is 1 if it takes longer.
"""

import sys
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="state",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "djust"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import Group  # noqa: E402 - the settings come first in a single-file project
from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402

from djust import LiveView  # noqa: E402
from djust.state.codec import decode_state, encode_state  # noqa: E402
from djust.state.validation import check_state  # noqa: E402

ROWS = 1000
CHECK_MS = 0.2
SECONDS = 0.3


class StateView(LiveView):
    pass


@dataclass
class Row:
    id: int
    label: str
    price: float
    tag: str | None


class Point(NamedTuple):
    x: int
    y: float


def states() -> dict[str, dict[str, Any]]:
    """The states by their titles."""
    now = timezone.now()
    groups = Group.objects.bulk_create(Group(name=f"group {n}") for n in range(ROWS))
    numbers = range(ROWS)
    return {
        "small page": {"count": 1, "name": "Ann", "open": True, "chosen": None, "tags": ["a", "b"]},
        "small page, typed": {
            "since": now,
            "price": Decimal("9.99"),
            "seen": {1, 2},
            "size": (1, 2),
            "group": groups[0],
        },
        f"{ROWS:,} rows": {
            "count": 1,
            "rows": [{"id": n, "label": f"row {n}", "price": 1.5, "tag": None} for n in numbers],
        },
        f"{ROWS:,} rows, with dates": {"rows": [{"id": n, "label": f"row {n}", "at": now} for n in numbers]},
        f"{ROWS:,} rows, dataclasses": {"rows": [Row(n, f"row {n}", 1.5, None) for n in numbers]},
        f"{ROWS:,} rows, named tuples": {"rows": [Point(n, 1.5) for n in numbers]},
        f"{ROWS:,} rows, saved models": {"rows": groups},
        f"{ROWS:,} rows, a QuerySet": {"rows": loaded()},
        f"{ROWS:,} rows, unsaved models": {"rows": [Group(name=f"group {n}") for n in numbers]},
    }


def loaded() -> Any:
    queryset = Group.objects.order_by("pk")
    len(queryset)
    return queryset


def milliseconds(work: Callable[[], object]) -> float:
    """The best time of one call."""
    timer = timeit.Timer(work)
    number, spent = timer.autorange()
    number = max(1, round(number * 0.02 / spent))
    return min(timer.repeat(max(5, round(SECONDS / 0.02)), number)) / number * 1000


def same(one: Any, other: Any) -> bool:
    """Whether two states are equal; instances without a key and QuerySets compare by what they
    hold.
    """
    if isinstance(one, Group) and one._state.adding:
        return type(other) is Group and other._state.adding and other.name == one.name
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if type(one) is type(other) and hasattr(one, "__iter__") and not isinstance(one, (str, set)):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def measure(title: str, state: dict[str, Any]) -> bool:
    """Print one line; whether the check was fast enough."""
    text = encode_state(state)
    if not same(state, decode_state(StateView, text).values):
        raise SystemExit(f"{title}: what was read is not what was written.")
    check = milliseconds(lambda: check_state(StateView, state, strict=True))
    encode = milliseconds(lambda: encode_state(state))
    decode = milliseconds(lambda: decode_state(StateView, text))
    missed = title == f"{ROWS:,} rows" and check > CHECK_MS
    cells = "".join(f"{cost:10.3f}{1000 / cost:12,.0f}" for cost in (check, encode, decode))
    print(f"{title:28}{cells}{len(text):11,}{'  missed' if missed else ''}")
    return not missed


def main(wanted: str) -> int:
    call_command("migrate", verbosity=0)
    print(
        f"{'':28}{'check':>10}{'a second':>12}{'encode':>10}{'a second':>12}{'decode':>10}{'a second':>12}{'bytes':>11}"
    )
    chosen = {title: state for title, state in states().items() if title.startswith(wanted)}
    if not chosen:
        print(f'No state has a title that begins with "{wanted}"; there are: {", ".join(states())}.')
        return 2
    fast = [measure(title, state) for title, state in chosen.items()]
    print(f"\nmilliseconds, best of many; the check of {ROWS:,} rows may take {CHECK_MS} ms")
    return 0 if all(fast) else 1


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
