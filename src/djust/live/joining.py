"""What every driver checks before a browser gets a page: the frame, the ticket, and whose page it is."""

from __future__ import annotations

from typing import Any, NamedTuple

from djust.conf import config
from djust.exceptions import ProtocolError
from djust.live.visitor import Visitor
from djust.render import wire
from djust.state.tickets import Ticket, load_ticket, same_visitor


class Closing(Exception):  # noqa: N818 — not an error of ours: the reason why a browser is sent away
    """Close the connection with this code; `text` is shown."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class JoinFrame(NamedTuple):
    """`version` is what the browser shows, `document` the id that it gave its document."""

    ticket: Ticket
    version: int
    document: str


def join_frame(frame: list[Any]) -> JoinFrame:
    """The members of a join; raises `ProtocolError`, or `TicketError` for a ticket that cannot be used."""
    if frame[0] != wire.JOIN:
        raise Closing(wire.CLOSE_NOT_JOINED, "The first frame must be a join.")
    members: list[Any] = [*frame[1:5], *(None, None, "", "")[len(frame) - 1 :]]
    ticket, version, _, document = members
    if type(version) is not int or version < 0 or type(document) is not str or len(document) > 64:
        raise ProtocolError('Malformed frame: expected ["join", "ticket", version, "url", "document"].')
    return JoinFrame(load_ticket(ticket, config().ticket_seconds), version, document)


def check_visitor(ticket: Ticket, visitor: Visitor) -> None:
    """Refuse a visitor for whom the ticket was not made."""
    if same_visitor(ticket.binding, visitor.binding):
        return
    if not ticket.binding and visitor.is_anonymous:
        # The session began after the page was made, perhaps with its own response.
        return
    raise Closing(wire.CLOSE_REFUSED, "This page was opened in another session or by another user.")
