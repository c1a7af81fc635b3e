"""Custom tools: stored after a test, in versions, called as tools, and nobody else's business."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from ostiary.proxy.catalogue import Pins
from ostiary.registry.fingerprint import canonical, digest_of
from tests.servers.code.inside import SECONDS, Client, World, code_mode

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]

SCHEMA: Final = {"type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}}
STRICT: Final = (
    "code: {default: deny, tools: {createCustomTool: {}, submitCustomToolRun: {}, checkRunStatus: {}"
)
PARTS: Final = "searchCustomTools: {}, getCustomToolDetails: {}"


def doubling(name: str = "double", **more: Any) -> dict[str, Any]:
    """The arguments that make a tool which doubles a number."""
    made = {
        "script": "result = number * 2",
        "deployment_name": name,
        "description": "Doubles a number.",
        "input_schema": SCHEMA,
        "output_variables": ["result"],
        "test_input": {"number": 2},
    }
    return {**made, **more}


def within(folder: Path, body: Callable[[World], Awaitable[None]], **more: Any) -> None:
    """Run `body` in a world of its own. The same folder again is the same state after a restart."""

    async def main() -> None:
        async with asyncio.timeout(SECONDS), code_mode(folder, **more) as world:
            await body(world)

    asyncio.run(main())


async def over(client: Client, run: str) -> dict[str, Any]:
    """What became of a background run."""
    async with asyncio.timeout(5):
        while True:
            seen = await client.data("checkRunStatus", run_id=run)
            if seen["status"] != "running":
                return seen
            await asyncio.sleep(0.01)


def test_a_tool_is_tested_stored_listed_and_called(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        client = world.client()
        made = await client.data("createCustomTool", **doubling())
        shown = (await client.listed())["custom_double"]
        called = await client.data("custom_double", number=21)

        assert (made["tool"], made["version"]) == ("custom_double", 1)
        assert made["test"]["outputs"] == {"result": 4}
        assert shown["inputSchema"] == {**SCHEMA, "additionalProperties": False}
        assert shown["description"].startswith(
            "[custom tool, written by the user `local`; version 1, sha256 "
        )
        assert shown["description"].endswith("] Doubles a number.")
        assert called["outputs"] == {"result": 42}
        assert "`numbe` is none of number" in await client.told("custom_double", numbe=1)
        assert "fails at `/number`" in await client.told("custom_double", number="x")
        assert "`number` is missing" in await client.told("custom_double")

    within(tmp_path, body)


def test_an_update_is_a_new_version_and_an_older_one_can_be_called(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        client = world.client()
        first = await client.data("createCustomTool", **doubling())
        before = (await client.listed())["custom_double"]
        second = await client.data("updateCustomTool", deployment_name="double", script="result = number * 3")
        after = (await client.listed())["custom_double"]
        details = await client.data("getCustomToolDetails", deployment_name="double")
        old = await client.data("getCustomToolDetails", deployment_name="double", version=1)

        assert second["version"] == 2
        assert second["digest"] != first["digest"]
        assert before["description"] != after["description"]
        assert [one["version"] for one in details["versions"]] == [2, 1]
        assert (details["script"], old["script"]) == ("result = number * 3", "result = number * 2")
        assert (await client.data("custom_double", number=7))["outputs"] == {"result": 21}
        assert (await client.data("custom_double.v1", number=7))["outputs"] == {"result": 14}
        run = await client.data(
            "submitCustomToolRun", deployment_name="double", input_vars={"number": 7}, version=1
        )
        assert (await over(client, run["run_id"]))["result"]["outputs"] == {"result": 14}

    within(tmp_path, body, code="code: {default: allow, tools: {custom_double.v1: {}}}")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"script": "result = number / 0"}, "its test run failed: ZeroDivisionError"),
        ({"script": "other = number"}, "its test run did not set result"),
        ({"test_input": {}}, "`number` is missing (give test_input)"),
        ({"test_input": {"number": 2, "more": 1}}, "`more` is none of number"),
        ({"script": "result = mcp_Odd_gone()", "mcp_server_names": ["Odd"]}, "there is no tool mcp_Odd_gone"),
        ({"mcp_server_names": ["Nobody"]}, "there is no server `Nobody`"),
    ],
)
def test_what_does_not_work_is_not_saved_and_says_why(
    tmp_path: Path, more: dict[str, Any], said: str
) -> None:
    async def body(world: World) -> None:
        client = world.client()
        assert said in await client.told("createCustomTool", **doubling(**more))
        assert (await client.data("searchCustomTools"))["tools"] == []
        assert "custom_double" not in await client.listed()

    within(tmp_path, body)


def test_a_failing_update_leaves_the_version_that_works(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        client = world.client()
        await client.data("createCustomTool", **doubling())
        told = await client.told("updateCustomTool", deployment_name="double", script="raise ValueError(1)")
        assert "not saved" in told
        assert (await client.data("custom_double", number=2))["version"] == 1

    within(tmp_path, body)


def test_a_private_tool_does_not_exist_for_anybody_else(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        ann, ben = world.client("ann"), world.client("ben")
        await ann.data("createCustomTool", **doubling())
        run = await ann.data("submitCustomToolRun", deployment_name="double", input_vars={"number": 1})

        assert "custom_double" in await ann.listed()
        assert "custom_double" not in await ben.listed()
        assert (await ben.data("searchCustomTools", query="double"))["tools"] == []
        for tool in ("getCustomToolDetails", "updateCustomTool", "deleteCustomTool", "submitCustomToolRun"):
            said = await ben.told(tool, deployment_name="double")
            assert "there is no custom tool `double`" in said
        for tool in ("custom_double", "custom_double.v1"):
            answer = await ben.ask(tool, number=1)
            assert answer.error is not None
            assert "unknown tool" in str(answer.error["message"])
        assert "no run" in await ben.told("checkRunStatus", run_id=run["run_id"])
        assert "the name `double` is taken" in await ben.told("createCustomTool", **doubling())
        assert "the name `DOUBLE` is taken" in await ben.told("createCustomTool", **doubling("DOUBLE"))

    within(tmp_path, body)


def test_a_public_tool_runs_with_the_rights_of_who_calls_it_and_only_its_owner_changes_it(
    tmp_path: Path,
) -> None:
    async def body(world: World) -> None:
        ann, ben = world.client("ann"), world.client("ben")
        script = "result = str(mcp_Odd_key())"
        more = {"script": script, "mcp_server_names": ["Odd"], "deployment_type": "public"}
        await ann.data("createCustomTool", **doubling("look", **more))
        shown = (await ben.listed())["custom_look"]
        details = await ben.data("getCustomToolDetails", deployment_name="look")
        await ben.data("custom_look", number=1)
        rows = [one for one in await world.rows() if one.kind == "intent"]

        assert "written by the user `ann`" in shown["description"]
        assert "script" not in details
        outer = [one for one in rows if one.tool == "custom_look"]
        inner = [one for one in rows if one.server == "Odd" and one.parent == outer[0].id]
        assert [one.grant for one in (*outer, *inner)] == ["ben", "ben"]
        assert "is not yours" in await ben.told("updateCustomTool", deployment_name="look", script="1")
        assert "there is no custom tool" in await ben.told("deleteCustomTool", deployment_name="look")

        await ann.data("updateCustomTool", deployment_name="look", is_code_public=True)
        opened = await ben.data("getCustomToolDetails", deployment_name="look")
        first = await ben.data("getCustomToolDetails", deployment_name="look", version=1)
        assert opened["script"] == script
        assert "script" not in first  # it was not given away when that version was made

        await ann.data("updateCustomTool", deployment_name="look", deployment_type="private")
        assert "custom_look" not in await ben.listed()
        assert (await ben.ask("custom_look.v2", number=1)).error is not None

    within(tmp_path, body)


def test_the_policy_has_an_entry_for_each_tool_and_the_background_does_not_go_round_it(
    tmp_path: Path,
) -> None:
    limited = "custom_double: {limits: [{counter: doubled, window: hour, max: 2}]}"
    code = f"{STRICT}, {PARTS}, {limited}}}}}"

    async def body(world: World) -> None:
        client = world.client()
        await client.data("createCustomTool", **doubling())
        await client.data("createCustomTool", **doubling("triple"))
        listed = await client.listed()
        refused = await client.told("custom_triple", number=1)
        quietly = await client.data("submitCustomToolRun", deployment_name="triple", input_vars={"number": 1})
        assert set(listed) & {"custom_double", "custom_triple"} == {"custom_double"}
        assert "[POLICY DENIED]" in refused
        assert "[POLICY DENIED]" in (await over(client, quietly["run_id"]))["error"]

        await client.data("custom_double", number=1)
        first = await client.data("submitCustomToolRun", deployment_name="double", input_vars={"number": 1})
        assert (await over(client, first["run_id"]))["status"] == "completed"
        again = await client.data("submitCustomToolRun", deployment_name="double", input_vars={"number": 1})
        assert "[POLICY DENIED]" in (await over(client, again["run_id"]))["error"]
        rows = [one for one in await world.rows() if one.tool == "custom_double" and one.kind != "outcome"]
        assert [one.decision for one in rows] == ["allow", "allow", "deny"]
        submitted = [one.id for one in await world.rows() if one.tool == "submitCustomToolRun"]
        assert rows[1].parent in submitted

    within(tmp_path, body, code=code)


def test_tools_and_requests_survive_a_restart(tmp_path: Path) -> None:
    asked = {"name": "Remote", "url": "https://tools.example.org/mcp"}

    async def first(world: World) -> None:
        client = world.client()
        await client.data("createCustomTool", **doubling())
        assert (await client.data("addRemoteMcpServer", **asked))["request"] == 1

    async def second(world: World) -> None:
        client = world.client()
        assert (await client.data("custom_double", number=4))["outputs"] == {"result": 8}
        again = await client.data("addRemoteMcpServer", **asked)
        assert (again["request"], again["status"], again["connected"]) == (1, "pending", False)
        await client.data("deleteCustomTool", deployment_name="double")
        assert "custom_double" not in await client.listed()
        assert (await client.data("createCustomTool", **doubling()))["version"] == 2

    within(tmp_path, first)
    within(tmp_path, second)


def test_locked_pins_take_a_new_version_for_another_definition(tmp_path: Path) -> None:
    pinned: dict[str, str] = {}

    async def first(world: World) -> None:
        await world.client().data("createCustomTool", **doubling())
        listed = await world.client().listed()
        pinned.update({name: digest_of(canonical(one)) for name, one in listed.items()})

    async def second(world: World) -> None:
        client = world.client()
        assert (await client.data("custom_double", number=1))["version"] == 1

        await client.data("updateCustomTool", deployment_name="double", script="result = number * 3")

        told = await client.told("custom_double", number=1)
        run = await client.data("submitCustomToolRun", deployment_name="double", input_vars={"number": 1})
        assert "[POLICY DENIED]" in told
        assert "[POLICY DENIED]" in (await over(client, run["run_id"]))["error"]

    within(tmp_path, first)
    within(tmp_path, second, pins=Pins(pinned))


def test_the_names_of_deployments_are_understood_and_not_listed(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        client = world.client()
        made = await client.data("deployCode", **doubling())
        details = await client.data("getDeploymentDetails", deployment_uuid="double", brief=True)
        checked = await client.data("validateDeploymentConnection", deployment_uuid="double")
        run = await client.data("submitDeploymentRun", deployment_uuid="double", input_vars={"number": 3})

        assert made["tool"] == details["tool"] == "custom_double"
        assert "versions" not in details
        assert checked == {"deployment_name": "double", "connected": True, "missing": []}
        assert (await over(client, run["run_id"]))["result"]["outputs"] == {"result": 6}
        assert not {name for name in await client.listed() if "eploy" in name}

    within(tmp_path, body)


def test_a_tool_whose_servers_are_gone_says_so(tmp_path: Path) -> None:
    more = {"script": "result = str(mcp_Extra_key())", "required_tools": ["mcp_Extra_key"]}

    async def first(world: World) -> None:
        await world.client().data("createCustomTool", **doubling("look", **more))

    async def second(world: World) -> None:
        client = world.client()
        checked = await client.data("validateCustomToolConnection", deployment_name="look")
        assert checked == {"deployment_name": "look", "connected": False, "missing": ["mcp_Extra_key"]}
        assert "there is no tool `mcp_Extra_key`" in await client.told("custom_look", number=1)

    within(tmp_path, first, named="Extra")
    within(tmp_path, second)


def test_of_two_who_make_one_name_at_once_one_gets_it(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        ann, ben = world.client("ann"), world.client("ben")
        asked = (one.ask("createCustomTool", **doubling()) for one in (ann, ben))
        answers = [answer.result or {} for answer in await asyncio.gather(*asked)]
        assert sorted(bool(one.get("isError")) for one in answers) == [False, True]

    within(tmp_path, body)


def test_runs_go_on_while_their_tool_is_updated(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        ann, ben = world.client("ann"), world.client("ben")
        await ann.data("createCustomTool", **doubling(deployment_type="public"))
        await ben.data("custom_double", number=1)

        async def update() -> None:
            for factor in range(3, 6):
                script = f"result = number * {factor}"
                await ann.data("updateCustomTool", deployment_name="double", script=script)

        async def call() -> list[tuple[int, int]]:
            found: list[tuple[int, int]] = []
            for _ in range(30):
                data = await ben.data("custom_double", number=1)
                found.append((data["version"], data["outputs"]["result"]))
            return found

        _, seen = await asyncio.gather(update(), call())
        assert all(result == version + 1 for version, result in seen)
        assert [version for version, _ in seen] == sorted(version for version, _ in seen)

    within(tmp_path, body)


def test_the_gate_ends_while_a_call_in_the_background_hangs(tmp_path: Path) -> None:
    script = "if number:\n    mcp_Odd_hang()\nresult = 1"

    async def body(world: World) -> None:
        client = world.client()
        more = {"script": script, "mcp_server_names": ["Odd"], "test_input": {"number": 0}}
        await client.data("createCustomTool", **doubling("hang", **more))
        run = await client.data("submitCustomToolRun", deployment_name="hang", input_vars={"number": 1})
        while not world.told("called hang"):
            await asyncio.sleep(0.01)
        assert (await client.data("checkRunStatus", run_id=run["run_id"]))["status"] == "running"

    within(tmp_path, body)


def test_a_call_that_a_person_has_to_approve_is_held_under_the_name_of_the_stored_tool(
    tmp_path: Path,
) -> None:
    held = "custom_double: {action: require_approval, approval: {hold: 0s}}"

    async def body(world: World) -> None:
        client = world.client()
        await client.data("createCustomTool", **doubling())
        await client.ask("custom_double", number=1)
        run = await client.data("submitCustomToolRun", deployment_name="double", input_vars={"number": 1})
        assert (await over(client, run["run_id"]))["status"] == "failed"
        rows = [one for one in await world.rows() if one.tool == "custom_double"]
        assert {(one.kind, one.decision) for one in rows} == {("denial", "hold")}

    within(tmp_path, body, code=f"{STRICT}, {PARTS}, {held}}}}}")
