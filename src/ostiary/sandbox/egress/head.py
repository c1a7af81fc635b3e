"""The request that a connection to the egress proxy begins with, read strictly. Pure.

Two programs read these bytes, this one and the server behind it: whatever they could read
differently is refused.
"""

from __future__ import annotations

import re

import msgspec

from ostiary.arguments.fault import ArgumentError
from ostiary.sandbox.egress.places import Place, read_place

MAX_HEAD = 16_384
MAX_FIELDS = 100
MAX_BODY = 1 << 30
HTTP_PORT = 80
END = b"\r\n\r\n"

_LINE = re.compile(rb"([A-Z]{1,16}) ([!-~]{1,8192}) HTTP/1\.([01])\Z")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}):([\t -~\x80-\xff]*)\Z")
"""Spaces around the value are taken off afterwards: a pattern for them takes hours for thousands of them."""
_LENGTH = re.compile(r"(?:0|[1-9][0-9]{0,9})\Z")
_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_OF_THIS_HOP = frozenset(
    {
        "connection", "expect", "host", "keep-alive", "proxy-authorization", "proxy-connection", "te",
        "trailer", "upgrade",
    }
)  # fmt: skip
"""What is said to the proxy and not to the server behind it. `Host` is written anew."""


class Refused(Exception):
    """The request is not passed on. `status` is the HTTP status that says so."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Tunnel(msgspec.Struct, frozen=True):
    """CONNECT: bytes go both ways, unread."""

    place: Place


class Plain(msgspec.Struct, frozen=True):
    """One http request. `head` is what is sent to the server; `body` bytes of the client's follow it."""

    place: Place
    head: bytes
    body: int


def read_head(block: bytes) -> Tunnel | Plain:
    r"""Read a request head, up to and without its final `\r\n\r\n`.

    Raises:
        Refused: when it is not one that every reader reads the same way.
    """
    line, *rest = block.split(b"\r\n")
    match = _LINE.match(line)
    if match is None:
        raise Refused(400, "the request line is not `METHOD target HTTP/1.1`")
    method, target, minor = match[1], match[2].decode("ascii"), match[3]
    fields = read_fields(rest)
    if method == b"CONNECT":
        return _read_connect(target, fields, minor == b"0")
    if method not in _METHODS:
        raise Refused(405, "the method is not one that is passed on")
    return _read_plain(method, target, fields)


def read_fields(lines: list[bytes]) -> list[tuple[str, str]]:
    """Header fields, their names in small letters. Raises Refused for what readers could differ about."""
    if len(lines) > MAX_FIELDS:
        raise Refused(431, f"the request has more than {MAX_FIELDS} header fields")
    fields: list[tuple[str, str]] = []
    for line in lines:
        match = _FIELD.match(line)
        if match is None:
            raise Refused(400, "a header field is malformed, folded, or holds a control character")
        fields.append((match[1].decode("ascii").lower(), match[2].strip(b" \t").decode("latin-1")))
    names = [name for name, _ in fields]
    for single in ("host", "content-length", "transfer-encoding"):
        if names.count(single) > 1:
            raise Refused(400, f"there is more than one `{single}`")
    return fields


def _read_connect(target: str, fields: list[tuple[str, str]], old: bool) -> Tunnel:  # noqa: FBT001 - one caller
    given = dict(fields)
    if "transfer-encoding" in given or given.get("content-length", "0") != "0":
        raise Refused(400, "CONNECT has no body")
    place = _place(target)
    check_host(given.get("host"), place, place.port, old)
    return Tunnel(place)


def _read_plain(method: bytes, target: str, fields: list[tuple[str, str]]) -> Plain:
    scheme, separator, rest = target.partition("://")
    if not separator:
        raise Refused(400, "the target must be an absolute `http://` address, or use CONNECT")
    if scheme.lower() != "http":
        raise Refused(403, "only `http://` is passed on in the clear; use CONNECT for https")
    cut = re.search(r"[/?#]", rest)
    authority, path = (rest, "") if cut is None else (rest[: cut.start()], rest[cut.start() :])
    if "#" in path or "\\" in target:
        raise Refused(400, "the target holds a fragment or a backslash")
    place = _place(authority, HTTP_PORT)
    given = dict(fields)
    check_host(given.get("host"), place, HTTP_PORT, missing_is_fine=False)
    body = _length(given)
    return Plain(place, _rewritten(method, path, place, fields), body)


def _length(given: dict[str, str]) -> int:
    if "transfer-encoding" in given:
        raise Refused(411, "a body needs `Content-Length`")
    text = given.get("content-length", "0")
    if not _LENGTH.match(text) or int(text) > MAX_BODY:
        raise Refused(400, "`Content-Length` is not a number in range")
    return int(text)


def _rewritten(method: bytes, path: str, place: Place, fields: list[tuple[str, str]]) -> bytes:
    """The head in origin form, without what was meant for the proxy, for one exchange only."""
    given = dict(fields)
    named = {name.strip().lower() for name in given.get("connection", "").split(",")}
    host = str(place).removesuffix(f":{HTTP_PORT}")
    origin = path if path.startswith("/") else f"/{path}"
    lines = [f"{method.decode()} {origin} HTTP/1.1", f"host: {host}", "connection: close"]
    kept = {"content-length"}  # never dropped, whatever `Connection` says: it is how long the body is
    lines += [
        f"{name}: {value}"
        for name, value in fields
        if name in kept or (name not in _OF_THIS_HOP and name not in named)
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def check_host(host: str | None, place: Place, default_port: int, missing_is_fine: bool) -> None:  # noqa: FBT001 - two callers
    """`Host` must name the same place as the target: servers behind one address choose by it."""
    if host is None:
        if missing_is_fine:
            return
        raise Refused(400, "`Host` is missing")
    try:
        same = read_place(host, default_port) == place
    except ArgumentError:
        same = False
    if not same:
        raise Refused(400, "`Host` names another place than the target")


def _place(text: str, default_port: int = 0) -> Place:
    try:
        return read_place(text, default_port)
    except ArgumentError as error:
        raise Refused(400, f"the target's host and port cannot be read: {error}") from None
