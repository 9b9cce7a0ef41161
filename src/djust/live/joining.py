"""What every driver checks before a browser gets a page: the frame, the ticket, and whose page it is.

A page belongs to a user, or to an anonymous visitor, who may have a session. `admits` says who gets one that exists,
be it in this process or as a snapshot:

    the page of a user         that user, in whatever session, and nobody else
    of an anonymous session    that session, and the very document that held the page
    of somebody without        the very document that held it; as long as none has, any anonymous visitor

The id of a document is its secret, so an anonymous visitor may log in, or lose the session, and goes on with the page.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from djust.conf import config
from djust.exceptions import ProtocolError
from djust.live.token import JoinToken, is_of_session, is_of_user, load_join_token, same_visitor
from djust.live.visitor import Visitor
from djust.protocol import frames as wire

SESSION_LOST = "Your session has ended. Log in again in another tab, and this page goes on."
_SOMEBODY_ELSE = "This page was opened in another session or by another user."


class Closing(Exception):  # noqa: N818 — not an error of ours: the reason why a browser is sent away
    """Close the connection with this code; `text` is shown."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class JoinFrame(NamedTuple):
    """`version` is what the browser shows, `document` the id that it gave its document."""

    ticket: JoinToken
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
    return JoinFrame(load_join_token(ticket, config().ticket_seconds), version, document)


def admits(binding: str, holder: str, document: str, visitor: Visitor) -> bool:
    """Whether a document of `visitor` gets a page with this binding, which the document `holder` held last.

    Nobody has held it yet if that is "". False: the page stays for its owner, and the document is to have another one.
    Raises `Closing` where it is to have none.
    """
    if is_of_user(binding):
        check_user(binding, visitor)
        return True
    if binding and not is_of_session(binding):
        # Not of this version of the package.
        return False
    if document and document == holder:
        return True
    if binding:
        if same_visitor(binding, visitor.identity):
            return True
        if visitor.is_unknown:
            return False
        raise Closing(wire.CLOSE_REFUSED, _SOMEBODY_ELSE)
    if holder:
        return False
    if visitor.is_user:
        raise Closing(wire.CLOSE_REFUSED, _SOMEBODY_ELSE)
    # The session may have begun after the page was made, perhaps with its own response.
    return True


def check_user(binding: str, visitor: Visitor) -> None:
    """Raise `Closing` if a binding is a user's, and the visitor somebody else."""
    if not is_of_user(binding) or same_visitor(binding, visitor.identity):
        return
    if visitor.is_unknown:
        raise Closing(wire.CLOSE_SESSION, SESSION_LOST)
    raise Closing(wire.CLOSE_REFUSED, _SOMEBODY_ELSE)
