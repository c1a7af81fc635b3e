"""`ostiary status`: what runs, and how it is doing."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from ostiary.cli.options import Format, FormatOption, StateOption, existing_state, print_json
from ostiary.store.instances import describe_all
from ostiary.store.query import Reader
from ostiary.store.state import StateDir

RECENT = 1_000


def status(state_dir: StateOption = None, format_: FormatOption = Format.text) -> None:
    """Show the running gates of a state directory and what they decided lately.

    Exit status: 0 when a gate runs, 1 when none does.
    """
    state = existing_state(state_dir)
    gates = describe_all(state)
    counts, rows = _recent(state)
    if format_ is Format.json:
        print_json({"v": 1, "state_dir": str(state.path), "gates": gates, "rows": rows, "recent": counts})
    else:
        _print(state, gates, counts, rows)
    raise typer.Exit(0 if gates else 1)


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


def _print(state: StateDir, gates: list[dict[str, str]], counts: dict[str, int], rows: int) -> None:
    console = Console(highlight=False)
    console.print(f"state directory  {state.path}", soft_wrap=True)
    if not gates:
        console.print("no gate is running")
    else:
        table = Table("gate", "server", "listens", "policy", "revision", box=None, pad_edge=False)
        for gate in gates:
            table.add_row(
                f"{gate.get('id', '')} (pid {gate.get('pid', '?')})",
                gate.get("server", ""),
                gate.get("listen", "stdio"),
                gate.get("policy", ""),
                gate.get("revision", "")[:19],
            )
        console.print(table)
        for gate in gates:
            if gate.get("unsafe"):
                console.print(f"! {gate.get('id', '')}: {gate['unsafe']}")
    recent = ", ".join(f"{count} {decision}" for decision, count in sorted(counts.items())) or "no calls"
    console.print(f"records          {rows} rows; among the newest {RECENT}: {recent}")
