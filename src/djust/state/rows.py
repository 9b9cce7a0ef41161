"""Rows of the database in a state. They are written by their keys, and fetched again with one query
per model and database.

    is_row(product)                            ->  True: it is saved, so its key is written
    field_values(draft)                        ->  {"id": None, "name": "pear"}: it is not
    fetch(("shop.product", "default"), [7, 8]) ->  {7: <Product 7>}: 8 is gone
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, DataError, connections
from django.db.models import Model
from django.db.models.fields.files import FieldFile

from djust.exceptions import StateError
from djust.state.classes import model_of

# The label of a model and the alias of a database.
RowSource = tuple[str, str]


class RowGone(LookupError):  # noqa: N818 — what happened, reported by the attribute that held the row
    """A row that the state refers to is not in the database any more."""


class RowRefused(TypeError):  # noqa: N818 — as above
    """There are rows of a model where none are allowed."""


def is_row(instance: Model) -> bool:
    """Whether this is a row of the database, to be fetched again; else its fields are written."""
    return not instance._state.adding and instance.pk is not None and instance._meta.managed


def field_values(instance: Model) -> dict[str, Any]:
    """What the fields of an instance hold, without deferred ones; a file is its name."""
    values = vars(instance)
    names = [field.attname for field in instance._meta.concrete_fields if field.attname in values]
    return {name: value.name if isinstance(value := values[name], FieldFile) else value for name in names}


def key_of(model: type[Model], key: Any) -> Any:
    """The key as a row has it: an instance may have been saved with "7" for 7."""
    return model._meta.pk.to_python(key)


def source_of(label: str, database: str | None) -> RowSource:
    return label, database or DEFAULT_DB_ALIAS


def fetch(source: RowSource, keys: list[Any]) -> dict[Any, Model]:
    """The rows that there are, by key."""
    label, database = source
    model = model_of(label)
    if database not in connections:
        raise StateError(f"The state holds a row of the database {database!r:.80}, which is not configured.")
    try:
        return model._base_manager.using(database).in_bulk({key_of(model, key) for key in keys})
    except (ValueError, TypeError, OverflowError, ValidationError, DataError) as error:
        raise StateError(f"The state holds keys of {label} that it cannot have ({error}).") from error
