"""`ostiary policy fmt`: policies in one style."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Annotated

import typer

from ostiary.cli.options import StateOption
from ostiary.cli.printable import printable_lines
from ostiary.cli.written import STANDARD, read_source, replace_file
from ostiary.errors import CallerFault, OstiaryError
from ostiary.policy.diagnostic import PolicyError


def fmt(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="The policies; `-` reads and writes standard streams."),
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a file would change.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; show what would change.")] = False,
    state_dir: StateOption = None,
) -> None:
    """Write policies in one style, keeping their meaning, their comments and their numbers.

    Keys stand in the order of the reference, indented by two spaces. A file is replaced
    at once, or not at all; one that is not valid is refused.

    Exit status: 0 done, 1 with --check when a file would change, 2 could not run.
    """
    if STANDARD in files and len(files) > 1:
        raise CallerFault("`-` stands alone: there is one standard output")
    statuses = [_one(file, check=check, diff=diff) for file in files]
    raise typer.Exit(max(statuses))


def _one(file: str, *, check: bool, diff: bool) -> int:
    """Format one file; one that cannot be does not keep the others from it."""
    from ostiary.policy.layout.rewrite import rewritten

    try:
        raw = read_source(file)
        name = "<stdin>" if file == STANDARD else file
        text = rewritten(raw, file=name)
        if diff:
            typer.echo(_difference(name, raw, text), nl=False)
        if check:
            return _checked(name, changes=text != raw)
        if not diff:
            _put(file, raw, text)
    except PolicyError as error:
        for item in error.diagnostics:
            typer.echo(printable_lines(item.render()), err=True)
    except OstiaryError as error:
        typer.echo(f"error: {error.message}" + (f"\n  hint: {error.hint}" if error.hint else ""), err=True)
    else:
        return 0
    return 2


def _checked(name: str, *, changes: bool) -> int:
    if changes:
        typer.echo(f"{name}: would be formatted", err=True)
    return int(changes)


def _put(file: str, raw: bytes, text: bytes) -> None:
    if file == STANDARD:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    elif text != raw:
        replace_file(Path(file), text)


def _difference(name: str, before: bytes, after: bytes) -> str:
    old, new = (text.decode().splitlines(keepends=True) for text in (before, after))
    lines = difflib.unified_diff(old, new, name, f"{name} (formatted)")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
