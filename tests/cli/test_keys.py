"""Bytes of a keyboard become keys, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.cli.keys import keys_of, rest_of


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"\x1b[A\x1bOB", ["up", "down"]),
        (b"\x1b", ["escape"]),
        (b"\x1b[5~j ", ["page up", "j", "space"]),
        ("ñ查".encode(), ["ñ", "查"]),
        (b"\r\x7f\t", ["enter", "backspace", "tab"]),
        (b"\x1b[200~", []),
        (b"\x1b[1;5C", []),
        (b"\x01\x00\xff", []),
        (b"", []),
    ],
)
def test_keys_are_read_by_name(data: bytes, keys: list[str]) -> None:
    assert keys_of(data) == keys


def test_letters_of_an_unknown_sequence_are_not_keys() -> None:
    """A `q` at the end of one must not leave the page."""
    assert keys_of(b"\x1b[1;5q") == []
    assert keys_of(b"\x1bOq") == []


@pytest.mark.parametrize("data", [b"\x1b", b"a\x1b[", b"\x1b[1;", b"\x1bO", b"\xe6\x9f"])
def test_the_beginning_of_a_longer_key_is_noticed(data: bytes) -> None:
    assert rest_of(data) != b""


@given(st.binary(max_size=200))
def test_any_bytes_are_read_and_never_name_a_control_character(data: bytes) -> None:
    assert all(key.isprintable() and key for key in keys_of(data))


@given(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=50))
def test_typed_text_arrives_whole(text: str) -> None:
    assert keys_of(text.encode()) == list(text)
