"""The port to the durable store: one transaction per event-loop tick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from ostiary.approvals.step import Answer, Step
from ostiary.audit.record import Record
from ostiary.policy.decision import Charge
from ostiary.quotas.exceeded import Exceeded

__all__ = ["Answer", "Committed", "Entry", "Exceeded", "Journal", "NotStored", "Reply"]


class Entry(msgspec.Struct, frozen=True):
    """One row to write, with the reservations it depends on.

    For an intent, `charges` are checked and reserved, all or none, in the same transaction as
    the row, and the store fills in `reservations`. When one is exceeded the store writes
    `denied(exceeded)` instead of `record` (nothing, when `denied` is None).
    For an outcome, `returns` lists the charges to give back (refund or a freed slot), as they
    were in the intent with the same id; the store fills in `refunds`.
    `denied` may run on the store's writer thread: it must only build a value.
    `late` says that nobody waits for the row: it may go with a later transaction, in its order.
    `step` is done about an approval in the same transaction, and what it says is the answer. Only a
    redeemed approval lets an intent be written; for every other answer `unredeemed(answer)` is.
    The row of a `step` that changed nothing is not written.
    """

    record: Record
    charges: tuple[Charge, ...] = ()
    denied: Callable[[Exceeded], Record] | None = None
    returns: tuple[Charge, ...] = ()
    late: bool = False
    step: Step | None = None
    unredeemed: Callable[[Answer], Record] | None = None


class Committed(msgspec.Struct, frozen=True):
    """The row and its reservations are durable; only now may anything be forwarded."""


class NotStored(msgspec.Struct, frozen=True):
    """The transaction failed and was undone: deny with `(store)`. `reason` is for operators."""

    reason: str


Reply = Committed | Exceeded | NotStored | Answer


class Journal(Protocol):
    """Writes entries in arrival order and calls back in the same order after COMMIT."""

    def submit(self, entry: Entry | None, done: Callable[[Reply], None]) -> None:
        """Queue `entry` for this tick's transaction; `done` runs after it.

        An entry of None writes nothing and only keeps its place in the order.
        """
        ...
