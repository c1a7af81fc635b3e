"""Upstreams over TLS that cannot prove who they are, behind a gate process."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.e2e import world as processes
from tests.http_cases.tls_world import secured, tls_gate
from tests.http_cases.world import called
from tests.proxy.certificates import DAY, Authority
from tests.proxy.http_world import answer
from tests.weaknesses.world import within


@pytest.mark.parametrize("wrong", ["expired", "not valid yet", "other name", "no name", "other authority"])
def test_call_to_an_upstream_that_cannot_prove_who_it_is_is_not_sent(tmp_path: Path, wrong: str) -> None:
    """HTTP case 23: the client is told what is wrong; no byte of the call leaves, and that is on record."""

    async def main() -> None:
        authority = Authority(tmp_path)
        (tmp_path / "other").mkdir()
        hour = timedelta(hours=1)
        shown = {
            "expired": lambda: authority.leaf("up", valid=(-2 * DAY, -hour)),
            "not valid yet": lambda: authority.leaf("up", valid=(hour, DAY)),
            "other name": lambda: authority.leaf("up", names=("127.0.0.2", "example.org")),
            "no name": lambda: authority.leaf("up", names=()),
            "other authority": lambda: Authority(tmp_path / "other", "somebody").leaf("up"),
        }[wrong]()
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's own complaints
        async with secured(shown) as upstream:
            with tls_gate(tmp_path, authority.leaf("gate"), authority.file, upstream.port) as gate:
                reader, writer = await asyncio.open_connection("127.0.0.1", gate.port, ssl=authority.client())
                writer.write(called("c"))
                told = json.loads((await answer(reader))[2])
                assert (told["id"], told["error"]["code"]) == ("c", 4502)
                assert "certificate" in told["error"]["message"]
                assert "127.0.0.1" not in told["error"]["message"].replace(f"`127.0.0.1:{upstream.port}`", "")
                assert upstream.seen == []
                writer.close()
            exported = processes.ostiary("audit", "export", state=gate.state).stdout.splitlines()
            rows = [json.loads(line)["record"] for line in exported]
            assert [row["status"] for row in rows if row["kind"] == "outcome"] == ["not_sent"]

    within(main, 20)
