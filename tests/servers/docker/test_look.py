"""The tools that only look, on a real engine, against what the engine's own client says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.driver import PYTHON_2, Connection, Drivers, Json, failed, text
from tests.e2e.world import wait_for
from tests.needs import needs_docker
from tests.servers.docker.world import (
    BUSYBOX,
    PYTHON,
    box,
    called,
    data,
    docker,
    first,
    foreign,
    fresh,
    over_stdio,
)

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]

NOISY = """
import sys, time
print('out', 1)
print('err', 2, file=sys.stderr, flush=True)
print('out', 3, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def clients() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()


@pytest.fixture(scope="module")
def theirs() -> Iterator[str]:
    """A container of somebody else's that the operator allows, with a secret among its variables."""
    name = fresh("theirs")
    options = ("-e", "DB_PASSWORD=hunter2", "-e", "MODE=fast", "-l", "app=web", "--memory=64m")
    docker("run", "-d", "--network=none", "--name", name, *options, PYTHON, "python3", "-c", NOISY)
    wait_for("its last line", lambda: "out 3" in docker("logs", name), 15)
    yield name
    docker("rm", "-fv", name)


@pytest.fixture(scope="module")
def server(clients: Drivers, theirs: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    folder = tmp_path_factory.mktemp("docker")
    target = over_stdio(
        folder, needs_docker(), "--container", theirs, "--grant", fresh(), "--work-folder", str(folder)
    )
    with clients.connect(PYTHON_2, target) as connection:
        yield connection


def rows(*command: str) -> list[Json]:
    """What the engine's own client lists, as JSON."""
    return [json.loads(line) for line in docker(*command, "--format", "{{json .}}").splitlines()]


def listed(server: Connection, tool: str) -> set[str]:
    """The names of the containers that a tool tells of."""
    return {one["name"] for one in data(called(server, tool))["containers"]}


# --- ps -----------------------------------------------------------------------------------------


def test_a_container_is_listed_as_the_engines_client_lists_it(server: Connection, theirs: str) -> None:
    result = called(server, "ps", compact=False)
    (ours,) = [one for one in data(result)["containers"] if one["name"] == theirs]
    (said,) = rows("ps", "-a", "--no-trunc", "--filter", f"name={theirs}")

    assert ours["id"] == said["ID"]
    assert ours["image"] == said["Image"]
    assert ours["state"] == said["State"] == "running"
    assert ours["status"].split()[0] == said["Status"].split()[0] == "Up"
    assert ours["labels"] == {"app": "web"}
    assert ours["networks"] == ["none"]
    assert ours["ports"] == []
    assert f"running    {theirs} ({PYTHON}) labels=1 nets=none" in first(result)


def test_only_what_one_may_use_is_listed(server: Connection, theirs: str) -> None:
    with foreign(fresh("hidden")) as hidden, box(server) as own:
        # One that was removed before may be listed for a moment still.
        wait_for("both and no other", lambda: listed(server, "ps") == {theirs, own})
        for tool, arguments in (
            ("inspect", {"target": hidden}),
            ("inspect", {"target": hidden, "type": "container"}),
            ("logs", {"container": hidden}),
            ("stats", {"containers": [hidden]}),
        ):
            answer = server.call(tool, **arguments)
            assert failed(answer), tool
            unknown = server.call(tool, **json.loads(json.dumps(arguments).replace(hidden, "nobody")))
            assert text(answer).replace(hidden, "nobody") == text(unknown), "the text tells nobody which"


def test_the_arguments_of_ps_have_an_effect(server: Connection, theirs: str) -> None:
    with box(server) as own:
        (newest,) = data(called(server, "ps", last=1))["containers"]
        assert newest["name"] == own
        (sized,) = data(called(server, "ps", size=True, filter="label=app=web"))["containers"]
        assert sized["name"] == theirs
        assert "virtual" in sized["size"]
        assert data(called(server, "ps", filter="status=exited"))["containers"] == []
    answer = server.call("ps", filter="colour=red")
    assert failed(answer)
    assert "keys are" in text(answer)


# --- logs ---------------------------------------------------------------------------------------


def test_what_a_container_wrote_is_told_by_lines_and_by_stream(server: Connection, theirs: str) -> None:
    result = called(server, "logs", container=theirs)

    assert data(result)["stdoutLines"] == ["out 1", "out 3"]
    assert data(result)["stderrLines"] == ["err 2"]
    assert sorted(data(result)["lines"]) == ["err 2", "out 1", "out 3"]
    assert first(result).startswith("3 lines [stdout=2, stderr=1]\n")


def test_the_arguments_of_logs_have_an_effect(server: Connection, theirs: str) -> None:
    assert len(data(called(server, "logs", container=theirs, tail=1))["lines"]) == 1
    limited = data(called(server, "logs", container=theirs, limit=1))
    assert (len(limited["lines"]), limited["isTruncated"]) == (1, True)
    stamped = data(called(server, "logs", container=theirs, timestamps=True))["entries"]
    assert all(entry["timestamp"].endswith("Z") for entry in stamped)
    assert data(called(server, "logs", container=theirs, since="10m"))["lines"] != []
    assert data(called(server, "logs", container=theirs, until="10m"))["lines"] == []
    for arguments in ({"since": "soon"}, {"since": "--follow"}, {"tail": -1}, {"limit": -1}):
        assert failed(server.call("logs", container=theirs, **arguments)), arguments


# --- inspect ------------------------------------------------------------------------------------


def test_a_container_is_described_without_its_secrets(server: Connection, theirs: str) -> None:
    result = called(server, "inspect", target=theirs)
    (said,) = json.loads(docker("inspect", theirs))

    ours = data(result)
    assert ours["id"] == said["Id"][:12]
    assert ours["name"] == theirs
    assert ours["inspectType"] == "container"
    assert ours["state"] == {"status": "running", "running": True, "startedAt": said["State"]["StartedAt"]}
    assert ours["image"] == PYTHON
    assert ours["created"] == said["Created"]
    assert "DB_PASSWORD=[redacted]" in ours["env"]
    assert "MODE=fast" in ours["env"]
    assert ours["cmd"][:2] == ["python3", "-c"]
    assert ours["labels"] == {"app": "web"}
    assert "hunter2" not in json.dumps(result)


def test_an_image_is_described(server: Connection) -> None:
    ours = data(called(server, "inspect", target=PYTHON, type="image"))
    (said,) = json.loads(docker("image", "inspect", PYTHON))

    assert ours["id"] == said["Id"].removeprefix("sha256:")[:12]
    assert ours["repoTags"] == [PYTHON]
    assert ours["size"] == said["Size"]
    assert ours["platform"] == f"{said['Os']}/{said['Architecture']}"
    assert data(called(server, "inspect", target=PYTHON))["inspectType"] == "image"


def test_several_things_are_named_and_the_first_is_described(server: Connection, theirs: str) -> None:
    ours = data(called(server, "inspect", target=[theirs, PYTHON]))

    assert ours["name"] == theirs
    assert [one["inspectType"] for one in ours["relatedTargets"]] == ["container", "image"]


@pytest.mark.parametrize("kind", ["volume", "network"])
def test_what_is_of_the_machine_is_not_described(server: Connection, kind: str) -> None:
    answer = server.call("inspect", target="bridge", type=kind)

    assert failed(answer)
    assert f"{kind}s cannot be inspected here" in text(answer)
    assert "--unsafe-any-container" in text(answer)


def test_the_operator_can_open_everything(clients: Drivers, theirs: str, tmp_path: Path) -> None:
    target = over_stdio(tmp_path, needs_docker(), "--unsafe-any-container", "--grant", fresh())
    with clients.connect(PYTHON_2, target) as server:
        assert theirs in {one["name"] for one in data(called(server, "ps", compact=False))["containers"]}
        assert data(called(server, "inspect", target="host", type="network"))["driver"] == "host"
        assert data(called(server, "exec", container=theirs, command=["true"]))["exitCode"] == 0
    assert "--unsafe-any-container" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"target": "--help"}, "`target` begins with `-`"),
        ({"target": []}, "names 0 things"),
        ({"target": ["a"] * 33}, "names 33 things"),
        ({"target": ""}, "`target` is empty"),
        ({"target": "box", "path": "/etc"}, "is outside the work folder"),
        ({"target": "nobody"}, "there is no container or image"),
        ({"target": "a/../../b"}, "cannot be the name"),
    ],
)
def test_what_cannot_be_inspected_is_refused(server: Connection, arguments: Json, reason: str) -> None:
    answer = server.call("inspect", **arguments)

    assert failed(answer)
    assert reason in text(answer)


# --- stats, images ------------------------------------------------------------------------------


def test_a_sample_is_what_the_engines_client_measures(server: Connection, theirs: str) -> None:
    result = called(server, "stats", containers=[theirs], noTrunc=True)
    (ours,) = data(result)["containers"]
    (said,) = rows("stats", "--no-stream", "--no-trunc", theirs)

    assert ours["id"] == said["ID"]
    assert ours["name"] == said["Name"] == theirs
    assert ours["memoryLimit"] == said["MemUsage"].partition(" / ")[2] == "64MiB"
    assert ours["pids"] == int(said["PIDs"]) == 1
    assert 0 < ours["memoryUsageBytes"] <= ours["memoryLimitBytes"] == 64 << 20
    assert 0 < ours["memoryPercent"] <= 100
    assert f"{theirs} ({ours['id']}) CPU: " in first(result)


def test_without_names_all_that_one_may_use_are_measured(server: Connection, theirs: str) -> None:
    with box(server) as own:
        wait_for("both and no other", lambda: listed(server, "stats") == {theirs, own}, 15)


def test_images_are_listed_as_the_engines_client_lists_them(server: Connection) -> None:
    asked: list[Json] = []

    def both() -> bool:
        """How long ago it was made is told by each as of its own moment."""
        asked[:] = [called(server, "images", reference=PYTHON), *rows("images", PYTHON)]
        return data(asked[0])["images"][0]["created"] == asked[1]["CreatedSince"]

    wait_for("the same time from both", both, 15)
    result, said = asked
    (ours,) = data(result)["images"]

    assert (ours["id"], ours["repository"], ours["tag"]) == (said["ID"], said["Repository"], said["Tag"])
    assert ours["size"] == said["Size"]
    assert f"{PYTHON} ({said['Size']} ~{ours['sizeBytes']}B)" in first(result)
    assert data(called(server, "images", reference="test/*", noTrunc=True))["images"][0]["id"].startswith(
        "sha256:"
    )
    tags = {one["repository"] for one in data(called(server, "images"))["images"]}
    assert {PYTHON.partition(":")[0], BUSYBOX.partition(":")[0]} <= tags
