"""`ostiary classify`: what each tool of a list can do. Nothing is started, and nothing is sent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ostiary.cli.options import Format, FormatOption, StateOption, print_json
from ostiary.errors import CallerFault
from ostiary.registry.change import printable
from ostiary.registry.classification import Classification

NOT_JUDGED = 2

Input = Annotated[
    Path | None,
    typer.Option("-i", "--input", metavar="FILE", help="The tools as JSON; - is stdin.", show_default=False),
]
Server = Annotated[
    str, typer.Option("--server", metavar="NAME", help="Whose tools they are, where the file does not say.")
]


def classify(
    input_: Input = None,
    server: Server = "",
    format_: FormatOption = Format.text,
    state_dir: StateOption = None,
) -> None:
    """Say what each tool of a list can do: category, data, severity, and the words that say so.

    Exit status: 0 classified, 2 could not run, or a server has too much to judge.
    """
    from ostiary.registry.classify.listed import read_list
    from ostiary.registry.judged import judged, was_judged

    if input_ is None:
        raise CallerFault(
            "which tools are to be classified", hint="give --input FILE, or --input - for stdin"
        )
    results = judged(read_list(_read(input_), str(input_), server=server))
    if format_ is Format.json:
        print_json([as_document(one) for one in results])
    else:
        for one in results:
            typer.echo("\n".join(_lines(one)))
    missed = sum(not was_judged(one) for one in results)
    if missed:
        typer.echo(
            f"too much to judge: {missed} of {len(results)} tools were not, and count as the worst", err=True
        )
        raise typer.Exit(NOT_JUDGED)


def as_document(one: Classification) -> dict[str, object]:
    """One result as `--format json` prints it: the fields of a classification, and the name as `tool` too."""
    return {"server": one.server, "tool": one.name, **msgspec.to_builtins(one)}


def _read(path: Path) -> bytes:
    from ostiary.registry.classify.listed import MAX_BYTES

    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CallerFault(f"`{path}` cannot be read: {error.strerror or error}") from None


def _lines(one: Classification) -> list[str]:
    whole = f"{one.server}/{one.name}" if one.server else one.name
    head = f"{printable(whole)}: {one.category}, {one.severity} ({one.score}/5), {one.sensitivity} data"
    lines = [f"{head}, {one.confidence:.0%} sure"]
    lines += [
        f"  because of `{each.words}` in {printable(each.where)}: {each.reason}" for each in one.evidence[:3]
    ]
    lines += [f"  {printable(signal.text)}" for signal in one.signals]
    lines += [
        f"  {each.kind} in {printable(each.where)}: {each.reason}: {printable(each.excerpt)}"
        for each in one.findings
    ]
    if one.owasp:
        lines.append(f"  OWASP {', '.join(one.owasp)}")
    return lines
