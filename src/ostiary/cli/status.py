"""`ostiary status`: what runs, and how it is doing."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ostiary.cli.following import Following
from ostiary.cli.live import is_terminal, run
from ostiary.cli.near_limits import NearLimits
from ostiary.cli.options import Format, FormatOption, StateOption, existing_state, print_json
from ostiary.cli.overview import HOUR, MINUTE, Denied, Overview, Totals, most_common
from ostiary.cli.printable import full_time, printable
from ostiary.cli.status_page import EVERY_S, TOP, UNCUT, Facts, StatusPage, lines
from ostiary.cli.stop import documents_of, lines_of
from ostiary.cli.waiting import count_waiting
from ostiary.errors import GatewayFault, OstiaryError
from ostiary.store.query import Reader
from ostiary.store.state import StateDir, find_state, locate
from ostiary.store.stops import stops_of

RECENT = 1_000


def status(
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Keep showing it, until q or Ctrl-C.")] = False,
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Show the running gates of a state directory and what they decided lately.

    With --watch a live page; where there is no terminal for it, a print every second.

    Exit status: 0 when a gate runs, 1 when none does, 2 could not run; with --watch 0.
    """
    if watch:
        _watch(locate(state_dir, os.environ), format_)
        return
    state = existing_state(state_dir)
    look = _Look(state.path)
    facts = look.read()
    if facts.following.problem and state.database.exists():
        raise GatewayFault(facts.following.problem)
    if format_ is Format.json:
        counts, rows = _recent(state)
        print_json({"v": 1, "state_dir": str(state.path), **_as_json(facts), "rows": rows, "recent": counts})
    else:
        _print(facts)
    raise typer.Exit(0 if facts.following.gates else 1)


class _Look:
    """One look at a state directory after the other."""

    def __init__(self, path: Path) -> None:
        self._following = Following(path)
        self._near = NearLimits()

    def read(self) -> Facts:
        """Everything that is shown, as it is now. Raises nothing that the state directory causes."""
        follow = self._following
        follow.look()
        try:
            state = find_state(follow.path)
            waiting = count_waiting(state)
            near = self._near.look(state, follow.gates, follow.now)
            stops = stops_of(state)
        except OstiaryError:
            return Facts(follow, None, [])
        return Facts(follow, waiting, near, tuple(lines_of(stops)), stops)


def _watch(path: Path, format_: Format) -> None:
    look = _Look(path)
    if format_ is Format.text and is_terminal(os.environ):
        run(StatusPage(look.read), os.environ)
        return
    try:
        while True:
            facts = look.read()
            if format_ is Format.json:
                line = {"v": 1, "state_dir": str(path), **_as_json(facts)}
                sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
            else:
                sys.stdout.write(f"--- {full_time(facts.following.now)}\n")
                _print(facts)
            sys.stdout.flush()
            time.sleep(EVERY_S)
    except KeyboardInterrupt:
        return


def _print(facts: Facts) -> None:
    follow = facts.following
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else UNCUT
    typer.echo(printable(f"state directory  {follow.path}"))
    for line in lines(facts, width):
        typer.echo(line.plain.rstrip())
    typer.echo(f"\nrecords          {follow.last_seq} rows")
    if follow.problem:
        typer.echo(f"! {printable(follow.problem)}")


def _as_json(facts: Facts) -> dict[str, object]:
    follow = facts.following
    return {
        "gates": follow.gates,
        "stops": documents_of(facts.stops),
        "minute": _totals(follow.overview.totals(follow.now, MINUTE)),
        "hour": _totals(follow.overview.totals(follow.now, HOUR)),
        "counted_since": follow.overview.begins,
        "denials": [
            {"ts": one.ts, "tool": one.tool, "rule": one.rule, "grant": one.grant, "count": one.count}
            for one in _latest(follow.overview)
        ],
        "near_limits": [
            {"rule": one.rule, "grant": one.scope, "used": str(one.used), "max": str(one.most)}
            for one in facts.near
        ],
        "waiting": facts.waiting,
        "problem": follow.problem,
    }


def _latest(overview: Overview) -> list[Denied]:
    return list(overview.denials)[: -TOP - 1 : -1]


def _totals(totals: Totals) -> dict[str, object]:
    return {
        "decisions": dict(totals.decisions),
        "outcomes": dict(totals.outcomes),
        "latency_us": {"p50": totals.quantile(0.5), "p95": totals.quantile(0.95)},
        "refused_tools": dict(most_common(totals.tools, TOP)),
        "refused_by_rule": dict(most_common(totals.rules, TOP)),
    }


def _recent(state: StateDir) -> tuple[dict[str, int], int]:
    """Decisions among the newest rows, and how many rows there are at all."""
    if not state.database.exists():
        return {}, 0
    reader = Reader(state)
    try:
        counts: dict[str, int] = {}
        for stored in reader.tail(RECENT):
            record = stored.record
            if record is None or record.kind not in ("intent", "denial"):
                continue
            counts[record.decision] = counts.get(record.decision, 0) + 1
        return counts, reader.last_seq()
    finally:
        reader.close()
