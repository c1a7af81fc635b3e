"""What one run may use. Pure."""

from __future__ import annotations

import msgspec

MIB = 1 << 20
MAX_WALL_MS = 600_000
"""No run lasts longer, whatever it asks for."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one run; each is enforced from outside the code that runs.

    `wall_ms` counts from the moment the code starts, `cpu_ms` over all its processes. Sizes are
    bytes. `stream_bytes` is what a reply shows of each of stdout and stderr, half from its
    beginning and half from its end; `kept_bytes` is what is kept of them in all, and a run that
    writes more is killed. `inner_calls` bounds calls to tools.
    """

    wall_ms: int = 30_000
    cpu_ms: int = 31_000
    memory: int = 512 * MIB
    processes: int = 64
    file_bytes: int = 16 * MIB
    stream_bytes: int = 65_536
    kept_bytes: int = 16 * MIB
    artifacts: int = 32
    artifact_bytes: int = 16 * MIB
    inner_calls: int = 50

    def lasting(self, wall_ms: int) -> Limits:
        """The same with another time: at most `MAX_WALL_MS`, and a second more of CPU."""
        wall = min(wall_ms, MAX_WALL_MS)
        return msgspec.structs.replace(self, wall_ms=wall, cpu_ms=wall + 1_000)


DEFAULT_LIMITS = Limits()
