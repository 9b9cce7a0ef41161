"""The ticket: the signed text in the first HTML that lets a socket adopt the page.

It holds the page's id, its URL with the query, a *binding* to the visitor it was made for and a digest of what was
shown; the signature adds the time. Nothing else that a browser says decides which view is mounted.

    make_join_token(JoinToken("6fa1…", "/shop/?page=2", binding("user:7")))  ->  "WyI2ZmEx…:1tX…:sVh…"

It can be read by whoever sees the page, so the binding is a keyed digest: it tells neither session nor user, only
whether there is one. Tickets and bindings made under one of SECRET_KEY_FALLBACKS are good as well.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import blake2b
from typing import NamedTuple

from django.conf import settings
from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac

from djust.exceptions import TicketError

SALT = "djust.ticket"


class JoinToken(NamedTuple):
    """What a ticket says."""

    page_id: str
    url: str
    binding: str
    digest: str = ""
    """Of the HTML that was sent with it."""


USER = "user:"
SESSION = "session:"


def binding(identity: str) -> str:
    """A digest of an identity, such as "user:7" or "session:k3y", under SECRET_KEY; empty for an empty one."""
    return _binding(identity, settings.SECRET_KEY)


def _binding(identity: str, key: str | bytes) -> str:
    if not identity:
        return ""
    return identity[0] + salted_hmac(SALT, identity, secret=key, algorithm="sha256").hexdigest()[:32]


def is_of_user(binding: str) -> bool:
    """Whether a binding is that of somebody who has logged in."""
    return binding.startswith(USER[0])


def is_of_session(binding: str) -> bool:
    """Whether a binding is that of an anonymous session."""
    return binding.startswith(SESSION[0])


def digest_of(html: str) -> str:
    """A digest that tells whether a page shows what its browser was sent."""
    return blake2b(html.encode("utf-8", "surrogatepass"), digest_size=9).hexdigest()


def same_visitor(binding: str, identity: str) -> bool:
    """Whether `binding` was made of `identity`, under SECRET_KEY or one of SECRET_KEY_FALLBACKS."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    # All keys are tried, so that the time tells nothing.
    found = [constant_time_compare(binding, _binding(identity, key)) for key in keys]
    return True in found


def make_join_token(ticket: JoinToken) -> str:
    """The signed text of `ticket`."""
    return signing.dumps(list(ticket), salt=SALT)


def load_join_token(text: object, max_age: float) -> JoinToken:
    """What the signed text says; raises `TicketError` if it is not genuine or older than `max_age` seconds."""
    if not isinstance(text, str):
        raise TicketError(f"Expected a ticket: a signed text; got {type(text).__name__}.")
    try:
        members = signing.loads(text, salt=SALT, max_age=timedelta(seconds=max_age))
        if type(members) is list and 3 <= len(members) <= 4 and all(type(member) is str for member in members):
            return JoinToken(*members)
        raise TicketError("The ticket was made by another version of this package. Load the page again.")
    except signing.SignatureExpired as error:
        ticket = JoinToken(*signing.loads(text, salt=SALT))
        raise TicketError(
            f"The ticket for {ticket.url} has expired: it is older than {max_age:g} seconds. Load the page again.",
            expired=True,
            url=ticket.url,
        ) from error
    except (signing.BadSignature, UnicodeError) as error:
        raise TicketError("The ticket was not made by this site, or SECRET_KEY has changed since.") from error
