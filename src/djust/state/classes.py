"""The project's classes: how a class is named in a text, found again, and instantiated.

    class_name(Point)                 ->  "shop.views:Point"
    find_class("shop.views:Point", …) ->  Point

A class is looked up among the modules that are imported already; nothing is imported.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from django.apps import apps
from django.db.models import Model

from djust.exceptions import StateError

# The bit by which Python tells classes made by a class statement from those of C code.
_WRITTEN_IN_PYTHON = 1 << 9


def class_name(kind: type) -> str | None:
    """`module:Outer.Inner`; None if this name does not lead to the class, as in a function."""
    name = f"{kind.__module__}:{kind.__qualname__}"
    return name if _lookup(name) is kind else None


def _lookup(name: str) -> type | None:
    module, _, path = name.partition(":")
    found: object = sys.modules.get(module)
    for part in path.split("."):
        if isinstance(found, ModuleType):
            # Past the `__getattr__` of a module, and of a lazy one: they might import something
            # now.
            found = ModuleType.__getattribute__(found, "__dict__").get(part)
        else:
            found = vars(found).get(part) if isinstance(found, type) else None
    return found if isinstance(found, type) else None


def find_class(name: str, title: str, parent: type | Callable[[type], bool]) -> Any:
    """The class of that name, checked by a parent or a test; `title` says what it should be."""
    kind = _lookup(name) if type(name) is str else None
    if kind is None:
        raise StateError(f"The state holds an object of {name!r:.80}, and no module that is imported has this class.")
    if not (issubclass(kind, parent) if isinstance(parent, type) else parent(kind)):
        raise StateError(f"{name} is not {title}.")
    return kind


def named_subclass(parent: type) -> Callable[[type], bool]:
    """A test for classes that have this parent and can be found again."""
    return lambda kind: issubclass(kind, parent) and class_name(kind) is not None


def is_named_tuple(kind: type) -> bool:
    """Whether this is the class of a named tuple that can be found again."""
    return (
        issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple) and class_name(kind) is not None
    )


def is_dataclass(kind: type) -> bool:
    """Whether this is a dataclass that can be found again, and not also a list or an exception."""
    if not dataclasses.is_dataclass(kind) or class_name(kind) is None:
        return False
    return next(parent for parent in kind.__mro__ if not parent.__flags__ & _WRITTEN_IN_PYTHON) is object


def dataclass_values(value: Any) -> dict[str, Any]:
    """The values of a dataclass by field. A field may have none yet, as one with init=False."""
    return {name: getattr(value, name) for field in dataclasses.fields(value) if hasattr(value, name := field.name)}


def is_model(kind: type) -> bool:
    """Whether this is the class of an installed model."""
    if not issubclass(kind, Model):
        return False
    return apps.all_models.get(kind._meta.app_label, {}).get(kind._meta.model_name or "") is kind


def model_of(label: str) -> type[Model]:
    """The installed model of this label."""
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise StateError(f"The state holds a row of {label!r:.80}, and there is no such model ({error}).") from error


def make_dataclass(kind: Any, values: dict[str, Any]) -> Any:
    """An instance of a dataclass with these values."""
    fields = dataclasses.fields(kind)
    if strange := values.keys() - {field.name for field in fields}:
        raise StateError(f"{class_name(kind)} has no fields {sorted(map(str, strange))}.")
    # Only fields that __init__ does not take may have had no value. Any other field is newer than
    # the text.
    if new := [field.name for field in fields if field.init and field.name not in values]:
        raise StateError(f"{class_name(kind)} has fields that were not written: {new}.")
    # Neither __init__ nor __post_init__ must run again. The class may be frozen.
    instance = object.__new__(kind)
    for field, value in values.items():
        object.__setattr__(instance, field, value)
    return instance
