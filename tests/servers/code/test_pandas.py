"""pandas in code mode: code that works with tables runs in CPython, with what tools answered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from tests.servers.code.inside import code_mode

pytestmark = [pytest.mark.timeout(300), pytest.mark.service]

INSTALLING: Final = 240.0
"""Seconds: the packages are fetched once on a machine."""
SCRIPT: Final = """
import pandas as pd
said = ('{"team": "a", "hours": 3}', '{"team": "b", "hours": 5}', '{"team": "a", "hours": 4}')
rows = [mcp_Odd_echo(text=text) for text in said]
table = pd.DataFrame(rows)
sums = table.groupby("team")["hours"].sum().to_dict()
print(table.shape)
sums
"""


def test_what_tools_answer_is_a_table_of_pandas(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(INSTALLING), code_mode(tmp_path) as world:
            client = world.client()
            begun = await client.data(
                "asyncExecuteCode",
                script=SCRIPT,
                mcp_server_names=["Odd"],
                additional_imports=["pandas"],
                output_vars=["sums"],
            )
            while (done := await client.check(begun["execution_id"]))["status"] in {"pending", "running"}:
                await asyncio.sleep(0.1)

        run = done["execution"]
        assert (done["status"], run["engine"]) == ("completed", "cpython"), done
        assert run["result"] == {"a": 7, "b": 5}
        assert run["outputs"] == {"sums": {"a": 7, "b": 5}}
        assert run["stdout"] == "(3, 2)\n"
        assert len(run["tool_calls"]) == 3

    asyncio.run(main())
