"""The command tree. Each command is thin: read options, call one function, render."""

from __future__ import annotations

import re
import sys
from difflib import get_close_matches
from importlib.metadata import version as package_version
from typing import Annotated, Protocol, cast

import typer
import typer.main

from ostiary.cli import approvals, audit, demo, doctor, pins, policy, sandbox, scan_tools, status, stop
from ostiary.cli.completion import ProxyCommand, RunCommand
from ostiary.cli.examples import teach
from ostiary.cli.proxy import main as run_proxy
from ostiary.cli.proxy import report
from ostiary.cli.run import COMMANDS
from ostiary.cli.run import main as run_builtin
from ostiary.cli.server_command import ServerCommand
from ostiary.cli.target import BeforeACommand
from ostiary.errors import CallerFault, OstiaryError

app = typer.Typer(
    name="ostiary",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: it can be piped, and `ostiary[demo]` is not taken for markup
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")
app.add_typer(approvals.app, name="approvals")
app.add_typer(stop.app, name="stop")
app.add_typer(pins.app, name="pins")
servers = typer.Typer(no_args_is_help=True, help="Run a server that comes with Ostiary, behind a gate.")
app.add_typer(servers, name="run")
app.add_typer(sandbox.app, name="sandbox")
READER_GONE = 141
"""Exit status when whoever reads our output went away: what a shell shows for SIGPIPE."""


@app.command(
    "proxy",
    cls=ProxyCommand,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def proxy(context: typer.Context) -> None:
    """Put one policy in front of one MCP server, over stdio or HTTP."""
    raise typer.Exit(run_proxy(context.args))


def _add_server(server: ServerCommand) -> None:
    """Its options are read by argparse, where it starts quickly; here they are only listed."""

    def run_server(context: typer.Context) -> None:
        raise typer.Exit(run_builtin([server.name, *context.args]))

    servers.command(
        server.name,
        cls=RunCommand,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=False,
        help=server.description,
    )(run_server)


for _one in COMMANDS.values():
    _add_server(_one)


@servers.callback()
def run() -> None:
    """Run a server that comes with Ostiary, behind a gate of its own.

    Exit status: 0 when it was stopped, 2 when it could not run.
    """


app.command("demo", short_help="Watch one policy allow, refuse and limit real calls.")(demo.demo)
app.command(
    "scan-tools", cls=BeforeACommand, short_help="Write a first policy for a server that denies every tool."
)(scan_tools.scan_tools)
app.command("doctor", short_help="Say what this machine offers to isolate code.")(doctor.doctor)
app.command("status", short_help="Show the running gates and what they decided lately.")(status.status)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ostiary {package_version('ostiary')}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
]


@app.callback()
def ostiary(version: VersionOption = False) -> None:
    """A policy gateway for MCP: every call is decided, limited and recorded before it is forwarded.

    Exit status: 0 done, allowed or valid, 1 the answer is no, 2 could not run.
    """


teach(app)


class _UsageError(Protocol):
    def format_message(self) -> str: ...


# The class of every complaint about the command line; typer exports only this one below it.
_USAGE_ERROR = cast("type[Exception]", typer.BadParameter.__mro__[1])


def main() -> None:
    """Run a command; 2 with a sentence on standard error when it could not run."""
    try:
        status = typer.main.get_command(app).main(prog_name="ostiary", standalone_mode=False)
    except OstiaryError as error:
        report(error)
        sys.exit(2)
    except _USAGE_ERROR as error:
        _report_usage(cast("_UsageError", error).format_message())
        sys.exit(2)
    except typer.Abort:
        sys.exit(130)
    except SystemExit as ended:  # typer turns a closed pipe into 1, which here means "no"
        sys.exit(READER_GONE if ended.code == 1 else ended.code)
    sys.exit(status if isinstance(status, int) else 0)


def _report_usage(text: str) -> None:
    """Say what is wrong with the command line in the style of every other message."""
    if text.lstrip().startswith("Usage:"):  # no command at all: the whole help is the answer
        print(text, file=sys.stderr)
        return
    unknown = _UNKNOWN_OPTION.match(text)
    if unknown is not None:
        near = get_close_matches(unknown[1], (unknown[2] or "").split(", "), n=1, cutoff=0)
        text = f"unknown option '{unknown[1]}'" + (f" Did you mean '{near[0]}'" if unknown[2] else "")
    text = re.sub(r"'([^']*)'", r"`\1`", text).replace("Value error, ", "").replace(": Input", ": input")
    message, _, near_text = text.partition(" Did you mean ")
    message = message[:1].lower() + message[1:].rstrip(".")
    hint = f"did you mean {near_text.partition(',')[0].rstrip('?.')}" if near_text else "see --help"
    report(CallerFault(message.replace("no such", "unknown"), hint=hint))


_UNKNOWN_OPTION = re.compile(r"No such option: (\S+)(?: \(Possible options: (.+)\))?")
