"""`ostiary status` counts a limit as the gate does, and says so when little is left of it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from ostiary.audit.record import Record
from ostiary.calls.journal import Entry
from ostiary.cli.near_limits import NearLimit, NearLimits
from ostiary.policy.compile import compile_policy
from ostiary.policy.decide import decide
from ostiary.policy.decision import Question
from ostiary.policy.load import load_text
from ostiary.policy.model import Policy
from ostiary.store.opening import open_store
from ostiary.store.sqlite import SqliteStore
from ostiary.store.state import open_state

POLICY = b"""{"version": "1", "default": "deny", "tools": {"clock": {"limits":
  [{"counter": "rate", "window": "hour", "max": 10, "scope": "grant"}]}}}"""


def taken(store: SqliteStore, policy: Policy, calls: int) -> None:
    compiled = compile_policy(policy)
    for number in range(calls):
        decision = decide(compiled, Question(tool="clock", arguments={}, grant="ana", server="time"))
        record = Record(
            id=f"ev_{number}", ts=store.clock.now(), kind="intent", tool="clock", decision="allow"
        )
        store.commit([Entry(record, decision.charges)])


@pytest.mark.parametrize(("calls", "shown"), [(7, False), (8, True), (10, True)])
def test_a_limit_is_named_from_four_fifths_on(tmp_path: Path, calls: int, shown: bool) -> None:
    """P4.2: the same counters that refuse the eleventh call."""
    file = tmp_path / "policy.json"
    file.write_bytes(POLICY)
    document, _ = load_text(POLICY, file=str(file), unsafe_monitor=False)
    assert document is not None
    assert document.single is not None
    state = open_state(tmp_path / "state")
    store = open_store(state)
    taken(store, document.single, calls)
    gates = [{"server": "time", "policy": str(file), "revision": document.single.revision}]
    counters = NearLimits()

    near = counters.look(state, gates, store.clock.now())

    expected = NearLimit(Decimal(calls), Decimal(10), "/tools/clock/limits/0", "ana")
    assert near == ([expected] if shown else [])
    assert counters.look(state, gates, store.clock.now() + 3_700_000_000) == []
    store.close()


def test_what_cannot_be_known_is_left_out(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    store = open_store(state)
    gates = [{"server": "time", "policy": "(no policy): every call is denied", "revision": "sha256:0"}]

    assert NearLimits().look(state, gates, store.clock.now()) == []
    store.close()
