"""What type checkers take fields for; `test_fields.py` lets mypy read it."""

from typing import Any, assert_type

from djust.state.fields import computed, state


class Basket:
    count = state(default=0)
    typed = state(default=0, type=int)
    name = state("nobody")
    tags: list[str] = state(default=[])
    codes = state(default_factory=dict[str, int])
    chosen: str | None = state(default=None)
    missing = state(type=int)
    anything = state()

    @computed
    def total(self) -> float:
        return len(self.tags) * 1.5


basket = Basket()
assert_type(basket.count, int)
assert_type(basket.typed, int)
assert_type(basket.name, str)
assert_type(basket.tags, list[str])
assert_type(basket.codes, dict[str, int])
assert_type(basket.chosen, str | None)
assert_type(basket.missing, int)
assert_type(basket.anything, Any)
assert_type(basket.total, float)

basket.count = 5
basket.chosen = "a"
# What follows is wrong, and mypy says so: an ignored error that is none would be reported.
basket.count = "5"  # type: ignore[assignment]
basket.tags = [1]  # type: ignore[list-item]
state([], default_factory=list)  # type: ignore[call-overload]
