"""A whole gate in one process: real sockets on both sides, a real store, a scripted upstream.

`world(policy, state)` starts it. What the upstream was sent is in `upstream.messages`; what it
answers is set by method in `upstream.script`. `post` sends one message like an HTTP client.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from ostiary.audit.record import Record
from ostiary.calls.outstanding import Outstanding
from ostiary.identity.grant import Grant, Tokens
from ostiary.identity.handles import Handles
from ostiary.proxy.catalogue import Pins
from ostiary.proxy.desk import Desk
from ostiary.proxy.door import Door, check_head
from ostiary.proxy.exchange import Header
from ostiary.proxy.gate import Gate
from ostiary.proxy.http.client import HttpUpstream, UpstreamLimits
from ostiary.proxy.http.server import HttpServer
from ostiary.proxy.mint import Mint
from ostiary.proxy.policy_file import Reloader, activate
from ostiary.proxy.stops import Board
from ostiary.settings import MAX_RATE
from ostiary.store.clock import Anchor
from ostiary.store.opening import open_store
from ostiary.store.query import Reader
from ostiary.store.sqlite import SqliteStore
from ostiary.store.state import find_state, open_state
from ostiary.store.tick import TickJournal
from tests.proxy.http_world import reset

MODERN = "2026-07-28"
SERVER = "up"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
TOKENS = {"alice": "ost_" + "a" * 43, "bob": "ost_" + "b" * 43}

ALLOW_ALL: dict[str, Any] = {"version": "1", "default": "allow", "tools": {}}


def deny_but(*tools: str, **more: object) -> dict[str, Any]:
    """A policy that allows `tools` and nothing else."""
    return {"version": "1", "default": "deny", "tools": {name: {} for name in tools}, **more}


def tool(name: str, **more: object) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


def request(method: str, params: Mapping[str, object] | None = None, number: object = 1) -> dict[str, Any]:
    made: dict[str, Any] = {"jsonrpc": "2.0", "id": number, "method": method}
    return made if params is None else {**made, "params": params}


def call(name: str, arguments: Mapping[str, object] | None = None, number: object = 1) -> dict[str, Any]:
    return request("tools/call", {"name": name, "arguments": arguments or {}}, number)


def modern(message: dict[str, Any]) -> dict[str, Any]:
    """The same message on the modern era."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return {**message, "params": {**message.get("params", {}), "_meta": meta}}


def modern_headers(message: Mapping[str, Any], *more: Header) -> list[Header]:
    headers = [(b"mcp-protocol-version", MODERN.encode()), (b"mcp-method", message["method"].encode())]
    if "name" in message.get("params", {}):
        headers.append((b"mcp-name", message["params"]["name"].encode()))
    return [*headers, *more]


# Answers of the upstream, as bytes on the wire.


def encoded(document: object) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def http(body: bytes, kind: bytes = b"application/json", status: int = 200, *lines: bytes) -> bytes:
    """An answer with a length."""
    extra = b"".join(line + b"\r\n" for line in ((b"content-type: " + kind,) if kind else ()) + lines)
    return b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n%b" % (status, extra, len(body), body)


def result(message: Mapping[str, Any], body: object) -> bytes:
    return encoded({"jsonrpc": "2.0", "id": message["id"], "result": body})


def events(*data: object, kind: bytes = b"text/event-stream", lines: Sequence[bytes] = ()) -> bytes:
    """A whole event stream of these messages."""
    body = b"".join(
        item if isinstance(item, bytes) and item.endswith(b"\n") else b"data: " + encoded(item) + b"\n\n"
        for item in data
    )
    return http(body, kind, 200, *lines)


def gzipped(document: object) -> bytes:
    return http(gzip.compress(encoded(document)), b"application/json", 200, b"content-encoding: gzip")


class Seen(NamedTuple):
    """One request as it reached the upstream."""

    method: str
    headers: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.body) if self.body else {}


Answer = bytes | Callable[[Seen], bytes | Awaitable[bytes | None] | None]


class Upstream:
    """An MCP server over HTTP that records everything and answers what it is told to.

    `script` holds answers by JSON-RPC method, or by HTTP method for those without a body. An
    answer of None sends nothing and keeps the connection open.
    """

    def __init__(self, tools: Sequence[Mapping[str, Any]]) -> None:
        self.tools: list[Any] = list(tools)
        self.seen: list[Seen] = []
        self.script: dict[str, Answer] = {}
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Every message that reached it, apart from the gate's own listings."""
        return [one.message for one in self.seen if one.body and not self.is_own(one)]

    @property
    def listings(self) -> int:
        """How often the gate itself has listed the tools."""
        return sum(self.is_own(one) for one in self.seen)

    @property
    def calls(self) -> list[str]:
        """The tools that were called."""
        return [one["params"]["name"] for one in self.messages if one.get("method") == "tools/call"]

    @staticmethod
    def is_own(seen: Seen) -> bool:
        return seen.body.startswith(b'{"jsonrpc":"2.0","id":"ev_') and b'"tools/list"' in seen.body

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**24)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                seen = await self._read(reader, writer)
                self.seen.append(seen)
                made = self._answer(seen)
                answer = await made if isinstance(made, Awaitable) else made
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
        self._writers.discard(writer)
        writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Seen:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in head[1:] if ": " in line
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Seen(head[0].split(" ")[0], headers, body, writer)

    def _answer(self, seen: Seen) -> bytes | Awaitable[bytes | None] | None:
        message = seen.message
        method = message.get("method", "response") if seen.body else seen.method
        own = self.script.get("own listing") if self.is_own(seen) else None
        chosen = own or (None if self.is_own(seen) else self.script.get(method))
        if chosen is not None:
            return chosen(seen) if callable(chosen) else chosen
        if "id" not in message or "method" not in message:
            return http(b"", b"", 202)
        if method == "tools/list":
            return http(result(message, {"tools": self.tools}))
        return http(result(message, {"content": [{"type": "text", "text": "done"}]}))


class Reply(NamedTuple):
    """What a client was answered. `whole` is False when the connection was cut short."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def events(self) -> list[dict[str, Any]]:
        found = [re.findall(rb"^data: (.*)$", one, re.MULTILINE) for one in self.body.split(b"\n\n")]
        return [json.loads(b"\n".join(lines)) for lines in found if b"".join(lines)]

    @property
    def denied(self) -> bool:
        """Whether it is the gate's denial of a call."""
        return b"[POLICY DENIED]" in self.body and self.json["result"]["isError"] is True


class ManualClock:
    """A clock that stands still until it is told to go on. Microseconds."""

    def __init__(self) -> None:
        self.at = 1_800_000_000_000_000

    def now(self) -> int:
        return self.at

    def anchor(self) -> Anchor:
        return Anchor("", 0, self.at)

    def resume(self, anchor: Anchor | None) -> None:
        return

    def discipline(self) -> None:
        return

    def pass_by(self, seconds: float) -> None:
        self.at += int(seconds * 1_000_000)


class World:
    """One gate and everything around it."""

    def __init__(
        self, desk: Desk, store: SqliteStore, upstream: Upstream, client: HttpUpstream, port: int, state: Path
    ) -> None:
        self.desk = desk
        self.client = client
        self.store = store
        self.upstream = upstream
        self.port = port
        self.state = state

    async def post(
        self,
        message: object,
        *headers: Header,
        grant: str = "",
        method: str = "POST",
        host: bytes = b"127.0.0.1",
    ) -> Reply:
        """Send one message (or bytes) and read the answer to its end."""
        body = b"" if message is None else encoded(message)
        return await self.send(self.head(body, headers, grant=grant, method=method, host=host) + body)

    def head(
        self, body: bytes, headers: Sequence[Header] = (), *, grant: str = "", method: str = "POST",
        host: bytes = b"127.0.0.1",
    ) -> bytes:  # fmt: skip
        given = {name for name, _ in headers}
        lines = [(b"host", host), (b"connection", b"close"), *headers]
        if method == "POST" and b"content-type" not in given:
            lines.append((b"content-type", b"application/json"))
        if b"accept" not in given:
            lines.append((b"accept", b"application/json, text/event-stream"))
        if grant:
            lines.append((b"authorization", b"Bearer " + TOKENS[grant].encode()))
        if method == "POST":
            lines.append((b"content-length", b"%d" % len(body)))
        block = b"".join(name + b": " + value + b"\r\n" for name, value in lines)
        return method.encode() + b" /mcp HTTP/1.1\r\n" + block + b"\r\n"

    async def send(self, data: bytes) -> Reply:
        """Send raw bytes and read the answer until the gate closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**25)
        writer.write(data)
        try:
            raw = await reader.read()
        except ConnectionResetError:
            raw = b""
        finally:
            writer.close()
        return parse(raw)

    async def ask(self, method: str, params: Mapping[str, object] | None = None, number: object = 1) -> Reply:
        return await self.post(request(method, params, number))

    async def call(self, name: str, number: object = 1, /, **arguments: object) -> Reply:
        return await self.post(call(name, arguments, number))

    async def listed(self) -> list[str]:
        """The names that a client is shown."""
        reply = await self.ask("tools/list", {})
        return [one["name"] for one in reply.json["result"]["tools"]]

    async def session(self, grant: str = "") -> bytes:
        """Initialize a session and return the id the client was given."""
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "c", "version": "1"},
        }
        reply = await self.post(request("initialize", params), grant=grant)
        return reply.headers["mcp-session-id"].encode()

    def hand_out(self, message: Mapping[str, Any], grant: str = "local") -> None:
        """Let the grant have been given the handles that `message` names."""
        params, book = message.get("params", {}), self.desk.book
        if "taskId" in params:
            made = Outstanding("ev_made", 0, grant, SERVER, "tools/call", "echo", "")
            book.tasks.created(grant, params["taskId"], made, None, None)
        if "requestState" in params:
            book.states.issued(grant, message["method"], params["name"], params["requestState"])

    def reload(self, policy: Mapping[str, Any]) -> None:
        """Put another policy in force, as a change of the file would."""
        self.desk.policy = compiled(policy)

    def reloader(self, file: Path) -> Reloader:
        return Reloader(self.desk, file=file, server=SERVER, unsafe_monitor=False, conceal=lambda text: "x")

    @contextlib.asynccontextmanager
    async def held(self, message: object, *headers: Header, method: str = "POST") -> AsyncIterator[Streams]:
        """Send one message and leave its answer unread; at the end the connection is reset."""
        body = b"" if message is None else encoded(message)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**25)
        writer.write(self.head(body, headers, method=method) + body)
        try:
            yield reader, writer
        finally:
            reset(writer)

    async def records(self) -> list[Record]:
        """Everything that is in the journal now."""
        done = asyncio.Event()
        self.desk.journal.submit(None, lambda _: done.set())
        await done.wait()
        reader = Reader(find_state(self.state))
        try:
            return [one.record for one in reader.tail(10_000) if one.record is not None]
        finally:
            reader.close()

    async def kinds(self) -> list[tuple[str, str]]:
        """Kind and tool of what is on record about calls."""
        kept = ("intent", "denial", "outcome")
        return [(one.kind, one.tool) for one in await self.records() if one.kind in kept]


def parse(raw: bytes) -> Reply:
    """An HTTP answer that was read to the end of its connection."""
    head, found, body = raw.partition(b"\r\n\r\n")
    if not found:
        return Reply(0, {}, raw, whole=False)
    lines = head.decode("latin-1").split("\r\n")
    headers = {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in lines[1:] if ": " in line}
    whole = True
    if headers.get("transfer-encoding") == "chunked":
        body, whole = unchunked(body)
    elif "content-length" in headers:
        whole = len(body) == int(headers["content-length"])
    return Reply(int(lines[0].split(" ")[1]), headers, body, whole)


def unchunked(raw: bytes) -> tuple[bytes, bool]:
    body = b""
    while raw:
        size, found, raw = raw.partition(b"\r\n")
        if not found:
            return body, False
        if int(size, 16) == 0:
            return body, True
        body += raw[: int(size, 16)]
        raw = raw[int(size, 16) + 2 :]
    return body, False


def compiled(policy: Mapping[str, Any] | bytes) -> Any:
    content = policy if isinstance(policy, bytes) else json.dumps(policy).encode()
    return activate(
        content,
        file="policy.json",
        server=SERVER,
        unsafe_monitor=True,
        conceal=lambda text: hashlib.sha256(text.encode()).hexdigest(),
    )


@contextlib.asynccontextmanager
async def world(
    policy: Mapping[str, Any] | bytes | None,
    state: Path,
    *,
    tools: Sequence[str | Mapping[str, Any]] = ("echo",),
    pins: Pins | None = None,
    clock: ManualClock | None = None,
    own_headers: Sequence[Header] = (),
    limits: UpstreamLimits | None = None,
    brake: int = MAX_RATE,
    board: Board | None = None,
) -> AsyncIterator[World]:
    """A gate under `policy` in front of an upstream with `tools`, until the block ends."""
    upstream = Upstream([tool(one) if isinstance(one, str) else one for one in tools])
    await upstream.start()
    store = open_store(open_state(state), clock=clock)
    journal = TickJournal(store, asyncio.get_running_loop())
    store.handles.wake, store.handles.hurrying = journal.wake, journal.hurry
    client = HttpUpstream(
        f"http://127.0.0.1:{upstream.port}/mcp",
        limits=limits,
        on_doubt=lambda: desk.catalogues.doubt(),  # noqa: PLW0108 - the desk comes later
    )
    desk = Desk(
        upstream=client,
        journal=journal,
        policy=None if policy is None else compiled(policy),
        server=SERVER,
        own_headers=own_headers,
        handles=Handles(store.keys.session),
        digest_key=store.keys.audit,
        mint=Mint(store.clock.now),
        clock=store.clock.now,
        pins=pins,
        brake=brake,
        board=board,
        shelf=store.handles,
    )
    server = HttpServer(Gate(desk, None), check_head=check_head(door(), lambda: store.healthy))
    _, port = await server.listen("127.0.0.1", 0)
    try:
        yield World(desk, store, upstream, client, port, state)
    finally:
        await server.close(0)
        await client.close()
        desk.book.tasks.close()
        await journal.close()
        store.close()
        await upstream.stop()


def door() -> Door:
    """Two grants with tokens, and one for callers without any."""
    grants = {hashlib.sha256(text.encode()).digest(): Grant.named(name) for name, text in TOKENS.items()}
    tokens = Tokens(by_digest=grants, anonymous=Grant.named("local"))
    return Door(tokens, allowed_hosts=(), bound_host="127.0.0.1")


def within(main: Callable[[], Awaitable[None]], seconds: float = 5) -> None:
    """Run one async test on the loop of the product, bounded."""

    async def bounded() -> None:
        await asyncio.wait_for(main(), seconds)

    uvloop.run(bounded())


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until `condition` holds; the test's own bound ends the wait."""
    while not condition():
        await asyncio.sleep(0.002)
