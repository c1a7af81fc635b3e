"""Opens connections to one upstream: straight or through an egress proxy, with TLS or without.

Until a connection is handed over no byte of a request has left.
"""

from __future__ import annotations

import asyncio
import errno
import re
import ssl
from collections.abc import Callable
from typing import TypeVar, cast

import msgspec

from ostiary.errors import UpstreamFault
from ostiary.proxy.http.egress import EgressProxy
from ostiary.proxy.http.reason import reason

MAX_ANSWER_HEAD = 16 * 1024
"""Most bytes of a proxy's answer to CONNECT."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r\n")

Line = TypeVar("Line", bound=asyncio.Protocol)


class Way(msgspec.Struct, frozen=True):
    """How an upstream is reached. `tls` is set for https, `proxy` if one stands in between."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    proxy: EgressProxy | None = None

    @property
    def authority(self) -> str:
        """Host and port as CONNECT names them (RFC 9112 section 3.2.3)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


async def dial(
    loop: asyncio.AbstractEventLoop, way: Way, line: Callable[[], Line], name: str, within: float
) -> Line:
    """Open one connection and return the protocol it was given to, which `line` makes.

    Raises UpstreamFault, with `written` False, when that fails or takes longer than `within`
    seconds; its text calls the upstream `name`.
    """
    try:
        async with asyncio.timeout(within):
            return await _open(loop, way, line)
    except TimeoutError:
        problem = "did not accept the connection in time"
    except OSError as error:
        problem = f"cannot be reached: {reason(error)}"
    except _Refused as refused:
        problem = f"cannot be reached: the egress proxy {refused}"
    raise UpstreamFault(f"the upstream `{name}` {problem}", written=False)


async def _open(loop: asyncio.AbstractEventLoop, way: Way, line: Callable[[], Line]) -> Line:
    server_name = way.host.rstrip(".") if way.tls is not None else None
    if way.proxy is None:
        _, made = await loop.create_connection(
            line, way.host, way.port, ssl=way.tls, server_hostname=server_name
        )
        return made
    if way.tls is None:
        _, made = await _through(loop, line, way.proxy)
        return made
    return await _tunnelled(loop, way, way.proxy, way.tls, line)


async def _through(
    loop: asyncio.AbstractEventLoop, line: Callable[[], Line], proxy: EgressProxy
) -> tuple[asyncio.Transport, Line]:
    """Connect to the proxy itself; raises `_Refused` in words about the proxy."""
    try:
        return await loop.create_connection(line, proxy.host, proxy.port)
    except TimeoutError:
        raise
    except OSError as error:
        raise _Refused(f"cannot be reached: {reason(error)}") from error


async def _tunnelled(
    loop: asyncio.AbstractEventLoop,
    way: Way,
    proxy: EgressProxy,
    tls: ssl.SSLContext,
    line: Callable[[], Line],
) -> Line:
    """(1) ask the proxy for a tunnel, (2) speak TLS in it, (3) hand the connection over."""
    # (1)
    transport, tunnel = await _through(loop, lambda: _Tunnel(loop), proxy)
    try:
        transport.write(_connect(way, proxy))
        await tunnel.answered
        # (2)
        secured = await loop.start_tls(transport, tunnel, tls, server_hostname=way.host.rstrip("."))
    except BaseException:
        transport.abort()
        raise
    # (3) in one step: nothing can arrive in between
    if secured is None or tunnel.spoiled:
        (secured or transport).abort()
        raise ConnectionResetError(errno.ECONNRESET, "the tunnel was lost")
    made = line()
    secured.set_protocol(made)
    made.connection_made(secured)
    return made


def _connect(way: Way, proxy: EgressProxy) -> bytes:
    lines = [f"CONNECT {way.authority} HTTP/1.1\r\nhost: {way.authority}\r\n".encode()]
    if proxy.authorization:
        lines.append(b"proxy-authorization: " + proxy.authorization + b"\r\n")
    return b"".join(lines) + b"\r\n"


class _Refused(Exception):
    """The egress proxy did not let us through; the text goes on after `the egress proxy`."""


class _Tunnel(asyncio.Protocol):
    """The connection to the proxy until it is the upstream's.

    `answered` ends once the proxy has opened the tunnel. `spoiled` tells that more came than was
    asked for, or that the connection is gone.
    """

    __slots__ = ("_head", "_transport", "answered", "spoiled")

    _transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.answered: asyncio.Future[None] = loop.create_future()
        self.spoiled = False
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take the proxy's answer; the upstream itself says nothing before it is asked."""
        if self.answered.done():
            self.spoiled = True
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0 and len(self._head) <= MAX_ANSWER_HEAD:
            return
        problem = _problem(self._head, end)
        if problem:
            self.answered.set_exception(_Refused(problem))
        else:
            # What TLS sends next must not be read before TLS reads it.
            self._transport.pause_reading()
            self.answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The proxy closed."""
        self.spoiled = True
        if not self.answered.done():
            self.answered.set_exception(_Refused("closed the connection"))


def _problem(head: bytes, end: int) -> str:
    """What is wrong with an answer to CONNECT whose head ends at `end`; nothing if it is good."""
    if end < 0 or end > MAX_ANSWER_HEAD:
        return "sent too long an answer"
    found = _STATUS.match(head)
    if found is None:
        return "does not speak http/1.1"
    status = int(found[1])
    if not 200 <= status <= 299:  # noqa: PLR2004 - success (RFC 9110 section 9.3.6)
        return f"answered {status} to CONNECT"
    if len(head) > end + 4:
        return "sent bytes that nobody asked for"
    return ""
