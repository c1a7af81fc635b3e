"""Interpreters that stay alive between runs, each bound to its owner and its name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from ostiary.errors import CallerFault
from ostiary.sandbox.record import Status
from ostiary.sandbox.runner import Environment, Worker

MAX_HISTORY: Final = 500
"""Runs of one session that its history tells of; the oldest go first."""


class Past(msgspec.Struct, frozen=True):
    """One run in the history of a session. `number` counts from 1 and names the code `<cell N>`."""

    number: int
    run_id: str
    code: str
    status: Status


class SessionView(msgspec.Struct, frozen=True):
    """A session as its owner sees it; `idle_s` seconds since its last run, 0 while one is under way."""

    name: str
    runs: int
    busy: bool
    idle_s: float
    packages: tuple[str, ...]


class SessionsFull(CallerFault):
    """No further session may be opened now."""


class Session:
    """One owner's live interpreter. `turn` is held by the run that has it; runs wait for it in order."""

    def __init__(self, owner: str, name: str, now: float) -> None:
        self.owner = owner
        self.name = name
        self.turn = asyncio.Lock()
        self.waiting = 0
        self.worker: Worker | None = None
        self.environment = Environment()
        self.number = 0
        self.history: list[Past] = []
        self.used = now

    def begin(self, worker: Worker, environment: Environment) -> None:
        """A fresh interpreter: nothing of an earlier one is left, nor is its history."""
        self.worker, self.environment = worker, environment
        self.number = 0
        self.history.clear()

    def lose(self) -> Worker | None:
        """The interpreter is gone. Its history can be read until another begins."""
        worker, self.worker = self.worker, None
        return worker

    @property
    def live(self) -> bool:
        """Whether it has an interpreter, or is about to."""
        return self.worker is not None or not self.idle

    def next_name(self) -> str:
        """What the next piece of code is called."""
        self.number += 1
        return f"<cell {self.number}>"

    def remember(self, run_id: str, code: str, status: Status) -> None:
        """The run under way has ended."""
        self.history.append(Past(self.number, run_id, code, status))
        del self.history[:-MAX_HISTORY]

    @property
    def idle(self) -> bool:
        """Whether no run has it or waits for it."""
        return not self.waiting and not self.turn.locked()


class Sessions:
    """All sessions. To anybody but its owner a session does not exist."""

    def __init__(self, most: int, idle_s: float, now: Callable[[], float]) -> None:
        self._most = most
        self._idle_s = idle_s
        self._now = now
        self._all: dict[tuple[str, str], Session] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._all.values()))

    def join(self, owner: str, name: str) -> tuple[Session, Session | None]:
        """The session of that name, opened if there is none, and one that had to make room for it.

        Room is made by the owner's own session that was unused for longest. Raises SessionsFull.
        """
        found = self._all.get((owner, name))
        if found is not None:
            return found, None
        live = sum(one.live for one in self)
        evicted = self._make_room(owner) if live >= self._most else None
        opened = self._all[owner, name] = Session(owner, name, self._now())
        return opened, evicted

    def _make_room(self, owner: str) -> Session:
        own = [one for one in self if one.owner == owner and one.idle and one.live]
        if not own:
            raise SessionsFull(
                f"all {self._most} sessions are taken", hint="close a session, or run without one"
            )
        oldest = min(own, key=lambda one: one.used)
        del self._all[oldest.owner, oldest.name]
        return oldest

    def find(self, owner: str, name: str) -> Session | None:
        """The session, if it is `owner`'s."""
        return self._all.get((owner, name))

    def drop(self, session: Session) -> None:
        """It has ended."""
        if self._all.get((session.owner, session.name)) is session:
            del self._all[session.owner, session.name]

    def stale(self) -> list[Session]:
        """Those that nobody has used for too long; they are no longer here."""
        before = self._now() - self._idle_s
        found = [one for one in self if one.idle and one.used <= before]
        for one in found:
            self.drop(one)
        return found

    def of(self, owner: str) -> tuple[SessionView, ...]:
        """What `owner` has open."""
        now = self._now()
        return tuple(
            SessionView(
                one.name,
                one.number,
                not one.idle,
                0.0 if not one.idle else now - one.used,
                one.environment.packages,
            )
            for one in self
            if one.owner == owner
        )
