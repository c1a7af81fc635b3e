"""A gate process under load and at its end: no descriptors left, signals, drain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import ostiary, wait_for
from tests.http_cases.world import GateProcess, asked, called, head_of, running_gate
from tests.proxy.http_world import answer, talking
from tests.weaknesses.world import http, result, until, within

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
NOTE = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}\n\n'
EVENT = b"%x\r\n%b\r\n" % (len(NOTE), NOTE)


@contextlib.contextmanager
def few_descriptors(gate: GateProcess) -> Iterator[int]:
    """Leave the gate no descriptors above those it has; how many are free below them."""
    before = resource.prlimit(gate.pid, resource.RLIMIT_NOFILE)
    open_now = [int(path.name) for path in Path(f"/proc/{gate.pid}/fd").iterdir()]
    resource.prlimit(gate.pid, resource.RLIMIT_NOFILE, (max(open_now) + 1, before[1]))
    try:
        yield max(open_now) + 1 - len(open_now)
    finally:
        resource.prlimit(gate.pid, resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def no_descriptors(gate: GateProcess) -> Iterator[None]:
    """Leave the gate no descriptors but those it has: a new one would get a number above the limit."""
    before = resource.prlimit(gate.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gate.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.prlimit(gate.pid, resource.RLIMIT_NOFILE, before)


def sockets(gate: GateProcess) -> int:
    """How many sockets the gate has open."""
    return sum(name.startswith("socket:") for name in gate.open_names())


def outcomes(gate: GateProcess) -> list[str]:
    """How the calls on record ended."""
    shown = ostiary("audit", "export", state=gate.state)
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    return [row["record"]["status"] for row in rows if row["record"]["kind"] == "outcome"]


def test_without_descriptors_calls_go_on_new_clients_wait_and_nothing_spins(tmp_path) -> None:
    """HTTP case 22: whoever is connected is served as before; the others are, once there is room."""

    async def main() -> None:
        with running_gate(tmp_path) as gate:
            async with gate.upstream() as upstream, talking(gate.port) as (reader, writer):
                await asked(reader, writer, 0)
                async with contextlib.AsyncExitStack() as crowd:
                    with few_descriptors(gate) as free:
                        waiting = [await crowd.enter_async_context(talking(gate.port)) for _ in range(20)]
                        for _, other in waiting:
                            other.write(called("w"))
                        await until(lambda: "new connections wait" in gate.told())
                        spent = gate.seconds()
                        for number in range(1, 101):
                            assert (await asked(reader, writer, number))["id"] == number
                            await asyncio.sleep(0.01)
                        # Over a second has passed. Spinning, it would have used nearly all of it.
                        assert gate.seconds() - spent < 0.6
                        assert gate.told().count("new connections wait") == 1
                        assert len(upstream.calls) <= 101 + free
                    for other, _ in waiting:
                        assert json.loads((await answer(other))[2])["id"] == "w"
                await until(lambda: gate.descriptors() < 40)

    within(main, 15)


def test_without_descriptors_a_call_that_needs_a_connection_is_answered_as_not_sent(tmp_path) -> None:
    """HTTP case 22: it is answered with its id and on record; once there is room, the next one is sent."""

    async def main() -> None:
        with running_gate(tmp_path) as gate:
            async with gate.upstream() as upstream, talking(gate.port) as (reader, writer):
                await asked(reader, writer, "warm")
                await until(gate.settled)
                with no_descriptors(gate):
                    connected = sockets(gate)
                    (line,) = upstream._writers
                    line.transport.abort()
                    await until(lambda: sockets(gate) == connected - 1)
                    told = await asked(reader, writer, "no room")
                    assert (told["id"], told["error"]["code"]) == ("no room", 4502)
                    assert "too many open files" in told["error"]["message"]
                    assert (await asked(reader, writer, "still none"))["error"]["code"] == 4502
                    assert upstream.calls == ["echo"]
                assert "error" not in await asked(reader, writer, "room")
                assert upstream.calls == ["echo"] * 2
                gate.stop()
                assert outcomes(gate) == ["ok", "not_sent", "not_sent", "ok"]

    within(main, 15)


def test_drain_finishes_what_runs_ends_streams_in_order_and_exits_with_0(tmp_path) -> None:
    """HTTP case 24: no new connection; the answer under way, the stream's last chunk; then the end."""

    async def main() -> None:
        with running_gate(tmp_path) as gate:
            async with (
                gate.upstream() as upstream,
                talking(gate.port) as idle,
                talking(gate.port) as calling,
                talking(gate.port) as listening,
            ):
                go_on = asyncio.Event()

                async def late(seen) -> bytes:
                    await go_on.wait()
                    return http(result(seen.message, {"content": []}))

                upstream.script["tools/call"] = late
                upstream.script["GET"] = lambda seen: STREAM + EVENT
                listening[1].write(head_of(0, method=b"GET"))
                await listening[0].readuntil(EVENT)
                calling[1].write(called("last"))
                await until(lambda: upstream.calls)
                gate.process.send_signal(signal.SIGTERM)
                assert await idle[0].read() == b""
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", gate.port)
                go_on.set()
                status, headers, body = await answer(calling[0])
                assert (status, headers[b"connection"], json.loads(body)["id"]) == (200, b"close", "last")
                assert await calling[0].read() == b""
                assert await listening[0].read() == b"0\r\n\r\n"
                wait_for("the end", gate.ended)
                assert gate.process.returncode == 0

    within(main, 10)


def test_drain_cuts_what_still_runs_at_its_deadline_and_records_it(tmp_path) -> None:
    """HTTP case 24: the deadline holds on both sides, the outcome is unknown, the status is 0."""

    async def main() -> None:
        with running_gate(tmp_path, "--limit", "drain=300ms") as gate:
            async with gate.upstream() as upstream, talking(gate.port) as (reader, writer):
                upstream.script["tools/call"] = lambda seen: None
                writer.write(called("never"))
                await until(lambda: upstream.calls)
                gate.process.send_signal(signal.SIGTERM)
                assert await reader.read() == b""
                await until(gate.ended)
                assert gate.process.returncode == 0
                assert outcomes(gate) == ["unknown"]

    within(main, 15)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_exits_at_once(tmp_path, second: signal.Signals) -> None:
    """HTTP case 24: whoever asks twice does not wait for anybody."""

    async def main() -> None:
        with running_gate(tmp_path, "--limit", "drain=1h") as gate:
            async with gate.upstream() as upstream, talking(gate.port) as (reader, writer):
                upstream.script["tools/call"] = lambda seen: None
                writer.write(called("never"))
                await until(lambda: upstream.calls)
                gate.process.send_signal(signal.SIGTERM)
                await until(lambda: "draining" in gate.told())
                gate.process.send_signal(second)
                await until(gate.ended)
                assert gate.process.returncode == -second
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""

    within(main, 10)


def test_connections_over_the_limit_are_told_and_places_become_free(tmp_path) -> None:
    """HTTP case 22: 503 with a time to wait; whoever is connected is served as before."""

    async def main() -> None:
        with running_gate(tmp_path, "--limit", "connections=3") as gate:
            async with gate.upstream(), talking(gate.port) as first:
                await asked(*first, 1)
                async with talking(gate.port) as second, talking(gate.port) as third:
                    await asked(*second, 2)
                    await asked(*third, 3)
                    async with talking(gate.port) as (over, _):
                        got = await over.read()
                        assert got.startswith(b"HTTP/1.1 503 ")
                        assert b"\r\nretry-after: 1\r\n" in got
                    for number, line in enumerate((first, second, third)):
                        assert (await asked(*line, number))["id"] == number
                again = b"HTTP/1.1 503 "
                while again.startswith(b"HTTP/1.1 503 "):
                    async with talking(gate.port) as (reader, writer):
                        writer.write(called("again", b"Connection: close"))
                        again = await reader.read()
                assert b'"id": "again"' in again

    within(main, 10)
