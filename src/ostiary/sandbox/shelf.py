"""Finished runs, for as long as somebody may ask for them. In memory only: a restart forgets them."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable

from ostiary.sandbox.record import RunRecord


class Shelf:
    """Records by run id, each its owner's alone: to anybody else it does not exist.

    Kept for `seconds`, and at most `runs` of them or `size` bytes of streams and artifacts, whichever is
    less; the oldest of the owner who has most go first, so that nobody pushes out what others have.
    `now` gives seconds of a clock that does not go back.
    """

    def __init__(self, seconds: float, runs: int, size: int, now: Callable[[], float]) -> None:
        self._seconds = seconds
        self._runs = runs
        self._room = size
        self._now = now
        self._kept: OrderedDict[str, tuple[float, int, RunRecord]] = OrderedDict()

    def put(self, record: RunRecord) -> None:
        """Keep `record`."""
        size = _size(record)
        if record.run_id in self._kept:  # a run that was paused
            self._drop(record.run_id)
        self._kept[record.run_id] = (self._now() + self._seconds, size, record)
        self._room -= size
        self.sweep()
        while self._kept and (len(self._kept) > self._runs or self._room < 0):
            self._drop(self._superfluous())

    def get(self, owner: str, run_id: str) -> RunRecord | None:
        """The record, if it is `owner`'s and still here."""
        self.sweep()
        kept = self._kept.get(run_id)
        return kept[2] if kept is not None and kept[2].owner == owner else None

    def of(self, owner: str) -> tuple[RunRecord, ...]:
        """All records of `owner`, the oldest first."""
        self.sweep()
        return tuple(record for _, _, record in self._kept.values() if record.owner == owner)

    def sweep(self) -> None:
        """Forget what was kept long enough."""
        now = self._now()
        while self._kept:
            run_id, (until, _, _) = next(iter(self._kept.items()))
            if until > now:
                return
            self._drop(run_id)

    def _superfluous(self) -> str:
        """The oldest record of the owner who has most of what is short."""
        has: Counter[str] = Counter()
        for _, size, record in self._kept.values():
            has[record.owner] += size if self._room < 0 else 1
        return max(self._kept, key=lambda run_id: has[self._kept[run_id][2].owner])

    def _drop(self, run_id: str) -> None:
        self._room += self._kept.pop(run_id)[1]


def _size(record: RunRecord) -> int:
    text = sum(len(one.whole) + len(one.shown) for one in (record.stdout, record.stderr))
    text += sum(len(one) for one in record.outputs.values())
    state = 0 if record.paused is None else len(record.paused.state)
    return text + state + sum(len(one.content) for one in record.artifacts)
