"""How many approvals wait for a person."""

from __future__ import annotations

from ostiary.errors import OstiaryError
from ostiary.store.state import StateDir
from ostiary.wiring import approvals

MOST = 1_000


def count_waiting(state: StateDir) -> int | None:
    """How many calls of `state` wait for a person now, or None where that cannot be found out."""
    try:
        return sum(1 for one in approvals.standings(state, MOST, open_only=True) if one.state == "pending")
    except OstiaryError:
        return None
