"""The engine's answers as bytes: the head of an answer, and the frames of two streams in one. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

_HEADER: Final = 8
MAX_FRAME: Final = 16 << 20
"""Engines send what was written in one piece: 32 KiB as a rule."""


class Head(NamedTuple):
    """The status of an answer and how long its body is: `length`, or in chunks, or until the end."""

    status: int
    length: int | None
    chunked: bool


def head_of(text: bytes) -> Head:
    """Read the head of an HTTP/1.1 answer. Raises ValueError."""
    first, *lines = text.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdigit()):
        raise ValueError("this is no HTTP")
    length: int | None = None
    chunked = False
    for line in lines:
        name, _, value = line.partition(":")
        match name.strip().lower():
            case "content-length":
                if not (value.strip().isascii() and value.strip().isdigit()):
                    raise ValueError("a length that is no number")
                length = int(value)
            case "transfer-encoding":
                chunked = value.strip().lower() == "chunked"
            case _:
                pass
    return Head(int(status), None if chunked else length, chunked)


class Frames:
    """Takes the two streams apart: each piece has 8 bytes before it, the stream and the length."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The stream (1 or 2) and the bytes of each piece, as far as they have come.

        Raises ValueError for what no engine sends.
        """
        self._held += data
        while len(self._held) >= _HEADER:
            stream, length = self._held[0], int.from_bytes(self._held[4:8], "big")
            if stream not in (0, 1, 2) or any(self._held[1:4]) or length > MAX_FRAME:
                raise ValueError("the engine sent what is no frame")
            if len(self._held) < _HEADER + length:
                return
            piece = bytes(self._held[_HEADER : _HEADER + length])
            del self._held[: _HEADER + length]
            yield (2 if stream == 2 else 1), piece  # noqa: PLR2004 - stderr
