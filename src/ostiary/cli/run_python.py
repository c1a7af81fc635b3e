"""The options of `ostiary run python`, and what they come to."""

from __future__ import annotations

import argparse
from typing import Final

from ostiary.builtin import PythonOptions
from ostiary.cli.proxy import Option
from ostiary.cli.server_command import ServerCommand
from ostiary.errors import CallerFault
from ostiary.limits import help_lines

_EPILOG: Final = f"""\
limits with their defaults, for --limit NAME=VALUE (which may be repeated):
{help_lines()}

examples:
  a client on stdio
    ostiary run python
  clients over HTTP, under a policy of your own
    ostiary run python --listen 127.0.0.1:8787 -p policy.yaml
  CPython in WebAssembly, after `ostiary sandbox prepare --engine pyodide`
    ostiary run python --engine pyodide

Without -p a policy that comes with it is enforced: ten runs a minute, and
everything but its own tools denied.
What of the isolation this machine lacks: ostiary doctor
Exit status: 0 when it was stopped, 2 when it could not run.
"""

_OPTIONS: Final[tuple[Option, ...]] = (
    (
        ("--engine",),
        {
            "choices": ("cpython", "pyodide"),
            "default": "cpython",
            "metavar": "NAME",
            "help": "cpython (default), or pyodide: CPython in WebAssembly, inside the same walls",
        },
    ),
    (
        ("--isolation",),
        {
            "choices": ("strict", "best-effort"),
            "metavar": "LEVEL",
            "help": "strict (default) refuses to start without its walls; best-effort says in every reply "
            "which are missing",
        },
    ),
    (
        ("--naming",),
        {
            "choices": ("bare", "prefixed", "both"),
            "default": "bare",
            "metavar": "NAME",
            "help": "which names of its tools are listed: bare (default), prefixed or both",
        },
    ),
    (
        ("--cache-dir",),
        {"metavar": "DIR", "help": "where the sandbox's files, packages and snapshots are kept"},
    ),
    (
        ("--preload",),
        {
            "metavar": "MODULE",
            "action": "append",
            "help": "import this once, before the first run; cpython only, may be repeated",
        },
    ),
    (
        ("--unsafe-no-isolation",),
        {"action": "store_true", "help": "run code without any walls: it can do whatever you can"},
    ),
)


def _read(given: argparse.Namespace) -> PythonOptions:
    if given.unsafe_no_isolation and given.isolation:
        raise CallerFault(
            "--isolation and --unsafe-no-isolation contradict each other", hint="leave one of them out"
        )
    return PythonOptions(
        engine=given.engine,
        isolation="none" if given.unsafe_no_isolation else given.isolation or "strict",
        naming=given.naming,
        cache_dir=given.cache_dir,
        preload=_modules(given),
    )


def _modules(given: argparse.Namespace) -> tuple[str, ...]:
    names: list[str] = given.preload or []
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise CallerFault(
                f"--preload: `{name[:80]}` is not the name of a module", hint="for example numpy"
            )
    if names and given.engine != "cpython":
        raise CallerFault("--preload is for the engine cpython")
    return tuple(names)


PYTHON: Final = ServerCommand(
    name="python",
    description="Run Python code behind walls, for MCP clients, through a gate.",
    epilog=_EPILOG,
    options=_OPTIONS,
    read=_read,
)
