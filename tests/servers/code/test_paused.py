"""Approval in the middle of a run: it pauses, is kept sealed, and goes on once, also after a restart."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ostiary.store import paused as paused_table
from tests.servers.code.inside import SECONDS, SECRET, World, code_mode
from tests.weaknesses.world import within

pytestmark = [pytest.mark.timeout(180), pytest.mark.service]

RULES = "Odd: {default: deny, tools: {told: {}, key: {action: require_approval}}}"
OPEN = "Odd: {default: allow, tools: {}}"
SHUT = "Odd: {default: deny, tools: {told: {}}}"
SCRIPT = """
print("before")
first = mcp_Odd_told()
try:
    said = mcp_Odd_key(why="because")
except ToolError as error:
    said = str(error)
print("after")
total = 1
said
"""


async def paused(world: World, script: str = SCRIPT, **more: Any) -> tuple[str, str]:
    """The ids of a run that has paused, and of what it waits for."""
    data = await world.client().run(script, **more)
    assert (data["success"], data.get("status")) == (False, "paused"), data
    waits = data["waits_for"]
    assert waits["tool"] == "mcp_Odd_key"
    assert waits["approval_id"] in waits["how"]
    return data["execution_id"], waits["approval_id"]


def states(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "state" / "ostiary.db", isolation_level=None, timeout=5)


def test_a_held_call_pauses_the_run_and_its_approval_lets_it_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with code_mode(tmp_path, rules=RULES) as world:
            run_id, approval = await paused(world, output_vars=["total"], session_id="s")
            waiting = await world.client().check(run_id)
            assert (waiting["status"], waiting["waits_for"]["approval_id"]) == ("paused", approval)
            assert world.told("called key") == 0
            await world.answer(approval, "approve")
            done = await world.client().ended(run_id)
            rows = await world.rows()
            calls = [world.told("called told"), world.told("called key")]

        data = done["execution"]
        assert done["status"] == "completed", done
        assert (data["result"], data["outputs"], data["execution_id"]) == (len(SECRET), {"total": 1}, run_id)
        assert data["stdout"] == "before\nafter\n"
        assert [one["name"] for one in data["tool_calls"]] == ["mcp_Odd_told", "mcp_Odd_key"]
        assert calls == [1, 1]
        begun = next(row.id for row in rows if row.tool == "executeCode" and row.kind != "outcome")
        behind = [row for row in rows if row.server == "Odd" and row.kind != "outcome"]
        assert len(behind) == 3
        assert {row.parent for row in behind} == {begun}

    within(main, SECONDS)


@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_a_paused_run_goes_on_after_a_restart_of_the_gate(verdict: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with code_mode(tmp_path, rules=RULES) as world:
            run_id, approval = await paused(world)
        async with code_mode(tmp_path, rules=RULES) as world:
            assert (await world.client().check(run_id))["status"] == "paused"
            await world.answer(approval, verdict)
            done = await world.client().ended(run_id)
            calls = [world.told("called told"), world.told("called key")]

        assert done["status"] == "completed", done
        if verdict == "approve":
            assert done["execution"]["result"] == len(SECRET)
        else:
            assert "denied by the person" in done["execution"]["result"]
        assert calls == [1, int(verdict == "approve")]

    within(main, SECONDS)


def test_an_approval_that_was_used_elsewhere_is_told_and_the_call_is_not_made_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with code_mode(tmp_path, rules=RULES) as world:
            run_id, approval = await paused(world)
            await world.answer(approval, "approve")
            await world.client().data("executeTool", name="mcp_Odd_key", arguments={"why": "because"})
            done = await world.client().ended(run_id)
            calls = world.told("called key")

        assert "was used for this call already" in done["execution"]["result"]
        assert calls == 1

    within(main, SECONDS)


def test_of_many_that_go_on_at_once_one_does_and_the_call_is_made_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with code_mode(tmp_path, rules=RULES) as world:
            run_id, approval = await paused(world)
            await world.answer(approval, "approve")
            clients = [world.client() for _ in range(6)]
            found = await asyncio.gather(*(client.ended(run_id) for client in clients))
            calls = [world.told("called told"), world.told("called key")]

        assert calls == [1, 1]
        assert "completed" in {one["status"] for one in found}

    within(main, SECONDS)


def test_a_paused_run_is_its_owners_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with code_mode(tmp_path, rules=RULES) as world:
            run_id, approval = await paused(world)
            await world.answer(approval, "approve")
            other = await world.client("other").check(run_id)
            states(tmp_path).execute("UPDATE paused SET owner = 'other'")
            stolen = await world.client("other").check(run_id)
            calls = world.told("called key")

        assert "no execution" in other["said"]
        assert "was changed in the store" in stolen["said"]
        assert calls == 0

    within(main, SECONDS)


def test_a_state_that_was_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    async def main() -> None:
        async with code_mode(tmp_path, rules=RULES) as world:
            run_id, approval = await paused(world)
            await world.answer(approval, "approve")
            store = states(tmp_path)
            (sealed,) = store.execute("SELECT sealed FROM paused").fetchone()
            for at in (0, 20, len(sealed) // 2, len(sealed) - 1):
                changed = bytearray(sealed)
                changed[at] ^= 1
                store.execute("UPDATE paused SET sealed = ?", (bytes(changed),))
                found = await world.client().check(run_id)
                assert "was changed in the store" in found["said"]
            for other in (b"", b"short", "text", b"\0" * 64):
                store.execute("UPDATE paused SET sealed = ?", (other,))
                assert "was changed in the store" in (await world.client().check(run_id))["said"]
            calls = world.told("called key")
            store.execute("UPDATE paused SET sealed = ?", (sealed,))
            assert (await world.client().ended(run_id))["status"] == "completed"

        assert calls == 0
        assert b"because" not in sealed

    within(main, SECONDS)


@pytest.mark.parametrize(("rules", "calls"), [(SHUT, 0), (OPEN, 1)])
def test_a_policy_that_has_changed_meanwhile_decides_the_call_anew(
    rules: str, calls: int, tmp_path: Path
) -> None:
    async def main() -> None:
        async with code_mode(tmp_path, rules=RULES) as world:
            run_id, approval = await paused(world)
            await world.answer(approval, "approve")
        async with code_mode(tmp_path, rules=rules) as world:
            done = await world.client().ended(run_id)
            told = world.told("called key")

        assert done["status"] == "completed", done
        assert (done["execution"]["result"] == len(SECRET)) is bool(calls)
        assert told == calls

    within(main, SECONDS)


def test_a_run_that_meets_two_held_calls_pauses_twice_and_counts_all_its_calls(tmp_path: Path) -> None:
    script = """
for n in range(47):
    mcp_Odd_told()
mcp_Odd_key(n=1)
mcp_Odd_key(n=2)
mcp_Odd_told()
mcp_Odd_told()
"""

    async def main() -> None:
        async with code_mode(tmp_path, rules=RULES) as world:
            run_id, approval = await paused(world, script)
            await world.answer(approval, "approve")
            again = await world.client().ended(run_id)
            assert again["status"] == "paused", again
            second = again["waits_for"]["approval_id"]
            assert second != approval
            await world.answer(second, "approve")
            done = await world.client().ended(run_id)
            calls = [world.told("called told"), world.told("called key")]

        assert done["status"] == "failed"
        assert done["execution"]["error"]["type"] == "CallLimit"
        assert calls == [48, 2]

    within(main, SECONDS)


def test_an_owner_may_have_so_many_paused_runs_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paused_table, "MAX_RUNS", 2)

    async def main() -> None:
        async with code_mode(tmp_path, rules=RULES) as world:
            client = world.client()
            found = [await client.run(f"mcp_Odd_key(n={n})") for n in range(3)]

        assert [one.get("status") for one in found[:2]] == ["paused"] * 2
        assert found[2]["error"]["type"] == "StateLimit"
        assert "2 runs wait for approval already" in found[2]["error"]["message"]

    within(main, SECONDS)
