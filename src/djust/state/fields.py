"""What belongs to the state of a view: declared fields, and every other public attribute of the instance.

    class Basket(LiveView):
        items: list[str] = state(default=[])        # each basket has a list of its own

        @computed
        def total(self) -> int: ...                 # a name for templates, not state

    public_state(basket)  ->  {"items": []}

Values live in the `__dict__` of the instance, under their own names, and nowhere else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, Generic, TypeVar, cast, overload

T = TypeVar("T")
_MISSING: Any = object()


class State:
    """What `state()` puts into the class.

    It has no `__set__`: an attribute that was assigned, or read once, is an ordinary one of the instance, found by
    Python without a call.
    """

    __slots__ = ("default", "default_factory", "name")

    def __init__(self, default: Any, default_factory: Callable[[], Any] | None) -> None:
        self.default = default
        self.default_factory = default_factory
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        if instance is None:
            return self
        value = copy.deepcopy(self.default) if self.default_factory is None else self.default_factory()
        vars(instance)[self.name] = value
        return value


@overload
def state() -> Any: ...
@overload
def state(default: T) -> T: ...
@overload
def state(*, default_factory: Callable[[], T]) -> T: ...
def state(default: Any = _MISSING, *, default_factory: Callable[[], Any] | None = None) -> Any:
    """Declare a field of a view's state.

    Each instance gets a copy of `default`, or what `default_factory()` returns. For type checkers it has the type
    of its default; where that says too little, annotate: `buckets: list[str] = state(default=[])`.
    """
    if default is not _MISSING and default_factory is not None:
        raise TypeError("state() takes either default or default_factory; both were given.")
    if default_factory is not None and not callable(default_factory):
        raise TypeError(f"state(default_factory=…) must be callable; got {default_factory!r}. Use state(default=…).")
    return State(None if default is _MISSING else default, default_factory)


class Computed(Generic[T]):
    """What `computed` puts into the class: a property whose name templates may use without `view.`."""

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Computed[T]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Computed[T] | T:
        return self if instance is None else self.function(instance)

    def __set__(self, instance: object, value: object) -> None:
        raise AttributeError(
            f"{type(instance).__name__}.{self.function.__name__} is computed and cannot be assigned. "
            "Assign what it is computed from."
        )


def computed(function: Callable[[Any], T]) -> Computed[T]:
    """Turn a method into a value for templates: computed when a template asks for it, never saved."""
    return Computed(function)


def computed_getters(view: object) -> dict[str, Callable[[], Any]]:
    """For each computed name of `view` a function that computes it now."""
    return {name: partial(getattr, view, name) for name in computed_names(type(view))}


def per_class(function: Callable[[type[Any]], T]) -> Callable[[type[Any]], T]:
    """Call `function` once for each class. View classes live as long as the process, so the cache may hold them."""
    # Type checkers do not take classes for hashable, as the cache asks.
    return cast("Callable[[type[Any]], T]", cache(function))


@per_class
def declared_names(view_class: type) -> tuple[str, ...]:
    """The public names of `state(…)` fields, own and inherited."""
    return tuple(name for name, _ in _members(view_class, State) if not name.startswith("_"))


@per_class
def computed_names(view_class: type) -> frozenset[str]:
    """The public names of `computed` methods, own and inherited."""
    return frozenset(name for name, _ in _members(view_class, Computed) if not name.startswith("_"))


def _members(view_class: type, kind: type[T]) -> Iterator[tuple[str, T]]:
    seen: set[str] = set()
    for parent in view_class.__mro__:
        for name, member in vars(parent).items():
            if name not in seen and isinstance(member, kind):
                yield name, member
            seen.add(name)


def public_state(view: object, reserved: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The public state of `view`: its declared fields and its public attributes, without `reserved` names."""
    values = vars(view)
    for name in declared_names(type(view)):
        if name not in values:
            getattr(view, name)  # The first access puts the default into the instance.
    # A copy: a task beside the page may set an attribute just now.
    return {name: value for name, value in values.copy().items() if name[0] != "_" and name not in reserved}
