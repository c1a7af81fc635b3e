"""A state folder with requests for approval in it, made as a gate makes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ostiary.approvals.digest import canonical_call
from ostiary.approvals.request import Request
from ostiary.approvals.step import Ask, Waiting
from ostiary.audit.record import Record
from ostiary.calls.journal import Entry
from ostiary.store.opening import open_store
from ostiary.store.sqlite import SqliteStore
from ostiary.store.state import StateDir, open_state
from ostiary.wiring import approvals

ANA, BEN = "user:ana@example.org", "user:ben@example.org"
PASSPHRASE = "correct horse battery"
SECOND = 1_000_000


class Asking:
    """One state folder, an approver, and requests as they come."""

    def __init__(self, folder: Path, approver: str = ANA) -> None:
        self.state: StateDir = open_state(folder / "state")
        self.key = folder / "state" / "keys" / "approver"
        approvals.register(self.state, approver, self.key, PASSPHRASE, None)
        self.words = folder / "passphrase"
        self.words.write_text(PASSPHRASE)
        self.words.chmod(0o600)
        self.store: SqliteStore = open_store(self.state)
        self.asked = 0

    @classmethod
    def of(cls, state: Path) -> Asking:
        """A state folder that has its approver already."""
        made = cls.__new__(cls)
        made.state, made.asked = open_state(state), 0
        made.store = open_store(made.state)
        return made

    def ask(self, tool: str, arguments: Mapping[str, Any] | None = None, **more: Any) -> str:
        """A gate asks for a call; the id of the request."""
        self.asked += 1
        now = self.store.clock.now()
        number = f"{self.asked:026}"
        lasts = more.pop("lasts", 1_800) * SECOND
        request = Request(
            id=f"apr_{number}", grant=more.pop("grant", f"g{self.asked}"),
            principal=more.pop("principal", "grant:g"),
            server="files", tool=tool, definition="", revision="sha256:" + "ab" * 32, digest="", asked=now,
            expires=now + int(lasts), evaluation=f"ev_{number}", **more,
        )  # fmt: skip
        ask = Ask(request, canonical_call("tools/call", tool, arguments or {}))
        [answer] = self.store.commit([Entry(Record(id=f"ev_{number}", ts=now, kind="denial"), step=ask)])
        assert isinstance(answer, Waiting)
        return answer.id

    def state_of(self, request_id: str) -> str:
        found = approvals.look_up(self.state, request_id)
        assert found is not None
        return found[0].state

    def resolve(self, request_id: str, verdict: Any, note: str = "") -> None:
        """Answer as the approver, in another process as far as a page is concerned."""
        from ostiary.store.approvers import unlock

        assert not isinstance(
            approvals.resolve(self.state, request_id, verdict, note, unlock(self.key, PASSPHRASE)), str
        )

    def change(self, request_id: str, **fields: Any) -> None:
        """Edit a row as whoever can write to the state folder could."""
        found = approvals.look_up(self.state, request_id)
        assert found is not None
        changed = msgspec.structs.replace(found[0].request, **fields)
        with self.store._connection as connection:
            connection.execute(
                "UPDATE approvals SET body = ? WHERE id = ?",
                (msgspec.json.encode(changed).decode(), request_id),
            )
