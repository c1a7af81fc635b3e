"""`ostiary stop`: stop calls now, everywhere, and let them go on again (P2.5)."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from ostiary.calls.stop import Scope, Stop
from ostiary.cli.approvals import KeyOption, PassphraseOption, unlocked
from ostiary.cli.options import Format, FormatOption, StateOption, existing_state, print_json
from ostiary.cli.printable import printable
from ostiary.errors import CallerFault
from ostiary.proxy.mint import Mint
from ostiary.settings import checked_name
from ostiary.store.approvers import private_path
from ostiary.store.instances import describe_all
from ostiary.store.lifting import authorise_lift
from ostiary.store.query import Reader
from ostiary.store.state import StateDir, locate, open_state
from ostiary.store.stops import stops_of
from ostiary.store.switching import switch
from ostiary.wiring.approvals import as_owner

app = typer.Typer(help="Stop calls now, and let them go on again.", no_args_is_help=True)

MAX_REASON = 200
"""Characters that are kept of a reason."""

RECENT = 1_000
"""Rows that are looked at for names, beside the gates that run."""

GrantOption = Annotated[str, typer.Option("--grant", metavar="G", help="Calls of this grant.")]
ServerOption = Annotated[str, typer.Option("--server", metavar="S", help="Calls to this server.")]
AllOption = Annotated[bool, typer.Option("--all", help="Everything behind every gate.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]


@app.command("on", short_help="Stop a grant, a server or everything.")
def on(
    grant: GrantOption = "",
    server: ServerOption = "",
    everything: AllOption = False,
    reason: ReasonOption = "",
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Deny every new call and end those under way, in every gate of a state directory, within a second.

    Exit status: 0 the stop is in force, 2 could not run.
    """
    scope = _scope(grant, server, everything=everything)
    state = open_state(locate(state_dir, os.environ))
    who = f"user:{who_runs()}"
    as_owner(state)
    before, now = switch(state, "on", scope, who=who, reason=cleaned(reason), mint=_mint)
    if warning := _unknown(state, scope):
        typer.echo(warning, err=True)
    assert now is not None  # noqa: S101 - it was set, or it was there before
    if format_ is Format.json:
        print_json({"v": 1, "changed": before is None, "stop": _document(now)})
    elif before is None:
        typer.echo(f"stopped {scope} (stop {now.number})")
    else:
        typer.echo(f"{scope} is stopped since {iso_time(now.at)} by {now.who} (stop {now.number})")


@app.command("off", short_help="Lift the stop of a grant, a server or everything.")
def off(
    grant: GrantOption = "",
    server: ServerOption = "",
    everything: AllOption = False,
    reason: ReasonOption = "",
    key: KeyOption = None,
    passphrase_file: PassphraseOption = None,
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Lift exactly the stop that is named. With --all that is the stop of everything, and no other.

    Where approvers are registered it takes the key of one of them.

    Exit status: 0 lifted, 1 there was no such stop, 2 could not run.
    """
    scope = _scope(grant, server, everything=everything)
    state = existing_state(state_dir)
    approver = authorise_lift(state, lambda: unlocked(key or private_path(state), passphrase_file))
    who = approver or f"user:{who_runs()}"
    as_owner(state)
    before, _ = switch(state, "off", scope, who=who, reason=cleaned(reason), mint=_mint)
    left = stops_of(state)
    if format_ is Format.json:
        lifted = None if before is None else _document(before)
        print_json({"v": 1, "changed": before is not None, "lifted": lifted, "stops": documents_of(left)})
    elif before is None:
        typer.echo(f"no stop of {scope} is in force{_rest(left)}")
    else:
        typer.echo(f"lifted the stop of {scope} (stop {before.number}){_rest(left)}")
    raise typer.Exit(0 if before is not None else 1)


@app.command("list", short_help="Show the stops in force.")
def list_(state_dir: StateOption = None, format_: FormatOption = Format.text) -> None:
    """Show the stops in force: of what, since when, by whom and why.

    Exit status: 0 nothing is stopped, 1 something is, 2 could not run.
    """
    stops = stops_of(existing_state(state_dir))
    if format_ is Format.json:
        print_json({"v": 1, "stops": documents_of(stops)})
    elif not stops:
        typer.echo("no stop is in force")
    else:
        table = Table("stop", "of", "since", "by", "reason", box=None, pad_edge=False)
        for stop in stops:
            shown = (str(stop.scope), iso_time(stop.at), stop.who, stop.reason)
            table.add_row(str(stop.number), *(printable(text) for text in shown))
        Console(highlight=False, markup=False, soft_wrap=True).print(table)
    raise typer.Exit(1 if stops else 0)


def cleaned(reason: str) -> str:
    """A reason as it is kept: one line, nothing invisible, at most `MAX_REASON` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in reason).split())
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…"


def lines_of(stops: tuple[Stop, ...]) -> list[str]:
    """The stops in force, one line each, for `status`."""
    return [
        f"stop {stop.number} of {stop.scope} since {iso_time(stop.at)} by {stop.who}"
        + (f": {stop.reason}" if stop.reason else "")
        for stop in stops
    ]


def documents_of(stops: tuple[Stop, ...]) -> list[dict[str, object]]:
    """The stops in force, as JSON shows them."""
    return [
        {
            "stop": stop.number,
            "kind": stop.scope.kind,
            "name": stop.scope.name,
            "since": iso_time(stop.at),
            "by": stop.who,
            "reason": stop.reason,
        }
        for stop in stops
    ]


def _document(stop: Stop) -> dict[str, object]:
    return documents_of((stop,))[0]


def _scope(grant: str, server: str, *, everything: bool) -> Scope:
    """What the options name. Raises CallerFault unless it is exactly one thing."""
    if bool(grant) + bool(server) + everything != 1:
        raise CallerFault(
            "expected exactly one of --grant G, --server S and --all",
            hint="--all stops everything behind every gate of this state directory",
        )
    if grant:
        return Scope("grant", checked_name("--grant", grant))
    if server:
        return Scope("server", checked_name("--server", server))
    return Scope("all")


def _unknown(state: StateDir, scope: Scope) -> str:
    """A warning where nothing of this name is known: the stop may be one of somebody else's name."""
    if scope.kind == "all":
        return ""
    known = _known(state, scope.kind)
    if scope.name in known:
        return ""
    near = get_close_matches(scope.name, sorted(known), n=1)
    hint = f"\n\nhint: did you mean `{near[0]}`" if near else ""
    return f"warning: no {scope} is known here; the stop is set all the same{hint}"


def _known(state: StateDir, kind: Literal["grant", "server"]) -> set[str]:
    """Names of running gates and in recent records, apart from those that only a stop has used."""
    reader = Reader(state)
    try:
        records = [stored.record for stored in reader.tail(RECENT) if stored.record is not None]
    finally:
        reader.close()
    used = [
        one.grant if kind == "grant" else one.server for one in records if not one.method.startswith("stop-")
    ]
    return {*used, *(gate.get(kind, "") for gate in describe_all(state))} - {""}


def _rest(stops: tuple[Stop, ...]) -> str:
    """What is still stopped, so that nobody takes a lifted stop for an open gate."""
    return f"; still stopped: {', '.join(str(stop.scope) for stop in stops)}" if stops else ""


def who_runs() -> str:
    """The user of the operating system."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def _mint(clock: Callable[[], int]) -> str:
    return Mint(clock)()


def iso_time(at: int) -> str:
    """Microseconds since 1970 as people and programs read it."""
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
