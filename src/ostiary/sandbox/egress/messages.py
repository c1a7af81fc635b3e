"""Requests and answers inside a connection that is looked into, read strictly. Pure.

One request per connection. A request is sent on with a body whose length is known, and an answer with
one in chunks: nobody behind this reads a frame that somebody else wrote.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from ostiary.sandbox.egress.head import MAX_HEAD, Refused, check_host, read_fields
from ostiary.sandbox.egress.places import HTTPS_PORT, Place

MAX_BODY: Final = 16 << 20
"""Bytes of a request's body: it is looked through before the first byte of it leaves."""
MAX_ANSWER_HEAD: Final = 65_536
_LINE: Final = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!-~]{0,8192}) HTTP/1\.1\Z")
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]{0,200}))?\Z")
_LENGTH: Final = re.compile(r"(?:0|[1-9][0-9]{0,14})\Z")
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\Z")
_HOP: Final = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "host", "if-range", "keep-alive",
        "proxy-authorization", "proxy-connection", "range", "te", "trailer", "transfer-encoding",
    }
)  # fmt: skip
"""Of a request, what is not sent on. A part of an answer could be a part of a secret: nobody asks for one."""
_HOP_BACK: Final = frozenset(
    {
        "alt-svc", "connection", "content-length", "keep-alive", "proxy-authenticate", "proxy-connection",
        "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_BODILESS: Final = frozenset({204, 304})
_PARTIAL: Final = 206
_SWITCHING: Final = 101
Fields = list[tuple[str, str]]


class Request(msgspec.Struct, frozen=True):
    """What was asked for. `body` is its length, or None for one in chunks."""

    method: str
    target: str
    fields: Fields
    body: int | None
    waits: bool


class Reply(msgspec.Struct, frozen=True):
    """What was answered. `body` is its length, -1 for one in chunks, None for one until the end."""

    status: int
    reason: str
    fields: Fields
    body: int | None


def read_request(block: bytes, place: Place) -> Request:
    """Read a head, up to and without its empty line. Raises Refused."""
    if len(block) > MAX_HEAD:
        raise Refused(431, f"the request head is longer than {MAX_HEAD} bytes")
    line, *rest = block.split(b"\r\n")
    match = _LINE.match(line)
    if match is None or b"#" in match[2] or b"\\" in match[2]:
        raise Refused(400, "the request line is not `METHOD /path HTTP/1.1`")
    fields = read_fields(rest)
    given = dict(fields)
    if "upgrade" in given:
        raise Refused(403, "no other protocol is passed on")
    check_host(given.get("host"), place, HTTPS_PORT, missing_is_fine=False)
    named = {name.strip().lower() for name in given.get("connection", "").split(",")}
    kept = [(name, value) for name, value in fields if name not in _HOP and name not in named]
    waits = given.get("expect", "").lower() == "100-continue"
    return Request(match[1].decode(), match[2].decode(), kept, _request_body(given), waits)


def _request_body(given: dict[str, str]) -> int | None:
    if "transfer-encoding" in given:
        if "content-length" in given or given["transfer-encoding"].lower() != "chunked":
            raise Refused(400, "the length of the body is told in two ways, or in one that is not known")
        return None
    text = given.get("content-length", "0")
    if not _LENGTH.match(text):
        raise Refused(400, "`Content-Length` is not a number")
    if int(text) > MAX_BODY:
        raise Refused(413, f"the body is longer than {MAX_BODY} bytes")
    return int(text)


def request_head(request: Request, fields: Fields, place: Place, body: int) -> bytes:
    """The head that is sent on, for one exchange, with an answer that can be looked through."""
    host = str(place).removesuffix(f":{HTTPS_PORT}")
    lines = [f"{request.method} {request.target} HTTP/1.1", f"host: {host}"]
    lines += [f"{name}: {value}" for name, value in fields]
    lines += ["accept-encoding: identity", "connection: close"]
    if body or request.method in {"POST", "PUT", "PATCH"}:
        lines.append(f"content-length: {body}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def read_reply(block: bytes, method: str) -> Reply:
    """Read the head of an answer to `method`. Raises Refused for one that cannot be looked through."""
    line, *rest = block.split(b"\r\n")
    match = _STATUS.match(line)
    if match is None:
        raise Refused(502, "the host did not answer in HTTP/1.1")
    status = int(match[1])
    try:
        fields = read_fields(rest)
    except Refused as refused:
        raise Refused(502, f"the answer of the host: {refused.reason}") from None
    given = dict(fields)
    if status in {_SWITCHING, _PARTIAL}:
        raise Refused(502, "the host answered with a part, or in another protocol")
    if any(name == "content-encoding" and value.lower() != "identity" for name, value in fields):
        raise Refused(502, "the host compressed its answer, though it was asked not to")
    reason = (match[2] or b"").decode("latin-1")
    kept = [(name, value) for name, value in fields if name not in _HOP_BACK]
    return Reply(status, reason, kept, _reply_body(given, status, method))


def _reply_body(given: dict[str, str], status: int, method: str) -> int | None:
    if method == "HEAD" or status in _BODILESS:
        return 0
    coding, length = given.get("transfer-encoding"), given.get("content-length")
    if coding is not None:
        if length is not None or coding.lower() != "chunked":
            raise Refused(502, "the host told the length of its answer in two ways, or in an unknown one")
        return -1
    if length is not None and not _LENGTH.match(length):
        raise Refused(502, "the host told no length of its answer that is a number")
    return None if length is None else int(length)


def reply_head(reply: Reply, fields: Fields, *, body: bool) -> bytes:
    """The head that the code is given; its body comes in chunks."""
    lines = [f"HTTP/1.1 {reply.status} {reply.reason}"]
    lines += [f"{name}: {value}" for name, value in fields]
    lines.append("connection: close")
    if body:
        lines.append("transfer-encoding: chunked")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk_size(line: bytes) -> int:
    """The size that a line before a chunk says. Extensions are refused, as nobody needs them."""
    match = _SIZE.match(line)
    if match is None:
        raise Refused(400, "a chunk has no size that can be read")
    return int(match[1], 16)
