"""What belongs to the state of a view."""

from typing import Any

import pytest
from django.test import RequestFactory
from django.views import View

from djust import LiveView, computed, state
from djust.state.fields import State, computed_getters, public_state
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
