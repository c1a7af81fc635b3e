"""Keeps idle event streams open: whatever stands between client and gate cuts silent ones.

A comment is no event: it carries no id, so resuming points stay the upstream's, and it is only
written between whole events.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

PERIOD = 5.0
"""Seconds between two looks at the streams. An idle one is written to after 5 to 15 s."""

IDLE_LOOKS = 2


class Stream(Protocol):
    """An event stream towards a client."""

    written: bool
    """Whether anything was written since the last look; set by the stream, cleared here."""

    def keep_alive(self) -> None:
        """Write a comment."""
        ...


class KeepAlive:
    """All open streams of a gate, on one timer that only runs while there are any."""

    __slots__ = ("_idle", "_timer", "period")

    def __init__(self, period: float = PERIOD) -> None:
        self.period = period
        self._idle: dict[Stream, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, stream: Stream) -> None:
        """Look after `stream` from now on."""
        self._idle[stream] = 0
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.period, self._look)

    def discard(self, stream: Stream) -> None:
        """The stream has ended."""
        self._idle.pop(stream, None)

    def _look(self) -> None:
        self._timer = None
        for stream, looks in list(self._idle.items()):
            if stream.written:
                stream.written = False
                self._idle[stream] = 0
            elif looks + 1 >= IDLE_LOOKS:
                self._idle[stream] = 0
                stream.keep_alive()
                stream.written = False
            else:
                self._idle[stream] = looks + 1
        if self._idle:
            self._timer = asyncio.get_running_loop().call_later(self.period, self._look)
