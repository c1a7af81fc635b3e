"""A process that hammers one limit; run by tests as `python hammer.py STATE NAME CALLS MAX WINDOW`.

Writes `granted ID` after each commit that reserved, so that whoever reads the pipe knows what a
gate would have forwarded by then. `CALLS` of 0 means until killed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from decimal import Decimal
from functools import partial
from pathlib import Path

from ostiary.audit.record import Record
from ostiary.calls.journal import Committed, Entry, Exceeded, NotStored, Reply
from ostiary.policy.decision import Charge
from ostiary.policy.model import Window
from ostiary.store.opening import open_store
from ostiary.store.state import open_state
from ostiary.store.tick import TickJournal
from ostiary.store.upkeep import Intervals


async def main(folder: str, name: str, calls: int, ceiling: int, seconds: int) -> None:
    intervals = Intervals(sync=0.02, look=0.05, checkpoint=0.05, min_free=0)
    store = open_store(open_state(Path(folder)), intervals=intervals, snapshot_rows=500)
    # Whoever holds the lock may be kept from the processor for longer than a gate would wait.
    vars(store)["commit"] = partial(store.commit, wait_ms=10_000)
    journal = TickJournal(store, asyncio.get_running_loop())
    charge = Charge("shared", "/limit", Decimal(1), Decimal(ceiling), Window(seconds))
    write = os.fdopen(os.dup(1), "wb", buffering=0).write
    write(b"ready\n")
    sys.stdin.readline()
    numbers = itertools.count() if not calls else iter(range(calls))

    async def worker() -> None:
        for number in numbers:
            call = f"{name}-{number}"
            answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

            def denied(exceeded: Exceeded, call: str = call) -> Record:
                return Record(id=call, ts=store.clock.now(), kind="denial", decision="deny")

            record = Record(id=call, ts=store.clock.now(), kind="intent", decision="allow")
            journal.submit(Entry(record, (charge,), denied), answered.set_result)
            reply = await answered
            if isinstance(reply, Committed):
                write(f"granted {call}\n".encode())
                ended: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
                done = Record(id=call, ts=store.clock.now(), kind="outcome", status="ok")
                journal.submit(Entry(done), ended.set_result)
                await ended
            elif isinstance(reply, NotStored):
                write(f"failed {reply.reason}\n".encode())

    await asyncio.gather(*(worker() for _ in range(4)))
    await journal.close()
    store.close()
    write(b"done\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])))
