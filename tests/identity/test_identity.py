from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ostiary.identity.grant import Grant, Tokens
from ostiary.identity.handles import Handles

LOCAL = Grant.named("local")


def test_an_empty_token_table_admits_nobody() -> None:
    tokens = Tokens()

    assert tokens.admit(None) is None
    assert tokens.admit(b"Bearer anything") is None
    assert tokens.admit(b"Bearer ") is None


def test_only_the_exact_bearer_token_is_admitted() -> None:
    tokens = Tokens.single("ost_secret", LOCAL)

    assert tokens.admit(b"Bearer ost_secret") == LOCAL
    assert tokens.admit(b"bearer ost_secret") == LOCAL
    assert tokens.admit(b"Bearer ost_secreT") is None
    assert tokens.admit(b"Basic ost_secret") is None
    assert tokens.admit(b"ost_secret") is None
    assert tokens.admit(None) is None


def test_a_wrong_token_is_not_taken_for_none_where_none_is_needed() -> None:
    """Who shows a token says who they are: a wrong one admits nobody."""
    tokens = Tokens(by_digest={}, anonymous=Grant.named("local"))

    assert tokens.admit(None) is not None
    assert tokens.admit(b"Bearer wrong") is None
    assert tokens.admit(b"Basic d3Jvbmc=") is None
    assert tokens.admit(b"") is None


def test_a_session_handle_opens_for_the_grant_that_got_it_and_for_no_other() -> None:
    handles = Handles(b"k" * 32)

    sealed = handles.seal(b"abc.def", "ana")

    assert handles.open(sealed, "ana") == b"abc.def"
    assert handles.open(sealed, "anb") is None
    assert Handles(b"j" * 32).open(sealed, "ana") is None
    assert handles.open(b"abc.def", "ana") is None


@given(st.binary(max_size=40), st.text(max_size=10), st.binary(max_size=60))
def test_no_guessed_handle_opens(upstream_id: bytes, grant: str, guess: bytes) -> None:
    handles = Handles(b"k" * 32)
    sealed = handles.seal(upstream_id, grant)

    assert handles.open(sealed, grant) == upstream_id
    if guess != sealed:
        assert handles.open(guess, grant) is None


def test_grant_and_id_cannot_be_shifted_into_each_other() -> None:
    handles = Handles(b"k" * 32)

    sealed = handles.seal(b"bc", "a")
    shifted = b"c." + sealed.rpartition(b".")[2]

    assert handles.open(shifted, "ab") is None
