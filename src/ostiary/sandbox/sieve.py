"""Whether a text may hold one of some secrets, found out in a time that tells nothing of them. Pure.

A search that stops at the first difference takes longer the more of a secret a text has right, and code can
write guesses and look at a clock. Here every byte of a text takes the same steps, whatever it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

PLACES: Final = 12
"""Bytes of a form that are looked at, spread over it: of many secrets the beginning is known."""
_EACH: Final = 32
"""Forms of one sieve, four for each bit: with more a text passes that has none of them right."""
_BITS: Final = 8
_ONES: Final = 0xFF


def sieves_of(forms: Sequence[bytes]) -> tuple[Sieve, ...]:
    """Sieves for all `forms`, each for some that are of about the same length."""
    found: list[list[bytes]] = []
    for form in sorted(forms, key=len):
        if not found or len(found[-1]) == _EACH or 2 * len(form) > 3 * len(found[-1][0]):
            found.append([])
        found[-1].append(form)
    return tuple(Sieve(some) for some in found)


class Sieve:
    """Some forms, the shortest first, by what stands in them at a few places."""

    def __init__(self, forms: Sequence[bytes]) -> None:
        last = len(forms[0]) - 1
        self._places = [number * last // (PLACES - 1) for number in range(PLACES)]
        self._tables = [_table(forms, place) for place in self._places]

    def passes(self, data: bytes) -> bool:
        """Whether `data` may hold a form: always where it does.

        Each byte becomes bits of the forms that have it at a place; what has all places has a bit left. The
        numbers begin with a byte of ones, so that no step is shorter for what has fewer.
        """
        many = len(data) - self._places[-1]
        if many <= 0:
            return False
        left = -1
        for place, table in zip(self._places, self._tables, strict=True):
            left &= int.from_bytes(b"\xff" + data[place : place + many].translate(table))
        return left != _ONES << _BITS * many


def _table(forms: Sequence[bytes], place: int) -> bytes:
    found = bytearray(256)
    for number, form in enumerate(forms):
        found[form[place]] |= 1 << number % _BITS
    return bytes(found)
