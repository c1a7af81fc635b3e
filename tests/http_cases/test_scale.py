"""Many connections, many streams, slow peers, long runs: what a gate process holds stays bounded.

`make test` runs a small size of each, `make test-full` the one that its name is about. Memory is
the resident set of the gate process as the kernel counts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import resource
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from tests.http_cases.world import GateProcess, asked, called, echoing, head_of, running_gate, text_of
from tests.needs import full_size, size
from tests.proxy.http_world import answer, reset, talking
from tests.weaknesses.world import Seen, Upstream, call, deny_but, encoded, http, result, until, within, world

SECONDS = 600 if full_size() else 40
MIB = 2**20
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

pytestmark = pytest.mark.timeout(SECONDS + 20)


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def needs_descriptors(wanted: int) -> None:
    """Let this process have that many; skips the test where the system does not allow it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"{wanted} descriptors are needed, {hard} are allowed")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def report(name: str, **measured: object) -> None:
    """One line for whoever keeps the output of a full run."""
    print(
        f"scale: {name}: " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in measured.items())
    )


# Idle connections

PER_IDLE = 24 * 1024
"""Bytes that one idle connection may cost. Measured: under 12 KiB with uvloop, most of it the parser
(llhttp), the transport and the remembered head of the last request; twice that is the slack for
another loop, Python or allocator. Buffers of a connection (64 KiB) must not be kept while it idles."""


async def crowd(gate: GateProcess, count: int) -> list[socket.socket]:
    """That many connections; every second one has made a call, the others never sent a byte."""
    opened: list[socket.socket] = []
    before = gate.descriptors()
    for at in range(count):
        one = socket.create_connection(("127.0.0.1", gate.port))
        one.setblocking(False)
        opened.append(one)
        if at % 2:
            one.send(called(at))
        if at % 200 == 199:
            await until(lambda: gate.descriptors() >= before + len(opened))
    loop = asyncio.get_running_loop()
    for at in range(1, count, 2):
        got = b""
        while not got.endswith(b"}"):
            got += await loop.sock_recv(opened[at], 4096)
        assert b'"id": %d,' % at in got
    return opened


def test_idle_connections_by_the_thousand_cost_little_and_change_nothing(tmp_path) -> None:
    """HTTP case 22: 1,000, or 10,000 at full size; opened, half of them used, held, abandoned, twice.

    Calls of another client go on meanwhile with unchanged results. After the connections are gone
    so are their descriptors, and as many again need no more memory than the first did.
    """
    count = size(1_000, 10_000)
    needs_descriptors(count + 500)
    given = (
        f"connections={count + 50}",
        "idle-timeout=1h",
        "head-timeout=10m",
        "upstream-idle-timeout=500ms",
    )
    limits = [f"--limit={one}" for one in given]

    async def main() -> None:
        with running_gate(tmp_path, *limits) as gate:
            async with gate.upstream() as upstream, talking(gate.port) as (reader, writer):
                echoing(upstream)

                async def calls(amount: int) -> None:
                    for n in range(amount):
                        writer.write(called(n, n=n))
                        assert text_of(json.loads((await answer(reader))[2])) == {"n": n}

                await calls(200)
                await until(gate.settled)
                few, light = gate.descriptors(), gate.resident()
                peaks: list[int] = []
                for _ in range(2):
                    busy = asyncio.create_task(calls(300))
                    held = await crowd(gate, count)
                    await busy
                    await calls(100)
                    assert gate.descriptors() >= few + count
                    peaks.append(gate.resident())
                    for one in held:
                        one.close()
                    await until(lambda: gate.descriptors() <= few)
                    await calls(100)
                each = (peaks[0] - light) / count
                report(
                    "idle connections", held=count, bytes_each=int(each), before_MiB=light // MIB,
                    first_MiB=peaks[0] // MIB, second_MiB=peaks[1] // MIB, after_MiB=gate.resident() // MIB,
                )  # fmt: skip
                assert each < PER_IDLE
                # Whatever the allocator keeps, it uses again: a tenth and 4 MiB for its luck.
                assert peaks[1] - light < (peaks[0] - light) * 1.1 + 4 * MIB

    within(main, SECONDS)


# Event streams


@contextlib.asynccontextmanager
async def listening(gate, count: int) -> AsyncIterator[list[tuple[asyncio.StreamReader, int]]]:
    """Open streams, by GET and by POST in turn; gives their readers and numbers."""
    async with contextlib.AsyncExitStack() as stack:
        opened: list[tuple[asyncio.StreamReader, int]] = []
        for number in range(count):
            name = (b"user-agent", b"%d" % number)
            held = gate.held(call("echo", {}, number)) if number % 2 else gate.held(None, name, method="GET")
            reader, _ = await stack.enter_async_context(held)
            opened.append((reader, number))
        yield opened


def test_two_hundred_idle_streams_are_kept_open_and_each_gets_its_own_events(tmp_path) -> None:
    """HTTP case 20: half by GET, half by POST; comments while they idle, then events, none mixed up."""
    count = 200

    async def main() -> None:
        told: dict[int, asyncio.StreamWriter] = {}

        async def open_stream(seen: Seen) -> None:
            number = int(seen.headers["user-agent"]) if seen.method == "GET" else seen.message["id"]
            seen.writer.write(STREAM)
            told[number] = seen.writer

        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.desk.streams.period = 0.1
            gate.upstream.script |= {"GET": open_stream, "tools/call": open_stream}
            async with listening(gate, count) as streams:
                await until(lambda: len(told) == count)
                for reader, _ in streams:
                    await reader.readuntil(b"\r\n\r\n")
                for reader, _ in streams:
                    for _ in range(2):
                        assert await reader.readuntil(b"\n\n\r\n") == chunk(b":\n\n")
                numbers = list(told)
                random.Random(7).shuffle(numbers)
                for number in numbers:
                    note = {"jsonrpc": "2.0", "method": "notifications/message",
                            "params": {"level": "info", "data": number}}  # fmt: skip
                    told[number].write(chunk(b"data: " + encoded(note) + b"\n\n"))
                for reader, number in streams:
                    got = chunk(b":\n\n")
                    while got == chunk(b":\n\n"):
                        got = await reader.readuntil(b"\n\n\r\n")
                    assert json.loads(got.partition(b"data: ")[2])["params"]["data"] == number
                for number in numbers[1::2]:
                    message = {"id": number} if number % 2 else {}
                    if message:
                        last = b"data: " + result(message, {"content": []}) + b"\n\n"
                        told[number].write(chunk(last) + b"0\r\n\r\n")
                assert len(gate.client._lines) >= count - count // 2

    within(main, SECONDS)


# Slow peers


def stopped_reader(port: int, data: bytes) -> socket.socket:
    """A client that sends a request and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(data)
    client.setblocking(False)
    return client


class Flood:
    """An upstream's event stream of a given size; `sent` counts what has left for the gate."""

    def __init__(self, total: int) -> None:
        self.events = total // 10_000
        self.sent = 0

    def event(self, n: int) -> bytes:
        note = {
            "jsonrpc": "2.0",
            "method": "notifications/message",
            "params": {"level": "info", "data": n, "pad": "x" * 9_880},
        }
        return b"data: " + encoded(note) + b"\n\n"

    async def __call__(self, seen: Seen) -> bytes:
        seen.writer.write(STREAM)
        for n in range(self.events):
            if seen.writer.transport.is_closing():
                return b""
            event = self.event(n)
            seen.writer.write(chunk(event))
            self.sent += len(event)
            await seen.writer.drain()
        return chunk(b"data: " + result(seen.message, {"content": []}) + b"\n\n") + b"0\r\n\r\n"


async def standstill(count: Callable[[], int]) -> int:
    """Wait until a number has stopped growing."""
    before = -1
    while before != count():
        before = count()
        await asyncio.sleep(0.25)
    return before


async def drained(client: socket.socket) -> tuple[int, str]:
    """Read a chunked answer to its end: its length and digest, without the framing of the chunks."""
    reader, writer = await asyncio.open_connection(sock=client, limit=2**22)
    await reader.readuntil(b"\r\n\r\n")
    length, digest = 0, hashlib.sha256()
    while count := int(await reader.readline(), 16):
        piece = (await reader.readexactly(count + 2))[:-2]
        length += count
        digest.update(piece)
    writer.close()
    return length, digest.hexdigest()


PER_STOPPED = 1 * MIB
"""Bytes that a stream may hold for one reader that has stopped: the high-water mark of 64 KiB, one
read of the upstream (256 KiB) before the pause takes effect, and both once more as copies."""


def test_reader_that_stops_on_a_large_stream_is_waited_for_without_memory(tmp_path) -> None:
    """HTTP case 19: 40 MB, or 200 MB at full size; nothing piles up, and all of it arrives in the end."""
    flood = Flood(size(40_000_000, 200_000_000))

    async def main() -> None:
        with running_gate(tmp_path) as gate:
            async with gate.upstream() as upstream, talking(gate.port) as line:
                await asked(*line, 0)
                upstream.script["tools/call"] = flood
                before = gate.resident()
                client = stopped_reader(gate.port, called(1))
                await until(lambda: flood.sent)
                held = await standstill(lambda: flood.sent)
                grown = gate.resident() - before
                assert 0 < held < 24_000_000  # what is not in the gate lies in the buffers of four sockets
                assert grown < PER_STOPPED + 2 * MIB
                length, digest = await drained(client)
                expected = hashlib.sha256()
                for n in range(flood.events):
                    expected.update(flood.event(n))
                last = b"data: " + result({"id": 1}, {"content": []}) + b"\n\n"
                expected.update(last)
                assert (length, digest) == (flood.sent + len(last), expected.hexdigest())
                peak = gate.resident() - before
                report(
                    "stopped reader",
                    stream_MB=flood.sent // 10**6,
                    held_KiB=grown // 1024,
                    peak_KiB=peak // 1024,
                )
                assert peak < PER_STOPPED + 4 * MIB

    within(main, SECONDS)


def test_fifty_readers_that_stop_hold_a_bounded_amount_together(tmp_path) -> None:
    """HTTP case 19: many at once, each on 5 MB, or 50 MB at full size; other calls go on."""
    many = 50
    total = size(5_000_000, 50_000_000)

    async def main() -> None:
        with running_gate(tmp_path) as gate:
            async with gate.upstream() as upstream, talking(gate.port) as line:
                await asked(*line, 0)
                floods: list[Flood] = []

                def begin(seen: Seen):
                    if "flood" not in seen.message["params"]["arguments"]:
                        return http(result(seen.message, {"content": []}))
                    floods.append(Flood(total))
                    return floods[-1](seen)

                upstream.script["tools/call"] = begin
                before = gate.resident()
                clients = [stopped_reader(gate.port, called(n, flood=True)) for n in range(1, many + 1)]
                await until(lambda: len(floods) == many and all(one.sent for one in floods))
                await standstill(lambda: sum(one.sent for one in floods))
                grown = gate.resident() - before
                report("stopped readers", readers=many, held_KiB_each=grown // 1024 // many)
                assert len(floods) == many
                assert all(one.sent < total for one in floods)
                assert grown < many * PER_STOPPED
                for n in range(50):
                    assert (await asked(*line, n))["id"] == n
                held = gate.descriptors()
                for client in clients:
                    client.close()
                await until(lambda: gate.descriptors() <= held - many)

    within(main, SECONDS)


def test_fifty_slow_uploaders_hold_no_more_than_they_have_sent(tmp_path) -> None:
    """HTTP case 19: each promises 4 MiB, sends 100 kB and stops; the others go on."""
    many, sent = 50, 100_000

    async def main() -> None:
        with running_gate(tmp_path) as gate:
            async with gate.upstream() as upstream, talking(gate.port) as line:
                await asked(*line, 0)
                before = gate.resident()
                async with contextlib.AsyncExitStack() as stack:
                    slow = [await stack.enter_async_context(talking(gate.port)) for _ in range(many)]
                    for n, (_, writer) in enumerate(slow):
                        writer.write(head_of(4 * MIB if n % 2 else None))
                        piece = b"x" * sent
                        writer.write(piece if n % 2 else b"%x\r\n" % (4 * MIB) + piece)
                        await writer.drain()
                    await standstill(gate.resident)
                    grown = gate.resident() - before
                    report(
                        "slow uploaders",
                        uploaders=many,
                        sent_kB_each=sent // 1000,
                        held_kB_each=grown // 1000 // many,
                    )
                    assert grown < 2 * many * sent + 2 * MIB
                    for n in range(50):
                        assert (await asked(*line, n))["id"] == n
                    assert len(upstream.calls) == 51
                    for _, writer in slow:
                        reset(writer)
                few = gate.descriptors()
                await until(lambda: gate.descriptors() <= few)

    within(main, SECONDS)


def test_upstream_that_reads_slowly_is_waited_for_without_copies(tmp_path) -> None:
    """HTTP case 19: twenty calls of 2 MB to an upstream that takes nothing; each is held once or twice."""
    many, large = 20, 2_000_000

    async def main() -> None:
        with running_gate(tmp_path) as gate:
            async with gate.upstream() as upstream, talking(gate.port) as line:
                await asked(*line, 0)
                before = gate.resident()
                go_on = asyncio.Event()
                reading = upstream._read
                waiting = 0

                async def later(reader, writer):
                    nonlocal waiting
                    waiting += 1
                    writer.transport.pause_reading()
                    await go_on.wait()
                    with contextlib.suppress(RuntimeError):
                        writer.transport.resume_reading()
                    return await reading(reader, writer)

                upstream._read = later
                async with contextlib.AsyncExitStack() as stack:
                    lines = [await stack.enter_async_context(talking(gate.port)) for _ in range(many)]
                    for n, (_, writer) in enumerate(lines):
                        writer.write(called(n, x="a" * large))
                    # One goes out on the connection that was kept, which is read at once.
                    await until(lambda: waiting >= many - 1)
                    grown = await standstill(gate.resident) - before
                    report("slow upstream", calls=many, held_kB_each=grown // 1000 // many)
                    # The body as it was read, and the part of it that the sockets have not taken.
                    assert grown < many * large * 4
                    go_on.set()
                    for n, (reader, _) in enumerate(lines):
                        assert json.loads((await answer(reader))[2])["id"] == n

    within(main, SECONDS)


# Long runs

PER_CALL = 64
"""Bytes that memory may grow for each call: far below anything that belongs to one, so that a leak of
even the smallest object for each call shows; the rest is what allocators do over time."""


class Client:
    """A client in all moods: it calls, repeats, is denied, makes mistakes, and leaves early."""

    def __init__(self, gate: GateProcess, seed: int) -> None:
        self._gate = gate
        self._random = random.Random(seed)
        self.made = 0

    async def run(self, amount: int) -> None:
        while self.made < amount:
            mood = self._random.choice(
                (self.kept, self.kept, self.kept, self.once, self.mistaken, self.leaving)
            )
            await mood()

    async def kept(self) -> None:
        async with talking(self._gate.port) as (reader, writer):
            for _ in range(20):
                n = self.made
                writer.write(called(n, n=n))
                assert text_of(json.loads((await answer(reader))[2])) == {"n": n}
                self.made += 1

    async def once(self) -> None:
        async with talking(self._gate.port) as (reader, writer):
            writer.write(called(self.made, b"Connection: close", fail=self.made % 3))
            assert b"200 OK" in await reader.read()
            self.made += 1

    async def mistaken(self) -> None:
        wrong = self._random.choice(
            (b"BREW / HTTP/1.1\r\n\r\n", called(1)[:-1] + b"!", head_of(5) + b"[[[[[")
        )
        async with talking(self._gate.port) as (reader, writer):
            writer.write(wrong)
            await reader.readuntil(b"\r\n\r\n")
            self.made += 1

    async def leaving(self) -> None:
        async with talking(self._gate.port) as (_, writer):
            data = called(self.made, slow=True)
            writer.write(data[: self._random.choice((10, len(data) - 1, len(data)))])
            if self._random.random() < 0.5:
                reset(writer)
            self.made += 1


def moody(upstream: Upstream) -> None:
    """An upstream that answers, breaks off, resets and dawdles, as it is told."""
    echoing(upstream)
    echoed = upstream.script["tools/call"]
    assert callable(echoed)

    async def slowly(seen: Seen) -> bytes:
        await asyncio.sleep(0.005)
        return http(result(seen.message, {"content": []}))

    def moods(seen: Seen):
        arguments = seen.message["params"]["arguments"]
        if arguments.get("slow"):
            return slowly(seen)
        if arguments.get("fail") == 1:
            seen.writer.transport.abort()
            return None
        if arguments.get("fail") == 2:
            return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"
        return echoed(seen)

    upstream.script["tools/call"] = moods


def test_descriptors_and_memory_stay_flat_over_a_long_run(tmp_path) -> None:
    """HTTP case 22: 2,000 calls, or 50,000 at full size, of clients and upstreams in all moods.

    Memory is compared from the middle of the run on, when caches and pools are filled.
    """
    total = size(2_000, 50_000)
    steps = 10

    async def main() -> None:
        with running_gate(tmp_path) as gate:
            async with gate.upstream() as upstream, talking(gate.port) as line:
                moody(upstream)
                await asked(*line, "warm")
                await until(gate.settled)
                few = gate.descriptors()
                memory: list[int] = []
                open_now: list[int] = []
                made = 0
                for step in range(steps):
                    clients = [Client(gate, 100 * step + n) for n in range(8)]
                    await asyncio.gather(*(client.run(total // steps // 8) for client in clients))
                    made += sum(client.made for client in clients)
                    # At rest: the one client, and at most what is kept to the upstream for reuse.
                    await until(lambda: gate.descriptors() <= few + 16)
                    memory.append(gate.resident())
                    open_now.append(gate.descriptors())
                half = made / 2
                slope = (memory[-1] - memory[steps // 2 - 1]) / half
                report(
                    "long run", calls=made, descriptors=f"{few} then {open_now}",
                    memory_KiB=[one // 1024 for one in memory], bytes_a_call=round(slope, 1),
                )  # fmt: skip
                assert (await asked(*line, "after"))["id"] == "after"
                assert memory[-1] - memory[steps // 2 - 1] < PER_CALL * half + 1 * MIB
                # The pool is let go after some seconds, and then nothing is left of the run.
                await until(lambda: gate.descriptors() <= few + 1)

    within(main, SECONDS)
