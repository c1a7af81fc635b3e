"""Servers that run Python for MCP clients, side by side: start, first call, next calls, after a time-out.

    python -m benchmarks.code [--quick]

Each server is started anew in each round, rounds are shuffled, and the median of the rounds is shown with
its range. The others run code in one process that they share with it; what that means is in the last column.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import HERE, MissingError
from benchmarks.peers import ENVIRONMENTS
from benchmarks.pyodide_copy import pyodide_copy

FASTMCP = """
from fastmcp import FastMCP
from fastmcp.experimental.transforms.code_mode import CodeMode, MontySandboxProvider

walls = MontySandboxProvider(limits={"max_feed_duration_secs": 0.3})
FastMCP("code", transforms=[CodeMode(sandbox_provider=walls)]).run(show_banner=False, log_level="ERROR")
"""
LATE_MS = 300
ENDLESS = "while True:\n    pass"


@dataclass
class Peer:
    """One server: how it is started, and how its tool wants to be called."""

    name: str
    command: Sequence[str]
    walls: str
    tool: str = "python_execute"
    value: Callable[[int], str] = field(default=lambda number: f"{number} + 1")
    options: dict[str, object] = field(default_factory=dict)


class Talk:
    """JSON-RPC over the pipes of a server."""

    def __init__(self, command: Sequence[str]) -> None:
        self.began = time.perf_counter()
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._number = 0

    def ask(self, method: str, params: object = None) -> dict[str, object]:
        """One request and its answer."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params or {}}
        self._server.stdin.write(json.dumps(message).encode() + b"\n")
        self._server.stdin.flush()
        while True:
            line = self._server.stdout.readline()
            if not line:
                raise MissingError(f"the server ended at {method}")
            answer = json.loads(line)
            if answer.get("id") == self._number:
                return answer

    def tell(self, method: str) -> None:
        """One notification."""
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps({"jsonrpc": "2.0", "method": method}).encode() + b"\n")
        self._server.stdin.flush()

    def close(self) -> None:
        """End it."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        try:
            self._server.wait(5)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server.stdout.close()


def one_round(peer: Peer, calls: int) -> dict[str, float]:
    """Milliseconds of each figure."""
    talk = Talk(peer.command)
    try:
        about = {"name": "bench", "version": "0"}
        talk.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about})
        talk.tell("notifications/initialized")
        talk.ask("tools/list")
        figures = {"start": _ms(talk.began)}
        figures["first"] = _call(talk, peer, 1)
        figures["next"] = statistics.median(_call(talk, peer, number) for number in range(2, calls + 2))
        talk.ask("tools/call", {"name": peer.tool, "arguments": {"code": ENDLESS, **peer.options}})
        figures["after"] = _call(talk, peer, 7)
    finally:
        talk.close()
    return figures


def _call(talk: Talk, peer: Peer, number: int) -> float:
    began = time.perf_counter()
    answer = talk.ask("tools/call", {"name": peer.tool, "arguments": {"code": peer.value(number)}})
    took = _ms(began)
    if str(number + 1) not in json.dumps(answer.get("result")):
        raise MissingError(f"{peer.name} answered {json.dumps(answer)[:200]}")
    return took


def _ms(began: float) -> float:
    return (time.perf_counter() - began) * 1_000


def peers(folder: Path) -> tuple[list[Peer], list[str]]:
    """The servers that can be had here, and why others cannot."""
    policy = folder / "allow.yaml"
    policy.write_text('version: "1"\ndefault: allow\ntools: {}\n', encoding="utf-8")
    ours = [sys.executable, "-m", "ostiary", "run", "python", "-p", str(policy)]
    ours += ["--max-requests", "1000000000"]
    late: dict[str, object] = {"timeout": LATE_MS}
    found = [
        Peer(
            "ostiary cpython",
            [*ours, "--state-dir", str(folder / "state")],
            "a process, user, file system and namespaces for each call; gate, policy, record",
            options=late,
        )
    ]
    missing: list[str] = []
    script = folder / "code_mode.py"
    script.write_text(FASTMCP, encoding="utf-8")
    python = ENVIRONMENTS / "gateways2/bin/python"
    if python.exists():
        walls = "an interpreter of a part of Python"
        peer = Peer("fastmcp code mode", [str(python), str(script)], walls, "execute")
        peer.value = lambda number: f"return {number} + 1"
        found.append(peer)
    else:
        missing.append("fastmcp code mode: make .venvs/gateways2/stamp")
    _with_pyodide(found, missing, ours, folder, late)
    return found, missing


def _with_pyodide(
    found: list[Peer], missing: list[str], ours: Sequence[str], folder: Path, late: dict[str, object]
) -> None:
    """Ours on Pyodide, and Pyodide in Node the plain way, with the same copy of it."""
    copy = pyodide_copy()
    if copy is None:
        missing.append("both with Pyodide: ostiary sandbox prepare --engine pyodide")
        return
    state = str(folder / "pyodide-state")
    found.append(
        Peer(
            "ostiary pyodide",
            [*ours, "--engine", "pyodide", "--state-dir", state],
            "the same, and WebAssembly inside; a runtime for each call",
            options=late,
        )
    )
    plain = [copy.node, str(HERE / "native/plain_pyodide.mjs"), str(copy.folder)]
    found.append(Peer("pyodide in node", plain, "none: the code can do what node can", options=late))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.code", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, wide spread")
    quick = parser.parse_args().quick
    rounds, calls = (2, 10) if quick else (7, 40)
    with tempfile.TemporaryDirectory(prefix="ostiary-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        servers, missing = peers(folder)
        order = [peer for peer in servers for _ in range(rounds + 1)]
        random.shuffle(order)
        samples: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in servers}
        for peer in order:
            samples[peer.name].append(one_round(peer, calls))
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {rounds + 1} rounds")
    for reason in missing:
        print(f"left out: {reason}")
    print(table(servers, samples))
    return 0


def table(servers: Sequence[Peer], samples: dict[str, list[dict[str, float]]]) -> str:
    """Medians with their range, in milliseconds."""
    names = {
        "start": "start to list", "first": "first call", "next": "next calls", "after": "after a time-out",
    }  # fmt: skip
    lines = [f"{'ms':<20}" + "".join(f"{title:>22}" for title in names.values()) + "  walls around the code"]
    for peer in servers:
        cells = [_cell([sample[name] for sample in samples[peer.name]]) for name in names]
        lines.append(f"{peer.name:<20}" + "".join(f"{cell:>22}" for cell in cells) + f"  {peer.walls}")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


if __name__ == "__main__":
    sys.exit(main())
