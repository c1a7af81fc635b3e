"""What tests of HTTP+SSE are built from: raw clients of a gate, and a raw server behind one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, cast

from ostiary.identity.grant import Grant
from ostiary.proxy.door import check_head
from ostiary.proxy.exchange import ClientRequest, Head, Header, Responder
from ostiary.proxy.http.client import HttpUpstream
from ostiary.proxy.http.request import Limits
from ostiary.proxy.http.server import HttpServer
from ostiary.proxy.keepalive import KeepAlive
from ostiary.proxy.sse.downstream import Gate as Behind
from ostiary.proxy.sse.downstream import SseDownstream
from ostiary.proxy.sse.listener import SseLimits
from ostiary.proxy.sse.upstream import SseUpstream
from ostiary.wire.message import Refusal
from tests.proxy.http_world import reset
from tests.weaknesses.world import TOKENS, Reply, door, encoded, parse

Json = Any


class Asked:
    """One request that reached the handler, with shorthands to answer it."""

    def __init__(self, sent: ClientRequest, responder: Responder) -> None:
        self.sent = sent
        self.responder = responder
        self.gone = asyncio.Event()
        self.paused = asyncio.Event()
        responder.on_gone = self.gone.set
        responder.on_pause = self.paused.set
        responder.on_resume = self.paused.clear

    @property
    def message(self) -> dict[str, Json]:
        return json.loads(self.sent.body)

    def header(self, name: str) -> str | None:
        value = self.sent.header(name.encode())
        return None if value is None else value.decode()

    def json(self, body: object, status: int = 200, *more: Header) -> None:
        raw = encoded(body)
        self.responder.start(Head(status, ((b"content-type", b"application/json"), *more), len(raw)))
        self.responder.write(raw)
        self.responder.finish()

    def result(self, result: object, *more: Header) -> None:
        self.json({"jsonrpc": "2.0", "id": self.message["id"], "result": result}, 200, *more)

    def empty(self, status: int) -> None:
        self.responder.start(Head(status, (), 0))
        self.responder.finish()

    def stream(self, *messages: object) -> None:
        self.responder.start(Head(200, ((b"content-type", b"text/event-stream"),)))
        for message in messages:
            self.say(message)

    def say(self, message: object) -> None:
        self.responder.write(b"data: " + encoded(message) + b"\n\n")


class Stream:
    """A client's event stream, dechunked and parsed by hand."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.port = port
        self.status = 0
        self.comments = 0
        self.path = ""
        self.grant = ""
        self.reader = reader
        self.writer = writer
        self.ended = False
        self._buffer = b""

    async def event(self) -> tuple[str, bytes]:
        """The next event; fails when the stream ends before it."""
        while True:
            while b"\n\n" not in self._buffer:
                piece = await self._piece()
                assert piece, "the stream ended"
                self._buffer += piece
            block, _, self._buffer = self._buffer.partition(b"\n\n")
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if line[:1] != b":")
            if fields:
                return fields.get(b"event", b"message").decode(), fields[b"data"]
            self.comments += 1

    async def message(self) -> dict[str, Json]:
        name, data = await self.event()
        assert name == "message", name
        return json.loads(data)

    async def end(self) -> None:
        """Wait for the regular end of the stream; events before it are dropped."""
        while await self._piece():
            pass
        assert self.ended

    async def _piece(self) -> bytes:
        line = await self.reader.readline()
        if not line:
            return b""
        size = int(line, 16)
        data = (await self.reader.readexactly(size + 2))[:-2]
        self.ended = self.ended or size == 0
        return data

    async def post(self, message: object, *headers: Header, grant: str | None = None) -> Reply:
        """POST to the endpoint of this stream."""
        who = self.grant if grant is None else grant
        return await ask(self.port, "POST", self.path, message, *headers, grant=who)

    def reads(self, reading: bool) -> None:
        """Go on reading, or stop."""
        transport = cast("asyncio.Transport", self.writer.transport)
        (transport.resume_reading if reading else transport.pause_reading)()

    def leave(self) -> None:
        if not self.writer.transport.is_closing():
            reset(self.writer)


async def ask(
    port: int, method: str, path: str, message: object = None, *headers: Header, grant: str = ""
) -> Reply:
    """One request on a connection of its own, and its whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**25)
    writer.write(head(method, path, message, headers, grant))
    try:
        return parse(await reader.read())
    finally:
        writer.close()


def head(method: str, path: str, message: object, headers: Sequence[Header], grant: str) -> bytes:
    given = {name for name, _ in headers}
    body = b"" if message is None else encoded(message)
    lines = [*headers]
    lines += [] if b"host" in given else [(b"host", b"127.0.0.1")]
    lines += [] if path == "/sse" and method == "GET" else [(b"connection", b"close")]
    if method == "POST":
        lines += [] if b"content-type" in given else [(b"content-type", b"application/json")]
        lines.append((b"content-length", b"%d" % len(body)))
    if grant:
        lines.append((b"authorization", b"Bearer " + TOKENS[grant].encode()))
    block = b"".join(name + b": " + value + b"\r\n" for name, value in lines)
    return f"{method} {path} HTTP/1.1\r\n".encode() + block + b"\r\n" + body


@contextlib.asynccontextmanager
async def listening(port: int, grant: str = "") -> AsyncIterator[Stream]:
    """A stream that has named its endpoint, or was refused (`status`)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**25)
    writer.write(head("GET", "/sse", None, ((b"accept", b"text/event-stream"),), grant))
    stream = Stream(port, reader, writer)
    stream.grant = grant
    lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    stream.status = int(lines[0].split()[1])
    try:
        if stream.status == 200:
            name, data = await stream.event()
            assert name == "endpoint"
            stream.path = data.decode()
        yield stream
    finally:
        stream.leave()


class Gate:
    """A listener with HTTP+SSE on it, in front of a handler."""

    def __init__(self, downstream: SseDownstream, server: HttpServer, port: int) -> None:
        self.downstream = downstream
        self.server = server
        self.port = port
        self.asked: asyncio.Queue[Asked] = asyncio.Queue()


class Keeper:
    """In the place of the gate: it brakes nobody and records nothing."""

    def __init__(self, keep: Callable[[Asked], object]) -> None:
        self._keep = keep

    def __call__(self, request: ClientRequest, responder: Responder) -> None:
        self._keep(Asked(request, responder))

    def braked(self, grant: Grant, responder: Responder) -> bool:
        return False

    def stopped(self, grant: Grant, responder: Responder, method: str) -> bool:
        return False

    def note_refusal(self, grant: Grant, refusal: Refusal, method: str = "") -> None:
        pass


@contextlib.asynccontextmanager
async def gate(
    behind: Behind | None = None, *, streams: KeepAlive | None = None, prefix: str = "", **limits: Any
) -> AsyncIterator[Gate]:
    """Without a gate `behind` it every request is put into `asked`."""
    made: list[Gate] = []
    downstream = SseDownstream(
        behind or Keeper(lambda asked: made[0].asked.put_nowait(asked)),  # noqa: PLW0108 - made later
        streams or KeepAlive(),
        prefix=prefix,
        limits=SseLimits(**{"farewell": 0.05, **limits}),
    )
    server = HttpServer(
        downstream, check_head=check_head(door(), lambda: True), limits=Limits(write_buffer=1024)
    )
    _, port = await server.listen("127.0.0.1", 0)
    made.append(Gate(downstream, server, port))
    try:
        yield made[0]
    finally:
        await server.close(0)
        await downstream.close(0)


async def shake_hands(one: Gate, stream: Stream, version: str = "2024-11-05") -> Asked:
    """The handshake of a client; returns the GET that follows it at the handler."""
    await stream.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}})
    (await one.asked.get()).result({"protocolVersion": version}, (b"mcp-session-id", b"s.mac"))
    assert (await stream.message())["id"] == 0
    await stream.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
    (await one.asked.get()).empty(202)
    return await one.asked.get()


# --- a server -------------------------------------------------------------------------------------


class Said:
    """One POST that reached the server."""

    def __init__(self, target: str, headers: Mapping[str, str], body: bytes) -> None:
        self.target = target
        self.headers = headers
        self.body = body

    @property
    def message(self) -> dict[str, Json]:
        return json.loads(self.body)

    @property
    def method(self) -> str:
        return self.message.get("method", "response")


class Server:
    """An SSE server by hand. `accept` is the answer to a POST, or says that there is none (None)."""

    def __init__(self) -> None:
        self.port = 0
        self.streams: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        self.stream_headers: dict[str, str] = {}
        self.said: asyncio.Queue[Said] = asyncio.Queue()
        self.accept: Callable[[Said], bytes | None] = lambda _: answer(202, b"Accepted")
        self.open = answer(200, None, b"content-type: text/event-stream")
        self.endpoint: bytes | None = b"/messages?session=1"
        self.ended = asyncio.Event()
        self.writer_of: dict[str, asyncio.StreamWriter] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._streaming: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = first.split(" ")
                headers = {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in lines if line}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                if method == "GET":
                    self.stream_headers = headers
                    await self._stream(reader, writer)
                    break
                said = Said(target, headers, body)
                self.writer_of[said.method] = writer
                self.said.put_nowait(said)
                reply = self.accept(said)
                if reply is not None:
                    writer.write(reply)
        writer.close()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streaming.add(writer)
        writer.write(self.open)
        if self.endpoint is not None:
            writer.write(b"event: endpoint\ndata: " + self.endpoint + b"\n\n")
        self.streams.put_nowait(writer)
        try:
            await reader.read()
        finally:
            self.ended.set()

    async def next(self, method: str) -> dict[str, Json]:
        """The next message, which has to be of `method` (or `response`)."""
        said = await self.said.get()
        assert said.method == method, said.message
        return said.message

    def close_posts(self) -> None:
        """Cut every connection but the streams."""
        for writer in self._writers - self._streaming:
            writer.transport.abort()

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


def answer(status: int, body: bytes | None, *lines: bytes) -> bytes:
    """An answer of the server; without a body it lasts until the connection ends."""
    length = () if body is None else (b"content-length: %d" % len(body),)
    block = b"".join(line + b"\r\n" for line in (*lines, *length))
    return b"HTTP/1.1 %d X\r\n%b\r\n%b" % (status, block, body or b"")


def say(writer: asyncio.StreamWriter, message: object, name: bytes = b"message") -> None:
    """Send one event."""
    writer.write(b"event: " + name + b"\ndata: " + encoded(message) + b"\n\n")


@contextlib.asynccontextmanager
async def server(path: str = "/sse", **options: Any) -> AsyncIterator[tuple[Server, SseUpstream]]:
    """A server by hand and the upstream for it."""
    made = Server()
    listener = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=2**25)
    made.port = listener.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{made.port}{path}"
    upstream = SseUpstream(HttpUpstream(url), url, **{"log": lambda _: None, **options})
    try:
        yield made, upstream
    finally:
        await upstream.close()
        listener.close()
        made.close()
