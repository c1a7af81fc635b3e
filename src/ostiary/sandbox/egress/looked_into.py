"""A way out for the code of one run whose connections are looked into: the proxy ends TLS itself.

The code has placeholders. On the way to a host that a secret is for, the value is put in the place of
its placeholder; on the way back it is taken out again. What cannot be looked into is not passed on.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

import msgspec

from ostiary.sandbox.egress.authority import Authority
from ostiary.sandbox.egress.caps import Caps
from ostiary.sandbox.egress.dial import LookUp, connect, judge, look_up
from ostiary.sandbox.egress.head import MAX_HEAD, Plain, Refused, read_head
from ostiary.sandbox.egress.inside import Source
from ostiary.sandbox.egress.messages import (
    MAX_ANSWER_HEAD,
    MAX_BODY,
    Reply,
    Request,
    read_reply,
    read_request,
    reply_head,
    request_head,
)
from ostiary.sandbox.egress.places import Allowed, Place, find_entry
from ostiary.sandbox.egress.proxy import answer
from ostiary.sandbox.egress.pump import CHUNK, Meter, Over, drop
from ostiary.sandbox.egress.swap import Held, Swap
from ostiary.sandbox.egress.tls_end import TlsEnd
from ostiary.sandbox.masks import Masks

_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_INTERIM: Final = 8
_TOLD: Final = 5
_FIRST_FINAL: Final = 200


class Doorway(msgspec.Struct, frozen=True, kw_only=True):
    """What the ways of all runs have in common. `trust` is for the real hosts.

    `covered` are masks for everything that no answer may bring: all secrets of the server.
    """

    authority: Authority
    trust: ssl.SSLContext
    covered: tuple[Masks, ...] = ()
    caps: Caps = Caps()
    find: LookUp = look_up


class LookedInto:
    """Implements `Outward` for one run, to the hosts of `allowed` and those of its secrets."""

    def __init__(self, doorway: Doorway, allowed: Sequence[Allowed], held: Sequence[Held]) -> None:
        self._doorway = doorway
        self._allowed = (*allowed, *(host for one in held for host in one.hosts))
        self._swap = Swap(held)
        own = [Masks((one.value,), one.placeholder) for one in held]
        self._masks = Masks.together((*own, *doorway.covered))
        self._meter = Meter(doorway.caps.bytes)
        self._accepted = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.refusals: list[str] = []
        """Why connections came to nothing, the first few."""

    @asynccontextmanager
    async def __call__(self, listener: socket.socket) -> AsyncGenerator[None]:
        """Serve what comes in at `listener`; see `Outward`."""
        server = await asyncio.start_server(self._accept, sock=listener.dup(), limit=CHUNK)
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            drop(writer)
            return
        self._tasks.add(task)
        self._accepted += 1
        try:
            async with asyncio.timeout(self._doorway.caps.connection_s):
                await self._serve(reader, writer)
        except (OSError, TimeoutError, Over) as error:
            self._note(f"a connection was cut: {type(error).__name__}")
        except asyncio.CancelledError:  # the run has ended, nothing else cancels this; asyncio would complain
            pass
        finally:
            self._tasks.discard(task)
            drop(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caps = self._doorway.caps
        try:
            place = await self._asked(reader)
        except Refused as refused:
            self._note(refused.reason)
            await answer(writer, refused)
            return
        writer.write(_ESTABLISHED)
        client = TlsEnd(reader, writer, self._doorway.authority.context(place.host))
        async with asyncio.timeout(caps.head_s):
            await client.handshake()
        try:
            await self._exchange(client, place)
        except Refused as refused:
            self._note(refused.reason)
            await client.write(_refusal(refused))
        await client.end()
        writer.close()
        await writer.wait_closed()

    async def _asked(self, reader: asyncio.StreamReader) -> Place:
        """The host that a connection is for. Raises Refused."""
        caps = self._doorway.caps
        if len(self._tasks) > caps.connections or self._accepted > caps.in_all:
            raise Refused(503, "too many connections")
        source = Source(lambda: reader.read(CHUNK), self._meter, caps.head_s, 400)
        asked = read_head(await source.head(MAX_HEAD))
        if isinstance(asked, Plain):
            raise Refused(403, "only https is passed on from here")
        if source.left:
            raise Refused(400, "nothing may follow CONNECT before it is answered")
        if find_entry(self._allowed, asked.place) is None:
            raise Refused(403, f"{asked.place} is not a host that this run may reach")
        return asked.place

    async def _exchange(self, client: TlsEnd, place: Place) -> None:
        """One request and its answer."""
        caps = self._doorway.caps
        source = Source(client.read, self._meter, caps.idle_s, 400)
        request = read_request(await source.head(MAX_HEAD), place)
        if request.waits:
            await client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await self._body(source, request)
        self._swap.refuse(request.target.encode(), "the address")
        self._swap.refuse(body, "the body")
        fields = self._swap.fields(request.fields, place)
        entry = find_entry(self._allowed, place)
        private = entry is not None and entry.private
        addresses = await judge(place, private=private, find=self._doorway.find)
        upstream = await connect(place, addresses, caps.dial_s, self._doorway.trust)
        try:
            upstream[1].write(request_head(request, fields, place, len(body)) + body)
            await upstream[1].drain()
            await self._back(upstream[0], client, request)
        finally:
            drop(upstream[1])

    async def _body(self, source: Source, request: Request) -> bytes:
        body = bytearray()
        async for piece in source.body(-1 if request.body is None else request.body):
            body += piece
            if len(body) > MAX_BODY:
                raise Refused(413, f"the body is longer than {MAX_BODY} bytes")
        if source.left:
            raise Refused(400, "one request per connection: more bytes came than its body has")
        return bytes(body)

    async def _back(self, reader: asyncio.StreamReader, client: TlsEnd, request: Request) -> None:
        """The answer, without secrets. Once its head is out a fault can only break it off."""
        source = Source(lambda: reader.read(CHUNK), self._meter, self._doorway.caps.idle_s, 502)
        reply = await self._final(source, request)
        fields = [(self._masked(name), self._masked(value)) for name, value in reply.fields]
        reply = msgspec.structs.replace(reply, reason=self._masked(reply.reason))
        has_body = reply.body != 0
        await client.write(reply_head(reply, fields, body=has_body))
        if not has_body:
            return
        try:
            await self._poured(source, client, reply)
        except Refused as refused:
            self._note(refused.reason)
            raise ConnectionAbortedError(refused.reason) from refused

    async def _final(self, source: Source, request: Request) -> Reply:
        for _ in range(_INTERIM):
            reply = read_reply(await source.head(MAX_ANSWER_HEAD), request.method)
            if reply.status >= _FIRST_FINAL:
                return reply
        raise Refused(502, "the host went on saying that an answer would come")

    async def _poured(self, source: Source, client: TlsEnd, reply: Reply) -> None:
        """The body in chunks, each part once nothing in it can be half a secret."""
        waiting = b""
        async for piece in source.body(reply.body):
            shown, waiting = self._masks.split(waiting + piece)
            if shown:
                await client.write(b"%x\r\n%b\r\n" % (len(shown), shown))
        last = self._masks.masked(waiting)
        if last:
            await client.write(b"%x\r\n%b\r\n" % (len(last), last))
        await client.write(b"0\r\n\r\n")

    def _masked(self, text: str) -> str:
        return self._masks.masked(text.encode("latin-1")).decode("latin-1")

    def _note(self, reason: str) -> None:
        if len(self.refusals) < _TOLD:
            self.refusals.append(reason)


def _refusal(refused: Refused) -> bytes:
    body = f"{refused.reason}\n".encode()
    head = (
        f"HTTP/1.1 {refused.status} {HTTPStatus(refused.status).phrase}\r\n"
        f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
