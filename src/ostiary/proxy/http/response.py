"""Answers out of the bytes of one HTTP/1.1 upstream. Without sockets.

The parser's callbacks only collect; the owner of a reader feeds it and takes what has come.
"""

from __future__ import annotations

import httptools

from ostiary.proxy.exchange import Head, Header
from ostiary.proxy.http.head import BODILESS_STATUS, RESPONSE_CONTROL, drop_response_named, head_size

_SWITCHING = 101
_FINAL = 200


class _Broken(Exception):
    """Raised in a parser callback: the answer cannot be relied on."""


class ResponseReader:
    """Reads one answer after the other.

    `head` and `pieces` are what has come and was not taken; `headed` tells that the final head
    has been read, `complete` that the whole answer has. `persistent` says whether the
    connection may be used again, `until_close` that only its end ends the body.
    """

    __slots__ = (
        "_control",
        "_headers",
        "_interim",
        "_max_head",
        "_max_headers",
        "_parser",
        "_raw",
        "complete",
        "head",
        "headed",
        "persistent",
        "pieces",
        "until_close",
    )

    def __init__(self, max_head: int, max_headers: int) -> None:
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
        self._raw += len(data)
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
            if self._raw <= self._max_head or self.complete:
                return ""
            problem = "too many bytes without a head or a piece of body"
        self.persistent = False
        return "" if self.complete else problem

    def close(self) -> None:
        """Let go of the parser."""
        del self._parser

    # Parser callbacks

    def on_message_begin(self) -> None:
        """First byte of a status line."""
        if self.complete:
            raise _Broken("bytes after the answer")
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
        if len(self._headers) + len(self._control) > self._max_headers:
            raise _Broken("too many headers")
        if self._raw > self._max_head and head_size(b"", self._headers, self._control) > self._max_head:
            raise _Broken("the head is too large")
        if status < _FINAL:
            if status == _SWITCHING:
                raise _Broken("it switched protocols")
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
                chunked = True
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
        self._raw = 0

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self._interim:
            self._interim = False
        else:
            self.complete = True
