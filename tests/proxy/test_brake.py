from __future__ import annotations

import asyncio
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from ostiary.proxy.brake import SECOND, WINDOW, Brake
from tests.weaknesses.world import ManualClock, call, within, world

POLICY = {"version": "1", "default": "deny", "tools": {"echo": {}}}


def ignored(grant: str, number: int) -> None: ...


async def admitted(brake: Brake, grant: str = "local") -> bool:
    return brake.admit(grant) is None


@given(st.lists(st.integers(min_value=0, max_value=90 * SECOND), max_size=60), st.integers(1, 5))
def test_no_window_of_a_minute_holds_more_than_the_brake_says(steps: list[int], most: int) -> None:
    """P2.2: counted until wholly outside, so never more."""

    async def main() -> None:
        now = 0
        brake = Brake(most, lambda: now, ignored)
        passed: deque[int] = deque()
        for step in steps:
            now += step
            if await admitted(brake):
                passed.append(now)
        for at in passed:
            assert sum(1 for other in passed if at <= other < at + WINDOW * SECOND) <= most

    asyncio.run(main())


def test_a_grant_that_waits_as_long_as_it_was_told_may_go_on() -> None:
    """P2.2: Retry-After is the truth."""

    async def main() -> None:
        now = 5 * SECOND + 999_999
        brake = Brake(2, lambda: now, ignored)
        assert [await admitted(brake) for _ in range(3)] == [True, True, False]

        wait = brake.admit("local")
        assert wait is not None
        now += (wait - 1) * SECOND
        before = await admitted(brake)
        now += SECOND
        after = await admitted(brake)

        assert (before, after) == (False, True)
        assert wait <= WINDOW + 1

    asyncio.run(main())


def test_one_grant_does_not_brake_another() -> None:
    """P2.2: of one grant."""

    async def main() -> None:
        brake = Brake(1, lambda: SECOND, ignored)

        assert [brake.admit("a"), brake.admit("b")] == [None, None]
        assert brake.admit("a") is not None

    asyncio.run(main())


def test_what_is_beyond_the_brake_is_answered_429_unread_and_leaves_one_row(tmp_path) -> None:
    """P2.2: answered 429 with Retry-After before any policy is asked, one counting record."""

    async def main() -> None:
        async with world(POLICY, tmp_path / "s", tools=["echo"], clock=ManualClock(), brake=3) as gate:
            answers = [await gate.post(call("echo")) for _ in range(3)]
            rows = len(await gate.records())
            turned_away = [
                await gate.post(b"not even JSON"),
                *[await gate.post(call("echo")) for _ in range(4)],
            ]
            gate.desk.brake.tell()
            records = await gate.records()

            assert [answer.status for answer in answers] == [200, 200, 200]
            assert {answer.status for answer in turned_away} == {429}
            assert all(0 < int(answer.headers["retry-after"]) <= WINDOW + 1 for answer in turned_away)
            assert len(gate.upstream.calls) == 3
            assert len(records) == rows + 1
            assert (records[-1].rules, records[-1].count, records[-1].kind) == (("(brake)",), 5, "event")

    within(main)
