"""`ostiary stop` as a process beside gates that are processes, in front of a tool that never answers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import world

pytestmark = pytest.mark.timeout(60)

Json = Any
SERVER = str(Path(__file__).parent / "slow_server.py")
WITHIN = 1.0
"""Seconds from the end of the command until everybody has heard (P2.5)."""
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}


def request(method: str, params: Json, number: int, era: str) -> Json:
    if era == "modern":
        params = {**params, "_meta": META}
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def call(tool: str, number: int, era: str = "legacy") -> Json:
    return request("tools/call", {"name": tool, "arguments": {}}, number, era)


class Server:
    """The slow server, and what it was told."""

    def __init__(self, folder: Path, transport: str) -> None:
        self._log = folder / "told.jsonl"
        self._log.touch()
        self.command = [sys.executable, "-I", "-S", SERVER, str(self._log)]
        self.upstream: Json = self.command
        self._process: world.HttpServer | None = None
        if transport == "http":
            line = [sys.executable, SERVER, str(self._log), "{port}"]
            self._process = world.HttpServer(line, folder / "server.log", lambda _: {})
            self.upstream = self._process.url

    def told(self) -> list[Json]:
        lines = self._log.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def has(self, **members: object) -> bool:
        return any(all(one.get(key) == value for key, value in members.items()) for one in self.told())

    def calls(self) -> int:
        return sum(one.get("method") == "tools/call" for one in self.told())

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()


class Pipes:
    """A client that starts its gate, and speaks in lines."""

    def __init__(self, folder: Path, server: Server, *options: str) -> None:
        self.state = world.state_folder(folder)
        self.process = subprocess.Popen(
            world.proxy(world.ALLOW_ALL, self.state, *options, upstream=server.upstream),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=world.environment(),
        )

    def handshake(self) -> None:
        self.say(request("initialize", HELLO, 0, "legacy"))
        assert "result" in self.hear()
        self.say({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def say(self, message: Json) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self) -> Json:
        assert self.process.stdout is not None
        return json.loads(world.read_line(self.process.stdout.fileno()))

    def ask(self, message: Json) -> Json:
        self.say(message)
        return self.hear()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=15)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.communicate(timeout=15)


class Posts:
    """A client of a gate that listens. Each message has a connection of its own."""

    def __init__(self, folder: Path, server: Server, *options: str, policy: Path = world.ALLOW_ALL) -> None:
        self.gate = world.Gate(policy, folder, *options, upstream=server.upstream)
        self.state = self.gate.state
        self.process = self.gate.process
        self._session = ""
        self._answers: list[Json] = []
        self._came = threading.Semaphore(0)

    def handshake(self) -> None:
        assert "result" in self.ask(request("initialize", HELLO, 0, "legacy"))
        self.ask({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def ask(self, message: Json) -> Json:
        status, body = self.sent("POST", message)
        lines = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
        return json.loads(lines[-1] if lines else body) if body else status

    def sent(self, method: str, message: Json = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.gate.port, timeout=20)
        body = b"" if message is None else json.dumps(message).encode()
        connection.request(method, "/mcp", body, self._headers(message))
        response = connection.getresponse()
        self._session = response.headers.get("mcp-session-id") or self._session
        read = response.status, response.read()
        connection.close()
        return read

    def _headers(self, message: Json) -> dict[str, str]:
        headers = {
            "authorization": f"Bearer {self.gate.http.token}",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        if message and "_meta" in message.get("params", {}):
            headers |= {"mcp-protocol-version": MODERN, "mcp-method": message["method"]}
            headers |= {"mcp-name": message["params"]["name"]}
        elif self._session:
            headers["mcp-session-id"] = self._session
        return headers

    def say(self, message: Json) -> None:
        def wait() -> None:
            self._answers.append(self.ask(message))
            self._came.release()

        threading.Thread(target=wait, daemon=True).start()

    def hear(self) -> Json:
        assert self._came.acquire(timeout=10)
        return self._answers.pop(0)

    def kill(self) -> None:
        self.gate.stop(signal.SIGKILL)

    def stop(self) -> None:
        self.gate.stop()


CLIENTS: dict[str, Callable[..., Any]] = {"stdio": Pipes, "http": Posts}


@contextmanager
def running(
    folder: Path, client: str, upstream: str, *options: str, **more: Any
) -> Iterator[tuple[Any, Server]]:
    server = Server(folder, upstream)
    made = CLIENTS[client](folder, server, *options, **more)
    try:
        yield made, server
    finally:
        made.stop()
        server.stop()


def beside(folder: Path) -> Path:
    """A folder for another gate on the same state directory."""
    other = folder / "beside"
    other.mkdir()
    (other / "state").symlink_to(world.state_folder(folder))
    return other


def stop(state: Path, *arguments: str) -> None:
    """Set or lift a stop."""
    done = world.ostiary("stop", *arguments, state=state)
    assert done.returncode == 0, done.stderr


def clock_of(*made: Any) -> world.Clock:
    """The time of these clients' gates and of this process."""
    return world.Clock(os.getpid(), *(one.process.pid for one in made))


def wait_for_a_moment(what: str, ready: Callable[[], bool], made: Any) -> None:
    """Poll until `ready`, which has to be within a second of the time that the gate was given."""
    clock = clock_of(made)
    began = clock.now()
    world.wait_for(what, ready)
    assert clock.now() - began < WITHIN, what


def is_stopped(answer: Json) -> bool:
    return answer["result"]["isError"] and "] stopped: " in answer["result"]["content"][0]["text"]


def records(state: Path) -> list[Json]:
    lines = world.ostiary("audit", "export", state=state).stdout.splitlines()
    return [json.loads(line)["record"] for line in lines]


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("upstream", ["stdio", "http"])
@pytest.mark.parametrize("client", ["stdio", "http"])
def test_a_call_under_way_is_ended_on_both_sides_within_a_second(
    client: str, upstream: str, era: str, tmp_path: Path
) -> None:
    with running(tmp_path, client, upstream) as (made, server):
        if era == "legacy":
            made.handshake()
        assert "result" in made.ask(call("quick", 1, era))
        made.say(call("slow", 2, era))
        world.wait_for("the call", lambda: server.calls() == 2)

        clock = clock_of(made)
        stop(made.state, "on", "--all")
        began = clock.now()
        answer = made.hear()
        heard = clock.now() - began

        assert heard < WITHIN
        assert answer["id"] == 2
        assert is_stopped(answer)
        if era == "modern" and upstream == "http":  # going away is the cancellation
            wait_for_a_moment("the end of the connection", lambda: server.has(gone="tools/call"), made)
        else:
            wait_for_a_moment("the cancellation", lambda: server.has(method="notifications/cancelled"), made)
        assert is_stopped(made.ask(call("quick", 3, era)))
        assert server.calls() == 2
        stop(made.state, "off", "--all")
        wait_for_a_moment("the lift", lambda: not is_denied(made.ask(call("quick", 4, era))), made)
        made.stop()

    statuses = [one["status"] for one in records(made.state) if one["kind"] == "outcome"]
    assert statuses == ["ok", "cancelled", "ok"]
    assert world.ostiary("audit", "verify", state=made.state).returncode == 0


def is_allowed(answer: Json) -> bool:
    return "result" in answer and not is_denied(answer)


def is_denied(answer: Json) -> bool:
    return bool(answer["result"].get("isError"))


def test_every_gate_of_a_state_directory_stops_within_a_second(tmp_path: Path) -> None:
    with (
        running(tmp_path, "http", "stdio", "--grant", "one") as (first, one),
        running(beside(tmp_path), "http", "http", "--grant", "two") as (second, two),
    ):
        for number, made in ((1, first), (2, second)):
            made.handshake()
            made.say(call("slow", number))
        world.wait_for("both calls", lambda: one.calls() == two.calls() == 1)

        clock = clock_of(first, second)
        stop(first.state, "on", "--all")
        began = clock.now()
        answers = [first.hear(), second.hear()]
        assert clock.now() - began < WITHIN

        assert all(map(is_stopped, answers))
        seen = [one for one in records(first.state) if one.get("method") == "stop-in-force"]
        assert len(seen) == 2


def test_stopping_one_grant_leaves_the_gate_of_another_alone(tmp_path: Path) -> None:
    with (
        running(tmp_path, "http", "stdio", "--grant", "one") as (first, _),
        running(beside(tmp_path), "http", "http", "--grant", "two") as (second, server),
    ):
        for made in (first, second):
            made.handshake()
        second.say(call("slow", 2))
        world.wait_for("the call", lambda: server.calls() == 1)

        stop(first.state, "on", "--grant", "one")
        wait_for_a_moment("the stop", lambda: is_denied(first.ask(call("quick", 3))), first)

        assert not is_denied(second.ask(call("quick", 4)))
        stop(first.state, "on", "--grant", "two")
        assert is_stopped(second.hear())


def test_a_gate_that_was_killed_is_still_stopped_when_it_comes_back(tmp_path: Path) -> None:
    with running(tmp_path, "stdio", "stdio") as (made, server):
        made.handshake()
        stop(made.state, "on", "--all", "--reason", "a leak")
        wait_for_a_moment("the stop", lambda: is_denied(made.ask(call("quick", 1))), made)
        within_the_second = server.calls()  # all of them answered before that one was denied
        made.kill()

        again = Pipes(tmp_path, server)
        first = again.ask(request("initialize", HELLO, 1, "legacy"))
        called = again.ask(call("quick", 2))
        again.stop()

        assert first["error"]["code"] == 4423
        assert is_stopped(called)
        assert server.calls() == within_the_second


@pytest.mark.parametrize("client", ["stdio", "http"])
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_stop_that_was_set_before_the_first_gate_holds_from_the_first_message(
    era: str, client: str, tmp_path: Path
) -> None:
    """Not even the tools are listed, which a call over HTTP may have to be compared with."""
    stop(tmp_path / "state", "on", "--server", "files")
    with running(tmp_path, client, "stdio", "--server", "files") as (made, server):
        if era == "legacy":
            assert made.ask(request("initialize", HELLO, 0, era))["error"]["code"] == 4423
        else:
            assert is_stopped(made.ask(call("slow", 1, era)))
        assert server.told() == []
        stop(made.state, "off", "--server", "files")
        again = request("initialize", HELLO, 2, era) if era == "legacy" else call("quick", 2, era)
        wait_for_a_moment("the lift", lambda: is_allowed(made.ask(again)), made)


def test_a_busy_gate_hears_of_a_stop_and_forwards_nothing_after_it(tmp_path: Path) -> None:
    """Four clients call without a pause; a second after the command none of their calls is allowed."""
    with running(tmp_path, "http", "stdio", "--max-requests", "1000000000") as (made, server):
        made.handshake()
        over, clock = threading.Event(), clock_of(made)
        late: list[float] = []

        def hammer(number: int) -> None:
            while not over.is_set():
                answer = made.ask(call("quick", number := number + 1))
                if not is_denied(answer):
                    late.append(clock.now())

        threads = [threading.Thread(target=hammer, args=(first * 1_000_000,)) for first in range(1, 5)]
        for thread in threads:
            thread.start()
        world.wait_for("some calls", lambda: len(late) > 20)
        stop(made.state, "on", "--all")
        began = clock.now()
        world.wait_for("the stop", lambda: clock.now() > began + 1.2, 20)  # its time may stand still
        over.set()
        for thread in threads:
            thread.join(10)

        assert max(late) < began + WITHIN
        intents = sum(one["kind"] == "intent" for one in records(made.state))
        not_sent = sum(one.get("status") == "not_sent" for one in records(made.state))
        assert server.calls() == intents - not_sent


def test_streams_of_the_server_end_and_none_is_opened_while_stopped(tmp_path: Path) -> None:
    with running(tmp_path, "http", "http") as (made, server):
        made.handshake()
        ended: list[tuple[int, bytes]] = []
        listening = threading.Thread(target=lambda: ended.append(made.sent("GET")), daemon=True)
        listening.start()
        world.wait_for("the stream", lambda: server.has(method="GET"))

        clock = clock_of(made)
        stop(made.state, "on", "--all")
        began = clock.now()
        listening.join(5)
        assert clock.now() - began < WITHIN

        assert [status for status, _ in ended] == [200]
        wait_for_a_moment("its end at the server", lambda: server.has(gone="GET"), made)
        assert [made.sent(method)[0] for method in ("GET", "DELETE")] == [423, 423]


def test_a_call_that_waits_for_approval_is_answered_as_stopped(tmp_path: Path) -> None:
    """Its request stays open; after the lift the same call waits for the same answer."""
    policy = tmp_path / "policy.json"
    held = {"quick": {"action": "require_approval"}}
    policy.write_text(json.dumps({"version": "1", "default": "deny", "tools": held}))

    def open_requests() -> list[str]:
        listed = world.ostiary("approvals", "list", "--format", "json", state=made.state)
        return [one["id"] for one in json.loads(listed.stdout)["approvals"]]

    with running(tmp_path, "http", "stdio", policy=policy) as (made, server):
        made.handshake()
        made.say(call("quick", 1))
        world.wait_for("the request", lambda: len(open_requests()) == 1)
        before = open_requests()

        clock = clock_of(made)
        stop(made.state, "on", "--all")
        began = clock.now()
        answer = made.hear()
        assert clock.now() - began < WITHIN

        assert is_stopped(answer)
        assert open_requests() == before
        assert server.calls() == 0
        [denial] = [one for one in records(made.state) if one.get("rules") == ["(stopped)"]]
        assert denial["kind"] == "denial"


def test_a_client_that_goes_on_after_its_call_was_ended_is_only_told_so(tmp_path: Path) -> None:
    """It answers nothing, cancels late, and calls again under the same id."""
    with running(tmp_path, "stdio", "http") as (made, server):
        made.handshake()
        made.say(call("slow", 1))
        world.wait_for("the call", lambda: server.calls() == 1)
        stop(made.state, "on", "--grant", "local")
        assert is_stopped(made.hear())
        told = len(server.told())

        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        made.say(cancel)
        for _ in range(20):
            assert is_stopped(made.ask(call("slow", 1)))

        late = [
            one for one in server.told()[told:] if one.get("method") not in ("notifications/cancelled", None)
        ]
        assert late == []
