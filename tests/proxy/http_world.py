"""Loopback worlds for the HTTP tests: real listening servers, raw peers, recorded answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest
import uvloop

from ostiary.errors import UpstreamFault
from ostiary.proxy.exchange import ClientRequest, Head, Responder, UpstreamRequest
from ostiary.proxy.http.client import HttpUpstream, UpstreamLimits
from ostiary.proxy.http.request import HeadCheck, Limits
from ostiary.proxy.http.server import HttpServer

LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def within(run, main, seconds: float = 5) -> None:
    """Run one async test on one of the loops, bounded."""

    async def bounded() -> None:
        await asyncio.wait_for(main(), seconds)

    run(bounded())


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until `condition` holds; the test's own bound ends the wait."""
    while not condition():
        await asyncio.sleep(0.002)


def post(body: bytes = b"{}", *lines: bytes) -> bytes:
    """A valid request with extra header lines."""
    extra = b"".join(line + b"\r\n" for line in lines)
    return b"POST /mcp HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (extra, len(body), body)


def echo(request: ClientRequest, responder: Responder) -> None:
    """Answer with the request's own body."""
    responder.start(Head(200, (), len(request.body)))
    responder.write(request.body)
    responder.finish()


class Kept:
    """A handler that answers nothing by itself and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[ClientRequest, Responder]] = []

    def __call__(self, request: ClientRequest, responder: Responder) -> None:
        self.asked.append((request, responder))


@contextlib.asynccontextmanager
async def serving(
    handler, *, check_head: HeadCheck | None = None, limits: Limits | None = None, grace: float = 0.0
) -> AsyncGenerator[tuple[HttpServer, int], None]:
    """A listening server and its port."""
    server = HttpServer(handler, check_head=check_head, limits=limits)
    _, port = await server.listen("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        await server.close(grace)


@contextlib.asynccontextmanager
async def talking(port: int) -> AsyncGenerator[Streams, None]:
    """A raw connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def exchange(port: int, data: bytes) -> bytes:
    """Send `data`, read until the server closes."""
    async with talking(port) as (reader, writer):
        writer.write(data)
        return await reader.read()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes], bytes]:
    """Read one answer: status, headers, body (by length or chunks)."""
    lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
    body = b""
    if headers.get(b"transfer-encoding") == b"chunked":
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
    return int(lines[0].split()[1]), headers, body


def reset(writer: asyncio.StreamWriter) -> None:
    """Cut a raw connection with a reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Heard:
    """A sink that keeps what it is told, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.answer: Head | None = None
        self.body = b""
        self.problem: UpstreamFault | None = None
        self.over = asyncio.Event()

    def head(self, head: Head) -> None:
        self.events.append("head")
        self.answer = head

    def data(self, data: bytes) -> None:
        self.events.append("data")
        self.body += data

    def end(self) -> None:
        self.events.append("end")
        self.over.set()

    def fault(self, fault: UpstreamFault) -> None:
        self.events.append("fault")
        self.problem = fault
        self.over.set()


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Upstream:
    """A raw server that follows a script on each connection and counts them."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.connections = 0
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._script(reader, writer)
        writer.close()

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        """Read and keep one request."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length: "):
                length = int(line[16:])
        self.requests.append(head + await reader.readexactly(length))
        return self.requests[-1]


@contextlib.asynccontextmanager
async def upstream(
    script: Callable[[Upstream, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    limits: UpstreamLimits | None = None,
) -> AsyncGenerator[tuple[HttpUpstream, Upstream], None]:
    """A scripted server and a client for it."""
    world: Upstream

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await script(world, reader, writer)

    world = Upstream(follow)
    server = await asyncio.start_server(world, "127.0.0.1", 0)
    client = HttpUpstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp?v=1", limits=limits)
    try:
        yield client, world
    finally:
        await client.close()
        server.close()


async def call(client: HttpUpstream, body: bytes = b"{}", *, idempotent: bool = False) -> Heard:
    """One POST, waited for."""
    heard = Heard()
    client.send(UpstreamRequest("POST", ((b"accept", b"*/*"),), body, idempotent), heard)
    await heard.over.wait()
    return heard


class Relay:
    """The smallest handler that passes everything on, with back-pressure."""

    def __init__(self, client: HttpUpstream) -> None:
        self._client = client

    def __call__(self, request: ClientRequest, responder: Responder) -> None:
        onward = UpstreamRequest(request.method, (), request.body)
        flow = self._client.send(onward, Passed(responder))
        responder.on_gone = flow.cancel
        responder.on_pause = flow.pause
        responder.on_resume = flow.resume


class Passed:
    """A sink that answers a client."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def head(self, head: Head) -> None:
        self._responder.start(head)

    def data(self, data: bytes) -> None:
        self._responder.write(data)

    def end(self) -> None:
        self._responder.finish()

    def fault(self, fault: UpstreamFault) -> None:
        self._responder.abort()
