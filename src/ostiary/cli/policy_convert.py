"""`ostiary policy convert`: any format as format 4."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ostiary.cli.options import StateOption
from ostiary.cli.printable import printable_lines
from ostiary.cli.written import STANDARD, read_source, replace_file
from ostiary.errors import CallerFault
from ostiary.policy.diagnostic import PolicyError


class To(StrEnum):
    """The syntax of what is written."""

    json = "json"
    yaml = "yaml"


def convert(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The policy; `-` for standard input.")],
    to: Annotated[
        To | None,
        typer.Option("--to", help="The syntax; by default that of OUT, or FILE's own.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="OUT", help="Write there, not to standard output.", show_default=False
        ),
    ] = None,
    state_dir: StateOption = None,
) -> None:
    """Write a policy of any format as Ostiary's own, deciding every call alike.

    What is said otherwise, or not carried over, is reported on standard error. What
    cannot be said the same way is refused, never approximated.

    Exit status: 0 converted, 2 could not be.
    """
    from ostiary.policy.convert.convert import converted

    raw = read_source(file)
    try:
        result = converted(
            raw, file=_name(file), to=None if (known := to or _suffix(out)) is None else known.value
        )
    except PolicyError as error:
        raise CallerFault("\n".join(item.render() for item in error.diagnostics)) from error
    if out is None:
        sys.stdout.buffer.write(result.text)
        sys.stdout.buffer.flush()
    else:
        replace_file(out, result.text)
    for note in result.notes:
        typer.echo(printable_lines(note.render()), err=True)


def _name(file: str) -> str:
    return "<stdin>" if file == STANDARD else file


def _suffix(out: Path | None) -> To | None:
    suffix = "" if out is None else out.suffix.lower()
    return {".json": To.json, ".yaml": To.yaml, ".yml": To.yaml}.get(suffix)
