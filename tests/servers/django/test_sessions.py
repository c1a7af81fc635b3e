"""Whose session is whose, and what becomes of a call that is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.bounds import Bounds
from ostiary.sandbox.django.settings import DjangoSettings
from ostiary.servers.core.context import CallContext, Caller
from ostiary.servers.django.shell import ALONE, Options, Shell, session_of
from tests.e2e.driver import PYTHON_2, PYTHON_2_LEGACY, Drivers
from tests.sandbox.fake_runner import FakeRunner, made_engine, play, until
from tests.servers.django.world import Client, OverHttp


class Line:
    """Where notifications go."""

    def __init__(self) -> None:
        self.told: list[Mapping[str, object]] = []

    def notify(self, method: str, params: Mapping[str, object]) -> None:
        self.told.append(params)

    async def ask(self, questions: object) -> Any:
        raise AssertionError("nothing is asked")

    def let_go(self) -> None:
        return


def context(owner: str = "ann", session: str = "", meta: Mapping[str, object] | None = None) -> CallContext:
    caller = Caller(owner=owner, session=session, revision="2025-11-25", modern=not session)
    return CallContext(caller, Line(), meta or {})


def made(runner: FakeRunner, state: Any = "session", **bounds: Any) -> Shell:
    settings = DjangoSettings(settings="mysite.settings", project=Path("/nowhere"), state=state)
    return Shell(made_engine(runner, Bounds(**bounds)), settings, Options(), lambda _: True, tuple)


def test_a_connection_has_a_session_of_its_own_whose_name_does_not_tell_the_connections() -> None:
    shell = made(FakeRunner())

    names = {shell.session(context(session=one), {}) for one in ("first", "second")}
    assert len(names) == 2
    assert not any("first" in name or "second" in name for name in names)
    assert shell.session(context(session=""), {}) == ALONE


def test_a_session_can_be_named_by_an_argument_or_beside_it() -> None:
    shell = made(FakeRunner())

    assert shell.session(context(session="c"), {"session": "mine"}) == "mine"
    assert shell.session(context(meta={"io.ostiary/session": "mine"}), {}) == "mine"
    for bad in ("a b", "../x", 7, "a" * 65, "mcp-0123456789abcdef", session_of("other")):
        with pytest.raises(CallerFault):
            shell.session(context(session="c", meta={"io.ostiary/session": bad}), {})


def test_what_belongs_to_one_owner_does_not_exist_for_another() -> None:
    runner = FakeRunner()
    shell = made(runner)

    async def scene() -> None:
        await shell.run({"code": "x"}, context("ann"))
        await shell.run({"code": "y"}, context("bob"))
        assert [one.code for one in shell.history(context("ann"), {}).steps] == ["x"]
        assert [one.code for one in shell.history(context("bob"), {}).steps] == ["y"]
        assert len(runner.made) == 2
        await shell.engine.close()

    play(scene)


def test_a_session_ends_with_its_connection_and_nothing_of_it_is_left() -> None:
    runner = FakeRunner()
    shell = made(runner)

    async def scene() -> None:
        await shell.run({"code": "x"}, context(session="c"))
        shell.connection_ended("ann", "c")
        assert len(shell.histories) == 0
        assert shell.engine.sessions("ann") == ()
        await shell.engine.close()
        assert not runner.open

    play(scene)


def test_with_state_fresh_there_is_a_history_and_no_session() -> None:
    shell = made(FakeRunner(), "fresh")

    async def scene() -> None:
        await shell.run({"code": "x"}, context())
        assert shell.engine.sessions("ann") == ()
        assert [one.code for one in shell.history(context(), {}).steps] == ["x"]
        await shell.engine.close()

    play(scene)


def test_a_call_that_is_given_up_ends_what_it_ran_and_is_no_part_of_the_history() -> None:
    runner = FakeRunner()
    shell = made(runner)

    async def scene() -> None:
        call = asyncio.get_running_loop().create_task(shell.run({"code": "wait"}, context()))
        await until(lambda: runner.running)
        call.cancel()
        await asyncio.wait({call})
        assert call.cancelled()
        await until(lambda: not runner.open)
        assert shell.history(context(), {}).steps == []
        await shell.engine.close()

    play(scene)


def test_when_there_is_no_room_that_is_said() -> None:
    runner = FakeRunner()
    shell = made(runner, at_once=1, queue=0)

    async def scene() -> None:
        first = asyncio.get_running_loop().create_task(shell.run({"code": "wait"}, context()))
        await until(lambda: runner.running)
        with pytest.raises(CallerFault, match="busy"):
            await shell.run({"code": "x"}, context("bob"))
        runner.made[0].kill()
        await first
        await shell.engine.close()

    play(scene)


def test_progress_is_told_while_a_call_lasts() -> None:
    runner = FakeRunner()
    shell = made(runner, progress_s=0.01)

    async def scene() -> None:
        line = Line()
        caller = Caller(owner="ann", revision="2025-11-25", modern=True)
        asked = CallContext(caller, line, {"progressToken": 1})
        call = asyncio.get_running_loop().create_task(shell.run({"code": "wait"}, asked))
        async with asyncio.timeout(5):
            # It may be told before the first byte has come, too.
            while "running, 7 bytes of output" not in [one["message"] for one in line.told]:
                await asyncio.sleep(0.01)
        runner.made[0].kill()
        await call
        await shell.engine.close()

    play(scene)


def test_a_session_of_an_address_is_short_and_stays_the_same() -> None:
    assert session_of("c") == session_of("c")
    assert len(session_of("c" * 500)) == len("mcp-") + 16


@pytest.mark.timeout(120)
@pytest.mark.service
def test_clients_of_one_gate_do_not_see_each_others_names_or_history(
    clients: Drivers, project: Path, tmp_path: Path
) -> None:
    gate = OverHttp(tmp_path, project)
    try:
        with (
            clients.connect(PYTHON_2_LEGACY, gate.http) as one,
            clients.connect(PYTHON_2_LEGACY, gate.http) as two,
            clients.connect(PYTHON_2, gate.http) as modern,
        ):
            Client(one).execute("x = 1")
            name = Client(one).read("session://current/history")["session"]

            assert Client(one).value("x") == 1
            for other in (two, modern):
                assert Client(other).raised("x")["exc_type"] == "NameError"
                assert Client(other).tool("export_history")["result"] == "# No history to export\n"
                assert "error" in other.ask("resources/read", {"uri": f"session://{name}/history"})
                listed = other.ask("resources/list")["result"]["resources"]
                assert f"session://{name}/history" not in {resource["uri"] for resource in listed}
    finally:
        assert gate.stop() == 0
