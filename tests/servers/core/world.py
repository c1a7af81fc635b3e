"""A client of an endpoint, in one process and without sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ostiary.identity.grant import Grant
from ostiary.proxy.exchange import Callback, ClientRequest, Head, Header, nothing
from ostiary.servers.core.endpoint import Endpoint, EndpointLimits
from ostiary.servers.core.server import Server
from ostiary.wire.mirror import encode_value
from ostiary.wire.sse import SseParser

MODERN = "2026-07-28"
LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
NEWEST_LEGACY = LEGACY[-1]
WAIT = 5.0

Json = dict[str, Any]
BOTH: Header = (b"accept", b"application/json, text/event-stream")
JSON: Header = (b"content-type", b"application/json")
SUBJECTS = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


def within(main: Callable[[], Awaitable[None]]) -> None:
    """Run `main`, for five seconds at most."""
    asyncio.run(asyncio.wait_for(main(), WAIT))


def request(method: str, params: Mapping[str, object] | None = None, number: object = 1) -> Json:
    made: Json = {"jsonrpc": "2.0", "id": number, "method": method}
    return made if params is None else {**made, "params": dict(params)}


def call(name: str, arguments: Mapping[str, object] | None = None, number: object = 1) -> Json:
    return request("tools/call", {"name": name, "arguments": dict(arguments or {})}, number)


def modern(message: Json, capabilities: Mapping[str, object] | None = None, **meta: object) -> Json:
    """The same message on the modern era."""
    about = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": dict(capabilities or {}),
        **meta,
    }
    return {**message, "params": {**message.get("params", {}), "_meta": about}}


def mirrored(message: Json) -> list[Header]:
    """The headers that repeat a modern message."""
    headers = [(b"mcp-protocol-version", MODERN.encode()), (b"mcp-method", message["method"].encode())]
    subject = message["params"].get(SUBJECTS.get(message["method"], ""))
    return headers if subject is None else [*headers, (b"mcp-name", encode_value(subject).encode())]


class Reply:
    """One answer as it comes: a `Responder`."""

    def __init__(self) -> None:
        self.on_gone: Callback = nothing
        self.on_pause: Callback = nothing
        self.on_resume: Callback = nothing
        self.heads: list[Head] = []
        self.body = b""
        self.messages: list[Json] = []
        self.ids: list[str] = []
        self.done = asyncio.Event()
        self._parser = SseParser()
        self._news = asyncio.Event()

    def start(self, head: Head) -> None:
        assert not self.heads, "an answer has one head"
        self.heads.append(head)
        self._news.set()

    def write(self, data: bytes) -> None:
        assert self.heads, "data come after the head"
        assert not self.done.is_set(), "data come before the end"
        self.body += data
        if self.streams:
            for event in self._parser.feed(data):
                if event.id is not None:
                    self.ids.append(event.id.decode())
                if event.data:
                    self.messages.append(json.loads(event.data))
        self._news.set()

    def finish(self) -> None:
        assert self.heads, "an answer has a head"
        assert not self.done.is_set(), "an answer ends once"
        self.done.set()
        self._news.set()

    def abort(self) -> None:
        raise AssertionError("nothing here may be cut")

    @property
    def status(self) -> int:
        return self.heads[0].status

    @property
    def streams(self) -> bool:
        return (self.heads[0].header(b"content-type") or b"") == b"text/event-stream"

    @property
    def session(self) -> bytes:
        found = self.heads[0].header(b"mcp-session-id")
        assert found is not None
        return found

    @property
    def json(self) -> Any:
        """The one message of the body, or the response at the end of the stream."""
        return self.messages[-1] if self.streams else json.loads(self.body)

    @property
    def result(self) -> Json:
        assert "result" in self.json, self.json
        return self.json["result"]

    @property
    def error(self) -> Json:
        assert "error" in self.json, self.json
        return self.json["error"]

    @property
    def said(self) -> str:
        """The text of a tool's result."""
        return self.result["content"][0]["text"]

    def leave(self) -> None:
        """Go away, as a client does whose connection breaks."""
        self.on_gone()

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until something has come that makes this true."""
        while not true():
            self._news.clear()
            await self._news.wait()


class Client:
    """Talks to one endpoint. `session` is sent once it is set, and the legacy `version` with it."""

    def __init__(self, server: Server, limits: EndpointLimits | None = None, **more: Any) -> None:
        self.endpoint = Endpoint(server, limits=limits, **more)
        self.session: bytes | None = None
        self.version = NEWEST_LEGACY
        self.owner = ""

    def send(self, method: str, body: bytes, headers: Sequence[Header]) -> Reply:
        """Send one HTTP request."""
        reply = Reply()
        grant = Grant.named(self.owner) if self.owner else None
        self.endpoint(ClientRequest(method, "/mcp", b"", list(headers), body, "tests", grant), reply)
        return reply

    def begin(self, message: Any, *more: Header) -> Reply:
        """Send a message and do not wait."""
        return self.send("POST", json.dumps(message).encode(), self._headers(message, more))

    async def post(self, message: Any, *more: Header) -> Reply:
        """Send a message and wait for the end of its answer."""
        reply = self.begin(message, *more)
        await reply.done.wait()
        return reply

    def _headers(self, message: Any, more: Sequence[Header]) -> list[Header]:
        headers = [JSON, BOTH]
        meta = message.get("params", {}).get("_meta", {}) if isinstance(message, dict) else {}
        if "io.modelcontextprotocol/protocolVersion" in meta:
            headers += mirrored(message)
        elif self.session is not None:
            headers += [(b"mcp-session-id", self.session), (b"mcp-protocol-version", self.version.encode())]
        given = {name for name, _ in more}
        return [one for one in headers if one[0] not in given] + list(more)

    async def initialize(
        self, version: str = NEWEST_LEGACY, capabilities: Mapping[str, object] | None = None
    ) -> Json:
        """Begin a session, and go on in it."""
        params = {
            "protocolVersion": version,
            "capabilities": dict(capabilities or {}),
            "clientInfo": {"name": "tests", "version": "1"},
        }
        reply = await self.post(request("initialize", params))
        self.session, self.version = reply.session, reply.result["protocolVersion"]
        accepted = await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert accepted.status == 202
        return reply.result

    def listen(self, *more: Header) -> Reply:
        """Open the stream of the session."""
        assert self.session is not None
        about = [(b"mcp-session-id", self.session), (b"mcp-protocol-version", self.version.encode())]
        return self.send("GET", b"", [(b"accept", b"text/event-stream"), *about, *more])

    async def delete(self) -> Reply:
        """End the session."""
        assert self.session is not None
        reply = self.send("DELETE", b"", [(b"mcp-session-id", self.session)])
        await reply.done.wait()
        return reply
