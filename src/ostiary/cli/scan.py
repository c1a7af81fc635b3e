"""`ostiary scan`: ask servers for their tools behind walls, and report what those can do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer

from ostiary import VERSION
from ostiary.cli.options import StateOption, print_json
from ostiary.cli.printable import full_time, printable
from ostiary.cli.target import (
    Authorities,
    Era,
    HeaderEnvs,
    HeaderFiles,
    Headers,
    Timeout,
    Transport,
    Upstream,
    command_of,
    era_of,
    read_target,
)
from ostiary.cli.written import check_free, write_file
from ostiary.errors import CallerFault

if TYPE_CHECKING:  # to classify takes long to load, and every command would wait for it
    from ostiary.scan.examined import Examined
    from ostiary.scan.report.view import Report
    from ostiary.scan.scanned import Target


class ReportFormat(StrEnum):
    """How a report is written."""

    text = "text"
    json = "json"
    sarif = "sarif"
    html = "html"


_BY_ENDING = {
    ".json": ReportFormat.json,
    ".sarif": ReportFormat.sarif,
    ".html": ReportFormat.html,
    ".htm": ReportFormat.html,
}
SOME_REACHED = 1
NOT_SCANNED = 2
MAX_NAMED = 5

Config = Annotated[
    list[Path] | None,
    typer.Option("--config", metavar="FILE", help="A client's file of servers; more than once."),
]
ServerName = Annotated[
    str, typer.Option("--server", metavar="NAME", help="Only this one of the files; else what to call it.")
]
FormatOption = Annotated[
    ReportFormat | None,
    typer.Option("--format", help="By default as the output file ends, or text.", show_default=False),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it here.", show_default=False)
]
FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="WORD",
        help="low, medium, high, critical or poisoned: end with 1.",
        show_default=False,
    ),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option("--allow-host", metavar="HOST", help="What servers started here may reach."),
]
AllowNetwork = Annotated[bool, typer.Option("--allow-network", help="They may reach everything.")]
NoIsolation = Annotated[
    bool, typer.Option("--unsafe-no-isolation", help="Start them without walls, with all you may do.")
]
PolicyOut = Annotated[
    Path | None,
    typer.Option(
        "--policy-out", metavar="FILE", help="Write the recommended policy and its tests.", show_default=False
    ),
]
Force = Annotated[bool, typer.Option("-f", "--force", help="Write over a file that is there.")]


def scan(
    context: typer.Context,
    config: Config = None,
    server: ServerName = "",
    format_: FormatOption = None,
    output: Output = None,
    policy_out: PolicyOut = None,
    force: Force = False,
    fail_on: FailOn = None,
    allow_host: AllowHost = None,
    allow_network: AllowNetwork = False,
    unsafe_no_isolation: NoIsolation = False,
    upstream: Upstream = "",
    upstream_transport: Transport = "",
    header: Headers = None,
    header_env: HeaderEnvs = None,
    header_file: HeaderFiles = None,
    upstream_ca: Authorities = None,
    era: Era = "auto",
    timeout: Timeout = 60,
    state_dir: StateOption = None,
) -> None:
    """Ask servers for their tools behind walls, and report what those can do. None is called.

    The servers are `-- COMMAND…`, --upstream URL or those of files (--config). Exit status: 0 done,
    1 something came up to --fail-on, 2 could not run, or a server could not be scanned.
    """
    from ostiary.scan.examined import examine
    from ostiary.scan.report.view import Report
    from ostiary.scan.threshold import reaching, threshold
    from ostiary.wiring.scan import now
    from ostiary.wiring.scanning import scan_all

    least = threshold(fail_on) if fail_on is not None else None
    if allow_host and allow_network:
        raise CallerFault("both --allow-host and --allow-network were given", hint="give one of them")
    _check_files(output, policy_out, force=force)
    one = _One(upstream, upstream_transport, (header, header_env, header_file), upstream_ca)
    targets = _of_files(context, config, server, one) if config else _named(context, server, one, state_dir)
    if policy_out is not None and len(targets) > 1:
        raise CallerFault("--policy-out is for one server", hint="pick it with --server NAME")
    scanned = scan_all(
        targets,
        {**os.environ, "OSTIARY_STATE_DIR": state_dir} if state_dir else os.environ,
        on_progress=_progress,
        hosts=tuple(allow_host or ()),
        all_hosts=allow_network,
        unsafe_no_isolation=unsafe_no_isolation,
        seconds=timeout,
        era=era_of(era),
        authorities=upstream_ca,
    )
    examined = examine(scanned, root=str(Path.cwd()))
    report = Report(servers=examined, version=VERSION, when=full_time(now()))
    _deliver(report, format_, output, force=force)
    if policy_out is not None:
        _write_policy(examined[0], policy_out, force=force)
    reached = [*reaching(examined, least)] if least is not None else []
    raise typer.Exit(_verdict(report, reached, (fail_on or "").strip().lower()))


def _check_files(output: Path | None, policy_out: Path | None, *, force: bool) -> None:
    """Before a server is asked, see that what is to be written can be."""
    if output is not None:
        check_free(output, force=force)
    if policy_out is not None:
        if policy_out.suffix not in (".json", ".yaml", ".yml"):
            raise CallerFault(f"--policy-out: `{policy_out}` ends in neither .json, .yaml nor .yml")
        check_free(policy_out, force=force)
        check_free(_tests_of(policy_out), force=force)
        if output is not None and output.resolve() in (policy_out.resolve(), _tests_of(policy_out).resolve()):
            raise CallerFault(
                f"`{printable(str(output))}` would hold the report and what --policy-out writes"
            )


def _tests_of(policy: Path) -> Path:
    """Where `ostiary policy test` looks for the tests of a policy."""
    return policy.with_name(f"{policy.stem}.tests.yaml")


def _write_policy(one: Examined, path: Path, *, force: bool) -> None:
    """Write the recommended policy and its tests; nothing for a server of which nothing is known."""
    from ostiary.scan.report.view import policy_of

    if one.scanned.found is None:
        typer.echo(f"`{printable(str(path))}` was not written: nothing is known of the server", err=True)
        return
    policy = policy_of(one)
    tests = _tests_of(path)
    write_file(path, (policy.json if path.suffix == ".json" else policy.yaml).encode(), force=force)
    write_file(tests, policy.tests.encode(), force=force)
    typer.echo(f"wrote {printable(str(path))} and {printable(str(tests))}", err=True)


def _progress(name: str) -> None:
    typer.echo(f"asking {printable(name)}", err=True)


class _One(NamedTuple):
    """What the command line says of one server that is reached by URL."""

    upstream: str
    transport: str
    headers: tuple[list[str] | None, list[str] | None, list[str] | None]
    authorities: Path | None

    @property
    def given(self) -> bool:
        return bool(self.upstream or self.transport or any(self.headers) or self.authorities)


def _of_files(context: typer.Context, configs: Sequence[Path], server: str, one: _One) -> tuple[Target, ...]:
    """The servers of clients' files, or those of this name."""
    from ostiary.scan.clients import read_config

    if one.given or command_of(context):
        raise CallerFault(
            "--config was given together with another server, or with options for one",
            hint="give --config alone, or `-- COMMAND…`, or --upstream URL",
        )
    targets: list[Target] = []
    files: dict[str, Path] = {}  # the same file twice is one file
    for path in configs:
        files.setdefault(os.path.realpath(path), path)
    for path in files.values():
        found = read_config(path)
        if not found:
            raise CallerFault(f"`{printable(str(path))}` names no server that is switched on")
        targets += found
    return _picked(targets, server, [*files.values()]) if server else tuple(targets)


def _picked(targets: Sequence[Target], server: str, files: Sequence[Path]) -> tuple[Target, ...]:
    """Those of this name. Raises CallerFault where there is none."""
    from difflib import get_close_matches

    from ostiary.registry.change import named

    chosen = tuple(target for target in targets if target.name == server)
    if not chosen:
        near = get_close_matches(server, [target.name for target in targets], n=1)
        others = ", ".join(named(target.name) for target in targets[:MAX_NAMED])
        where = f"`{printable(str(files[0]))}` names" if len(files) == 1 else f"{len(files)} files name"
        raise CallerFault(
            f"{where} no server {named(server)}",
            hint=f"did you mean {named(near[0])}" if near else f"there are {others}",
        )
    return chosen


def _named(context: typer.Context, server: str, one: _One, state_dir: str | None) -> tuple[Target]:
    """The server of the command line. Raises CallerFault where there is none."""
    from ostiary.scan.naming import name_of_command, name_of_url
    from ostiary.scan.scanned import Target

    options = read_target(
        context,
        upstream=one.upstream,
        transport=one.transport,
        server=server,
        headers=one.headers,
        tls=(one.authorities, None, None),
        state_dir=state_dir,
    )
    if options is None:
        raise CallerFault(
            "which servers are to be scanned", hint="give `-- COMMAND…`, --upstream URL or --config FILE"
        )
    if options.upstream is None:
        name = server or name_of_command(options.command)
        return (Target(name=name, command=tuple(options.command), cwd=os.getcwd()),)  # noqa: PTH109 - a text
    sent = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in options.headers)
    return (
        Target(
            name=server or name_of_url(options.upstream),
            transport=options.upstream_transport,
            url=options.upstream,
            headers=sent,
        ),
    )


def _deliver(report: Report, chosen: ReportFormat | None, output: Path | None, *, force: bool) -> None:
    """Print the report, or write it to its file."""
    suffix = output.suffix.lower() if output is not None else ""
    kind = chosen or _BY_ENDING.get(suffix, ReportFormat.text)
    if output is None and kind in (ReportFormat.json, ReportFormat.sarif):
        print_json(_values(report, kind))
        return
    text = _rendered(report, kind)
    if output is None:
        typer.echo(text, nl=False)
        return
    write_file(output, text.encode(), force=force)
    typer.echo(f"wrote {printable(str(output))}")


def _values(report: Report, kind: ReportFormat) -> dict[str, object]:
    from ostiary.scan.report.document import document
    from ostiary.scan.report.sarif import sarif

    return sarif(report, str(Path.cwd())) if kind is ReportFormat.sarif else document(report)


def _rendered(report: Report, kind: ReportFormat) -> str:
    from ostiary.scan.report.html import html
    from ostiary.scan.report.text import text

    if kind is ReportFormat.text:
        return text(report, printable)
    if kind is ReportFormat.html:
        return html(report)
    return msgspec.json.format(msgspec.json.encode(_values(report, kind)), indent=2).decode() + "\n"


def _verdict(report: Report, reached: list[tuple[str, str]], word: str) -> int:
    """Exit status, with the reason on standard error for one that is not 0."""
    from ostiary.scan.report.view import count, short

    if report.missed:
        names = ", ".join(printable(short(one.name)) for one in report.missed[:MAX_NAMED])
        more = ", …" if len(report.missed) > MAX_NAMED else ""
        typer.echo(f"{count(len(report.missed), 'server')} could not be scanned: {names}{more}", err=True)
    if reached:
        shown = ", ".join(
            f"{printable(short(tool))} of {printable(short(name))}" for name, tool in reached[:MAX_NAMED]
        )
        more = ", …" if len(reached) > MAX_NAMED else ""
        number = count(len(reached), "tool")
        typer.echo(f"--fail-on {word}: {number} at or above it: {shown}{more}", err=True)
        return SOME_REACHED
    return NOT_SCANNED if report.missed else 0
