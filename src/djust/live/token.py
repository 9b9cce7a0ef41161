"""The join token: the signed text in the first HTML with which a browser gets its page.

It holds the page's id, its URL with the query, the *fingerprint* of the visitor it was made for and
a digest of what was shown; the signature adds the time. Nothing else that a browser sends decides
which view is mounted.

    make_join_token(JoinToken("6fa1…", "/shop/?page=2", fingerprint("user:7")))  ->  "WyI2ZmEx…"

Anyone who sees the page can read the token. So a fingerprint is a keyed digest: it tells neither
session nor user, only whether there is one. Tokens and fingerprints made under one of
SECRET_KEY_FALLBACKS are good as well.
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

USER = "user:"
SESSION = "session:"


class JoinToken(NamedTuple):
    """What a join token says."""

    page_id: str
    url: str
    fingerprint: str
    digest: str = ""
    """Of the HTML that was sent with it."""


def fingerprint(identity: str) -> str:
    """A keyed digest of an identity such as "user:7" or "session:k3y"; empty for an empty one."""
    return _fingerprint(identity, settings.SECRET_KEY)


def _fingerprint(identity: str, key: str | bytes) -> str:
    if not identity:
        return ""
    return identity[0] + salted_hmac(SALT, identity, secret=key, algorithm="sha256").hexdigest()[:32]


def is_of_user(fingerprint: str) -> bool:
    """Whether a fingerprint is that of a user, who has logged in."""
    return fingerprint.startswith(USER[0])


def is_of_session(fingerprint: str) -> bool:
    """Whether a fingerprint is that of an anonymous session."""
    return fingerprint.startswith(SESSION[0])


def same_visitor(fingerprint: str, identity: str) -> bool:
    """Whether `fingerprint` was made of `identity`, under any of the secret keys."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    # All keys are tried, so that the time reveals nothing.
    found = [constant_time_compare(fingerprint, _fingerprint(identity, key)) for key in keys]
    return True in found


def digest_of(html: str) -> str:
    """A digest for the question whether a page shows what its browser was sent."""
    return blake2b(html.encode("utf-8", "surrogatepass"), digest_size=9).hexdigest()


def make_join_token(token: JoinToken) -> str:
    return signing.dumps(list(token), salt=SALT)


def load_join_token(text: object, max_age: float) -> JoinToken:
    """What the signed text says; `TicketError` if it is forged, or older than `max_age` seconds."""
    if not isinstance(text, str):
        raise TicketError(f"Expected a join token: a signed text; got {type(text).__name__}.")
    try:
        members = signing.loads(text, salt=SALT, max_age=timedelta(seconds=max_age))
        if type(members) is list and 3 <= len(members) <= 4 and all(type(member) is str for member in members):
            return JoinToken(*members)
        raise TicketError("The join token was made by another version of this package. Load the page again.")
    except signing.SignatureExpired as error:
        token = JoinToken(*signing.loads(text, salt=SALT))
        raise TicketError(
            f"The join token for {token.url} has expired: it is older than {max_age:g} seconds. Load the page again.",
            expired=True,
            url=token.url,
        ) from error
    except (signing.BadSignature, UnicodeError) as error:
        raise TicketError("The join token was not made by this site, or SECRET_KEY has changed since.") from error
