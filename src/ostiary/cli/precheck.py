"""`ostiary precheck`: what speaks for caution before a server is connected."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ostiary.cli.options import Format, FormatOption, StateOption, print_json
from ostiary.cli.printable import printable, say
from ostiary.cli.target import HeaderEnvs, HeaderFiles, Headers, Timeout, command_of
from ostiary.errors import CallerFault
from ostiary.store.state import locate, open_state

Server = Annotated[
    str,
    typer.Option("--server", metavar="NAME", help="What your client calls it: for --rules and its pins."),
]
Connect = Annotated[bool, typer.Option("--connect", help="Also ask the server; without it nothing starts.")]
Rules = Annotated[bool, typer.Option("--rules", help="Also print rules that deny what needs one.")]
Json = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
ByName = Annotated[
    bool, typer.Option("--configured", help="The name is one in a client's configuration here.")
]
Hosts = Annotated[
    list[str] | None,
    typer.Option("--allow-host", metavar="HOST", help="With --connect: a host that the program may reach."),
]
Network = Annotated[bool, typer.Option("--allow-network", help="With --connect: it may reach any host.")]
NoWalls = Annotated[
    bool, typer.Option("--unsafe-no-isolation", help="With --connect: run it without any walls.")
]


def precheck(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="[NAME|PACKAGE|URL]", help="The server; or its command after `--`.")
    ] = "",
    configured: ByName = False,
    connect: Connect = False,
    rules: Rules = False,
    json_: Json = False,
    format_: FormatOption = Format.text,
    server: Server = "",
    allow_host: Hosts = None,
    allow_network: Network = False,
    unsafe_no_isolation: NoWalls = False,
    header: Headers = None,
    header_env: HeaderEnvs = None,
    header_file: HeaderFiles = None,
    timeout: Timeout = 60,
    state_dir: StateOption = None,
) -> None:
    """Say what is known of a server before you connect it, and whether a person should look first.

    Nothing leaves the machine, and nothing is started unless you ask with --connect.
    Exit status: 0 proceed, 1 connect with a rule or ask first, 2 could not run.
    """
    from ostiary.cli.precheck_asked import Asked, question_of
    from ostiary.cli.precheck_text import as_json, lines
    from ostiary.settings import gather_headers
    from ostiary.wiring.prechecking import Reach
    from ostiary.wiring.prechecking import precheck as look

    headers = gather_headers(header or (), header_env or (), header_file or (), os.environ)
    if not connect and (allow_host or allow_network or unsafe_no_isolation or headers):
        raise CallerFault("options for asking the server were given without --connect")
    asked = Asked(
        name=name,
        command=command_of(context),
        configured=configured,
        connect=connect,
        server=server,
        headers=headers,
        reach=Reach(
            hosts=tuple(allow_host or ()),
            all_hosts=allow_network,
            unsafe_no_isolation=unsafe_no_isolation,
            seconds=timeout,
        ),
    )
    question, called = question_of(asked, os.environ, Path.cwd())
    answer = look(question, open_state(locate(state_dir, os.environ)), os.environ, _tell)
    for note in answer.notes:
        typer.echo(f"warning: {printable(note)}", err=True)
    if json_ or format_ is Format.json:
        print_json(as_json(answer, called if rules else ""))
    else:
        say(lines(answer, called if rules else ""))
    raise typer.Exit(0 if answer.verdict.action == "proceed" else 1)


def _tell(name: str) -> None:
    typer.echo(f"asking {printable(name)} …", err=True)
