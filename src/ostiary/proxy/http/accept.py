"""Takes connections from listening sockets, on every event loop in the same way.

The loops' own listeners differ where it matters: without free descriptors asyncio's logs a
traceback for every attempt and uvloop's closes what it cannot keep; neither counts connections
that are still in their TLS handshake. Here those that cannot be taken wait in the queue.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

log = logging.getLogger("ostiary.http")

BACKLOG = 1024
BATCH = 64
"""Most connections taken at one wake-up, so that running calls get their turn."""

PAUSE = 0.25
"""Seconds without accepting after the machine had nothing left to accept with."""

QUIET = 40
"""Pauses in a row of which only the first is logged."""

_NOBODY = frozenset(
    getattr(errno, name)
    for name in (
        "ECONNABORTED", "EPERM", "EPROTO", "ENETDOWN", "ENETUNREACH", "ENOPROTOOPT", "EHOSTDOWN",
        "EHOSTUNREACH", "ENONET", "EOPNOTSUPP", "ETIMEDOUT",
    )
    if hasattr(errno, name)
)  # fmt: skip
"""The client was gone, or a firewall forbade it, before it was accepted: look at the next one.

Linux passes errors of the new connection on to accept(2), among them those of the network.
"""


def bind(host: str, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Listening sockets on every address of `host`, all on one port (0: any free one).

    Raises OSError when one of them cannot be used.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sock = socket.socket(family, kind, protocol)
            sockets.append(sock)
            sock.settimeout(0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            taken = sockets[0].getsockname()[1] if len(sockets) > 1 else port
            sock.bind((address[0], taken, *address[2:]))
            sock.listen(BACKLOG)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


class Acceptor:
    """Hands every new connection of one listening socket to `taken`."""

    __slots__ = ("_loop", "_pauses", "_socket", "_taken", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, taken: Callable[[socket.socket], None]
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._taken = taken
        self._timer: asyncio.TimerHandle | None = None
        self._pauses = 0
        loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Accept no more; the queue of the socket is dropped with it."""
        if self._socket.fileno() < 0:
            return
        if self._timer is not None:
            self._timer.cancel()
        else:
            self._loop.remove_reader(self._socket)
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(BATCH):
            try:
                sock, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _NOBODY:
                    continue
                self._pause(error)
                return
            self._pauses = 0
            sock.settimeout(0)
            self._taken(sock)

    def _pause(self, error: OSError) -> None:
        """Look away for a moment: the socket stays readable, so watching it would spin."""
        if self._pauses % QUIET == 0:
            log.warning("new connections wait: %s", (error.strerror or type(error).__name__).lower())
        self._pauses += 1
        self._loop.remove_reader(self._socket)
        self._timer = self._loop.call_later(PAUSE, self._again)

    def _again(self) -> None:
        self._timer = None
        self._loop.add_reader(self._socket, self._accept)
