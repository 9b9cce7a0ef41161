"""What belongs to the state of a view: declared fields, and every other public attribute of the
instance.

    class Basket(LiveView):
        items: list[str] = state(default=[])        # each basket has a list of its own

        @computed
        def total(self) -> int: ...                 # a name for templates, not state

    class GiftBasket(Basket):
        items = ["ribbon"]                          # the same field with another default

    public_state(basket)  ->  {"items": []}

Values live in the `__dict__` of the instance, under their own names, and nowhere else.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, Generic, TypeVar, cast, overload

T = TypeVar("T")
_MISSING: Any = object()


class State:
    """What `state()` puts into the class.

    It has no `__set__`: an attribute that was assigned, or read once, is an ordinary one of the
    instance, found by Python without a call.
    """

    __slots__ = ("default", "default_factory", "name", "type")

    def __init__(self, default: Any, default_factory: Callable[[], Any] | None, type_: Any) -> None:
        self.default = default
        self.default_factory = default_factory
        self.type = type_
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def accepts(self, value: object) -> bool:
        """Whether `value` is of the type that was asked for."""
        if self.type is None:
            return True
        if type(value) is bool and self.type in (int, float):
            # For Python, True is an int. A counter should never hold it.
            return False
        # As for type checkers, an int is accepted for a float.
        return isinstance(value, self.type) or (self.type is float and isinstance(value, int))

    def refuse(self, title: str, value: object) -> TypeError:
        """The error for a `value` of another type; `title` names the class."""
        expected = getattr(self.type, "__name__", self.type)
        return TypeError(
            f"{title}.{self.name} must be {expected}; got {type(value).__name__}: {value!r:.80}. Assign another value, "
            "or declare another type in state(type=…)."
        )

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

    Each instance gets a copy of `default`, or what `default_factory()` returns. For type checkers
    it has the type of its default; where that says too little, annotate: `buckets: list[str] =
    state(default=[])`.

    With `type`, a class or a union of classes, every event and mount ends with a check of the
    value: another one is a `TypeError`. Without a default, mount has to assign one. An annotation
    is for type checkers alone.
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
    field = State(None if default is _MISSING else default, default_factory, type)
    if default is not _MISSING and not field.accepts(default):
        raise TypeError(f"state(default={default!r:.80}, type={type!r}): the default is of another type.")
    return field


class Computed(Generic[T]):
    """What `computed` puts into the class: a property that templates find without `view.`."""

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
    """Turn a method into a value for templates, computed when one asks for it, never saved."""
    return Computed(function)


def computed_getters(view: object) -> dict[str, Callable[[], Any]]:
    """For each computed name of `view` a function that computes it now."""
    return {name: partial(getattr, view, name) for name in computed_names(type(view))}


def per_class(function: Callable[[type[Any]], T]) -> Callable[[type[Any]], T]:
    """Call `function` once per class; view classes live as long as the process."""
    # The cache needs hashable keys, and type checkers do not treat classes as such.
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
    return tuple(field for _, field in _members(view_class, State) if field.type is not None)


def check_types(view: object) -> None:
    """Raise `TypeError` for a field whose value is not of its `type`."""
    for field in typed_fields(type(view)):
        value = getattr(view, field.name)
        if not field.accepts(value):
            raise field.refuse(type(view).__name__, value)


def prepare_fields(view_class: type, reserved: frozenset[str]) -> None:
    """Prepare the fields of a class that was just made: `reserved` names are refused, and a plain
    value that overrides a field becomes its new default.
    """
    for name, _ in [*_members(view_class, State), *_members(view_class, Computed)]:
        if name in reserved:
            raise TypeError(
                f"{view_class.__name__}.{name} is declared as a field, and LiveView has a member of this name itself. "
                "Choose another name."
            )
    fields: dict[str, State] = {}
    for parent in reversed(view_class.__mro__):
        for name, member in list(vars(parent).items()):
            if isinstance(member, State):
                fields[name] = member
            elif name in fields and hasattr(type(member), "__get__"):
                del fields[name]  # by a property or a method
            elif name in fields:
                fields[name] = _redeclared(view_class, fields[name], member)
    for name, field in fields.items():
        if field is not inspect.getattr_static(view_class, name):
            setattr(view_class, name, field)


def _redeclared(view_class: type, field: State, default: Any) -> State:
    if not field.accepts(default):
        raise field.refuse(view_class.__name__, default)
    redeclared = State(default, None, field.type)
    redeclared.name = field.name
    return redeclared


@per_class
def fields_version(view_class: type) -> str:
    """A digest of the fields that a view declares: a snapshot of another version does not fit."""
    lines = [f"{view_class.__module__}.{view_class.__qualname__}"]
    annotations: dict[str, Any] = {}
    for parent in reversed(view_class.__mro__):
        annotations |= _annotations(parent)
    for name, field in sorted(_members(view_class, State), key=lambda member: member[0]):
        factory = getattr(field.default_factory, "__qualname__", "")
        lines.append(f"{name}: {annotations.get(name, '')} = {type(field.default).__name__}{factory} {field.type}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _annotations(kind: type) -> dict[str, Any]:
    try:
        return inspect.get_annotations(kind)
    except NameError:
        # From Python 3.14 on they are evaluated here, and may name what only type checkers import.
        return {}


def _members(view_class: type, kind: type[T]) -> Iterator[tuple[str, T]]:
    seen: set[str] = set()
    for parent in view_class.__mro__:
        for name, member in vars(parent).items():
            if name not in seen and isinstance(member, kind):
                yield name, member
            seen.add(name)


def public_state(view: object, reserved: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The public state of `view`: declared fields and public attributes, but `reserved` names."""
    values = vars(view)
    for name in declared_names(type(view)):
        if name not in values:
            getattr(view, name)  # The first access puts the default into the instance.
    # A copy, because a background task may set an attribute at the same time.
    return {name: value for name, value in values.copy().items() if name[0] != "_" and name not in reserved}
