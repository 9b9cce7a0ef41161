"""Which values may stand in the public state, and what is said about the others."""

import logging
import threading
import uuid
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from time import perf_counter
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from djust.state.validation import check_state


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


GOOD: dict[str, Any] = {
    "nothing": None,
    "primitives": [True, 1, 1.5, "x"],
    "collections": {"a": (1, {2}, frozenset({3})), 4: [], ("x", 5): {}},
    "dates": [date(2030, 1, 1), datetime(2030, 1, 1, tzinfo=UTC), time(1, 2), timedelta(days=1)],
    "others": (uuid.uuid4(), Decimal("1.1"), Colour.RED, {Colour.RED: 1}),
    "dataclass": Row("x", [Row("y")]),
    "texts": [mark_safe("<b>"), gettext_lazy("Yes")],
    "known subclasses": [Point(1, 2), OrderedDict(a=1), defaultdict(list, a=[1]), Counter("aab")],
    "models": [User(username="x"), User.objects.all()],
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


def test_a_thousand_rows_cost_next_to_nothing() -> None:
    rows = [{"id": n, "label": f"row {n}", "price": 1.5, "tag": None} for n in range(1000)]
    fastest = min(_seconds(rows) for _ in range(20))
    assert fastest < 0.001, "0.2 ms on a quiet machine"


def _seconds(rows: list[Any]) -> float:
    start = perf_counter()
    strict(rows=rows, count=1)
    return perf_counter() - start
