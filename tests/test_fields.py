"""What belongs to the state of a view."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import RequestFactory
from django.views import View
from mypy import api

from djust import LiveView, computed, state
from djust.state.fields import State, check_types, computed_getters, fields_version, public_state
from djust.views import state_of

ROOT = Path(__file__).parent.parent


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


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True])
def test_type_checkers_see_the_types(wrong: bool, tmp_path: Path) -> None:
    sample = (ROOT / "tests/typed_fields.py").read_text()
    if wrong:
        sample = sample.replace("(basket.typed, int)", "(basket.typed, str)").replace("  # type: ignore[list-item]", "")
    (tmp_path / "sample.py").write_text(sample)
    options = ["--config-file=", "--strict", "--follow-imports=skip", f"--cache-dir={tmp_path}", "--no-error-summary"]
    report, trouble, _ = api.run([*options, str(tmp_path / "sample.py"), str(ROOT / "src/djust/state/fields.py")])
    codes = re.findall(r"error: .*\[(.*)\]", report)
    assert (codes, trouble) == (["assert-type", "list-item"] if wrong else [], ""), report


def test_names_of_liveview_itself_are_refused_in_a_mixin_as_well() -> None:
    class Mixin:
        request = state(default=1)

    with pytest.raises(TypeError, match=r"^Clash.request is declared as a field"):
        type("Clash", (Mixin, LiveView), {})


def test_a_plain_value_that_overrides_a_field_is_its_default() -> None:
    class Gift(Typed):
        count = 3
        name = "x"

    class Mixin:
        count = 4

    class Mixed(Mixin, Gift): ...

    class Again(Mixed):
        name = state(default="y")

    assert [public_state(view()) for view in (Typed, Gift, Mixed, Again)] == [
        {"count": 0, "name": None},
        {"count": 3, "name": "x"},
        {"count": 4, "name": "x"},
        {"count": 4, "name": "y"},
    ]
    view = Again()
    view.count = "7"  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"^Again.count must be int; got str: '7'"):
        check_types(view)


def test_a_default_that_overrides_is_a_copy_for_each_instance() -> None:
    class Gift(Basket):
        items = ["ribbon"]

    one = Gift()
    one.items.append("pear")
    assert (one.items, Gift().items, Basket().items) == (["ribbon", "pear"], ["ribbon"], [])


def test_a_default_of_another_type_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"^state\(default='0', type=<class 'int'>\): the default is of another type"):
        state(default="0", type=int)
    with pytest.raises(TypeError, match=r"^Gift.count must be int; got str: '0'"):
        type("Gift", (Typed,), {"count": "0"})


def test_a_property_that_overrides_a_field_is_no_field() -> None:
    class Gift(Typed):
        @property
        def count(self) -> int:  # type: ignore[override]
            return 5

    assert public_state(Gift()) == {"name": None}


def test_an_int_will_do_for_a_float_and_true_will_not() -> None:
    class Priced(LiveView):
        price = state(default=0, type=float)

    view = Priced()
    check_types(view)
    view.price = True
    with pytest.raises(TypeError, match=r"^Priced.price must be float; got bool: True"):
        check_types(view)


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
        version(count=state(default_factory=list)),
        version(count=state(default_factory=dict)),
        version(count=state(default=0), __annotations__={"count": "int"}),
    ]
    assert same not in others
    assert len(set(others)) == len(others)
