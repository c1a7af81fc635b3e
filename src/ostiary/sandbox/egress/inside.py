"""Bytes of one side, taken as lines, heads and bodies; bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from ostiary.sandbox.egress.head import END, Refused
from ostiary.sandbox.egress.messages import chunk_size
from ostiary.sandbox.egress.pump import Meter

_LINE = 64
Read = Callable[[], Awaitable[bytes]]


class Source:
    """Reads from `read`, which gives some bytes and none at the end. `meter` counts; silence is bounded.

    Raises Refused, with `status` where what comes breaks off or makes no sense, and Over.
    """

    def __init__(self, read: Read, meter: Meter, idle_s: float, status: int) -> None:
        self._read = read
        self._meter = meter
        self._idle_s = idle_s
        self._status = status
        self._data = bytearray()
        self.ended = False

    async def head(self, most: int) -> bytes:
        """A head, without the empty line after it."""
        while END not in self._data:
            if len(self._data) > most:
                raise Refused(431 if self._status == 400 else 502, f"the head is longer than {most} bytes")  # noqa: PLR2004 - the client's side
            if not await self._more():
                raise Refused(self._status, "the connection ended in the middle of a head")
        head, _, rest = bytes(self._data).partition(END)
        self._data[:] = rest
        return head

    async def body(self, size: int | None) -> AsyncGenerator[bytes]:
        """A body: of so many bytes, in chunks for -1, to the end for None."""
        if size == -1:
            async for piece in self._chunks():
                yield piece
        elif size is not None:
            async for piece in self._exactly(size):
                yield piece
        else:
            while self._data or await self._more():
                yield self._taken(len(self._data))

    @property
    def left(self) -> int:
        """Bytes that have come and were not taken."""
        return len(self._data)

    async def _exactly(self, size: int) -> AsyncGenerator[bytes]:
        while size > 0:
            if not self._data and not await self._more():
                raise Refused(self._status, "the connection ended in the middle of a body")
            piece = self._taken(min(size, len(self._data)))
            size -= len(piece)
            yield piece

    async def _chunks(self) -> AsyncGenerator[bytes]:
        while size := self._size(await self._line()):
            async for piece in self._exactly(size):
                yield piece
            if await self._line():
                raise Refused(self._status, "a chunk does not end where it should")
        if await self._line():
            raise Refused(self._status, "fields after a body are not passed on")

    def _size(self, line: bytes) -> int:
        try:
            return chunk_size(line)
        except Refused as refused:
            raise Refused(self._status, refused.reason) from None

    async def _line(self) -> bytes:
        while b"\r\n" not in self._data:
            if len(self._data) > _LINE or not await self._more():
                raise Refused(self._status, "a chunk has no size that can be read")
        return self._taken(self._data.index(b"\r\n") + 2)[:-2]

    def _taken(self, count: int) -> bytes:
        piece = bytes(self._data[:count])
        del self._data[:count]
        return piece

    async def _more(self) -> bool:
        async with asyncio.timeout(self._idle_s):
            data = await self._read()
        self._meter.take(len(data))
        self._data += data
        return bool(data)
