"""What somebody wants to have run. Pure; checked by who makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ostiary.sandbox.limits import DEFAULT_LIMITS, Limits
from ostiary.sandbox.record import ToolCall
from ostiary.sandbox.secrecy import Secrecy
from ostiary.sandbox.toolbox import Toolbox


class FileIn(msgspec.Struct, frozen=True):
    """A file that the run finds in its working folder. `name` is relative, without `..`."""

    name: str
    content: bytes


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A program to run in a container that is there already, in the place of code.

    `container` is its full id. `argv` is the program with its arguments; for a `script`, which is the
    request's `code`, only the arguments. `env` holds `NAME=VALUE`. An empty `workdir` or `user` is the
    container's own. `detach` starts the program and does not wait for it.
    """

    container: str
    argv: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    detach: bool = False
    script: bool = False


class Resumption(msgspec.Struct, frozen=True, kw_only=True):
    """How a paused run goes on: `state` is that of its record, and the call it waited for ends here.

    `result` is the JSON value that the call returns, unless `error` says why it failed, with `code`.
    With `again` the call is made by the toolbox once more, with the arguments that it had, and counts once.
    `run_id` is kept for what goes on, with what the run had written before (`stdout`, `stderr`) and the
    `calls` that had ended.
    `state` must be what a runner of this very version made, unchanged: it decides what the worker does
    next, and nothing in it is checked. Whoever kept it outside this process proves that first (an HMAC
    over it and over the run's owner), and reads none that is larger than `MAX_STATE`.
    """

    state: bytes
    result: Any = None
    error: str | None = None
    code: int = 0
    again: bool = False
    run_id: str = ""
    stdout: bytes = b""
    stderr: bytes = b""
    calls: tuple[ToolCall, ...] = ()


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of code to run.

    `owner` is on whose behalf (a grant's name): sessions, records and artifacts are its alone.
    `context` becomes globals; its values are JSON. `requirements` come on top of what the code's
    own PEP 723 block asks for. `session` names a live interpreter of this owner that keeps its
    names between runs; empty means one of its own that is gone afterwards. `stdin` is what the
    code can read there. `command` is for runners that work in containers, and for no others. `ask` is
    a question in the place of code, for runners that know some: `{"do": ..., ...}`, JSON values; its
    answer is the JSON text of the result. See `sandbox.django.asks`.

    `tools` are functions that the code can call, at most `limits.inner_calls` times. `outputs` names
    globals that are read back when the code has come to its end. `resumes` goes on with a run that
    was paused, in the place of starting `code`, which is then kept for the record only. `secrecy` is
    what its code may use and nobody may read.
    """

    code: str
    owner: str
    context: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    requirements: tuple[str, ...] = ()
    files: tuple[FileIn, ...] = ()
    stdin: bytes = b""
    session: str = ""
    command: Command | None = None
    ask: Mapping[str, Any] | None = None
    tools: Toolbox | None = None
    outputs: tuple[str, ...] = ()
    resumes: Resumption | None = None
    limits: Limits = DEFAULT_LIMITS
    secrecy: Secrecy | None = None
