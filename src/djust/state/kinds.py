"""Which types state may hold, and how a class is named so that it is found again.

Validation and codec ask here, so that what one accepts the other can write and read.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter, OrderedDict, defaultdict
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet
from django.utils.functional import Promise
from django.utils.safestring import SafeString

# What JSON writes and reads as it is.
JSON_TYPES: frozenset[type] = frozenset({type(None), bool, int, float, str})
LEAVES: frozenset[type] = JSON_TYPES | {SafeString, datetime, date, time, timedelta, Decimal, UUID}
CONTAINERS: frozenset[type] = frozenset({dict, list, tuple, set, frozenset, OrderedDict, Counter, defaultdict})
# What a defaultdict may make.
FACTORIES: dict[str, Any] = {kind.__name__: kind for kind in (list, dict, set, tuple, int, float, str, bool)}

# More levels than any state needs; beyond it, objects are taken to refer to each other without end.
DEPTH = 100


def is_leaf(kind: type) -> bool:
    """Whether values of this type are written without looking into them. Subclasses of plain types are not: they would
    come back as something else.
    """
    if kind in LEAVES or issubclass(kind, (Model, QuerySet, Promise)):
        return True
    return issubclass(kind, Enum) and class_name(kind) is not None


def is_named_tuple(kind: type) -> bool:
    """Whether this is the class of a named tuple that can be found again."""
    return (
        issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple) and class_name(kind) is not None
    )


def is_dataclass(kind: type) -> bool:
    """Whether this is a dataclass that can be found again."""
    return dataclasses.is_dataclass(kind) and class_name(kind) is not None


def class_name(kind: type) -> str | None:
    """`module:Outer.Inner`, or None for a class that this name does not lead to, such as one made in a function."""
    name = f"{kind.__module__}:{kind.__qualname__}"
    return name if find_class(name) is kind else None


def find_class(name: str) -> type | None:
    """The class of that name among the modules that are imported already; nothing is imported."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found if isinstance(found, type) else None
