"""The smallest egress proxy: it tunnels, and every name leads to one port of loopback."""

from __future__ import annotations

import asyncio
import contextlib


class ConnectProxy:
    """The smallest proxy that tunnels: every name leads to one port of loopback."""

    def __init__(self, port: int, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self._port = port
        self._answer = answer
        self.heads: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            for byte in self._answer[:-4]:
                writer.write(bytes((byte,)))
                await asyncio.sleep(0)
            writer.write(self._answer[-4:])
            if self._port:
                there, onward = await asyncio.open_connection("127.0.0.1", self._port)
                await asyncio.gather(_copy(reader, onward), _copy(there, writer))
            else:
                await reader.read()
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
