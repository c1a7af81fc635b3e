"""Containers and engines that go away while something runs in them: told at once, and never waited for."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.sandbox.containers import containers
from ostiary.sandbox.containers.found import Found
from ostiary.sandbox.record import RunRecord
from tests.needs import needs_docker, needs_podman
from tests.sandbox.containers.world import PATIENCE_S, World, cli, world
from tests.tools.engines import IMAGES
from tests.tools.engines import Engine as EngineOfItsOwn

pytestmark = pytest.mark.timeout(120)

WAIT = "import time; print('here', flush=True); time.sleep(1311)"


@pytest.fixture(params=["docker", "podman"])
def own(request: pytest.FixtureRequest) -> Iterator[EngineOfItsOwn]:
    """An engine that nobody else uses."""
    (needs_docker if request.param == "docker" else needs_podman)()
    with tempfile.TemporaryDirectory() as folder:  # a short path: those of sockets may not be long
        engine = EngineOfItsOwn(Path(folder) / "e", request.param)
        yield engine
        engine.close()


async def lost(there: World, box: Found, how, argv: tuple[str, ...], what: dict) -> RunRecord:
    """What becomes of a run during which this happens."""
    ids: list[str] = []
    running = asyncio.ensure_future(there.started(box, *argv, on_start=ids.append, **what))
    await asyncio.sleep(0)
    await there.output(ids[0], "here")
    await how()
    async with asyncio.timeout(PATIENCE_S):
        return await running


@pytest.mark.parametrize("script", [False, True])
def test_a_container_that_dies_ends_what_runs_in_it(any_engine: World, script: bool) -> None:
    box = any_engine.create()
    client = any_engine.containers.client

    async def die() -> None:
        inspected = await client.call(lambda api: api.inspect_container(box.id))
        os.kill(inspected["State"]["Pid"], signal.SIGKILL)

    what = {"code": WAIT, "script": True} if script else {}
    argv = () if script else ("python3", "-c", WAIT)
    record = any_engine.do(lost(any_engine, box, die, argv, what))

    assert (record.status, record.stdout.whole, record.exit_code) == ("killed", "here\n", None)
    assert record.error is not None
    assert record.error.type == "ContainerLost"


def test_an_engine_that_is_restarted_ends_what_runs_and_serves_the_next(own: EngineOfItsOwn) -> None:
    with world(own.kind, host=own.url) as there:
        box = there.create()

        async def scene() -> list[RunRecord]:
            ids: list[str] = []
            runs = [
                asyncio.ensure_future(there.started(box, "python3", "-c", WAIT, on_start=ids.append)),
                asyncio.ensure_future(there.started(box, code=WAIT, script=True, on_start=ids.append)),
            ]
            await asyncio.sleep(0)
            for run_id in ids:
                await there.output(run_id, "here")
            own.restart()
            async with asyncio.timeout(PATIENCE_S):
                return list(await asyncio.gather(*runs))

        records = there.do(scene())
        own.up()
        later = there.create()
        assert there.run(later, "echo", "again").stdout.whole == "again\n"
        assert there.script(later, "print('again')").stdout.whole == "again\n"
        there.troubles.clear()

    assert [record.stdout.whole for record in records] == ["here\n", "here\n"]
    assert {record.status for record in records} == {"killed"}


def test_what_does_not_end_by_itself_is_killed_and_that_is_said(
    docker: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = docker.name()
    monkeypatch.setattr(containers, "GRACE_S", 1)
    cli("docker", "run", "-d", "--network=none", "--name", name, IMAGES["busybox"], "sleep", "1321")
    with world("docker", unsafe_any_container=True) as there:
        assert there.do(there.containers.remove("ana", name)) is True


def test_a_run_in_a_container_that_is_gone_is_answered(docker: World) -> None:
    box = docker.create()
    docker.do(docker.containers.remove("ana", box.name))

    for what in ({}, {"code": "print(1)", "script": True}):
        record = docker.do(docker.started(box, *(() if what else ("id",)), **what))
        assert record.error is not None
        assert record.error.type in ("UnknownContainer", "NotRunning")
