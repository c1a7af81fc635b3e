"""Time that never goes back: wall time at start, then the time since boot.

A wall clock that is set back would reopen quota windows. So the wall is read once per boot; from
then on the boot clock (which also counts suspended time) carries it, and a later difference from
the wall is slewed away at most `SLEW_PPM` millionths per elapsed microsecond. What a store last
saw is kept in it as an anchor, shared by every process of the same boot.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

SLEW_PPM: Final = 500
BOOT_ID_FILE: Final = Path("/proc/sys/kernel/random/boot_id")


class Anchor(NamedTuple):
    """Where a clock stood: the boot, microseconds since it, and microseconds since the epoch."""

    boot_id: str
    boot: int
    wall: int


class Clock(Protocol):
    """A clock in microseconds since the epoch that never goes back."""

    def now(self) -> int:
        """The time, never less than any time returned before."""
        ...

    def anchor(self) -> Anchor:
        """Where the clock stands, to be stored."""
        ...

    def resume(self, anchor: Anchor | None) -> None:
        """Go on from a stored anchor: exactly on the same boot, never earlier on another."""
        ...

    def discipline(self) -> None:
        """Compare with the wall and start to slew; called now and then."""
        ...


def _read_wall() -> int:
    return time.time_ns() // 1_000


_SINCE_BOOT: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Linux only


def _read_boot() -> int:
    return time.clock_gettime_ns(_SINCE_BOOT) // 1_000


def boot_id() -> str:
    """The id of this boot, or empty where the system has none (each start then counts as one)."""
    try:
        return BOOT_ID_FILE.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class BootClock:
    """The clock of a process. Sources of time can be replaced to test it."""

    __slots__ = ("_boot", "_boot_id", "_floor", "_line", "_wall")

    def __init__(
        self,
        *,
        wall: Callable[[], int] = _read_wall,
        boot: Callable[[], int] = _read_boot,
        this_boot: str | None = None,
    ) -> None:
        self._wall = wall
        self._boot = boot
        self._boot_id = boot_id() if this_boot is None else this_boot
        # At which boot time the clock stood at which wall time, and what is left to slew. One
        # tuple, because the loop reads it while another thread may replace it.
        self._line = (boot(), wall(), 0)
        self._floor = self._line[1]

    def now(self) -> int:
        """The time, never less than any time returned before."""
        zero, base, correction = self._line
        elapsed = max(0, self._boot() - zero)
        now = base + elapsed
        if correction:
            most = elapsed * SLEW_PPM // 1_000_000
            now += max(-most, min(most, correction))
        if now < self._floor:
            return self._floor
        self._floor = now
        return now

    def anchor(self) -> Anchor:
        """Where the clock stands, to be stored."""
        return Anchor(self._boot_id, self._boot(), self.now())

    def resume(self, anchor: Anchor | None) -> None:
        """Go on from a stored anchor: exactly on the same boot, never earlier on another."""
        if anchor is None:
            return
        boot, wall = self._boot(), self._wall()
        if anchor.boot_id and anchor.boot_id == self._boot_id and boot >= anchor.boot:
            base = anchor.wall + (boot - anchor.boot)
        else:
            base = max(wall, anchor.wall)
        self._line = (boot, base, 0)
        self._floor = base

    def discipline(self) -> None:
        """Compare with the wall and start to slew; called now and then."""
        boot, now = self._boot(), self.now()
        self._line = (boot, now, self._wall() - now)
