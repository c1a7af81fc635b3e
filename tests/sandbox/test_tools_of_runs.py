"""What the engine does with tools, outputs and pauses: hands them on, and keeps what came of them."""

from __future__ import annotations

import msgspec

from ostiary.sandbox.record import Paused, ToolCall
from ostiary.sandbox.request import Resumption, RunRequest
from ostiary.sandbox.runner import Ended, Job, Tap
from tests.sandbox.fake_runner import FakeRunner, FakeWorker, made_engine, play
from tests.sandbox.toolboxes import Shelf


def test_a_worker_gets_the_tools_and_the_record_what_came_of_them() -> None:
    tools = Shelf({})
    calls = (ToolCall("mcp_A_b", ok=True, ms=1.5), ToolCall("mcp_A_c", ok=False, ms=0.5, why="denied"))

    async def use(worker: FakeWorker, job: Job, tap: Tap) -> Ended:
        assert (job.tools, job.outputs, job.owner) == (tools, ("total",), "ana")
        return Ended(how="returned", outputs={"total": "[1,2]"}, tool_calls=calls)

    async def scene() -> None:
        engine = made_engine(FakeRunner(use))
        record = await engine.run(RunRequest(code="x", owner="ana", tools=tools, outputs=("total",)))

        assert record.status == "success"
        assert (record.outputs, record.tool_calls) == ({"total": "[1,2]"}, calls)
        summary = record.summary()
        assert summary["outputs"] == {"total": "[1,2]"}
        assert summary["tool_calls"] == [
            {"name": "mcp_A_b", "ok": True, "ms": 1.5, "why": ""},
            {"name": "mcp_A_c", "ok": False, "ms": 0.5, "why": "denied"},
        ]
        msgspec.json.encode(record)

    play(scene)


def test_the_summary_of_a_run_without_tools_says_nothing_of_them() -> None:
    async def scene() -> None:
        record = await made_engine(FakeRunner()).run(RunRequest(code="hello", owner="ana"))

        assert list(record.summary()) == [
            "run_id", "engine", "version", "session_id", "session_lost", "status", "exit_code", "signal",
            "stdout", "stderr", "stdout_bytes", "stderr_bytes", "stdout_truncated", "stderr_truncated",
            "result", "error", "artifacts", "usage", "limits", "isolation", "packages", "notes",
        ]  # fmt: skip

    play(scene)


def test_a_paused_run_has_a_record_from_which_another_run_goes_on() -> None:
    seen: list[Resumption | None] = []

    async def wait(worker: FakeWorker, job: Job, tap: Tap) -> Ended:
        seen.append(job.resumes)
        if job.resumes is None:
            return Ended(how="paused", paused=Paused(state=b"there", name="mcp_A_b", ticket="t1"))
        return Ended(how="returned")

    async def scene() -> None:
        runner = FakeRunner(wait)
        engine = made_engine(runner)
        record = await engine.run(RunRequest(code="x", owner="ana"))
        assert (record.status, record.error) == ("paused", None)
        assert record.paused == Paused(state=b"there", name="mcp_A_b", ticket="t1")
        assert "there" not in str(record.summary())

        assert record.paused is not None
        going_on = Resumption(state=record.paused.state, result={"ok": 1})
        after = await engine.run(RunRequest(code="x", owner="ana", resumes=going_on))
        assert after.status == "success"
        assert seen == [None, going_on]
        await engine.close()
        assert not runner.open

    play(scene)
