"""What memory knows of the journal: counters, chain heads and calls without an outcome.

Everything here follows from the rows up to `seq`. A snapshot is a short cut to it, never a
source: without one, all rows are read.
"""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from ostiary.audit.chain import Head, read_body
from ostiary.audit.record import Reserved
from ostiary.errors import GatewayFault
from ostiary.quotas.ledger import CounterState, Ledger, Reservation

KEPT_SNAPSHOTS: Final = 2

_ROWS: Final = "SELECT seq, writer, wseq, hash, id, kind, body FROM records WHERE seq > ? ORDER BY seq"


class _Saved(msgspec.Struct, array_like=True):
    """The content of a snapshot."""

    seq: int
    at: int
    counters: list[CounterState]
    heads: dict[str, tuple[int, bytes]]
    open: dict[str, tuple[str, int]]


class View:
    """The journal up to row `seq`.

    `at` is the latest time a reservation was made at. `open` maps the id of each call that has
    an intent and no outcome to its writer and row.
    """

    __slots__ = ("at", "heads", "ledger", "open", "seq")

    def __init__(self) -> None:
        self.seq = 0
        self.at = 0
        self.ledger = Ledger()
        self.heads: dict[str, Head] = {}
        self.open: dict[str, tuple[str, int]] = {}

    def catch_up(self, connection: sqlite3.Connection) -> int:
        """Apply every row after `seq`; how many there were.

        Raises sqlite3.Error, and GatewayFault for a row that cannot be understood: counters
        that leave a row out would let too much through.
        """
        before = self.seq
        for seq, writer, wseq, digest, call, kind, body in connection.execute(_ROWS, (before,)):
            try:
                self._apply(seq, writer, kind, call, body)
            except (msgspec.MsgspecError, ValueError, ArithmeticError) as error:
                raise GatewayFault(
                    f"row {seq} of the journal cannot be read", hint="run audit verify"
                ) from error
            self.heads[writer] = Head(wseq, digest)
            self.seq = seq
        return self.seq - before

    def _apply(self, seq: int, writer: str, kind: str, call: str, body: str) -> None:
        if kind == "intent":
            self.open[call] = (writer, seq)
        elif kind == "outcome":
            self.open.pop(call, None)
        # The words can only stand in a body as keys: inside a string the quotes are escaped.
        if '"reservations":' in body or '"refunds":' in body:
            record = read_body(body)
            taken = reservations(record.reservations)
            self.ledger.apply(taken)
            self.ledger.give_back(reservations(record.refunds))
            self.at = max([self.at, *(one.at for one in taken)])

    def save(self, connection: sqlite3.Connection, key: bytes, now: int) -> None:
        """Store a snapshot inside the running transaction, and drop all but the last two."""
        self.at = max(self.at, now)  # what has expired by now stays so for whoever starts from here
        saved = _Saved(self.seq, self.at, self.ledger.snapshot(now), dict(self.heads), self.open)
        state = msgspec.msgpack.encode(saved)
        row = (self.seq, state, hmac.digest(key, state, "sha256"))
        connection.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", row)
        keep = "SELECT seq FROM snapshots ORDER BY seq DESC LIMIT ?"
        connection.execute(f"DELETE FROM snapshots WHERE seq NOT IN ({keep})", (KEPT_SNAPSHOTS,))  # noqa: S608 - both parts are constants

    def load(self, connection: sqlite3.Connection, key: bytes) -> None:
        """Start from the newest snapshot that is whole and not ahead of the rows.

        One that was written with another key or edited is passed over: the rows decide.
        """
        (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()
        newest_first = "SELECT state, mac FROM snapshots WHERE seq <= ? ORDER BY seq DESC"
        for state, mac in connection.execute(newest_first, (last,)).fetchall():
            if not hmac.compare_digest(hmac.digest(key, state, "sha256"), mac):
                continue
            try:
                saved = msgspec.msgpack.decode(state, type=_Saved)
            except msgspec.MsgspecError:  # of another version
                continue
            self.seq, self.at = saved.seq, saved.at
            self.heads = {writer: Head(*head) for writer, head in saved.heads.items()}
            self.open = dict(saved.open)
            self.ledger.restore(saved.counters, saved.at)
            return


def reservations(stored: Iterable[Reserved]) -> list[Reservation]:
    """Stored reservations as the ledger speaks of them."""
    return [Reservation(*one) for one in stored]
