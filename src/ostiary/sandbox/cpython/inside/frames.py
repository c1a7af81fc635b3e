"""Messages on a socket: two lengths, a JSON object, and bytes that belong to it."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final

HEAD: Final = struct.Struct("!II")
"""Length of the JSON text, length of the bytes after it."""


def send(channel: socket.socket, fields: Mapping[str, Any], body: bytes = b"") -> None:
    """Write one message, whole."""
    text = json.dumps(fields).encode()
    channel.sendall(HEAD.pack(len(text), len(body)) + text + body)


def receive(channel: socket.socket) -> tuple[dict[str, Any], memoryview] | None:
    """Read one message from the host, or None when the host has closed."""
    head = _exactly(channel, HEAD.size)
    if head is None:
        return None
    of_text, of_body = HEAD.unpack(head)
    text, body = _exactly(channel, of_text), _exactly(channel, of_body)
    if text is None or body is None:
        return None
    return json.loads(bytes(text)), body


def _exactly(channel: socket.socket, count: int) -> memoryview | None:
    whole = memoryview(bytearray(count))
    got = 0
    while got < count:
        more = channel.recv_into(whole[got:])
        if not more:
            return None
        got += more
    return whole
