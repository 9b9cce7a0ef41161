"""How a message becomes text: as the state of a view does, so that it arrives equal and of the same
type.

Rows of models are refused: each process would have to fetch them, on the event loop that all pages
share.
"""

from __future__ import annotations

import json
from typing import Any

from djust.state.codec import decode, encode
from djust.state.rows import RowRefused
from djust.state.validation import check_state


class Message:
    """What errors call a message that cannot be published."""


def encode_message(topic: str, message: Any) -> str:
    """A message for `handle_info`."""
    check_state(Message, {"message": message}, strict=True)
    try:
        text = encode(message, allow_rows=False)
    except RowRefused as error:
        raise TypeError(
            f'publish("{topic}"): the message {error}. Publish their keys; views that need the rows fetch them.'
        ) from None
    return f'["",{text}]'


def encode_event(topic: str, name: str, payload: Any) -> str:
    """An event for browsers."""
    try:
        return json.dumps([name, payload], allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f'push_event("{topic}", "{name}"): the payload must be what JSON can hold ({error}). '
            "Convert dates, numbers of other kinds and models to text or dictionaries."
        ) from error


def decode_message(text: str) -> tuple[str, Any]:
    """The name of an event and its payload, or "" and a message."""
    event, message = json.loads(text)
    return (event, message) if event else ("", decode(json.dumps(message)))
