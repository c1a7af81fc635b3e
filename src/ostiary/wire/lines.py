"""Frames on stdio: one message a line, cut at LF and nowhere else.

Some servers also end a line at CR, so a CR between two tokens would hand them a second message
that nobody decided on. Hence no line that leaves here holds a CR or LF before its end.
"""

from __future__ import annotations

import re

import msgspec

from ostiary.wire.message import Refusal
from ostiary.wire.strict import INVALID_REQUEST, Refused

MAX_LINE = 16 * 1024 * 1024
"""Longest line read, in bytes without its LF."""

_BREAK = re.compile(rb"[\r\n]")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_TO_SPACES = bytes.maketrans(b"\r\n", b"  ")
_BLANK = b" \t\r"
_BLANK_STARTS = (b"\n", b"\r", b" ", b"\t")


class TooLong(msgspec.Struct, frozen=True):
    """Stands for a line over the limit of `limit` bytes, which was dropped up to its LF."""

    limit: int

    def refusal(self) -> Refusal:
        """The same as a refusal, to be answered where lines are requests."""
        text = f"a line is longer than {self.limit} bytes"
        return Refusal(code=INVALID_REQUEST, status=413, message=text, rule="(size)")


class LineSplitter:
    """Cuts a byte stream into lines. Blank lines are passed over; `blank` says how many that were."""

    __slots__ = ("_blanks", "_buffer", "_dropping", "_max_line", "_scan", "blank")

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self.blank = 0
        self._max_line = max_line
        self._blanks = re.compile(rb"(?:\n++|[ \t\r]{0,%d}+\n)*+" % max_line)
        self._buffer = bytearray()
        self._scan = 0
        self._dropping = False

    def feed(self, data: bytes) -> list[bytes | TooLong]:
        """Take the next bytes; return the lines that they complete, without LF.

        A line over the limit is reported at once, as `TooLong`, and what follows up to its LF
        is dropped without being kept.
        """
        found: list[bytes | TooLong] = []
        if not self._buffer and data.find(b"\n") == len(data) - 1:  # one whole line, as nearly always
            if data:
                self._end(data[:-1], found)
            return found
        self._buffer += data
        start = self._after_blanks(0)
        while (end := self._buffer.find(b"\n", max(start, self._scan))) >= 0:
            self._end(bytes(self._buffer[start:end]), found)
            start = self._after_blanks(end + 1)
        del self._buffer[:start]
        if self._dropping:
            self._buffer.clear()
        elif len(self._buffer) > self._max_line:
            found.append(TooLong(self._max_line))
            self._dropping = True
            self._buffer.clear()
        self._scan = len(self._buffer)
        return found

    def finish(self) -> list[bytes | TooLong]:
        """At the end of the stream: the last line, if it has no LF."""
        found: list[bytes | TooLong] = []
        if self._buffer:
            self._end(bytes(self._buffer), found)
        self._buffer.clear()
        self._dropping = False
        self._scan = 0
        return found

    def _after_blanks(self, start: int) -> int:
        """Where the first line begins that is not blank, in one step for all those before it."""
        # The rest of a line begun earlier is not looked at: each piece of it would be read again and again.
        if self._dropping or start < self._scan or not self._buffer.startswith(_BLANK_STARTS, start):
            return start
        passed = self._blanks.match(self._buffer, start)
        if passed is None:
            return start
        end = passed.end()
        self.blank += self._buffer.count(b"\n", start, end)
        return end

    def _end(self, line: bytes, found: list[bytes | TooLong]) -> None:
        if self._dropping:
            self._dropping = False
        elif len(line) > self._max_line:
            found.append(TooLong(self._max_line))
        elif line.strip(_BLANK):
            found.append(line)
        else:
            self.blank += 1


def to_line(raw: bytes) -> bytes:
    """`raw` as one line, without an LF at its end; tokens stay byte for byte as they are.

    CR and LF outside strings become spaces. Raises `Refused` if one stands inside a string,
    where JSON does not allow it.
    """
    if _BREAK.search(raw) is None:
        return raw
    for match in _STRING.finditer(raw):
        if _BREAK.search(match[0]):
            text = "the message cannot be written as one line"
            raise Refused(Refusal(code=INVALID_REQUEST, status=400, message=text, rule="(line)"))
    return raw.translate(_TO_SPACES)
