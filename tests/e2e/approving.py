"""A held tool, a server that writes down what ran, and a person who answers in another process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ostiary.store.approvers import private_path
from ostiary.store.connection import connect_to_read
from ostiary.store.state import open_state
from ostiary.wiring.approvals import register
from tests.e2e import world
from tests.e2e.driver import Stdio

Json = Any


class Closable(Protocol):
    """What has to be closed."""

    def close(self) -> object: ...


Opened = TypeVar("Opened", bound=Closable)
SERVER = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("recording_server.py"))]
HOLD = "20s"
"""Long enough for a person's command on a busy machine, and no wait of a test goes that far."""


def policy(
    folder: Path, *, name: str = "policy.json", more: Mapping[str, Json] | None = None, **terms: Json
) -> Path:
    """Every call of `run` and `paint` needs approval, on `terms`; `other` does not."""
    held = {"action": "require_approval", "reason": "look at it", "approval": {"hold": HOLD, **terms}}
    document = {
        "version": "1",
        "default": "deny",
        "methods": {"allow": ["elicitation/create"]},
        "tools": {"run": held, "paint": held, "other": {}},
        **(more or {}),
    }
    path = folder / name
    draft = folder / f".{name}"
    draft.write_text(json.dumps(document))
    return draft.rename(path)


class Office:
    """A state directory with one registered approver, and the runs of the server behind its gates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = world.state_folder(folder)
        self.runs_file = folder / "runs"
        self.runs_file.touch()
        self.passphrase = folder / "passphrase"
        self.passphrase.touch(mode=0o600)
        self.passphrase.write_text("correct horse battery\n")
        self._gates: list[world.Gate] = []
        self._kept = ExitStack()
        opened = open_state(self.state)
        register(opened, "user:ana", private_path(opened), "correct horse battery", None)

    @property
    def env(self) -> dict[str, str]:
        return {"RUNS": str(self.runs_file)}

    def gate(self, path: Path, *options: str, upstream: Any = SERVER) -> world.Gate:
        """A gate that listens, on this state directory."""
        gate = world.Gate(path, self.folder, *options, upstream=upstream, env=self.env)
        self._gates.append(gate)
        return gate

    def gate_of_another_grant(self, path: Path) -> world.Gate:
        """The same server and state directory, and another client's gate."""
        options = ("--state-dir", str(self.state), "--grant", "other", "--unsafe-no-token")
        beside = self.folder / "beside"
        beside.mkdir()
        gate = world.Gate(path, beside, *options, upstream=SERVER, env=self.env)
        self._gates.append(gate)
        return gate

    def keep(self, opened: Opened) -> Opened:
        """Close `opened` when the test is over."""
        self._kept.callback(opened.close)
        return opened

    def close(self) -> None:
        """Stop the gates; none may have met a fault of its own."""
        self._kept.close()
        for gate in self._gates:
            gate.stop()
            assert "Traceback" not in gate.told(), gate.told()

    def stdio(self, path: Path, *options: str) -> Stdio:
        """A gate as a stdio client starts it."""
        return world.gated(path, self.folder, *options, upstream=SERVER, env=self.env)

    def runs(self) -> list[Json]:
        """What ran so far."""
        return [json.loads(line) for line in self.runs_file.read_text().splitlines()]

    # What a person does.

    def command(self, do: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`ostiary approvals DO`, in a process of its own."""
        signing = ["--passphrase-file", str(self.passphrase)] if do == "resolve" else []
        return world.ostiary("approvals", do, *arguments, *signing, state=self.state)

    def approve(self, request: str, note: str = "") -> None:
        done = self.command("resolve", request, "--approve", "--note", note)
        assert done.returncode == 0, done.stderr

    def deny(self, request: str, note: str = "") -> None:
        done = self.command("resolve", request, "--deny", "--note", note)
        assert done.returncode == 0, done.stderr

    def show(self, request: str) -> Json:
        shown = self.command("show", request, "--format", "json")
        assert shown.returncode == 0, shown.stderr
        return json.loads(shown.stdout)

    # What the test looks at, without a process.

    def requests(self, state: str = "pending") -> list[str]:
        """Ids of the requests in `state`, the oldest first."""
        return [one for one, found in self._rows() if found == state]

    def state_of(self, request: str) -> str:
        return dict(self._rows())[request]

    def next_request(self, *known: str) -> str:
        """The id of the one request that waits besides `known`; waits for it."""

        def new() -> list[str]:
            return [one for one in self.requests() if one not in known]

        world.wait_for("a request for approval", lambda: bool(new()), 20)  # a server may have to start
        (found,) = new()
        return found

    def logged(self, *words: str) -> int:
        """Rows of the log that hold each of `words` as a key or a value."""
        connection = connect_to_read(self.state / "ostiary.db")
        try:
            bodies = [body for (body,) in connection.execute("SELECT body FROM records")]
        finally:
            connection.close()
        return sum(all(f'"{word}"' in body for word in words) for body in bodies)

    def _rows(self) -> list[tuple[str, str]]:
        connection = connect_to_read(self.state / "ostiary.db")
        try:
            return connection.execute("SELECT id, state FROM approvals ORDER BY id").fetchall()
        finally:
            connection.close()


def asked_for(answer: Json) -> str:
    """The request that a pending answer names. Fails the test for any other answer."""
    result = answer["result"]
    assert result["isError"] is True, answer
    decision = result["_meta"]["io.ostiary/decision"]
    assert decision["decision"] == "hold", answer
    return decision["approval"]["id"]


def until(what: str, ready: Callable[[], bool]) -> None:
    world.wait_for(what, ready)
