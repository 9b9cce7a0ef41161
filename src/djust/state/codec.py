"""State as text: JSON in which every other type carries a tag.

    encode_state(view_class, {"n": 1, "seen": {2}})  ->  '{"n":1,"seen":{"$":["set",[2]]}}'
    decode_state(view_class, text)                   ->  Decoded({"n": 1, "seen": {2}}, missing={})

What comes back is equal and of the same type. Saved models are written by reference and fetched again, with one query
per model and database; models that are not in the database by the values of their fields; QuerySets by the keys of
their rows, in order. A row that is gone is reported by the attribute that held it.

Three things come back different: a lazy text as the text it was when it was written; a lazy object such as
`request.user` as what it stands for; what `values()` and `values_list()` of a QuerySet give as a list. What a QuerySet
holds comes back in its order, without rows that are gone, and what is derived from it asks the database again. What
cannot be written (see `validation`) becomes its `str()`.

A text that was tampered with raises `StateError`: classes are looked up among those that are imported and must be what
the tag says, nothing is imported, nothing called that state could not hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from djust.exceptions import StateError
from djust.state.reading import Reader, references_of
from djust.state.types import JSON_TYPES
from djust.state.validation import survey
from djust.state.writing import TAG, Writer

# Longer texts are not read.
MAX_LENGTH = 64 * 1024 * 1024

_JSON_CONTAINERS = frozenset({list, dict})
# What JSON holds without a tag.
_JSON_TYPES = JSON_TYPES | {dict, list}
_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


class Decoded(NamedTuple):
    """What a text has said. `missing` names the attributes whose rows are gone, and why."""

    values: dict[str, Any]
    missing: dict[str, StateError]


def encode_state(view_class: type, state: Mapping[str, Any]) -> str:
    """The state of a view as text. Runs queries for QuerySets that were not evaluated; raises `StateError` only where
    the state is too large to be written.
    """
    seen = survey(state.values(), every_key=True)
    # A key that is no text is among the types, and one that JSON would take for a text among the keys.
    if seen is not None and seen.types <= _JSON_TYPES and all(type(key) is str for key in seen.keys):
        try:
            text = _encoder.encode(state)
        except ValueError:
            # Not a number, or infinite, or an integer of thousands of digits.
            pass
        else:
            # An escaped character may be half of one, which the slow way tells from a whole one.
            if f'"{TAG}":' not in text and "\\ud" not in text:
                return text
    writer = Writer()
    return _encoder.encode({name: writer.attribute(value) for name, value in state.items()})


def decode_state(view_class: type, text: str) -> Decoded:
    """The state that `encode_state` has written."""
    written = _loads(text)
    if type(written) is not dict or TAG in written:
        raise StateError(f"{view_class.__name__}: expected the state of a view; got {text[:40]!r}.")
    if f'"{TAG}":' not in text:
        return Decoded(written, {})
    reader = Reader(references_of(written))
    values: dict[str, Any] = {}
    missing: dict[str, StateError] = {}
    for name, value in written.items():
        try:
            values[name] = reader.attribute(value)
        except LookupError as error:
            missing[name] = StateError(f"{view_class.__name__}.{name}: {error.args[0]}")
    return Decoded(values, missing)


def encode(value: Any) -> str:
    """One value as text."""
    return _encoder.encode(Writer().attribute(value))


def decode(text: str) -> Any:
    """The value that `encode` has written."""
    written = _loads(text)
    try:
        return Reader(references_of(written)).attribute(written)
    except LookupError as error:
        raise StateError(str(error.args[0])) from error


def _loads(text: str) -> Any:
    if len(text) > MAX_LENGTH:
        raise StateError(f"A state of {len(text)} characters is not read; the limit is {MAX_LENGTH}.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateError(f"Expected the state of a view; got {text[:40]!r} ({error}).") from error
