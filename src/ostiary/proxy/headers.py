"""Which headers cross the gate. Both directions are allow-lists.

Client credentials and cookies stop here; hop-by-hop and framing headers belong to one hop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from ostiary.proxy.exchange import Header
from ostiary.wire.message import Message

REQUEST = frozenset(
    {
        b"accept",
        b"content-type",
        b"mcp-protocol-version",
        b"mcp-method",
        b"mcp-name",
        b"traceparent",
        b"tracestate",
        b"user-agent",
    }
)
ANSWER = frozenset(
    {
        b"content-type",
        b"cache-control",
        b"www-authenticate",
        b"retry-after",
        b"allow",
        b"x-accel-buffering",
        b"mcp-protocol-version",
    }
)
PARAM = b"mcp-param-"
SESSION = b"mcp-session-id"
PLACE = b"last-event-id"
"""Where in a stream to resume; forwarded with a GET only, once it is known to be the client's."""

_META_KEYS = (
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
)

_OF_THE_SESSION = frozenset({SESSION, b"mcp-protocol-version"})
_OF_A_MESSAGE: tuple[Header, ...] = (
    (b"content-type", b"application/json"),
    (b"accept", b"application/json, text/event-stream"),
)


def towards_upstream(headers: Sequence[Header], session: bytes | None, own: Sequence[Header]) -> list[Header]:
    """The headers forwarded with a client's request: allowed ones, then the operator's own.

    An operator's header replaces a client's of the same name.
    """
    kept = [header for header in headers if header[0] in REQUEST or header[0].startswith(PARAM)]
    if own:
        taken = {name for name, _ in own}
        kept = [header for header in kept if header[0] not in taken]
    if session is not None:
        kept.append((SESSION, session))
    kept.extend(own)
    return kept


def for_own_request(headers: Sequence[Header], own: Sequence[Header]) -> tuple[Header, ...]:
    """The headers of a POST of the gate's own, from those forwarded with a client's request.

    What the client's headers say of its own message (method, name, parameters, place in a
    stream) is left out: it would not be true of ours.
    """
    kept = tuple(header for header in headers if header[0] in _OF_THE_SESSION or header in own)
    return (*_OF_A_MESSAGE, *kept)


def towards_client(headers: Sequence[Header], session: bytes | None) -> list[Header]:
    """The headers of an answer that a client gets; `session` is the sealed session id."""
    kept = [header for header in headers if header[0] in ANSWER]
    if session is not None:
        kept.append((SESSION, session))
    return kept


def own_meta(message: Message) -> Mapping[str, object]:
    """The part of a modern request's `_meta` that our own request must repeat."""
    meta = message.params.get("_meta")
    if not isinstance(meta, Mapping):
        return {}
    known = cast("Mapping[str, object]", meta)
    return {key: known[key] for key in _META_KEYS if key in known}
