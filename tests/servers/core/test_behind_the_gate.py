"""A server of the core as the upstream of a gate in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from ostiary.identity.handles import Handles
from ostiary.proxy.desk import Desk
from ostiary.proxy.door import check_head
from ostiary.proxy.gate import Gate
from ostiary.proxy.http.server import HttpServer
from ostiary.proxy.mint import Mint
from ostiary.servers.core.endpoint import EndpointLimits
from ostiary.servers.core.upstream import BuiltinUpstream
from ostiary.settings import MAX_RATE
from ostiary.store.opening import open_store
from ostiary.store.state import open_state
from ostiary.store.tick import TickJournal
from tests.conformance.suite import REVISIONS, Named, against_server, compared
from tests.needs import needs_npm_program
from tests.servers.core.fixture_server import make_server
from tests.servers.core.served import OURS, over_http
from tests.weaknesses.world import ALLOW_ALL, compiled, door

pytestmark = [pytest.mark.service, pytest.mark.timeout(240)]


_TASKS = Named("failed -> passed", "the gate answers for tasks that nobody has made; the core has none")
BETTER: Mapping[str, Mapping[str, Named]] = {
    "2025-11-25": {},
    "2026-07-28": {
        "tasks-capability-negotiation/sep-2663-tasks-methods-non-declaring": _TASKS,
        "tasks-dispatch-and-envelope/sep-2663-tasks-get-invalid-task-id-32602": _TASKS,
    },
}
"""What ends otherwise through the gate."""


@asynccontextmanager
async def gate(state: Path) -> AsyncIterator[str]:
    """The URL of a gate in front of the fixture of the suite."""
    store = open_store(open_state(state))
    journal = TickJournal(store, asyncio.get_running_loop())
    store.handles.wake, store.handles.hurrying = journal.wake, journal.hurry
    upstream = BuiltinUpstream(make_server(), limits=EndpointLimits(patience=0))
    desk = Desk(
        upstream=upstream,
        journal=journal,
        policy=compiled(ALLOW_ALL),
        server="builtin",
        own_headers=(),
        handles=Handles(store.keys.session),
        digest_key=store.keys.audit,
        mint=Mint(store.clock.now),
        clock=store.clock.now,
        pins=None,
        brake=MAX_RATE,
        board=None,
        shelf=store.handles,
    )
    server = HttpServer(Gate(desk, None), check_head=check_head(door(), lambda: store.healthy))
    _, port = await server.listen("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        await server.close(0)
        await upstream.close()
        desk.book.tasks.close()
        await journal.close()
        store.close()


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_check_of_the_suite_ends_through_the_gate_as_without_it(revision: str, tmp_path: Path) -> None:
    needs_npm_program("conformance")
    alone = over_http(OURS, tmp_path / "alone.log")

    async def through(number: int):
        async with gate(tmp_path / f"state-{number}") as url:
            return await asyncio.to_thread(against_server, url, revision, tmp_path / f"gate-{number}")

    try:
        _, _, found = compared(
            lambda number: (
                against_server(alone.url, revision, tmp_path / f"alone-{number}"),
                uvloop.run(through(number)),
            ),
            BETTER[revision],
        )
    finally:
        alone.stop()

    assert not found, "\n".join(found)
