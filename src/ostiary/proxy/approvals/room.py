"""The open requests of one gate: notices when one is answered, is too old, or belongs to a former policy.

Answers are given by another process, so the store is asked, four times a second and only while
something is open here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from ostiary.approvals import lifecycle
from ostiary.approvals.request import Request, Standing, State
from ostiary.approvals.step import Redeemed, Settle, Stepped, Waiting
from ostiary.audit.record import Record
from ostiary.calls.journal import Entry, Reply

log = logging.getLogger("ostiary.approvals")

PERIOD = 0.25
"""Seconds between two looks."""

SUPERSEDED = "the policy has changed"

Event = str
"""`requested`, or the state that a request has come to."""

Told = Callable[[Event, Standing], None]


class Source(Protocol):
    """Where approvals are looked up. Nothing here waits or raises."""

    def standing(self, request_id: str) -> Standing | None:
        """How a request stands; None where that cannot be found out."""
        ...

    def open_of(self, server: str, owner: str) -> Sequence[Standing]:
        """What a grant has open."""
        ...


class NoSource:
    """No store, no approvals."""

    def standing(self, request_id: str) -> Standing | None:
        return None

    def open_of(self, server: str, owner: str) -> Sequence[Standing]:
        return ()


class Room:
    """Who waits for what. `submit` writes entries, `mint` makes ids, `told` hears of every change."""

    def __init__(
        self,
        source: Source,
        *,
        clock: Callable[[], int],
        mint: Callable[[], str],
        submit: Callable[[Entry, Callable[[Reply], None]], None],
    ) -> None:
        self.told: Told = _nobody
        self._source = source
        self._clock = clock
        self._mint = mint
        self._submit = submit
        self._open: dict[str, Standing] = {}
        self._settling: set[str] = set()
        self._waiting: dict[str, list[Callable[[], None]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._revision: str | None = None

    def __len__(self) -> int:
        return len(self._open)

    def load(self, server: str, owner: str, revision: str) -> None:
        """Take up what `owner` had open before this process began; what another policy asked for is over."""
        for standing in self._source.open_of(server, owner):
            self._open[standing.request.id] = standing
        self.revise(revision)
        self._look_again()

    def asked(self, request: Request, reply: Reply) -> None:
        """A call through this gate needed approval, and this is what the store said."""
        if isinstance(reply, Redeemed):
            self._redeemed(reply.id)
        elif isinstance(reply, Waiting) and not reply.joined:
            self._requested(request)

    def _requested(self, request: Request) -> None:
        standing = Standing(request=request)
        self._open[request.id] = standing
        self.told("requested", standing)
        self._look_again()

    def _redeemed(self, request_id: str) -> None:
        standing = self._open.get(request_id)
        if standing is not None:
            self._became(request_id, standing, "consumed")

    def revise(self, revision: str) -> None:
        """The policy in force has this revision: what another one asked for is cancelled (P5.2)."""
        self._revision = revision
        for request_id, standing in list(self._open.items()):
            if self._superseded(standing):
                self._settle(request_id, standing, "cancelled", SUPERSEDED)

    def _superseded(self, standing: Standing) -> bool:
        """Whether another policy asked for it; not known before one was said to be in force."""
        return self._revision is not None and standing.request.revision != self._revision

    def wait(self, request_id: str, done: Callable[[], None]) -> None:
        """Call `done` once when something becomes of the request."""
        self._waiting.setdefault(request_id, []).append(done)
        standing = self._known(request_id)
        if standing is not None and standing.state != "pending":  # it was answered just now
            asyncio.get_running_loop().call_soon(self._wake, request_id)

    def leave(self, request_id: str, done: Callable[[], None]) -> None:
        """`done` waits no longer."""
        waiting = self._waiting.get(request_id, [])
        if done in waiting:
            waiting.remove(done)
        if not waiting:
            self._waiting.pop(request_id, None)

    def close(self) -> None:
        """Look no more. What is open stays open in the store."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._open.clear()

    # Inside.

    def _known(self, request_id: str) -> Standing | None:
        """How a request stands, which may have been made through another gate."""
        standing = self._open.get(request_id) or self._source.standing(request_id)
        if standing is not None and standing.state in lifecycle.OPEN:
            self._open[request_id] = standing
            self._look_again()
        return standing

    def _wake(self, request_id: str) -> None:
        for done in self._waiting.pop(request_id, ()):
            done()

    def _look_again(self) -> None:
        if self._open and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PERIOD, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._clock()
        for request_id, before in list(self._open.items()):
            standing = self._source.standing(request_id)
            if standing is None:
                continue
            if standing.state != before.state:
                self._became(request_id, standing, standing.state)
            elif lifecycle.at(standing, now).state == "expired":
                self._settle(request_id, standing, "expired", "")
            elif self._superseded(standing):  # the store refused when the policy changed
                self._settle(request_id, standing, "cancelled", SUPERSEDED)
        self._look_again()

    def _became(self, request_id: str, standing: Standing, state: State) -> None:
        if state in lifecycle.OPEN:
            self._open[request_id] = standing
        else:
            self._open.pop(request_id, None)
        self.told(state, standing)
        self._wake(request_id)

    def _settle(self, request_id: str, standing: Standing, to: State, note: str) -> None:
        """Write that a request is over. If another process was first, the next look finds out."""
        if request_id in self._settling:
            return
        self._settling.add(request_id)
        request = standing.request
        record = Record(
            id=self._mint(),
            ts=self._clock(),
            kind="event",
            principal=request.principal,
            grant=request.grant,
            server=request.server,
            method=f"approval-{to}",
            tool=request.tool,
            revision=request.revision,
            approval=request_id,
            reasons=(note,) if note else (),
        )

        def written(reply: Reply) -> None:
            self._settling.discard(request_id)
            if isinstance(reply, Stepped) and request_id in self._open:
                self._became(request_id, reply.standing, to)

        self._submit(Entry(record, step=Settle(request_id, to, note)), written)


def _nobody(_event: Event, _standing: Standing) -> None:
    """Nobody wants to hear of it."""
