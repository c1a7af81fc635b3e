"""How many approvals wait for a person."""

from __future__ import annotations

from ostiary.store.state import StateDir


def count_waiting(state: StateDir) -> int | None:
    """How many calls of `state` wait for a person now, or None where calls are never held.

    Nothing holds a call in this version, so there is nothing to count.
    """
    return None
