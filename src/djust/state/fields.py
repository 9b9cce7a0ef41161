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
import hashlib
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

    __slots__ = ("default", "default_factory", "name", "type")

    def __init__(self, default: Any, default_factory: Callable[[], Any] | None, type_: Any) -> None:
        self.default = default
        self.default_factory = default_factory
        self.type = type_
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
def state(*, type: type[T]) -> T: ...
@overload
def state(*, type: Any = ...) -> Any: ...
@overload
def state(default: T, *, type: Any = ...) -> T: ...
@overload
def state(*, default_factory: Callable[[], T], type: Any = ...) -> T: ...
def state(default: Any = _MISSING, *, default_factory: Callable[[], Any] | None = None, type: Any = None) -> Any:  # noqa: A002 — the word for it
    """Declare a field of a view's state.

    Each instance gets a copy of `default`, or what `default_factory()` returns. For type checkers it has the type
    of its default; where that says too little, annotate: `buckets: list[str] = state(default=[])`.

    With `type`, a class or a union of classes, every event and mount ends with a check of the value: another one is a
    `TypeError`. An annotation is for type checkers alone.
    """
    if default is not _MISSING and default_factory is not None:
        raise TypeError("state() takes either default or default_factory; both were given.")
    if default_factory is not None and not callable(default_factory):
        raise TypeError(f"state(default_factory=…) must be callable; got {default_factory!r}. Use state(default=…).")
    if type is not None:
        try:
            isinstance(None, type)
        except TypeError:
            raise TypeError(f"state(type=…) must be a class or a union of classes; got {type!r}.") from None
    return State(None if default is _MISSING else default, default_factory, type)


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


@per_class
def typed_fields(view_class: type) -> tuple[State, ...]:
    """The fields that have a `type`."""
    return tuple(field for _, field in _members(view_class, State) if field.type is not None)


def check_types(view: object) -> None:
    """Raise `TypeError` for a field whose value is not of its `type`."""
    for field in typed_fields(type(view)):
        value = getattr(view, field.name)
        # True is an int for Python, and never what a counter is to hold.
        fits = isinstance(value, field.type) and not (type(value) is bool and field.type in (int, float))
        if not fits:
            name = f"{type(view).__name__}.{field.name}"
            expected = getattr(field.type, "__name__", field.type)
            raise TypeError(
                f"{name} must be {expected}; got {type(value).__name__}: {value!r:.80}. Assign another value, or "
                "declare another type in state(type=…)."
            )


@per_class
def fields_version(view_class: type) -> str:
    """A digest of the fields that a view declares: a snapshot of another version does not fit."""
    told = [f"{view_class.__module__}.{view_class.__qualname__}"]
    for name, field in sorted(_members(view_class, State), key=lambda member: member[0]):
        owners = [parent for parent in view_class.__mro__ if name in vars(parent)]
        annotation = vars(owners[0]).get("__annotations__", {}).get(name, "")
        told.append(f"{name}: {annotation} = {type(field.default).__name__} {field.type}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


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
