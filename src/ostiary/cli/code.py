"""`ostiary code`: what clients of code mode have stored and asked for, and what you say to it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from ostiary.cli.approvals import KeyOption, PassphraseOption, unlocked
from ostiary.cli.options import Format, FormatOption, StateOption, existing_state, print_json
from ostiary.cli.printable import printable
from ostiary.cli.stop import cleaned, iso_time, who_runs
from ostiary.errors import CallerFault
from ostiary.proxy.mint import Mint
from ostiary.store import custom_tools, server_requests
from ostiary.store.approvers import private_path
from ostiary.store.aside import Event, recorded
from ostiary.store.connection import database_fault
from ostiary.store.custom_tools import Version
from ostiary.store.lifting import authorise_lift
from ostiary.store.query import Reader
from ostiary.store.server_requests import ServerRequest, State
from ostiary.store.state import StateDir
from ostiary.wiring.approvals import as_owner

app = typer.Typer(help="Tools that agents stored, and servers they ask for.", no_args_is_help=True)
tools = typer.Typer(help="Tools that clients of code mode have stored.", no_args_is_help=True)
servers = typer.Typer(help="Servers that clients of code mode ask for.", no_args_is_help=True)
app.add_typer(tools, name="tools")
app.add_typer(servers, name="servers")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The tool, without `custom_`.")]
NumberArgument = Annotated[int, typer.Argument(metavar="REQUEST", help="Its number, as listed.")]
NoteOption = Annotated[str, typer.Option("--note", metavar="TEXT", help="What the client is told.")]
_LINE_END = re.compile(r"\r\n|\r|\n")
_HAS_TABLES = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'code_changes'"


@tools.command("list", short_help="List them.")
def list_tools(state_dir: StateOption = None, format_: FormatOption = Format.text) -> None:
    """List the custom tools of a state directory: whose they are, which version, and for whom.

    Exit status: 0, also when there are none.
    """
    with _reading(existing_state(state_dir)) as connection:
        found = [] if connection is None else custom_tools.newest(connection)
    if format_ is Format.json:
        print_json({"v": 1, "tools": [_about(one) for one in found]})
    elif not found:
        typer.echo("no custom tool is stored")
    else:
        rows = [
            (f"custom_{one.name}", one.owner, str(one.number), _for(one), one.digest[:16], iso_time(one.at))
            for one in found
        ]
        _table(("tool", "owner", "version", "for", "sha256", "since"), rows)


@tools.command("show", short_help="Show one with its code.")
def show_tool(
    name: NameArgument,
    version: Annotated[
        int, typer.Option("--version", metavar="N", help="An older version.", show_default=False)
    ] = 0,
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Show one version of a custom tool: what it takes and needs, and its code.

    Exit status: 0 shown, 2 could not run, also when there is none.
    """
    plain = name.removeprefix("custom_")
    with _reading(existing_state(state_dir)) as connection:
        known = [] if connection is None else custom_tools.newest(connection)
        newest = next((one for one in known if one.name == plain), None)
        found = (
            None
            if connection is None or newest is None
            else custom_tools.find(connection, plain, version or newest.number)
        )
        stamps = [] if connection is None else custom_tools.history(connection, plain)
    if found is None:
        raise CallerFault(f"there is no such custom tool `{name[:80]}`", hint="ostiary code tools list")
    document = {
        **_about(found),
        "definition": msgspec.to_builtins(found.definition),
        "versions": [
            {"version": one.version, "sha256": one.digest, "at": iso_time(one.at)} for one in stamps
        ],
        "script": found.script,
    }
    if format_ is Format.json:
        print_json({"v": 1, "tool": document})
        return
    for line in _lines(document):
        typer.echo(line)


@tools.command("remove", short_help="Remove one with all its versions.")
def remove_tool(name: NameArgument, state_dir: StateOption = None) -> None:
    """Remove a custom tool, whoever made it; gates notice within a second. Its name is free again.

    Exit status: 0 removed, 1 there was none.
    """
    state = existing_state(state_dir)
    plain = name.removeprefix("custom_")
    as_owner(state)
    with recorded(state, _mint) as (connection, add):
        removed = custom_tools.remove(connection, plain, None)
        if removed:
            add(Event(f"user:{who_runs()}", "custom-tool-removed", f"custom_{plain}"))
    typer.echo(f"removed custom_{plain}" if removed else f"there is no custom tool `{printable(name[:80])}`")
    raise typer.Exit(0 if removed else 1)


@servers.command("requests", short_help="List what was asked for.")
def list_requests(
    everything: Annotated[bool, typer.Option("--all", help="Those that were decided, too.")] = False,
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """List the servers that clients asked for. Look at the URL and at the variables that it would be sent.

    Exit status: 0, also when there are none.
    """
    with _reading(existing_state(state_dir)) as connection:
        wanted: State | None = None if everything else "pending"
        found = [] if connection is None else server_requests.listed(connection, wanted)
    if format_ is Format.json:
        print_json({"v": 1, "requests": [_asked(one) for one in found]})
    elif not found:
        typer.echo("no request is there" if everything else "no request waits")
    else:
        for one in found:
            for line in _request_lines(one):
                typer.echo(line)


@servers.command("approve", short_help="Have code mode connect to one.")
def approve(
    number: NumberArgument,
    note: NoteOption = "",
    key: KeyOption = None,
    passphrase_file: PassphraseOption = None,
    state_dir: StateOption = None,
) -> None:
    """Have code mode connect to a server. It may do what it says only reads, until the policy names it.

    Running gates of this state directory take it up within a second, for all their clients. Where
    approvers are registered it takes the key of one of them.

    Exit status: 0 approved, 2 could not run.
    """
    state = existing_state(state_dir)
    approver = authorise_lift(state, lambda: unlocked(key or private_path(state), passphrase_file))
    _decide(state, number, "approved", note, approver or f"user:{who_runs()}")


@servers.command("reject", short_help="Refuse one, or let go of one that was approved.")
def reject(number: NumberArgument, note: NoteOption = "", state_dir: StateOption = None) -> None:
    """Refuse a request. A server that was approved is left within a second.

    Exit status: 0 rejected, 2 could not run.
    """
    _decide(existing_state(state_dir), number, "rejected", note, f"user:{who_runs()}")


def _decide(state: StateDir, number: int, verdict: State, note: str, who: str) -> None:
    as_owner(state)
    said = cleaned(note)
    with recorded(state, _mint) as (connection, add):
        before = server_requests.find(connection, number)
        owner = "" if before is None else before.owner
        what = "" if before is None else f"request {number}: {before.name} at {before.url}"
        at = add(Event(who, f"server-{verdict}", what, owner, said))
        decided = server_requests.decide(connection, number, verdict, who=who, note=said, at=at)
    typer.echo(f"{verdict} request {number}: {printable(decided.name)} at {printable(decided.url)}")


@contextmanager
def _reading(state: StateDir) -> Generator[sqlite3.Connection | None]:
    """The database to read from; None where it is of a version that had no custom tools, or there is none."""
    if not state.database.exists():
        yield None
        return
    reader = Reader(state)
    try:
        (known,) = reader.connection.execute(_HAS_TABLES).fetchone()
        yield reader.connection if known else None
    except sqlite3.Error as error:
        raise database_fault(state.database, error) from error
    finally:
        reader.close()


def _about(one: Version) -> dict[str, Any]:
    return {
        "tool": f"custom_{one.name}",
        "owner": one.owner,
        "version": one.number,
        "for": _for(one),
        "sha256": one.digest,
        "at": iso_time(one.at),
    }


def _asked(one: ServerRequest) -> dict[str, Any]:
    times = {"at": iso_time(one.at), "decided": iso_time(one.decided) if one.decided else None}
    return {**msgspec.to_builtins(one), **times}


def _for(one: Version) -> str:
    return "everybody" if one.definition.public else "its owner"


def _lines(document: dict[str, Any]) -> list[str]:
    head = [
        f"{key:8} {printable(str(document[key]))}" for key in ("tool", "owner", "version", "for", "sha256")
    ]
    definition = [
        f"{key:12} {printable(msgspec.json.encode(value).decode())}"
        for key, value in document["definition"].items()
        if value not in ([], {}, False)
    ]
    versions = [
        f"version {one['version']} of {one['at']} {one['sha256'][:16]}" for one in document["versions"]
    ]
    # Lines as Python has them: with the ends that others know a comment could pass for code.
    script = [printable(line) for line in _LINE_END.split(str(document["script"]))]
    return [*head, "", *definition, "", *versions, "", *script]


def _request_lines(one: ServerRequest) -> list[str]:
    """Whole, whatever the width: a URL that is cut could lead anywhere."""
    sent = [f"  sends   {name}: {value}" for name, value in one.headers.items()]
    said = [f"  {key:7} {value}" for key, value in (("reason", one.reason), ("note", one.note)) if value]
    head = f"request {one.number}, {one.state}: `{one.name}` for grant {one.owner}, {iso_time(one.at)}"
    return [printable(line) for line in (head, f"  url     {one.url}", *sent, *said)]


def _table(names: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(*names, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(printable(text) for text in row))
    Console(highlight=False, markup=False, soft_wrap=True).print(table)


def _mint(clock: Callable[[], int]) -> str:
    return Mint(clock)()
