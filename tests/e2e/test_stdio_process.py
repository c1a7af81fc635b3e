"""`ostiary proxy -- CMD` as a process among processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import world
from tests.e2e.driver import PYTHON_2, PYTHON_2_LEGACY, Drivers, text

pytestmark = pytest.mark.timeout(60)

Json = Any

SERVER = """
import json, os, sys
def answer(request, **result):
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
def requests():
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            yield message
"""


def server(body: str) -> list[str]:
    """A stdio server of a few lines; `requests()` and `answer()` are there."""
    return [sys.executable, "-I", "-S", "-c", SERVER + body]


ECHO = "for request in requests(): answer(request, content=[])\n"


class Proxied:
    """A gate on stdio with an allow-all policy, spoken to line by line."""

    def __init__(
        self, folder: Path, command: Sequence[str], *options: str, program: Sequence[str] = world.OSTIARY
    ) -> None:
        self.state = world.state_folder(folder)
        line = world.proxy(world.ALLOW_ALL, self.state, *options, upstream=command)
        self.process = subprocess.Popen(
            [*program, *line[len(world.OSTIARY) :]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=world.environment(),
        )

    def say(self, message: Json) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self) -> Json:
        assert self.process.stdout is not None
        return json.loads(world.read_line(self.process.stdout.fileno()))

    def end(self) -> tuple[int, str, str]:
        """Close the input; exit status, what else it said, and its standard error."""
        output, errors = self.process.communicate(timeout=15)
        return self.process.returncode, output.decode(), errors.decode()


def call(number: int, **arguments: Json) -> Json:
    return {"id": number, "method": "tools/call", "params": {"name": "t", "arguments": arguments}}


def test_exit_status_and_standard_error_are_those_of_the_child(tmp_path: Path) -> None:
    proxied = Proxied(tmp_path, server("print('one for the log', file=sys.stderr)\n" + ECHO + "sys.exit(7)"))
    proxied.say(call(1))
    assert proxied.hear()["result"] == {"content": []}

    status, output, errors = proxied.end()

    assert status == 7
    assert output == ""
    assert "one for the log\n" in errors
    assert "Traceback" not in errors


PATIENT = """
from ostiary.cli.entry import main
from ostiary.proxy.stdio import upstream
from ostiary.proxy.stdio.child import Grace
upstream.Grace = lambda: Grace(eof=10.0)
main()
"""
"""A gate whose server has ten seconds to end by itself: a busy machine needs more than one of them."""


def test_end_of_input_ends_a_published_server_cleanly(clients: Drivers, tmp_path: Path) -> None:
    proxied = Proxied(tmp_path, world.published("time"), program=[sys.executable, "-c", PATIENT])
    proxied.say(
        {
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "e2e", "version": "1"},
            },
        }
    )
    assert proxied.hear()["result"]["serverInfo"]["name"] == "mcp-time"
    pids = world.children_of(proxied.process.pid)
    assert pids

    status, _, errors = proxied.end()

    assert status == 0, errors
    world.wait_for("the end of all", lambda: not any(map(world.is_alive, pids)))
    assert world.ostiary("audit", "verify", state=proxied.state).returncode == 0


def test_answers_still_due_at_the_end_of_input_are_written(tmp_path: Path) -> None:
    slow = server("import time\nfor request in requests(): time.sleep(0.4); answer(request, content=[])")
    proxied = Proxied(tmp_path, slow)
    proxied.say(call(1))
    proxied.say(call(2))

    status, output, errors = proxied.end()

    assert [json.loads(line)["id"] for line in output.splitlines()] == [1, 2]
    assert status == 0, errors


def test_answer_due_when_the_gate_is_told_to_stop_is_written(tmp_path: Path) -> None:
    """A child that finishes its work on SIGTERM can still be heard."""
    careful = server(
        """
import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
request = next(requests())
print(json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {}}), flush=True)
signal.sigwait([signal.SIGTERM])
time.sleep(0.2)
answer(request, content=["finished"])
sys.exit(5)
"""
    )
    proxied = Proxied(tmp_path, careful)
    proxied.say(call(1))
    assert proxied.hear()["method"] == "notifications/message"

    proxied.process.send_signal(signal.SIGTERM)
    status, output, _ = proxied.end()

    assert json.loads(output)["result"] == {"content": ["finished"]}
    assert status == 5


def test_child_that_dies_in_a_call_is_told_and_recorded_as_unknown(tmp_path: Path) -> None:
    """P4.4: a call whose outcome nobody knows counts."""
    proxied = Proxied(tmp_path, server("next(requests()); os._exit(3)"))
    proxied.say(call(1))
    answer = proxied.hear()
    status, _, errors = proxied.end()
    tail = world.ostiary("audit", "tail", "-n", "100", "--format", "json", state=proxied.state)

    assert answer["id"] == 1
    assert "exited with status 3" in answer["error"]["message"]
    assert status == 3
    assert "Traceback" not in errors
    rows = [json.loads(line) for line in tail.stdout.splitlines()]
    records = [row.get("record", row) for row in rows]
    assert [one["status"] for one in records if one["kind"] == "outcome"] == ["unknown"]


CLIENT = """
import subprocess, sys
gate = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
gate.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\\n'); gate.stdin.flush()
sys.stdout.buffer.write(b"%d\\n" % gate.pid + gate.stdout.readline()); sys.stdout.flush()
sys.stdin.read()
"""
STUBBORN = """
import signal, subprocess, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
other = subprocess.Popen(["sleep", "1000"])
answer(next(requests()), pids=[os.getpid(), other.pid])
time.sleep(1000)
"""


@pytest.mark.parametrize("victim", ["client", "gate"])
def test_nothing_outlives_a_kill(victim: str, tmp_path: Path) -> None:
    """Gate, child and grandchild are gone within 5 s."""
    state = world.state_folder(tmp_path)
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, *world.proxy(world.ALLOW_ALL, state, upstream=server(STUBBORN))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=world.environment(),
    )
    assert client.stdin is not None
    assert client.stdout is not None
    gate = int(world.read_line(client.stdout.fileno()))
    pids = [gate, *json.loads(world.read_line(client.stdout.fileno()))["result"]["pids"]]
    assert all(world.is_alive(pid) for pid in pids)

    os.kill(client.pid if victim == "client" else gate, signal.SIGKILL)

    try:
        world.wait_for("the end of all", lambda: not any(map(world.is_alive, pids)), 5)
    finally:
        client.kill()
        client.stdin.close()
        client.stdout.close()
        client.wait()
    assert world.ostiary("audit", "verify", state=state).returncode == 0


def test_kill_of_an_official_client_leaves_no_published_server_behind(
    clients: Drivers, tmp_path: Path
) -> None:
    """Gate and server are gone within 5 s after SIGKILL of the client."""
    doomed = Drivers()
    try:
        client = doomed.connect(PYTHON_2, world.gated(world.ALLOW_ALL, tmp_path, upstream=world.everything()))
        assert text(client.call("echo", message="x")) == "Echo: x"
        pids = world.children_of(client.driver.pid)
        assert len(pids) >= 2

        os.kill(client.driver.pid, signal.SIGKILL)

        world.wait_for("the end of all", lambda: not any(map(world.is_alive, pids)), 5)
    finally:
        doomed.abandon()


def refused(folder: Path, *arguments: str) -> str:
    """What a gate that cannot run says; its exit status is 2 and it prints no traceback."""
    done = subprocess.run(
        [*world.OSTIARY, "proxy", "--state-dir", str(world.state_folder(folder)), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        env=world.environment(),
        check=False,
    )
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_gate_that_cannot_run_says_why_and_exits_with_2(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"version": "1", "defualt": "deny", "tools": {}}')
    allow = ["-p", str(world.ALLOW_ALL)]

    assert "`no-such-server`" in refused(tmp_path, *allow, "--", "no-such-server")
    assert "`defualt`" in refused(tmp_path, "-p", str(broken), "--", "true")
    assert "no such file" in refused(tmp_path, "-p", str(tmp_path / "none.json"), "--", "true")
    assert "--upstream" in refused(tmp_path, *allow)
    assert "HOST:PORT" in refused(tmp_path, *allow, "--listen", "nowhere", "--", "true")


def test_port_in_use_is_named_and_exits_with_2(tmp_path: Path) -> None:
    gate = world.Gate(world.ALLOW_ALL, tmp_path, upstream="http://127.0.0.1:9/mcp")
    try:
        listen = f"127.0.0.1:{gate.port}"
        told = refused(tmp_path / "second", "--listen", listen, "--upstream", "http://127.0.0.1:9/mcp")
    finally:
        gate.stop()

    assert str(gate.port) in told
    assert "in use" in told


def test_upstream_that_is_down_is_an_error_to_the_client_and_the_gate_goes_on(
    clients: Drivers, tmp_path: Path
) -> None:
    """P4.4: what provably never left is not counted."""
    server_over_http = world.modern_over_http(tmp_path / "server.log")
    target = world.gated(world.ALLOW_ALL, tmp_path, upstream=server_over_http.url)
    with clients.connect(PYTHON_2_LEGACY, target) as client:
        before = client.call("add", numbers=[1])
        server_over_http.stop(signal.SIGKILL)
        after = [client.call("add", numbers=[1]) for _ in range(2)]

    tail = world.ostiary("audit", "tail", "-n", "100", "--format", "json", state=tmp_path / "state")
    rows = [json.loads(line) for line in tail.stdout.splitlines()]
    records = [row.get("record", row) for row in rows]
    outcomes = [one["status"] for one in records if one["kind"] == "outcome"]

    assert "result" in before
    assert ["error" in answer for answer in after] == [True, True], after
    assert outcomes[0] == "ok"
    assert outcomes[2] == "not_sent"


def test_a_client_beyond_the_brake_is_told_when_to_try_again_and_it_is_recorded(tmp_path: Path) -> None:
    """P2.2: on stdio too every request gets an answer, and the count is on record at the stop."""
    proxied = Proxied(tmp_path, server(ECHO), "--max-requests", "2")
    for number in (1, 2, 3, 4):
        proxied.say(call(number))

    answers = {answer["id"]: answer for answer in (proxied.hear() for _ in range(4))}
    proxied.end()
    rows = world.ostiary("audit", "export", state=proxied.state).stdout.splitlines()

    assert [number for number, answer in answers.items() if "result" in answer] == [1, 2]
    assert {answers[number]["error"]["code"] for number in (3, 4)} == {4429}
    assert "try again in" in answers[3]["error"]["message"]
    braked = [record for row in rows if "(brake)" in (record := json.loads(row)["record"]).get("rules", [])]
    assert [record["count"] for record in braked] == [2]


def test_a_gate_that_is_told_nothing_about_it_has_a_brake(tmp_path: Path) -> None:
    """P2.2: 600 requests a minute; the last of these is one too many."""
    proxied = Proxied(tmp_path, server(ECHO))
    answers = []
    for number in range(601):
        proxied.say(call(number))
        answers.append(proxied.hear())
    proxied.end()

    assert all("result" in answer for answer in answers[:600])
    assert answers[600]["error"]["code"] == 4429


def test_there_is_no_way_to_have_no_brake(tmp_path: Path) -> None:
    allow = ["-p", str(world.ALLOW_ALL)]

    told = refused(tmp_path, *allow, "--max-requests", "0", "--", "true")

    assert "expected 1 to 1000000000, found 0" in told
    assert "a check is not switched off by a zero" in told
    for wrong in ("-1", "1000000001"):
        assert "expected 1 to 1000000000" in refused(
            tmp_path, *allow, f"--max-requests={wrong}", "--", "true"
        )


def test_a_client_is_not_told_in_which_folder_the_server_lies(tmp_path: Path) -> None:
    proxied = Proxied(tmp_path, server("next(requests()); sys.exit(3)"))
    proxied.say(call(1))

    told = json.dumps(proxied.hear())
    proxied.end()

    assert Path(sys.executable).name in told
    assert str(Path(sys.executable).parent) not in told
