"""`ostiary run python`: a built-in server behind a gate of its own. Options, and the call that runs it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Final

from ostiary.cli.proxy import Option, Parser, gather, option_table, run_gate
from ostiary.errors import CallerFault
from ostiary.limits import help_lines
from ostiary.settings import ProxyOptions, PythonOptions

SERVERS: Final = ("python",)
ELSEWHERE: Final = frozenset(
    {
        "--upstream", "--upstream-transport", "--upstream-ca", "--upstream-cert", "--upstream-key",
        "--header", "--header-env", "--header-file",
    }
)  # fmt: skip
"""Options of a gate that have no meaning where the server is in the same process."""

EPILOG: Final = f"""\
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


def run_option_table() -> tuple[Option, ...]:
    """Every option of `ostiary run python`: its names and what argparse is told of it."""
    return _OPTIONS + tuple(option for option in option_table() if option[0][0] not in ELSEWHERE)


def default_policy() -> Path:
    """The policy that comes with the Python server."""
    return Path(str(files("ostiary.servers.python") / "policy.yaml"))


def parser() -> argparse.ArgumentParser:
    """The options of `ostiary run python`."""
    made = Parser(
        prog="ostiary run python",
        usage="ostiary run python [-p FILE] [--listen HOST:PORT] [options]",
        description="Run Python code behind walls, for MCP clients, through a gate.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for names, settings in run_option_table():
        made.add_argument(*names, **settings)
    return made


def read_options(arguments: Sequence[str]) -> ProxyOptions:
    """Turn what follows `ostiary run` into options. Raises CallerFault for what cannot be meant."""
    server, rest = _server(arguments)
    given = parser().parse_args(rest)
    if given.unsafe_no_isolation and given.isolation:
        raise CallerFault(
            "--isolation and --unsafe-no-isolation contradict each other", hint="leave one of them out"
        )
    given.policy = given.policy or default_policy()
    given.server = given.server or server
    for name in ELSEWHERE:
        setattr(given, name.removeprefix("--").replace("-", "_"), None)
    python = PythonOptions(
        engine=given.engine,
        isolation="none" if given.unsafe_no_isolation else given.isolation or "strict",
        naming=given.naming,
        cache_dir=given.cache_dir,
        preload=_modules(given),
    )
    return gather(given, (), python)


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


def _server(arguments: Sequence[str]) -> tuple[str, list[str]]:
    if not arguments or arguments[0] not in SERVERS:
        found = arguments[0][:80] if arguments else ""
        near = get_close_matches(found, SERVERS, n=1)
        what = f"there is no built-in server `{found}`" if found else "which server is missing"
        raise CallerFault(what, hint=f"did you mean `{near[0]}`" if near else "ostiary run python")
    return arguments[0], list(arguments[1:])


def main(arguments: Sequence[str]) -> int:
    """Run the server; 2 when it could not run, with the reason on standard error."""
    return run_gate(read_options, arguments)
