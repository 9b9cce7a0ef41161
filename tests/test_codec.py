"""State as text and back: equal, of the same type, and nothing else comes of a text that was
tampered with.
"""

from __future__ import annotations

import enum
import json
import random
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db.models import QuerySet
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy, override
from hypothesis import given, settings
from hypothesis import strategies as st

from djust.exceptions import StateError
from djust.state.codec import decode, decode_state, encode, encode_state
from djust.state.types import MAX_DEPTH, READERS, TAG
from djust.state.validation import check_state
from tests.myapp.models import Customer, Express, Order, Parcel, Product, Sticker, Urgent


class Colour(enum.Enum):
    RED = 1
    CRIMSON = RED
    BLUE = ("b", 2)


class Size(enum.IntEnum):
    SMALL = 1


class Kind(enum.StrEnum):
    BOOK = "book"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass
class Row:
    name: str
    parts: list[Any] = field(default_factory=list)
    cached: Any = field(default=None, init=False)

    class Kind(enum.Enum):
        INNER = 1


@dataclass(frozen=True, slots=True)
class Frozen:
    value: Any


@dataclass(frozen=True)
class Angry:
    value: int

    def __hash__(self) -> int:
        raise RuntimeError("no hash today")


class SomeView: ...


ZONES = st.sampled_from(
    [
        None,
        UTC,
        timezone(timedelta(hours=5, minutes=30)),
        timezone(timedelta(hours=-1, seconds=7), "ours"),
        ZoneInfo("Europe/Berlin"),
        ZoneInfo("UTC"),
    ]
)
HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs"]), max_size=2)
    | st.text().map(SafeString)
    | st.sampled_from(["$", "__class__", "\x00", float("inf"), -0.0])
    | st.dates()
    | st.datetimes(timezones=ZONES, allow_imaginary=True)
    | st.datetimes().map(lambda moment: moment.replace(fold=1))
    | st.times(timezones=ZONES)
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.sampled_from([*Colour, *Size, *Kind, *Rights, Rights.READ | Rights.WRITE, Rights(0), Row.Kind.INNER]),
    lambda inner: (
        st.tuples(inner, inner)
        | st.frozensets(inner, max_size=3)
        | st.builds(Frozen, inner)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=4,
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.sets(HASHABLE, max_size=3)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from(["$", "\ud83d\ude00", SafeString("k")]), inner, max_size=4
        )
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3).map(OrderedDict)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3).map(lambda known: defaultdict(list, known))
        | st.lists(st.text(max_size=1)).map(Counter)
        | st.builds(Row, st.text(), st.lists(inner, max_size=3))
    )


VALUES = st.recursive(HASHABLE, containers, max_leaves=12)


def shape(value: Any) -> Any:
    """`value` with its types, so that 1, 1.0 and True, or a list and a tuple, differ."""
    kind = type(value)
    if isinstance(value, dict):
        return kind, [(shape(key), shape(member)) for key, member in value.items()]
    if isinstance(value, (set, frozenset)):
        return kind, sorted(repr(shape(member)) for member in value)
    if isinstance(value, (list, tuple)):
        return kind, [shape(member) for member in value]
    if isinstance(value, (Row, Frozen)):
        names = [name for name in ("name", "parts", "cached", "value") if hasattr(value, name)]
        return kind, [shape(getattr(value, name)) for name in names]
    if isinstance(value, (datetime, time)):
        return kind, repr(value), value.fold, type(value.tzinfo)
    return kind, repr(value)


@pytest.mark.slow
@given(st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), VALUES, max_size=4))
@settings(max_examples=600, deadline=None)
def test_what_was_written_comes_back_equal_and_of_the_same_type(state: dict[str, Any]) -> None:
    check_state(SomeView, state, strict=True)
    text = encode_state(state)
    assert text.isascii()
    values, missing = decode_state(SomeView, text)
    assert (shape(values), missing) == (shape(state), {})


@pytest.mark.slow
@given(VALUES, st.randoms())
@settings(max_examples=600, deadline=None)
def test_a_text_that_was_tampered_with_gives_a_value_or_an_error_of_ours(value: Any, chance: random.Random) -> None:
    text = encode({"value": value, "more": [Row("x"), Point(1, 2), Colour.RED, {1, 2}, UTC and date(2030, 1, 1)]})
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text))
        text = text[:at] + chance.choice(["", *'"[]{}:,0-$nx', '["tuple"', "null", '"os:system"']) + text[at + 1 :]
    # Any other exception would end the test.
    with suppress(StateError):
        decode(text)


class OtherNumber(int): ...


@dataclass
class RowList(list):  # type: ignore[type-arg]
    name: str = "x"


class Zone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1)


@dataclass(frozen=True)
class Local:
    value: Any
    # Nobody finds it under this name.
    __qualname__ = "elsewhere.Local"


ODD = st.sampled_from(
    [b"x", range(3), 1j, OtherNumber(1), object(), len, Local, Local(1), time(1, tzinfo=Zone()), Zone]
) | st.builds(lambda: [RowList(), deque([1]), defaultdict(Zone), bytearray(b"x"), iter(())])


@pytest.mark.slow
@given(st.recursive(HASHABLE | ODD, containers, max_leaves=8))
@settings(max_examples=400, deadline=None)
def test_what_the_check_accepts_comes_back_and_what_it_refuses_does_not(value: Any) -> None:
    try:
        check_state(SomeView, {"value": value}, strict=True)
        accepted = True
    except TypeError:
        accepted = False
    values, missing = decode_state(SomeView, encode_state({"value": value}))
    assert (shape(values["value"]) == shape(value), missing) == (accepted, {})


def places(written: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to everything inside."""
    members = enumerate(written) if isinstance(written, list) else written.items() if isinstance(written, dict) else ()
    for key, member in members:
        yield (*place, key)
        yield from places(member, (*place, key))


SPARE: list[Any] = [
    None,
    True,
    7,
    1.5,
    "x",
    "model",
    "row",
    "queryset",
    "myapp.product",
    "auth.user",
    "default",
    [],
    {},
]
SPARE += [10**30, "tests.test_codec:Row", "builtins:type", "this:x", "Europe/Berlin", ["a", "b"], {TAG: 1}, {TAG: []}]


@pytest.mark.slow
@pytest.mark.django_db
def test_a_structure_that_was_tampered_with_gives_a_value_or_an_error_of_ours() -> None:
    product = Product.objects.create(name="a")
    state = {"one": product, "all": Product.objects.all(), "new": Product(name="b"), "order": Order(number=7)}
    state["more"] = [
        Row("x"),
        Point(1, 2),
        Rights.READ | Rights.WRITE,
        {1, (2,)},
        datetime.now(ZoneInfo("Europe/Rome")),
    ]
    text = encode_state(state)
    known, chance, refused = set(sys.modules), random.Random(7), 0
    for _ in range(1500):
        written = json.loads(text)
        *way, last = chance.choice(list(places(written)))
        target = written
        for key in way:
            target = target[key]
        spare = json.loads(json.dumps(chance.choice(SPARE)))
        target[last] = {TAG: [chance.choice(list(READERS)), spare, target[last]]} if chance.random() < 0.3 else spare
        try:
            decode_state(SomeView, json.dumps(written))
        except StateError:
            refused += 1
    assert refused > 500
    assert set(sys.modules) == known


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("nothing", "Expected the state of a view"),
        ("[" * 200_000, "Expected the state of a view"),
        ('{"$":["call","os:system",[]]}', "not what was written"),
        ('{"$":["enum","os:_Environ","x"]}', "os:_Environ is not an enum"),
        ('{"$":["enum","tests.test_codec:Colour","GREEN"]}', "has no member 'GREEN'"),
        ('{"$":["enum","antigravity:x","y"]}', "no module that is imported has this class"),
        ('{"$":["flag","tests.test_codec:Colour",1]}', "is not a flag"),
        ('{"$":["dataclass","subprocess:Popen",[["args","ls"]]]}', "subprocess:Popen is not a dataclass"),
        ('{"$":["dataclass","tests.test_codec:Row",[["strange",1]]]}', r"has no fields \['strange'\]"),
        ('{"$":["named","builtins:list",[1]]}', "is not a named tuple"),
        ('{"$":["model","no.model",null,1]}', "there is no such model"),
        ('{"$":["model","auth.user","elsewhere",1]}', "the database 'elsewhere', which is not configured"),
        ('{"$":["row","auth.group",null,true,[["password","x"]]]}', r"fields that auth.group does not have"),
        ('{"$":["tuple",[1]],"more":1}', "not what was written"),
        ('{"$":[[],1]}', "not what was written"),
        ('{"$":["set",[[1]]]}', "not what was written"),
        ('{"$":["defaultdict","exec",[]]}', "not what was written"),
        ('{"$":["datetime","2030-01-01T00:00:00",0,"../../etc/passwd"]}', "which is not known here"),
        ('{"$":["datetime","2030-01-01T00:00:00",0,"this"]}', "which is not known here"),
        ('{"$":["queryset","auth.group","default",[],"tests.test_codec:Row"]}', "is not a QuerySet"),
        ('{"$":["dataclass","tests.test_codec:Row",[["name","x"]]]}', r"has fields that were not written: \['parts'\]"),
        ('{"$":["set",[{"$":["dataclass","tests.test_codec:Angry",[["value",1]]]}]]}', "no hash today"),
    ],
)
def test_hostile_texts_are_refused(written: str, text: str) -> None:
    with pytest.raises(StateError, match=text):
        decode(written)


def test_nothing_is_imported_for_a_text() -> None:
    with pytest.raises(StateError):
        decode('{"$":["enum","this:x","y"]}')
    assert "this" not in sys.modules


def test_a_state_is_a_dictionary() -> None:
    with pytest.raises(StateError, match="SomeView: expected the state of a view; got '"):
        decode_state(SomeView, "[1]")


# What cannot be written


class Unwritable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_what_cannot_be_written_becomes_its_text() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    state = {"a": [Unwritable()], "b": {"x": b"y"}, "c": circle, "d": object}
    values, _ = decode_state(SomeView, encode_state(state))
    assert values == {"a": ["<Unwritable>"], "b": {"x": "b'y'"}, "c": [1, "[1, [...]]"], "d": "<class 'object'>"}


@pytest.mark.parametrize("around", [lambda v: [v], lambda v: {1: v}, lambda v: Row("x", v), lambda v: Product(name=v)])
def test_a_hundred_levels_are_written_whatever_they_are(around: Callable[[Any], Any]) -> None:
    value: Any = 7
    for _ in range(MAX_DEPTH):
        value = around(value)
    check_state(SomeView, {"deep": value}, strict=True)
    text = encode_state({"deep": value})
    assert encode_state(decode_state(SomeView, text).values) == text
    with pytest.raises(TypeError, match="non-serializable value"):
        check_state(SomeView, {"deep": around(around(value))}, strict=True)


def test_a_lazy_object_that_fails_is_its_type() -> None:
    assert decode(encode([SimpleLazyObject(lambda: 1 // 0)])) == ["<SimpleLazyObject>"]


def test_keys_are_of_the_type_they_were_also_beside_equal_ones() -> None:
    rows = [{"a": 1}, {SafeString("a"): 1}]
    assert shape(decode_state(SomeView, encode_state({"rows": rows})).values["rows"]) == shape(rows)


def test_lazy_texts_are_those_of_the_language_in_which_they_were_written() -> None:
    with override("de"):
        text = encode(gettext_lazy("Yes"))
    assert decode(text) == "Ja"


# Rows


@pytest.mark.django_db
def test_saved_rows_are_fetched_again_with_one_query_per_model(django_assert_num_queries: Any) -> None:
    users = [User.objects.create(username=f"u{n}") for n in range(3)]
    group = Group.objects.create(name="authors")
    state = {
        "user": users[0],
        "more": [users[1], {"x": users[2]}],
        "group": group,
        "lazy": SimpleLazyObject(lambda: group),
    }
    text = encode_state(state)
    User.objects.filter(pk=users[0].pk).update(username="renamed")
    with django_assert_num_queries(2):
        values, missing = decode_state(SomeView, text)
    assert (values, missing) == (state, {})
    assert (values["user"].username, type(values["lazy"])) == ("renamed", Group)


@pytest.mark.django_db
def test_a_row_is_found_by_the_key_that_its_instance_had() -> None:
    product = Product.objects.create(name="a")
    product.pk = str(product.pk)  # type: ignore[assignment] # as from a URL
    product.save()
    state = {"one": product, "more": Product.objects.all()}
    values, missing = decode_state(SomeView, encode_state(state))
    assert (values["one"].name, [row.name for row in values["more"]], missing) == ("a", ["a"], {})


@pytest.mark.django_db
def test_keys_and_kinds_of_models_do_not_matter(django_assert_num_queries: Any) -> None:
    express = Express.objects.create(code="a")
    sticker = Sticker.objects.create(parcel=express)
    state = {
        "parent": Parcel.objects.get(),
        "child": express,
        "proxy": Urgent.objects.get(),
        "by code": [sticker, Sticker.objects.get()],
        "deferred": Parcel.objects.defer("code").get(),
    }
    check_state(SomeView, state, strict=True)
    text = encode_state(state)
    with django_assert_num_queries(4):
        values, missing = decode_state(SomeView, text)
    assert (values, missing) == (state, {})
    assert [type(values[name]) for name in ("parent", "child", "proxy")] == [Parcel, Express, Urgent]
    express.delete()
    assert {str(error) for error in decode_state(SomeView, text).missing.values()} == {
        f"SomeView.parent: Parcel {express_key(text)} no longer exists",
        f"SomeView.child: Express {express_key(text)} no longer exists",
        f"SomeView.proxy: Urgent {express_key(text)} no longer exists",
        "SomeView.by code: Sticker a no longer exists",
        f"SomeView.deferred: Parcel {express_key(text)} no longer exists",
    }


def express_key(text: str) -> UUID:
    return UUID(json.loads(text)["child"][TAG][3][TAG][1])


def test_an_unsaved_instance_keeps_its_file_and_its_key() -> None:
    sticker, parcel = Sticker(parcel_id="zz", scan="x.pdf"), Parcel(code="q")
    assert sticker.scan.name == "x.pdf"  # From now on there is an object in place of the text.
    check_state(SomeView, {"new": [sticker, parcel]}, strict=True)
    one, other = decode(encode([sticker, parcel]))
    assert (one.parcel_id, one.scan, one.scan.name) == ("zz", sticker.scan, "x.pdf")
    assert (type(other), other.id, other.code, other._state.adding) == (Parcel, parcel.id, "q", True)


class Loud(QuerySet[Product]):
    def loud(self) -> list[str]:
        return [product.name.upper() for product in self]


@pytest.mark.django_db
def test_querysets_of_other_classes_are_of_their_class() -> None:
    Product.objects.create(name="a")
    values, _ = decode_state(SomeView, encode_state({"loud": Loud(model=Product).all()}))
    assert (type(values["loud"]), values["loud"].loud()) == (Loud, ["A"])


@pytest.mark.django_db
def test_a_row_that_is_gone_is_reported_by_its_attribute() -> None:
    product, other = Product.objects.create(name="a"), Product.objects.create(name="b")
    text = encode_state({"product": product, "rows": [other, product], "count": 2, "other": other})
    key = product.pk
    product.delete()
    values, missing = decode_state(SomeView, text)
    assert values == {"count": 2, "other": other}
    assert {name: str(error) for name, error in missing.items()} == {
        "product": f"SomeView.product: Product {key} no longer exists",
        "rows": f"SomeView.rows: Product {key} no longer exists",
    }


@pytest.mark.django_db
def test_querysets_come_back_with_their_rows_in_order(django_assert_num_queries: Any) -> None:
    rows = [Product.objects.create(name=name) for name in "bca"]
    ordered = Product.objects.order_by("name")
    sliced, empty, text = ordered[:2], Product.objects.none(), Product.objects.values_list("name", flat=True)
    state = {"ordered": ordered, "sliced": sliced, "empty": empty, "values": text}
    written = encode_state(state)
    with django_assert_num_queries(1):
        values, _ = decode_state(SomeView, written)
        assert list(values["ordered"]) == [rows[2], rows[0], rows[1]]
        assert (list(values["sliced"]), list(values["empty"]), values["values"]) == (
            [rows[2], rows[0]],
            [],
            ["b", "c", "a"],
        )
    assert values["ordered"].filter(name="a").get() == rows[2]
    rows[2].delete()
    assert list(decode_state(SomeView, written).values["ordered"]) == rows[:2]


@pytest.mark.django_db
def test_rows_that_are_not_in_the_database_come_back_by_their_values() -> None:
    unsaved = Order(number=7, customer=Customer(name="c"))
    decoded = decode(encode([unsaved, AnonymousUser]))[0]
    assert (type(decoded), decoded.number, decoded.pk, decoded._state.adding) == (Order, 7, None, True)
    saved = Product.objects.create(name="x")
    deferred = Product.objects.defer("name").get()
    deferred._meta.managed = False
    try:
        back = decode(encode(deferred))
        assert (back, back.get_deferred_fields(), back._state.adding) == (saved, {"name"}, False)
    finally:
        deferred._meta.managed = True


def test_keys_that_a_model_cannot_have_are_refused() -> None:
    text = json.dumps({"$": ["model", "auth.user", None, "seven"]})
    with pytest.raises(StateError, match=r"holds keys of auth\.user that it cannot have"):
        decode(text)


def test_numbers_survive() -> None:
    values = [Decimal("1.10"), Decimal("NaN"), float("nan"), 2**70, -(10**4000), True, 1, 1.0]
    assert shape(decode(encode(values))) == shape(values)
