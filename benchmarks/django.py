"""How long calls of a Django shell take, beside mcp-django in the same run.

    python -m benchmarks.django [--quick]

A project with three small models on SQLite. Calls of both are made in turn, in shuffled order; starts
are made one after the other. Over stdio the client is the same few lines for both. Compare figures of
one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from ostiary.cli.run import COMMANDS
from ostiary.errors import OstiaryError
from ostiary.sandbox.bounds import Bounds
from ostiary.sandbox.django.runner import DjangoRunner
from ostiary.sandbox.django.settings import DjangoSettings
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.isolation.cache import cache_folder
from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.request import RunRequest
from tests.sandbox.django.world import filled

ROUNDS, QUICK = 200, 20
STARTS, QUICK_STARTS = 7, 2
PEER = Path(__file__).resolve().parent.parent / ".venvs" / "django-peer" / "bin" / "python"
SETTINGS = "bookshop.settings"
PLAIN = "1 + 1"
ORM = "from shop.models import Book\nBook.objects.filter(stock__gt=1).count()"
FEWEST = 2

TARGETS = {
    "call in a live session": "<= 3",
    "start to the first shell": "<= 1000",
    "ostiary run: start to tools/list": "<= 250",
}
Way = Callable[[], Awaitable[float]]


class Stdio:
    """A server of MCP that was started on stdio."""

    def __init__(self, command: list[str], folder: Path, **more: str) -> None:
        environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._ids = 0
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environ | more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a request."""
        self._ids += 1
        self._write({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
        while True:
            line = self._process.stdout.readline() if self._process.stdout else ""
            if not line:
                raise RuntimeError(f"it ended before it had answered {method}")
            told = json.loads(line)
            if told.get("id") == self._ids and "method" not in told:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                return told["result"]

    def begin(self) -> list[str]:
        """Shake hands; the names of the tools."""
        self.ask(
            "initialize",
            protocolVersion="2025-06-18",
            capabilities={},
            clientInfo={"name": "bench", "version": "1"},
        )
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return [one["name"] for one in self.ask("tools/list")["tools"]]

    def _write(self, message: dict[str, Any]) -> None:
        if self._process.stdin is None:
            raise RuntimeError("it has no input")
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def servers(project: Path) -> dict[str, Callable[[], Stdio]]:
    """What can be started on stdio here, by name."""
    found: dict[str, Callable[[], Stdio]] = {}
    if "django" in COMMANDS:
        # The policy that comes with it lets ten runs a minute through, which is no measure of speed.
        policy = project.with_name(f"{project.name}-policy.json")
        policy.write_text('{"version": "1", "default": "allow", "tools": {"execute": {}}}', encoding="utf-8")
        state = project.with_name(f"{project.name}-state")
        state.mkdir(mode=0o700, exist_ok=True)
        ours = [
            str(Path(sys.executable).with_name("ostiary")),
            *("run", "django", "--settings", SETTINGS, "-p", str(policy)),
            *("--state-dir", str(state), "--max-requests", "1000000"),
        ]
        found["ostiary run"] = lambda: Stdio(ours, project)
    if PEER.exists():
        theirs = [str(PEER), "-m", "mcp_django", "--settings", SETTINGS, "--pythonpath", str(project)]
        found["mcp-django"] = lambda: Stdio(theirs, project)
    return found


def calling(server: Stdio, tool: str, code: str) -> Way:
    """A call over stdio, which has to succeed."""

    async def way() -> float:
        began = time.perf_counter()
        told = server.ask("tools/call", name=tool, arguments={"code": code})
        took = (time.perf_counter() - began) * 1000
        if told.get("isError") or told["structuredContent"]["result"]["status"] != "success":
            raise RuntimeError(f"the call failed: {told}")
        return took

    return way


@asynccontextmanager
async def opened(walls: Walls, project: Path):
    """An engine on the project."""
    settings = DjangoSettings(settings=SETTINGS, project=project)
    engine = Engine(
        DjangoRunner(settings, walls, cache_folder(os.environ), os.environ),
        clock=lambda: time.time_ns() // 1000,
        mint=lambda: secrets.token_hex(8),
        bounds=Bounds(keep_runs=1),
        on_trouble=print,
    )
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


async def timed(engine: Engine, code: str, session: str = "") -> float:
    """Milliseconds of one run, which has to succeed."""
    began = time.perf_counter()
    record = await engine.run(RunRequest(code=code, owner="bench", session=session))
    if record.status != "success":
        raise RuntimeError(f"{record.status}: {record.error}")
    return (time.perf_counter() - began) * 1000


def running(engine: Engine, code: str, session: str = "") -> Way:
    """A run; one without a session waits until the child of the one before has gone."""

    async def way() -> float:
        if not session:
            await asyncio.sleep(0.05)
        return await timed(engine, code, session)

    return way


async def calls(walls: Walls, project: Path, rounds: int) -> dict[str, list[float]]:
    """Calls of everything that lives at once."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(opened(walls, project))
        ways = {
            "call in a live session": running(engine, PLAIN, "live"),
            "  with the ORM": running(engine, ORM, "live"),
            "run of its own": running(engine, PLAIN),
            "  with the ORM ": running(engine, ORM),
        }
        for name, start in servers(project).items():
            server = start()
            stack.callback(server.close)
            tool = next(one for one in server.begin() if one in {"execute", "shell_execute"})
            ways[f"{name}: call over stdio"] = calling(server, tool, PLAIN)
            ways[f"{name}: with the ORM"] = calling(server, tool, ORM)
        found: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, way in random.sample(list(ways.items()), len(ways)):
                took = await way()
                if number:
                    found[name].append(took)
        return found


async def starts(walls: Walls, project: Path, rounds: int) -> dict[str, list[float]]:
    """From nothing to the first answer; the first round, which builds what is kept, is thrown away."""
    found: dict[str, list[float]] = {"start to the first shell": []}
    for number in range(rounds + 1):
        began = time.perf_counter()
        async with opened(walls, project) as engine:
            await timed(engine, PLAIN, "first")
            found["start to the first shell"] += [(time.perf_counter() - began) * 1000][: number and 1]
        for name, start in servers(project).items():
            began = time.perf_counter()
            server = start()
            tools = server.begin()
            listed = time.perf_counter()
            tool = next(one for one in tools if one in {"execute", "shell_execute"})
            await calling(server, tool, PLAIN)()
            called = time.perf_counter()
            server.close()
            if number:
                found.setdefault(f"{name}: start to tools/list", []).append((listed - began) * 1000)
                found.setdefault(f"{name}: start to first answer", []).append((called - began) * 1000)
    return found


def table(found: dict[str, list[float]]) -> str:
    """Median, quartiles and least of each way."""
    lines = [f"  {'ms':34}{'p50':>9}{'p25':>9}{'p75':>9}{'least':>9}   target"]
    for name, took in found.items():
        low, middle, high = statistics.quantiles(took, n=4) if len(took) >= FEWEST else took * 3
        target = TARGETS.get(name, "")
        lines.append(f"  {name:34}{middle:9.2f}{low:9.2f}{high:9.2f}{min(took):9.2f}   {target}".rstrip())
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.django", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a look only, with a wide spread")
    quick = parser.parse_args().quick
    try:
        walls = Walls.decide("strict", probe(os.environ))
    except OstiaryError as error:
        print(f"benchmarks: left out: {error}", file=sys.stderr)
        return 0
    if not PEER.exists():
        print("benchmarks: mcp-django is left out: make .venvs/django-peer/stamp", file=sys.stderr)
    with filled() as project:
        began = uvloop.run(starts(walls, project, QUICK_STARTS if quick else STARTS))
        called = uvloop.run(calls(walls, project, QUICK if quick else ROUNDS))
    walls.cells.close()
    versions = f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
    print(f"{versions}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    print(f"Django shells behind walls\n{table(began)}\n{table(called)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
