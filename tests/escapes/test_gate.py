"""Some of the attempts through the gate itself, sent by an official client."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ostiary.sandbox.isolation.cells import uid_range
from tests.e2e.driver import PYTHON_2, Connection, Drivers, Json, Stdio, text
from tests.escapes.attempt import PRELUDE, Attempt
from tests.escapes.catalogue import ATTEMPTS
from tests.escapes.world import World
from tests.needs import missing
from tests.servers.python.world import CACHE, over_stdio

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]

CHOSEN = (
    "read a file of the host",
    "write into a folder of the host that anybody may write to",
    "start a program of the host",
    "read what only root may, by a program that runs as root whoever starts it",
    "see the gate among the processes",
    "connect to a service of the host",
    "connect to a socket file of the host",
    "become root of a namespace of its own",
    "set up a ring of requests that filters do not see",
    "fork without end",
)
LOOK = """
import os
print(dict(os.environ))
for name in os.listdir('/proc'):
    if name.isdigit():
        for file in ('environ', 'cmdline'):
            try:
                print(open(f'/proc/{name}/{file}').read())
            except OSError as error:
                print(error)
"""
"""Prints every environment and command line that is to be seen."""

TRIED = [one for one in ATTEMPTS if one.name in CHOSEN]


@pytest.fixture(scope="module")
def clients() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()


@pytest.fixture(scope="module")
def host() -> Iterator[World]:
    world = World(CACHE)
    yield world
    world.close()


@pytest.fixture(scope="module")
def token() -> str:
    """What is in the environment of the gates and nowhere else."""
    return secrets.token_hex(16)


def _started(tmp_path_factory: pytest.TempPathFactory, token: str, *options: str) -> Stdio:
    target = over_stdio(tmp_path_factory.mktemp("gate"), *options)
    return replace(target, env={**target.env, "SERVICE_TOKEN": token})


@pytest.fixture(scope="module")
def walled(clients: Drivers, tmp_path_factory: pytest.TempPathFactory, token: str) -> Iterator[Connection]:
    with clients.connect(PYTHON_2, _started(tmp_path_factory, token)) as connection:
        yield connection


@pytest.fixture(scope="module")
def bare(clients: Drivers, tmp_path_factory: pytest.TempPathFactory, token: str) -> Iterator[Connection]:
    if uid_range({}) is None:
        missing("only root can give attempts a user of their own: they would succeed against yours")
    with clients.connect(PYTHON_2, _started(tmp_path_factory, token, "--unsafe-no-isolation")) as connection:
        yield connection


def made(gate: Connection, host: World, attempt: Attempt) -> tuple[Json, bool]:
    """The answer to an attempt, and whether it succeeded."""
    prize = secrets.token_hex(16)
    context: dict[str, Any] = {"host": host.facts(None), "prize": prize}
    answer = gate.call("python_execute", code=PRELUDE + attempt.code, context=context, timeout=5_000)
    kind, _, name = attempt.sign.partition(" ")
    if kind == "written":
        succeeded = any(prize in path.read_text() for path in host.open.iterdir())
    else:
        succeeded = (host.secret[name] if kind == "secret" else prize) in json.dumps(answer)
    host.tidy()
    return answer, succeeded


def answered_as_ever(gate: Connection) -> bool:
    return "as ever" in text(gate.call("python_execute", code="print('as', 'ever')", timeout=5_000))


def test_attempts_succeed_through_a_gate_without_walls(bare: Connection, host: World) -> None:
    for attempt in TRIED:
        answer, succeeded = made(bare, host, attempt)

        assert succeeded, (attempt.name, answer)
        assert answered_as_ever(bare), attempt.name


def test_attempts_are_contained_by_a_gate_with_walls_and_so_is_its_environment(
    walled: Connection, host: World, token: str
) -> None:
    for attempt in TRIED:
        answer, succeeded = made(walled, host, attempt)

        assert not succeeded, (attempt.name, answer)
        assert answered_as_ever(walled), attempt.name

    answer = walled.call("python_execute", code=LOOK, timeout=5_000)
    assert "PATH" in text(answer)
    assert token not in json.dumps(answer)


def test_every_chosen_attempt_is_one_of_the_list() -> None:
    assert len(TRIED) == len(CHOSEN)
