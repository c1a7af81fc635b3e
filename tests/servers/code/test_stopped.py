"""The emergency stop and code mode: runs that nobody waits for, and runs that wait for a person."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

import pytest

from ostiary.calls.stop import Scope
from ostiary.proxy.mint import Mint
from ostiary.store.switching import switch
from tests.servers.code.inside import SECONDS, SECRET, World, code_mode
from tests.servers.code.test_paused import RULES, paused, states
from tests.weaknesses.world import within

pytestmark = [pytest.mark.timeout(180), pytest.mark.service]

SLEEPS = "mcp_Odd_told()\nimport time\ntime.sleep(300)"
EVERYTHING = [Scope("all"), Scope("grant", "local"), Scope("server", "code")]


async def switched(world: World, way: Literal["on", "off"], scope: Scope) -> None:
    """As `ostiary stop` does, and until the gate in front and that of `Odd`, if it is there, have seen it."""
    seen = "stop-in-force" if way == "on" else "stop-lifted"
    before = [one.method for one in await world.events()].count(seen)
    premises = world.post.premises
    switch(premises.state, way, scope, who="user:t", reason="", mint=lambda clock: Mint(clock)())
    wanted = before + (1 if scope.kind == "server" else len(premises.desks))
    async with asyncio.timeout(5):
        while [one.method for one in await world.events()].count(seen) < wanted:
            await asyncio.sleep(0.02)


async def begun(world: World, script: str) -> str:
    """The id of a run in the background that has called `told`."""
    client = world.client()
    data = await client.data("asyncExecuteCode", script=script, mcp_server_names=["Odd"], timeout=300)
    async with asyncio.timeout(SECONDS):
        while not world.told("called told"):
            await asyncio.sleep(0.02)
    return str(data["execution_id"])


@pytest.mark.parametrize("cpython", [False, True], ids=["monty", "cpython"])
@pytest.mark.parametrize("scope", EVERYTHING, ids=lambda scope: scope.kind)
def test_a_stop_ends_runs_that_nobody_waits_for(scope: Scope, cpython: bool, tmp_path: Path) -> None:
    script = f"class A(Exception): pass\n{SLEEPS}" if cpython else SLEEPS

    async def main() -> None:
        async with code_mode(tmp_path) as world:
            run_id = await begun(world, script)
            await switched(world, "on", scope)
            await switched(world, "off", scope)
            done = await world.client().ended(run_id)

        assert done["status"] == "cancelled", done
        assert done["execution"]["engine"] == ("cpython" if cpython else "monty")

    within(main, SECONDS)


def test_a_stop_of_somebody_else_leaves_a_run_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with code_mode(tmp_path) as world:
            run_id = await begun(world, SLEEPS)
            for scope in (Scope("grant", "other"), Scope("server", "Odd")):
                await switched(world, "on", scope)
            assert (await world.client().check(run_id))["status"] == "running"

    within(main, SECONDS)


@pytest.mark.parametrize("scope", [*EVERYTHING, Scope("server", "Odd")], ids=str)
def test_a_paused_run_is_not_gone_on_with_while_a_stop_covers_it(scope: Scope, tmp_path: Path) -> None:
    async def main() -> None:
        async with code_mode(tmp_path, rules=RULES) as world:
            run_id, approval = await paused(world)
            client = world.client()
            assert (await client.check(run_id))["status"] == "paused"
            await world.answer(approval, "approve")
            await switched(world, "on", scope)
            refused = await client.check(run_id)
            assert "stopped" in str(refused)
            (kept,) = states(tmp_path).execute("SELECT count(*) FROM paused").fetchone()
            assert (kept, world.told("called key")) == (1, 0)
            await switched(world, "off", scope)
            done = await client.ended(run_id)
            calls = [world.told("called told"), world.told("called key")]

        assert done["execution"]["result"] == len(SECRET), done
        assert calls == [1, 1]

    within(main, SECONDS)
