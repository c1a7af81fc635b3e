"""Two gates on one state directory spend one quota, whatever the durability."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.test_kills import assert_nothing_acted_unrecorded, write_policy
from tests.faults.world import RecordingUpstream, gate

MAX = 40


@pytest.mark.parametrize("durability", ["process", "power"])
def test_two_gates_never_let_more_through_than_one_policy_says(durability: str, tmp_path: Path) -> None:
    """P4.5: exact under processes."""

    async def main() -> None:
        state, policy = tmp_path / "state", write_policy(tmp_path, MAX)
        upstream = RecordingUpstream()
        await upstream.start()
        more = ("--durability", durability)
        async with (
            gate(state, policy, upstream.port, more=more) as one,
            gate(state, policy, upstream.port, more=more) as other,
        ):
            clients = [running.calls(first, MAX) for first, running in ((0, one), (100, other), (200, one))]
            answers = await asyncio.gather(*clients)
        await upstream.stop()

        assert sum(sum(given) for given in answers) == MAX
        assert len(upstream.reached) == MAX
        assert all(len(given) == MAX for given in answers)
        assert_nothing_acted_unrecorded(state, upstream)

    asyncio.run(asyncio.wait_for(main(), 50))
