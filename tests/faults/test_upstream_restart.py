"""The server behind the gate is killed and started again while clients work with it."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ostiary.proxy.catalogue import Pins
from ostiary.registry.fingerprint import definition
from tests.e2e import world as processes
from tests.e2e.driver import (
    PYTHON_1,
    PYTHON_2,
    PYTHON_2_LEGACY,
    TYPESCRIPT_1,
    TYPESCRIPT_2,
    Connection,
    Drivers,
    Kind,
    text,
)
from tests.needs import UNBRAKED, needs_environment
from tests.weaknesses.world import World, call, deny_but, http, tool, until, within, world

FULL = os.environ.get("OSTIARY_TEST_FULL") == "1"
CLIENTS = 8
CALLS = 200 if FULL else 10
"""Successful calls of each client before the kill and again after it; OSTIARY_TEST_FULL=1 makes more."""

SERVER = [sys.executable, "-W", "ignore", str(Path(processes.__file__).with_name("modern_server.py"))]
FIVE = {"numbers": [2, 3]}


# One gate in this process, and a scripted upstream.


async def restart(gate: World) -> None:
    """Stop the upstream with all its connections, and start it on the same port."""
    await gate.upstream.stop()
    await gate.upstream.start()


def only_echo(folder: Path, **more: Any) -> Any:
    return world(deny_but("echo"), folder / "s", **more)


def test_the_first_call_after_a_restart_succeeds(tmp_path: Path) -> None:
    """The kept connections are all dead: none of them may cost a call."""

    async def main() -> None:
        async with only_echo(tmp_path) as gate:
            for _ in range(3):
                assert not (await gate.call("echo")).denied
            await restart(gate)

            assert (await gate.call("echo")).json["result"]["content"][0]["text"] == "done"

    within(main)


def test_calls_fail_at_once_while_the_upstream_is_gone_and_succeed_when_it_is_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with only_echo(tmp_path) as gate:
            await gate.call("echo")
            await gate.upstream.stop()
            during = [await gate.call("echo", number) for number in range(5)]
            await gate.upstream.start()
            after = await gate.call("echo")

            assert all(reply.status == 200 for reply in during)
            assert all("could not be read" in reply.json["result"]["content"][0]["text"] for reply in during)
            assert "isError" not in after.json["result"]
            assert len(gate.upstream.calls) == 2

    within(main)


def test_without_rules_about_tools_the_refused_connection_is_reported(tmp_path: Path) -> None:
    async def main() -> None:
        async with world({"version": "1", "default": "allow", "tools": {}}, tmp_path / "s") as gate:
            await gate.upstream.stop()
            reply = await gate.call("echo")

            assert reply.json["error"]["code"] == 4502

    within(main)


def test_definitions_are_read_again_after_a_restart_and_held_against_the_pins(tmp_path: Path) -> None:
    before, after = tool("echo"), tool("echo", description="now does something else")
    digest = definition("echo", b"", before).digest

    async def main() -> None:
        async with only_echo(tmp_path, pins=Pins({"echo": digest})) as gate:
            assert not (await gate.call("echo")).denied
            assert not (await gate.call("echo")).denied
            assert gate.upstream.listings == 1
            gate.upstream.tools = [after]
            await restart(gate)
            denied = await gate.call("echo")
            notes = [one.note for one in await gate.records() if one.method == "definitions-changed"]

            assert denied.denied
            assert len(gate.upstream.calls) == 2
            assert notes == ["~echo"]

    within(main)


def test_what_changed_during_an_outage_is_still_noticed(tmp_path: Path) -> None:
    """The list could not be read meanwhile; what it was before is not forgotten."""

    async def main() -> None:
        async with only_echo(tmp_path) as gate:
            await gate.call("echo")
            await gate.upstream.stop()
            await gate.call("echo")
            gate.upstream.tools = [tool("echo", description="other")]
            await gate.upstream.start()
            await gate.call("echo")

            notes = [one.note for one in await gate.records() if one.method == "definitions-changed"]
            assert notes == ["~echo"]

    within(main)


@pytest.mark.parametrize("stale", [True, False], ids=["list to be read again", "list known"])
def test_a_session_that_the_new_server_does_not_know_is_told_so_once(tmp_path: Path, *, stale: bool) -> None:
    gone = http(
        b'{"jsonrpc":"2.0","id":"x","error":{"code":-32001,"message":"Session not found"}}', status=404
    )

    async def main() -> None:
        async with only_echo(tmp_path) as gate:
            gate.upstream.script["initialize"] = lambda seen: http(
                b'{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}',
                b"application/json", 200, b"mcp-session-id: s1",
            )  # fmt: skip
            header = (b"mcp-session-id", await gate.session())
            assert not (await gate.post(call("echo"), header)).denied
            gate.upstream.script |= {"tools/call": gone, "own listing": gone}
            if stale:
                gate.desk.catalogues.doubt()
            reply = await gate.post(call("echo"), header)

            assert reply.status == 404
            assert gate.desk.catalogues.latest(("local", "s1")) is None
            assert gate.desk.sessions.newest("local") is None
            del gate.upstream.script["tools/call"], gate.upstream.script["own listing"]
            again = (b"mcp-session-id", await gate.session())
            assert not (await gate.post(call("echo"), again)).denied

    within(main)


def test_a_stream_of_a_lost_session_ends_its_state_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with only_echo(tmp_path) as gate:
            gate.upstream.script["initialize"] = lambda seen: http(
                b'{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}',
                b"application/json", 200, b"mcp-session-id: s1",
            )  # fmt: skip
            header = (b"mcp-session-id", await gate.session())
            gate.upstream.script["GET"] = http(b"", b"", 404)
            reply = await gate.post(None, header, method="GET")

            assert reply.status == 404
            assert gate.desk.sessions.newest("local") is None

    within(main)


def test_a_server_that_only_lets_idle_connections_go_costs_a_listing_and_no_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with only_echo(tmp_path) as gate:
            await gate.call("echo")
            for one in gate.upstream.seen:
                one.writer.close()
            await until(lambda: gate.client.idle == 0)

            assert not (await gate.call("echo")).denied
            assert gate.upstream.listings == 2

    within(main)


# Real processes and official clients.


class Server:
    """An official server on a port of its own, which can be killed and started again there."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._command = command
        self._log = folder / "server.log"
        self._process = processes.HttpServer([*command, "{port}"], self._log, lambda _: {})
        self.port = self._process.port
        self.url = self._process.url

    def kill(self) -> None:
        self._process.stop(signal.SIGKILL)

    def start(self) -> None:
        started = processes.Process([*self._command, str(self.port)], self._log)
        self._process.process = started.process
        processes.wait_for("the server's port", lambda: processes.accepts(self.port), 20)


class Client(threading.Thread):
    """Calls without a pause. After a failure it waits until the server is back, then goes on.

    `failures` holds what went wrong. `renew` connects anew, where the session is lost.
    """

    def __init__(self, connect: Callable[[], Connection], back: threading.Event, *, renew: bool) -> None:
        super().__init__(daemon=True)
        self._connect = connect
        self._back = back
        self._renew = renew
        self.done = 0
        self.after = 0
        self.failures: list[str] = []
        self.slowest = 0.0

    def run(self) -> None:
        connection = self._connect()
        while self.after < CALLS and len(self.failures) < 10:
            begun, was_back = time.monotonic(), self._back.is_set()
            answer = connection.call("add", **FIVE)
            if "result" in answer and not answer["result"].get("isError"):
                assert "5" in text(answer)
                self.done += 1
                self.after += was_back
                continue
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.failures.append(str(answer)[:200])
            self._back.wait(20)
            if self._renew and was_back:
                connection = self._connect()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.json").write_text('{"version": "1", "default": "deny", "tools": {"add": {}}}')
    return tmp_path


@pytest.fixture
def clients() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()


def under_load(
    clients: Drivers, kind: Kind, target: Any, strike: Callable[[], None], number: int = CLIENTS
) -> list[Client]:
    """Let the clients work, strike once all are at it, and let them work on."""
    back = threading.Event()
    names = threading.Lock()

    def connect() -> Connection:
        with names:
            chosen: Any = target() if callable(target) else target
            return clients.connect(kind, chosen)

    over_http = kind is PYTHON_2_LEGACY and not callable(target)
    working = [Client(connect, back, renew=over_http) for _ in range(number)]
    for one in working:
        one.start()
    processes.wait_for("the load", lambda: all(one.done >= CALLS for one in working), 40)
    strike()
    back.set()
    for one in working:
        one.join(60)
        assert not one.is_alive()
    return working


def python_1() -> list[str]:
    return [
        str(needs_environment("mcp1")),
        "-W",
        "ignore",
        str(Path(SERVER[-1]).with_name("legacy_server.py")),
    ]


@pytest.mark.service
@pytest.mark.timeout(180)
def test_a_modern_client_notices_one_failed_call_at_most(folder: Path, clients: Drivers) -> None:
    server = Server(SERVER, folder)
    gate = processes.Gate(folder / "policy.json", folder, *UNBRAKED, upstream=server.url)

    def strike() -> None:
        server.kill()
        server.start()

    try:
        working = under_load(clients, PYTHON_2, gate.http, strike)
    finally:
        gate.stop(signal.SIGKILL)
        server.kill()

    assert [len(one.failures) for one in working if len(one.failures) > 1] == [], working[0].failures
    assert sum(len(one.failures) for one in working) > 0  # somebody was struck, or this shows nothing
    assert max(one.slowest for one in working) < 5  # at once: no time-out of ours is that short
    assert "Traceback" not in gate.told()


@pytest.mark.service
@pytest.mark.timeout(180)
@pytest.mark.parametrize("server_of", [lambda: SERVER, python_1], ids=["server 2", "server 1"])
def test_a_legacy_client_fails_once_in_flight_and_once_for_its_lost_session(
    folder: Path, clients: Drivers, server_of: Callable[[], list[str]]
) -> None:
    """Then it has initialized anew, and works."""
    server = Server(server_of(), folder)
    gate = processes.Gate(folder / "policy.json", folder, *UNBRAKED, upstream=server.url)

    def strike() -> None:
        server.kill()
        server.start()

    try:
        working = under_load(clients, PYTHON_2_LEGACY, gate.http, strike)
    finally:
        gate.stop(signal.SIGKILL)
        server.kill()

    assert [one.failures for one in working if len(one.failures) > 2] == []
    assert all(one.failures for one in working)  # nobody could miss it
    assert "Traceback" not in gate.told()


@pytest.mark.service
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", [PYTHON_2, PYTHON_2_LEGACY], ids=["modern", "legacy"])
def test_a_killed_child_is_replaced(folder: Path, clients: Drivers, kind: Kind) -> None:
    """Modern clients of a grant share one; on the legacy era each session has its own."""
    gate = processes.Gate(folder / "policy.json", folder, *UNBRAKED, upstream=SERVER)

    def servers() -> set[int]:
        children = processes.children_of(gate.process.pid)
        return {one for one in children if "modern_server" in processes.command_of(one)}

    struck: set[int] = set()

    def strike() -> None:
        struck.update(servers())
        for child in struck:
            os.kill(child, signal.SIGKILL)

    try:
        working = under_load(clients, kind, gate.http, strike, CLIENTS if FULL else 3)
        alive = servers()
    finally:
        gate.stop(signal.SIGKILL)

    assert [one.failures for one in working if len(one.failures) > 2] == []
    assert struck
    assert alive - struck
    assert "Traceback" not in gate.told()


def a_gate_each(folder: Path, server: Server) -> Callable[[], processes.Stdio]:
    """Every client of standard streams starts a gate of its own."""
    count = itertools.count()

    def target() -> processes.Stdio:
        own = folder / f"c{next(count)}"
        own.mkdir()
        return processes.gated(folder / "policy.json", own, upstream=server.url)

    return target


RENEWED = [
    pytest.param(PYTHON_2_LEGACY, lambda: SERVER, id="python 2 to server 2"),
    pytest.param(PYTHON_1, lambda: SERVER, id="python 1 to server 2"),
    pytest.param(TYPESCRIPT_1, lambda: SERVER, id="typescript 1 to server 2"),
    pytest.param(PYTHON_2, python_1, id="python 2 to server 1"),
    pytest.param(PYTHON_1, python_1, id="python 1 to server 1"),
    pytest.param(TYPESCRIPT_1, python_1, id="typescript 1 to server 1"),
    pytest.param(TYPESCRIPT_2, python_1, id="typescript 2 to server 1"),
]


@pytest.mark.service
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("kind", "server_of"), RENEWED)
def test_a_legacy_client_of_standard_streams_notices_one_failed_call_at_most(
    folder: Path, clients: Drivers, kind: Kind, server_of: Callable[[], list[str]]
) -> None:
    """It never initializes anew: its session is begun anew for it."""
    server = Server(server_of(), folder)

    def strike() -> None:
        server.kill()
        server.start()

    try:
        working = under_load(clients, kind, a_gate_each(folder, server), strike, 4 if FULL else 2)
    finally:
        clients.end()
        server.kill()

    assert [one.failures for one in working if len(one.failures) > 1] == []
    for number in range(len(working)):
        own = folder / f"c{number}"
        assert (
            "session-renewed" in processes.ostiary("audit", "tail", "-n", "9999", state=own / "state").stdout
        )
        assert "Traceback" not in (own / "gate.log").read_text()


@pytest.mark.service
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", [PYTHON_1, TYPESCRIPT_1], ids=["python 1", "typescript 1"])
def test_a_client_of_http_and_sse_notices_one_failed_call_at_most(
    folder: Path, clients: Drivers, kind: Kind
) -> None:
    server = Server(python_1(), folder)
    gate = processes.Gate(folder / "policy.json", folder, *UNBRAKED, upstream=server.url)

    def strike() -> None:
        server.kill()
        server.start()

    try:
        working = under_load(clients, kind, gate.sse, strike, 4 if FULL else 2)
    finally:
        gate.stop(signal.SIGKILL)
        server.kill()

    assert [one.failures for one in working if len(one.failures) > 1] == []
    assert "another one was begun" in gate.told()
    assert "Traceback" not in gate.told()
