"""Sessions: bound to an owner and a name, one run at a time, gone when they should be."""

from __future__ import annotations

import asyncio

import pytest

from ostiary.sandbox.engine import Bounds
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.runner import Ended, Environment
from ostiary.sandbox.sessions import Past
from tests.sandbox.fake_runner import FakeRunner, echo, made_engine, play, until


def asked(code: str, owner: str = "ana", session: str = "s", **more) -> RunRequest:
    return RunRequest(code=code, owner=owner, session=session, **more)


def test_runs_of_a_session_share_one_worker_and_are_numbered() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner)

        records = [await engine.run(asked(code)) for code in ("a", "b")]

        assert [record.result.text for record in records if record.result] == ["<cell 1>", "<cell 2>"]
        assert len(runner.made) == 1
        assert engine.history("ana", "s") == (Past(1, "r1", "a", "success"), Past(2, "r2", "b", "success"))
        await engine.close()
        assert not runner.open

    play(scene)


def test_a_run_without_a_session_shares_its_worker_with_nobody() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner)

        for _ in range(3):
            await engine.run(asked("x", session=""))

        assert [len(worker.jobs) for worker in runner.made] == [1, 1, 1]
        await engine.close()

    play(scene)


def test_sessions_of_one_name_and_two_owners_are_two() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner)

        await engine.run(asked("a", "ana"))
        await engine.run(asked("b", "bob"))

        assert len(runner.made) == 2
        assert [past.code for past in engine.history("bob", "s") or ()] == ["b"]
        assert engine.history("eve", "s") is None
        assert [view.name for view in engine.sessions("ana")] == ["s"]
        assert not engine.close_session("eve", "s")
        await engine.close()

    play(scene)


def test_runs_of_one_session_wait_for_each_other() -> None:
    async def slow(worker, job, tap) -> Ended:
        await asyncio.sleep(0.001)
        return await echo(worker, job, tap)

    async def scene() -> None:
        runner = FakeRunner(slow)
        engine = made_engine(runner)

        records = await asyncio.gather(*(engine.run(asked(f"n{number}")) for number in range(6)))

        assert runner.most == 1
        assert [record.stdout.whole for record in records] == [f"n{number}" for number in range(6)]
        await engine.close()

    play(scene)


def test_a_session_that_waits_for_itself_keeps_no_place_from_others() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner, Bounds(at_once=2))
        ids = [engine.start(asked("wait")), engine.start(asked("after"))]
        await until(lambda: runner.running)

        assert (await engine.run(asked("other", session=""))).status == "success"

        engine.cancel("ana", ids[0])
        await engine.drain()
        await engine.close()

    play(scene)


@pytest.mark.parametrize("code", ["wait", "exit 0"])
def test_a_session_whose_worker_ended_is_lost_and_says_so(code: str) -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner)
        await engine.run(asked("a"))

        record = await engine.run(asked(code, limits=Limits(wall_ms=10)))
        history = engine.history("ana", "s")
        again = await engine.run(asked("b"))

        assert record.session_lost
        assert [past.code for past in history or ()] == ["a", code]
        assert not again.session_lost
        assert again.result is not None
        assert again.result.text == "<cell 1>"
        assert len(runner.made) == 2
        await engine.close()
        assert not runner.open

    play(scene)


def test_a_session_nobody_uses_is_closed() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner, Bounds(session_idle_s=0.01))
        await engine.open()
        await engine.run(asked("a"))

        await until(lambda: not runner.open)

        assert engine.sessions("ana") == ()
        await engine.close()

    play(scene)


def test_one_more_session_than_may_be_closes_the_owners_least_used() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner, Bounds(max_sessions=2))

        for name in ("one", "two", "one", "three"):
            await engine.run(asked("x", session=name))

        assert {view.name for view in engine.sessions("ana")} == {"one", "three"}
        await until(lambda: len(runner.open) == 2)
        await engine.close()

    play(scene)


def test_an_owner_cannot_push_out_the_session_of_another() -> None:
    async def scene() -> None:
        engine = made_engine(FakeRunner(), Bounds(max_sessions=1))
        await engine.run(asked("x", "ana"))

        record = await engine.run(asked("x", "bob"))

        assert record.status == "killed"
        assert record.error is not None
        assert "sessions are taken" in record.error.message
        assert len(engine.sessions("ana")) == 1
        await engine.close()

    play(scene)


def test_closing_a_session_ends_what_runs_and_waits_in_it() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner)
        ids = [engine.start(asked(code)) for code in ("wait", "after")]
        await until(lambda: runner.running)

        assert engine.close_session("ana", "s")
        await until(lambda: all(isinstance(engine.status("ana", one), RunRecord) for one in ids))

        assert [record.status for record in engine.records("ana")] == ["cancelled", "cancelled"]
        await until(lambda: not runner.open)
        assert engine.sessions("ana") == ()
        await engine.close()

    play(scene)


def test_a_session_keeps_the_packages_it_began_with() -> None:
    async def resolve(code: str, requirements: tuple[str, ...], owner: str) -> Environment:
        return Environment(f"/cache/{requirements[0]}", requirements) if requirements else Environment()

    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner, resolve=resolve)

        first = await engine.run(asked("x", requirements=("a",)))
        plain = await engine.run(asked("x"))
        other = await engine.run(asked("x", requirements=("b",)))

        assert (first.status, plain.status, other.status) == ("success", "success", "install_error")
        assert plain.packages == ("a",)
        assert len(runner.made) == 1
        await engine.close()

    play(scene)


def test_a_session_that_was_stopped_is_lost_even_if_its_answer_still_came() -> None:
    async def late(worker, job, tap) -> Ended:
        if job.code == "late":
            await worker.ended.wait()
        return await echo(worker, job, tap)

    async def scene() -> None:
        runner = FakeRunner(late)
        engine = made_engine(runner)

        record = await engine.run(asked("late", limits=Limits(wall_ms=10)))
        await engine.run(asked("next"))

        assert (record.status, record.session_lost) == ("success", True)
        assert len(runner.made) == 2
        await engine.close()

    play(scene)
