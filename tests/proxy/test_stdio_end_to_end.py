"""A real client and a real server with nothing but the two stdio adapters between them."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import ElicitResult

from tests.proxy.stdio_world import PREAMBLE, SRC, gone, is_alive, request

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{SRC}{os.pathsep}{HERE.parents[1]}"}
WITHIN = 20
"""Seconds, in which two interpreters may have to start and a deaf one be killed."""
GLUE = [sys.executable, str(HERE / "stdio_glue.py")]


def through_glue(*command: str) -> StdioServerParameters:
    return StdioServerParameters(command=GLUE[0], args=[GLUE[1], *command], env=ENVIRONMENT)


SDK_SERVER = through_glue(sys.executable, str(HERE / "stdio_sdk_server.py"))

eras = pytest.mark.parametrize("mode", ["legacy", "auto", "2026-07-28"])


def bounded(coroutine) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 20))


@eras
def test_official_client_calls_tools_and_hears_progress(mode: str) -> None:
    async def main() -> None:
        heard: list[float] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            heard.append(progress)

        async with Client(SDK_SERVER, mode=mode) as client:
            assert [tool.name for tool in (await client.list_tools()).tools][:2] == ["add", "size"]
            added = await client.call_tool("add", {"a": 2, "b": 3})
            assert added.structured_content == {"result": 5}
            counted = await client.call_tool("count", {"to": 3}, progress_callback=hear)
            assert counted.structured_content == {"result": "counted"}
            assert heard == [1.0, 2.0, 3.0]
            wrong = await client.call_tool("add", {"a": "x"})
            assert wrong.is_error

    bounded(main())


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_official_client_sends_five_megabytes(mode: str) -> None:
    async def main() -> None:
        async with Client(SDK_SERVER, mode=mode) as client:
            got = await client.call_tool("size", {"text": "é" * 2_500_000})
            assert got.structured_content == {"result": 2_500_000}

    bounded(main())


def test_official_client_answers_a_question_of_the_server() -> None:
    async def main() -> None:
        async def answer(context, params) -> ElicitResult:
            assert params.message == "which colour?"
            return ElicitResult(action="accept", content={"colour": "green"})

        async with Client(SDK_SERVER, mode="legacy", elicitation_callback=answer) as client:
            assert (await client.call_tool("ask")).structured_content == {"result": "green"}

    bounded(main())


def test_official_client_is_told_of_changes_on_the_legacy_era() -> None:
    async def main() -> None:
        told = asyncio.Event()

        async def hear(message) -> None:
            if getattr(message, "method", "") == "notifications/tools/list_changed":
                told.set()

        async with Client(SDK_SERVER, mode="legacy", message_handler=hear) as client:
            await client.call_tool("change")
            await told.wait()

    bounded(main())


def test_official_client_subscribes_on_the_modern_era() -> None:
    async def main() -> None:
        async with Client(SDK_SERVER) as client, client.listen(tools_list_changed=True) as events:
            await client.call_tool("change")
            async for event in events:
                assert type(event).__name__ == "ToolsListChanged"
                break

    bounded(main())


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_official_client_cancels_a_call_and_the_server_stops_it(mode: str) -> None:
    async def main() -> None:
        started = asyncio.Event()

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            started.set()

        async with Client(SDK_SERVER, mode=mode) as client:
            call = asyncio.get_running_loop().create_task(client.call_tool("forever", progress_callback=hear))
            await started.wait()
            call.cancel()
            await asyncio.wait([call])
            assert call.cancelled()
            while not (await client.call_tool("endings")).structured_content["result"]:
                pass

    bounded(main())


# --- the process itself ---------------------------------------------------------------------------


class Proxied:
    """The glue as a process, spoken to line by line."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            [*GLUE, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )

    def say(self, message: Mapping[str, object]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], WITHIN)
        assert ready, f"nothing was said within {WITHIN} s"
        return json.loads(self.process.stdout.readline())

    def end(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=WITHIN)
        return self.process.returncode, errors.decode()


def python(body: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", PREAMBLE + body]


def test_status_of_the_child_and_its_stderr_are_passed_on() -> None:
    proxied = Proxied(
        python("sys.stderr.write('for the log\\n')\nfor r in requests(): answer(r)\nraise SystemExit(9)")
    )
    proxied.say(request("ping"))
    assert proxied.hear() == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert proxied.end() == (9, "for the log\n")


def test_child_that_dies_in_a_call_ends_the_proxy_after_an_answer() -> None:
    proxied = Proxied(python("sys.stdin.readline(); os._exit(3)"))
    proxied.say(request("tools/call", 4))
    answer = proxied.hear()
    assert answer["id"] == 4
    assert "error" in answer
    assert proxied.end()[0] == 3


def test_missing_command_ends_the_proxy_with_a_clear_word() -> None:
    proxied = Proxied(["no-such-server"])
    assert proxied.end() == (2, "error: cannot start `no-such-server`: no such command on PATH\n")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_is_forwarded_and_the_childs_status_returned(signum: int) -> None:
    body = f"""
import signal
def leave(*_): sys.stderr.write("told"); sys.stderr.flush(); os._exit(21)
signal.signal({signum}, leave)
for r in requests(): answer(r)
"""
    proxied = Proxied(python(body))
    proxied.say(request("ping"))
    proxied.hear()
    proxied.process.send_signal(signum)
    assert proxied.end() == (21, "told")


def test_child_deaf_to_everything_does_not_outlive_the_input() -> None:
    body = """
import signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
other = subprocess.Popen(["sleep", "1000"])
answer(json.loads(sys.stdin.readline()), pids=[os.getpid(), other.pid])
time.sleep(1000)
"""
    proxied = Proxied(python(body))
    proxied.say(request("ping"))
    pids = proxied.hear()["result"]["pids"]
    status, _ = proxied.end()
    assert status == 128 + signal.SIGKILL
    assert gone(pids, 5.0)


CLIENT = """
import subprocess, sys
proxied = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
proxied.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\\n'); proxied.stdin.flush()
sys.stdout.write(str(proxied.pid) + "\\n" + proxied.stdout.readline().decode()); sys.stdout.flush()
sys.stdin.read()
"""

STUBBORN = """
import signal, subprocess, time
for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE): signal.signal(n, signal.SIG_IGN)
other = subprocess.Popen(["sleep", "1000"])
answer(json.loads(sys.stdin.readline()), pids=[os.getpid(), other.pid])
time.sleep(1000)
"""


@pytest.mark.parametrize("victims", ["client", "proxy", "both"])
def test_no_orphan_is_left_after_a_kill(victims: str) -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, *GLUE, *python(STUBBORN)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    proxy = int(client.stdout.readline())
    pids = json.loads(client.stdout.readline())["result"]["pids"]
    assert all(is_alive(pid) for pid in [proxy, *pids])
    if victims in ("proxy", "both"):
        os.kill(proxy, signal.SIGKILL)
    if victims in ("client", "both"):
        client.kill()
    client.stdin.close()
    client.wait()
    client.stdout.close()
    assert gone([proxy, *pids], 5.0)


def test_input_and_output_may_be_files(tmp_path: Path) -> None:
    asked, told = tmp_path / "asked", tmp_path / "told"
    asked.write_text("".join(json.dumps(request("ping", n)) + "\n" for n in range(200)))
    with asked.open("rb") as reading, told.open("wb") as writing:
        done = subprocess.run(
            [*GLUE, *python("for r in requests(): answer(r)")],
            stdin=reading,
            stdout=writing,
            env=ENVIRONMENT,
            timeout=10,
            check=False,
        )
    assert done.returncode == 0
    assert [json.loads(line)["id"] for line in told.read_text().splitlines()] == list(range(200))
