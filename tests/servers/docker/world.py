"""The containers' server in processes of its own on a real engine, official clients in front."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import jsonschema

from ostiary.servers.docker.server import EXEC_TOOLS, SCRIPT_TOOLS
from tests.e2e.driver import Connection, Json, Stdio, text
from tests.e2e.world import OSTIARY, Gate, state_folder
from tests.needs import UNBRAKED, needs_docker
from tests.servers.python.world import allowing
from tests.tools import engines

OUTPUTS = {offer.name: offer.outputs for offer in (*EXEC_TOOLS, *SCRIPT_TOOLS)}
PYTHON, BUSYBOX = engines.IMAGES["python"], engines.IMAGES["busybox"]

_numbers = itertools.count(1)


def fresh(what: str = "box") -> str:
    """A name that no other container has, of whichever worker."""
    return f"{what}-{os.getpid()}-{next(_numbers)}"


def over_stdio(folder: Path, engine: str, *options: str, env: Mapping[str, str] | None = None) -> Stdio:
    """The server as a client starts it, under a policy that allows everything unless one is named."""
    given = () if "-p" in options else ("-p", str(allowing(folder)))
    state = ("--state-dir", str(state_folder(folder)))
    command = [*OSTIARY, "run", "docker", "--docker-host", engine, *state, *given, *UNBRAKED, *options]
    return Stdio(command, folder / "log", env or {})


def over_http(folder: Path, engine: str, *options: str) -> Gate:
    """The server as an upstream of a gate that listens, under the same policy."""
    environment = {"DOCKER_HOST": engine}
    return Gate(allowing(folder), folder, *UNBRAKED, *options, upstream="builtin:docker", env=environment)


def called(connection: Connection, tool: str, **arguments: Json) -> Json:
    """The result of a call, which fits the schema of its tool whatever it says."""
    answer = connection.driver.reply(
        connection.begin("tools/call", {"name": tool, "arguments": arguments}), 60
    )
    return checked(tool, answer)


def checked(tool: str, answer: Json) -> Json:
    """The result in an answer, which fits the schema of its tool."""
    assert "result" in answer, answer
    result = answer["result"]
    if "structuredContent" in result:
        jsonschema.validate(result["structuredContent"], OUTPUTS[tool])
    else:
        assert result.get("isError") is True, result
    return result


def first(result: Json) -> str:
    """The text that the original would have answered."""
    return result["content"][0]["text"]


def data(result: Json) -> Json:
    """What the answer says to programs."""
    return result["structuredContent"]


@contextmanager
def box(connection: Connection, image: str = PYTHON, name: str = "") -> Iterator[str]:
    """The name of a container of the client's, which is gone afterwards."""
    name = name or fresh()
    made = called(connection, "create_container", image=image, container_name=name)
    assert first(made).startswith("Container created with ID: "), made
    try:
        yield name
    finally:
        gone = called(connection, "cleanup_container", container_name=name)
        assert first(gone).startswith(f"Container '{name}' has been"), gone


@contextmanager
def foreign(name: str, engine: str = "", *options: str) -> Iterator[str]:
    """The name of a container that somebody else has made."""
    docker("run", "-d", "--network=none", "--name", name, *options, PYTHON, "sleep", "600", engine=engine)
    try:
        yield name
    finally:
        docker("rm", "-fv", name, engine=engine)


def docker(*words: str, engine: str = "") -> str:
    """What the engine's own client says."""
    url = engine or needs_docker()
    command = [str(engines.PROGRAMS / "usr/bin/docker"), "-H", url, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


def processes(container: str, word: str, engine: str = "") -> list[str]:
    """The processes in a container whose command line has this word."""
    listed = docker("top", container, "-eo", "pid,args", engine=engine)
    return [line for line in listed.splitlines()[1:] if word in line]


def everything(engine: str = "") -> set[str]:
    """The ids of all containers that there are."""
    return set(docker("ps", "-aq", "--no-trunc", engine=engine).split())


def told(answer: Json) -> str:
    """All of the text of an answer, or what its error says."""
    return text(answer) if "result" in answer else json.dumps(answer)
