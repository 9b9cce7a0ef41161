"""The join token that leads from the first HTML to its page."""

import pytest
from django.core import signing
from django.test import override_settings

from djust.exceptions import TicketError
from djust.live.token import (
    JoinToken,
    fingerprint,
    is_of_session,
    is_of_user,
    load_join_token,
    make_join_token,
    same_visitor,
)

TICKET = JoinToken("page", "/shop/?page=2&q=ä", fingerprint("user:7"))


def test_a_join_token_comes_back_as_it_was_made() -> None:
    assert load_join_token(make_join_token(TICKET), 60) == TICKET


def test_a_join_token_reveals_neither_session_nor_user() -> None:
    text = make_join_token(JoinToken("page", "/", fingerprint("session:the-session-key")))
    content = str(signing.loads(text, salt="djust.ticket"))
    assert "the-session-key" not in content


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: "A" + text,
        lambda text: signing.dumps(list(TICKET), salt="another salt"),
        lambda text: signing.dumps(list(TICKET), salt="djust.ticket", key="another key"),
        lambda text: "",
        lambda text: "nonsense",
        lambda text: "\ud800",
    ],
)
def test_a_forged_join_token_is_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(TicketError, match="The join token was not made by this site") as caught:
        load_join_token(change(make_join_token(TICKET)), 60)
    assert (caught.value.expired, caught.value.url) == (False, "")


@pytest.mark.parametrize("thing", [None, 5, [], {}])
def test_what_is_not_text_is_no_join_token(thing: object) -> None:
    with pytest.raises(TicketError, match="Expected a join token"):
        load_join_token(thing, 60)


def test_an_expired_join_token_still_names_its_url() -> None:
    with pytest.raises(TicketError, match="has expired: it is older than 0 seconds") as caught:
        load_join_token(make_join_token(TICKET), 0)
    assert (caught.value.expired, caught.value.url) == (True, TICKET.url)


def test_bindings_differ_by_identity_and_secret() -> None:
    bindings = {fingerprint("user:1"), fingerprint("user:2"), fingerprint("session:1"), fingerprint("session:2")}
    with override_settings(SECRET_KEY="another"):
        bindings.add(fingerprint("user:1"))
    assert len(bindings) == 5
    assert fingerprint("") == ""


def test_a_binding_tells_whether_it_is_that_of_a_user() -> None:
    bindings = [fingerprint("user:1"), fingerprint("session:1"), ""]
    assert [(is_of_user(one), is_of_session(one)) for one in bindings] == [(True, False), (False, True), (False, False)]


def test_bindings_are_compared_whole_and_under_all_keys() -> None:
    old = fingerprint("user:1")
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["another", "only for tests"]):
        new = fingerprint("user:1")
        assert old != new
        assert [same_visitor(one, "user:1") for one in (old, new, "")] == [True, True, False]
        assert [same_visitor(old, other) for other in ("user:11", "session:1", "")] == [False, False, False]
        assert same_visitor("", "")
    with override_settings(SECRET_KEY="new"):
        assert not same_visitor(old, "user:1")
