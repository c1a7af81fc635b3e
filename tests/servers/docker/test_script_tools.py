"""The handlers of the toolset `scripts` over an engine that records what it is asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import jsonschema
import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.containers.faults import (
    EngineFault,
    InstallRefused,
    NoManager,
    NotRunning,
    UnknownContainer,
)
from ostiary.sandbox.containers.found import Found, Installed
from ostiary.sandbox.engine import Busy
from ostiary.sandbox.record import RunRecord, Stream
from ostiary.sandbox.request import RunRequest
from ostiary.servers.core.content import ToolResult
from ostiary.servers.docker import script_tools as tools
from ostiary.servers.docker.script_schemas import DONE
from ostiary.servers.docker.service import Service
from ostiary.servers.docker.work_folder import WorkFolder
from tests.servers.python.records import record
from tests.servers.test_runs import Line, context

MISSING_IN_PODMAN = (
    'Error: runc: exec failed: unable to start container process: exec: "python": executable file not found '
    "in $PATH: OCI runtime attempted to invoke a command that was not found\n"
)
MISSING_IN_GVISOR = (
    'OCI runtime exec failed: executing processes for container: executing command "python x.py" in sandbox: '
    'error finding executable "python" in PATH [/usr/bin /bin]: no such file or directory: unknown\n'
)
MISSING = 'OCI runtime exec failed: exec: "python": executable file not found in $PATH: unknown\n'


def stream(text: str) -> Stream:
    return Stream(text, text, len(text.encode()))


class Engine:
    """Answers each run with the next record, or raises it."""

    def __init__(self, *answers: RunRecord | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[RunRequest] = []

    async def run(self, request: RunRequest, *, progress: Any) -> RunRecord:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Containers:
    """One container called `box`."""

    def __init__(self, *, running: bool = True, installed: Any = None, removed: Any = False) -> None:
        self.running = running
        self.installed = installed or Installed(manager="pip", packages=("x",), exit_code=0)
        self.removed = removed
        self.created: list[str] = []

    async def find(self, owner: str, name: str) -> Found:
        if name != "box":
            raise UnknownContainer("there is no such container")
        return Found(id="i" * 64, name="box", image="python:3", running=self.running, ours=True)

    async def create(self, owner: str, image: str, name: str, tell: Any) -> Found:
        tell("pulling")
        tell("extracting")
        await asyncio.sleep(0.01)
        self.created.append(name)
        return Found(id="i" * 64, name=name, image=image, running=True, ours=True)

    async def install(self, owner: str, name: str, packages: Any, tell: Any) -> Any:
        if isinstance(self.installed, Exception):
            raise self.installed
        if self.installed == "never":
            await asyncio.Event().wait()
        return self.installed

    async def remove(self, owner: str, name: str) -> bool:
        if isinstance(self.removed, Exception):
            raise self.removed
        return self.removed


def call(tool: Any, engine: Any = None, containers: Any = None, **given: Any) -> ToolResult:
    parts: Any = {"engine": engine or Engine(), "containers": containers or Containers()}
    strict = given.pop("strict", False)
    service = Service(**parts, folder=WorkFolder(None), now=lambda: 0.0, strict_errors=strict)
    answer = asyncio.run(tool(service, given, context(given.pop("line", Line()))))
    jsonschema.validate(answer.structured, DONE)
    return answer


def words(answer: ToolResult) -> object:
    return answer.content[0]["text"]


def test_a_script_may_take_a_minute_and_a_command_half_of_one() -> None:
    engine = Engine(record(exit_code=0), record(exit_code=0))

    call(tools.execute_python_script, engine, container_name="box", script_content="x", script_args="a 'b c'")
    call(tools.execute_code, engine, container_name="box", command="ls -la")

    script, command = engine.asked
    assert (script.limits.wall_ms, command.limits.wall_ms) == (60_000, 30_000)
    assert script.command is not None
    assert command.command is not None
    assert (script.code, script.command.script, script.command.argv) == ("x", True, ("a", "b c"))
    assert (command.command.argv, command.command.container) == (("ls", "-la"), "i" * 64)
    assert script.owner == "g"


@pytest.mark.parametrize("said", [MISSING, MISSING_IN_PODMAN, MISSING_IN_GVISOR])
def test_python3_is_tried_only_where_python_has_not_run(said: str) -> None:
    missing = record(status="error", exit_code=127, stderr=stream(said))
    ran = Engine(missing, record(exit_code=0, stdout=stream("2\n")))
    answer = call(tools.execute_code, ran, container_name="box", command="python -c 'print(1+1)'")
    assert words(answer) == "Command output: 2\n"
    assert [one.command.argv[0] for one in ran.asked if one.command] == ["python", "python3"]

    for other in (
        record(status="error", exit_code=127, stdout=stream("it ran\n"), stderr=stream(MISSING)),
        record(status="error", exit_code=127),
        record(status="error", exit_code=1, stderr=stream(MISSING)),
        record(status="error", exit_code=127, stderr=stream("sh: 1: make: not found\n")),
        record(status="error", exit_code=127, stderr=stream(MISSING.replace("python", "make"))),
    ):
        once = Engine(other)
        call(tools.execute_code, once, container_name="box", command="python x.py")
        assert len(once.asked) == 1
    neither = Engine(missing, missing)
    answer = call(tools.execute_code, neither, container_name="box", command="python x.py")
    assert words(answer) == f"Error executing command: {said}"
    assert len(answer.content) == 1


def test_that_the_engine_is_busy_is_an_error_for_every_client() -> None:
    for tool, given in (
        (tools.execute_code, {"command": "id"}),
        (tools.execute_python_script, {"script_content": "x"}),
    ):
        with pytest.raises(Busy):
            call(tool, Engine(Busy("busy")), container_name="box", **given)


@pytest.mark.parametrize(
    ("tool", "given", "begins"),
    [
        (tools.execute_code, {"command": "id"}, "Error executing command: Error response from daemon: "),
        (
            tools.execute_python_script,
            {"script_content": "x"},
            "Error executing Python script: Error response from daemon: ",
        ),
    ],
)
def test_a_container_that_is_away_or_stopped_is_told_in_the_engines_words(
    tool: Any, given: dict[str, str], begins: str
) -> None:
    away = call(tool, container_name="other", **given)
    assert words(away) == f"{begins}No such container: other"
    stopped = call(tool, containers=Containers(running=False), container_name="box", **given)
    assert str(words(stopped)).startswith(begins)
    assert str(words(stopped)).endswith("is not running")
    assert not stopped.is_error
    assert call(tool, container_name="other", strict=True, **given).is_error


@pytest.mark.parametrize(
    ("installed", "told", "code"),
    [
        (NoManager("none"), "No supported package managers found in the container", 1),
        (NotRunning("no"), "Container 'box' is not running or does not exist", 1),
        (UnknownContainer("no"), "Container 'box' is not running or does not exist", 1),
        (InstallRefused("no network", hint="so"), "Error installing dependencies: no network (so)", 1),
        (EngineFault("away"), "Error installing dependencies: away", 1),
        (
            Installed(manager="pip", packages=("x",), exit_code=1, stdout="out", stderr="no such\n"),
            "Error installing dependencies: no such\n",
            1,
        ),
        (
            Installed(manager="pip", packages=("x",), exit_code=124, stderr="late"),
            "Timeout while installing dependencies. Operation took too long.",
            124,
        ),
        ("never", "Timeout while installing dependencies. Operation took too long.", 124),
    ],
)
def test_why_packages_were_not_installed_is_told_as_the_original_tells_it(
    monkeypatch: pytest.MonkeyPatch, installed: Any, told: str, code: int
) -> None:
    if installed == "never":
        monkeypatch.setattr(tools, "INSTALL_S", 0.05)
    added = call(
        tools.add_dependencies,
        containers=Containers(installed=installed),
        container_name="box",
        dependencies="x",
    )
    made = call(
        tools.create_container,
        containers=Containers(installed=installed),
        container_name="box",
        image="python:3",
        dependencies="x",
    )

    assert words(added) == told
    assert added.structured is not None
    assert added.structured["exitCode"] == code
    assert added.structured["timedOut"] is (code == 124)
    assert words(made) == f"Container created with ID: {'i' * 64}\n{told}"


def test_what_was_installed_is_told_as_it_was_asked_for() -> None:
    added = call(tools.add_dependencies, container_name="box", dependencies="x  y")
    made = call(tools.create_container, container_name="box", image="python:3", dependencies="x  y")

    assert words(added) == "Dependencies installed in container 'box': x  y"
    assert words(made) == f"Container created with ID: {'i' * 64}\nDependencies installed: x  y"


def test_packages_that_cannot_be_are_refused_before_a_container_is_made() -> None:
    containers = Containers()

    answer = call(
        tools.create_container, containers=containers, container_name="box", image="i", dependencies="x; id"
    )

    assert containers.created == []
    assert str(words(answer)).startswith("Error creating container: `dependencies` has `x;`")


def test_how_a_container_was_removed_is_told() -> None:
    gone = call(tools.cleanup_container, container_name="box")
    killed = call(tools.cleanup_container, containers=Containers(removed=True), container_name="box")
    failed = call(
        tools.cleanup_container, containers=Containers(removed=CallerFault("no")), container_name="box"
    )

    assert words(gone) == "Container 'box' has been stopped and removed."
    assert words(killed) == "Container 'box' has been forcibly removed after timeout."
    assert words(failed) == "Error cleaning the container: no"


def test_what_making_a_container_is_at_is_told_meanwhile() -> None:
    line = Line()

    call(tools.create_container, container_name="box", image="i", line=line)

    assert [params["message"] for method, params in line.told if method == "progress"] == ["extracting"]
