"""The gate dies at every numbered step of a call, and at random: nothing acts without a record."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest

from ostiary.store.query import Reader
from ostiary.store.state import find_state
from ostiary.store.verify import verify
from tests.faults.world import RecordingUpstream, digest_of, gate
from tests.needs import size
from tests.proxy.http_world import until

MAX = 30
STEPS = ("reserve", "intent", "send", "response", "commit")


def write_policy(folder: Path, most: int) -> Path:
    limit = {"counter": "runs", "window": "hour", "max": most, "scope": "grant"}
    file = folder / "policy.json"
    file.write_text(json.dumps({"version": "1", "default": "deny", "tools": {"echo": {"limits": [limit]}}}))
    return file


def recorded_intents(state: Path) -> set[str]:
    """Argument digests of every intent on record, each of which is one reservation."""
    reader = Reader(find_state(state))
    try:
        rows = [stored.record for stored in reader.tail(1_000_000)]
    finally:
        reader.close()
    intents = [record for record in rows if record is not None and record.kind == "intent"]
    assert all(len(record.reservations) == 1 for record in intents)
    return {record.args_digest for record in intents}


def assert_nothing_acted_unrecorded(state: Path, upstream: RecordingUpstream) -> set[str]:
    intents = recorded_intents(state)
    unrecorded = [n for n in upstream.reached if digest_of(state, n) not in intents]
    assert unrecorded == []
    assert len(upstream.reached) == len(set(upstream.reached))
    report = verify(find_state(state))
    assert report.problems == ()
    return intents


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_leaves_no_call_unrecorded_and_no_counter_below_the_truth(
    step: str, tmp_path: Path
) -> None:
    """P2.15, P4.5: after the kill the quota goes on exactly where the records say."""

    async def main() -> None:
        state, policy = tmp_path / "state", write_policy(tmp_path, MAX)
        upstream = RecordingUpstream()
        await upstream.start()
        async with gate(state, policy, upstream.port, step=step, count=7) as killed:
            await killed.calls(0, MAX)
            assert await asyncio.wait_for(killed.process.wait(), 5) == -9
        intents = assert_nothing_acted_unrecorded(state, upstream)
        assert len(upstream.reached) >= 6

        async with gate(state, policy, upstream.port) as again:
            answers = await again.calls(1_000, MAX)

        # What was reserved before the kill stays spent, and not one call more is let through.
        assert sum(answers) == MAX - len(intents)
        assert len(upstream.reached) <= MAX
        assert_nothing_acted_unrecorded(state, upstream)
        await upstream.stop()

    asyncio.run(asyncio.wait_for(main(), 40))


@pytest.mark.timeout(size(180, 3_600))  # as many gates start, one after the other
def test_random_kills_under_load_leave_no_call_unrecorded(tmp_path: Path) -> None:
    """P2.15, P4.5: 20 kills (200 at full size) while four clients call as fast as they can."""

    async def main() -> None:
        kills = size(20, 200)
        state, policy = tmp_path / "state", write_policy(tmp_path, 1_000_000)
        upstream = RecordingUpstream()
        await upstream.start()
        dice = random.Random(7)
        for round_ in range(kills):
            async with gate(state, policy, upstream.port) as running:
                first = round_ * 1_000_000
                clients = [
                    asyncio.ensure_future(running.calls(first + 100_000 * k, 100_000)) for k in range(4)
                ]
                if round_ % 2:  # else it may die before it has sent anything
                    before = len(upstream.reached)
                    await until(lambda before=before: len(upstream.reached) > before + 2)
                await asyncio.sleep(dice.uniform(0.0, 0.25))
                running.kill()
                await asyncio.wait_for(asyncio.gather(*clients), 10)
        assert_nothing_acted_unrecorded(state, upstream)
        assert len(upstream.reached) > kills
        await upstream.stop()

    asyncio.run(asyncio.wait_for(main(), size(170, 3_000)))
