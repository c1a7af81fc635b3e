"""The bounds of the HTTP listener."""

from __future__ import annotations

import msgspec

from ostiary.proxy.http.liveness import PEER_TIMEOUT


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the HTTP listener. Sizes in bytes, times in seconds.

    `queued` is how many complete requests may wait on one connection before reading pauses.
    `linger_timeout` is how long a client may take to read an answer that closes, `peer_timeout` how
    long one may be gone, or take nothing, before its connection ends.
    """

    body: int = 4 * 1024 * 1024
    head: int = 32 * 1024
    headers: int = 100
    target: int = 8 * 1024
    queued: int = 8
    connections: int = 10_000
    head_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: float = 75.0
    linger_timeout: float = 2.0
    tls_handshake_timeout: float = 10.0
    write_buffer: int = 64 * 1024
    peer_timeout: float = PEER_TIMEOUT
