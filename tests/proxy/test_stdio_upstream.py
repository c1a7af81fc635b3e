"""A server on pipes, asked as if it spoke streamable HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import AsyncIterator, Mapping

import pytest

from ostiary.errors import GatewayFault
from ostiary.proxy.exchange import Flow, UpstreamRequest
from ostiary.proxy.stdio.child import Grace, Launch, Started, start_here
from ostiary.proxy.stdio.conversation import PipeLimits
from ostiary.proxy.stdio.pipe import CHUNK
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.upstream import ChildLimits, StdioUpstream
from ostiary.proxy.stdio.watchdog import Watchdog
from tests.proxy.stdio_world import (
    ECHO,
    Remembering,
    gone,
    modern,
    notification,
    on_asyncio,
    on_uvloop,
    post,
    request,
    server,
)

QUICK = Grace(eof=0.3, term=0.3, kill=3.0)
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

both_loops = pytest.mark.parametrize("run", [on_asyncio, on_uvloop])


class Asked:
    """An upstream, what it logged, and shorthands to ask it."""

    def __init__(self, upstream: StdioUpstream, log: list[str]) -> None:
        self.upstream = upstream
        self.log = log

    def send(
        self, message: Mapping[str, object] | bytes, *, session: bytes | None = None, grant: str = "g"
    ) -> Remembering:
        sink = Remembering()
        self.upstream.send(post(message, session=session, grant=grant), sink)
        return sink

    def send_flow(self, message: Mapping[str, object]) -> tuple[Remembering, Flow]:
        sink = Remembering()
        return sink, self.upstream.send(post(message), sink)

    def get(self, session: bytes | None = None) -> tuple[Remembering, Flow]:
        sink = Remembering()
        headers = () if session is None else ((b"mcp-session-id", session),)
        return sink, self.upstream.send(UpstreamRequest("GET", headers, b"", grant="g"), sink)

    async def ask(
        self, message: Mapping[str, object] | bytes, *, session: bytes | None = None, grant: str = "g"
    ) -> Remembering:
        sink = self.send(message, session=session, grant=grant)
        await sink.over.wait()
        return sink


@contextlib.asynccontextmanager
async def upstream(
    command: Command,
    *,
    single: bool = True,
    pipe_limits: PipeLimits | None = None,
    child_limits: ChildLimits | None = None,
    launch: Launch | None = None,
) -> AsyncIterator[Asked]:
    log: list[str] = []
    running = StdioUpstream(
        command,
        single=single,
        pipe_limits=pipe_limits,
        child_limits=child_limits,
        grace=QUICK,
        log=log.append,
    )
    running.launch = launch
    try:
        running.start()
        yield Asked(running, log)
    finally:
        await running.close()


@both_loops
def test_answer_that_comes_first_is_json_with_the_bytes_of_the_server(run) -> None:
    async def main() -> None:
        async with upstream(
            server("""
for line in sys.stdin: print('{"id" : 1,"result":{"a":1.50},"jsonrpc":"2.0"}', flush=True)
""")
        ) as asked:
            got = await asked.ask(request("ping"))
            assert (got.status, got.kind) == (200, b"application/json")
            assert got.body == b'{"id" : 1,"result":{"a":1.50},"jsonrpc":"2.0"}'
            assert got.heads[0].length == len(got.body)

    run(main)


def test_request_reaches_a_dedicated_child_byte_for_byte() -> None:
    async def main() -> None:
        async with upstream(
            server("""
for line in sys.stdin: answer(json.loads(line), line=line)
""")
        ) as asked:
            raw = b'{"method":"tools\\u002fcall", "params":{"x":1e3}, "id":"a","jsonrpc":"2.0"}'
            got = await asked.ask(raw)
            assert got.messages[0]["result"] == {"line": raw.decode() + "\n"}

    on_uvloop(main)


def test_raw_line_ends_in_a_body_never_reach_the_child() -> None:
    """A CR inside a frame is a second message to some servers: it becomes a space."""

    async def main() -> None:
        async with upstream(
            server("""
while True:
    line = sys.stdin.buffer.readline()
    answer(json.loads(line), cr=line.count(b"\\r"), lf=line.count(b"\\n"))
""")
        ) as asked:
            inner = b'{"jsonrpc":"2.0","id":2,"method":"tools/call"}'
            got = await asked.ask(
                b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":\r\n' + inner + b"\r}}\n"
            )
            assert got.messages[0]["result"] == {"cr": 0, "lf": 1}

    on_uvloop(main)


def test_progress_before_the_answer_makes_it_an_event_stream() -> None:
    async def main() -> None:
        async with upstream(
            server("""
for r in requests():
    notify("notifications/progress", progressToken=r["params"]["_meta"]["progressToken"], progress=1)
    answer(r, done=True)
""")
        ) as asked:
            got = await asked.ask(request("tools/call", _meta={"progressToken": "p"}))
            assert (got.status, got.kind) == (200, b"text/event-stream")
            assert [message.get("method") for message in got.messages] == ["notifications/progress", None]

    on_uvloop(main)


ELICIT = """
for r in requests():
    if r.get("method") == "tools/call":
        say({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {}})
        held = r
    elif r.get("id") == "q":
        answer(held, told=r["result"])
"""


def test_server_asks_the_client_on_the_open_request_and_gets_its_answer() -> None:
    async def main() -> None:
        async with upstream(server(ELICIT)) as asked:
            call = asked.send(request("tools/call", 7))
            await call.until(lambda: b"elicitation/create" in call.body)
            accepted = await asked.ask({"jsonrpc": "2.0", "id": "q", "result": {"action": "accept"}})
            assert (accepted.status, accepted.body) == (202, b"")
            await call.over.wait()
            assert call.messages[1]["result"] == {"told": {"action": "accept"}}

    on_uvloop(main)


def test_server_asks_the_client_on_its_get_stream_when_one_is_open() -> None:
    async def main() -> None:
        async with upstream(server(ELICIT)) as asked:
            stream, _ = asked.get()
            await stream.until(lambda: bool(stream.heads))
            call = asked.send(request("tools/call", 7))
            await stream.until(lambda: b"elicitation/create" in stream.body)
            asked.send({"jsonrpc": "2.0", "id": "q", "result": {}})
            await call.over.wait()
            assert call.kind == b"application/json"

    on_uvloop(main)


def test_messages_nobody_fetches_wait_for_the_get_stream_and_are_bounded() -> None:
    async def main() -> None:
        code = (
            """
for n in range(9): say({"jsonrpc": "2.0", "method": "notifications/message", "params": {"n": n}})
"""
            + ECHO
        )
        async with upstream(server(code), pipe_limits=PipeLimits(max_buffered=4)) as asked:
            stream = Remembering()
            while len(asked.log) == 0:
                await asyncio.sleep(0)
            asked.upstream.send(UpstreamRequest("GET", (), b""), stream)
            await stream.until(lambda: b'"n": 8' in stream.body)
            assert [message["params"] for message in stream.messages][-4:] == [{"n": n} for n in range(5, 9)]
            assert "the oldest was dropped" in asked.log[0]

    on_uvloop(main)


def test_child_that_floods_the_gate_with_nonsense_is_read_no_further_for_a_while() -> None:
    async def main() -> None:
        code = """
import os, select
os.set_blocking(1, False)
while select.select([], [1], [], 0.5)[1]: os.write(1, b"nonsense\\n" * 100)
os._exit(7)  # nobody reads
"""
        limits = PipeLimits(max_dropped=1_000, dropped_within=3_600)
        async with upstream(server(code), pipe_limits=limits) as asked:
            got = await asked.ask(request("tools/call"))
            assert got.failed is not None
            assert "exited with status 7" in got.failed.message

    on_uvloop(main)


def test_child_that_says_much_nonsense_is_heard_again() -> None:
    async def main() -> None:
        code = 'print("{}\\n[]\\nnonsense\\n" * 2_000, flush=True)\n' + ECHO
        limits = PipeLimits(max_dropped=100, dropped_within=0.001)
        async with upstream(server(code), pipe_limits=limits) as asked:
            for number in range(3):
                got = await asked.ask(request("tools/call", number))
                assert got.messages[0]["id"] == number
            assert "not a JSON-RPC message" in asked.log[0]

    on_uvloop(main)


class Mouth:
    """The end of a pipe that stands in for what a server says."""

    def __init__(self) -> None:
        self._from_it, self._fd = os.pipe()
        for each in (self._from_it, self._fd):
            os.set_blocking(each, False)

    def launch(self, command: Command, watchdog: Watchdog) -> Started:
        started = start_here(command, watchdog)
        os.close(started.from_it)
        return Started(started.process, started.to_it, self._from_it)

    async def say(self, data: bytes, most: int = 5_000_000) -> int:
        """Say it over and over. Returns how many bytes were taken until no more are, or `most` are."""
        taken = turns = 0
        while turns < 200 and taken < most:
            try:
                taken += os.write(self._fd, data)
                turns = 0
            except BlockingIOError:
                turns += 1
                await asyncio.sleep(0)
        os.close(self._fd)
        return taken


PIPE = 65_536
"""Bytes that a pipe of Linux holds, which nobody has read."""

USELESS = {
    "a line that never ends": b"x" * 5_000,
    "empty lines": b"\n" * 5_000,
    "lines that are too long": b"x" * 4_999 + b"\n",
    "lines that are no messages": b"x" * 499 + b"\n",
    "answers to nobody": b'{"jsonrpc": "2.0", "id": 9, "result": {"text": "' + b"x" * 450 + b'"}}\n',
}


@pytest.mark.parametrize("said", USELESS.values(), ids=USELESS.keys())
@both_loops
def test_no_more_bytes_are_read_for_nothing_than_the_bound_says(run, said: bytes) -> None:
    async def main() -> None:
        mouth = Mouth()
        limits = PipeLimits(
            max_line=1_000, max_dropped=1_000_000, max_dropped_bytes=300_000, dropped_within=3_600
        )
        idle = server("for line in sys.stdin: pass")
        async with upstream(idle, pipe_limits=limits, launch=mouth.launch):
            taken = await mouth.say(said)
            assert taken > 300_000
            assert taken <= 300_000 + CHUNK + PIPE

    run(main)


NOTE = b'{"jsonrpc": "2.0", "method": "notifications/message", "params": {}}\n'
DROPPED = {
    "empty lines": b"\n" * 4_096,
    "empty lines of Windows": b"\r\n" * 2_048,
    "lines of spaces": b" \n" * 2_048,
    "empty lines between messages": NOTE + b"\n" * 4_000,
}


@pytest.mark.parametrize("said", DROPPED.values(), ids=DROPPED.keys())
@both_loops
def test_no_more_lines_are_read_for_nothing_than_the_usual_bound_says(run, said: bytes) -> None:
    async def main() -> None:
        mouth = Mouth()
        limits = PipeLimits(dropped_within=3_600)  # only the second is another: it is not over in this test
        idle = server("for line in sys.stdin: pass")
        async with upstream(idle, pipe_limits=limits, launch=mouth.launch) as asked:
            asked.get()
            taken = await mouth.say(said)
            lines = taken * said.count(b"\n") // len(said)
            spare = (CHUNK + PIPE) * said.count(b"\n") // len(said)
            assert limits.max_dropped < lines <= limits.max_dropped + spare + 1

    run(main)


STRAY = {
    "progress": notification("notifications/progress", progressToken=999_999, progress=1),
    "an event": notification("notifications/tools/list_changed", _meta={SUBSCRIPTION: 999_999}),
}


@pytest.mark.parametrize("stray", STRAY.values(), ids=STRAY.keys())
def test_no_more_word_of_unknown_requests_is_read_on_a_shared_pipe_than_the_usual_bound_says(
    stray: dict[str, object],
) -> None:
    async def main() -> None:
        mouth = Mouth()
        limits = PipeLimits(dropped_within=3_600)
        idle = server("for line in sys.stdin: pass")
        said = json.dumps(stray).encode() + b"\n"
        async with upstream(idle, single=False, pipe_limits=limits, launch=mouth.launch) as asked:
            sink = asked.send(modern("tools/call"))
            taken = await mouth.say(said * 40)
            assert limits.max_dropped < taken // len(said) <= limits.max_dropped + (CHUNK + PIPE) // len(said)
            assert "word of a request that is over or unknown" in asked.log[0]
            assert not sink.heads

    on_uvloop(main)


def test_messages_are_read_however_many_bytes_they_have_together() -> None:
    async def main() -> None:
        message = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": "x" * 900})
        mouth = Mouth()
        limits = PipeLimits(max_line=1_000, max_dropped_bytes=2_000, dropped_within=3_600)
        idle = server("for line in sys.stdin: pass")
        async with upstream(idle, pipe_limits=limits, launch=mouth.launch) as asked:
            asked.get()
            assert await mouth.say(message.encode() + b"\n", most=500_000) >= 500_000

    on_uvloop(main)


def test_child_that_wrote_a_line_without_an_end_for_long_is_heard_again_after_it() -> None:
    async def main() -> None:
        code = 'print("x" * 1_000_000, flush=True)\n' + ECHO
        limits = PipeLimits(max_line=1_000, max_dropped_bytes=100_000, dropped_within=0.001)
        async with upstream(server(code), pipe_limits=limits) as asked:
            while not asked.log:
                await asyncio.sleep(0)
            got = await asked.ask(request("tools/call"))
            assert got.messages[0]["id"] == 1

    on_uvloop(main)


def test_second_get_stream_takes_the_place_of_the_first() -> None:
    async def main() -> None:
        code = """
for r in requests():
    if "id" not in r: say({"jsonrpc": "2.0", "method": "notifications/message", "params": {}})
"""
        async with upstream(server(code)) as asked:
            first, _ = asked.get()
            second, flow = asked.get()
            await first.over.wait()
            await asked.ask(notification("x"))
            await second.until(lambda: b"notifications/message" in second.body)
            flow.cancel()

    on_uvloop(main)


def test_child_that_dies_in_a_call_is_a_fault_with_its_status() -> None:
    """P4.4: a byte of the call has left, so its outcome is unknown."""

    async def main() -> None:
        exits: list[int] = []
        running = StdioUpstream(
            server("sys.stdin.readline(); os._exit(3)"), single=True, on_exit=exits.append, grace=QUICK
        )
        running.start()
        got = Remembering()
        running.send(post(request("tools/call")), got)
        await got.over.wait()
        assert got.failed is not None
        assert got.failed.written
        assert "exited with status 3 before it answered" in got.failed.message
        assert exits == [3] == [running.status]
        after = Remembering()
        running.send(post(request("tools/call")), after)
        await after.over.wait()
        assert after.failed is not None
        assert not after.failed.written
        await running.close()

    on_uvloop(main)


def test_request_of_which_no_byte_was_written_says_so() -> None:
    """P4.4: a call that cannot have reached the server may be refunded."""

    async def main() -> None:
        async with upstream(server("sys.stdin.read(1); os._exit(0)")) as asked:
            begun = asked.send(request("tools/call", 1, pad="x" * 500_000))
            waiting = asked.send(request("tools/call", 2))
            await begun.over.wait()
            await waiting.over.wait()
            assert begun.failed is not None
            assert begun.failed.written
            assert waiting.failed is not None
            assert not waiting.failed.written

    on_uvloop(main)


def test_pipe_that_is_not_read_refuses_more_than_its_queue() -> None:
    async def main() -> None:
        code = server("sys.stdin.read(1); import time; time.sleep(100)")
        async with upstream(code, pipe_limits=PipeLimits(max_queued=1 << 20)) as asked:
            asked.send(request("tools/call", 1, pad="x" * 900_000))
            got = await asked.ask(request("tools/call", 2, pad="x" * 900_000))
            assert got.failed is not None
            assert not got.failed.written
            assert "does not read its input" in got.failed.message

    on_uvloop(main)


def test_five_megabytes_of_argument_go_through_and_come_back() -> None:
    async def main() -> None:
        async with upstream(server(ECHO)) as asked:
            text = "é" * 2_500_000
            got = await asked.ask(json.dumps(request("tools/call", text=text), ensure_ascii=False).encode())
            assert got.messages[0]["result"]["params"] == {"text": text}

    on_uvloop(main, 20.0)


def test_answer_over_the_line_limit_fails_everyone_who_waits() -> None:
    async def main() -> None:
        code = """
for r in requests():
    if r["id"] == 1: answer(r, text="x" * (16 * 1024 * 1024))
    if r["id"] == 2: answer(r, ok=True)
"""
        async with upstream(server(code)) as asked:
            got = await asked.ask(request("tools/call", 1))
            assert got.failed is not None
            assert got.failed.written
            assert "more than 16777216 bytes" in got.failed.message
            assert (await asked.ask(request("tools/call", 2))).messages[0]["result"] == {"ok": True}

    on_uvloop(main, 20.0)


def test_lines_that_are_no_messages_are_dropped_with_a_word_and_without_their_content() -> None:
    async def main() -> None:
        code = """
for r in requests():
    print("hello password"); print("[1]"); print('{"a":'); print("\\x00")
    sys.stdout.buffer.write(b'{"x":"\\xff"}\\n')
    say({"jsonrpc": "2.0", "id": 99, "result": {}}); say({"jsonrpc": "2.0", "id": "1", "result": {}})
    answer(r)
"""
        async with upstream(server(code)) as asked:
            assert (await asked.ask(request("ping"))).messages == [{"jsonrpc": "2.0", "id": 1, "result": {}}]
            assert len(asked.log) == 1
            assert "bytes that are not a JSON-RPC message; dropped" in asked.log[0]
            assert "password" not in asked.log[0]

    on_uvloop(main)


def test_answer_with_a_number_that_is_none_is_a_fault_and_not_silence() -> None:
    async def main() -> None:
        async with upstream(server("for r in requests(): answer(r, x=float('nan'))")) as asked:
            got = await asked.ask(request("tools/call"))
            assert got.failed is not None
            assert got.failed.message == "the answer of the MCP server is not valid JSON"

    on_uvloop(main)


def test_answer_nested_deeper_than_anybody_reads_is_a_fault_and_not_silence() -> None:
    async def main() -> None:
        code = """
for r in requests():
    if r["id"] == 1: print('{"id":1,"result":{"x":' + "[" * 5000 + "]" * 5000 + "}}", flush=True)
    else: answer(r, ok=True)
"""
        async with upstream(server(code)) as asked:
            got = await asked.ask(request("tools/call", 1))
            assert got.failed is not None
            assert got.failed.written
            assert got.failed.message == "the MCP server sent a message that is nested too deeply to be read"
            assert (await asked.ask(request("tools/call", 2))).messages[0]["result"] == {"ok": True}

    on_uvloop(main)


@pytest.mark.parametrize("line", ['"id":"\\xff","result":{}', '"id":1,"method":"a\\xff"', '"\\xff":1,"id":9'])
def test_line_that_is_not_utf_8_disturbs_no_call(line: str) -> None:
    async def main() -> None:
        code = f"""
for r in requests():
    sys.stdout.buffer.write(b'{{"jsonrpc":"2.0",{line}}}\\n'); sys.stdout.buffer.flush()
    answer(r, ok=True)
"""
        async with upstream(server(code)) as asked:
            for number in (1, 2):
                got = await asked.ask(request("tools/call", number))
                assert got.messages[-1]["result"] == {"ok": True}

    on_uvloop(main)


def test_answer_on_a_shared_pipe_that_cannot_be_put_under_its_clients_id_is_a_fault() -> None:
    """A key that is not UTF-8: passed on as it is, it would carry an id that its client never sent."""

    async def main() -> None:
        code = """
for r in requests():
    if r["method"] == "odd":
        sys.stdout.buffer.write(b'{"\\xff":1,"jsonrpc":"2.0","result":{},"id":%d}\\n' % r["id"])
        sys.stdout.buffer.flush()
    else: answer(r, ok=True)
"""
        async with upstream(server(code), single=False) as asked:
            odd, even = asked.send(modern("odd", 5)), asked.send(modern("even", 5))
            await odd.over.wait()
            await even.over.wait()
            assert odd.failed is not None
            assert odd.failed.message == "the answer of the MCP server is not valid JSON"
            assert even.messages[0]["id"] == 5

    on_uvloop(main)


def test_answer_with_a_lone_surrogate_is_passed_on_as_it_is() -> None:
    async def main() -> None:
        async with upstream(server("for r in requests(): answer(r, x=chr(0xd800))")) as asked:
            assert b"\\ud800" in (await asked.ask(request("tools/call"))).body

    on_uvloop(main)


LATE = """
held = None
for r in requests():
    if r.get("method") == "slow": held = r
    elif r.get("method") == "release": answer(held, late=True); answer(r, ok=True)
    elif r.get("method") == "seen": answer(r, ok=True)
    elif r.get("method") == "notifications/cancelled":
        say({"jsonrpc": "2.0", "method": "notifications/message", "params": r["params"]})
"""


def test_late_answer_to_a_cancelled_request_reaches_nobody() -> None:
    """A response for a request that was cancelled never reaches another request."""

    async def main() -> None:
        async with upstream(server(LATE)) as asked:
            slow, flow = asked.send_flow(request("slow", 1))
            await asked.ask(request("seen", 2))
            flow.cancel()
            again = await asked.ask(request("seen", 1))
            assert again.failed is not None
            assert not again.failed.written
            assert (await asked.ask(request("release", 3))).messages[0]["result"] == {"ok": True}
            assert not slow.heads
            assert (await asked.ask(request("seen", 1))).messages[0]["result"] == {"ok": True}
            assert asked.log == []

    on_uvloop(main)


def test_cancelled_request_that_is_never_answered_ends_after_a_while() -> None:
    async def main() -> None:
        async with upstream(server(LATE), pipe_limits=PipeLimits(cancelled_for=0.01)) as asked:
            slow = asked.send(request("slow", 1))
            await asked.ask(notification("notifications/cancelled", requestId=1))
            await slow.over.wait()
            assert slow.failed is None
            assert slow.messages == []

    on_uvloop(main)


def test_giving_up_on_the_modern_era_tells_the_server() -> None:
    async def main() -> None:
        async with upstream(server(LATE)) as asked:
            _, flow = asked.send_flow(modern("slow", 41))
            other = asked.send(modern("slow", 42))
            await asked.ask(request("seen", 2))
            flow.cancel()
            await other.until(lambda: b"notifications/message" in other.body)
            assert other.messages[0]["params"]["requestId"] == 41

    on_uvloop(main)


def test_paused_answer_waits_and_is_complete_after_resume() -> None:
    async def main() -> None:
        code = """
for r in requests():
    for n in range(300): notify("notifications/message", n=n, pad="x" * 20000)
    answer(r, ok=True)
"""
        async with upstream(server(code)) as asked:
            got, flow = asked.send_flow(request("tools/call"))
            await got.until(lambda: len(got.body) > 100_000)
            flow.pause()
            held = len(got.body)
            for _ in range(200):
                await asyncio.sleep(0)
            assert len(got.body) == held
            flow.resume()
            await got.over.wait()
            assert len(got.messages) == 301

    on_uvloop(main, 10.0)


# --- several children -----------------------------------------------------------------------------


def test_initialize_mints_a_session_with_a_child_of_its_own() -> None:
    async def main() -> None:
        async with upstream(server(ECHO), single=False) as asked:
            one, two = await asked.ask(request("initialize")), await asked.ask(request("initialize"))
            assert one.session is not None
            assert re.fullmatch(rb"[0-9a-f]{32}", one.session)
            assert one.session != two.session
            pids = {got.messages[0]["result"]["pid"] for got in (one, two)}
            assert len(pids) == 2
            again = await asked.ask(request("ping", 2), session=one.session)
            assert again.messages[0]["result"]["pid"] == one.messages[0]["result"]["pid"]
            assert again.session == one.session

    on_uvloop(main)


def test_session_is_unknown_to_another_grant_and_after_delete() -> None:
    async def main() -> None:
        async with upstream(server(ECHO), single=False) as asked:
            opened = await asked.ask(request("initialize"))
            assert opened.session is not None
            pid = opened.messages[0]["result"]["pid"]
            foreign = await asked.ask(request("ping", 5), session=opened.session, grant="other")
            assert (foreign.status, foreign.messages[0]["id"]) == (404, 5)
            headers = ((b"mcp-session-id", opened.session),)
            for method in ("GET", "DELETE"):
                stolen = Remembering()
                asked.upstream.send(UpstreamRequest(method, headers, b"", grant="other"), stolen)
                await stolen.over.wait()
                assert stolen.status == 404
            assert (await asked.ask(request("ping", 4), session=opened.session)).status == 200
            deleted = Remembering()
            asked.upstream.send(UpstreamRequest("DELETE", headers, b"", grant="g"), deleted)
            await deleted.over.wait()
            assert deleted.status == 200
            assert (await asked.ask(request("ping", 6), session=opened.session)).status == 404
            await asked.upstream.close()
            assert gone([int(pid)], 3.0)

    on_uvloop(main)


def test_request_without_session_is_refused_and_get_without_one_not_allowed() -> None:
    async def main() -> None:
        async with upstream(server(ECHO), single=False) as asked:
            assert (await asked.ask(request("tools/list"))).status == 400
            stream, _ = asked.get()
            await stream.over.wait()
            assert stream.status == 405
            unknown, _ = asked.get(b"0" * 32)
            await unknown.over.wait()
            assert unknown.status == 404

    on_uvloop(main)


def test_dead_child_ends_its_session_only() -> None:
    async def main() -> None:
        code = """
for r in requests():
    if r.get("method") == "die": os._exit(1)
    answer(r)
"""
        async with upstream(server(code), single=False) as asked:
            one, two = await asked.ask(request("initialize")), await asked.ask(request("initialize"))
            assert one.session is not None
            assert two.session is not None
            assert (await asked.ask(request("die"), session=one.session)).failed is not None
            assert (await asked.ask(request("ping"), session=one.session)).status == 404
            assert (await asked.ask(request("ping"), session=two.session)).status == 200

    on_uvloop(main)


def test_number_of_children_is_bounded_and_an_idle_one_makes_room() -> None:
    async def main() -> None:
        limits = ChildLimits(max_children=1, idle_after=60)
        async with upstream(server(ECHO), single=False, child_limits=limits) as asked:
            await asked.ask(request("initialize"))
            full = await asked.ask(request("initialize"))
            assert full.failed is not None
            assert not full.failed.written
        limits = ChildLimits(max_children=1, idle_after=0)
        async with upstream(server(ECHO), single=False, child_limits=limits) as asked:
            first = await asked.ask(request("initialize"))
            assert (await asked.ask(request("initialize"))).status == 200
            assert first.session is not None
            assert (await asked.ask(request("ping"), session=first.session)).status == 404

    on_uvloop(main)


SHARED = """
held = []
for r in requests():
    if "id" not in r:
        say({"jsonrpc": "2.0", "method": "notifications/message", "params": r}); continue
    token = r["params"]["_meta"].get("progressToken")
    if token is not None:
        notify("notifications/progress", progressToken=token, progress=1)
    if r["method"] == "hold": held.append(r); continue
    if r["method"] == "release":
        for h in reversed(held): answer(h, whose=h["params"]["whose"], id_on_pipe=h["id"])
    answer(r, pid=os.getpid())
"""


def test_clients_of_one_grant_share_a_child_and_never_each_others_answers() -> None:
    async def main() -> None:
        async with upstream(server(SHARED), single=False) as asked:
            one = asked.send(modern("hold", 1, whose="one", meta={"progressToken": 1}))
            two = asked.send(modern("hold", 1, whose="two", meta={"progressToken": 1}))
            text = asked.send(modern("hold", "1", whose="text"))
            released = await asked.ask(modern("release", 1))
            for sink in (one, two, text):
                await sink.over.wait()
            last = [sink.messages[-1] for sink in (one, two, text)]
            assert [message["id"] for message in last] == [1, 1, "1"]
            assert [message["result"]["whose"] for message in last] == ["one", "two", "text"]
            on_pipe = [message["result"]["id_on_pipe"] for message in last]
            assert len(set(on_pipe)) == 3
            assert (
                one.messages[0]["params"] == two.messages[0]["params"] == {"progressToken": 1, "progress": 1}
            )
            other = await asked.ask(modern("release", 1), grant="other")
            assert other.messages[0]["result"]["pid"] != released.messages[-1]["result"]["pid"]

    on_uvloop(main)


def test_cancellation_on_a_shared_pipe_is_mapped_and_never_hits_a_neighbour() -> None:
    async def main() -> None:
        async with upstream(server(SHARED), single=False) as asked:
            one = asked.send(modern("hold", 1, whose="one"))
            asked.send(modern("hold", 9, whose="two"))
            await asked.ask(notification("notifications/cancelled", requestId=9))
            await one.until(lambda: bool(one.body))
            assert one.messages[0]["params"]["params"]["requestId"] == 2
            other = asked.send(modern("hold", 1, whose="neighbour"))
            ambiguous = await asked.ask(notification("notifications/cancelled", requestId=1))
            assert ambiguous.status == 202
            await asked.ask(modern("release", 5))
            await one.over.wait()
            await other.over.wait()
            assert [len(one.messages), len(other.messages)] == [2, 1]

    on_uvloop(main)


def test_message_on_a_shared_pipe_that_names_nobody_reaches_no_neighbour() -> None:
    async def main() -> None:
        async with upstream(server(SHARED), single=False) as asked:
            one = asked.send(modern("hold", 1, whose="one"))
            two = asked.send(modern("hold", 1, whose="two"))
            asked.send(modern("hold", 9, whose="nine"))
            await asked.ask(notification("notifications/cancelled", requestId=9))
            released = await asked.ask(modern("release", 1))
            await one.over.wait()
            await two.over.wait()
            assert [sink.kind for sink in (one, two, released)] == [b"application/json"] * 3
            assert "belongs to no client; dropped" in asked.log[0]

    on_uvloop(main)


def test_subscription_events_come_back_under_the_clients_own_id() -> None:
    async def main() -> None:
        code = f"""
for r in requests():
    tag = {{"{SUBSCRIPTION}": r["id"]}}
    notify("notifications/subscriptions/acknowledged", _meta=tag)
    say({{"jsonrpc": "2.0", "id": r["id"], "result": {{"_meta": tag}}}})
"""
        async with upstream(server(code), single=False) as asked:
            sinks = [asked.send(modern("subscriptions/listen", "mine")) for _ in range(2)]
            for sink in sinks:
                await sink.over.wait()
                assert [m.get("id", "mine") for m in sink.messages] == ["mine", "mine"]
                assert sink.messages[0]["params"]["_meta"] == {SUBSCRIPTION: "mine"}
                assert sink.messages[1]["result"]["_meta"] == {SUBSCRIPTION: "mine"}

    on_uvloop(main)


def test_server_request_on_a_shared_pipe_is_answered_by_the_gate() -> None:
    async def main() -> None:
        code = """
for r in requests():
    if r.get("method") == "x": say({"jsonrpc": "2.0", "id": 5, "method": "sampling/createMessage"}); held = r
    else: answer(held, told=r["error"]["code"])
"""
        async with upstream(server(code), single=False) as asked:
            got = await asked.ask(modern("x"))
            assert got.messages == [{"jsonrpc": "2.0", "id": 1, "result": {"told": -32601}}]

    on_uvloop(main)


def test_errors_of_the_modern_era_carry_their_http_status() -> None:
    async def main() -> None:
        code = """
for r in requests():
    say({"jsonrpc": "2.0", "id": r["id"], "error": {"code": r["params"]["code"], "message": ""}})
"""
        async with upstream(server(code), single=False) as asked:
            found = [
                (await asked.ask(modern("x", code=code))).status for code in (-32601, -32602, -32603, 4403)
            ]
            assert found == [404, 400, 200, 200]

    on_uvloop(main)


def test_missing_command_is_found_at_the_start_in_both_modes() -> None:
    async def main() -> None:
        for single in (True, False):
            running = StdioUpstream(Command(("no-such-server",)), single=single)
            with pytest.raises(GatewayFault, match="cannot start `no-such-server`"):
                running.start()
            await running.close()

    on_uvloop(main)


def test_closed_upstream_takes_nothing_and_leaves_no_process() -> None:
    async def main() -> None:
        async with upstream(server(ECHO)) as asked:
            got = await asked.ask(request("ping"))
            await asked.upstream.close()
            assert gone([int(got.messages[0]["result"]["pid"])], 3.0)
            after = await asked.ask(request("ping"))
            assert after.failed is not None
            assert not after.failed.written

    on_uvloop(main)
