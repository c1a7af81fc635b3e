"""A proxy, a server behind it, and names that lead where a test says."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from ostiary.sandbox.egress.caps import Caps
from ostiary.sandbox.egress.places import Allowed
from ostiary.sandbox.egress.proxy import EgressProxy, Passage

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(main: Callable[[], Awaitable[Any]], seconds: float = 5) -> Any:
    """Run one test, within its time."""

    async def bounded() -> Any:
        async with asyncio.timeout(seconds):
            return await main()

    return uvloop.run(bounded())  # the loop that the program runs on


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer whatever comes with the same, until it ends."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


class Way:
    """`port` is where the server listens; `names` is the whole directory: name to addresses."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "egress.sock"
        self.names: dict[str, list[str]] = {"open.example": ["127.0.0.1"]}
        self.asked: list[str] = []
        self.on_find: Callable[[], object] = lambda: None
        self._passages: asyncio.Queue[Passage] = asyncio.Queue()
        self.came = 0
        self.port = 0

    async def find(self, host: str, port: int) -> list[str]:
        """Look up in `names`; an address is its own."""
        self.asked.append(host)
        self.on_find()
        if host not in self.names and not host.replace(".", "").isdigit() and ":" not in host:
            raise socket.gaierror(f"unknown: {host}")
        return self.names.get(host, [host])

    def record(self, passage: Passage) -> None:
        """Keep what was recorded."""
        self._passages.put_nowait(passage)

    async def passage(self) -> Passage:
        """The next connection that was recorded; a client can see its end before that."""
        return await self._passages.get()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Streams]:
        """A connection to the proxy."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    @asynccontextmanager
    async def tunnel(self) -> AsyncIterator[Streams]:
        """A connection to the server behind the proxy."""
        async with self.client() as (reader, writer):
            place = f"open.example:{self.port}"
            writer.write(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            yield reader, writer

    async def ask(self, data: bytes) -> bytes:
        """Send `data`, say that nothing follows, and return all that comes back."""
        async with self.client() as (reader, writer):
            writer.write(data)
            writer.write_eof()
            return await rest(reader)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes, until the end, however it ends."""
    got = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            got += data
    return bytes(got)


@asynccontextmanager
async def way(
    *,
    serve: Serve = echo,
    caps: Caps | None = None,
    allowed: Sequence[Allowed] | None = None,
    uid: int | None = None,
) -> AsyncIterator[Way]:
    """A proxy that lets `open.example` be reached, at the server's port and at this machine."""
    with tempfile.TemporaryDirectory() as folder:
        here = Way(Path(folder))

        async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            here.came += 1
            await serve(reader, writer)

        server = await asyncio.start_server(come, "127.0.0.1", 0)
        here.port = server.sockets[0].getsockname()[1]
        listed = allowed if allowed is not None else [Allowed("open.example", here.port, private=True)]
        proxy = EgressProxy(listed, caps, record=here.record, uid=uid, find=here.find)
        await proxy.start(here.path)
        try:
            yield here
        finally:
            await proxy.close()
            server.close()
