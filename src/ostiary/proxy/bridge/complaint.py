"""Lines on stderr about a peer that misbehaves, at a bounded rate and without its data."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

Log = Callable[[str], object]


def to_stderr(text: str) -> None:
    """Write one line for a person."""
    sys.stderr.write(f"ostiary: {text}\n")
    sys.stderr.flush()


class Complaints:
    """At most one line per `every` seconds; the next one says how many were left out."""

    __slots__ = ("_every", "_last", "_left_out", "_log", "_now")

    def __init__(
        self, log: Log = to_stderr, *, every: float = 1.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._every = every
        self._now = now
        self._last: float | None = None
        self._left_out = 0

    def __call__(self, text: str) -> None:
        """Complain, unless that was done a moment ago."""
        now = self._now()
        if self._last is not None and now - self._last < self._every:
            self._left_out += 1
            return
        more = f" ({self._left_out} more lines left out)" if self._left_out else ""
        self._last = now
        self._left_out = 0
        self._log(text + more)
