"""Mints evaluation ids: `ev_` and 26 characters, unique across processes, ordered in time."""

from __future__ import annotations

import os
from collections.abc import Callable

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter can be mistaken for a digit, and text order is time order."""

_TIME_CHARS = 10
_COUNT_CHARS = 6
_RANDOM_CHARS = 10


def base32(number: int, length: int) -> str:
    """`number` in `length` characters of the alphabet, the highest first."""
    characters: list[str] = []
    for _ in range(length):
        characters.append(ALPHABET[number & 31])
        number >>= 5
    return "".join(reversed(characters))


_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)


class Mint:
    """10 characters of time (milliseconds), 6 of a counter, 10 that are random per process."""

    __slots__ = ("_clock", "_count", "_millisecond", "_prefix", "_suffix", "_time")

    def __init__(self, clock: Callable[[], int]) -> None:
        """`clock` gives microseconds since the epoch."""
        self._clock = clock
        self._count = 0
        self._millisecond = -1
        self._time = ""
        self._prefix = ""  # the time and the first four characters of the counter
        self._suffix = base32(int.from_bytes(os.urandom(7)), _RANDOM_CHARS)

    def __call__(self) -> str:
        """The next id."""
        millisecond = self._clock() // 1000
        if millisecond > self._millisecond:
            self._millisecond = millisecond
            self._time = "ev_" + base32(millisecond, _TIME_CHARS)
            self._prefix = self._time + base32(0, _COUNT_CHARS - 2)
            self._count = 0
        self._count = count = self._count + 1
        low = count % len(_PAIRS)
        if not low:
            self._prefix = self._time + base32(count // len(_PAIRS), _COUNT_CHARS - 2)
        return self._prefix + _PAIRS[low] + self._suffix
