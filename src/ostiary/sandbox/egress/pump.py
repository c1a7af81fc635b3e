"""Bytes from one side to the other, counted, until an end, a bound or silence."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ostiary.sandbox.egress.caps import Caps

CHUNK = 65_536


def drop(writer: asyncio.StreamWriter) -> None:
    """End a connection now, unless it is ending already: asyncio cannot abort one that has ended."""
    if not writer.is_closing():
        writer.transport.abort()


class Over(Exception):
    """More bytes, or more time without one, than the caps allow."""


class Meter:
    """What is left of the bytes of a whole listener."""

    def __init__(self, allowed: int) -> None:
        self.left = allowed

    def take(self, count: int) -> None:
        """Count bytes about to be passed on. Raises Over when there were too many."""
        self.left -= count
        if self.left < 0:
            raise Over("more bytes than are let through")


class Passing:
    """Both directions of one connection. `sent` counts the client's bytes, `received` the server's."""

    def __init__(self, meter: Meter, caps: Caps) -> None:
        self._meter = meter
        self._idle_s = caps.idle_s
        self._moved = asyncio.get_running_loop().time()
        self.sent = 0
        self.received = 0
        self.why = ""

    async def both(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        body: int | None,
    ) -> None:
        """Pass on until the server ends. Of the client, `body` bytes, or all when None.

        `why` says afterwards what cut it short, if anything did. Silence counts from now.
        """
        self._moved = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            up = group.create_task(self._guard(self._up(client[0], server[1], body), client[1], server[1]))
            await self._guard(self._down(server[0], client[1]), client[1], server[1])
            up.cancel()

    async def _guard(self, work: Coroutine[Any, Any, None], *writers: asyncio.StreamWriter) -> None:
        """Run one direction; what ends it early ends the other one, too."""
        try:
            await work
        except (Over, OSError) as error:
            self.why = self.why or (str(error) if isinstance(error, Over) else "the connection broke")
            for writer in writers:
                drop(writer)

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: int | None) -> None:
        left = body
        while left is None or left > 0:
            data = await self._read(reader, CHUNK if left is None else min(CHUNK, left))
            if not data:
                break
            left = None if left is None else left - len(data)
            self.sent += len(data)
            writer.write(data)
            await writer.drain()
        if left is None and writer.can_write_eof():
            writer.write_eof()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await self._read(reader, CHUNK):
            self.received += len(data)
            writer.write(data)
            await writer.drain()

    async def _read(self, reader: asyncio.StreamReader, most: int) -> bytes:
        """Read some; silence counts only while the other direction is silent as well."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout_at(self._moved + self._idle_s):
                    data = await reader.read(most)
            except TimeoutError:
                if loop.time() - self._moved >= self._idle_s:
                    raise Over("nothing moved for too long") from None
                continue
            self._moved = loop.time()
            self._meter.take(len(data))
            return data
