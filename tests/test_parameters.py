"""What browsers send becomes what annotations ask for, or is refused."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Literal, NewType, Optional, TypedDict, Union
from uuid import UUID

import pytest
from django.test import override_settings
from django.utils import timezone as django_timezone
from hypothesis import given
from hypothesis import strategies as st

from djust.events.parameters import Refused, Unsupported, converter, unchanged


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


@dataclass
class Address:
    street: str
    number: int = 0


class Options(TypedDict):
    name: str


UserId = NewType("UserId", int)
AN_ID = "12345678-1234-5678-1234-567812345678"

TAKEN: list[tuple[Any, Any, Any]] = [
    (int, "12", 12),
    (int, " -3 ", -3),
    (int, 7, 7),
    (int, 7.0, 7),
    (int, "9" * 300, int("9" * 300)),
    (float, "1.5", 1.5),
    (float, 2, 2.0),
    (bool, True, True),
    (bool, "on", True),
    (bool, "false", False),
    (bool, "", False),
    (bool, 1, True),
    (str, "x", "x"),
    (str, 3, "3"),
    (Decimal, "1.10", Decimal("1.10")),
    (Decimal, 2, Decimal(2)),
    (UUID, AN_ID, UUID(AN_ID)),
    (date, "2030-01-31", date(2030, 1, 31)),
    (time, "09:30", time(9, 30)),
    (datetime, "2030-01-31T09:30", datetime(2030, 1, 31, 9, 30, tzinfo=UTC)),
    (datetime, "2030-01-31T09:30+02:00", datetime(2030, 1, 31, 9, 30, tzinfo=timezone(timedelta(hours=2)))),
    (Colour, "red", Colour.RED),
    (Colour, "BLUE", Colour.BLUE),
    (Size, "2", Size.LARGE),
    (Size, 1, Size.SMALL),
    (Literal["a", 2], "a", "a"),
    (Literal["a", 2], "2", 2),
    (list, ["a", 1], ["a", 1]),
    (list, "a", ["a"]),
    (list[int], ["1", 2], [1, 2]),
    (list[int], "1", [1]),
    (list[int], [], []),
    (dict, {"a": 1}, {"a": 1}),
    (dict[str, int], {"a": "1"}, {"a": 1}),
    (dict[int, date], {"1": "2030-01-31"}, {1: date(2030, 1, 31)}),
    (Options, {"name": "x"}, {"name": "x"}),
    (list[Any], ["a", 1], ["a", 1]),
    (None, None, None),
    (Address, {"street": "Main", "number": "5", "other": 1}, Address("Main", 5)),
    (Optional[int], "", None),  # noqa: UP045 — both spellings are supported
    (int | None, None, None),
    (int | None, "4", 4),
    (str | None, "", ""),
    (Union[int, str], "4", 4),  # noqa: UP007 — both spellings are supported
    (int | str, "four", "four"),
    (UserId, "5", 5),
    (list[Colour | None], ["red", ""], [Colour.RED, None]),
]

REFUSED: list[tuple[Any, Any]] = [
    (int, "twelve"),
    (int, ""),
    (int, "1_000"),
    (int, "٣"),
    (int, "9" * 5000),
    (int, 1.5),
    (int, True),
    (int, None),
    (int, []),
    (int, math.nan),
    (float, "nan"),
    (float, "inf"),
    (float, math.inf),
    (float, 10**400),
    (float, "1_0"),
    (float, True),
    (bool, "maybe"),
    (bool, 2),
    (bool, None),
    (str, None),
    (str, True),
    (str, ["x"]),
    (Decimal, "NaN"),
    (Decimal, "Infinity"),
    (Decimal, "1e999999999"),
    (Decimal, "x"),
    (Decimal, {}),
    (UUID, "1234"),
    (UUID, 5),
    (date, "2030-02-31"),
    (date, "31.1.2030"),
    (date, 5),
    (time, "25:00"),
    (datetime, "yesterday"),
    (datetime, "0001-01-01T00:00+99:00"),
    (Colour, "green"),
    (Colour, ["red"]),
    (Size, True),
    (Literal["a", 2], "b"),
    (Literal[1], True),
    (list[int], ["1", "x"]),
    (dict, "x"),
    (dict[str, int], {"a": "b"}),
    (Address, {"number": 1}),
    (Address, "Main"),
    (int | None, "x"),
    (type(None), "x"),
]


@pytest.mark.parametrize(("annotation", "value", "expected"), TAKEN, ids=repr)
def test_a_value_that_fits_is_converted(annotation: Any, value: Any, expected: Any) -> None:
    result = converter(annotation)(value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(("annotation", "value"), REFUSED, ids=repr)
def test_a_value_that_does_not_fit_is_refused(annotation: Any, value: Any) -> None:
    convert = converter(annotation)
    with pytest.raises(Refused):
        convert(value)


@pytest.mark.parametrize("annotation", [Any, object, int | Any])
def test_what_says_nothing_takes_everything(annotation: Any) -> None:
    assert converter(annotation) is unchanged


@pytest.mark.parametrize("annotation", [complex, bytes, list[bytes], int | complex, type[int]])
def test_what_no_browser_can_send_is_not_supported(annotation: Any) -> None:
    with pytest.raises(Unsupported):
        converter(annotation)


def test_a_time_without_zone_is_meant_in_the_visitors_zone() -> None:
    convert = converter(datetime)
    with django_timezone.override("Europe/Paris"):
        assert convert("2030-07-01T12:00").utcoffset() == timedelta(hours=2)
    with override_settings(USE_TZ=False):
        assert convert("2030-07-01T12:00").tzinfo is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
SIMPLE = [int, float, bool, str, Decimal, UUID, date, datetime, time, Colour, Size, list[int], dict[str, float]]


@pytest.mark.slow
@given(annotation=st.sampled_from(SIMPLE), value=JSON)
def test_whatever_is_sent_is_converted_or_refused_and_nothing_else(annotation: Any, value: Any) -> None:
    convert = converter(annotation)
    try:
        result = convert(value)
    except Refused:
        return
    assert isinstance(result, getattr(annotation, "__origin__", annotation))


@given(st.integers())
def test_integers_survive_the_way_through_text(number: int) -> None:
    convert = converter(int)
    assert convert(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_finite_floats_survive_the_way_through_text(number: float) -> None:
    convert = converter(float)
    assert convert(repr(number)) == number


@given(st.dates())
def test_dates_survive_the_way_through_text(day: date) -> None:
    convert = converter(date)
    assert convert(day.isoformat()) == day


@given(st.text())
def test_text_passes_as_it_is(text: str) -> None:
    convert = converter(str)
    assert convert(text) == text
