"""Commands on an engine that takes a request and never answers it: they end, and give their places back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count

import pytest

from ostiary.sandbox.bounds import Bounds
from ostiary.sandbox.containers import client, runner
from ostiary.sandbox.containers.client import Client
from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.faults import EngineFault
from ostiary.sandbox.containers.runner import ContainerRunner
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.request import Command, RunRequest
from tests.sandbox.containers.made_up import FOREVER, MadeUpEngine, play

COMMAND = RunRequest(code="", owner="ana", command=Command(container="box", argv=("true",)))
SCRIPT = RunRequest(code="1", owner="ana", command=Command(container="box", script=True))
SHORT_S = 0.05
"""How long the answer that never comes is waited for: too short, whatever else the machine does."""


def _engine(made: Containers) -> Engine:
    numbers = count()
    return Engine(
        ContainerRunner(made), clock=lambda: 0, mint=lambda: f"run-{next(numbers)}", bounds=Bounds(at_once=1)
    )


@pytest.mark.parametrize(
    "asks",
    [
        lambda one: one.ask("GET", "/containers/box/json"),
        lambda one: one.read("/containers/box/logs", 10),
        lambda one: one.upgrade("/exec/a-command/start", {}),
    ],
    ids=["a question", "what is read", "a stream"],
)
def test_an_answer_that_never_begins_is_the_engines_fault(
    monkeypatch: pytest.MonkeyPatch, asks: Callable[[Client], Awaitable[object]]
) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, _: list[str]) -> None:
        monkeypatch.setattr(client, "ANSWER_S", SHORT_S)
        engine.over = engine.begun = FOREVER

        with pytest.raises(EngineFault, match=r"did not answer within 0\.05 s"):
            await asks(made.client)

    play(monkeypatch, scene)


@pytest.mark.parametrize("request_", [COMMAND, SCRIPT], ids=["a command", "a script"])
def test_what_the_engine_never_starts_gives_its_place_back_and_says_why(
    monkeypatch: pytest.MonkeyPatch, request_: RunRequest
) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, _: list[str]) -> None:
        monkeypatch.setattr(client, "ANSWER_S", SHORT_S)
        engine.made = FOREVER
        runs = _engine(made)

        # There is one place: the second run has it only once the first has given it back.
        records = [await runs.run(request_), await runs.run(request_)]
        await runs.close()

        for record in records:
            assert record.status == "killed"
            assert record.error is not None
            assert "did not answer within 0.05 s" in record.error.message

    play(monkeypatch, scene)


@pytest.mark.parametrize("request_", [COMMAND, SCRIPT], ids=["a command", "a script"])
def test_what_the_engine_does_not_start_ends_at_once_when_it_is_cancelled(
    monkeypatch: pytest.MonkeyPatch, request_: RunRequest
) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, _: list[str]) -> None:
        engine.made = FOREVER
        runs = _engine(made)
        run = runs.start(request_)
        await engine.hears("made", 1)

        assert runs.cancel("ana", run)
        record = await runs.ended("ana", run)

        assert record is not None
        assert record.status == "cancelled"
        assert engine.heard == ["made"]  # it was not started after all
        await runs.close()

    play(monkeypatch, scene)


@pytest.mark.parametrize("request_", [COMMAND, SCRIPT], ids=["a command", "a script"])
def test_closing_ends_what_the_engine_does_not_start(
    monkeypatch: pytest.MonkeyPatch, request_: RunRequest
) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, _: list[str]) -> None:
        engine.made = FOREVER
        runs = _engine(made)
        runs.start(request_)
        await engine.hears("made", 1)

        await runs.close()

        assert engine.heard == ["made", "close"]

    play(monkeypatch, scene)


def test_a_cancelled_command_of_which_nobody_knows_whether_it_began_is_said_to_run_perhaps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, _: list[str]) -> None:
        monkeypatch.setattr(runner, "_ENDING_S", 0)
        engine.begun = FOREVER
        runs = _engine(made)
        run = runs.start(COMMAND)
        await engine.hears("begun", 1)

        assert runs.cancel("ana", run)
        record = await runs.ended("ana", run)

        assert record is not None
        assert record.status == "cancelled"
        assert "may run in the container" in " ".join(record.notes)
        await runs.close()

    play(monkeypatch, scene)
