"""What the newest records add up to: decisions, refusals and latencies of the last hour. Pure.

Rows go in, in the order of the journal; nothing is kept of them but counts in slots of ten
seconds and the latest denials, so that an hour of any traffic takes little memory.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ostiary.audit.record import Record

SECOND: Final = 1_000_000
SLOT: Final = 10 * SECOND
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
MAX_NAMES: Final = 200
"""Different names that are counted in one slot; whoever sends names must not fill memory."""
OTHERS: Final = "… others"
MAX_DENIALS: Final = 200
STEPS: Final = 16
"""Latency classes for each doubling: a quantile is off by less than 5 %."""


@dataclass(frozen=True, slots=True)
class Denied:
    """One call that was not allowed. `count` is above 1 for a row that stands for many."""

    ts: int
    tool: str
    rule: str
    grant: str
    count: int = 1


@dataclass(slots=True)
class Totals:
    """Sums over a time. `decisions` by their names, `outcomes` by status, `latencies` by class."""

    decisions: Counter[str] = field(default_factory=Counter[str])
    outcomes: Counter[str] = field(default_factory=Counter[str])
    latencies: Counter[int] = field(default_factory=Counter[int])
    tools: Counter[str] = field(default_factory=Counter[str])
    rules: Counter[str] = field(default_factory=Counter[str])

    def add(self, other: Totals) -> None:
        """Count what `other` counted."""
        self.decisions.update(other.decisions)
        self.outcomes.update(other.outcomes)
        self.latencies.update(other.latencies)
        self.tools.update(other.tools)
        self.rules.update(other.rules)

    def quantile(self, share: float) -> int | None:
        """The latency in microseconds that `share` of the answers stayed within; None without any."""
        left = math.ceil(share * self.latencies.total())
        for step in sorted(self.latencies):
            left -= self.latencies[step]
            if left <= 0:
                return round(2 ** ((step + 0.5) / STEPS))
        return None

    @property
    def failed(self) -> int:
        """Calls that were forwarded and came to no good end."""
        return sum(count for status, count in self.outcomes.items() if status not in {"ok", "cancelled"})


class Overview:
    """Counts of the last hour. `begins` is the oldest row's time when older ones were not read."""

    def __init__(self) -> None:
        self.rows = 0
        self.begins: int | None = None
        self.denials: deque[Denied] = deque(maxlen=MAX_DENIALS)
        self._slots: dict[int, Totals] = {}

    def add(self, records: Iterable[Record]) -> None:
        """Count more rows."""
        for record in records:
            self.rows += 1
            slot = self._slots.setdefault(record.ts // SLOT, Totals())
            if record.kind == "outcome":
                slot.outcomes[record.status] += 1
                if record.latency_us > 0:
                    slot.latencies[_step(record.latency_us)] += 1
            elif record.kind in {"intent", "denial"}:
                self._decided(record, slot)

    def forget(self, now: int) -> None:
        """Drop what is older than an hour, and what claims to come from the future."""
        oldest, newest = (now - HOUR) // SLOT, (now + MINUTE) // SLOT
        for number in [number for number in self._slots if not oldest < number <= newest]:
            del self._slots[number]

    def totals(self, now: int, length: int) -> Totals:
        """Sums of the slots of the last `length` microseconds, the running one included."""
        found = Totals()
        for number, slot in self._slots.items():
            if number > (now - length) // SLOT:
                found.add(slot)
        return found

    def series(self, now: int, decision: str, points: int, length: int = HOUR) -> list[int]:
        """How often `decision` was given in each of `points` equal parts of `length`, oldest first."""
        step = length // points
        found = [0] * points
        for number, slot in self._slots.items():
            back = (now // SLOT - number) * SLOT // step
            if 0 <= back < points:
                found[points - 1 - back] += slot.decisions[decision]
        return found

    def _decided(self, record: Record, slot: Totals) -> None:
        count = max(1, record.count)
        slot.decisions[record.decision] += count
        if record.decision == "allow":
            return
        name = record.tool or record.method
        rule = record.rules[0] if record.rules else ""
        _count(slot.tools, name, count)
        for each in record.rules:
            _count(slot.rules, each, count)
        self.denials.append(Denied(record.ts, name, rule, record.grant, count))


def spark(values: Iterable[int]) -> str:
    """A line of small bars, as high as the values are among themselves; a blank where there is nothing."""
    numbers = list(values)
    most = max(numbers, default=0)
    bars = "▁▂▃▄▅▆▇█"
    return "".join(bars[(value * len(bars) - 1) // most] if value else " " for value in numbers)


def most_common(counts: Mapping[str, int], most: int) -> list[tuple[str, int]]:
    """The names with the highest counts, highest first, then by name; what has no name is left out."""
    named = [(name, count) for name, count in counts.items() if name]
    return sorted(named, key=lambda pair: (-pair[1], pair[0]))[:most]


def _count(counts: Counter[str], name: str, count: int) -> None:
    if name not in counts and len(counts) >= MAX_NAMES:
        name = OTHERS
    counts[name] += count


def _step(microseconds: int) -> int:
    return int(math.log2(microseconds) * STEPS)
