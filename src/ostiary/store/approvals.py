"""The table of approvals: steps of the lifecycle inside the transaction of the journal.

A step reads and writes on the connection that holds the write lock, so of any number of
processes that redeem one approval exactly one does. Nothing is kept in memory between steps.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ostiary.approvals import lifecycle
from ostiary.approvals.request import FORM, Request, Resolution, Standing
from ostiary.approvals.step import (
    MAX_PENDING,
    Answer,
    Ask,
    Crowded,
    FormAnswer,
    Redeemed,
    Resolve,
    Settle,
    Step,
    Stepped,
    Turned,
    Unchanged,
    Waiting,
)
from ostiary.audit.keyed import KeyedDigest
from ostiary.errors import GatewayFault

KEPT: Final = 90 * 24 * 3600 * 1_000_000
"""Microseconds that a request is kept after it was over."""
_NONCE: Final = 12
LONGEST: Final = 7 * 24 * 3600 * 1_000_000
"""Microseconds that no request lives longer than (P5.2)."""
CHANGED: Final = "its row in the store was changed"

_COLUMNS: Final = "id, state, ended, note, body"
_BY_ID: Final = f"SELECT {_COLUMNS} FROM approvals WHERE id = ?"  # noqa: S608 - a constant
_OF_CALL: Final = (
    f"SELECT {_COLUMNS} FROM approvals WHERE binding = ? AND expires > ?"  # noqa: S608 - a constant
    " AND state IN ('pending', 'approved', 'denied') ORDER BY id DESC LIMIT 1"
)
_WAITING: Final = "SELECT count(*) FROM approvals WHERE owner = ? AND expires > ? AND state = 'pending'"
_INSERT: Final = (
    "INSERT INTO approvals (id, binding, owner, server, state, expires, body, sealed)"
    " VALUES (?, ?, ?, ?, 'pending', ?, ?, ?)"
)
_END: Final = (
    "UPDATE approvals SET state = ?, ended = ?, note = ?, sealed = NULL"
    " WHERE id = ? AND state IN ('pending', 'approved')"
)
_ANSWERS: Final = (
    "SELECT approver, verdict, note, at, signature FROM resolutions WHERE approval = ? ORDER BY at, approver"
)

_FIELDS: Final = ("approver", "verdict", "note", "at", "signature")

Trust = Callable[[Standing], bool]
"""Whether signed answers add up to an approval."""


def trust_nobody(_standing: Standing) -> bool:
    """Without registered approvers nothing is ever approved."""
    return False


class ApprovalTable:
    """Takes steps on the writer's connection. `trust` is asked before an approval is redeemed."""

    def __init__(self, key: bytes, digest_key: bytes) -> None:
        self.trust: Trust = trust_nobody
        self._cipher = AESGCM(key)
        self._digest = KeyedDigest(digest_key)
        self._spent: dict[str, int] = {}  # what this process redeemed, until when it would have lived
        self._spending: dict[str, int] = {}  # the same of the running transaction

    def written(self) -> None:
        """The transaction is durable."""
        if self._spending:
            now = max(self._spending.values()) - LONGEST
            self._spent = {one: until for one, until in self._spent.items() if until >= now} | self._spending
            self._spending = {}

    def undone(self) -> None:
        """The transaction was not: what it redeemed is as good as before."""
        self._spending = {}

    def taken(self, connection: sqlite3.Connection, step: Step, now: int) -> Answer:
        """What comes of `step` at `now` (microseconds), inside the running transaction."""
        try:
            if isinstance(step, Ask):
                return self._ask(connection, step, now)
            if isinstance(step, Resolve):
                return self._resolve(connection, step, now)
            return self._settle(connection, step, now)
        except GatewayFault as fault:  # a row that cannot be read stops this call, and nobody else's
            return Unchanged(fault.message)

    def unseal(self, sealed: bytes, request: Request) -> bytes:
        """The canonical call that `request` is about. Raises GatewayFault if it was tampered with."""
        try:
            content = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], request.id.encode())
        except (InvalidTag, ValueError) as error:
            raise GatewayFault(f"the stored call of {request.id} cannot be decrypted") from error
        if self._digest(content) != request.digest:
            raise GatewayFault(f"the stored call of {request.id} is not the one that was asked about")
        return content

    # The steps.

    def _ask(self, connection: sqlite3.Connection, ask: Ask, now: int) -> Answer:
        """Redeem, join, or insert. What a client's user said in a form counts for this very call only."""
        request = msgspec.structs.replace(ask.request, digest=self._digest(ask.content))
        row = connection.execute(_OF_CALL, (request.binding, now)).fetchone()
        if row is None:
            before = find(connection, ask.waited) if ask.waited else None
            if before is None:
                return self._insert(connection, request, ask.content, now)
            return _lapsed(before, now)
        standing = read(connection, row)
        if standing.request.binding != request.binding or standing.request.terms != request.terms:
            return self._discard(connection, standing.request, CHANGED, now)
        if standing.state == "pending" and ask.form is not None and ask.form.id == standing.request.id:
            standing = self._formed(connection, standing, ask.form, now)
        if standing.state == "approved":
            return self._redeem(connection, standing, now)
        if standing.state == "pending":
            return Waiting(standing.request.id, standing.request.expires, joined=True)
        if standing.state == "consumed":
            return Redeemed(standing.request.id)
        return Turned(standing.request.id, standing.state, standing.note, standing.request.expires)

    def _insert(self, connection: sqlite3.Connection, request: Request, content: bytes, now: int) -> Answer:
        (waiting,) = connection.execute(_WAITING, (request.grant, now)).fetchone()
        if waiting >= MAX_PENDING:
            return Crowded()
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, content, request.id.encode())
        body = msgspec.json.encode(request).decode()
        connection.execute(
            _INSERT,
            (request.id, request.binding, request.grant, request.server, request.expires, body, sealed),
        )
        return Waiting(request.id, request.expires, joined=False)

    def _redeem(self, connection: sqlite3.Connection, standing: Standing, now: int) -> Answer:
        request = standing.request
        if request.id in self._spent or request.id in self._spending:
            return self._discard(connection, request, CHANGED, now)
        if not self.trust(standing):
            note = "its signatures are not those of registered approvers"
            return self._discard(connection, request, note, now)
        if connection.execute(_END, ("consumed", now, standing.note, request.id)).rowcount != 1:
            return Turned(request.id, "consumed", "", request.expires)
        self._spending[request.id] = request.expires
        return Redeemed(request.id)

    def _discard(self, connection: sqlite3.Connection, request: Request, note: str, now: int) -> Turned:
        """Cancel what somebody has tampered with, so that it can be asked for anew."""
        connection.execute(_END, ("cancelled", now, note, request.id))
        return Turned(request.id, "cancelled", note, request.expires)

    def _formed(
        self, connection: sqlite3.Connection, standing: Standing, form: FormAnswer, now: int
    ) -> Standing:
        """Take the answer of the client's own user, which is used up at once. Dismissing it is none."""
        if not standing.request.convenience or form.verdict == "decline":
            return standing
        said = Resolution(approver=FORM, verdict=form.verdict, at=now)
        self._keep(connection, standing.request.id, said)
        state = "consumed" if form.verdict == "approve" else "denied"
        self._set(connection, standing.request.id, state, now, "")
        return msgspec.structs.replace(standing, state=state, ended=now)

    def _resolve(self, connection: sqlite3.Connection, step: Resolve, now: int) -> Answer:
        standing = find(connection, step.id)
        if standing is None:
            return Unchanged("there is no such request")
        after = lifecycle.resolved(standing, step.resolution, now)
        if isinstance(after, str):
            return Unchanged(after)
        self._keep(connection, step.id, step.resolution)
        self._set(connection, step.id, after.state, after.ended, after.note)
        return Stepped(after)

    def _settle(self, connection: sqlite3.Connection, step: Settle, now: int) -> Answer:
        standing = find(connection, step.id)
        if standing is None or standing.state not in lifecycle.OPEN:
            return Unchanged("it is over already")
        if step.to == "expired" and now < standing.request.expires:
            return Unchanged("its time is not up")
        self._set(connection, step.id, step.to, now, step.note)
        return Stepped(msgspec.structs.replace(standing, state=step.to, ended=now, note=step.note))

    def _set(
        self, connection: sqlite3.Connection, request_id: str, state: str, ended: int, note: str
    ) -> None:
        """Only what is open still holds the call itself."""
        sealed = "sealed" if state in lifecycle.OPEN else "NULL"
        connection.execute(
            f"UPDATE approvals SET state = ?, ended = ?, note = ?, sealed = {sealed} WHERE id = ?",  # noqa: S608 - one of two constants
            (state, ended, note, request_id),
        )

    def _keep(self, connection: sqlite3.Connection, request_id: str, said: Resolution) -> None:
        connection.execute(
            "INSERT OR REPLACE INTO resolutions VALUES (?, ?, ?, ?, ?, ?)",
            (request_id, said.approver, said.verdict, said.note, said.at, said.signature),
        )


def _lapsed(before: Standing, now: int) -> Turned:
    """What became of a request that a call waited for, and that does not answer the call it is now."""
    before = lifecycle.at(before, now)
    if before.state in lifecycle.OPEN:
        return Turned(before.request.id, "cancelled", "the policy has changed", before.request.expires)
    return Turned(before.request.id, before.state, before.note, before.request.expires)


def prune(connection: sqlite3.Connection, now: int) -> None:
    """Forget what has been over for long, inside the running transaction."""
    connection.execute("DELETE FROM approvals WHERE expires < ?", (now - KEPT,))
    connection.execute("DELETE FROM resolutions WHERE approval NOT IN (SELECT id FROM approvals)")


# Reading, on any connection.


def find(connection: sqlite3.Connection, request_id: str) -> Standing | None:
    """How the request `request_id` stands, as its row says; None where there is none."""
    row = connection.execute(_BY_ID, (request_id,)).fetchone()
    return None if row is None else read(connection, row)


def sealed_call(connection: sqlite3.Connection, request_id: str) -> bytes | None:
    """The encrypted call of a request that is not over."""
    row = connection.execute("SELECT sealed FROM approvals WHERE id = ?", (request_id,)).fetchone()
    if row is None or row[0] is None:
        return None
    return row[0] if isinstance(row[0], bytes) else b""  # which nothing can decrypt


def newest(connection: sqlite3.Connection, most: int, *, open_only: bool) -> list[Standing]:
    """The newest requests, at most `most`, the newest first."""
    where = "WHERE state IN ('pending', 'approved')" if open_only else ""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM approvals {where} ORDER BY id DESC LIMIT ?",  # noqa: S608 - one of two constants
        (most,),
    )
    return [read(connection, row) for row in rows.fetchall()]


def open_of(connection: sqlite3.Connection, server: str, owner: str) -> list[Standing]:
    """What one grant has open on one server, the oldest first. At most a few hundred."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM approvals WHERE owner = ? AND server = ?"  # noqa: S608 - a constant
        " AND state IN ('pending', 'approved') ORDER BY id LIMIT 1000",
        (owner, server),
    )
    return [read(connection, row) for row in rows.fetchall()]


def states(connection: sqlite3.Connection, ids: Iterable[str]) -> dict[str, str]:
    """What the rows `ids` say of themselves."""
    found: dict[str, str] = {}
    for request_id in ids:
        row = connection.execute("SELECT state FROM approvals WHERE id = ?", (request_id,)).fetchone()
        if row is not None:
            found[request_id] = row[0]
    return found


def read(connection: sqlite3.Connection, row: tuple[Any, ...]) -> Standing:
    """A row with the answers to it. Raises GatewayFault for a row that cannot be read."""
    request_id, state, ended, note, body = row
    try:
        request = msgspec.json.decode(body, type=Request)
        answers = [
            dict(zip(_FIELDS, answer, strict=True)) for answer in connection.execute(_ANSWERS, (request_id,))
        ]
        found = {"request": request, "state": state, "ended": ended, "note": note, "resolutions": answers}
        standing = msgspec.convert(found, Standing, builtin_types=(bytes,))
    except (msgspec.MsgspecError, TypeError) as error:
        raise GatewayFault(f"the approval {request_id!a} cannot be read") from error
    if request.id != request_id:
        raise GatewayFault(f"the approval {request_id!a} is not the one in its row")
    return standing
