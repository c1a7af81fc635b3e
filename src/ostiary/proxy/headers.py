"""Which headers cross the gate. Both directions are allow-lists.

Client credentials and cookies stop here; hop-by-hop and framing headers belong to one hop.
"""

from __future__ import annotations

from collections.abc import Sequence

from ostiary.proxy.exchange import Header

REQUEST = frozenset(
    {
        b"accept",
        b"content-type",
        b"mcp-protocol-version",
        b"mcp-method",
        b"mcp-name",
        b"last-event-id",
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


def towards_upstream(headers: Sequence[Header], session: bytes | None, own: Sequence[Header]) -> list[Header]:
    """The headers forwarded with a client's request: allowed ones, then the operator's own.

    An operator's header replaces a client's of the same name.
    """
    taken = {name for name, _ in own}
    kept = [
        header
        for header in headers
        if (header[0] in REQUEST or header[0].startswith(PARAM)) and header[0] not in taken
    ]
    if session is not None:
        kept.append((SESSION, session))
    kept.extend(own)
    return kept


def towards_client(headers: Sequence[Header], session: bytes | None) -> list[Header]:
    """The headers of an answer that a client gets; `session` is the sealed session id."""
    kept = [header for header in headers if header[0] in ANSWER]
    if session is not None:
        kept.append((SESSION, session))
    return kept
