"""The HTTP listener: accepts connections, bounds their number, ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl

from ostiary.errors import GatewayFault
from ostiary.proxy.descriptors import REFUSALS
from ostiary.proxy.exchange import Handler
from ostiary.proxy.http.accept import Acceptor, bind
from ostiary.proxy.http.connection import Connection, Spans
from ostiary.proxy.http.repeats import Allowance
from ostiary.proxy.http.request import HeadCheck, Limits
from ostiary.proxy.http.sweep import Sweep, tick_for

__all__ = ["HeadCheck", "HttpServer", "Limits"]

log = logging.getLogger("ostiary.http")

_FAREWELL = 1.0
"""Seconds that clients have for reading the end of what was ended, when the drain is over."""


class HttpServer:
    """Serves HTTP/1.1 to `handler`, one call for each complete and well-formed request.

    `check_head` sees every request before its body is read and may refuse it. To be made inside
    a running event loop.
    """

    def __init__(
        self, handler: Handler, *, check_head: HeadCheck | None = None, limits: Limits | None = None
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.handler = handler
        self.check_head = check_head
        self.limits = limits = limits or Limits()
        self.allowance = Allowance()
        self.sweep = Sweep(
            self.loop,
            tick_for(limits.head_timeout, limits.body_timeout, limits.idle_timeout, limits.linger_timeout),
        )
        self.spans = Spans(
            self.sweep.span(limits.head_timeout),
            self.sweep.span(limits.body_timeout),
            self.sweep.span(limits.idle_timeout),
            self.sweep.span(limits.linger_timeout),
        )
        self.draining = False
        self._connections: set[Connection] = set()
        self._acceptors: list[Acceptor] = []
        # Connections that are not made yet: over TLS, those in their handshake.
        self._opening: set[asyncio.Task[None]] = set()
        self._tls: ssl.SSLContext | None = None
        self._done = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    async def listen(
        self,
        host: str,
        port: int,
        *,
        ssl_context: ssl.SSLContext | None = None,
        reuse_port: bool = False,
    ) -> tuple[str, int]:
        """Start accepting on `host:port` (0: any free port) and return the bound address.

        With `ssl_context` every connection of this server speaks TLS. Raises `GatewayFault` when
        the address cannot be used.
        """
        try:
            sockets = bind(host, port, reuse_port=reuse_port)
        except OSError as error:
            raise _unusable(host, port, error) from error
        self._tls = ssl_context
        self._acceptors += [Acceptor(self.loop, sock, self._accepted) for sock in sockets]
        address: tuple[str, int] = sockets[0].getsockname()
        return address[0], address[1]

    def _connection(self) -> Connection:
        return Connection(self)

    def _accepted(self, sock: socket.socket) -> None:
        """Make a connection of a socket, or drop it when there are too many even to refuse."""
        most = self.limits.connections
        if self.draining or self.connections >= most + min(most, REFUSALS):
            sock.close()
            return
        task = self.loop.create_task(self._open(sock))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, sock: socket.socket) -> None:
        """Do the TLS handshake, if there is one. One that fails concerns only its client."""
        limits = self.limits
        tls = self._tls
        try:
            await self.loop.connect_accepted_socket(
                self._connection,
                sock,
                ssl=tls,
                ssl_handshake_timeout=limits.tls_handshake_timeout if tls else None,
                ssl_shutdown_timeout=limits.linger_timeout if tls else None,
            )
        except OSError as error:
            log.debug("a client's handshake failed: %s", getattr(error, "reason", "") or type(error).__name__)
            sock.close()
        except asyncio.CancelledError:
            sock.close()
            raise

    async def close(self, grace: float) -> None:
        """Stop accepting, let running requests finish for `grace` seconds, then end the rest.

        Streams from the server have no end of their own; they are ended when nothing else is left,
        since until then an answer may depend on what they carry. Event streams end between two
        events, everything else is cut.
        """
        self.draining = True
        for acceptor in self._acceptors:
            acceptor.close()
        for connection in list(self._connections):
            connection.drain()
        self._note_if_done()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._done.wait(), grace)
        opening = list(self._opening)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        for connection in list(self._connections):
            connection.end()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), _FAREWELL)
        for connection in list(self._connections):
            connection.abort()
        await self._empty.wait()

    @property
    def connections(self) -> int:
        """How many connections are open, or about to be."""
        return len(self._connections) + len(self._opening)

    # For connections

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; False when it is over the limit and must be refused.

        Refused ones are counted too, while they read their answer.
        """
        self._connections.add(connection)
        self._empty.clear()
        self.sweep.add(connection)
        return len(self._connections) <= self.limits.connections and not self.draining

    def dismiss(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self.sweep.discard(connection)
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
        self._note_if_done()

    def _note_if_done(self) -> None:
        """While draining, note that nothing is left but streams from the server."""
        if self.draining and all(connection.listens for connection in self._connections):
            self._done.set()


def _unusable(host: str, port: int, error: OSError) -> GatewayFault:
    """Say why an address cannot be listened on."""
    address = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return GatewayFault(
            f"`{address}` is already in use", hint="stop the other server or choose another port"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return GatewayFault(f"no permission to listen on `{address}`", hint="choose a port above 1023")
    # Since 3.13 asyncio passes over addresses that are not ours and then raises without an errno.
    if isinstance(error, socket.gaierror) or error.errno in (errno.EADDRNOTAVAIL, None):
        return GatewayFault(f"`{address}` is not an address of this machine")
    return GatewayFault(f"cannot listen on `{address}`: {(error.strerror or 'unknown error').lower()}")
