"""`ostiary run SERVER`: a built-in server behind a gate of its own."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from ostiary.cli.proxy import Option, Parser, gather, option_table, run_gate
from ostiary.cli.run_code import CODE
from ostiary.cli.run_django import DJANGO
from ostiary.cli.run_docker import DOCKER
from ostiary.cli.run_python import PYTHON
from ostiary.cli.server_command import ServerCommand
from ostiary.errors import CallerFault
from ostiary.settings import ProxyOptions

COMMANDS: Final[Mapping[str, ServerCommand]] = {one.name: one for one in (PYTHON, DOCKER, DJANGO, CODE)}
ELSEWHERE: Final = frozenset(
    {
        "--upstream", "--upstream-transport", "--upstream-ca", "--upstream-cert", "--upstream-key",
        "--header", "--header-env", "--header-file",
    }
)  # fmt: skip
"""Options of a gate that have no meaning where the server is in the same process."""


def run_option_table(server: ServerCommand) -> tuple[Option, ...]:
    """Every option of `ostiary run SERVER`: its names and what argparse is told of it."""
    return server.options + tuple(option for option in option_table() if option[0][0] not in ELSEWHERE)


def parser(server: ServerCommand) -> argparse.ArgumentParser:
    """The options of `ostiary run SERVER`."""
    made = Parser(
        prog=f"ostiary run {server.name}",
        usage=f"ostiary run {server.name} [-p FILE] [--listen HOST:PORT] [options]",
        description=server.description,
        epilog=server.epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for names, settings in run_option_table(server):
        made.add_argument(*names, **settings)
    return made


def read_options(arguments: Sequence[str]) -> ProxyOptions:
    """Turn what follows `ostiary run` into options. Raises CallerFault for what cannot be meant."""
    server, rest = _server(arguments)
    given = parser(server).parse_args(rest)
    given.policy = given.policy or server.policy
    given.server = given.server or server.name
    for name in ELSEWHERE:
        setattr(given, name.removeprefix("--").replace("-", "_"), None)
    return gather(given, (), server.read(given))


def _server(arguments: Sequence[str]) -> tuple[ServerCommand, list[str]]:
    if not arguments or arguments[0] not in COMMANDS:
        found = arguments[0][:80] if arguments else ""
        near = get_close_matches(found, COMMANDS, n=1)
        what = f"there is no built-in server `{found}`" if found else "which server is missing"
        known = " or ".join(f"ostiary run {name}" for name in COMMANDS)
        raise CallerFault(what, hint=f"did you mean `{near[0]}`" if near else known)
    return COMMANDS[arguments[0]], list(arguments[1:])


def main(arguments: Sequence[str]) -> int:
    """Run the server; 2 when it could not run, with the reason on standard error."""
    return run_gate(read_options, arguments)
