"""What became of a run: one record, which each facade converts to the reply of its tool. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from ostiary.sandbox.limits import Limits

Status = Literal[
    "success",
    "error",
    "timeout",
    "oom",
    "killed",
    "cancelled",
    "policy_denied",
    "install_error",
    "paused",
]
"""`error`: the code raised or left with a status other than 0. `killed`: it broke a limit other
than time and memory, or its worker was lost. `paused`: it waits for a call and can go on later."""

MAX_STATE = 64 << 20
"""Bytes of a paused run at most."""


class Value(msgspec.Struct, frozen=True):
    """The value of the code's last expression: as text, and as JSON text where it is JSON.

    `text` is `repr`, or the string itself for a str. `json` is None for what JSON cannot say.
    """

    text: str
    json: str | None = None


class Fault(msgspec.Struct, frozen=True):
    """Why a run did not succeed.

    `traceback` is as Python prints it, with the frames of the user's code only.
    """

    category: Literal["exception", "exit", "signal", "limit", "package", "worker"]
    type: str
    message: str
    traceback: str = ""


class Artifact(msgspec.Struct, frozen=True):
    """A file that the run left in its output folder, or an image that it showed."""

    name: str
    mime: str
    content: bytes


class Usage(msgspec.Struct, frozen=True):
    """What it took, measured from outside as far as the machine allows."""

    wall_ms: float = 0.0
    cpu_ms: float | None = None
    max_rss_kb: int | None = None


class IsolationReport(msgspec.Struct, frozen=True):
    """Behind which walls it ran: `level` is `strict`, `best-effort` or `none`.

    `missing` names each layer that the level wants and the machine lacks, with what that means.
    """

    level: Literal["strict", "best-effort", "none"]
    missing: tuple[str, ...] = ()


class ToolCall(msgspec.Struct, frozen=True):
    """One call of a tool that the code made: how long it took in milliseconds, and `why` it failed."""

    name: str
    ok: bool
    ms: float
    why: str = ""


class Paused(msgspec.Struct, frozen=True, kw_only=True):
    """A run that waits for the call of `name`, as bytes to go on from: see `request.Resumption`.

    `ticket` and `message` are the toolbox's own (`toolbox.ToolHeld`). `calls` have been made so far, this
    one included.
    """

    state: bytes
    name: str
    ticket: str = ""
    message: str = ""
    calls: int = 1


class Stream(msgspec.Struct, frozen=True):
    """What was written to stdout or stderr: what a reply shows of it, and how much there was.

    `whole` is the full text, up to the bound of what is kept.
    """

    shown: str = ""
    whole: str = ""
    size: int = 0
    truncated: bool = False


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run. `started` is wall time in microseconds since 1970, as the gate's clock has it.

    `engine` names what ran it (`cpython`, `pyodide`) and `version` which one. `session_lost` says
    that the session named in `session` ended with this run and its names are gone. `outputs` has the
    JSON text of each global that was asked for and is JSON; `notes` says what became of the others.
    `tool_calls` are in the order in which they ended.
    """

    run_id: str
    owner: str
    engine: str
    version: str
    status: Status
    started: int
    isolation: IsolationReport
    limits: Limits
    session: str = ""
    session_lost: bool = False
    exit_code: int | None = None
    signal: int | None = None
    stdout: Stream = Stream()
    stderr: Stream = Stream()
    result: Value | None = None
    error: Fault | None = None
    artifacts: tuple[Artifact, ...] = ()
    usage: Usage = Usage()
    packages: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    outputs: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    tool_calls: tuple[ToolCall, ...] = ()
    paused: Paused | None = None

    def summary(self) -> dict[str, Any]:
        """The record as JSON-able data, without the content of artifacts and beyond what is shown.

        `outputs` and `tool_calls` are in it where there are any; how a paused run goes on is not.
        """
        summary: dict[str, Any] = {
            "run_id": self.run_id,
            "engine": self.engine,
            "version": self.version,
            "session_id": self.session or None,
            "session_lost": self.session_lost,
            "status": self.status,
            "exit_code": self.exit_code,
            "signal": self.signal,
            "stdout": self.stdout.shown,
            "stderr": self.stderr.shown,
            "stdout_bytes": self.stdout.size,
            "stderr_bytes": self.stderr.size,
            "stdout_truncated": self.stdout.truncated,
            "stderr_truncated": self.stderr.truncated,
            "result": msgspec.to_builtins(self.result),
            "error": msgspec.to_builtins(self.error),
            "artifacts": [
                {"name": one.name, "mime": one.mime, "size": len(one.content)} for one in self.artifacts
            ],
            "usage": msgspec.to_builtins(self.usage),
            "limits": msgspec.to_builtins(self.limits),
            "isolation": {"level": self.isolation.level, "missing": list(self.isolation.missing)},
            "packages": list(self.packages),
            "notes": list(self.notes),
        }
        if self.outputs:
            summary["outputs"] = dict(self.outputs)
        if self.tool_calls:
            summary["tool_calls"] = [msgspec.to_builtins(one) for one in self.tool_calls]
        return summary
