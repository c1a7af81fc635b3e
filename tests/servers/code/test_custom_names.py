"""The name of a version: it dodges nothing that the policy says about the tool."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.servers.code.inside import World
from tests.servers.code.test_custom_tools import STRICT, doubling, over, within

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]

NOT_AVAILABLE: Final = 'Tool "custom_double.v1" is not available'


@pytest.mark.parametrize(
    "rules",
    [
        "tools: {custom_double: {deny_if: [{conditions: [], reason: never}]}}",
        "tools: {custom_double: {action: deny}}",
        "tools: {custom_double: {limits: [{counter: doubled, window: hour, max: 0}]}}",
        "tools: {Custom_Double: {action: deny}}",
        "tools: {}, hide: [custom_double]",
    ],
    ids=["deny_if", "deny", "limit", "twin", "hide"],
)
def test_what_is_denied_by_its_name_cannot_be_called_by_that_of_a_version(tmp_path: Path, rules: str) -> None:
    async def body(world: World) -> None:
        client = world.client()
        await client.data("createCustomTool", **doubling())
        await client.data("updateCustomTool", deployment_name="double", script="result = number * 3")

        refused = await client.told("custom_double", number=7)
        older = await client.told("custom_double.v1", number=7)
        run = await client.data(
            "submitCustomToolRun", deployment_name="double", input_vars={"number": 7}, version=1
        )

        assert "[POLICY DENIED]" in refused
        assert NOT_AVAILABLE in older
        assert NOT_AVAILABLE in (await over(client, run["run_id"]))["error"]
        inside = await client.run('call_tool("custom_double.v1", {"number": 7})')
        assert "custom_double.v1" in inside["error"]["message"]
        noted = [one for one in await world.events() if one.method == "version-refused"]
        assert [(one.grant, one.server) for one in noted] == [("local", "code")] * 2
        assert "`custom_double.v1`" in noted[0].note

    within(tmp_path, body, code=f"code: {{default: allow, {rules}}}")


def test_no_older_version_is_run_that_the_policy_does_not_name(tmp_path: Path) -> None:
    """A gate in front may have rules about the tool, which this one does not know of."""

    async def body(world: World) -> None:
        client = world.client()
        await client.data("createCustomTool", **doubling())
        await client.data("updateCustomTool", deployment_name="double", script="result = number * 3")

        older = await client.told("custom_double.v1", number=7)
        run = await client.data(
            "submitCustomToolRun", deployment_name="double", input_vars={"number": 7}, version=1
        )

        assert NOT_AVAILABLE in older
        assert "`custom_double.v1` needs an entry of its own in the policy" in older
        assert NOT_AVAILABLE in (await over(client, run["run_id"]))["error"]
        assert (await client.data("custom_double", number=7))["outputs"] == {"result": 21}
        noted = [one for one in await world.events() if one.method == "version-refused"]
        assert len(noted) == 2
        assert "the policy does not name it" in noted[0].note

    within(tmp_path, body)


def test_where_the_policy_only_watches_an_older_version_is_run(tmp_path: Path) -> None:
    async def body(world: World) -> None:
        client = world.client()
        await client.data("createCustomTool", **doubling())
        await client.data("updateCustomTool", deployment_name="double", script="result = number * 3")

        assert (await client.data("custom_double.v1", number=7))["outputs"] == {"result": 14}

    code = "code: {default: allow, tools: {custom_double: {action: deny}}}\nmode: monitor"
    within(tmp_path, body, code=code, monitor=True)


def test_a_version_that_the_policy_names_has_the_rules_of_that_name(tmp_path: Path) -> None:
    small = "{conditions: [{path: args.number, op: lt, value: 10}]}"
    rules = f"custom_double: {{action: deny}}, custom_double.v1: {{require: [{small}]}}"

    async def body(world: World) -> None:
        client = world.client()
        await client.data("createCustomTool", **doubling())
        await client.data("updateCustomTool", deployment_name="double", script="result = number * 3")

        assert (await client.data("custom_double.v1", number=7))["outputs"] == {"result": 14}
        assert "[POLICY DENIED]" in await client.told("custom_double.v1", number=70)
        assert "[POLICY DENIED]" in await client.told("custom_double", number=7)

    within(tmp_path, body, code=f"code: {{default: allow, tools: {{{rules}}}}}")


def test_under_a_policy_that_denies_by_default_no_older_version_can_be_called(tmp_path: Path) -> None:
    rules = f"{STRICT}, updateCustomTool: {{}}, custom_double: {{}}, custom_double.v1: {{}}}}}}"

    async def body(world: World) -> None:
        client = world.client()
        await client.data("createCustomTool", **doubling())
        await client.data("updateCustomTool", deployment_name="double", script="result = number * 3")

        assert (await client.data("custom_double", number=7))["outputs"] == {"result": 21}
        assert f"[POLICY DENIED] {NOT_AVAILABLE}" in await client.told("custom_double.v1", number=7)

    within(tmp_path, body, code=rules)
