"""The command tree. Each command is thin: read options, call one function, render."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.metadata import version as package_version
from typing import Annotated, Protocol, cast

import typer
import typer.main

from ostiary.cli.examples import teach
from ostiary.cli.parts import PARTS
from ostiary.cli.proxy import report
from ostiary.errors import CallerFault, OstiaryError

READER_GONE = 141
"""Exit status when whoever reads our output went away: what a shell shows for SIGPIPE."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ostiary {package_version('ostiary')}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
]


def ostiary(version: VersionOption = False) -> None:
    """A policy gateway for MCP: every call is decided, limited and recorded before it is forwarded.

    Exit status: 0 done, allowed or valid, 1 the answer is no, 2 could not run.
    """


def build(*words: str) -> typer.Typer:
    """The command tree; with `words` of a command line, only as much of it as they need."""
    app = typer.Typer(
        name="ostiary",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain text: it can be piped, and `ostiary[demo]` is no markup
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(ostiary)
    for name in _wanted(words):
        PARTS[name](app)
    teach(app)
    return app


def _wanted(words: tuple[str, ...]) -> Iterable[str]:
    """The parts that a command line is about: all, where it does not say."""
    if words == ("--version",):
        return ()
    return words[:1] if words and words[0] in PARTS else PARTS


def _typed() -> list[str]:
    """The command line; where a shell asks what could come next, its whole words so far."""
    if "_OSTIARY_COMPLETE" not in os.environ:
        return sys.argv[1:]
    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")
    return re.split(r"\s+", line)[1:-1]


class _UsageError(Protocol):
    def format_message(self) -> str: ...


# The class of every complaint about the command line; typer exports only this one below it.
_USAGE_ERROR = cast("type[Exception]", typer.BadParameter.__mro__[1])


def main() -> None:
    """Run a command; 2 with a sentence on standard error when it could not run."""
    try:
        status = typer.main.get_command(build(*_typed())).main(prog_name="ostiary", standalone_mode=False)
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
