"""State as text: JSON in which every other type carries a tag.

    encode_state({"n": 1, "seen": {2}}) ->  '{"n":1,"seen":{"$":["set",[2]]}}'
    decode_state(view_class, text)      ->  Decoded({"n": 1, "seen": {2}}, missing={})

What comes back is equal and of the same type. Saved models are written by reference and fetched
again, with one query per model and database. Models that are not in the database are written by the
values of their fields, QuerySets by the keys of their rows, in order. A row that is gone is
reported with the attribute that held it.

Three things come back different:

* a lazy text as the text that it was when it was written;
* a lazy object, such as `request.user`, as what it stands for;
* what `values()` and `values_list()` of a QuerySet give, as a list.

A QuerySet comes back with its rows in order, without those that are gone; what is derived from it
asks the database again. What cannot be written (see `validation`) becomes its `str()`.

A text that was tampered with raises `StateError`. Classes are looked up among those that are
imported, and must be what the tag says. Nothing is imported, and no class is called that state
could not hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from djust.exceptions import StateError
from djust.state.rows import RowGone, RowSource, fetch, source_of
from djust.state.types import TAG, Decoder, Encoder
from djust.state.validation import scan

# Longer texts are not read.
MAX_LENGTH = 64 * 1024 * 1024

# What JSON holds without a tag.
_JSON_TYPES = frozenset({type(None), bool, int, float, str, dict, list})
_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


class Decoded(NamedTuple):
    """The state that a text holds. `missing` names the attributes whose rows are gone, and why."""

    values: dict[str, Any]
    missing: dict[str, StateError]


def encode_state(state: Mapping[str, Any]) -> str:
    """The state of a view as text. Runs queries for QuerySets that were not evaluated; raises
    `StateError` only where the state is too large to be written.
    """
    found = scan(state.values(), every_key=True)
    # Keys of other types are among `found.types`. JSON would turn some of them, such as integers,
    # into text, so the keys are checked as well.
    if found is not None and found.types <= _JSON_TYPES and all(type(key) is str for key in found.keys):
        try:
            text = _encoder.encode(state)
        except ValueError:
            # Not a number, or infinite, or an integer of thousands of digits.
            pass
        else:
            # An escaped character may be a lone surrogate, which only the encoder tells from half
            # of a pair.
            if f'"{TAG}":' not in text and "\\ud" not in text:
                return text
    encoder = Encoder()
    return _encoder.encode({name: encoder.write(value) for name, value in state.items()})


def decode_state(view_class: type, text: str) -> Decoded:
    written = _loads(text)
    if type(written) is not dict or TAG in written:
        raise StateError(f"{view_class.__name__}: expected the state of a view; got {text[:40]!r}.")
    if f'"{TAG}":' not in text:
        return Decoded(written, {})
    decoder = _decoder_for(written)
    values: dict[str, Any] = {}
    missing: dict[str, StateError] = {}
    for name, value in written.items():
        try:
            values[name] = decoder.decode(value)
        except RowGone as error:
            missing[name] = StateError(f"{view_class.__name__}.{name}: {error.args[0]}")
    return Decoded(values, missing)


def encode(value: Any, *, allow_rows: bool = True) -> str:
    """One value as text. Without `allow_rows`, models and QuerySets raise `RowRefused`."""
    return _encoder.encode(Encoder(allow_rows=allow_rows).write(value))


def decode(text: str) -> Any:
    written = _loads(text)
    try:
        return _decoder_for(written).decode(written)
    except RowGone as error:
        raise StateError(str(error.args[0])) from error


def _loads(text: str) -> Any:
    if len(text) > MAX_LENGTH:
        raise StateError(f"A state of {len(text)} characters is not read; the limit is {MAX_LENGTH}.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateError(f"Expected the state of a view; got {text[:40]!r} ({error}).") from error


def _decoder_for(written: Any) -> Decoder:
    """A decoder with all rows that what was written refers to, fetched before anything is built."""
    return Decoder({source: fetch(source, keys) for source, keys in _keys_in(written).items()})


def _keys_in(written: Any) -> dict[RowSource, list[Any]]:
    """The keys of all rows that are referred to; a key is read without rows."""
    found: dict[RowSource, list[Any]] = {}
    waiting = [written]
    without_rows = Decoder({})
    while waiting:
        value = waiting.pop()
        if type(value) is list:
            waiting += value
        elif type(value) is dict:
            match value.get(TAG):
                case ["model", str(label), str() | None as database, key]:
                    found.setdefault(source_of(label, database), []).append(without_rows.decode(key))
                case ["queryset", str(label), str() | None as database, list(keys), *_]:
                    found.setdefault(source_of(label, database), []).extend(without_rows.decode(keys))
                case _:
                    waiting += value.values()
    return found
