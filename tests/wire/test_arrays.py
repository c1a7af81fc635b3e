"""Arrays of messages as a server sends them."""

from __future__ import annotations

import tracemalloc

import pytest

from ostiary.wire.arrays import members_of, taken_apart


@pytest.mark.parametrize("number", [1, 32])
def test_the_members_of_an_array_are_found_where_they_stand(number: int) -> None:
    raw = b" [ " + b" ,\n".join([b'{"a": [1, 2]}'] * number) + b"]\r\n"

    found = members_of(raw)

    assert found is not None
    assert [one.of(raw) for one in found] == [b'{"a": [1, 2]}'] * number


@pytest.mark.parametrize(
    "raw", [b"[]", b"[" + b"0," * 32 + b"0]", b"{}", b"[1", b"[1,]", b"[1]2", b"", b"x[1]"]
)
def test_what_is_no_array_of_1_to_32_is_left_whole(raw: bytes) -> None:
    assert members_of(raw) is None
    assert taken_apart(raw) == [raw]


def test_an_array_of_very_many_members_is_not_spread_out_before_they_are_counted() -> None:
    """A server could use up the memory of the gate with one event otherwise."""
    raw = b"[" + b"0," * 200_000 + b"0]"
    tracemalloc.start()
    try:
        members_of(raw)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 100_000
