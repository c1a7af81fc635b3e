"""Reading from an index and from where it keeps its files, and from nowhere else.

the index itself   whatever address the operator's resolver gives it; it alone is sent credentials
its file hosts     https on the usual port, at a public address or at one of the index's own
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httptools
import msgspec

from ostiary.arguments.address import Address
from ostiary.arguments.fault import ArgumentError
from ostiary.sandbox.egress.dial import LookUp, connect, judge, look_up
from ostiary.sandbox.egress.head import Refused
from ostiary.sandbox.egress.places import HTTPS_PORT, Place, read_place
from ostiary.sandbox.egress.pump import drop
from ostiary.sandbox.packages.index import Index

CHUNK: Final = 65_536
MAX_HEAD: Final = 65_536
MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_AGENT: Final = "ostiary"


class WebError(Exception):
    """What was asked for cannot be had. Its words are for whoever wrote the code: no credentials."""


class Reply:
    """The head of an answer, and its body as it comes."""

    def __init__(self, url: str, incoming: _Incoming, reader: asyncio.StreamReader, idle_s: float) -> None:
        self.url = url
        self.status = incoming.status
        self.fields = incoming.fields
        self._incoming = incoming
        self._reader = reader
        self._idle_s = idle_s

    @property
    def length(self) -> int | None:
        """What the server says the length of the body is."""
        text = self.fields.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, in pieces. Raises WebError when it ends early."""
        while True:
            while self._incoming.body:
                yield self._incoming.body.popleft()
            if self._incoming.done:
                return
            await _feed(self._incoming, self._reader, self._idle_s)

    async def read(self, most: int) -> bytes:
        """The whole body. Raises WebError when it is longer than `most` bytes."""
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > most:
                raise WebError(f"the index's answer is longer than {most} bytes")
        return bytes(body)


class Web(msgspec.Struct, frozen=True):
    """What may be read of the web for one index. `find` looks names up."""

    index: Index
    find: LookUp = look_up
    dial_s: float = 10.0
    idle_s: float = 30.0

    @asynccontextmanager
    async def get(self, url: str, accept: str, *, stray: bool) -> AsyncGenerator[Reply]:
        """GET `url`; a redirect is followed, off the index's own host only with `stray`.

        Raises:
            WebError: when it may not be read, cannot be reached, or answers nothing that can be read.
        """
        for _ in range(MAX_REDIRECTS):
            async with self._once(url, accept) as reply:
                target = reply.fields.get("location", "")
                if reply.status not in _REDIRECTS or not target:
                    yield reply
                    return
            url = self._redirected(reply.url, target, stray=stray)
        raise WebError(f"the index redirects more than {MAX_REDIRECTS} times")

    def _redirected(self, url: str, target: str, *, stray: bool) -> str:
        try:
            new = urljoin(url, target)
            place = _place_of(new)
        except (ValueError, ArgumentError):
            raise WebError("the index redirects to what is no address") from None
        if not stray and (place != self.index.place or not self._is_ours(new)):
            raise WebError(f"the index redirects to another place, {place}, which is not followed")
        return new

    def _is_ours(self, url: str) -> bool:
        """Whether `url` is at the index itself: the same scheme, host and port."""
        return urlsplit(url).scheme == urlsplit(self.index.url).scheme and _place_of(url) == self.index.place

    @asynccontextmanager
    async def _once(self, url: str, accept: str) -> AsyncGenerator[Reply]:
        try:
            place, ours = _place_of(url), self._is_ours(url)
            secure = urlsplit(url).scheme == "https"
            if not ours and not (secure and place.port == HTTPS_PORT):
                raise WebError(f"the index keeps a file at {place}, and only https on port 443 is read")
            addresses = await self._addresses(place, ours)
            context = await asyncio.to_thread(_context, self.index.certificates) if secure else None
            reader, writer = await connect(place, addresses, self.dial_s, context)
        except Refused as refusal:
            raise WebError(refusal.reason) from None
        except (ValueError, ArgumentError):
            raise WebError("the index names an address that cannot be used") from None
        try:
            writer.write(self._request(url, place, accept, ours=ours))
            incoming = _Incoming()
            while not incoming.complete_head:
                await _feed(incoming, reader, self.idle_s)
            yield Reply(url, incoming, reader, self.idle_s)
        except OSError:
            raise WebError(f"the connection to {place} broke") from None
        finally:
            drop(writer)

    async def _addresses(self, place: Place, ours: bool) -> list[Address]:  # noqa: FBT001 - one caller
        if ours:
            return await judge(place, private=self.index.private, find=self.find)
        # The operator's own index may keep its files beside itself, on a machine of the same network.
        known = await judge(self.index.place, private=self.index.private, find=self.find)
        return await judge(place, known=known, find=self.find)

    def _request(self, url: str, place: Place, accept: str, *, ours: bool) -> bytes:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [
            f"GET {target} HTTP/1.1",
            f"host: {parts.netloc.rpartition('@')[2] or place}",
            f"user-agent: {_AGENT}",
            f"accept: {accept}",
            "accept-encoding: identity",
        ]  # no `connection: close`: under uvloop the end of a TLS stream can overtake its last bytes
        if ours and (self.index.user or self.index.password):
            secret = f"{self.index.user}:{self.index.password}".encode()
            lines.append(f"authorization: Basic {base64.b64encode(secret).decode()}")
        text = "\r\n".join([*lines, "", ""])
        if not text.isascii() or "\r" in target or "\n" in target or " " in target:
            raise WebError("the index names an address that cannot be used")
        return text.encode("ascii")


class _Incoming:
    """Collects what the parser of HTTP answers finds."""

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self.status = 0
        self.fields: dict[str, str] = {}
        self.body: deque[bytes] = deque()
        self.complete_head = False
        self.done = False
        self._seen = 0

    def feed(self, data: bytes) -> None:
        """Read the next bytes; none are the end. Raises WebError for what is no answer."""
        if not data:
            if (
                not self.complete_head
                or "content-length" in self.fields
                or "transfer-encoding" in self.fields
            ):
                raise WebError("the index's answer ended early")
            self.done = True
            return
        self._seen += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            raise WebError("the index's answer is not HTTP") from None
        if not self.complete_head and self._seen > MAX_HEAD:
            raise WebError("the head of the index's answer is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field; a trailer is none."""
        if not self.complete_head:
            self.fields[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.status = self._parser.get_status_code()
        self.complete_head = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self.body.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self.done = True


async def _feed(incoming: _Incoming, reader: asyncio.StreamReader, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            incoming.feed(await reader.read(CHUNK))
    except TimeoutError:
        raise WebError("the index's answer stopped coming") from None


def _place_of(url: str) -> Place:
    parts = urlsplit(url)
    ports = {"http": 80, "https": HTTPS_PORT}
    if parts.scheme not in ports:
        raise ArgumentError("is neither http nor https")
    return read_place(parts.netloc.rpartition("@")[2], ports[parts.scheme])


def _context(certificates: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=certificates or None)
    except (OSError, ssl.SSLError):
        raise WebError(f"the certificates in {certificates} cannot be read") from None
