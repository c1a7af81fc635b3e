"""Rules on HTTP/1.1 heads that llhttp does not enforce, and the writing of our own heads.

Pure: no socket, no clock. The parser (llhttp through httptools) already refuses malformed or
repeated `Content-Length`, length together with transfer coding, bare line ends, folded lines,
NUL, white space before the colon and bad chunk sizes. What it lets through and a gate must not
is refused here (RFC 9110, RFC 9112).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

from ostiary.errors import CallerFault, GatewayFault
from ostiary.proxy.exchange import Head, Header

METHODS = {name.encode(): name for name in ("POST", "GET", "DELETE", "HEAD", "OPTIONS")}
"""Methods that reach the head check; every other one is answered 405."""

ALLOW = b"GET, POST, DELETE"
"""What a 405 that is not about one path offers."""

BODILESS_STATUS = frozenset({204, 304})
"""Final statuses whose answers never have a body (RFC 9112 section 6.3)."""

REQUEST_CONTROL = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Request headers read by the connection itself. Of these only Host is handed on."""

RESPONSE_CONTROL = REQUEST_CONTROL - {b"expect", b"host"}
"""Response headers read by the connection itself and never handed on."""

_OURS = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers that only this layer writes: given from above they would contradict the framing."""

RESPONSE_OURS = _OURS
REQUEST_OURS = _OURS | {b"accept-encoding", b"expect", b"host"}

_SINGLE = frozenset(
    {
        b"accept-encoding",
        b"authorization",
        b"last-event-id",
        b"origin",
        b"referer",
        b"traceparent",
        b"user-agent",
    }
)
"""Headers that may stand once only; so do all `Mcp-*` and `Content-*` ones."""

_UNNAMEABLE = frozenset({b"authorization", b"cookie", b"expect", b"host", b"origin", b"transfer-encoding"})
"""Headers `Connection` may not name: dropping one of them would change what is decided."""

_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
_PROTECTED = (b"mcp-", b"content-")
_KNOWN_OPTIONS = frozenset({b"close", b"keep-alive", b"upgrade", b"http2-settings", b"te"})
_COLON = b": "
_ODD_CODING = re.compile(rb"(?<=\n)(?i:transfer-encoding):(?:\t| [ \t])")
EDGE = len(b"\ntransfer-encoding: ")
"""Bytes of the end of a text in which an odd transfer coding can begin that goes on in the next one."""

_REQUEST_LINE = re.compile(rb"(?:\A|\n)([A-Za-z-]+) \S+ HTTP/1\.[01]\r\n")


class Refused(CallerFault):
    """A request that is answered by the connection itself and closes it.

    `head` and `body` are the whole answer; `without_body` says that the method allows none.
    """

    without_body = False

    def __init__(self, status: int, reason: str, *, headers: Sequence[Header] = ()) -> None:
        super().__init__(reason)
        self.body = reason.encode("ascii", "replace") + b"\n"
        self.head = Head(status, (*headers, (b"content-type", b"text/plain; charset=utf-8")), len(self.body))

    @classmethod
    def with_answer(cls, head: Head, body: bytes) -> Refused:
        """A refusal with an answer written elsewhere. `head.length` is set from `body`."""
        refused = cls(head.status, "refused by the head check")
        refused.body = body
        refused.head = Head(head.status, head.headers, len(body))
        return refused


class Framing:
    """What the head of a request says about its body and its connection.

    `length` is the body length in bytes, or None for a chunked body. `persistent` tells whether
    the connection may serve another request; `expects` that the client waits for a 100. `host`
    is the Host header.
    """

    __slots__ = ("expects", "host", "length", "persistent")

    def __init__(self, *, persistent: bool) -> None:
        self.length: int | None = 0
        self.persistent = persistent
        self.expects = False
        self.host = b""


def split_target(target: bytes) -> tuple[str, bytes]:
    """Path and query of an origin-form target. Every other form raises `Refused` (RFC 9112 3.2)."""
    if target[:1] != b"/" or b"#" in target:
        raise Refused(400, "the request target must be a path")
    path, _, query = target.partition(b"?")
    try:
        return path.decode("ascii"), query
    except UnicodeDecodeError:
        raise Refused(400, "the request target must be ascii") from None


def not_a_request(data: bytes) -> Refused:
    """Why `data` does not go on with a request: its method is unknown, or it is something else."""
    lines = _REQUEST_LINE.findall(data)
    if lines and lines[-1] not in METHODS:
        return Refused(501, "unknown method")
    return Refused(400, "this is not http/1.1")


def known_method(method: bytes) -> str:
    """The method as text; one that is never served raises `Refused` with 405."""
    known = METHODS.get(method)
    if known is None:
        raise Refused(405, "method not allowed", headers=((b"allow", ALLOW),))
    return known


def known_version(version: str) -> str:
    """The version if it is one that is spoken here, 1.0 or 1.1; else raises `Refused`."""
    if version not in ("1.1", "1.0"):
        raise Refused(400 if version == "0.9" else 505, "only http/1.1 is spoken here")
    return version


def request_framing(
    method: str, version: str, control: Sequence[Header], headers: list[Header], *, persistent: bool
) -> Framing:
    """Check the headers of one request and read its framing.

    `control` are the headers named in `REQUEST_CONTROL`, `headers` all others, names in lower
    case. The Host header is added to `headers`, those that `Connection` names are removed.
    `persistent` is the parser's own reading of the Connection header. Raises `Refused`.
    """
    framing = Framing(persistent=persistent and version == "1.1")
    # 1. each control header by its own rule
    named: list[bytes] = []
    for name, raw in control:
        value = raw.strip(b" \t")
        if name == b"host":
            if framing.host or not value:
                raise Refused(400, "a request needs exactly one host header")
            framing.host = value
        elif name == b"content-length":
            framing.length = int(value)
        elif name == b"connection":
            named += connection_options(value)
        else:
            _other_control(framing, version, name, value)
    if not framing.host:
        raise Refused(400, "a request needs exactly one host header")
    # 2. a body only where one has a meaning
    if framing.length != 0 and method in ("GET", "HEAD"):
        raise Refused(400, f"a {method.lower()} request must not have a body")
    # 3. what names the same thing twice has two readings
    if len(dict(headers)) != len(headers):
        _refuse_repeated(headers)
    # 4. hop-by-hop headers end here
    if named:
        _drop_named(named, headers)
    headers.append((b"host", framing.host))
    return framing


def _other_control(framing: Framing, version: str, name: bytes, value: bytes) -> None:
    """Apply `Transfer-Encoding` and `Expect`; the other control headers are dropped unread."""
    if name == b"transfer-encoding":
        if value != b"chunked" or framing.length is None:
            raise Refused(400, "transfer-encoding must be exactly `chunked`")
        if version == "1.0":
            raise Refused(400, "transfer-encoding is not part of http/1.0")
        framing.length = None
    elif name == b"expect":
        if value.lower() != b"100-continue":
            raise Refused(417, "the only expectation met here is 100-continue")
        framing.expects = version == "1.1"


def odd_codings(text: bytes) -> list[int]:
    """Where in `text` lines begin with a transfer coding that has more than one space before it.

    A tab there is white space to the standard and part of the value to some proxies, who then see
    no body. The parser cuts it off before it names the value. In a body such a line is just text.
    """
    return [found.start() for found in _ODD_CODING.finditer(text)]


def _refuse_repeated(headers: Sequence[Header]) -> None:
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and (name in _SINGLE or name.startswith(_PROTECTED)):
            raise Refused(400, f"more than one {name.decode('ascii')} header")
        seen.add(name)


def connection_options(value: bytes) -> list[bytes]:
    """The lower-case options of one Connection header; a malformed one raises `Refused`."""
    options = [option.strip(b" \t").lower() for option in value.split(b",")]
    for option in options:
        if not _TOKEN.issuperset(option):
            raise Refused(400, "malformed connection header")
    return options


def _drop_named(named: Sequence[bytes], headers: list[Header]) -> None:
    """Remove from `headers` what `Connection` names; a name that decisions read is refused."""
    unwanted = {option for option in named if option not in _KNOWN_OPTIONS}
    for option in unwanted:
        if option in _UNNAMEABLE or option.startswith(_PROTECTED):
            raise Refused(400, f"connection must not name {option.decode('ascii')}")
    if b"http2-settings" in named:
        unwanted.add(b"http2-settings")
    if unwanted:
        headers[:] = [header for header in headers if header[0] not in unwanted]


def drop_response_named(value: bytes, headers: list[Header]) -> None:
    """Remove from the headers of an answer those that its Connection header names."""
    if value in (b"keep-alive", b"close"):
        return
    named = {option.strip(b" \t").lower() for option in value.split(b",")}
    named -= {b"close", b"keep-alive"}
    if named:
        headers[:] = [header for header in headers if header[0] not in named]


def head_size(target: bytes, *groups: Sequence[Header]) -> int:
    """Size in bytes of a head, without optional white space and the rest of its first line."""
    return len(target) + sum(len(name) + len(value) + 4 for group in groups for name, value in group)


def head_block(first_line: bytes, headers: Sequence[Header], ours: frozenset[bytes], last: bytes) -> bytes:
    """One head as bytes: `first_line`, the headers, then `last`, which ends it.

    A header of the set `ours`, or one with a line break or NUL in it, raises `GatewayFault`:
    a value that came from elsewhere must never become framing.
    """
    if not headers:
        return first_line + last
    lines = b"\r\n".join(map(_COLON.join, headers))
    breaks = len(headers) - 1
    if lines.count(b"\n") != breaks or lines.count(b"\r") != breaks or b"\0" in lines:
        raise GatewayFault("a header to be sent contains a line break or nul")
    if not ours.isdisjoint(dict(headers)):
        raise GatewayFault("a header to be sent belongs to the connection, not to the message")
    return b"%b%b\r\n%b" % (first_line, lines, last)


def status_line(status: int) -> bytes:
    """The status line of an answer, with its line end."""
    line = _STATUS_LINES.get(status)
    return line if line is not None else b"HTTP/1.1 %d \r\n" % status


_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii") for status in HTTPStatus
}
