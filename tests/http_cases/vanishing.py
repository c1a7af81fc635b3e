"""Peers that vanish without a word: their kernel answers nothing any more."""

from __future__ import annotations

import ctypes
import socket
import struct

SO_ATTACH_FILTER = 26
_RETURN_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)
"""The one instruction of a packet filter that lets nothing through: `ret 0`."""


def vanish(sock) -> None:
    """From here on everything sent to this socket is lost, acknowledgements included.

    A packet filter on the socket itself drops each segment before TCP sees it, which needs no
    rights. The other side is left with a connection to nobody.
    """
    program = ctypes.create_string_buffer(_RETURN_NOTHING, len(_RETURN_NOTHING))
    filters = struct.pack("HL", 1, ctypes.addressof(program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filters)


OPTIONS = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_USER_TIMEOUT", "TCP_NODELAY")


def options_of(sock) -> dict[str, int]:
    """The options by which a peer that has vanished is noticed, as they are in force."""
    found = {name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in OPTIONS}
    return found | {"SO_KEEPALIVE": sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)}


EXPECTED = {
    "TCP_KEEPIDLE": 30,
    "TCP_KEEPINTVL": 15,
    "TCP_USER_TIMEOUT": 120_000,
    "TCP_NODELAY": 1,
    "SO_KEEPALIVE": 1,
}
"""Probes after half a minute of silence; two minutes without acknowledgement end a connection."""
