"""Which types state may hold, and how a class is named so that it is found again.

Validation and codec ask here, so that what one accepts the other can write and read.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter, OrderedDict, defaultdict
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from types import ModuleType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.apps import apps
from django.db.models import Model, QuerySet
from django.db.models.fields.files import FieldFile
from django.utils.functional import Promise
from django.utils.safestring import SafeString

# What JSON writes and reads as it is.
JSON_TYPES: frozenset[type] = frozenset({type(None), bool, int, float, str})
LEAVES: frozenset[type] = JSON_TYPES | {SafeString, date, timedelta, Decimal, UUID}
MOMENTS: frozenset[type] = frozenset({datetime, time})
CONTAINERS: frozenset[type] = frozenset({dict, list, tuple, set, frozenset, OrderedDict, Counter, defaultdict})
# What a defaultdict may make.
FACTORIES: dict[str, Any] = {kind.__name__: kind for kind in (list, dict, set, tuple, int, float, str, bool)}

# The bit by which Python tells classes made by a class statement from those of C code.
_WRITTEN_IN_PYTHON = 1 << 9

# More levels than any state needs; beyond it, objects are taken to refer to each other without end.
DEPTH = 100


def is_leaf(kind: type) -> bool:
    """Whether values of this type are written without looking into them. Subclasses of plain types are not: they would
    come back as something else.
    """
    if kind in LEAVES or issubclass(kind, Promise):
        return True
    return issubclass(kind, (Enum, QuerySet)) and class_name(kind) is not None


def is_model(kind: type) -> bool:
    """Whether this is the class of an installed model."""
    if not issubclass(kind, Model):
        return False
    return apps.all_models.get(kind._meta.app_label, {}).get(kind._meta.model_name or "") is kind


def is_row(instance: Model) -> bool:
    """Whether this is a row of the database, to be fetched again; the others are what their fields hold."""
    return not instance._state.adding and instance.pk is not None and instance._meta.managed


def field_values(instance: Model) -> dict[str, Any]:
    """What the fields of a model instance hold, without those that are deferred; a file is its name."""
    values = vars(instance)
    names = [field.attname for field in instance._meta.concrete_fields if field.attname in values]
    return {name: value.name if isinstance(value := values[name], FieldFile) else value for name in names}


def is_known_zone(zone: tzinfo | None) -> bool:
    """Whether a time zone can be named: another one would come back as a fixed offset."""
    return zone is None or type(zone) is timezone or (type(zone) is ZoneInfo and zone.key is not None)


def is_named_tuple(kind: type) -> bool:
    """Whether this is the class of a named tuple that can be found again."""
    return (
        issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple) and class_name(kind) is not None
    )


def is_dataclass(kind: type) -> bool:
    """Whether this is a dataclass that can be found again, and nothing else besides, such as a list or an exception."""
    if not dataclasses.is_dataclass(kind) or class_name(kind) is None:
        return False
    return next(parent for parent in kind.__mro__ if not parent.__flags__ & _WRITTEN_IN_PYTHON) is object


def class_name(kind: type) -> str | None:
    """`module:Outer.Inner`, or None for a class that this name does not lead to, such as one made in a function."""
    name = f"{kind.__module__}:{kind.__qualname__}"
    return name if find_class(name) is kind else None


def find_class(name: str) -> type | None:
    """The class of that name among the modules that are imported already; nothing is imported."""
    module, _, path = name.partition(":")
    found: object = sys.modules.get(module)
    for part in path.split("."):
        if isinstance(found, ModuleType):
            # Past the `__getattr__` of a module, and of a lazy one: they might import something now.
            found = ModuleType.__getattribute__(found, "__dict__").get(part)
        else:
            found = vars(found).get(part) if isinstance(found, type) else None
    return found if isinstance(found, type) else None


def is_known_factory(factory: object) -> bool:
    """Whether what makes the values of a defaultdict can be named."""
    return factory is None or FACTORIES.get(getattr(factory, "__name__", "")) is factory
