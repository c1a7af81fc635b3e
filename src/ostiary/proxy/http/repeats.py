"""Heads that a peer sends again and again, so that they are not parsed and judged anew each time.

One client repeats one head with all its requests, one server with all its answers, but for the
length of the body. Parsing it costs more than everything that is then done with the result.

A message is recognised only if (1) its head was read by the parser and accepted by every rule
before, twice, on this very connection; (2) all bytes of the head are the same, but for the
digits of its one Content-Length; (3) the message is here whole: exactly as many bytes follow the
head as the digits say. Then the parser would find what it found before. Everything else, the
next message with a byte more or less among them, goes through the parser.

Pure. What is remembered holds what the peer sent, its credentials included; it belongs to the
connection and goes with it, and so do the bytes it takes from the common allowance.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

MAX_HEAD = 4096
"""Longest head that is remembered, in bytes."""

MAX_HEADS = 4
"""Heads remembered on one connection; the one learnt first goes first."""

MAX_MESSAGE = 16384
"""Longest message that is recognised, in bytes; with longer ones the head costs little."""

ALLOWANCE = 4 * 1024 * 1024
"""Bytes that all connections of one listener, or to one upstream, may use for it together."""

_TRIES, _PAUSE = 16, 256
"""Messages looked at before giving up on a peer that never repeats itself, and then left alone."""

_LENGTH = re.compile(rb"(?i:\r\ncontent-length:)[ \t]*([0-9]{1,7})[ \t]*(?=\r\n)")
_DIGITS = 7
_END = b"\r\n\r\n"

# What a head is read as takes about as much again for each of its bytes, and the objects as such.
_TIMES, _LINE, _OBJECTS = 3, 144, 1024

T = TypeVar("T")


class Allowance:
    """How many bytes may still be used. Shared by connections."""

    __slots__ = ("left",)

    def __init__(self, size: int = ALLOWANCE) -> None:
        self.left = size


class _Known(Generic[T]):
    """One head: the bytes before and after the digits of its length, and what it was read as."""

    __slots__ = ("after", "before", "value")

    def __init__(self, before: bytes, after: bytes, value: T) -> None:
        self.before = before
        self.after = after
        self.value = value


class Repeats(Generic[T]):
    """The heads that one connection remembers, each with what it was read as."""

    __slots__ = ("_allowance", "_known", "_seen", "_taken", "_tries")

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._known: tuple[_Known[T], ...] = ()
        self._taken = 0
        # The head seen last, by a hash that only this process can compute: it may not be kept yet.
        self._seen = 0
        self._tries = _TRIES

    def find(self, data: bytes) -> tuple[T, bytes] | None:
        """What the head of `data` was read as, and the body; None if that is not certain."""
        for known in self._known:
            start = len(known.before)
            if not data.startswith(known.before):
                continue
            end = data.find(b"\r", start, start + _DIGITS + 1)
            digits = data[start:end]
            if end < 0 or not digits.isdigit() or not data.startswith(known.after, end):
                continue
            body = data[end + len(known.after) :]
            if len(body) == int(digits):
                return known.value, body
        return None

    def learn(self, data: bytes, length: int, value: T) -> None:
        """Take note of a whole message that was parsed: its bytes, and what its head was read as.

        `length` is that of its body. To be remembered, a head must be seen twice in a row.
        """
        self._tries -= 1
        if self._tries < 0:
            if self._tries < -_PAUSE:
                self._tries = _TRIES
            return
        end = data.find(_END) + len(_END)
        if end > MAX_HEAD or len(data) > MAX_MESSAGE or len(data) - end != length:
            return
        places = list(_LENGTH.finditer(data, 0, end))
        if len(places) != 1:
            return
        before, after = data[: places[0].start(1)], data[places[0].end(1) : end]
        seen = hash((before, after))
        if seen != self._seen:
            self._seen = seen
            return
        self._keep(_Known(before, after, value))

    def _keep(self, known: _Known[T]) -> None:
        """Remember a head, as far as the allowance goes."""
        kept = (known, *self._known[: MAX_HEADS - 1])
        taken = sum(_cost(one) for one in kept)
        if taken - self._taken > self._allowance.left:
            return
        self._allowance.left -= taken - self._taken
        self._taken = taken
        self._known = kept
        self._tries = _TRIES

    def forget(self) -> None:
        """Drop everything: the connection is gone."""
        self._known = ()
        self._allowance.left += self._taken
        self._taken = 0
        self._seen = 0

    def __len__(self) -> int:
        return len(self._known)


def _cost(known: _Known[T]) -> int:
    """About how many bytes it takes to remember a head."""
    lines = known.before.count(b"\n") + known.after.count(b"\n")
    return _TIMES * (len(known.before) + len(known.after)) + _LINE * lines + _OBJECTS
