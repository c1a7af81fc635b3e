"""Who may speak to the HTTP listener at all: path, method, Host, Origin, token.

Checked on the head, before a body is read. DNS rebinding is what Host and Origin are for: a
web page can make a browser send requests to 127.0.0.1, but cannot choose these two headers
(MCP 2025-06-18, Transports, security warning).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import msgspec

from ostiary.identity.grant import Grant, Tokens
from ostiary.proxy.exchange import ClientRequest, Head, Header
from ostiary.proxy.forwarded import Forwarded
from ostiary.settings import PublicUrl

log = logging.getLogger("ostiary.door")

MCP_PATH = "/mcp"
SSE_PATH = "/sse"
MESSAGES_PATH = "/messages"
HEALTH_PATHS = frozenset({"/healthz", "/readyz"})
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class Turned(msgspec.Struct, frozen=True):
    """A request turned away at the door: HTTP status and a plain sentence."""

    status: int
    text: str
    allow: str = ""


_WRONG_METHOD = {
    MCP_PATH: Turned(405, "use POST, GET or DELETE", allow="POST, GET, DELETE"),
    SSE_PATH: Turned(405, "use GET", allow="GET"),
    MESSAGES_PATH: Turned(405, "use POST", allow="POST"),
}
"""The paths at which MCP is served, and the answer to a method that is not for them."""

_METHODS = {path: frozenset(turned.allow.split(", ")) for path, turned in _WRONG_METHOD.items()}


class Door:
    """The rules of one listener.

    `public` is what clients call it behind a balancer. Its host is allowed with its own port
    only, if it names one, and its origin exactly.
    """

    __slots__ = ("_hosts", "_origins", "_public", "_tokens")

    def __init__(
        self,
        tokens: Tokens,
        *,
        allowed_hosts: Sequence[str],
        bound_host: str,
        public: PublicUrl | None = None,
    ) -> None:
        self._tokens = tokens
        self._public = public
        hosts = {host.lower().rstrip(".") for host in allowed_hosts}
        if bound_host in LOOPBACK_HOSTS or bound_host.startswith("127."):
            hosts |= LOOPBACK_HOSTS
        hosts.add(bound_host.lower())
        if public is not None:
            hosts.discard(public.host)
        self._hosts = frozenset(hosts)
        self._origins: dict[bytes, bool] = {}

    def check(self, method: str, path: str, headers: Sequence[Header]) -> Turned | Grant:
        """Turn a request away, or say whose it is.

        (1) known path, (2) Host, (3) Origin, (4) method, (5) token.
        """
        found = _needed(headers)
        # (1)
        methods = _METHODS.get(path)
        if methods is None:
            return Turned(404, "nothing is served here; the MCP endpoint is /mcp")
        # (2)
        if not self._host_known(found.host):
            return Turned(421, "the Host header names another server (see --allowed-host)")
        # (3)
        if found.origin is not None and not self._origin_known(found.origin):
            return Turned(403, "the Origin header names a page that is not allowed here")
        # (4)
        if method not in methods:
            return _WRONG_METHOD[path]
        # (5)
        grant = self._tokens.admit(found.authorization)
        if grant is None:
            return Turned(401, "a bearer token is needed: send `Authorization: Bearer TOKEN`")
        return grant

    def _host_known(self, host: bytes | None) -> bool:
        if host is None:
            return False
        name = host_name(host.decode("latin-1"))
        if self._public is not None and name == self._public.host:
            return self._public.port in (None, _port(host, self._public.default_port))
        return name in self._hosts

    def _origin_known(self, origin: bytes) -> bool:
        known = self._origins.get(origin)
        if known is None:
            text = origin.decode("latin-1")
            known = _origin_host(text) in self._hosts or (
                self._public is not None and text.lower() == self._public.origin
            )
            if len(self._origins) < 256 and len(origin) <= 256:  # noqa: PLR2004 - bounds, not meanings
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
    door: Door, healthy: Callable[[], bool], forwarded: Forwarded | None = None
) -> Callable[[ClientRequest], tuple[Head, bytes] | None]:
    """The check that an HTTP listener makes on each head, before it reads a body.

    Health is answered here: it needs no token and tells nothing but up or down. `forwarded`
    replaces the peer by the one that trusted proxies name.
    """
    behind = forwarded or Forwarded(())

    def check(request: ClientRequest) -> tuple[Head, bytes] | None:
        if request.path in HEALTH_PATHS and request.method == "GET":
            return plain_answer(200, "ok") if healthy() else plain_answer(503, "the store is not available")
        request.peer = behind.peer(request.peer, request.headers)
        found = door.check(request.method, request.path, request.headers)
        if isinstance(found, Turned):
            log.info("turned away %s: %d %s", request.peer, found.status, found.text)
            return plain_answer(found.status, found.text, found.allow)
        request.grant = found
        return None

    return check


_LOOKED_AT = frozenset({b"host", b"origin", b"authorization"})


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
        if name not in _LOOKED_AT:
            continue
        if name == b"host":
            found.host = value if found.host is None else b"?"
        elif name == b"origin":
            found.origin = value if found.origin is None else b"null"
        else:
            found.authorization = value if found.authorization is None else b""
    return found


def host_name(host: str) -> str:
    """The host of a Host header without its port, in lower case (RFC 9110 7.2).

    `?`, which is never allowed, where something else follows an address in brackets.
    """
    if host.startswith("["):
        literal = _LITERAL.fullmatch(host)
        return "?" if literal is None else literal[1].lower()
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit():
        host = name
    return host.lower().rstrip(".")


_LITERAL = re.compile(r"\[([^\[\]]*)\](?::[0-9]*)?")
_ORIGIN = re.compile(r"https?://[!-~]+", re.IGNORECASE)
"""Blanks and line breaks are not part of an origin; `urlsplit` would take tabs out of it."""


def _port(host: bytes, default: int) -> int:
    """The port of a Host header."""
    after_literal = host[host.rfind(b"]") + 1 :]
    _, colon, port = after_literal.rpartition(b":")
    return int(port[:6]) if colon and port.isdigit() else default


def _origin_host(origin: str) -> str:
    """The host of an Origin, or `?` (which is never allowed) for `null` and malformed ones."""
    if _ORIGIN.fullmatch(origin) is None:
        return "?"
    try:
        parts = urlsplit(origin)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "?"
    if not host or "@" in parts.netloc or parts.netloc != origin.partition("://")[2]:
        return "?"  # an origin is scheme, host and port, and nothing else (RFC 6454 6.2)
    return host.rstrip(".")
