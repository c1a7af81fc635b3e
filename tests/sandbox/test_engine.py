"""The engine's own promises, on a runner without processes."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from ostiary.errors import GatewayFault
from ostiary.sandbox.engine import Bounds, Busy, Engine
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.run import Underway
from ostiary.sandbox.runner import Ended, Environment
from tests.sandbox.fake_runner import FakeRunner, echo, made_engine, play, until


def asked(code: str, owner: str = "ana", **more) -> RunRequest:
    return RunRequest(code=code, owner=owner, **more)


async def ended(engine: Engine, run_id: str, owner: str = "ana") -> RunRecord:
    while not isinstance(found := engine.status(owner, run_id), RunRecord):
        await asyncio.sleep(0)
    return found


def test_a_run_gives_a_record_that_can_be_read_again() -> None:
    async def scene() -> None:
        engine = made_engine(FakeRunner())

        record = await engine.run(asked("hello"))

        assert (record.status, record.stdout.whole, record.engine, record.run_id) == (
            "success",
            "hello",
            "fake",
            "r1",
        )
        assert record.started == 1_700_000_000_000_000
        assert engine.record("ana", "r1") == engine.status("ana", "r1") == record
        await engine.close()

    play(scene)


def test_the_context_reaches_the_worker_as_json() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner)

        await engine.run(asked("x", context={"y": {"k": [1, 10**30]}}))

        assert runner.made[0].jobs[0].context == b'{"y":{"k":[1,1000000000000000000000000000000]}}'
        await engine.close()

    play(scene)


@pytest.mark.parametrize(
    ("code", "status", "category"),
    [
        ("fine", "success", None),
        ("raise oh", "error", "exception"),
        ("exit 0", "success", None),
        ("exit 3", "error", "exit"),
    ],
)
def test_how_code_ended_is_its_status(code: str, status: str, category: str | None) -> None:
    async def scene() -> None:
        engine = made_engine(FakeRunner())

        record = await engine.run(asked(code))

        assert record.status == status
        assert (record.error.category if record.error else None) == category
        await engine.close()

    play(scene)


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [
        (Ended(how="oom"), "oom", "MemoryLimit"),
        (Ended(how="lost"), "killed", "WorkerLost"),
        (Ended(how="signalled", signal=11), "error", "SIGSEGV"),
        (Ended(how="signalled", signal=24), "timeout", "CpuLimit"),
        (Ended(how="signalled", signal=99), "error", "signal 99"),
    ],
)
def test_how_a_worker_ended_is_told_in_words(how: Ended, status: str, kind: str) -> None:
    async def end(worker, job, tap) -> Ended:
        return how

    async def scene() -> None:
        engine = made_engine(FakeRunner(end))

        record = await engine.run(asked("x"))

        assert record.status == status
        assert record.error is not None
        assert record.error.type == kind
        await engine.close()

    play(scene)


def test_a_run_that_takes_too_long_is_killed_and_keeps_what_it_wrote() -> None:
    async def scene() -> None:
        engine = made_engine(FakeRunner())

        record = await engine.run(asked("wait", limits=Limits(wall_ms=20)))

        assert (record.status, record.stdout.whole) == ("timeout", "waiting")
        assert record.error is not None
        assert "20 ms" in record.error.message
        await engine.close()

    play(scene)


def test_a_run_that_writes_too_much_is_killed() -> None:
    async def scene() -> None:
        engine = made_engine(FakeRunner())

        record = await engine.run(asked("flood", limits=Limits(kept_bytes=10_500, stream_bytes=100)))

        assert record.status == "killed"
        assert len(record.stdout.whole) == 10_500
        assert record.stdout.truncated
        assert len(record.stdout.shown) < 200
        await engine.close()

    play(scene)


def test_no_more_runs_than_places_have_a_worker() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner, Bounds(at_once=2, queue=10))

        ids = [engine.start(asked("wait")) for _ in range(5)]
        await until(lambda: runner.running == 2)
        states = [engine.status("ana", one) for one in ids]
        for one in ids:
            engine.cancel("ana", one)
        records = [await ended(engine, one) for one in ids]

        assert [state.state for state in states if isinstance(state, Underway)] == ["running"] * 2 + [
            "pending"
        ] * 3
        assert runner.most == 2
        assert {record.status for record in records} == {"cancelled"}
        assert len(runner.made) == 2  # a run that is cancelled while it waits never gets a worker
        await engine.close()

    play(scene)


def test_a_full_queue_says_busy_and_takes_runs_again_later() -> None:
    async def scene() -> None:
        engine = made_engine(FakeRunner(), Bounds(at_once=1, queue=1))
        waiting = [engine.start(asked("wait")), engine.start(asked("after"))]

        with pytest.raises(Busy, match="1 runs at once and 1 waiting"):
            engine.start(asked("one too many"))
        engine.cancel("ana", waiting[0])
        await ended(engine, waiting[1])

        assert (await engine.run(asked("again"))).status == "success"
        await engine.close()

    play(scene)


def test_one_owner_leaves_room_in_the_queue_and_is_told_what_it_has_waiting() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner, Bounds(at_once=2, queue=4))
        accepted = [engine.start(asked("wait")) for _ in range(4)]
        await until(lambda: runner.running == 2)

        with pytest.raises(Busy, match="you have 2 runs waiting") as refused:
            engine.start(asked("one too many"))
        others = [engine.start(asked("wait", owner)) for owner in ("bob", "cyd")]
        with pytest.raises(Busy, match=r"^busy: 2 runs at once and 4 waiting"):
            engine.start(asked("too late", "dan"))

        assert refused.value.hint == "try again when some of yours have ended"
        assert len(engine.underway("ana")) == len(accepted)
        assert len(others) == 2
        await engine.close()

    play(scene)


def test_an_owner_who_has_no_place_gets_the_next_one_before_all_that_another_waits_with() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner, Bounds(at_once=2, queue=10))
        ids = [engine.start(asked("wait")) for _ in range(5)]
        await until(lambda: runner.running == 2)
        late = engine.start(asked("wait", "bob"))

        engine.cancel("ana", ids[0])
        await ended(engine, ids[0])
        await until(lambda: runner.running == 2)

        assert isinstance(view := engine.status("bob", late), Underway)
        assert view.state == "running"
        await engine.close()

    play(scene)


def test_cancelling_whoever_waits_kills_the_run() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(engine.run(asked("wait")))
            await until(lambda: runner.running)
            waiting.cancel()

        record = await ended(engine, "r1")

        assert record.status == "cancelled"
        await engine.close()
        assert not runner.open

    play(scene)


def test_a_run_that_is_cancelled_before_it_begins_never_begins() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner)

        run_id = engine.start(asked("x"))
        assert engine.cancel("ana", run_id)

        assert (await ended(engine, run_id)).status == "cancelled"
        assert not runner.made
        await engine.close()

    play(scene)


def test_another_owner_sees_nothing_of_a_run() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner)
        run_id = engine.start(asked("wait"))
        await until(lambda: runner.running)

        assert engine.status("bob", run_id) is None
        assert engine.record("bob", run_id) is None
        assert engine.underway("bob") == ()
        assert not engine.cancel("bob", run_id)
        assert engine.cancel("ana", run_id)
        await ended(engine, run_id)
        assert engine.status("bob", run_id) is None
        assert engine.records("bob") == ()
        assert [one.run_id for one in engine.records("ana")] == [run_id]
        await engine.close()

    play(scene)


def test_partial_output_is_seen_while_a_run_goes_on() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner, Bounds(progress_s=0.01))
        told: list[Underway] = []

        def progress(now: Underway) -> None:
            told.append(now)
            engine.cancel("ana", now.run_id)

        record = await engine.run(asked("wait"), progress=progress)

        assert record.status == "cancelled"
        assert told[0].stdout.whole == "waiting"
        assert told[0].state == "running"
        await engine.close()

    play(scene)


def test_packages_that_cannot_be_had_are_an_install_error_in_the_resolvers_words() -> None:
    async def resolve(code: str, requirements: tuple[str, ...], owner: str) -> Environment:
        raise GatewayFault(f"no version of {requirements[0]} for {owner}")

    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner, resolve=resolve)

        record = await engine.run(asked("x", requirements=("nope",)))

        assert record.status == "install_error"
        assert record.error is not None
        assert record.error.message == "no version of nope for ana"
        assert not runner.made
        await engine.close()

    play(scene)


def test_without_a_resolver_packages_are_refused() -> None:
    async def scene() -> None:
        engine = made_engine(FakeRunner())

        assert (await engine.run(asked("x", requirements=("numpy",)))).status == "install_error"
        await engine.close()

    play(scene)


def test_resolving_can_be_cancelled() -> None:
    async def resolve(code: str, requirements: tuple[str, ...], owner: str) -> Environment:
        await asyncio.Event().wait()
        raise AssertionError

    async def scene() -> None:
        engine = made_engine(FakeRunner(), resolve=resolve)
        run_id = engine.start(asked("x"))
        await asyncio.sleep(0)

        engine.cancel("ana", run_id)

        assert (await ended(engine, run_id)).status == "cancelled"
        await engine.close()

    play(scene)


def test_a_worker_that_cannot_be_made_is_told_in_the_record_and_frees_its_place() -> None:
    class Poor(FakeRunner):
        async def worker(self, limits: Limits, environment: Environment):
            if not environment.packages:
                raise GatewayFault("no room", hint="wait")
            return await super().worker(limits, environment)

    async def resolve(code: str, requirements: tuple[str, ...], owner: str) -> Environment:
        return Environment(None, requirements)

    async def scene() -> None:
        engine = made_engine(Poor(), Bounds(at_once=1), resolve=resolve)

        records = [await engine.run(asked("x")) for _ in range(3)]

        assert {record.status for record in records} == {"killed"}
        assert records[0].error is not None
        assert records[0].error.message == "no room\nhint: wait"
        assert (await engine.run(asked("x", requirements=("a",)))).packages == ("a",)
        await engine.close()

    play(scene)


def test_a_defect_in_a_runner_ends_one_call_and_not_the_engine() -> None:
    async def broken(worker, job, tap) -> Ended:
        if job.code == "bad":
            raise ZeroDivisionError("oh")
        return await echo(worker, job, tap)

    async def scene() -> None:
        told: list[str] = []
        engine = made_engine(FakeRunner(broken), Bounds(at_once=1), on_trouble=told.append)

        with pytest.raises(ZeroDivisionError):
            await engine.run(asked("bad"))

        assert (await engine.run(asked("good"))).status == "success"
        assert told == ["ZeroDivisionError: oh"]
        await engine.close()

    play(scene)


def test_records_go_when_there_are_too_many() -> None:
    async def scene() -> None:
        engine = made_engine(FakeRunner(), Bounds(keep_runs=2))

        for code in ("a", "b", "c"):
            await engine.run(asked(code))

        assert [record.stdout.whole for record in engine.records("ana")] == ["b", "c"]
        assert engine.record("ana", "r1") is None
        await engine.close()

    play(scene)


@pytest.mark.parametrize("bounds", [Bounds(keep_runs=3), Bounds(keep_bytes=8)], ids=["runs", "bytes"])
def test_nobody_pushes_out_the_records_of_another(bounds: Bounds) -> None:
    async def scene() -> None:
        engine = made_engine(FakeRunner(), bounds)

        await engine.run(asked("a"))
        for code in ("b", "c", "d", "e"):
            await engine.run(asked(code, owner="ben"))

        assert [record.stdout.whole for record in engine.records("ana")] == ["a"]
        assert [record.stdout.whole for record in engine.records("ben")][-1:] == ["e"]
        assert engine.record("ben", "r2") is None
        await engine.close()

    play(scene)


def test_closing_kills_what_runs_and_takes_no_more() -> None:
    async def scene() -> None:
        runner = FakeRunner()
        engine = made_engine(runner, Bounds(at_once=1))
        await engine.open()
        ids = [engine.start(asked("wait")) for _ in range(3)]
        await until(lambda: runner.running)

        await engine.close()

        assert [record.status for record in engine.records("ana")] == ["cancelled"] * len(ids)
        assert not runner.open
        with pytest.raises(Busy, match="stopping"):
            engine.start(asked("x"))

    play(scene)


def test_every_answer_goes_to_whoever_asked() -> None:
    async def late(worker, job, tap) -> Ended:
        for _ in range(hash(job.code) % 17):
            await asyncio.sleep(0)
        return await echo(worker, job, tap)

    async def scene() -> None:
        engine = made_engine(FakeRunner(late), Bounds(queue=200))

        records = await asyncio.gather(*(engine.run(asked(f"n{number}")) for number in range(60)))

        assert [record.stdout.whole for record in records] == [f"n{number}" for number in range(60)]
        await engine.close()

    play(scene)


def test_a_record_is_json_without_the_content_of_artifacts() -> None:
    async def scene() -> None:
        engine = made_engine(FakeRunner())

        summary = (await engine.run(asked("x"))).summary()

        assert msgspec.json.decode(msgspec.json.encode(summary))["status"] == "success"
        await engine.close()

    play(scene)
