"""A store with approvers, for tests of approvals: calls that ask, and people who answer."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import msgspec

from ostiary.approvals.request import Standing, Verdict
from ostiary.approvals.statement import trustworthy
from ostiary.approvals.step import Ask, FormAnswer, Resolve, Settle
from ostiary.audit.record import Record
from ostiary.calls.journal import Answer, Entry, Exceeded, Reply
from ostiary.policy.decision import Charge
from ostiary.store import approvals
from ostiary.store.connection import connect
from ostiary.store.sqlite import SqliteStore
from tests.approvals.making import ANA, BEN, CAT, KEYS, Person, request
from tests.store.writing import SECOND, World, denial

__all__ = ["ANA", "BEN", "CAT", "Office", "entry", "event"]

LIFE = 1800 * SECOND


def event(name: str) -> Record:
    return Record(id=name, ts=1, kind="event")


def entry(step: Ask, *charges: Charge) -> Entry:
    """A held call: what it does if it is redeemed, and the row it leaves if it is not."""
    call = step.request.id.replace("apr_", "ev_")

    def denied(_exceeded: Exceeded) -> Record:
        return denial(call)

    def unredeemed(answer: Answer) -> Record:
        return msgspec.structs.replace(denial(call), decision="hold", reasons=(type(answer).__name__,))

    record = Record(id=call, ts=1, kind="intent", tool="x", decision="allow", grant=step.request.grant)
    return Entry(record, charges, denied, step=step, unredeemed=unredeemed)


class Office:
    """One store, its world, and the requests that are made there."""

    def __init__(self, world: World, store: SqliteStore) -> None:
        self.world, self.store = world, store
        store.approvals.trust = lambda standing: trustworthy(standing, KEYS)
        self._count = 0

    @staticmethod
    @contextmanager
    def opened(world: World, **options: Any) -> Generator[Office, None, None]:
        with world.store(**options) as store:
            yield Office(world, store)

    @property
    def now(self) -> int:
        return self.store.clock.now()

    def ask(
        self, content: bytes = b"call", *, waited: str = "", form: FormAnswer | None = None, **changes: Any
    ) -> Ask:
        """A call as the gate puts it to the store. Each has an id of its own."""
        self._count += 1
        now = self.now
        times = {"asked": now, "expires": now + LIFE}
        made = request(**{"id": f"apr_{now}_{self._count:04}", "digest": "", **times, **changes})
        return Ask(made, content, form, waited)

    def take(self, step: Ask, *charges: Charge) -> Reply:
        return self.store.commit([entry(step, *charges)])[0]

    @contextmanager
    def through(self, wrapper: Any) -> Generator[None, None, None]:
        """The store writes through `wrapper(connection)` meanwhile."""
        store: Any = self.store
        real = store._connection
        store._connection = wrapper(real)
        try:
            yield
        finally:
            store._connection = real

    def standing(self, request_id: str) -> Standing:
        connection = connect(self.world.folder / "ostiary.db")
        try:
            found = approvals.find(connection, request_id)
        finally:
            connection.close()
        assert found is not None
        return found

    def answer(self, request_id: str, *people: Person, verdict: Verdict = "approve", note: str = "") -> Reply:
        """Each of `people` signs and sends their answer; what the store says to the last."""
        reply: Reply | None = None
        for person in people:
            said = person.says(verdict, self.standing(request_id).request, note=note, at=self.now)
            row = event(f"said-{request_id}-{person.name}")
            reply = self.store.commit([Entry(row, step=Resolve(request_id, said))])[0]
        assert reply is not None
        return reply

    def settle(self, request_id: str, to: Any, note: str = "") -> Reply:
        step = Settle(request_id, to, note)
        return self.store.commit([Entry(event(f"settled-{request_id}"), step=step)])[0]

    def state(self, request_id: str) -> str:
        ((state,),) = self.world.sql("SELECT state FROM approvals WHERE id = ?", request_id)
        return state
