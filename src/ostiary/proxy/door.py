"""Who may speak to the HTTP listener at all: path, method, Host, Origin, token.

Checked on the head, before a body is read. DNS rebinding is what Host and Origin are for: a
web page can make a browser send requests to 127.0.0.1, but cannot choose these two headers
(MCP 2025-06-18, Transports, security warning).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import msgspec

from ostiary.identity.grant import Grant, Tokens
from ostiary.proxy.exchange import ClientRequest, Head, Header

MCP_PATH = "/mcp"
HEALTH_PATHS = frozenset({"/healthz", "/readyz"})
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class Turned(msgspec.Struct, frozen=True):
    """A request turned away at the door: HTTP status and a plain sentence."""

    status: int
    text: str
    allow: str = ""


class Door:
    """The rules of one listener."""

    __slots__ = ("_hosts", "_origins", "_tokens")

    def __init__(self, tokens: Tokens, *, allowed_hosts: Sequence[str], bound_host: str) -> None:
        self._tokens = tokens
        hosts = {host.lower().rstrip(".") for host in allowed_hosts}
        if bound_host in LOOPBACK_HOSTS or bound_host.startswith("127."):
            hosts |= LOOPBACK_HOSTS
        hosts.add(bound_host.lower())
        self._hosts = frozenset(hosts)
        self._origins: dict[bytes, bool] = {}

    def check(self, method: str, path: str, headers: Sequence[Header]) -> Turned | Grant:
        """Turn a request away, or say whose it is.

        (1) known path, (2) Host, (3) Origin, (4) method, (5) token.
        """
        found = _needed(headers)
        # (1)
        if path != MCP_PATH:
            return Turned(404, "nothing is served here; the MCP endpoint is /mcp")
        # (2)
        if not self._host_known(found.host):
            return Turned(421, "the Host header names another server (see --allowed-host)")
        # (3)
        if found.origin is not None and not self._origin_known(found.origin):
            return Turned(403, "the Origin header names a page that is not allowed here")
        # (4)
        if method not in ("POST", "GET", "DELETE"):
            return Turned(405, "use POST, GET or DELETE", allow="POST, GET, DELETE")
        # (5)
        grant = self._tokens.admit(found.authorization)
        if grant is None:
            return Turned(401, "a bearer token is needed: send `Authorization: Bearer TOKEN`")
        return grant

    def _host_known(self, host: bytes | None) -> bool:
        return host is not None and host_name(host.decode("latin-1")) in self._hosts

    def _origin_known(self, origin: bytes) -> bool:
        known = self._origins.get(origin)
        if known is None:
            known = _origin_host(origin.decode("latin-1")) in self._hosts
            if len(self._origins) < 256:  # noqa: PLR2004 - a bound, not a meaning
                self._origins[origin] = known
        return known


def plain_answer(status: int, text: str, allow: str = "") -> tuple[Head, bytes]:
    """A whole answer with one plain sentence."""
    body = text.encode()
    headers: list[Header] = [(b"content-type", b"text/plain; charset=utf-8")] if body else []
    if allow:
        headers.append((b"allow", allow.encode()))
    return Head(status, headers, len(body)), body


def check_head(
    door: Door, healthy: Callable[[], bool]
) -> Callable[[ClientRequest], tuple[Head, bytes] | None]:
    """The check that an HTTP listener makes on each head, before it reads a body.

    Health is answered here: it needs no token and tells nothing but up or down.
    """

    def check(request: ClientRequest) -> tuple[Head, bytes] | None:
        if request.path in HEALTH_PATHS and request.method == "GET":
            return plain_answer(200, "ok") if healthy() else plain_answer(503, "the store is not available")
        found = door.check(request.method, request.path, request.headers)
        if isinstance(found, Turned):
            return plain_answer(found.status, found.text, found.allow)
        request.grant = found
        return None

    return check


class _Needed:
    """The three headers that the door looks at; a repeated one counts as absent or wrong."""

    __slots__ = ("authorization", "host", "origin")

    def __init__(self) -> None:
        self.host: bytes | None = None
        self.origin: bytes | None = None
        self.authorization: bytes | None = None


def _needed(headers: Sequence[Header]) -> _Needed:
    found = _Needed()
    for name, value in headers:
        if name == b"host":
            found.host = value if found.host is None else b"?"
        elif name == b"origin":
            found.origin = value if found.origin is None else b"null"
        elif name == b"authorization":
            found.authorization = value if found.authorization is None else b""
    return found


def host_name(host: str) -> str:
    """The host of a Host header without its port, in lower case (RFC 9110 7.2)."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit():
        host = name
    return host.lower().rstrip(".")


def _origin_host(origin: str) -> str:
    """The host of an Origin, or `?` (which is never allowed) for `null` and malformed ones."""
    try:
        parts = urlsplit(origin)
        host = parts.hostname
    except ValueError:
        return "?"
    if parts.scheme not in ("http", "https") or not host or parts.path or parts.query or parts.username:
        return "?"
    return host.rstrip(".")
