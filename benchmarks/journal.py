"""Microseconds that the journal costs per call, in the loop, with durability `process`.

A call is an intent with two charges (a sliding window and a slot) and its outcome. Prints one
line for each number of calls that share a tick: the median over rounds of wall time per call.

    python benchmarks/journal.py [rounds]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from ostiary.audit.record import Record
from ostiary.calls.journal import Committed, Entry, Exceeded, Reply
from ostiary.policy.decision import Charge
from ostiary.policy.model import Window
from ostiary.store.opening import open_store
from ostiary.store.state import open_state
from ostiary.store.tick import TickJournal

TOGETHER = (1, 4, 16, 64)


def charges() -> tuple[Charge, Charge]:
    """A window that never fills and a slot that is always free."""
    key = '["local","local","execute","runs",60,[]]'
    window = Charge(key, "/tools/execute/limits/0", Decimal(1), Decimal(10**9), Window(60))
    slot = Charge(
        key + "slot", "/tools/execute/limits/1", Decimal(1), Decimal(10**6), None, lease_seconds=600
    )
    return window, slot


def denied(exceeded: Exceeded) -> Record:
    """What would be written if a limit had no room; it always has."""
    raise AssertionError(exceeded)


def intent(number: int) -> Entry:
    """An entry as the gate would write it."""
    record = Record(
        id=f"ev_{number:026d}",
        ts=time.time_ns() // 1_000,
        kind="intent",
        principal="local",
        grant="local",
        server="a" * 16,
        method="tools/call",
        tool="execute",
        decision="allow",
        revision="sha256:" + "0" * 64,
        args_keys=("code", "timeout"),
        args_digest="hmac-sha256:" + "0" * 64,
    )
    return Entry(record, charges(), denied)


def outcome(number: int) -> Entry:
    """The matching outcome, which frees the slot."""
    record = Record(
        id=f"ev_{number:026d}",
        ts=time.time_ns() // 1_000,
        kind="outcome",
        grant="local",
        tool="execute",
        status="ok",
        http_status=200,
        latency_us=1234,
        bytes=400,
    )
    return Entry(record, returns=(charges()[1],))


async def submit_all(journal: TickJournal, entries: Sequence[Entry]) -> None:
    """Write all entries in one tick and wait for their answers."""
    waiting = len(entries)
    finished = asyncio.get_running_loop().create_future()

    def done(reply: Reply) -> None:
        nonlocal waiting
        if not isinstance(reply, Committed):
            raise TypeError(reply)
        waiting -= 1
        if not waiting:
            finished.set_result(None)

    for entry in entries:
        journal.submit(entry, done)
    await finished


async def measure(folder: Path, rounds: int) -> None:
    """Run and print."""
    store = open_store(open_state(folder))
    journal = TickJournal(store, asyncio.get_running_loop())
    number = 0
    for together in TOGETHER:
        times: list[float] = []
        for _ in range(rounds):
            intents = [intent(number + i) for i in range(together)]
            outcomes = [outcome(number + i) for i in range(together)]
            number += together
            started = time.perf_counter()
            await submit_all(journal, intents)
            await submit_all(journal, outcomes)
            times.append((time.perf_counter() - started) / together)
        print(f"{together:3d} calls in a tick: {statistics.median(times) * 1e6:6.1f} us per call")
    await journal.close()
    store.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), int(sys.argv[1]) if sys.argv[1:] else 500))
