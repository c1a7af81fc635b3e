"""Official clients in front of containers: what they accept, who sees what, and how a call ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ostiary.cli.run import COMMANDS
from ostiary.servers.docker.exec_schemas import DRAFT_7
from tests.conformance.test_inspector import shown
from tests.e2e.driver import KINDS, PYTHON_1, PYTHON_2, Connection, Drivers, Json, Kind, failed, text
from tests.e2e.world import environment, wait_for
from tests.needs import needs_docker, needs_gvisor, needs_podman
from tests.servers.docker.world import (
    OUTPUTS,
    PYTHON,
    box,
    called,
    checked,
    data,
    docker,
    everything,
    first,
    fresh,
    over_http,
    over_stdio,
    processes,
)

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]


@pytest.fixture(scope="module")
def clients() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()


def shell(connection: Connection, container: str, code: str, **more: Json) -> Json:
    return called(connection, "exec", container=container, command=["python3", "-c", code], **more)


def every_kind_of_answer(server: Connection) -> None:
    """Success, failure, time-out and truncation of both toolsets: a client that objects raises a fault."""
    listed = {tool["name"]: tool for tool in server.ask("tools/list")["result"]["tools"]}
    assert set(listed) == set(OUTPUTS)
    assert listed["exec"]["inputSchema"]["$schema"] == DRAFT_7
    with box(server) as name:
        assert first(shell(server, name, "print(1)")) == "Exec succeeded\n1\n"
        assert data(shell(server, name, "raise SystemExit(3)"))["exitCode"] == 3
        assert data(called(server, "exec", container=name, command=["nothing"]))["exitCode"] == 127
        assert data(called(server, "exec", container="nobody", command=["id"]))["exitCode"] == 1
        assert data(shell(server, name, "import time; time.sleep(592)", timeout=1_000))["timedOut"] is True
        assert data(shell(server, name, "print('x' * 20_000)"))["isTruncated"] is True
        assert data(shell(server, name, "print('{}')", parseJson=True))["json"] == {}
        for tool in ("ps", "images", "stats", "list_containers"):
            assert called(server, tool)["isError"] is False
        assert called(server, "logs", container=name)["isError"] is False
        assert data(called(server, "inspect", target=name))["name"] == name
        script = {"container_name": name, "script_content": "print(2)"}
        assert first(called(server, "execute_python_script", **script)) == "Command output: 2\n"
        broken = called(server, "execute_python_script", container_name=name, script_content="1/0")
        assert "ZeroDivisionError" in first(broken)
        assert (
            data(called(server, "execute_code", container_name=name, command="python3 -V"))["exitCode"] == 0
        )
        refused = server.call("exec", container=name, command="id")
        assert failed(refused)
        assert "list of strings" in text(refused)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_official_clients_accept_every_kind_of_answer(clients: Drivers, kind: Kind, tmp_path: Path) -> None:
    target = over_stdio(tmp_path, needs_docker(), "--grant", fresh())
    with clients.connect(kind, target) as server:
        every_kind_of_answer(server)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_official_clients_work_over_http_with_the_server_behind_a_gate(
    clients: Drivers, kind: Kind, tmp_path: Path
) -> None:
    gate = over_http(tmp_path, needs_docker(), "--grant", fresh())
    try:
        with clients.connect(kind, gate.http) as server:
            every_kind_of_answer(server)
    finally:
        assert gate.stop() == 0


def test_the_names_of_the_server_are_those_that_were_asked_for(clients: Drivers, tmp_path: Path) -> None:
    target = over_stdio(tmp_path, needs_docker(), "--naming", "prefixed", "--toolset", "exec")
    with clients.connect(PYTHON_2, target) as server:
        names = {tool["name"] for tool in server.ask("tools/list")["result"]["tools"]}
        assert names == {f"docker_{name}" for name in ("exec", "ps", "logs", "inspect", "stats", "images")}
        answer = server.call("exec", container="nobody", command=["id"])
        assert "No such container: nobody" in text(answer)


# --- the gate -----------------------------------------------------------------------------------


def test_under_the_default_policy_the_eleventh_run_of_a_minute_is_denied(
    clients: Drivers, tmp_path: Path
) -> None:
    policy = str(COMMANDS["docker"].policy)
    with (
        clients.connect(PYTHON_2, over_stdio(tmp_path, needs_docker(), "-p", policy)) as server,
        box(server) as name,
    ):
        for number in range(10):
            assert data(shell(server, name, f"print({number})"))["stdout"] == f"{number}\n"
        denied = server.call("exec", container=name, command=["true"])
        assert "POLICY DENIED" in json.dumps(denied)
        assert data(called(server, "ps"))["containers"], "what only looks goes on"
        unknown = server.call("docker_exec", container=name, command=["true"])
        assert "POLICY DENIED" in json.dumps(unknown)


def test_grants_do_not_see_each_others_containers_and_runs(clients: Drivers, tmp_path: Path) -> None:
    one, other = (tmp_path / "one", tmp_path / "other")
    one.mkdir()
    other.mkdir()
    with (
        clients.connect(PYTHON_2, over_stdio(one, needs_docker(), "--grant", fresh("one"))) as mine,
        clients.connect(PYTHON_2, over_stdio(other, needs_docker(), "--grant", fresh("other"))) as theirs,
        box(mine) as name,
    ):
        assert name in first(called(mine, "list_containers"))
        assert name not in first(called(theirs, "list_containers"))
        assert data(called(theirs, "ps"))["containers"] == []
        assert "No such container" in data(called(theirs, "exec", container=name, command=["id"]))["stderr"]
        identity = docker("inspect", name, "--format", "{{.Id}}").strip()
        for spelling in (name, identity, identity[:12]):
            for tool in ("cleanup_container", "add_dependencies"):
                arguments = {"container_name": spelling, "dependencies": "x"}
                wanted = {key: arguments[key] for key in ("container_name",)} | (
                    {"dependencies": "x"} if tool == "add_dependencies" else {}
                )
                assert data(called(theirs, tool, **wanted))["exitCode"] == 1
        assert failed(theirs.call("inspect", target=name))
        run = shell(mine, name, "print('secret')")["_meta"]["io.ostiary/run"]["run_id"]
        assert "result" in mine.ask("resources/read", {"uri": f"run://{run}/stdout"})
        assert "error" in theirs.ask("resources/read", {"uri": f"run://{run}/stdout"})


# --- how a call ends ----------------------------------------------------------------------------


@contextmanager
def raw(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The server as a process that is spoken to in lines, after the handshake of the older era."""
    command = list(over_stdio(folder, needs_docker(), "--grant", fresh()).command)
    with (folder / "raw.log").open("w") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment()
        )
    try:
        info = {"name": "t", "version": "1"}
        say(process, 0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=info)
        heard(process, 0)
        say(process, None, "notifications/initialized")
        yield process
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        assert process.wait(20) == 0
        process.stdout.close()


def say(process: subprocess.Popen[str], number: int | None, method: str, **params: object) -> None:
    message = {"jsonrpc": "2.0", "method": method, "params": params} | (
        {} if number is None else {"id": number}
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str], number: int) -> None:
    """Wait for the answer to a request."""
    assert process.stdout is not None
    while True:
        message = json.loads(process.stdout.readline())
        if message.get("id") == number and "method" not in message:
            return


@pytest.mark.parametrize("tool", ["exec", "execute_python_script"])
def test_cancelling_a_call_ends_its_process_in_the_container(tool: str, tmp_path: Path) -> None:
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(591)'])"
    name = fresh()
    arguments = {
        "exec": {"container": name, "command": ["python3", "-c", code]},
        "execute_python_script": {"container_name": name, "script_content": code},
    }[tool]
    with raw(tmp_path) as server:
        made = {"image": PYTHON, "container_name": name}
        say(server, 1, "tools/call", name="create_container", arguments=made)
        heard(server, 1)
        say(server, 2, "tools/call", name=tool, arguments=arguments)
        wait_for("the process", lambda: len(processes(name, "sleep(591)")) > 0, 10)

        say(server, None, "notifications/cancelled", requestId=2)

        wait_for("its end", lambda: processes(name, "sleep(591)") == [])
        say(server, 3, "tools/call", name="cleanup_container", arguments={"container_name": name})
        heard(server, 3)


@pytest.mark.parametrize("kind", [PYTHON_2, PYTHON_1], ids=lambda kind: kind.name)
def test_a_client_that_leaves_ends_its_process_in_the_container(
    clients: Drivers, kind: Kind, tmp_path: Path
) -> None:
    gate = over_http(tmp_path, needs_docker(), "--grant", fresh())
    try:
        with clients.connect(PYTHON_2, gate.http) as stays, box(stays) as name:
            leaves = clients.connect(kind, gate.http)
            command = ["python3", "-c", "import time; time.sleep(590)"]
            leaves.begin("tools/call", {"name": "exec", "arguments": {"container": name, "command": command}})
            wait_for("the process", lambda: len(processes(name, "sleep(590)")) == 1, 10)

            leaves.close()

            wait_for("its end", lambda: processes(name, "sleep(590)") == [])
    finally:
        assert gate.stop() == 0


def test_a_server_that_ends_leaves_no_container_behind(clients: Drivers, tmp_path: Path) -> None:
    name = fresh()
    with clients.connect(PYTHON_2, over_stdio(tmp_path, needs_docker(), "--grant", fresh())) as server:
        called(server, "create_container", image=PYTHON, container_name=name)
        made = docker("inspect", name, "--format", "{{.Id}}").strip()
    wait_for("the end of its container", lambda: made not in everything(), 15)


# --- without an engine, and before one is needed ------------------------------------------------


def test_without_an_engine_tools_are_listed_and_calls_say_what_is_missing(
    clients: Drivers, tmp_path: Path
) -> None:
    nowhere = f"unix://{tmp_path}/nothing.sock"
    with clients.connect(PYTHON_2, over_stdio(tmp_path, nowhere)) as server:
        assert len(server.ask("tools/list")["result"]["tools"]) == 12
        answer = server.call("exec", container="web", command=["id"])
        assert failed(answer)
        assert "nothing.sock" in text(answer)
        listed = server.call("list_containers")
        assert text(listed).startswith("Error listing containers: ")
        assert not failed(listed)


def test_nothing_of_an_engines_client_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys\nimport ostiary.wiring.docker\n"
        "print([name for name in ('docker', 'requests', 'urllib3', 'django') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )

    assert done.stdout == "[]\n"


# --- other engines ------------------------------------------------------------------------------


def main_cases(server: Connection, engine: str) -> None:
    """What matters most, on an engine that is not the usual one."""
    with box(server) as name:
        assert first(shell(server, name, "print(1+1)")) == "Exec succeeded\n2\n"
        assert data(shell(server, name, "raise SystemExit(3)"))["exitCode"] == 3
        assert data(called(server, "exec", container=name, command=["nothing"]))["exitCode"] == 127
        # It begins and prints before its time is over, also where another kernel stands in between.
        late = shell(server, name, "import time; print('half', flush=True); time.sleep(589)", timeout=6_000)
        assert data(late) == {"exitCode": 124, "stdout": "half\n", "stderr": "", "timedOut": True}
        script = {"container_name": name, "script_content": 'import sys\nprint("it\'s", sys.argv[1:])'}
        answer = called(server, "execute_python_script", **script, script_args="a 'b c'")
        assert first(answer) == "Command output: it's ['a', 'b c']\n"
        left = shell(server, name, COUNT)
        assert data(left)["stdout"].strip() == "0", "the one that was late is gone"
        assert name in first(called(server, "list_containers"))
        assert data(called(server, "inspect", target=name))["state"]["running"] is True
        assert name in {one["name"] for one in data(called(server, "ps"))["containers"]}
        assert data(called(server, "images"))["images"]
        assert called(server, "logs", container=name)["isError"] is False
        assert data(called(server, "stats", containers=[name]))["containers"][0]["name"] == name
    assert data(called(server, "exec", container=name, command=["id"]))["exitCode"] == 1


COUNT = """
import os
lines = [open(f"/proc/{pid}/cmdline").read() for pid in os.listdir("/proc") if pid.isdigit()]
print(sum("sleep" + "(589)" in line for line in lines))
"""


def test_podman_serves_as_well(clients: Drivers, tmp_path: Path) -> None:
    engine = needs_podman()
    with clients.connect(PYTHON_2, over_stdio(tmp_path, engine, "--grant", fresh())) as server:
        main_cases(server, engine)


def test_gvisor_stands_between_a_container_and_the_kernel_where_it_is_asked_for(
    clients: Drivers, tmp_path: Path
) -> None:
    engine = needs_gvisor()
    with clients.connect(
        PYTHON_2, over_stdio(tmp_path, engine, "--runtime", "runsc", "--grant", fresh())
    ) as server:
        main_cases(server, engine)
        with box(server) as name:
            assert docker("inspect", name, "--format", "{{.HostConfig.Runtime}}") == "runsc\n"


def test_a_busy_server_says_so(clients: Drivers, tmp_path: Path) -> None:
    with (
        clients.connect(PYTHON_2, over_stdio(tmp_path, needs_docker(), "--grant", fresh())) as server,
        box(server) as name,
    ):
        command = ["python3", "-c", "import time; time.sleep(588)"]
        arguments = {"container": name, "command": command, "timeout": 1_000}
        begun = [server.begin("tools/call", {"name": "exec", "arguments": arguments}) for _ in range(60)]
        told = [server.driver.reply(number, 90) for number in begun]
        turned_away = [answer for answer in told if failed(answer)]
        # Not all the others: by the time that the last was sent some of the first may be over.
        assert len(turned_away) >= 4, "4 run, and of one owner 16 wait"
        words = "you have 16 runs waiting, and the room that is left in the queue is for others"
        assert all(words in text(answer) for answer in turned_away)
        assert all(data(checked("exec", answer))["timedOut"] for answer in told if not failed(answer))


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_lists_and_calls_the_tools(era: str, tmp_path: Path) -> None:
    gate = over_http(tmp_path, needs_docker(), "--grant", fresh())
    token = f"Authorization: Bearer {gate.http.token}"
    (tmp_path / "stdio").mkdir()
    targets = (
        [gate.http.url, "--transport", "http", "--header", token],
        [*over_stdio(tmp_path / "stdio", needs_docker(), "--grant", fresh()).command],
    )
    try:
        for target in targets:
            listed = shown([*target, "--protocol-era", era], "--method", "tools/list", home=tmp_path)
            call = ("--method", "tools/call", "--tool-name", "list_containers")
            told = shown([*target, "--protocol-era", era], *call, home=tmp_path)
            assert isinstance(listed, dict)
            assert {tool["name"] for tool in listed["tools"]} == set(OUTPUTS)
            assert isinstance(told, dict)
            assert told["content"] == [{"type": "text", "text": "No existing containers found."}]
    finally:
        assert gate.stop() == 0
