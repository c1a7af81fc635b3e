"""How long it takes to look for a secret tells nothing of it: every guess goes the same way."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.sandbox import sieve
from ostiary.sandbox.egress.places import Place, read_allowed
from ostiary.sandbox.egress.swap import Held, Swap
from ostiary.sandbox.masks import MASK, Masks, forms_of
from ostiary.sandbox.sieve import sieves_of

SECRET = "tok-7fA9/xy+Q2=zz-real"
SIZE = 4_000
SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=8, max_size=80)


def guesses(secret: str) -> list[bytes]:
    """Texts of one size that have more or less of a secret right, in each of its forms."""
    found = [b"?" * SIZE]
    for form in sorted(forms_of(secret)):
        half = len(form) // 2
        parts = [form[:length] for length in (1, 2, half)] + [form[-length:] for length in (1, 2, half)]
        parts += [
            form[:1] + b"?" * (len(form) - 2) + form[-1:],
            form[half // 2 : half // 2 + half],
            form[: half + 1 : 2],
        ]
        found += [(part + b"?" * len(form)) * (SIZE // (len(part) + len(form)) + 1) for part in parts]
        found += [part * SIZE for part in parts]
    return [one[:SIZE] for one in found]


class Watched(bytes):
    """Bytes in which nothing is searched: whoever tries has left the way that all texts go."""

    def find(self, *_: Any) -> int:
        raise AssertionError("searched")

    replace: ClassVar[Any] = find
    count: ClassVar[Any] = find
    index: ClassVar[Any] = find
    startswith: ClassVar[Any] = find
    __contains__: ClassVar[Any] = find


def test_no_guess_is_searched_whatever_it_has_right() -> None:
    masks = Masks((SECRET,))
    for guess in guesses(SECRET):
        assert masks.masked(Watched(guess)) == guess
        shown, waits = masks.split(Watched(guess))
        assert (shown + waits, len(waits)) == (guess, 512)
    with pytest.raises(AssertionError, match="searched"):  # and the secret is
        masks.masked(Watched(b"?" + SECRET.encode()))


def test_every_step_is_of_one_size_whatever_a_guess_has_right(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[int, int]] = []

    class Counted(int):
        @classmethod
        def from_bytes(cls, data: Any, *_: Any, **__: Any) -> int:  # type: ignore[override]
            number = int.from_bytes(data, "big")
            steps.append((len(data), number.bit_length()))
            return number

    masks = Masks((SECRET,))
    monkeypatch.setattr(sieve, "int", Counted, raising=False)
    seen = set()
    for guess in [*guesses(SECRET), (SECRET * SIZE).encode()[:SIZE]]:
        steps.clear()
        masks.masked(guess)
        seen.add(tuple(steps))

    assert len(seen) == 1
    assert len(steps) == 3 * sieve.PLACES


@pytest.mark.parametrize("size", [8, 9, 22, 40, 93, 400])
def test_the_length_of_a_secret_changes_no_number_of_steps(size: int) -> None:
    letters = "".join("aB3dE6gH9j"[n % 10] for n in range(size))
    (few, many) = (sum(len(one._places) for one in Masks((text,))._sieves) for text in (letters, letters[:8]))

    assert few == many


@given(secret=SECRETS, before=st.binary(max_size=40), after=st.binary(max_size=40))
def test_nothing_that_holds_a_form_is_kept_back(secret: str, before: bytes, after: bytes) -> None:
    for form in forms_of(secret):
        data = before + form + after
        assert any(one.passes(data) for one in sieves_of(sorted(forms_of(secret))))
        assert (
            form not in Masks((secret,), "").masked(data).replace(MASK.encode(), b"")
            or form in before + after
        )


@given(secrets=st.lists(SECRETS, min_size=1, max_size=5), data=st.binary(max_size=200))
def test_with_and_without_a_sieve_the_same_comes_out(secrets: list[str], data: bytes) -> None:
    text = b"".join(piece for secret in secrets for piece in (data, secret.encode(), data[:7]))
    with_sieve, without = Masks(secrets), Masks(secrets, known=True)
    assert with_sieve.masked(text) == without.masked(text)
    assert with_sieve.split(text * 4) == without.split(text * 4)


def looked_at(*_: object) -> Any:
    raise AssertionError("the value was looked at")


LOOKING = (
    "__eq__",
    "__ne__",
    "__lt__",
    "__contains__",
    "__len__",
    "__getitem__",
    "__iter__",
    "find",
    "index",
)
MORE = ("startswith", "endswith", "encode", "replace")
Untouchable: Any = type("Untouchable", (str,), dict.fromkeys((*LOOKING, *MORE), looked_at))
"""A value that nobody compares, measures or looks into."""


def test_a_request_without_a_placeholder_never_looks_at_the_value() -> None:
    placeholder, place = "a1b2" * 10, Place("api.example.org", 443)
    swap = Swap([Held("T", placeholder, Untouchable(SECRET), (read_allowed("api.example.org"),))])

    for guess in (SECRET, SECRET[:9], "x", placeholder[:-1], placeholder.upper()[:39]):
        assert swap.fields([("x-token", guess)], place) == [("x-token", guess)]
        swap.refuse(guess.encode(), "the body")
    assert swap.fields([("x-token", placeholder)], place) == [("x-token", SECRET)]
