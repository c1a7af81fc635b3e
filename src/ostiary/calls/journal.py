"""The port to the durable store: one transaction per event-loop tick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from ostiary.audit.record import Record
from ostiary.policy.decision import Charge
from ostiary.quotas.exceeded import Exceeded

__all__ = ["Committed", "Entry", "Exceeded", "Journal", "NotStored", "Reply"]


class Entry(msgspec.Struct, frozen=True):
    """One row to write, with the reservations it depends on.

    For an intent, `charges` are checked and reserved, all or none, in the same transaction as
    the row, and the store fills in `reservations`. When one is exceeded the store writes
    `denied(exceeded)` instead of `record` (nothing, when `denied` is None).
    For an outcome, `returns` lists the charges to give back (refund or a freed slot), as they
    were in the intent with the same id; the store fills in `refunds`.
    `denied` may run on the store's writer thread: it must only build a value.
    `late` says that nobody waits for the row: it may go with a later transaction, in its order.
    """

    record: Record
    charges: tuple[Charge, ...] = ()
    denied: Callable[[Exceeded], Record] | None = None
    returns: tuple[Charge, ...] = ()
    late: bool = False


class Committed(msgspec.Struct, frozen=True):
    """The row and its reservations are durable; only now may anything be forwarded."""


class NotStored(msgspec.Struct, frozen=True):
    """The transaction failed and was undone: deny with `(store)`. `reason` is for operators."""

    reason: str


Reply = Committed | Exceeded | NotStored


class Journal(Protocol):
    """Writes entries in arrival order and calls back in the same order after COMMIT."""

    def submit(self, entry: Entry | None, done: Callable[[Reply], None]) -> None:
        """Queue `entry` for this tick's transaction; `done` runs after it.

        An entry of None writes nothing and only keeps its place in the order.
        """
        ...
