"""The allow-list proxy: a unix socket on which a sandbox asks for hosts, and gets those on the list."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path

import msgspec

from ostiary.sandbox.egress.caps import Caps
from ostiary.sandbox.egress.dial import LookUp, connect, judge, look_up
from ostiary.sandbox.egress.head import END, MAX_HEAD, Plain, Refused, Tunnel, read_head
from ostiary.sandbox.egress.places import Allowed, find_entry
from ostiary.sandbox.egress.pump import CHUNK, Meter, Passing, drop

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_CREDENTIALS = struct.Struct("3i")
_LINGER_S = 1.0


class Passage(msgspec.Struct, frozen=True):
    """One connection, as it ended. `place` is empty when the request could not be read.

    `verdict` is `passed`, `cut` (a cap, silence or a broken connection ended it) or `refused`;
    `reason` says why it was not `passed`. `sent` and `received` are bytes, as the client sees them.
    """

    place: str
    verdict: str
    reason: str = ""
    sent: int = 0
    received: int = 0


class EgressProxy:
    """Passes on to `allowed`, within `caps`, and tells `record` of every connection.

    `uid` is the only user whose processes may connect, as the kernel tells; None lets anybody who
    can open the socket. `find` looks names up.
    """

    def __init__(
        self,
        allowed: Iterable[Allowed],
        caps: Caps | None = None,
        *,
        record: Callable[[Passage], object] | None = None,
        uid: int | None = None,
        find: LookUp = look_up,
    ) -> None:
        self._allowed = tuple(allowed)
        self._caps = caps or Caps()
        self._record = record or _unheard
        self._uid = uid
        self._find = find
        self._meter = Meter(self._caps.bytes)
        self._accepted = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        """Listen on the unix socket `path`, which must not exist. Raises OSError.

        Anybody who can reach the path may open it: its folder and `uid` say who that is.
        """
        self._server = await asyncio.start_unix_server(self._accept, path, limit=CHUNK)
        os.chmod(path, 0o666)  # noqa: S103, PTH101 - see above; this folder's owner decided

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or not is_peer(writer, self._uid):
            drop(writer)
            return
        self._tasks.add(task)
        self._accepted += 1
        try:
            await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            drop(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place, passing = "", Passing(self._meter, self._caps)
        verdict, reason = "passed", ""
        try:
            async with asyncio.timeout(self._caps.connection_s):
                self._check_room()
                request, extra = await self._read_request(reader)
                place = str(request.place)
                server = await self._open(request, extra)
                await self._pass(request, extra, (reader, writer), server, passing)
            verdict, reason = ("cut", passing.why) if passing.why else ("passed", "")
            await finish(writer)
        except Refused as refusal:
            verdict, reason = "refused", refusal.reason
            await answer(writer, refusal)
        except TimeoutError:
            verdict, reason = "cut", "it lasted too long"
        except OSError:
            verdict, reason = "cut", "the connection broke"
        finally:
            self._record(Passage(place, verdict, reason, passing.sent, passing.received))

    def _check_room(self) -> None:
        if len(self._tasks) > self._caps.connections:
            raise Refused(503, f"more than {self._caps.connections} connections at once")
        if self._accepted > self._caps.in_all:
            raise Refused(503, f"more than {self._caps.in_all} connections in all")
        if self._meter.left <= 0:
            raise Refused(503, "the bytes that are let through are used up")

    async def _read_request(self, reader: asyncio.StreamReader) -> tuple[Tunnel | Plain, bytes]:
        """The request, and what came after its head so far."""
        data = bytearray()
        try:
            async with asyncio.timeout(self._caps.head_s):
                while END not in data:
                    if len(data) > MAX_HEAD:
                        raise Refused(431, f"the request head is longer than {MAX_HEAD} bytes")
                    chunk = await reader.read(CHUNK)
                    if not chunk:
                        raise Refused(400, "the request ended in the middle of its head")
                    data += chunk
        except TimeoutError:
            raise Refused(408, "the request did not arrive in time") from None
        head, _, extra = bytes(data).partition(END)
        if len(head) > MAX_HEAD:
            raise Refused(431, f"the request head is longer than {MAX_HEAD} bytes")
        return read_head(head), extra

    async def _open(
        self, request: Tunnel | Plain, extra: bytes
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(request, Tunnel) and extra:
            raise Refused(400, "CONNECT has no body, and nothing may follow before it is answered")
        if isinstance(request, Plain) and len(extra) > request.body:
            raise Refused(400, "one request per connection: more bytes came than its body has")
        entry = find_entry(self._allowed, request.place)
        if entry is None:
            raise Refused(403, f"{request.place} is not on the list of hosts that may be reached")
        addresses = await judge(request.place, private=entry.private, find=self._find)
        return await connect(request.place, addresses, self._caps.dial_s)

    async def _pass(
        self,
        request: Tunnel | Plain,
        extra: bytes,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        passing: Passing,
    ) -> None:
        try:
            body: int | None = None
            if isinstance(request, Plain):
                self._meter.left -= len(request.head) + len(extra)
                server[1].write(request.head + extra)
                passing.sent += len(extra)
                body = request.body - len(extra)
            else:
                client[1].write(_ESTABLISHED)
            await passing.both(client, server, body)
        finally:
            drop(server[1])


def _unheard(passage: Passage) -> None:
    """Nobody wants to know."""


def is_peer(writer: asyncio.StreamWriter, uid: int | None) -> bool:
    """Whether the process at the other end of a unix socket belongs to `uid`, or to us."""
    if uid is None:
        return True
    sock = writer.get_extra_info("socket")
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(raw)[1] in {uid, os.geteuid()}


async def answer(writer: asyncio.StreamWriter, refusal: Refused) -> None:
    """Say why, in plain text, and close."""
    body = f"{refusal.reason}\n".encode()
    phrase = HTTPStatus(refusal.status).phrase
    head = (
        f"HTTP/1.1 {refusal.status} {phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    with contextlib.suppress(OSError):
        writer.write(head.encode() + body)
        await finish(writer)


async def finish(writer: asyncio.StreamWriter) -> None:
    """Let what was written get out, within a moment."""
    try:
        async with asyncio.timeout(_LINGER_S):
            await writer.drain()
            writer.close()
            await writer.wait_closed()
    except TimeoutError:
        writer.transport.abort()
    except OSError:
        pass  # it went away by itself
