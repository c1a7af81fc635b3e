"""The composition root of commands that look at a server, or leave a record of what a person did."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import msgspec

from ostiary.audit.record import Record
from ostiary.calls.journal import Entry, NotStored
from ostiary.errors import StoreFault
from ostiary.proxy.exchange import Upstream, nothing
from ostiary.proxy.mint import Mint
from ostiary.proxy.stdio.upstream import StdioUpstream
from ostiary.scan.introspect import Era, Introspection, Manner, Way
from ostiary.scan.introspect import introspect as ask
from ostiary.settings import ProxyOptions
from ostiary.store.clock import BootClock
from ostiary.store.opening import open_store
from ostiary.store.state import StateDir
from ostiary.wiring.network import prepare_network
from ostiary.wiring.proxy import make_upstream, run


def introspect(
    options: ProxyOptions, environ: Mapping[str, str], *, seconds: float, era: Era | None = None
) -> Introspection:
    """Ask the server that `options` lead to for its tools. Raises OstiaryError where that fails."""
    network = prepare_network(options, environ, now)
    if options.upstream_transport == "sse":
        era = "legacy"  # the only one that this transport has
    manner = Manner(options.headers, version("ostiary"), era, seconds)

    async def main() -> Introspection:
        def dial() -> Upstream:
            return make_upstream(options, asyncio.Event(), network, nothing)

        return await ask(Way(dial, _ended), manner)

    return run(main())


def now() -> int:
    """Microseconds since the epoch, for a command that has no store open."""
    return BootClock().now()


def _ended(upstream: Upstream) -> bool:
    return isinstance(upstream, StdioUpstream) and upstream.status is not None


def record_events(state: StateDir, events: Sequence[Record]) -> None:
    """Leave event rows, all or none; `id` and `ts` are filled in. Raises OstiaryError where none can be."""
    store = open_store(state)
    try:
        mint = Mint(store.clock.now)
        entries: list[Entry | None] = [Entry(_dated(event, mint(), store.clock.now())) for event in events]
        replies = store.commit(entries)
    finally:
        store.close()
    for reply in replies:
        if isinstance(reply, NotStored):
            raise StoreFault(f"this could not be recorded, so it was not done: {reply.reason}")


def _dated(event: Record, row: str, now: int) -> Record:
    return msgspec.structs.replace(event, id=row, ts=now)
