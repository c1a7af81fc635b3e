"""What clients have run, for each client its own. In memory only: a restart forgets it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from ostiary.sandbox.record import RunRecord, Status

MAX_STEPS: Final = 500
"""Steps of one history; the oldest go first."""

MAX_SIZE: Final = 4 << 20
"""Characters of code in one history; the oldest go first."""

MAX_HISTORIES: Final = 1_024
"""Histories at once; the one that was used least goes first."""


class Step(msgspec.Struct, frozen=True):
    """One piece of code that was run. `started` is in microseconds since 1970."""

    number: int
    run_id: str
    code: str
    status: Status
    started: int


class History:
    """The steps of one client, in order."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._size = 0
        self._count = 0

    def add(self, code: str, record: RunRecord) -> None:
        """One more step."""
        self._count += 1
        self.steps.append(Step(self._count, record.run_id, code, record.status, record.started))
        self._size += len(code)
        while len(self.steps) > MAX_STEPS or (self._size > MAX_SIZE and len(self.steps) > 1):
            self._size -= len(self.steps.pop(0).code)

    @property
    def good(self) -> list[Step]:
        """The steps that succeeded."""
        return [step for step in self.steps if step.status == "success"]


class Histories:
    """All histories, by owner and session. To anybody but its owner a history does not exist."""

    def __init__(self) -> None:
        self._all: OrderedDict[tuple[str, str], History] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def find(self, owner: str, session: str) -> History | None:
        """The history, if there is one."""
        return self._all.get((owner, session))

    def open(self, owner: str, session: str) -> History:
        """The history, begun if there is none."""
        found = self._all.setdefault((owner, session), History())
        self._all.move_to_end((owner, session))
        while len(self._all) > MAX_HISTORIES:
            self._all.popitem(last=False)
        return found

    def drop(self, owner: str, session: str) -> None:
        """Forget it."""
        self._all.pop((owner, session), None)

    def of(self, owner: str) -> list[str]:
        """The sessions of `owner` that have one."""
        return [session for whose, session in self._all if whose == owner]
