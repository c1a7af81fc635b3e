"""Which era a request belongs to, and whether its headers say what its body says.

Legacy is every revision with a handshake (2024-11-05 to 2025-11-25), modern every later one,
where each request names its revision in `_meta` and mirrors parts of itself in headers
(MCP 2026-07-28, streamable HTTP; SEP-2243). The body decides. A header that disagrees would
let something in front of or behind the gate decide about another call, so it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from ostiary.wire.message import Message, Refusal, as_object
from ostiary.wire.mirror import Parameters, decode_value, mismatch, subject
from ostiary.wire.revisions import LEGACY_VERSIONS, PROTOCOL_VERSION, is_removed
from ostiary.wire.strict import INVALID_PARAMS, INVALID_REQUEST

METHOD_NOT_FOUND = -32601
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022

MODERN_VERSIONS = ("2026-07-28",)

Era = Literal["legacy", "modern"]
Headers = Sequence[tuple[bytes, bytes]]

VERSION_HEADER = b"mcp-protocol-version"
METHOD_HEADER = b"mcp-method"
NAME_HEADER = b"mcp-name"

_NAMES = {
    VERSION_HEADER: "MCP-Protocol-Version",
    METHOD_HEADER: "Mcp-Method",
    NAME_HEADER: "Mcp-Name",
}
_OWS = b" \t"


def check_headers(
    message: Message,
    headers: Headers,
    *,
    parameters: Parameters | None = None,
    supported: Sequence[str] = MODERN_VERSIONS,
) -> Era | Refusal:
    """The era of a message that came over HTTP, or why its headers are refused.

    `headers` have names in lower case. `parameters` are the `Mcp-Param-*` headers that the
    called tool's pinned schema names; all others are left to whoever knows them.
    """
    # 1. One value for each header that is looked at.
    found = _read(headers, message)
    if isinstance(found, Refusal):
        return found
    # 2. The era: header and body together.
    era = _era(message, found.get(VERSION_HEADER), supported)
    if era == "modern":
        # 3. What the headers mirror. 4. Whether the revision has the method.
        refusal = _mirrored(message, found) or _parameters(message, headers, parameters)
        return refusal or _no_method(message) or era
    if era == "legacy":
        return _legacy(message, found) or era
    return era


def body_era(message: Message, *, supported: Sequence[str] = MODERN_VERSIONS) -> Era | Refusal:
    """The era of a message that came over a pipe, where there are no headers."""
    version = body_version(message)
    if version is None or version in LEGACY_VERSIONS:
        return "legacy"
    if version not in supported:
        return _unsupported(message, version, supported)
    return _no_method(message) or "modern"


def body_version(message: Message) -> str | None:
    """The revision that `_meta` names, or None."""
    meta = as_object(message.params.get("_meta"))
    version = None if meta is None else meta.get(PROTOCOL_VERSION)
    return version if isinstance(version, str) else None


def _read(headers: Headers, message: Message) -> dict[bytes, str] | Refusal:
    found: dict[bytes, str] = {}
    for name, value in headers:
        shown = _NAMES.get(name)
        if shown is None:
            continue
        if name in found:
            return _mismatch(message, f"header {shown} is given twice")
        text = _visible(value)
        if text is None:
            return _mismatch(message, f"header {shown} is not visible ASCII")
        found[name] = text
    return found


@lru_cache(maxsize=1024)
def _visible(value: bytes) -> str | None:
    """A header value as text, or None when it is not visible ASCII. The same few come with every call."""
    text = value.strip(_OWS).decode("latin-1")
    return text if text.isascii() and text.isprintable() else None


def _era(message: Message, header: str | None, supported: Sequence[str]) -> Era | Refusal:
    version = body_version(message)
    if version is None:
        return _era_by_header(message, header, supported)
    if header is None:
        return _mismatch(
            message, "the body names a protocol version, but no MCP-Protocol-Version header does"
        )
    if header != version:
        return _mismatch(message, "MCP-Protocol-Version and the body name different versions")
    if version in LEGACY_VERSIONS:
        return "legacy"
    return "modern" if version in supported else _unsupported(message, version, supported)


def _era_by_header(message: Message, header: str | None, supported: Sequence[str]) -> Era | Refusal:
    """The era of a body that names none."""
    if header is None or header in LEGACY_VERSIONS:
        return "legacy"
    if header not in supported:
        return _refusal(
            message, INVALID_REQUEST, "MCP-Protocol-Version names an unknown revision", "(version)"
        )
    if message.kind == "request":
        text = f"`_meta` must name the protocol version (`{PROTOCOL_VERSION}`)"
        return _refusal(message, INVALID_PARAMS, text, "(version)")
    if message.kind == "response":
        text = "a client sends no responses on this revision"
        return _refusal(message, INVALID_REQUEST, text, "(version)")
    return "modern"  # a notification: the revision defines no `_meta` for it


def _mirrored(message: Message, found: dict[bytes, str]) -> Refusal | None:
    method = found.get(METHOD_HEADER)
    is_request = message.kind == "request"
    if method is None and is_request:
        return _mismatch(message, "header Mcp-Method is missing")
    if method is not None and method != message.method:
        return _mismatch(message, "header Mcp-Method differs from the body's method")
    if is_request and subject(message) is not None and NAME_HEADER not in found:
        return _mismatch(message, "header Mcp-Name is missing")
    return _named(message, found)


def _named(message: Message, found: dict[bytes, str]) -> Refusal | None:
    header = found.get(NAME_HEADER)
    if header is None:
        return None
    named = subject(message)
    if named is None:
        return _mismatch(message, "header Mcp-Name on a message that names nothing")
    if decode_value(header) != named:
        return _mismatch(message, "header Mcp-Name differs from what the body names")
    return None


def _legacy(message: Message, found: dict[bytes, str]) -> Refusal | None:
    """These headers mean nothing on this era; sent, they must at least be true."""
    method = found.get(METHOD_HEADER)
    refusal = _named(message, found)
    if method is not None and method != message.method:
        refusal = _mismatch(message, "header Mcp-Method differs from the body's method")
    if refusal is None:
        return None
    return _refusal(message, INVALID_REQUEST, refusal.message, refusal.rule)


def _parameters(message: Message, headers: Headers, parameters: Parameters | None) -> Refusal | None:
    if not parameters or message.method != "tools/call":
        return None
    arguments = as_object(message.params.get("arguments")) or {}
    fault = mismatch(parameters, arguments, headers)
    return None if fault is None else _mismatch(message, fault)


def _no_method(message: Message) -> Refusal | None:
    if not is_removed(message.method, message.params):
        return None
    text = f"revision {MODERN_VERSIONS[0]} has no `{message.method}`"
    return Refusal(METHOD_NOT_FOUND, 404, text, "(removed method)", message.id)


def _unsupported(message: Message, version: str, supported: Sequence[str]) -> Refusal:
    return Refusal(
        code=UNSUPPORTED_VERSION,
        status=400,
        message="unsupported protocol version",
        rule="(version)",
        id=message.id,
        data={"supported": list(supported), "requested": version[:64]},
    )


def _mismatch(message: Message, text: str) -> Refusal:
    return _refusal(message, HEADER_MISMATCH, text, "(header mismatch)")


def _refusal(message: Message, code: int, text: str, rule: str) -> Refusal:
    message_id = message.id if message.kind == "request" else None
    return Refusal(code=code, status=400, message=text, rule=rule, id=message_id)
