"""A gate that is killed at any step of a pause, or of going on after it: nothing is ever done twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ostiary.store.verify import verify
from tests.servers.code.dying import DYING, GOING_ON, PAUSING
from tests.servers.code.inside import SECONDS, SECRET, World, code_mode
from tests.servers.code.test_paused import RULES, SCRIPT, states
from tests.weaknesses.world import within

pytestmark = [pytest.mark.timeout(180), pytest.mark.service]

KEPT = {"once it is kept", "before it is taken", "while it is taken"}
"""Steps after which the run is there, and no other."""
CALLED = {"once its call is answered", "when it is over"}
"""Steps after which its call has been made."""


def killed(folder: Path, step: str) -> str:
    """A gate that was killed there: the id of its run, where it came to tell."""
    command = [sys.executable, "-m", "tests.servers.code.dying", str(folder), step]
    root = DYING.parents[3]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=root)
    assert done.returncode == -signal.SIGKILL, (done.stdout, done.stderr)
    return done.stdout.strip().removeprefix("run ")


def kept(folder: Path) -> list[str]:
    """The ids of the runs that are kept."""
    return [str(run_id) for (run_id,) in states(folder).execute("SELECT id FROM paused")]


async def approved(world: World) -> None:
    """Have what is asked approved, where it is not yet; whose word counts is tested elsewhere."""
    world.post.premises.store.approvals.trust = lambda _: True
    for one in world.post.premises.asking.source.open_of("Odd", "local"):
        if one.state == "pending":
            await world.answer(one.request.id, "approve")


@pytest.mark.parametrize("step", sorted(KEPT))
def test_a_run_that_is_kept_goes_on_once_whenever_its_gate_was_killed(step: str, tmp_path: Path) -> None:
    killed(tmp_path, step)
    (run_id,) = kept(tmp_path)

    async def main() -> None:
        async with code_mode(tmp_path, rules=RULES) as world:
            await approved(world)
            done = await world.client().ended(run_id)
            again = await world.client().ended(run_id)
            calls = [world.told("called told"), world.told("called key")]

        assert done["execution"]["result"] == len(SECRET), done
        assert again == done
        assert done["execution"]["stdout"] == "before\nafter\n"
        assert calls == [1, 1]
        assert verify(world.post.premises.state).ok

    within(main, SECONDS)


@pytest.mark.parametrize("step", sorted(GOING_ON.keys() - KEPT))
def test_a_run_whose_gate_was_killed_while_it_went_on_is_lost_and_says_so(step: str, tmp_path: Path) -> None:
    run_id = killed(tmp_path, step)
    assert kept(tmp_path) == []

    async def main() -> None:
        async with code_mode(tmp_path, rules=RULES) as world:
            await approved(world)
            client = world.client()
            for _ in range(2):
                refused = await client.check(run_id)
                assert f"no execution `{run_id}` is known" in refused["said"]
                assert "what a restart of the gate cut off is lost" in refused["said"]
            before = [world.told("called told"), world.told("called key")]
            anew = await client.run(SCRIPT)
            calls = [world.told("called told"), world.told("called key")]

        assert before == [1, int(step in CALLED)]
        assert calls[0] == 2
        if step in {"once it is taken", "before its call is made"}:  # the approval is there still
            assert (anew["result"], calls[1]) == (len(SECRET), 1)
        else:  # it was used when the call was recorded, whatever became of the call
            assert (anew["status"], calls[1]) == ("paused", before[1])
        assert verify(world.post.premises.state).ok

    within(main, SECONDS)


@pytest.mark.parametrize("step", sorted(PAUSING.keys() - KEPT))
def test_a_run_that_was_not_kept_yet_leaves_nothing_but_what_it_asked(step: str, tmp_path: Path) -> None:
    killed(tmp_path, step)
    assert kept(tmp_path) == []

    async def main() -> None:
        async with code_mode(tmp_path, rules=RULES) as world:
            (asked,) = world.post.premises.asking.source.open_of("Odd", "local")
            client = world.client()
            data = await client.run(SCRIPT)
            assert data["waits_for"]["approval_id"] == asked.request.id
            await approved(world)
            done = await client.ended(data["execution_id"])
            calls = [world.told("called told"), world.told("called key")]

        assert done["execution"]["result"] == len(SECRET), done
        assert calls == [2, 1]

    within(main, SECONDS)
