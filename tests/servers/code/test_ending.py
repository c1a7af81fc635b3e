"""The process that runs code ends with all that it started, whatever a server behind it does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from ostiary.sandbox.monty.process import _HAND_OVER
from tests.e2e.world import state_folder
from tests.needs import UNBRAKED
from tests.servers.code.odd_server import ODD
from tests.servers.python.world import OSTIARY, walled

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]

WITHIN = 20.0
"""Seconds for one step: a process starts engines, and is given time to end what hangs."""


def until(seen: Any) -> None:
    """Look until it is so, or fail."""
    deadline = time.monotonic() + WITHIN
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("how", ["the client leaves", "it is told to", "it is killed"])
def test_it_ends_while_a_server_hangs_and_leaves_no_process(how: str, tmp_path: Path) -> None:
    told, servers = tmp_path / "told", tmp_path / "servers.json"
    entry = {"command": sys.executable, "args": [str(ODD)], "env": {"TOLD": str(told)}}
    servers.write_text(json.dumps({"mcpServers": {"Odd": entry}}), encoding="utf-8")
    command = [*OSTIARY, "run", "code", "--servers", str(servers), *UNBRAKED]
    command += ["--state-dir", str(state_folder(tmp_path))]
    about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    # A client that only leaves is still written the answers that it waits for: this one waits for none.
    tool = "asyncExecuteCode" if how == "the client leaves" else "executeCode"
    call = {"name": tool, "arguments": {"script": "mcp_Odd_hang()", "mcp_server_names": ["Odd"]}}
    environ = {**os.environ, **walled()}
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environ
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for message in (
                {"id": 1, "method": "initialize", "params": about},
                {"method": "notifications/initialized"},
                {"id": 2, "method": "tools/call", "params": call},
            ):
                process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
                process.stdin.flush()
            until(lambda: told.exists() and "called hang" in told.read_text("utf-8"))
            pids = [int(line[4:]) for line in told.read_text("utf-8").splitlines() if line[:4] == "pid "]
            if how == "the client leaves":
                process.stdin.close()
            else:
                process.send_signal(signal.SIGTERM if how == "it is told to" else signal.SIGKILL)
            status = process.wait(WITHIN)
        finally:
            process.kill()
        said = process.stdout.read().splitlines()

    assert status == (-signal.SIGKILL if how == "it is killed" else 0)
    assert len(pids) == 2  # asked for its tools, then called
    until(lambda: not [pid for pid in pids if alive(pid)])
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in said)
    assert b"Traceback" not in (tmp_path / "log").read_bytes()


@pytest.mark.parametrize("left", ["nobody listens", "it is gone"])
def test_a_process_that_starts_while_its_gate_is_killed_ends_in_silence(left: str) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as line:
        address = f"{folder}/line"
        if left == "nobody listens":
            line.bind(address)
        command = [sys.executable, "-I", "-c", _HAND_OVER, address]
        done = subprocess.run(command, capture_output=True, timeout=WITHIN, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
