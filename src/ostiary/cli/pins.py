"""`ostiary pins`: accept a server's tools as they are, and see what has become of them since."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ostiary.audit.record import Record
from ostiary.cli.drift_text import as_json, diff_lines
from ostiary.cli.options import Format, FormatOption, StateOption, existing_state, print_json
from ostiary.cli.target import (
    Authorities,
    BeforeACommand,
    Certificate,
    CertificateKey,
    Era,
    HeaderEnvs,
    HeaderFiles,
    Headers,
    ServerName,
    Timeout,
    Transport,
    Upstream,
    era_of,
    read_target,
)
from ostiary.errors import CallerFault
from ostiary.proxy import pin_file
from ostiary.proxy.pin_file import PinFile, Pinned
from ostiary.registry.change import by_risk, named, printable
from ostiary.registry.drift import compare_lists
from ostiary.settings import ProxyOptions, checked_name
from ostiary.store.state import StateDir, locate, open_state

app = typer.Typer(help="Pin a server's tools, and accept what changed.", no_args_is_help=True)

ToolsFile = Annotated[
    Path | None,
    typer.Option("--tools", metavar="FILE", help="Its tool list as JSON instead.", show_default=False),
]
Force = Annotated[bool, typer.Option("-f", "--force", help="Write over pins that are there.")]


@app.command("write", cls=BeforeACommand, short_help="Pin the tools of a server as they are now.")
def write(
    context: typer.Context,
    server: ServerName = "",
    force: Force = False,
    tools: ToolsFile = None,
    upstream: Upstream = "",
    upstream_transport: Transport = "",
    header: Headers = None,
    header_env: HeaderEnvs = None,
    header_file: HeaderFiles = None,
    upstream_ca: Authorities = None,
    upstream_cert: Certificate = None,
    upstream_key: CertificateKey = None,
    era: Era = "auto",
    timeout: Timeout = 60,
    state_dir: StateOption = None,
) -> None:
    """Pin the tools of a server as they are now: `-- COMMAND…`, --upstream URL or --tools FILE.

    Exit status: 0 written, 2 could not run.
    """
    target = read_target(
        context,
        upstream=upstream,
        transport=upstream_transport,
        server=server,
        headers=(header, header_env, header_file),
        tls=(upstream_ca, upstream_cert, upstream_key),
        state_dir=state_dir,
    )
    if (target is None) == (tools is None):
        raise CallerFault(
            "which tools are to be pinned", hint="give one of `-- COMMAND…`, --upstream URL, --tools FILE"
        )
    if target is None and not server:
        raise CallerFault("a file does not say which server it is of", hint="give --server NAME")
    state = open_state(locate(state_dir, os.environ))
    name = _name(target, server)
    path = pin_file.pin_path(state, name)
    if not force and path.exists():
        raise CallerFault(
            f"`{name}` is pinned already, in `{path}`",
            hint="see what changed with `ostiary pins diff`; -f writes over it",
        )
    present = _present(state, name, target, tools, era=era, timeout=timeout)
    _store(state, path, present, [_event("pins-written", name, f"{len(present.tools)} tools", force=force)])
    count = len(present.tools)
    typer.echo(f"pinned {count} tool{'' if count == 1 else 's'} of `{name}`")
    typer.echo(f"in {path}")


@app.command("show", short_help="Print what is pinned.")
def show(server: ServerName = "", state_dir: StateOption = None, format_: FormatOption = Format.text) -> None:
    """Print what is pinned of one server.

    Exit status: 0 printed, 1 nothing is pinned, 2 could not run.
    """
    state = existing_state(state_dir)
    name = _only(state, server)
    found = pin_file.read(pin_file.pin_path(state, name))
    if found is None:
        typer.echo(f"nothing is pinned for `{name}`", err=True)
        raise typer.Exit(1)
    if format_ is Format.json:
        tools = [
            {"name": tool, "digest": one.digest, "definition": one.version().definition}
            for tool, one in found.tools.items()
        ]
        print_json({"v": 1, "server": name, "written": found.written, "tools": tools})
        return
    typer.echo(f"{name}: {len(found.tools)} tools, pinned {found.written or 'at an unknown time'}")
    for tool, one in found.tools.items():
        typer.echo(f"  {one.digest.removeprefix('sha256:')[:12]}  {printable(tool)}")


@app.command("diff", cls=BeforeACommand, short_help="Say what changed since a server's tools were pinned.")
def diff(
    context: typer.Context,
    server: ServerName = "",
    tools: ToolsFile = None,
    upstream: Upstream = "",
    upstream_transport: Transport = "",
    header: Headers = None,
    header_env: HeaderEnvs = None,
    header_file: HeaderFiles = None,
    upstream_ca: Authorities = None,
    upstream_cert: Certificate = None,
    upstream_key: CertificateKey = None,
    era: Era = "auto",
    timeout: Timeout = 60,
    state_dir: StateOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Say what changed since a server's tools were pinned, and how much it matters.

    Without a command, URL or file it is what a gate with `--pins locked` last saw.
    Exit status: 0 nothing, 1 something changed, 2 could not run.
    """
    target = read_target(
        context,
        upstream=upstream,
        transport=upstream_transport,
        server=server,
        headers=(header, header_env, header_file),
        tls=(upstream_ca, upstream_cert, upstream_key),
        state_dir=state_dir,
    )
    state = existing_state(state_dir)
    name = _name(target, server) if target is not None else _only(state, server)
    pinned = _pinned(state, name)
    present = _present(state, name, target, tools, era=era, timeout=timeout)
    changes = by_risk(compare_lists(pinned.versions(), present.versions()))
    if format_ is Format.json:
        print_json(as_json(name, pinned, present, changes))
    else:
        for line in diff_lines(name, pinned, changes):
            typer.echo(line)
    raise typer.Exit(1 if changes else 0)


@app.command("accept", cls=BeforeACommand, short_help="Pin changed tools as they are now.")
def accept(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[TOOL]...", help="The tools whose change is accepted.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Accept every change.")] = False,
    server: ServerName = "",
    tools: ToolsFile = None,
    upstream: Upstream = "",
    upstream_transport: Transport = "",
    header: Headers = None,
    header_env: HeaderEnvs = None,
    header_file: HeaderFiles = None,
    upstream_ca: Authorities = None,
    upstream_cert: Certificate = None,
    upstream_key: CertificateKey = None,
    era: Era = "auto",
    timeout: Timeout = 60,
    state_dir: StateOption = None,
) -> None:
    """Pin the named tools (or, with --all, every one) as they are now, and show what that accepts.

    Without a command, URL or file it is what a gate with `--pins locked` last saw.
    Exit status: 0 accepted, or nothing had changed; 2 could not run, or nothing was named.
    """
    target = read_target(
        context,
        upstream=upstream,
        transport=upstream_transport,
        server=server,
        headers=(header, header_env, header_file),
        tls=(upstream_ca, upstream_cert, upstream_key),
        state_dir=state_dir,
    )
    state = open_state(existing_state(state_dir).path)
    name = _name(target, server) if target is not None else _only(state, server)
    pinned = _pinned(state, name, empty=everything)
    present = _present(state, name, target, tools, era=era, timeout=timeout)
    _accept(state, name, pinned, present, wanted=names or [], everything=everything)


def _accept(
    state: StateDir, name: str, pinned: PinFile, present: PinFile, *, wanted: list[str], everything: bool
) -> None:
    """Show the changes, then record and pin those that were named."""
    changes = by_risk(compare_lists(pinned.versions(), present.versions()))
    differing = list(dict.fromkeys(change.tool for change in changes))
    unknown = [tool for tool in wanted if tool not in differing]
    chosen = differing if everything else [tool for tool in differing if tool in wanted]
    for line in diff_lines(name, pinned, [one for one in changes if one.tool in chosen] or changes):
        typer.echo(line)
    if unknown:
        raise CallerFault(
            f"{named(unknown[0])} has not changed, so nothing was accepted",
            hint="these have: " + (", ".join(named(tool) for tool in differing[:10]) or "none"),
        )
    if not changes:
        return
    if not chosen:
        raise CallerFault("nothing was accepted", hint="name the tools, or give --all to accept every change")
    kept = dict(pinned.tools)
    events: list[Record] = []
    for tool in chosen:
        was, now = kept.pop(tool, None), present.tools.get(tool)
        if now is not None:
            kept[tool] = now
        events.append(_accepted(name, tool, was, now))
    accepted = PinFile(name, present.written, kept)
    _store(state, pin_file.pin_path(state, name), accepted, events)
    if accepted.pins().digests == present.pins().digests:
        pin_file.seen_path(state, name).unlink(missing_ok=True)
    typer.echo(f"accepted {len(chosen)} of {len(differing)} changed tools of `{name}`")


def _accepted(server: str, tool: str, was: Pinned | None, now: Pinned | None) -> Record:
    """The event of one accepted tool: digests say which texts it was, and no text stands in it."""
    shown = [one.digest if one is not None else "none" for one in (was, now)]
    return _event("pins-accepted", server, f"{shown[0]} -> {shown[1]}", tool=tool)


def _event(method: str, server: str, note: str, *, tool: str = "", force: bool = False) -> Record:
    reasons = ("written over the pins that were there",) if force else ()
    return Record(
        id="", ts=0, kind="event", server=server, method=method, tool=tool, note=note, reasons=reasons
    )


def _store(state: StateDir, path: Path, file: PinFile, events: list[Record]) -> None:
    """Leave the record, then write the file: what is not on record does not happen."""
    from ostiary.wiring.scan import record_events

    pin_file.check(path, file)
    record_events(state, events)
    pin_file.write(path, file)


def _name(target: ProxyOptions | None, server: str) -> str:
    """What the gate calls the server: the given name, else one from its command or URL."""
    from ostiary.wiring.proxy import server_name

    if server or target is None:
        return checked_name("--server", server)
    return server_name(target)


def _only(state: StateDir, server: str) -> str:
    """The server that is meant where neither a command nor a URL says so."""
    if server:
        return checked_name("--server", server)
    known = pin_file.servers(state)
    if len(known) == 1:
        return known[0]
    if not known:
        raise CallerFault("nothing is pinned yet", hint="`ostiary pins write -- COMMAND…` pins a server")
    shown = ", ".join(f"`{one}`" for one in known[:10])
    raise CallerFault("which server is meant", hint=f"give --server NAME; pinned are {shown}")


def _pinned(state: StateDir, name: str, *, empty: bool = False) -> PinFile:
    found = pin_file.read(pin_file.pin_path(state, name))
    if found is None and empty:
        return PinFile(name, "", {})
    if found is None:
        raise CallerFault(
            f"nothing is pinned for `{name}`", hint="`ostiary pins write` with the same command or URL does"
        )
    return found


def _present(
    state: StateDir, name: str, target: ProxyOptions | None, tools: Path | None, *, era: str, timeout: float
) -> PinFile:
    """The tools as they are: of the server, of a file, or as a gate last saw them."""
    from ostiary.wiring.scan import introspect, now

    if target is not None and tools is not None:
        raise CallerFault("both a server and --tools were given", hint="give one of them")
    if target is not None:
        found = introspect(target, os.environ, seconds=timeout, era=era_of(era))
        for tool in found.ambiguous:
            typer.echo(f"warning: {named(tool)} is listed in two versions, and so is denied", err=True)
        return pin_file.pin_file(name, now(), found.tools)
    if tools is not None:
        from ostiary.proxy.tool_file import read_tools

        return pin_file.pin_file(name, now(), read_tools(tools).definitions.values())
    seen = pin_file.read(pin_file.seen_path(state, name))
    return seen if seen is not None else _as_pinned(state, name)


def _as_pinned(state: StateDir, name: str) -> PinFile:
    """Nothing else was seen: as far as is known all is as it was pinned."""
    found = pin_file.read(pin_file.pin_path(state, name))
    if found is None:
        raise CallerFault(
            f"nothing is known of `{name}`", hint="give its command or URL, or let a locked gate see it"
        )
    typer.echo(
        "note: no gate with --pins locked has seen another list; give the command or URL to look now",
        err=True,
    )
    return found
