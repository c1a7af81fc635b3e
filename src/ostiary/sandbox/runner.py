"""The port between the queue and what runs code: `cpython`, `pyodide`, `monty`, `django`, containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import Artifact, Fault, IsolationReport, Paused, ToolCall, Value
from ostiary.sandbox.request import Command, FileIn, Resumption
from ostiary.sandbox.secrecy import Secrecy
from ostiary.sandbox.toolbox import Toolbox


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is given. `context` is JSON text of one object; `name` is the code's file name.

    `command`, `ask`, `tools`, `outputs`, `resumes`, `owner` and `secrecy`: see `RunRequest`. A runner ignores
    what it cannot do, so whoever chooses the runner asks it for nothing else. `wall_ms` is when a worker
    whose runner has a `grace_ms` ends the code by itself.
    """

    code: str
    context: bytes = b"{}"
    name: str = "<cell 1>"
    files: tuple[FileIn, ...] = ()
    stdin: bytes = b""
    command: Command | None = None
    ask: Mapping[str, Any] | None = None
    tools: Toolbox | None = None
    outputs: tuple[str, ...] = ()
    resumes: Resumption | None = None
    owner: str = ""
    wall_ms: int = 0
    secrecy: Secrecy | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended, as its worker tells and as the host saw it.

    `how`: `returned` (also by raising: then `fault` says what), `expired` (its time was up, it was
    ended, and its worker goes on: only with a runner that has a `grace_ms`), `exited` (it called for its end:
    `exit_code`), `signalled`, `oom`, `lost` (the worker is gone: `fault` says why, or nobody knows),
    `paused` (it waits for a call of a tool: `paused` says how it goes on). After
    anything but the first two the worker is gone. The code can forge `value`, `fault` and
    `artifacts`: they are its own output; it cannot forge `how`, `exit_code`, `signal` and `tool_calls`.
    `outputs` are its own words, too, but JSON.
    """

    how: Literal["returned", "expired", "exited", "signalled", "oom", "lost", "paused"]
    value: Value | None = None
    fault: Fault | None = None
    artifacts: tuple[Artifact, ...] = ()
    exit_code: int | None = None
    signal: int | None = None
    cpu_ms: float | None = None
    max_rss_kb: int | None = None
    notes: tuple[str, ...] = ()
    outputs: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    tool_calls: tuple[ToolCall, ...] = ()
    paused: Paused | None = None


class Tap(Protocol):
    """Where a worker's bytes go while it runs."""

    def stdout(self, data: bytes) -> None: ...
    def stderr(self, data: bytes) -> None: ...


class Worker(Protocol):
    """A process behind walls, for one job, or for the jobs of one session one after another."""

    async def run(self, job: Job, tap: Tap) -> Ended:
        """Run one job. Cancelling this kills the worker. Everything written comes before it returns."""
        ...

    def kill(self) -> None:
        """SIGKILL for it and all that it started, from outside. Idempotent; does not wait."""
        ...

    async def close(self) -> None:
        """Kill, wait until nothing of it is left, release everything."""
        ...


@runtime_checkable
class Renewing(Protocol):
    """What a worker of a session can be, too: asked before each run whether it is still what it should be."""

    async def renew(self) -> None:
        """Start over where what it was made from has changed. Raises OstiaryError when that fails."""
        ...


class Environment(msgspec.Struct, frozen=True):
    """Packages for a run: a folder that workers see read-only, and what is in it.

    `folder` is None for what the engine brings by itself.
    """

    folder: str | None = None
    packages: tuple[str, ...] = ()


class Runner(Protocol):
    """One way to run code: keeps workers warm and hands them out.

    `grace_ms` is 0 where the time of a run is up when its worker is killed. Otherwise a worker ends the
    code by itself at `Job.wall_ms`, keeps what its session has, and says `expired`; it is
    killed when it has not done so `grace_ms` later.
    """

    name: str
    version: str
    grace_ms: int

    async def start(self, on_trouble: Callable[[str], object]) -> None:
        """Make ready. Raises OstiaryError when the asked-for isolation cannot be had.

        `on_trouble` is told, in words, of what fails later and is mended (a warm process that died).
        """
        ...

    def isolation(self) -> IsolationReport:
        """Behind which walls its workers run."""
        ...

    async def worker(self, limits: Limits, environment: Environment) -> Worker:
        """A fresh worker: a warm one where one is ready. Raises OstiaryError when none can be made."""
        ...

    async def close(self) -> None:
        """End everything, and wait for it."""
        ...
