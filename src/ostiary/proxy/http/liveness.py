"""Socket options by which the kernel notices a peer that has vanished without a word.

A client whose machine lost power or network sends neither data nor an end, and waiting for it
would hold its place for ever. Probes are sent on silent connections (RFC 9293 section 3.8.4), and
whatever has not been acknowledged in time, probe or data, ends the connection (RFC 5482). So does
a peer that takes nothing for that long although there is something for it.
"""

from __future__ import annotations

import socket

PEER_TIMEOUT = 120.0
"""Seconds after which a peer that acknowledges nothing is given up."""

_PROBES = 9


def watch(sock: socket.socket, timeout: float) -> None:
    """Send without delay, and end the connection when the peer is gone for `timeout` seconds.

    The kernel counts probes in whole seconds, so that it may take up to two seconds longer. Where
    a system has no user time-out (macOS), the probes alone find a peer that is gone.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    first = max(1, int(timeout / 4))
    every = max(1, int(timeout / 8))
    count = min(_PROBES, max(1, int((timeout - first) / every)))
    wanted = {
        "TCP_KEEPIDLE": first,
        "TCP_KEEPALIVE": first,  # what macOS calls it
        "TCP_KEEPINTVL": every,
        "TCP_KEEPCNT": count,
        "TCP_USER_TIMEOUT": int(timeout * 1000),
    }
    for name, value in wanted.items():
        option: int | None = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
