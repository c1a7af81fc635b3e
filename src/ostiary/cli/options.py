"""Options that several commands share, and how they print JSON."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ostiary.cli.completion import SERVERS
from ostiary.cli.printable import terminal_json
from ostiary.store.state import StateDir, find_state, locate


class Format(StrEnum):
    """How a command prints its data."""

    text = "text"
    json = "json"


StateOption = Annotated[
    str | None,
    typer.Option(
        "--state-dir", metavar="DIR", help="Where records, counters and keys are kept.", show_default=False
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print the answer.")]
ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="NAME",
        help="Which server's policy, in a file with `servers`.",
        autocompletion=SERVERS,
    ),
]
PolicyOption = Annotated[
    Path | None, typer.Option("-p", "--policy", metavar="FILE", help="The policy.", show_default=False)
]
ToolsOption = Annotated[
    Path | None,
    typer.Option("--tools", metavar="FILE", help="The server's tool list as JSON.", show_default=False),
]
MonitorOption = Annotated[
    bool, typer.Option("--unsafe-monitor", help="Accept `mode: monitor`, which enforces nothing.")
]


def existing_state(option: str | None) -> StateDir:
    """The state directory that a reading command looks at. Raises CallerFault when there is none."""
    return find_state(locate(option, os.environ))


def print_json(document: object) -> None:
    """Print one JSON document on standard output."""
    text = msgspec.json.format(msgspec.json.encode(document), indent=2)
    typer.echo((terminal_json(text) if sys.stdout.isatty() else text).decode())
