"""Official clients as processes that take commands.

A driver (`clients/driver_*`) reads one JSON command a line and answers each with one line:

    {"n": 1, "do": "connect", "name": NAME, "mode": "auto" | "legacy", "answers": bool, "changes": bool,
     "elicits": null | an elicitation result,
     "stdio": {"command", "env", "log"} | "http": {"url", "token"} | "sse": {"url", "token"}}
                                                          -> {"n": 1, "result": the server's handshake}
    {"n": 2, "do": "ask", "name": NAME, "method", "params"} -> {"n": 2, "result", "progress"}
    {"n": 3, "do": "heard", "name": NAME, "count"}        -> {"n": 3, "result": {"heard", "asked"}}
    {"n": 4, "do": "close", "name": NAME}                 -> {"n": 4, "result": null}

or with `error` (a JSON-RPC error, as the client reports it) or `fault` (any other failure).
`answers` makes the client answer sampling, elicitation and roots, `elicits` only elicitation and
in this way, `changes` ask for news of changed
tools where that has to be asked for. Commands run side by side, so a
slow one delays no other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Self

from tests.needs import needs_environment, needs_node, needs_npm_modules

HERE = Path(__file__).parent
WITHIN = 20.0
FOREIGN = ("OSTIARY_", "PYTEST_")
"""Variables that no process of a test is given: they configure the gate, or name the running test."""

Json = Any


@dataclass(frozen=True)
class Kind:
    """One official client: its name in test ids, its driver and how it is to negotiate."""

    name: str
    driver: str
    mode: str = "auto"

    def command(self) -> list[str]:
        """How its driver is started; skips the test where it is not installed."""
        script = str(HERE / "clients" / self.driver)
        if self.driver == "driver_python_1.py":
            return [str(needs_environment("mcp1")), "-W", "ignore", script]
        if self.driver.endswith(".mjs"):
            return [str(needs_node()), script, str(needs_npm_modules())]
        return [sys.executable, "-W", "ignore", script]


PYTHON_2 = Kind("python-2-auto", "driver_python_2.py")
PYTHON_2_LEGACY = Kind("python-2-legacy", "driver_python_2.py", "legacy")
PYTHON_1 = Kind("python-1", "driver_python_1.py")
TYPESCRIPT_1 = Kind("typescript-1", "driver_typescript_1.mjs")
TYPESCRIPT_2 = Kind("typescript-2-auto", "driver_typescript_2.mjs")
KINDS = (PYTHON_2, PYTHON_2_LEGACY, PYTHON_1, TYPESCRIPT_1, TYPESCRIPT_2)


@dataclass(frozen=True)
class Stdio:
    """A server that the client starts. Its standard error goes to the file `log`."""

    command: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def spec(self) -> dict[str, Json]:
        return {"stdio": {"command": list(self.command), "log": str(self.log), "env": dict(self.env)}}


@dataclass(frozen=True)
class Http:
    """A server that is reached by URL."""

    url: str
    token: str = ""

    def spec(self) -> dict[str, Json]:
        return {"http": {"url": self.url, "token": self.token}}


@dataclass(frozen=True)
class Sse:
    """A server that is reached by the URL of its event streams (HTTP+SSE, 2024-11-05)."""

    url: str
    token: str = ""

    def spec(self) -> dict[str, Json]:
        return {"sse": {"url": self.url, "token": self.token}}


class Driver:
    """One driver process."""

    def __init__(self, command: Sequence[str]) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._replies: dict[int, Queue[Json]] = {}
        self._sent = 0
        self._turn = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def begin(self, do: str, name: str, **more: Json) -> int:
        """Send a command without waiting for its reply."""
        assert self._process.stdin is not None
        with self._turn:  # tests that make load do so from threads
            self._sent += 1
            number = self._sent
            self._replies[number] = Queue()
            line = json.dumps({"n": number, "do": do, "name": name, **more})
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        return number

    def reply(self, number: int, within: float = WITHIN) -> Json:
        """The reply to the command `number`."""
        try:
            reply = self._replies[number].get(timeout=within)
        except Empty:
            raise AssertionError(f"the client did not answer command {number} within {within} s") from None
        reply.pop("n")
        return reply

    def connect(
        self,
        name: str,
        target: Stdio | Http | Sse,
        *,
        mode: str = "auto",
        answers: bool = False,
        changes: bool = False,
        elicits: Json = None,
    ) -> Connection:
        """Connect to a server; fails the test when that fails."""
        how = {"mode": mode, "answers": answers, "changes": changes, "elicits": elicits}
        reply = self.reply(self.begin("connect", name, **how, **target.spec()))
        assert "result" in reply, reply
        return Connection(self, name, reply["result"])

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=5)
        self._process.stdout.close()

    def abandon(self) -> None:
        """Clean up after a process that was killed."""
        self._process.kill()
        self._process.wait()
        self._reader.join(timeout=5)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            reply = json.loads(line)
            self._replies[reply["n"]].put(reply)


class Connection:
    """One client connected to one server. `about` is what the server told at the handshake."""

    def __init__(self, driver: Driver, name: str, about: Json) -> None:
        self.driver = driver
        self.name = name
        self.about = about

    def begin(self, method: str, params: Mapping[str, Json] | None = None) -> int:
        """Send a request; its answer is `driver.reply` of the number."""
        return self.driver.begin("ask", self.name, method=method, params=params or {})

    def ask(self, method: str, params: Mapping[str, Json] | None = None) -> Json:
        """`{"result", "progress"}`, `{"error"}` or `{"fault"}`."""
        return self.driver.reply(self.begin(method, params))

    def call(self, tool: str, **arguments: Json) -> Json:
        """Call a tool; as `ask`."""
        return self.ask("tools/call", {"name": tool, "arguments": arguments})

    def heard(self, count: int = 0) -> Json:
        """Notifications and questions of the server since the last time; waits for `count` notifications."""
        return self.driver.reply(self.driver.begin("heard", self.name, count=count))["result"]

    def close(self) -> None:
        """End the connection."""
        reply = self.driver.reply(self.driver.begin("close", self.name))
        assert reply == {"result": None}, reply

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Drivers:
    """Driver processes, started when first used and shared by the tests of one worker."""

    def __init__(self) -> None:
        self._running: dict[str, Driver] = {}
        self._names = 0

    def of(self, kind: Kind) -> Driver:
        """The driver of `kind`; skips the test where the client is not installed."""
        if kind.driver not in self._running:
            self._running[kind.driver] = Driver(kind.command())
        return self._running[kind.driver]

    def connect(
        self,
        kind: Kind,
        target: Stdio | Http | Sse,
        *,
        answers: bool = False,
        changes: bool = False,
        elicits: Json = None,
    ) -> Connection:
        """Connect a client of `kind` to a server."""
        self._names += 1
        return self.of(kind).connect(
            f"c{self._names}", target, mode=kind.mode, answers=answers, changes=changes, elicits=elicits
        )

    def end(self) -> None:
        """End all."""
        for driver in self._running.values():
            driver.end()

    def abandon(self) -> None:
        """Clean up after processes that were killed."""
        for driver in self._running.values():
            driver.abandon()


def text(answer: Json) -> str:
    """The text of a tool's answer."""
    return "\n".join(part.get("text", "") for part in answer["result"]["content"])


def failed(answer: Json) -> bool:
    """Whether the answer is a tool result that says `isError`."""
    return "result" in answer and answer["result"].get("isError") is True
