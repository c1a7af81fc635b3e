"""`ostiary stack`: every MCP server configured on this machine. Nothing is started, and nothing is sent."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ostiary.cli.options import Format, FormatOption, StateOption, print_json
from ostiary.cli.printable import say
from ostiary.cli.protect import project_root
from ostiary.errors import CallerFault
from ostiary.scan.clients.config import configured
from ostiary.scan.clients.kept import put_there
from ostiary.scan.clients.places import CLIENTS
from ostiary.scan.clients.stack import Row, stack
from ostiary.store.state import locate

Json = Annotated[bool, typer.Option("--json", help="The same as --format json.")]


def show_stack(
    json_: Json = False, format_: FormatOption = Format.text, state_dir: StateOption = None
) -> None:
    """List every MCP server that the clients on this machine and this repository configure.

    Secrets are named by their place, and never shown.
    Exit status: 0 listed, 1 a file could not be read, 2 could not run.
    """
    home = os.environ.get("HOME")
    if not home:
        raise CallerFault("HOME is not set", hint="set it to the folder whose clients are to be listed")
    found = configured(Path(home), project_root(Path.cwd()), os.environ)
    root = Path(os.path.abspath(locate(state_dir, os.environ)))  # noqa: PTH100 - it may not be there yet
    rows = stack(found, lambda target: put_there(root, target))
    if json_ or format_ is Format.json:
        servers = [msgspec.to_builtins(row) for row in rows]
        print_json(
            {
                "servers": servers,
                "troubles": list(found.troubles),
                "files": [str(config.path) for config in found.configs],
            }
        )
    else:
        say(_lines(rows))
        if found.troubles:
            say(["", "could not be read:", *(f"  {trouble}" for trouble in found.troubles)])
    if found.troubles:
        raise typer.Exit(1)


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    file = ""
    for row in rows:
        if row.file != file:
            file = row.file
            yield f"{CLIENTS.get(row.client, row.client)}: {file}"
        off = "" if row.enabled else ", switched off"
        where = f", for {row.folder}" if row.folder else ""
        gate = "through Ostiary" if row.gated else "NO GATE"
        yield f"  {row.name}: {row.starts}, {_pin(row)}, {gate}{off}{where}"
        yield from (f"    {remark}" for remark in _remarks(row))
    yield from _summary(rows)


def _pin(row: Row) -> str:
    return {
        "pinned": "pinned",
        "tagged": "a tag that can be moved",
        "floating": "FLOATING version",
        "local": "a program of this machine",
        "remote": "reached over the network",
        "unknown": "version not told",
    }[row.pin]


def _remarks(row: Row) -> Iterator[str]:
    if row.secrets:
        yield f"secrets in clear text: {', '.join(row.secrets)}"
    if row.placeholders:
        yield f"put in by the client: {', '.join(row.placeholders)}"
    if row.beside_a_gate:
        yield "A DOOR BESIDE A GATE: the same server is protected elsewhere"
    if row.same_as:
        yield f"the same server as in {', '.join(row.same_as)}"
    if row.same_name:
        yield f"another server has this name in {', '.join(row.same_name)}"


def _summary(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        yield "no MCP server is configured"
        return
    pins = Counter(row.pin for row in rows)
    yield ""
    gated = sum(row.gated for row in rows)
    yield f"{len(rows)} server{'' if len(rows) == 1 else 's'}, {gated} through Ostiary"
    clear = sum(bool(row.secrets) for row in rows)
    yield f"{pins['floating']} in a floating version, {clear} with secrets in clear text"
