"""How much an engine does at once. Pure."""

from __future__ import annotations

import msgspec


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much an engine does at once, and how long it remembers. Times in seconds, sizes in bytes.

    `at_once` runs have a worker, `queue` more may wait. Records are kept for `keep_s`, at most
    `keep_runs` of them and `keep_bytes` in all. A session that is unused for `session_idle_s` is closed.
    """

    at_once: int = 4
    queue: int = 32
    keep_s: float = 3_600
    keep_runs: int = 256
    keep_bytes: int = 256 << 20
    max_sessions: int = 8
    session_idle_s: float = 1_800
    progress_s: float = 5.0
