"""The server's end of TLS over streams that carry something else already, such as a CONNECT.

OpenSSL works on memory here and never on the connection, so the loop's own TLS has no part in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Final, TypeVar

from ostiary.sandbox.egress.pump import CHUNK

T = TypeVar("T")
_PIECE: Final = 16_384


class TlsEnd:
    """Reads and writes what is inside. Raises OSError (ssl.SSLError is one) when the connection breaks."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> None:
        """Become secure."""
        await self._stepped(self._tls.do_handshake)

    async def read(self) -> bytes:
        """Some bytes; none at the end."""
        try:
            return await self._stepped(lambda: self._tls.read(CHUNK))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def write(self, data: bytes) -> None:
        """Send all of it."""
        for at in range(0, len(data), _PIECE):
            self._tls.write(data[at : at + _PIECE])
            await self._sent()

    async def end(self) -> None:
        """Say that nothing more comes."""
        with contextlib.suppress(OSError):
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            await self._sent()

    async def _stepped(self, act: Callable[[], T]) -> T:
        while True:
            try:
                result = act()
            except ssl.SSLWantReadError:
                await self._sent()
                data = await self._reader.read(CHUNK)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
                continue
            await self._sent()
            return result

    async def _sent(self) -> None:
        if data := self._outgoing.read():
            self._writer.write(data)
            await self._writer.drain()
