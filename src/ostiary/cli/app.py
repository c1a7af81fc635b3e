"""The command tree. Each command is thin: read options, call one function, render."""

from __future__ import annotations

import sys
from importlib.metadata import version as package_version
from typing import Annotated

import typer

from ostiary.cli import audit, demo, policy, status
from ostiary.cli.proxy import main as run_proxy
from ostiary.cli.proxy import report
from ostiary.errors import OstiaryError

app = typer.Typer(
    name="ostiary",
    help="A policy gateway for MCP: every call is decided, limited and recorded before it is forwarded.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")
app.command("status")(status.status)
app.command("demo")(demo.demo)


@app.command(
    "proxy",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def proxy(context: typer.Context) -> None:
    """Put one policy in front of one MCP server, over stdio or HTTP."""
    raise typer.Exit(run_proxy(context.args))


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
    """A deterministic policy gateway for MCP."""


def main() -> None:
    """Run a command; 2 with a sentence on standard error when it could not run."""
    try:
        app()
    except OstiaryError as error:
        report(error)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us went away, which is not an error of ours
        sys.exit(0)
