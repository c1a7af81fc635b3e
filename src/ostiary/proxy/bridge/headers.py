"""The HTTP headers of a client that speaks no HTTP: session, version and mirrored parts."""

from __future__ import annotations

from typing import cast

import msgspec

from ostiary.proxy.bridge.glance import Glance
from ostiary.proxy.exchange import Header
from ostiary.wire.envelope import read_message
from ostiary.wire.message import Message
from ostiary.wire.mirror import ANNOTATION, Parameter, encode_value, mirrored_headers, parameters_of
from ostiary.wire.strict import UNREADABLE

MAX_TOOLS = 4_096

_BOTH: Header = (b"accept", b"application/json, text/event-stream")
_EVENTS: Header = (b"accept", b"text/event-stream")
_JSON: Header = (b"content-type", b"application/json")

MADE = frozenset({b"accept", b"content-type", b"mcp-session-id", b"mcp-protocol-version"})
"""What `ClientHeaders` puts on a POST up to 2025-11-25."""


class _Initialized(msgspec.Struct):
    protocol: str = msgspec.field(name="protocolVersion", default="")


class _InitializeAnswer(msgspec.Struct):
    result: _Initialized


class _Tool(msgspec.Struct):
    name: str
    schema: object = msgspec.field(name="inputSchema", default=None)


class _Tools(msgspec.Struct):
    tools: list[_Tool]


class _ListAnswer(msgspec.Struct):
    result: _Tools


class ClientHeaders:
    """What has been learnt from answers, as headers of the requests after them."""

    __slots__ = ("_parameters", "session", "version")

    def __init__(self) -> None:
        self.session: bytes | None = None
        self.version: bytes | None = None
        self._parameters: dict[str, tuple[Parameter, ...]] = {}

    def initialized(self, session: bytes | None, message: bytes) -> None:
        """Take over session and version from the answer to a legacy `initialize`."""
        self.session = session
        try:
            version = msgspec.json.decode(message, type=_InitializeAnswer).result.protocol
        except UNREADABLE:
            version = ""
        self.version = encode_value(version).encode("ascii") if version else b""

    def adopt(self, fresh: ClientHeaders) -> None:
        """Go on in the session of `fresh`, which the same server has begun."""
        self.session, self.version = fresh.session, fresh.version

    def listed(self, message: bytes) -> None:
        """Remember which arguments the listed tools want repeated in headers."""
        if ANNOTATION.encode() not in message:
            return
        try:
            tools = msgspec.json.decode(message, type=_ListAnswer).result.tools
        except UNREADABLE:
            return
        for tool in tools:
            if len(self._parameters) < MAX_TOOLS or tool.name in self._parameters:
                self._parameters[tool.name] = parameters_of(tool.schema)

    def post(self, line: bytes, seen: Glance | None) -> list[Header]:
        """The headers of a POST of `line`."""
        headers = [_JSON, _BOTH]
        if seen is None:
            return headers + self._legacy()
        if not seen.modern:
            is_first = seen.method == "initialize" and seen.kind == "request"
            return headers if is_first else headers + self._legacy()
        headers.append((b"mcp-protocol-version", encode_value(cast("str", seen.version)).encode("ascii")))
        return headers + self._mirrored(line, seen)

    def get(self, last_id: bytes | None) -> list[Header]:
        """The headers of a GET for the stream of the session."""
        resume = [] if last_id is None else [(b"last-event-id", last_id)]
        return [_EVENTS, *self._legacy(), *resume]

    def delete(self) -> list[Header]:
        """The headers of the DELETE that ends the session."""
        return self._legacy()

    def _legacy(self) -> list[Header]:
        headers: list[Header] = []
        if self.session is not None:
            headers.append((b"mcp-session-id", self.session))
        if self.version:
            headers.append((b"mcp-protocol-version", self.version))
        return headers

    def _mirrored(self, line: bytes, seen: Glance) -> list[Header]:
        parameters = self._parameters.get(seen.subject or "") if seen.method == "tools/call" else None
        if parameters:
            message = read_message(line)
            if isinstance(message, Message):
                return mirrored_headers(message, parameters)
        headers = [(b"mcp-method", encode_value(seen.method).encode("ascii"))]
        if seen.subject is not None:
            headers.append((b"mcp-name", encode_value(seen.subject).encode("ascii")))
        return headers
