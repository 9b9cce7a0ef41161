"""Which values may stand in the public state, and what is said about the others."""

import logging
import sys
import threading
import timeit
import uuid
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from time import sleep
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.db.models import BinaryField, Value
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from djust import LiveView, computed, state
from djust.state.validation import check_state
from djust.views import state_of


class Point(NamedTuple):
    x: int
    y: int


class Colour(Enum):
    RED = 1


@dataclass
class Row:
    name: str
    parts: list[Any] = field(default_factory=list)


class S3Client:
    """A stand-in for a service."""


S3Client.__module__ = "botocore.client"


class OtherText(str):
    __slots__ = ()


class OtherList(list[int]):
    pass


@dataclass
class RowList(list):  # type: ignore[type-arg]
    name: str = "x"


class Zone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1)


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


GOOD: dict[str, Any] = {
    "nothing": None,
    "primitives": [True, 1, 1.5, "x"],
    "collections": {"a": (1, {2}, frozenset({3})), 4: [], ("x", 5): {}},
    "dates": [date(2030, 1, 1), datetime(2030, 1, 1, tzinfo=UTC), time(1, 2), timedelta(days=1)],
    "others": (uuid.uuid4(), Decimal("1.1"), Colour.RED, {Colour.RED: 1}),
    "dataclass": Row("x", [Row("y")]),
    "texts": [mark_safe("<b>"), gettext_lazy("Yes")],
    "known subclasses": [Point(1, 2), OrderedDict(a=1), defaultdict(list, a=[1]), Counter("aab")],
    "models": [User(username="x"), User(pk=7), User.objects.all(), User.objects.values("username")],
    "zones": [
        datetime(2030, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
        time(1, tzinfo=timezone(timedelta(hours=1), "X")),
    ],
    "lazy": SimpleLazyObject(lambda: pytest.fail("was loaded")),
}

BAD: dict[str, Any] = {
    "service": S3Client(),
    "nested": {"rows": [{"a": 1}, {"client": S3Client()}]},
    "key": {S3Client(): 1},
    "in_set": {1, S3Client()},
    "in_dataclass": Row("x", [S3Client()]),
    "lock": threading.Lock(),
    "function": lambda: 1,
    "generator": (n for n in []),
    "bytes": b"x",
    "class": Row,
    "exception": ValueError("x"),
    "loaded": SimpleLazyObject(S3Client),
    "other subclass": OtherText("x"),
    "other list": OtherList([1]),
    "factory": defaultdict(S3Client),
    "two in one": RowList(),
    "model that holds it": User(username=S3Client()),
    "row that has no class": User.objects.values_list("pk", named=True),
    "zone": [datetime(2030, 1, 1, tzinfo=Zone())],
    "time of a zone": time(1, tzinfo=Zone()),
    "key without text": {Unprintable(): 1},
}
str(BAD["loaded"])


def strict(**state: Any) -> None:
    check_state(type("SomeView", (), {}), state, strict=True)


@pytest.mark.parametrize("name", GOOD)
def test_serializable_values_are_accepted(name: str) -> None:
    strict(value=GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_other_values_are_not(name: str) -> None:
    with pytest.raises(TypeError, match="LiveView state contains non-serializable value"):
        strict(value=BAD[name])


TEXT = (
    "LiveView state contains non-serializable value: S3Client (from botocore.client). This will be converted to a "
    "string, which may cause AttributeError on deserialization. Consider using self._<attr> for private state, or "
    "re-initialize in mount()/event handlers. The value stands in S3View.{name}."
)


def test_strict_mode_raises_every_time_with_the_text_that_helps() -> None:
    view = type("S3View", (), {})
    for _ in range(2):
        with pytest.raises(TypeError) as caught:
            check_state(view, {"a": 1, "s3": S3Client()}, strict=True)
        assert str(caught.value) == TEXT.format(name="s3")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([0, 1, 2, {"client": S3Client()}], 'rows[3]["client"]'),
        ({("a", 1): [S3Client()]}, "rows[('a', 1)][0]"),
        (Row("x", [S3Client()]), "rows.parts[0]"),
        ({S3Client()}, "rows{…}"),
        (Point(1, S3Client()), "rows.y"),  # type: ignore[arg-type] # nobody checks
        ([User(username=S3Client())], "rows[0].username"),
        ({"a": defaultdict(S3Client)}, 'rows["a"].default_factory'),
    ],
)
def test_the_way_to_a_value_inside_is_named(value: Any, path: str) -> None:
    with pytest.raises(TypeError) as caught:
        check_state(type("S3View", (), {}), {"rows": value}, strict=True)
    assert str(caught.value).endswith(f"The value stands in S3View.rows, as view.{path}.")


def test_otherwise_a_warning_is_given_once_for_each_attribute(caplog: pytest.LogCaptureFixture) -> None:
    view = type("S3View", (), {})
    for _ in range(3):
        check_state(view, {"s3": S3Client(), "other": S3Client()}, strict=False)
    assert caplog.record_tuples == [
        ("djust.serialization", logging.WARNING, TEXT.format(name="s3")),
        ("djust.serialization", logging.WARNING, TEXT.format(name="other")),
    ]


def test_another_class_is_warned_about_as_well(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("S3View", "OtherView"):
        check_state(type(name, (), {}), {"s3": S3Client()}, strict=False)
    assert len(caplog.messages) == 2


def test_what_holds_itself_is_not() -> None:
    circle: list[Any] = [1]
    circle.append({"self": circle})
    wide: list[Any] = []
    wide.extend([wide] * 1000)
    for value in (circle, wide, [circle, S3Client()]):
        with pytest.raises(TypeError, match=r"non-serializable value: list \(from builtins\)"):
            strict(value=value)
    many = [[0]]
    for _ in range(30):
        many = [many, many]  # type: ignore[list-item] # 2 ** 30 ways to the same list
    strict(value=many)


def test_deep_nesting_is_followed_to_its_end() -> None:
    value: Any = S3Client()
    for _ in range(5000):
        value = [value]
    with pytest.raises(TypeError):
        strict(value=value)


def test_private_attributes_and_what_a_class_holds_are_never_looked_at() -> None:
    class Shop(LiveView):
        client = S3Client()
        _client = state(default_factory=S3Client)

        @computed
        def fresh(self) -> S3Client:
            return S3Client()

    view = Shop()
    view._other = [view._client, view.fresh]  # type: ignore[attr-defined]
    check_state(Shop, state_of(view), strict=True)
    view.other = view._client  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"stands in Shop\.other\.$"):
        check_state(Shop, state_of(view), strict=True)


@pytest.mark.django_db
def test_what_values_gives_is_looked_at_once_it_is_there(django_assert_num_queries: Any) -> None:
    User.objects.create(username="x")
    queryset = User.objects.annotate(raw=Value(b"x", output_field=BinaryField())).values("raw")
    with django_assert_num_queries(0):
        strict(value=queryset)
    list(queryset)
    with pytest.raises(TypeError, match=r"bytes \(from builtins\).*value\[0\]"):
        strict(value=queryset)


ROWS: dict[str, list[Any]] = {
    "dictionaries": [{"id": n, "label": f"row {n}", "price": 1.5, "tag": None} for n in range(1000)],
    "dataclasses": [Row(f"row {n}") for n in range(1000)],
    "named tuples": [Point(n, n) for n in range(1000)],
    "moments": [{"at": datetime(2030, 1, 1, tzinfo=UTC)} for _ in range(1000)],
    "sets": [{n} for n in range(1000)],
}


@pytest.mark.parametrize("name", ROWS)
def test_a_thousand_rows_cost_next_to_nothing(name: str) -> None:
    assert _fastest(type("SomeView", (), {}), {"rows": ROWS[name], "count": 1}) < 0.001, "0.2 ms on a quiet machine"


@pytest.mark.parametrize("odd", [SimpleLazyObject(S3Client), S3Client()], ids=["lazy", "reported"])
def test_an_odd_attribute_does_not_make_the_others_slow(odd: Any) -> None:
    assert _fastest(type("SomeView", (), {}), {"rows": ROWS["dictionaries"], "odd": odd}) < 0.002


def _fastest(view: type, state: dict[str, Any]) -> float:
    """Seconds of the fastest of many checks, in moments apart: others may have the machine for a
    while.

    The coverage of tests is not counted meanwhile, which takes several times as long as a check.
    """
    times: list[float] = []
    tracer = sys.gettrace()
    sys.settrace(None)
    for _ in range(8):
        times += timeit.repeat(lambda: check_state(view, state, strict=False), number=1, repeat=20)
        sleep(0.05)
    sys.settrace(tracer)
    return min(times)
