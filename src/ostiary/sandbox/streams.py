"""What a run writes: kept whole up to a bound, shown as its beginning and its end."""

from __future__ import annotations

from collections.abc import Callable

from ostiary.sandbox.record import Stream


class Capture:
    """The two streams of one run. Takes bytes as they come; a `Tap` for its worker.

    `most` bounds what is kept of both together, in bytes; `on_full` is called once, when more came.
    """

    def __init__(self, most: int, shown: int, on_full: Callable[[], object]) -> None:
        self._room = most
        self._shown = shown
        self._on_full = on_full
        self._full = False
        self._out, self._err = bytearray(), bytearray()
        self._sizes = [0, 0]

    def stdout(self, data: bytes) -> None:
        """More of stdout."""
        self._sizes[0] += len(data)
        self._keep(self._out, data)

    def stderr(self, data: bytes) -> None:
        """More of stderr."""
        self._sizes[1] += len(data)
        self._keep(self._err, data)

    def _keep(self, kept: bytearray, data: bytes) -> None:
        part = data[: self._room]
        kept += part
        self._room -= len(part)
        if len(part) < len(data) and not self._full:
            self._full = True
            self._on_full()

    def streams(self) -> tuple[Stream, Stream]:
        """Stdout and stderr, as far as they have come."""
        return stream(self._out, self._sizes[0], self._shown), stream(self._err, self._sizes[1], self._shown)


def stream(kept: bytes | bytearray, size: int, shown: int) -> Stream:
    """What a record says of `kept`, the first bytes of `size`: at most `shown` bytes of it are shown."""
    whole = kept.decode("utf-8", "replace")
    if size <= shown:
        return Stream(shown=whole, whole=whole, size=size)
    half = shown // 2
    head, tail = _until(kept, half), _since(kept, max(half, len(kept) - half))
    left_out = size - len(head) - len(tail)
    text = f"{head.decode('utf-8', 'replace')}\n[... {left_out} bytes left out ...]\n"
    return Stream(shown=text + tail.decode("utf-8", "replace"), whole=whole, size=size, truncated=True)


def _inside_character(byte: int) -> bool:
    """Whether a character of UTF-8 began before this byte."""
    return 0x80 <= byte < 0xC0  # noqa: PLR2004 - from the definition of UTF-8


def _until(data: bytes | bytearray, end: int) -> bytes:
    """The bytes before `end`, without a character that would be cut in two there."""
    end = min(end, len(data))
    back = end
    while back > max(0, end - 3) and back < len(data) and _inside_character(data[back]):
        back -= 1
    return bytes(data[:back])


def _since(data: bytes | bytearray, start: int) -> bytes:
    """The bytes from `start`, likewise."""
    most = min(len(data), start + 3)
    while start < most and _inside_character(data[start]):
        start += 1
    return bytes(data[start:])
