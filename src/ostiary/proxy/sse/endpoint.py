"""Where an SSE server wants its messages: the `endpoint` event (MCP 2024-11-05, transports)."""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit

from ostiary.errors import GatewayFault

MAX_ENDPOINT = 8 * 1024
"""Longest URI reference taken, in bytes."""

_PORTS = {"http": 80, "https": 443}


def endpoint_target(configured: str, data: bytes) -> str:
    """Path and query of the URI in `data`, which is resolved against the `configured` URL.

    Raises GatewayFault when that leads to another origin (RFC 6454: scheme, host and port): the
    operator's credentials go there with every message, so only the operator names the place.
    """
    text = data.decode("latin-1")
    if not text or len(text) > MAX_ENDPOINT:
        raise GatewayFault("the server names no usable endpoint")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise GatewayFault("the server names an endpoint that is not a URI")
    try:
        parts = urlsplit(urljoin(configured, text))
        same = _origin(parts) == _origin(urlsplit(configured))
    except ValueError as error:
        raise GatewayFault("the server names an endpoint that is not a URI") from error
    if not same or "@" in parts.netloc:
        raise GatewayFault(
            "the server names an endpoint of another origin",
            hint="give the URL that the server itself is known by",
        )
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    port = parts.port
    return parts.scheme, parts.hostname or "", _PORTS.get(parts.scheme) if port is None else port
