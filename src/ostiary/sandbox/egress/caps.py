"""How much a way out lets through. Pure."""

from __future__ import annotations

import msgspec

MIB = 1 << 20


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one listener. Times in seconds, sizes in bytes.

    `connections` counts those at once and `in_all` those in the life of the listener; `bytes`
    counts both directions of all of them. `connection_s` is how long one may live, `idle_s` how
    long nothing may move on it, `head_s` how long its first request may take to arrive, and
    `dial_s` how long connecting may take.
    """

    connections: int = 32
    in_all: int = 1_000
    bytes: int = 1_024 * MIB
    connection_s: float = 180.0
    idle_s: float = 60.0
    head_s: float = 5.0
    dial_s: float = 10.0
