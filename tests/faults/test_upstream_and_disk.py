"""The upstream goes down, the disk fills up: the client is told, nothing is lost or let through."""

from __future__ import annotations

import asyncio
import json
import resource
from pathlib import Path
from typing import Any

from ostiary.store.query import Reader
from ostiary.store.state import find_state
from ostiary.store.verify import verify
from tests.faults.test_kills import recorded_intents, write_policy
from tests.faults.world import RecordingUpstream, gate, http_answer, read_body, tool_call


async def ask(port: int, n: int) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(tool_call(n))
    answer = json.loads(await asyncio.wait_for(read_body(reader), 5))
    writer.close()
    return answer


def outcomes(state: Path) -> list[str]:
    reader = Reader(find_state(state))
    try:
        rows = [stored.record for stored in reader.tail(1_000)]
    finally:
        reader.close()
    return [record.status for record in rows if record is not None and record.kind == "outcome"]


class DyingUpstream(RecordingUpstream):
    """Reads a call to its end and hangs up without an answer."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        message = json.loads(await read_body(reader))
        while message["method"] == "tools/list":
            writer.write(http_answer(self._answer(message)))
            await writer.drain()
            message = json.loads(await read_body(reader))
        self.reached.append(message["params"]["arguments"]["n"])
        writer.close()


def test_an_upstream_that_is_down_is_reported_with_the_id_of_the_request(tmp_path: Path) -> None:
    async def main() -> None:
        closed = RecordingUpstream()
        await closed.start()
        await closed.stop()
        async with gate(tmp_path / "state", write_policy(tmp_path, 5), closed.port) as running:
            answer = await ask(running.port, 4)

        assert answer["id"] == 4
        assert answer["result"]["isError"] is True
        assert recorded_intents(tmp_path / "state") == set()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_an_upstream_that_dies_mid_call_leaves_an_unknown_outcome_that_counts(tmp_path: Path) -> None:
    """P4.4: after a byte was written, the call counts."""

    async def main() -> None:
        state, upstream = tmp_path / "state", DyingUpstream()
        await upstream.start()
        async with gate(state, write_policy(tmp_path, 1), upstream.port) as running:
            first = await ask(running.port, 1)
            second = await ask(running.port, 2)
        await upstream.stop()

        assert first["id"] == 1
        assert "error" in first
        assert second["result"]["isError"] is True
        assert upstream.reached == [1]
        assert outcomes(state) == ["unknown"]

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_call_that_never_left_gives_its_quota_back(tmp_path: Path) -> None:
    """P4.4: returned only when no byte was written.

    The policy needs no tool list: reading it anew is what a call after a lost connection begins with.
    """

    async def main() -> None:
        state, upstream = tmp_path / "state", RecordingUpstream()
        await upstream.start()
        policy = write_policy(tmp_path, 2)
        for_all = json.loads(policy.read_text())["tools"]["echo"]
        policy.write_text(json.dumps({"version": "1", "default": "allow", "all_tools": for_all}))
        async with gate(state, policy, upstream.port) as running:
            before = await ask(running.port, 1)
            await upstream.stop()
            for writer in list(upstream.writers):
                writer.close()
            down = await ask(running.port, 2)
            again = RecordingUpstream()
            await again.start(upstream.port)
            after = await ask(running.port, 3)
            over = await ask(running.port, 4)
        await again.stop()

        assert "result" in before
        assert "error" in down
        assert after["result"].get("isError", False) is False
        assert over["result"]["isError"] is True
        assert outcomes(state) == ["ok", "not_sent", "ok"]

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_full_disk_denies_and_loses_nothing(tmp_path: Path) -> None:
    """P2.15: what cannot be recorded is not forwarded."""

    async def main() -> None:
        state, upstream = tmp_path / "state", RecordingUpstream()
        await upstream.start()
        async with gate(state, write_policy(tmp_path, 100_000), upstream.port) as running:
            first = await ask(running.port, 1)
            log = (state / "ostiary.db-wal").stat().st_size
            resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (log + 8_192, log + 8_192))
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            answers = [await running.call(reader, writer, n) for n in range(2, 60)]
            writer.close()

        assert first["result"].get("isError", False) is False
        assert answers[-1] is False
        assert len(upstream.reached) == 1 + sum(answer is True for answer in answers)
        assert len(recorded_intents(state)) >= len(upstream.reached)
        assert verify(find_state(state)).problems == ()
        await upstream.stop()

    asyncio.run(asyncio.wait_for(main(), 40))
