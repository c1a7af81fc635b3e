"""Answers out of the bytes of one HTTP/1.1 upstream. Without sockets.

The parser's callbacks only collect; the owner of a reader feeds it and takes what has come.
"""

from __future__ import annotations

import re

import httptools
import msgspec

from ostiary.proxy.exchange import Head, Header
from ostiary.proxy.http.head import BODILESS_STATUS, RESPONSE_CONTROL, drop_response_named, head_size
from ostiary.proxy.http.repeats import Repeats

_SWITCHING = 101
_FINAL = 200

# How every head and every chunked body ends: with an empty line after one that is not.
_TAIL = 5
_END = re.compile(rb"[^\r\n]\r\n\r\n\Z")
_LINE_ENDS = b"\r\n"
_OTHER_PROTOCOL = re.compile(rb"\n(?:RTSP|ICE)/")


class _Broken(Exception):
    """Raised in a parser callback: the answer cannot be relied on."""


class Repeated(msgspec.Struct, frozen=True):
    """What a head was read as that the upstream repeats."""

    status: int
    headers: tuple[Header, ...]


class ResponseReader:
    """Reads one answer after the other.

    `head` and `pieces` are what has come and was not taken; `headed` tells that the final head
    has been read, `complete` that the whole answer has. `persistent` says whether the
    connection may be used again, `until_close` that only its end ends the body. `repeats` spares
    the parser what the upstream sends again and again.
    """

    __slots__ = (
        "_again",
        "_begun",
        "_chunked",
        "_control",
        "_early",
        "_fed",
        "_headers",
        "_interim",
        "_max_head",
        "_max_headers",
        "_now",
        "_parser",
        "_raw",
        "_repeats",
        "_tail",
        "complete",
        "head",
        "headed",
        "persistent",
        "pieces",
        "until_close",
    )

    def __init__(self, max_head: int, max_headers: int, repeats: Repeats[Repeated] | None = None) -> None:
        self._repeats = repeats
        self._parser = httptools.HttpResponseParser(self)
        self._max_head = max_head
        self._max_headers = max_headers
        self._headers: list[Header] = []
        self._control: list[Header] = []
        self.pieces: list[bytes] = []
        self.head: Head | None = None
        self.begin()

    def begin(self) -> None:
        """Expect the answer to a new request."""
        self._interim = False
        self._begun = False
        self._chunked = False
        # Bytes of the interim heads so far, and of the pieces of body in what is being fed.
        self._early = 0
        self._fed = 0
        # What is being fed, for as long as it may hold a head, and whether an interim one ended in it.
        self._now = b""
        self._again = False
        # The last bytes that have come: enough to see how the answer ends.
        self._tail = b""
        # At most this many bytes have come since the last head or piece of body.
        self._raw = 0
        self.headed = False
        self.complete = False
        self.persistent = False
        self.until_close = False

    def feed(self, data: bytes) -> str:
        """Take bytes; returns what is wrong with them, or nothing.

        Bytes after a complete answer are not wrong, but the connection is no longer persistent.
        """
        repeats = self._repeats
        if repeats is None or self._raw or self.headed:
            return self._parse(data)
        found = repeats.find(data)
        if found is None:
            problem = self._parse(data)
            if self.complete and self.persistent:
                self._learn(data, repeats)
            return problem
        # The whole answer, with a head that is known: the parser stands between two messages.
        head, body = found
        self.head = Head(head.status, head.headers, len(body))
        if body:
            self.pieces.append(body)
        self.headed = self.complete = self.persistent = True
        return ""

    def _learn(self, data: bytes, repeats: Repeats[Repeated]) -> None:
        """Take note of an answer that was whole in `data`."""
        head = self.head
        if head is None or head.length is None or head.status in BODILESS_STATUS:
            return
        # Far from its bound the head stays within it, whatever the digits of its length.
        if 2 * (len(data) - head.length) <= self._max_head:
            repeats.learn(data, head.length, Repeated(head.status, tuple(head.headers)))

    def _parse(self, data: bytes) -> str:
        """Give bytes to the parser; returns what is wrong with them, or nothing."""
        if not self._begun and data.lstrip(_LINE_ENDS)[:1] not in (b"", b"H"):
            return "not http/1.1"  # to the parser RTSP would be as good
        self._raw += len(data)
        self._fed = 0
        self._again = False
        self._now = b"" if self.headed else data
        headed, before = self.headed, self._tail
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            broken = error.__context__
            if not isinstance(broken, _Broken):
                raise
            problem = str(broken)
        except httptools.HttpParserUpgrade:
            problem = "it switched protocols"
        except httptools.HttpParserError:
            problem = "not http/1.1"
        else:
            self._now = b""
            self._tail = data[-_TAIL:] if len(data) >= _TAIL else (before + data)[-_TAIL:]
            if self.complete:
                self.persistent = self.persistent and self._alone(data, before, headed=headed)
                return ""
            if self._raw <= self._max_head:
                return ""
            problem = "too many bytes without a head or a piece of body"
        self.persistent = False
        return "" if self.complete else problem

    def _alone(self, data: bytes, before: bytes, *, headed: bool) -> bool:
        """Whether the answer ends where `data` does; whatever else follows it, the parser skips line ends.

        `before` are the last bytes before `data`, `headed` whether the head was complete by then.
        """
        # 1. What does not end in a line end has none after it.
        if data[-1] not in _LINE_ENDS:
            return True
        size = self._fed
        # 2. With the last bytes of a body of known length nothing else may have come.
        if headed and not self._chunked:
            return size == len(data)
        # 3. The end of a chunked body, or of a head that is all there is.
        if self._chunked or not size:
            return _END.search(self._tail) is not None
        # 4. Both in one: the head must end where the body has to begin.
        start = len(data) - size
        head = before + data[max(0, start - _TAIL) : start]
        return _END.search(head) is not None and data.endswith(b"".join(self.pieces))

    def close(self) -> None:
        """Let go of the parser."""
        if self._repeats is not None:
            self._repeats.forget()
        del self._parser

    # Parser callbacks

    def on_message_begin(self) -> None:
        """First byte of a status line."""
        if self.complete:
            raise _Broken("bytes after the answer")
        self._begun = True
        self._headers = []
        self._control = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; trailers are dropped."""
        if self.headed:
            return
        name = name.lower()
        if name in RESPONSE_CONTROL:
            self._control.append((name, value))
        else:
            self._headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Judge the head; interim ones are skipped."""
        parser = self._parser
        status = parser.get_status_code()
        # A second first line in one read; in a body after it the words will hardly stand.
        if self._again and _OTHER_PROTOCOL.search(self._now):
            raise _Broken("not http/1.1")
        if len(self._headers) + len(self._control) > self._max_headers:
            raise _Broken("too many headers")
        if self._raw > self._max_head and head_size(b"", self._headers, self._control) > self._max_head:
            raise _Broken("the head is too large")
        if status < _FINAL:
            if status == _SWITCHING:
                raise _Broken("it switched protocols")
            self._early += head_size(b"", self._headers, self._control)
            if self._early > self._max_head:
                raise _Broken("the interim heads are too large together")
            self._interim = True
            return
        self.persistent = parser.should_keep_alive()
        if not self.persistent and parser.get_http_version() not in ("1.1", "1.0"):
            raise _Broken("its protocol is not http/1.1")
        self.head = Head(status, self._headers, self._length(status))
        self.headed = True
        self._raw = 0

    def _length(self, status: int) -> int | None:
        """Apply the control headers; returns the length of the body when it is known."""
        length: int | None = None
        chunked = False
        for name, raw in self._control:
            if name == b"content-length":
                length = int(raw)
            elif name == b"transfer-encoding":
                if chunked or raw.strip(b" \t").lower() != b"chunked":
                    raise _Broken("its transfer-encoding is not `chunked`")
                if self._parser.get_http_version() != "1.1":
                    raise _Broken("transfer-encoding is not part of http/1.0")
                chunked = self._chunked = True
            elif name == b"connection":
                drop_response_named(raw, self._headers)
        if status in BODILESS_STATUS:
            return 0
        if length is None and not chunked:
            self.until_close = True
            self.persistent = False
        return length

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self.pieces.append(body)
        self._fed += len(body)
        self._raw = 0

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self._interim:
            self._interim = self._begun = False
            self._again = True
        else:
            self.complete = True
