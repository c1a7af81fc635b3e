"""The upstream and everything that stands in front of it, all up at once."""

from __future__ import annotations

import contextlib
import http.client
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import peers, scenario
from benchmarks.machine import CACHE, MissingError, compiled, cores, free_port, running


@dataclass(slots=True)
class Gateway:
    """One thing to load. `pid` is 0 for the upstream itself; `calls` counts what it was asked.

    `python` marks the peers that are loaded gently, since they take milliseconds for a call.
    """

    name: str
    port: int
    pid: int
    requests: dict[str, Path]
    answers: dict[str, Path]
    state: Path | None = None
    calls: int = 0
    python: bool = False


@dataclass(slots=True)
class World:
    """Everything that runs, by name, and what could not be started."""

    home: Path
    upstream_pid: int
    gateways: list[Gateway] = field(default_factory=list[Gateway])
    missing: list[str] = field(default_factory=list[str])


GATES = {
    "ostiary": ("policy", "process"),
    "ostiary power": ("policy", "power"),
    "ostiary allow-all": ("allow-all", "process"),
}
"""Each configuration of the gate by name: its policy and its durability."""


@contextlib.contextmanager
def world() -> Iterator[World]:
    """Start all of it, and stop only that."""
    upstream = compiled("upstream")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder, contextlib.ExitStack() as stack:
        home = Path(folder)
        _write_files(home)
        port = free_port()
        command = [str(upstream), "http", str(port), str(home / "result.json"), str(home / "tools.json")]
        pid = stack.enter_context(running(command, port, cores()[0], home / "upstream.log"))
        made = World(home, pid)
        made.gateways.append(_gateway(home, "direct", port, 0))
        for name, command in (peers.PLAIN | peers.PYTHON).items():
            try:
                made.gateways.append(_peer(stack, home, port, name, command))
            except MissingError as error:
                made.missing.append(f"{name}: {error}")
        for name, (policy, durability) in GATES.items():
            made.gateways.append(_gate(stack, home, port, (name, policy, durability)))
        yield made


def _write_files(home: Path) -> None:
    files = {
        "result.json": scenario.compact(scenario.RESULT),
        "tools.json": scenario.compact(scenario.TOOLS),
        "policy.json": scenario.compact(scenario.POLICY),
        "allow-all.json": scenario.compact(scenario.ALLOW_ALL),
        "json.answer": scenario.answer(),
        "events.answer": scenario.streamed_answer(),
        "pipe.hello": scenario.hello() + "\n",
        "pipe.request": scenario.call(scenario.TOOL) + "\n",
        "pipe.answer": scenario.answer() + "\n",
        "token": scenario.TOKEN + "\n",
    }
    for name, text in files.items():
        (home / name).write_text(text)
    (home / "token").chmod(0o600)


def _peer(
    stack: contextlib.ExitStack,
    home: Path,
    behind: int,
    name: str,
    command: Callable[[peers.Place], Sequence[str]],
) -> Gateway:
    port = free_port()
    place = peers.Place(home / name.replace(" ", "-"), port, behind)
    pid = peers.started(stack, command, place, home / f"{place.home.name}.log")
    made = _gateway(home, name, port, pid)
    made.python = name in peers.PYTHON
    if made.python:
        made.answers = {"json": _own_answer(home, made)}
    return made


def _gate(stack: contextlib.ExitStack, home: Path, behind: int, gate: tuple[str, str, str]) -> Gateway:
    name, policy, durability = gate
    port = free_port()
    state = home / name.replace(" ", "-")
    command = [sys.executable, "-m", "ostiary", "proxy", "-p", str(home / f"{policy}.json")]
    command += ["--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{behind}/mcp"]
    command += ["--max-requests", "1000000000"]  # one grant sends everything here
    command += ["--state-dir", str(state), "--durability", durability, "--token-file", str(home / "token")]
    pid = stack.enter_context(running(command, port, cores()[1], home / f"{state.name}.log"))
    made = _gateway(home, name, port, pid)
    made.state = state
    return made


def _gateway(home: Path, name: str, port: int, pid: int) -> Gateway:
    """Open a session, and write the requests to be sent in it."""
    session = _session(port)
    answers = {kind: home / f"{kind}.answer" for kind in ("json", "events")}
    made = Gateway(name, port, pid, {}, answers)
    for kind, tool in (("json", scenario.TOOL), ("events", scenario.STREAMED)):
        path = home / f"{name.replace(' ', '-')}.{kind}.request"
        path.write_bytes(scenario.http_request(port, tool, session).encode())
        made.requests[kind] = path
    return made


def _session(port: int) -> str:
    status, session, body = _post(port, scenario.hello(), "")
    if status != 200:
        raise MissingError(f"initialize was answered with {status}: {body[:200]}")
    _post(port, '{"jsonrpc":"2.0","method":"notifications/initialized"}', session)
    return session


def _own_answer(home: Path, made: Gateway) -> Path:
    """What a peer makes of the one answer: asked twice, alike but for the id, with the result's text."""
    session = _session(made.port)
    seen: set[str] = set()
    for number in ("1000001", "1000002"):
        call = scenario.call(scenario.TOOL).replace(scenario.MARK, number)
        status, _, body = _post(made.port, call, session)
        if status != 200 or scenario.RESULT_TEXT not in body:
            raise MissingError(f"a call was answered with {status}: {body[:200]}")
        seen.add(body.replace(number, scenario.MARK))
    if len(seen) != 1:
        raise MissingError("it answers the same call in two ways")
    path = home / f"{made.name.replace(' ', '-')}.answer"
    path.write_bytes(seen.pop().encode())
    return path


def _post(port: int, body: str, session: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/mcp", body, scenario.http_headers(session))
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        return answer.status, answer.headers.get("mcp-session-id", ""), text
    finally:
        connection.close()


def recorded(state: Path) -> tuple[int, int]:
    """How many intents and outcomes a gate has written so far."""
    address = f"file:{state / 'ostiary.db'}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
        counts = dict(connection.execute("SELECT kind, count(*) FROM records GROUP BY kind").fetchall())
    return counts.get("intent", 0), counts.get("outcome", 0)
