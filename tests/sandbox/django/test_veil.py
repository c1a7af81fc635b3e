"""Masking what is secret in a stream of bytes, in values and in faults. Pure."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from ostiary.sandbox.django.veil import MASK, Secrets, Veil
from ostiary.sandbox.record import Fault, Value

SECRET = "hunter2-and-more"


class Kept:
    """A tap that keeps what it is given."""

    def __init__(self) -> None:
        self.out, self.err = bytearray(), bytearray()

    def stdout(self, data: bytes) -> None:
        self.out += data

    def stderr(self, data: bytes) -> None:
        self.err += data


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The same bytes in several."""
    ends = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(ends)]


@given(
    words=st.lists(st.sampled_from([SECRET, SECRET[:7], SECRET[3:], "hh", "plain ", "é", "\n"]), max_size=12),
    cuts=st.lists(st.integers(min_value=0), max_size=8),
)
def test_however_it_is_cut_the_same_is_masked_and_nothing_else(words: list[str], cuts: list[int]) -> None:
    data = "".join(words).encode()
    kept = Kept()
    veil = Veil(Secrets([SECRET]), kept)
    for piece in pieces(data, cuts):
        veil.stdout(piece)
        veil.stderr(piece)
    veil.end()
    assert bytes(kept.out) == data.replace(SECRET.encode(), MASK.encode())
    assert kept.err == kept.out


@given(
    words=st.lists(st.sampled_from([SECRET, SECRET[:7], SECRET[:10], "hh", "*", "\n"]), max_size=12),
    cuts=st.lists(st.integers(min_value=0), max_size=8),
)
def test_a_secret_that_begins_with_another_is_masked_whole(words: list[str], cuts: list[int]) -> None:
    data = "".join(words).encode()
    kept = Kept()
    secrets = Secrets([SECRET, SECRET[:7]])
    veil = Veil(secrets, kept)
    for piece in pieces(data, cuts):
        veil.stdout(piece)
    veil.end()
    assert bytes(kept.out) == secrets.masked(data)
    assert SECRET[7:].encode() not in kept.out


def test_what_cannot_be_a_beginning_is_passed_on_at_once() -> None:
    kept = Kept()
    veil = Veil(Secrets([SECRET]), kept)
    veil.stdout(b"line\nhunt")
    assert bytes(kept.out) == b"line\n"
    veil.stdout(b"ing")
    assert bytes(kept.out) == b"line\nhunting"


@given(st.text(min_size=6, max_size=20).filter(lambda text: text.strip("*")))
def test_a_secret_is_found_as_text_in_repr_and_in_json(secret: str) -> None:
    try:
        secret.encode()
    except UnicodeEncodeError:
        return
    secrets = Secrets([secret])
    value = secrets.value(Value(repr(secret), json.dumps({"a": f"x{secret}"})))
    assert value is not None
    assert secret not in value.text or secret in MASK
    if value.json is not None:
        assert json.loads(value.json)["a"] in {f"x{MASK}", MASK}


def test_a_number_that_is_masked_is_no_json_any_more() -> None:
    secrets = Secrets(["123456789"])
    assert secrets.value(Value("123456789", "123456789")) == Value(MASK, None)
    assert secrets.value(Value("12", "12")) == Value("12", "12")
    assert secrets.value(None) is None


def test_a_fault_is_masked_in_its_message_and_its_traceback() -> None:
    told = Secrets([SECRET]).fault(Fault("exception", "E", f"no {SECRET}", f"line\n{SECRET}"))
    assert told == Fault("exception", "E", f"no {MASK}", f"line\n{MASK}")


def test_without_secrets_everything_passes() -> None:
    kept = Kept()
    veil = Veil(Secrets([]), kept)
    veil.stdout(b"as it is")
    assert bytes(kept.out) == b"as it is"
    assert Secrets([]).text("as it is") == "as it is"
