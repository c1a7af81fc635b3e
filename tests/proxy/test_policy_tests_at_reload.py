"""A changed policy is tested before it is put in force (P8.2)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.weaknesses.world import deny_but, until, within, world

TESTS = "tests:\n  - {name: echo is there, tool: echo, expect: allow}\n"


def test_a_change_that_fails_its_tests_keeps_the_policy_in_force(tmp_path: Path) -> None:
    """P8.2: and the record says that it was a test, not the policy."""
    file = tmp_path / "policy.json"
    (tmp_path / "policy.tests.yaml").write_text(TESTS)

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s", tools=["echo", "other"]) as gate:
            change = gate.reloader(file)
            before = gate.desk.policy
            change(json.dumps(deny_but("other")).encode())
            while not (rejected := [one for one in await gate.records() if one.method == "policy-rejected"]):
                await asyncio.sleep(0.02)
            assert gate.desk.policy is before
            assert rejected[0].reasons == ("a test of the changed file fails",)
            change(json.dumps(deny_but("echo") | {"hide": ["other"]}).encode())
            await until(lambda: gate.desk.policy is not before)

    within(main)
