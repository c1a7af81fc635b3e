"""A gate that is killed has not forgotten what its clients were given."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from ostiary.store.query import Reader
from ostiary.store.state import find_state
from ostiary.store.verify import verify
from tests.faults.world import TOOLS, Gate, RecordingUpstream, gate, read_body

TASK = {"taskId": "t1", "createdAt": "2026-01-01T00:00:00Z", "ttl": 60_000}


class WithTasks(RecordingUpstream):
    """Makes a task of every call; its tasks are done when they are asked for."""

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        method = message["method"]
        if method == "tools/list":
            result: dict[str, Any] = {"tools": TOOLS}
        elif method == "tools/call":
            result = {"task": {**TASK, "status": "working"}}
        else:
            self.reached.append(message["params"]["taskId"])
            result = {**TASK, "status": "completed"}
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}


async def ask(running: Gate, method: str, params: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    head = (
        b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"accept: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        writer.write(head + body)
        return json.loads(await asyncio.wait_for(read_body(reader), 5))
    finally:
        writer.close()


def outcomes(state: Path) -> list[tuple[str, str]]:
    reader = Reader(find_state(state))
    try:
        rows = [stored.record for stored in reader.tail(1_000)]
    finally:
        reader.close()
    return [
        (row.id, f"{row.status} {row.note}".strip())
        for row in rows
        if row is not None and row.kind == "outcome" and row.method == "tools/call"
    ]


def test_a_task_outlives_a_gate_that_is_killed_and_its_end_is_recorded_late(tmp_path: Path) -> None:
    async def main() -> None:
        state, policy = tmp_path / "state", tmp_path / "policy.json"
        policy.write_text(json.dumps({"version": "1", "default": "deny", "tools": {"echo": {}}}))
        upstream = WithTasks()
        await upstream.start()
        async with gate(state, policy, upstream.port) as killed:
            call = {"name": "echo", "arguments": {"n": 1}, "task": {"ttl": 60_000}}
            made = await ask(killed, "tools/call", call)
            assert made["result"]["task"]["taskId"] == "t1", made
            killed.kill()
            assert await asyncio.wait_for(killed.process.wait(), 5) == -9

        async with gate(state, policy, upstream.port) as again:
            assert (await ask(again, "tasks/get", {"taskId": "t2"}))["error"]["code"] == -32602
            assert upstream.reached == []
            answer = await ask(again, "tasks/get", {"taskId": "t1"})
            assert answer["result"]["status"] == "completed"

        (first, crash), (second, end) = outcomes(state)
        assert (first == second, crash, end) == (True, "unknown crash", "ok")
        assert verify(find_state(state)).problems == ()
        await upstream.stop()

    asyncio.run(asyncio.wait_for(main(), 40))
