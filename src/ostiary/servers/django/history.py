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
"""Histories at once; the one that was used longest ago goes first, of whoever begins one more."""

MAX_OWNED: Final = 32 << 20
"""Characters of code in all histories of one owner; the one that was used longest ago goes first."""


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
        self.size = 0
        self._count = 0

    def add(self, code: str, record: RunRecord) -> None:
        """One more step."""
        self._count += 1
        self.steps.append(Step(self._count, record.run_id, code, record.status, record.started))
        self.size += len(code)
        while len(self.steps) > MAX_STEPS or (self.size > MAX_SIZE and len(self.steps) > 1):
            self.size -= len(self.steps.pop(0).code)

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

    def add(self, owner: str, session: str, code: str, record: RunRecord) -> None:
        """One more step of a history, which is begun if there is none."""
        self._all.setdefault((owner, session), History()).add(code, record)
        self._all.move_to_end((owner, session))
        others = [key for key in self._all if key[0] == owner][:-1]
        size = sum(history.size for (whose, _), history in self._all.items() if whose == owner)
        for key in others:
            if len(self._all) <= MAX_HISTORIES and size <= MAX_OWNED:
                return
            size -= self._all.pop(key).size
        while len(self._all) > MAX_HISTORIES:
            self._all.popitem(last=False)

    def drop(self, owner: str, session: str) -> None:
        """Forget it."""
        self._all.pop((owner, session), None)

    def of(self, owner: str) -> list[str]:
        """The sessions of `owner` that have one."""
        return [session for whose, session in self._all if whose == owner]
