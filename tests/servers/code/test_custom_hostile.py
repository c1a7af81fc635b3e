"""Custom tools against who would have them run something else than was looked at."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from ostiary.servers.code import background
from tests.servers.code.inside import Client, World
from tests.servers.code.test_custom_tools import doubling, over, within

pytestmark = [pytest.mark.timeout(180), pytest.mark.service]

HELD: Final = (
    "code: {default: allow, tools: {custom_double: {action: require_approval, approval: {hold: 50s}}}}"
)


async def held(world: World, client: Client) -> tuple[asyncio.Task[Any], str]:
    """A call of `custom_double` that waits for a person, and the id of what it waits for."""
    call = asyncio.create_task(client.ask("custom_double", number=1))
    async with asyncio.timeout(5):
        while True:
            waiting = world.post.premises.asking.source.open_of("code", "local")
            if waiting:
                return call, waiting[0].request.id
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("way", ["updated", "made anew"])
def test_a_call_that_was_approved_never_runs_what_was_stored_since(way: str, tmp_path: Path) -> None:
    async def body(world: World) -> None:
        client, other = world.client(), world.client()
        await client.data("createCustomTool", **doubling())
        call, approval = await held(world, client)
        if way == "updated":
            for factor in range(3, 12):  # more versions than it is known of since when they are listed
                script = f"result = number * {factor}"
                await other.data("updateCustomTool", deployment_name="double", script=script)
        else:
            await other.data("deleteCustomTool", deployment_name="double")
            await other.data("createCustomTool", **doubling(script="result = number * 3"))
        await world.answer(approval, "approve")
        answer = await call

        assert answer.result["isError"] is True, answer.result
        assert "does not count any more" in str(answer.result)

    within(tmp_path, body, code=HELD)


def test_an_approval_for_a_stored_tool_is_of_one_version(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        client = world.client()
        await client.data("createCustomTool", **doubling())
        asked = await client.ask("custom_double", number=1)
        (waiting,) = world.post.premises.asking.source.open_of("code", "local")
        await world.answer(waiting.request.id, "approve")
        await client.data("updateCustomTool", deployment_name="double", script="result = number * 3")
        again = await client.ask("custom_double", number=1)

        assert waiting.request.id in str(asked.result)
        assert "A person has to approve this call first" in str(again.result)
        assert waiting.request.id not in str(again.result)

    within(tmp_path, body, code=HELD.replace("50s", "0s"))


def test_of_two_updates_at_once_none_takes_back_what_the_other_changed(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        one, two = world.client(), world.client()
        await one.data("createCustomTool", **doubling())
        answers = await asyncio.gather(
            one.ask("updateCustomTool", deployment_name="double", script="result = number * 3"),
            two.ask("updateCustomTool", deployment_name="double", description="Other words."),
        )
        failed = [str(one.result) for one in answers if one.result and one.result.get("isError")]
        found = await one.data("getCustomToolDetails", deployment_name="double")

        assert all("has version 2 by now" in said for said in failed), failed
        assert found["version"] == 3 - len(failed)
        if not failed:  # they came one after the other
            assert (found["script"], found["description"]) == ("result = number * 3", "Other words.")

    within(tmp_path, body)


def test_what_one_grant_calls_in_the_background_pushes_no_result_of_another_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "MAX_KEPT", 3)

    async def body(world: World) -> None:
        ann, ben = world.client("ann"), world.client("ben")
        await ann.data("createCustomTool", **doubling(deployment_type="public"))
        asked = {"deployment_name": "double", "input_vars": {"number": 1}}
        first = (await ann.data("submitCustomToolRun", **asked))["run_id"]
        await over(ann, first)
        last = ""
        for _ in range(6):
            last = (await ben.data("submitCustomToolRun", **asked))["run_id"]
            await over(ben, last)

        assert (await ann.data("checkRunStatus", run_id=first))["status"] == "completed"
        assert (await ben.data("checkRunStatus", run_id=last))["status"] == "completed"

    within(tmp_path, body)
