"""Server-sent events, read beside their exact bytes (WHATWG HTML, 9.2.6).

Every byte fed comes out again in `Event.raw`, in order, and each event is complete as soon as
its blank line is: a proxy forwards `raw` and looks at `data`. Where events are cut depends on
the bytes alone, never on how they arrived.
"""

from __future__ import annotations

import re

import msgspec

MAX_EVENT = 16 * 1024 * 1024
"""Largest event, in bytes with its field names and comments."""

_MAX_RETRY_DIGITS = 9
_END_OF_LINE = re.compile(rb"[\r\n]")
_BOM = b"\xef\xbb\xbf"
_LF = 0x0A
_CR = 0x0D


class EventTooLarge(ValueError):
    """An event is over the limit. The stream cannot be followed further and must be cut."""


class Event(msgspec.Struct, frozen=True):
    """One block of a stream up to and including its blank line.

    `data` is None where nothing is dispatched (comments, a lone id or retry); data lines are
    joined by LF. `id` is the block's own id field, not the last one seen; `retry` is in
    milliseconds. `marked` tells that `raw` begins with the byte order mark of its stream.
    """

    raw: bytes
    data: bytes | None = None
    event: str = "message"
    id: bytes | None = None
    retry: int | None = None
    marked: bool = False


class _Block:
    """The fields of the block that is being read."""

    __slots__ = ("data", "event", "id", "marked", "retry")

    def __init__(self) -> None:
        self.marked = False
        self.data: list[bytes] = []
        self.event = b""
        self.id: bytes | None = None
        self.retry: int | None = None

    def line(self, line: bytes) -> None:
        """Take one line without its end. A line that starts with a colon is a comment."""
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self.data.append(value)
        elif name == b"event":
            self.event = value
        elif name == b"id":
            if b"\0" not in value:
                self.id = value
        elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            self.retry = int(value)

    def finish(self, raw: bytes) -> Event:
        """The event that this block is."""
        data = b"\n".join(self.data) if self.data else None
        event = self.event.decode("utf-8", "replace") or "message"
        return Event(raw, data, event, self.id, self.retry, self.marked)


class SseParser:
    """Reads one stream.

    A blank line that ends in CR is complete at the CR, unless the line before it ended in CR
    LF: then the LF is waited for. So streams of any line ending are cut without delay.
    """

    __slots__ = ("_block", "_buffer", "_crlf", "_line", "_max_event", "_over", "_scan", "_skip_lf", "_start")

    def __init__(self, *, max_event: int = MAX_EVENT) -> None:
        self._max_event = max_event
        self._buffer = bytearray()
        self._line = 0  # where the current line begins
        self._scan = 0  # where the search for its end goes on
        self._block = _Block()
        self._crlf = False  # the last line end was CR LF
        self._skip_lf = False  # a CR has ended an event: an LF right after it means nothing
        self._over = False  # an event was too large
        self._start = True  # nothing of the stream is read yet: a BOM may stand here

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes; return the events that they complete.

        Raises EventTooLarge, on the next call where this one completes other events first.
        Nothing can be read after that.
        """
        self._check()
        self._buffer += data
        if self._start and not self._pass_bom():
            return []
        events: list[Event] = []
        while not self._over and (end := self._line_end()) is not None:
            self._end_line(*end, events)
        self._over = self._over or len(self._buffer) > self._max_event
        if not events:
            self._check()
        return events

    def finish(self) -> tuple[list[Event], bytes]:
        """At the end of the stream: what is complete, and bytes of an event that never ended.

        A reader discards the latter; they hold no message.
        """
        self._check()
        events: list[Event] = []
        self._start = False
        if bytes(self._buffer[self._line :]) == b"\r":
            self._end_line(self._line, self._line + 1, events)
        rest = bytes(self._buffer)
        self._buffer.clear()
        return events, rest

    def _check(self) -> None:
        if self._over:
            raise EventTooLarge(f"an event of the stream is over {self._max_event} bytes")

    def _pass_bom(self) -> bool:
        """Step over a byte order mark; False while it may still be coming."""
        if len(self._buffer) < len(_BOM) and _BOM.startswith(self._buffer):
            return False
        if self._buffer.startswith(_BOM):
            self._line = self._scan = len(_BOM)
            self._block.marked = True
        self._start = False
        return True

    def _line_end(self) -> tuple[int, int] | None:
        """End of the current line and start of the next, or None if more bytes are needed."""
        buffer = self._buffer
        if self._skip_lf and len(buffer) > self._line:
            self._skip_lf = False
            if buffer[self._line] == _LF:
                self._line += 1
                self._scan = self._line
        match = _END_OF_LINE.search(buffer, self._scan)
        if match is None:
            self._scan = len(buffer)
            return None
        end = match.start()
        if buffer[end] == _LF:
            self._crlf = False
            return end, end + 1
        if end == self._line and not self._crlf:  # a blank line, complete at its CR
            self._skip_lf = True
            return end, end + 1
        if end + 1 == len(buffer):  # CR at the end of what there is: LF may follow
            self._scan = end
            return None
        self._crlf = buffer[end + 1] == _LF
        return end, end + 2 if self._crlf else end + 1

    def _end_line(self, end: int, after: int, events: list[Event]) -> None:
        if end > self._line:
            self._block.line(bytes(self._buffer[self._line : end]))
            self._line = self._scan = after
            return
        if after > self._max_event:
            self._over = True
            return
        events.append(self._block.finish(bytes(self._buffer[:after])))
        del self._buffer[:after]
        self._line = self._scan = 0
        self._block = _Block()


def event(data: bytes, name: str = "") -> bytes:
    """An event of our own. It carries no id, so that resuming points stay the upstream's.

    Line ends in `data` (white space in JSON) become further data lines.
    """
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    head = f"event: {name}\n".encode() if name else b""
    return head + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"


def replace_data(original: Event, data: bytes) -> bytes:
    """The bytes of `original` with other data: id, type, retry and comments stay."""
    # A byte order mark counts only at the start of a stream; anywhere else it makes a field that
    # nobody knows. So none is taken off, and none comes to stand first that did not.
    first, *others = re.split(rb"\r\n|\r|\n", original.raw)
    lines = [first, *(line for line in others if not line.startswith(_BOM))]
    kept = [line + b"\n" for line in lines if line and line.partition(b":")[0].removeprefix(_BOM) != b"data"]
    return b"".join(kept) + event(data)


def comment(text: str = "") -> bytes:
    """A comment, to keep an idle stream open. Stands only between events."""
    if "\r" in text or "\n" in text:
        raise ValueError("a comment is one line")
    return f": {text}\n\n".encode() if text else b":\n\n"
