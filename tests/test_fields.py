"""What belongs to the state of a view."""

import re
from typing import Any

import pytest
from django.test import RequestFactory
from django.views import View

from djust import LiveView, computed, state
from djust.state.fields import State, check_types, computed_getters, fields_version, public_state
from djust.views import state_of


class Basket(LiveView):
    items: list[str] = state(default=[])
    owner = state("nobody")
    note = state()
    codes = state(default_factory=dict[str, int])
    _secret = state("s")

    @computed
    def total(self) -> int:
        """How many."""
        return len(self.items)


class GiftBasket(Basket):
    owner = state("somebody")
    ribbon = state(default=True)


def test_each_instance_has_a_default_of_its_own() -> None:
    one, other = Basket(), Basket()
    one.items.append("pear")
    one.codes["x"] = 1
    assert (one.items, other.items, Basket().items) == (["pear"], [], [])
    assert (one.codes, other.codes) == ({"x": 1}, {})


def test_nested_defaults_are_not_shared_either() -> None:
    class Nested(LiveView):
        tree = state(default={"a": [1]})

    one, other = Nested(), Nested()
    one.tree["a"].append(2)
    assert other.tree == {"a": [1]}


def test_assigned_values_are_ordinary_attributes() -> None:
    basket = Basket()
    basket.owner = "Ann"
    assert basket.owner == "Ann"
    assert vars(basket) == {"owner": "Ann"}
    del basket.owner
    assert basket.owner == "nobody"


def test_on_the_class_stands_the_declaration() -> None:
    declaration: Any = Basket.items
    assert isinstance(declaration, State)


def test_default_and_factory_exclude_each_other() -> None:
    with pytest.raises(TypeError, match="either default or default_factory"):
        state([], default_factory=list)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="must be callable"):
        state(default_factory=[])  # type: ignore[call-overload]


def test_public_state_is_declared_fields_and_public_attributes() -> None:
    basket = GiftBasket()
    basket.colour = "red"  # type: ignore[attr-defined]
    basket._client = object()  # type: ignore[attr-defined]
    assert public_state(basket) == {
        "items": [],
        "owner": "somebody",
        "note": None,
        "codes": {},
        "ribbon": True,
        "colour": "red",
    }


def test_public_state_holds_nothing_of_django_and_nothing_computed() -> None:
    basket = Basket()
    View.setup(basket, RequestFactory().get("/"), 1, pk=2)
    basket.template_name = "other.html"  # type: ignore[misc]
    assert set(state_of(basket)) == {"items", "owner", "note", "codes"}


def test_computed_values_follow_the_state() -> None:
    basket = Basket()
    total = computed_getters(basket)["total"]
    assert (basket.total, total()) == (0, 0)
    basket.items.append("pear")
    assert (basket.total, total()) == (1, 1)


def test_computed_values_cannot_be_assigned() -> None:
    with pytest.raises(AttributeError, match=r"^Basket.total is computed and cannot be assigned"):
        Basket().total = 5  # type: ignore[misc,assignment]


def test_an_overridden_name_counts_once() -> None:
    class Plain(Basket):
        total = 5  # type: ignore[assignment]

    assert computed_getters(Plain()) == {}


class Typed(LiveView):
    count = state(default=0, type=int)
    name = state(type=str | None)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("count", "7", "Typed.count must be int; got str: '7'"),
        ("count", True, "Typed.count must be int; got bool: True"),
        ("name", 7, "Typed.name must be str | None; got int: 7"),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: Any, expected: str) -> None:
    view = Typed()
    check_types(view)
    setattr(view, name, value)
    with pytest.raises(TypeError, match=re.escape(expected)):
        check_types(view)


def test_a_type_must_be_one_that_values_can_be_asked_for() -> None:
    with pytest.raises(
        TypeError, match=re.escape("state(type=…) must be a class or a union of classes; got list[int]")
    ):
        state(default=[], type=list[int])


@pytest.mark.parametrize("name", ["request", "mount", "template", "push_event"])
def test_names_of_liveview_itself_are_refused_as_fields(name: str) -> None:
    with pytest.raises(TypeError, match=f"^Clash.{name} is declared as a field, and LiveView has"):
        type("Clash", (LiveView,), {name: state(default=1)})


def test_another_version_of_the_fields_has_another_digest() -> None:
    def version(**members: Any) -> str:
        return fields_version(type("Basket", (LiveView,), members))

    same = version(count=state(default=0))
    assert version(count=state(default=5)) == same
    others = [
        version(count=state(default="")),
        version(count=state(default=0, type=int)),
        version(total=state(default=0)),
        version(count=state(default=0), more=state()),
        version(count=state(default=0), __annotations__={"count": "int"}),
    ]
    assert same not in others
    assert len(set(others)) == len(others)
