"""What approvers do to a state directory: register, answer. Each opens the store for a moment."""

from __future__ import annotations

import codecs
import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ostiary.approvals import lifecycle
from ostiary.approvals.request import MAX_NOTE, Request, Resolution, Standing, Verdict
from ostiary.approvals.statement import Approver, about_verdict
from ostiary.approvals.step import Resolve, Stepped, Unchanged
from ostiary.audit.record import Record
from ostiary.calls.journal import Entry
from ostiary.errors import CallerFault, GatewayFault
from ostiary.proxy.mint import Mint
from ostiary.store import approvals, approvers
from ostiary.store.clock import BootClock
from ostiary.store.connection import connect_to_read, database_fault
from ostiary.store.keys import load_keys
from ostiary.store.migrate import scripts
from ostiary.store.opening import open_store
from ostiary.store.sqlite import SqliteStore
from ostiary.store.state import StateDir


def standings(state: StateDir, most: int, *, open_only: bool) -> list[Standing]:
    """The newest requests, the newest first; `open_only` leaves out what is over by now."""
    if not state.database.exists():
        return []
    with _reading(state) as connection:
        found = approvals.newest(connection, most, open_only=open_only)
    now = BootClock().now()
    return [one for one in found if not open_only or lifecycle.at(one, now).state in lifecycle.OPEN]


@contextmanager
def _reading(state: StateDir) -> Generator[sqlite3.Connection, None, None]:
    """A connection for a moment. Raises GatewayFault where the database cannot be read."""
    with as_owner(state), closing(connect_to_read(state.database)) as connection:
        try:
            yield connection
        except sqlite3.Error as error:
            raise database_fault(state.database, error) from error


def look_up(state: StateDir, request_id: str) -> tuple[Standing, bytes | None] | None:
    """A request and the canonical call it is about, which is gone once the request is over.

    Raises GatewayFault when the stored call is not the one that was asked about.
    """
    if not state.database.exists():
        return None
    with _reading(state) as connection:
        standing = approvals.find(connection, request_id)
        if standing is None:
            return None
        sealed = approvals.sealed_call(connection, request_id)
    with as_owner(state):
        keys = load_keys(state)
    table = approvals.ApprovalTable(keys.approvals, keys.audit)
    return standing, None if sealed is None else table.unseal(sealed, standing.request)


def resolve(
    state: StateDir,
    request_id: str,
    verdict: Verdict,
    note: str,
    key: Ed25519PrivateKey,
    *,
    shown: Request | None = None,
) -> Standing | str:
    """Answer a request as the approver whose key this is: how it stands then, or why it was not changed.

    `shown` is what the approver has seen; another request under the same id is not answered, since
    whoever can write to the state directory could put one there.
    Raises CallerFault for a key that is nobody's or a note that is too long, GatewayFault when the
    answer cannot be stored.
    """
    if len(note) > MAX_NOTE or not note.isprintable():
        raise CallerFault(f"--note: expected at most {MAX_NOTE} characters in one line")
    name = approvers.name_of(state, key)
    found = look_up(state, request_id)
    if found is None:
        return f"there is no request `{request_id}`"
    standing, _ = found
    if shown is not None and standing.request != shown:
        return "somebody changed it in the store after it was shown"
    with as_owner(state), closing(open_store(state)) as store:
        now = store.clock.now()
        text = about_verdict(standing.request, name, verdict, note, now)
        said = Resolution(approver=name, verdict=verdict, note=note, at=now, signature=key.sign(text))
        row = _event(store, f"approval-{verdict}", standing, principal=name, note=note)
        reply = store.commit([Entry(row, step=Resolve(request_id, said))])[0]
    if isinstance(reply, Stepped):
        return reply.standing
    if isinstance(reply, Unchanged):
        return reply.reason
    raise GatewayFault(f"the answer could not be stored: {getattr(reply, 'reason', 'the store refused')}")


def register(
    state: StateDir,
    name: str,
    path: Path,
    passphrase: str,
    sponsor: tuple[str, Ed25519PrivateKey] | None,
) -> Approver:
    """Make a key at `path` and register it under `name`. Raises CallerFault, with nothing registered."""
    made = not path.exists()
    key = approvers.make_key(path, passphrase)
    try:
        with as_owner(state), closing(open_store(state)) as store:
            approver = approvers.enrol(state, name, key, store.clock.now(), sponsor)
            said = "encrypted key" if passphrase else "key without a passphrase"
            row = Record(
                id=Mint(store.clock.now)(),
                ts=store.clock.now(),
                kind="event",
                principal=name,
                method="approver-registered",
                reasons=(said, f"sponsor {approver.sponsor}" if approver.sponsor else "the first approver"),
            )
            store.commit([Entry(row)])
    except BaseException:
        if made:
            path.unlink(missing_ok=True)
        raise
    return approver


@contextmanager
def as_owner(state: StateDir) -> Generator[None, None, None]:
    """Started as root for a key that only root can read: act as the owner of the state directory.

    Otherwise the files of the store would come to belong to root, and its gate could not use them.
    """
    owner = state.path.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    codecs.lookup("ascii")  # what is loaded when first used may lie where the owner cannot read
    scripts()
    group = os.getegid()
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


def _event(store: SqliteStore, method: str, standing: Standing, *, principal: str, note: str) -> Record:
    request = standing.request
    return Record(
        id=Mint(store.clock.now)(),
        ts=store.clock.now(),
        kind="event",
        principal=principal,
        grant=request.grant,
        server=request.server,
        method=method,
        tool=request.tool,
        revision=request.revision,
        approval=request.id,
        reasons=(note,) if note else (),
    )
