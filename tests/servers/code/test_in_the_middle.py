"""What happens to a run in its middle: an approval that ends, a call that is given up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ostiary.policy.formats import approval
from ostiary.policy.formats.length import Span
from ostiary.servers.code import server
from ostiary.servers.code.schemas import USUAL_SECONDS
from ostiary.store.paused import PausedTable
from tests.servers.code.inside import SECONDS, World, code_mode
from tests.servers.code.test_odd_servers import until
from tests.servers.code.test_paused import paused
from tests.weaknesses.world import within

pytestmark = [pytest.mark.timeout(180), pytest.mark.service]

SHORT = "Odd: {default: deny, tools: {told: {}, key: {action: require_approval, approval: {timeout: 5s}}}}"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let policies have requests that end before a test does."""
    monkeypatch.setattr(approval, "TIMEOUT", Span(1, 60, "`1s` to `60s`"))


async def ended(over: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not over():
            await asyncio.sleep(0.02)


def over(world: World, asked: str) -> Callable[[], bool]:
    """Whether the time of a request is over."""
    premises = world.post.premises
    found = premises.asking.source.standing(asked)
    assert found is not None
    return lambda: premises.store.clock.now() > found.request.expires


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("approved", [False, True], ids=["nobody answered", "approved too long ago"])
def test_a_run_whose_approval_has_ended_goes_on_without_the_call(approved: bool, tmp_path: Path) -> None:
    async def main() -> None:
        async with code_mode(tmp_path, rules=SHORT) as world:
            run_id, asked = await paused(world)
            if approved:
                await world.answer(asked, "approve")
            await ended(over(world, asked))
            done = await world.client().ended(run_id)
            calls = [world.told("called told"), world.told("called key")]

        assert "nobody approved the call in time" in done["execution"]["result"], done
        assert done["execution"]["stdout"] == "before\nafter\n"
        assert calls == [1, 0]

    within(main, SECONDS)


@pytest.mark.usefixtures("short")
def test_an_approval_that_ends_while_the_run_is_taken_up_is_not_used_and_asked_for_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with code_mode(tmp_path, rules=SHORT) as world:
            run_id, asked = await paused(world)
            await world.answer(asked, "approve")
            lapsed, take = over(world, asked), PausedTable.take

            def late(self: PausedTable, owner: str, run: str) -> bytes | None:
                found = take(self, owner, run)
                while not lapsed():  # on a thread
                    time.sleep(0.01)
                return found

            monkeypatch.setattr(PausedTable, "take", late)
            again = await world.client().ended(run_id)
            calls = [world.told("called told"), world.told("called key")]

        assert again["status"] == "paused", again
        assert again["waits_for"]["approval_id"] != asked
        assert calls == [1, 0]

    within(main, SECONDS)


@pytest.mark.parametrize("start", ["", "class A(Exception): pass\n"], ids=["monty", "cpython"])
def test_a_call_that_is_not_answered_in_time_is_an_error_and_the_run_goes_on(
    start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BACKSTOP", 2.0 - USUAL_SECONDS)  # the calls end before the run
    script = f"""{start}
said = []
for n in range(2):
    try:
        mcp_Odd_hang()
    except ToolError as error:
        said.append(str(error))
[said, mcp_Odd_echo(text="on")]
"""

    async def main() -> None:
        async with code_mode(tmp_path) as world:
            data = await world.client().run(script)
            await until(lambda: world.told("cancelled") == 2)
            rows = [one for one in await world.rows() if one.server == "Odd" and one.kind == "intent"]

        assert data["result"] == [["Odd: no answer within 2 seconds"] * 2, "on"], data
        assert data["engine"] == ("cpython" if start else "monty")
        assert [one["ok"] for one in data["tool_calls"]] == [False, False, True]
        assert [one.tool for one in rows] == ["hang", "hang", "echo"], rows

    within(main, SECONDS)
