"""Requests out of the bytes of one HTTP/1.1 client: bounded, judged, in order. Without sockets.

The parser's callbacks only collect and judge; the owner of a reader feeds it and looks
afterwards at what is ready, or refused.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

import httptools
import msgspec

from ostiary.proxy.exchange import ClientRequest, Head, Header
from ostiary.proxy.http.head import (
    EDGE,
    REQUEST_CONTROL,
    Framing,
    Refused,
    head_size,
    known_method,
    known_version,
    not_a_request,
    odd_codings,
    request_framing,
    split_target,
)
from ostiary.proxy.http.limits import Limits
from ostiary.proxy.http.repeats import Repeats

HeadCheck = Callable[[ClientRequest], tuple[Head, bytes] | None]
"""Looks at a request before its body is read (`body` is empty): None, or the whole refusal."""

_RTSP = b"RTSP/"
_RTSP_LINE = re.compile(rb"[A-Z-]+ +([^ \r\n]+ +RTSP/)")

_FIRST_LINE_END = re.compile(rb"HTTP/[0-9]\.[0-9]\r\n\Z")

SLICE = 16384
"""Most bytes to feed at once: bounds what one read can make ready."""

IDLE, HEAD, BODY = 0, 1, 2
"""Where a reader stands: between requests, in a head, in a body."""


class Complete(msgspec.Struct):
    """One complete request. After one that is not `persistent` nothing more is read."""

    request: ClientRequest
    version: str
    persistent: bool


class Repeated(msgspec.Struct, frozen=True):
    """What a head was read as that a client repeats: always one of a POST over HTTP/1.1."""

    path: str
    query: bytes
    headers: tuple[Header, ...]


class RequestReader:
    """Feeds the parser and holds what came of it.

    `ready` are the complete requests in order; `refused`, once set, is the answer that comes
    after theirs and is the last. `deaf` is True when no more bytes are taken. `wants_continue`
    tells that the client waits for a 100 before it sends the body. `mark` changes whenever a
    head begins or ends. `repeats` spares the parser what the client sends again and again.
    """

    __slots__ = (
        "_bytes",
        "_check",
        "_control",
        "_edge",
        "_framing",
        "_headers",
        "_learning",
        "_limits",
        "_line",
        "_parser",
        "_pieces",
        "_raw",
        "_repeats",
        "_request",
        "_target",
        "_upgrading",
        "_version",
        "deaf",
        "held",
        "mark",
        "peer",
        "phase",
        "ready",
        "refused",
        "wants_continue",
    )

    _framing: Framing
    _request: ClientRequest
    _version: str

    def __init__(
        self, limits: Limits, check: HeadCheck | None, repeats: Repeats[Repeated] | None = None
    ) -> None:
        self._limits = limits
        self._check = check
        self._repeats = repeats
        # Whether the message parsed last was one that may be learnt.
        self._learning = False
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        # What has come of the first line of a request; None once it is over.
        self._line: bytes | None = b""
        self._headers: list[Header] = []
        self._control: list[Header] = []
        self._pieces: list[bytes] = []
        self._bytes = 0
        # The last bytes that came of a head that is not over: the name of a header may begin in them.
        self._edge = b""
        # At least the bytes since the last whole thing: head, piece of body, request.
        self._raw = 0
        self._upgrading = False
        self.deaf = False
        self.held = 0
        self.mark = 0
        self.peer = ""
        self.phase = IDLE
        self.ready: deque[Complete] = deque()
        self.refused: Refused | None = None
        self.wants_continue = False

    def feed(self, data: bytes) -> None:
        """Take at most `SLICE` bytes. What the parser or a rule refuses sets `refused`."""
        if self._repeats is None or self.phase != IDLE or self.deaf:
            self._parse(data)
        elif not (self._learning and self._recognise(data, self._repeats)):
            self._parse(data)
            if self._learning and self.phase == IDLE and not self.deaf:
                self._learn(data, self._repeats)

    def _recognise(self, data: bytes, repeats: Repeats[Repeated]) -> bool:
        """Take a whole request with a head that is known; False if this is not one.

        Who sends it is asked anew each time. The parser stands where it would stand after it:
        between two messages, the last of which was a POST that kept the connection.
        """
        found = repeats.find(data)
        if found is None or len(found[1]) > self._limits.body:
            return False
        head, body = found
        request = ClientRequest("POST", head.path, head.query, head.headers, b"", self.peer)
        self._raw = SLICE
        if self._check is not None:
            answer = self._check(request)
            if answer is not None:
                self.refuse(Refused.with_answer(*answer))
                return True
        request.body = body
        self.held += len(body)
        self.ready.append(Complete(request, "1.1", persistent=True))
        return True

    def _learn(self, data: bytes, repeats: Repeats[Repeated]) -> None:
        """Take note of the one request that was in `data`, if it was just one, and whole."""
        request = self._request
        # Far from its bound the head stays within it, whatever the digits of its length.
        if data.startswith(b"POST ") and 2 * (len(data) - len(request.body)) <= self._limits.head:
            head = Repeated(request.path, request.query, tuple(request.headers))
            repeats.learn(data, len(request.body), head)

    def _parse(self, data: bytes) -> None:
        """Give bytes to the parser, which takes RTSP for HTTP."""
        line = self._line
        if _RTSP in data or (line and _RTSP in line[-4:] + data):
            self._parse_doubtful(line or b"", data)
        elif self._edge or b"\t" in data or b"  " in data:
            self._give(data)
        else:
            self._feed(data)
            if self.phase == HEAD:
                self._edge = data[-EDGE:]
        if self.phase == HEAD:
            if self._line is not None:
                self._keep_line((line or b"") + data)
        else:
            self._line = b""

    def _keep_line(self, text: bytes) -> None:
        """Keep what has come of the first line of a request, for as long as it is not over."""
        end = text.rfind(b"\n") + 1
        ended = self._target and _FIRST_LINE_END.search(text[max(0, end - 10) : end])
        over = ended or self._headers or self._control
        self._line = None if over else text[end:][-2 * self._limits.target :]

    def _parse_doubtful(self, line: bytes, data: bytes) -> None:
        """Stop at a first line that names RTSP; inside a body or a header it is text like any other.

        It is one if the parser, at the place of the target, has a head before it without a target.
        """
        given = 0
        for found in _RTSP_LINE.finditer(line + data):
            at = found.start(1) - len(line)
            if at > given:
                self._give(data[given:at])
                given = at
            if not self.deaf and self.phase == HEAD and (at < 0 or not self._target):
                self.refuse(Refused(505, "only http/1.1 is spoken here"))
            if self.deaf:
                return
        self._give(data[given:])

    def _give(self, data: bytes) -> None:
        """Give bytes to the parser, up to a transfer coding that it would read otherwise than others."""
        edge, given = self._edge, 0
        for start in odd_codings(edge + data):
            at = max(0, start - len(edge))
            self._feed(data[given:at])
            given = at
            if self.deaf:
                return
            if self.phase == HEAD:
                self.refuse(Refused(400, "transfer-encoding must be exactly `chunked`"))
                return
        self._feed(data[given:])
        self._edge = (edge + data)[-EDGE:] if self.phase == HEAD else b""

    def _feed(self, data: bytes) -> None:
        """Give bytes to the parser as they are."""
        self._raw += len(data)
        upgraded_at = -1
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            upgraded_at = upgrade.args[0]
        except httptools.HttpParserCallbackError as error:
            refused = error.__context__
            if not isinstance(refused, Refused):
                raise
            self.refuse(refused)
        except httptools.HttpParserInvalidMethodError:
            self.refuse(not_a_request(data))
        except httptools.HttpParserError:
            self.refuse(Refused(400, "malformed request"))
        if upgraded_at >= 0:
            # Not inside the handler above: a refusal is recognised by the context of its error.
            self._ignore_upgrade(data[upgraded_at:])
        if self.phase != IDLE and self._raw > self._limits.head + SLICE:
            self._overlong()

    def refuse(self, refused: Refused) -> None:
        """Take no more; `refused` is the last answer. Only the first refusal counts."""
        if self.deaf:
            return
        self.deaf = True
        self.phase = IDLE
        self.wants_continue = False
        self._pieces = []
        refused.without_body = self._parser.get_method() == b"HEAD"
        self.refused = refused

    def take(self) -> Complete:
        """The first of the requests that are ready."""
        complete = self.ready.popleft()
        self.held -= len(complete.request.body)
        return complete

    def close(self) -> None:
        """Drop everything and let go of the parser."""
        self.deaf = True
        self.phase = IDLE
        self.refused = None
        self.ready.clear()
        if self._repeats is not None:
            self._repeats.forget()
        del self._parser

    def _overlong(self) -> None:
        """Many bytes since the last whole thing: a head, trailer or chunk extension without end."""
        if self.phase == HEAD:
            self.refuse(Refused(431, "the request head is too large"))
        elif self._framing.length is None:
            self.refuse(Refused(400, "too many bytes between the chunks"))

    def _ignore_upgrade(self, body: bytes) -> None:
        """Parse the request again without its Upgrade header, as if none had been made.

        llhttp gives up on the body of a request to upgrade; clients that offer h2c on their
        first request rely on the offer being ignored (RFC 9110 section 7.8).
        """
        self._upgrading = False
        old = self._parser
        self._parser = httptools.HttpRequestParser(self)
        lines = [b"%b %b HTTP/%b" % (old.get_method(), self._target, old.get_http_version().encode())]
        kept = [header for header in self._control if header[0] != b"upgrade"]
        lines += [b"%b: %b" % header for header in (*self._headers, *kept)]
        self._raw = 0
        self._parse(b"\r\n".join(lines) + b"\r\n\r\n")
        self._learning = False
        if body and not self.deaf:
            self._parse(body)

    # Parser callbacks

    def on_message_begin(self) -> None:
        """First byte of a request line."""
        if self.deaf:
            raise Refused(400, "a request after the last one")
        self.phase = HEAD
        self.mark += 1
        self._line = b""
        self._target = b""
        self._headers = []
        self._control = []

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._target = self._target + url if self._target else url
        if len(self._target) > self._limits.target:
            raise Refused(414, "the request target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer, which is counted and dropped."""
        name = name.lower()
        if name in REQUEST_CONTROL or self.phase == BODY:
            self._control.append((name, value))
            if len(self._control) > self._limits.headers:
                raise Refused(431, "too many headers")
        else:
            self._headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """The head is complete: refuse it, or get ready for the body."""
        parser = self._parser
        control = self._control
        headers = self._headers
        self._check_size()
        method = known_method(parser.get_method())
        if parser.should_upgrade():
            self._upgrading = True
            return
        persistent = parser.should_keep_alive()
        # Persistent without saying so is HTTP/1.1; otherwise the version has to be asked for.
        spoken = not persistent or any(name == b"connection" for name, _ in control)
        self._version = version = known_version(parser.get_http_version()) if spoken else "1.1"
        path, query = split_target(self._target)
        framing = request_framing(method, version, control, headers, persistent=persistent)
        self._request = request = ClientRequest(method, path, query, headers, b"", self.peer)
        if self._check is not None:
            answer = self._check(request)
            if answer is not None:
                raise Refused.with_answer(*answer)
        if framing.length is not None and framing.length > self._limits.body:
            raise Refused(413, "the request body is too large")
        self._framing = framing
        self._control = []
        self._bytes = 0
        self._raw = SLICE
        self._learning = method == "POST" and version == "1.1" and framing.length is not None
        self.phase = BODY
        self.mark += 1
        self.wants_continue = framing.expects and framing.length != 0

    def _check_size(self) -> None:
        limits = self._limits
        if len(self._headers) + len(self._control) > limits.headers:
            raise Refused(431, "too many headers")
        # Exact, and only when it can matter.
        if self._raw > limits.head and head_size(self._target, self._headers, self._control) > limits.head:
            raise Refused(431, "the request head is too large")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._pieces.append(body)
        self._bytes += len(body)
        self._raw = SLICE
        if self._bytes > self._limits.body:
            raise Refused(413, "the request body is too large")

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self._upgrading:
            return
        request = self._request
        pieces = self._pieces
        if pieces:
            request.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._pieces = []
            self.held += self._bytes
        self.phase = IDLE
        self.wants_continue = False
        self._raw = SLICE
        persistent = self._framing.persistent
        self.ready.append(Complete(request, self._version, persistent))
        if not persistent:
            self.deaf = True
