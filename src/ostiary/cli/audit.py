"""`ostiary audit`: read the log, and prove that nobody edited it."""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ostiary.audit.record import Record
from ostiary.cli.completion import DECISIONS, GRANTS, KINDS, TOOLS
from ostiary.cli.options import Format, FormatOption, StateOption, existing_state, print_json
from ostiary.cli.printable import full_time, printable, terminal_json
from ostiary.errors import CallerFault
from ostiary.store.checkpoints import export_newest, public_key
from ostiary.store.keys import CHECKPOINT
from ostiary.store.query import Filter, Reader, StoredRecord
from ostiary.store.state import StateDir, read_private
from ostiary.store.verify import Report
from ostiary.store.verify import verify as verify_log

app = typer.Typer(help="Read the audit log and verify it.", no_args_is_help=True)

FOLLOW_SECONDS = 0.5
PAGE = 1_000

ToolFilter = Annotated[
    str, typer.Option("--tool", metavar="NAME", help="Only calls of this tool.", autocompletion=TOOLS)
]
DecisionFilter = Annotated[
    str,
    typer.Option(
        "--decision", metavar="NAME", help="Only this decision: allow, deny.", autocompletion=DECISIONS
    ),
]
GrantFilter = Annotated[
    str, typer.Option("--grant", metavar="NAME", help="Only calls of this grant.", autocompletion=GRANTS)
]
KindFilter = Annotated[
    str,
    typer.Option(
        "--kind",
        metavar="NAME",
        help="Only rows of this kind: intent, denial, outcome, event.",
        autocompletion=KINDS,
    ),
]
SinceFilter = Annotated[
    str,
    typer.Option("--since", metavar="TIME", help="Only from this time on, for example 2026-11-20T09:00Z."),
]


@app.command("tail", short_help="Print the newest rows, or follow them.")
def tail(
    limit: Annotated[
        int, typer.Option("-n", "--lines", metavar="N", min=1, max=100_000, help="How many rows.")
    ] = 20,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on as rows are written, until Ctrl-C.")
    ] = False,
    tool: ToolFilter = "",
    decision: DecisionFilter = "",
    grant: GrantFilter = "",
    kind: KindFilter = "",
    since: SinceFilter = "",
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Print the newest rows, oldest first. JSON is one row a line.

    Exit status: 0 done, also when there is none, 2 could not run.
    """
    only = Filter(tool=tool, decision=decision, grant=grant, kind=kind, since=_since(since))
    reader = Reader(existing_state(state_dir))
    try:
        rows = reader.tail(limit, None, only)
        _print_rows(rows, format_)
        after = rows[-1].row.seq if rows else reader.last_seq()
        while follow:
            time.sleep(FOLLOW_SECONDS)
            rows = reader.tail(PAGE, after, only)
            _print_rows(rows, format_)
            after = rows[-1].row.seq if rows else after
    except KeyboardInterrupt:
        return
    finally:
        reader.close()


@app.command("show", short_help="Print everything on record about one call.")
def show(
    call: Annotated[str, typer.Argument(metavar="ID", help="An evaluation id, `ev_…`.")],
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Print everything on record about one call.

    Exit status: 0 found, 1 when there is nothing, 2 could not run.
    """
    reader = Reader(existing_state(state_dir))
    try:
        rows = reader.show(call)
    finally:
        reader.close()
    if not rows:
        typer.echo(printable(f"no record of `{call}`"), err=True)
        raise typer.Exit(1)
    if format_ is Format.json:
        _print_rows(rows, format_)
        return
    for stored in rows:
        typer.echo(printable(f"row {stored.row.seq} of {stored.row.writer}"))
        members = (
            msgspec.to_builtins(stored.record)
            if stored.record is not None
            else {"unreadable": stored.row.body}
        )
        for key, value in members.items():
            typer.echo(printable(f"  {key:<15} {_shown(value)}"))


@app.command("export", short_help="Write rows as JSON, or the newest checkpoint.")
def export(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write here.", show_default=False)
    ] = None,
    checkpoint: Annotated[
        bool,
        typer.Option(
            "--checkpoint",
            help="Export the newest signed checkpoint instead, to keep elsewhere as an anchor.",
        ),
    ] = False,
    tool: ToolFilter = "",
    decision: DecisionFilter = "",
    grant: GrantFilter = "",
    kind: KindFilter = "",
    since: SinceFilter = "",
    state_dir: StateOption = None,
) -> None:
    """Write rows as JSON, one a line, or the newest checkpoint.

    Exit status: 0 done, 2 could not run.
    """
    state = existing_state(state_dir)
    if checkpoint:
        lines = iter([_newest_checkpoint(state)])
    else:
        reader = Reader(state)
        lines = reader.export(
            Filter(tool=tool, decision=decision, grant=grant, kind=kind, since=_since(since))
        )
    try:
        if output is None:
            for line in lines:
                sys.stdout.buffer.write(terminal_json(line) if sys.stdout.isatty() else line)
            sys.stdout.flush()
            return
        with open(output, "wb", opener=_private) as file:
            file.writelines(lines)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CallerFault(f"cannot write `{output}`: {(error.strerror or 'failed').lower()}") from error


@app.command("verify")
def verify(
    anchor: Annotated[
        Path | None,
        typer.Option(
            "--anchor", metavar="FILE", help="A checkpoint that was kept elsewhere.", show_default=False
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Also fail when rows are not covered by an anchor.")
    ] = False,
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Recompute every chain and compare it with the checkpoints.

    Exit status: 0 unbroken, 1 broken (or, with --strict, not anchored), 2 could not run.
    """
    kept = None
    if anchor is not None:
        try:
            kept = anchor.read_bytes()
        except OSError as error:
            raise CallerFault(f"cannot read `{anchor}`: {(error.strerror or 'failed').lower()}") from error
    report = verify_log(existing_state(state_dir), anchor=kept)
    if format_ is Format.json:
        print_json({"v": 1, "complete": report.complete(), **msgspec.to_builtins(report)})
    else:
        _print_report(report)
    raise typer.Exit(0 if report.ok and (report.complete() or not strict) else 1)


def _private(path: str, flags: int) -> int:
    """Open for the owner alone: records say who called what."""
    return os.open(path, flags, 0o600)


def _newest_checkpoint(state: StateDir) -> bytes:
    reader = Reader(state)
    try:
        newest = export_newest(reader.connection, public_key(read_private(state.keys / CHECKPOINT)))
    finally:
        reader.close()
    if newest is None:
        raise CallerFault(
            "there is no checkpoint yet", hint="one is signed every few seconds while a gate runs"
        )
    return newest


def _print_report(report: Report) -> None:
    counted = (
        _count(report.rows, "row"),
        _count(len(report.chains), "chain"),
        _count(report.checkpoints, "signed checkpoint"),
    )
    typer.echo("{} in {}, {}".format(*counted))
    for problem in report.problems:
        typer.echo(printable(f"✗ {problem.kind}: {problem.message}"))
    if not report.ok:
        typer.echo("✗ the log is broken")
        return
    typer.echo("✓ every chain is unbroken")
    if report.unanchored_rows:
        what = "anchor" if report.anchored else "checkpoint"
        when = f" since {_time(report.unanchored_since)}" if report.unanchored_since is not None else ""
        rows = _count(report.unanchored_rows, "row")
        typer.echo(f"- {rows}{when} not covered by {'an' if report.anchored else 'a'} {what} yet")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print_rows(rows: list[StoredRecord], format_: Format) -> None:
    if format_ is Format.json:
        for stored in rows:
            line = stored.line()
            sys.stdout.buffer.write(terminal_json(line) if sys.stdout.isatty() else line)
        sys.stdout.flush()
        return
    for stored in rows:
        typer.echo(printable(_line(stored)))


def _line(stored: StoredRecord) -> str:
    record = stored.record
    if record is None:
        return f"{stored.row.seq} unreadable row"
    what = _outcome(record) if record.kind == "outcome" else _decision(record)
    name = record.tool or record.method
    if record.kind == "event" and record.tool and not record.decision:
        name = f"{record.method} {record.tool}"
    row = f"{_time(record.ts)}  {record.kind:<7}  {what:<10}  {name:<28}  {record.id}"
    return f"{row}  {' '.join(record.rules)}".rstrip()


def _outcome(record: Record) -> str:
    return record.status


def _decision(record: Record) -> str:
    if record.kind == "event" and not record.decision:
        return "-"
    return record.decision if record.enforced else f"({record.decision})"


def _time(microseconds: int | None) -> str:
    return "-" if microseconds is None else full_time(microseconds)


def _since(text: str) -> int:
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise CallerFault(f"--since: `{text}` is not a time", hint="for example 2026-11-20T09:00Z") from error
    if moment.tzinfo is None:
        moment = moment.astimezone()
    return int(moment.timestamp() * 1_000_000)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
