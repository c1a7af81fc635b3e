"""A call of a tool from within code: through our gate to a server, and through FastMCP's code mode.

    python -m benchmarks.inner [--quick]

Each figure is of one run with forty calls, without the same run that makes none, by forty. The server behind
is the same small program for all; ours decides and records each call, the other does neither. Both talk over
pipes. "The server by itself" is what the program takes for a call, without anything in between.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.code import Talk
from benchmarks.machine import MissingError
from benchmarks.peers import ENVIRONMENTS

CALLS = 40
ROUNDS, QUICK = 21, 7
SERVER = """
import json, sys
TOOL = {"name": "say", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    answer = {"jsonrpc": "2.0", "id": message["id"]}
    method = message["method"]
    if method == "initialize":
        version = message["params"]["protocolVersion"]
        about = {"name": "echo", "version": "1"}
        answer["result"] = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}
    elif method == "tools/list":
        answer["result"] = {"tools": [TOOL]}
    elif method == "tools/call":
        answer["result"] = {"content": [{"type": "text", "text": "1"}]}
    else:
        answer["error"] = {"code": -32601, "message": "unknown"}
    print(json.dumps(answer), flush=True)
"""
FASTMCP = """
import sys
from fastmcp.server import create_proxy
from fastmcp.experimental.transforms.code_mode import CodeMode
from fastmcp.client.transports import StdioTransport

server = create_proxy(StdioTransport(sys.executable, [sys.argv[1]]), name="code")
server.add_transform(CodeMode())
server.run(show_banner=False, log_level="ERROR")
"""
Way = Callable[[str], None]


def opened(command: list[str]) -> Talk:
    """A server that has shaken hands."""
    talk = Talk(command)
    about = {"name": "bench", "version": "0"}
    talk.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about})
    talk.tell("notifications/initialized")
    talk.ask("tools/list")
    return talk


def asked(talk: Talk, tool: str, arguments: dict[str, object]) -> None:
    answer = talk.ask("tools/call", {"name": tool, "arguments": arguments})
    result = answer.get("result")
    if not isinstance(result, dict) or result.get("isError"):
        raise MissingError(f"{tool} answered {json.dumps(answer)[:300]}")


def ours(folder: Path, server: Path) -> tuple[Talk, Way, str]:
    servers = folder / "servers.json"
    entry = {"command": sys.executable, "args": [str(server)]}
    servers.write_text(json.dumps({"mcpServers": {"Echo": entry}}), encoding="utf-8")
    policy = folder / "policy.yaml"
    policy.write_text(
        'version: "1"\nservers:\n  code: {default: allow, tools: {}}\n  Echo: {default: allow, tools: {}}\n',
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "ostiary", "run", "code", "--servers", str(servers), "-p", str(policy)]
    talk = opened([*command, "--max-requests", "1000000000", "--state-dir", str(folder / "state")])

    def way(code: str) -> None:
        asked(talk, "executeCode", {"script": code, "mcp_server_names": ["Echo"]})

    return talk, way, "mcp_Echo_say()"


def fastmcp(folder: Path, server: Path) -> tuple[Talk, Way, str]:
    python = ENVIRONMENTS / "gateways2/bin/python"
    if not python.exists():
        raise MissingError("fastmcp is not installed; `make bench` does it")
    script = folder / "code_mode.py"
    script.write_text(FASTMCP, encoding="utf-8")
    talk = opened([str(python), str(script), str(server)])
    return talk, lambda code: asked(talk, "execute", {"code": code}), 'await call_tool("say", {})'


def by_itself(server: Path) -> tuple[Talk, Callable[[], float]]:
    talk = opened([sys.executable, str(server)])

    def one() -> float:
        began = time.perf_counter()
        for _ in range(CALLS):
            asked(talk, "say", {})
        return (time.perf_counter() - began) * 1000 / CALLS

    return talk, one


def a_call(way: Way, call: str) -> Callable[[], float]:
    """Milliseconds of one call of many, without what the run takes that makes them."""
    many = f"for n in range({CALLS}):\n    {call}\n"
    none = f"for n in range(0):\n    {call}\n"

    def one() -> float:
        began = time.perf_counter()
        way(none)
        bare = time.perf_counter() - began
        began = time.perf_counter()
        way(many)
        return (time.perf_counter() - began - bare) * 1000 / CALLS

    return one


def compared(folder: Path, rounds: int) -> dict[str, list[float]]:
    server = folder / "echo.py"
    server.write_text(SERVER, encoding="utf-8")
    talk, bare = by_itself(server)
    talks, ways = [talk], {"the server by itself": bare}
    try:
        for name, make in (("ostiary, through the gate", ours), ("fastmcp code mode", fastmcp)):
            try:
                talk, way, call = make(folder, server)
                talks.append(talk)
                one = a_call(way, call)
                one()
                ways[name] = one
            except MissingError as missing:
                print(f"  not measured: {name}: {missing}")
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name in random.sample(list(ways), len(ways)):
                found[name].append(ways[name]())
        return found
    finally:
        for talk in talks:
            talk.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inner")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = QUICK if parser.parse_args().quick else ROUNDS
    machine = platform.processor() or platform.machine()
    print(f"a call from within code, {machine}, {os.cpu_count()} cores, {rounds} rounds, milliseconds")
    with tempfile.TemporaryDirectory() as folder:
        found = compared(Path(folder), rounds)
    for name, took in found.items():
        print(
            f"  {name:<34} p50 {statistics.median(took):8.3f}   best {min(took):8.3f}   max {max(took):8.3f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
