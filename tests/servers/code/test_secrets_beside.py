"""Secrets beside what else code mode has: runs that wait for a person, artifacts, records, custom tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.code.test_secrets import KEY, TOKEN, Kept, bounded, kept

pytestmark = [pytest.mark.timeout(180), pytest.mark.service]

HELD = "Odd: {default: allow, tools: {key: {action: require_approval}}}"
ASKING = "mcp_Odd_key(why=1)"


def test_a_run_that_holds_no_secret_waits_for_a_person_where_hosts_are_allowed(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path, rules=HELD) as it:
            data = await it.run(ASKING)
            assert data.get("status") == "paused", data
            await it.world.answer(data["waits_for"]["approval_id"], "approve")
            done = await it.client().ended(data["execution_id"])
            assert done["status"] == "completed", done
            image = await it.run("mcp_Odd_image()")
            assert image["result"]["artifact"].startswith("artifact://"), image

    bounded(main())


@pytest.mark.parametrize("secret", ["KEY", "TOKEN"])
def test_a_run_that_holds_a_secret_never_waits_and_keeps_nothing_beside_itself(
    secret: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with kept(tmp_path, rules=HELD) as it:
            data = await it.run(ASKING, secret)
            image = await it.run("mcp_Odd_image()", secret)
            assert data["success"] is False
            assert "status" not in data
            assert "approve this call" in data["error"]["message"]
            assert "artifact" not in image["result"], image

    bounded(main())


def test_a_value_is_no_name_of_an_argument_since_records_have_those(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            data = await it.run("mcp_Odd_told(**{KEY: 1})", "KEY")
            assert "name of an argument" in data["error"]["message"], data
            assert [one for one in await it.world.rows() if one.parent] == []
            assert (await it.run("mcp_Odd_told(text=KEY)", "KEY"))["success"]
            rows = [one for one in await it.world.rows() if one.parent]
            assert rows
            assert KEY not in repr(rows)

    bounded(main())


def test_code_that_holds_a_value_looks_for_tools_as_other_code_does(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            data = await it.run("[one['name'] for one in list_servers()]", "KEY")
            assert data["result"] == ["Odd"], data

    bounded(main())


async def shared(it: Kept) -> None:
    await it.client().data(
        "createCustomTool",
        script="size = len(TOKEN)",
        deployment_name="sizes",
        description="Tells a size.",
        input_schema={"type": "object", "properties": {}},
        output_variables=["size"],
        required_secrets=["TOKEN"],
        deployment_type="public",
    )


def test_a_custom_tool_says_which_secrets_of_its_caller_it_uses(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            await shared(it)
            other = it.client("other")
            said = (await other.listed())["custom_sizes"]["description"]
            checked = await other.data("validateCustomToolConnection", deployment_name="sizes")
            mine = await it.client().data("validateCustomToolConnection", deployment_name="sizes")
            assert "written by the user `local`" in said
            assert "uses TOKEN of your secrets" in said
            assert (checked["connected"], checked["missing"]) == (False, ["secret TOKEN"])
            assert mine["connected"] is True
            assert "no secret `TOKEN` for you" in await other.told("custom_sizes")
            done = await it.client().data("custom_sizes")
            assert done["outputs"] == {"size": 40}
            assert TOKEN not in repr(done)

    bounded(main())
