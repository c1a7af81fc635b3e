"""`ostiary scan-tools`: ask a server for its tools, and write a first policy that denies them all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ostiary.cli.options import StateOption
from ostiary.cli.target import (
    Authorities,
    Certificate,
    CertificateKey,
    Era,
    HeaderEnvs,
    HeaderFiles,
    Headers,
    Timeout,
    Transport,
    Upstream,
    era_of,
    read_target,
)
from ostiary.cli.written import write_file
from ostiary.errors import CallerFault, GatewayFault
from ostiary.policy.definition import Catalogue
from ostiary.policy.load import load_text
from ostiary.registry.change import named
from ostiary.registry.starter import starter_json, starter_yaml, usable
from ostiary.scan.introspect import Introspection

Output = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", metavar="FILE", help="Write here: .yaml, .yml or .json.", show_default=False
    ),
]
Force = Annotated[bool, typer.Option("-f", "--force", help="Write over a file that is there.")]


def scan_tools(
    context: typer.Context,
    output: Output = None,
    force: Force = False,
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
    """Write a first policy for a server: every tool is in it with what it takes, and is denied.

    The server is `-- COMMAND…` or --upstream URL. Exit status: 0 written, 2 could not run.
    """
    target = read_target(
        context,
        upstream=upstream,
        transport=upstream_transport,
        server="",
        headers=(header, header_env, header_file),
        tls=(upstream_ca, upstream_cert, upstream_key),
        state_dir=state_dir,
    )
    if target is None:
        raise CallerFault("which server is to be asked", hint="give `-- COMMAND…` or --upstream URL")
    if output is not None and output.suffix not in (".yaml", ".yml", ".json"):
        raise CallerFault(f"`{output}` ends in neither .yaml, .yml nor .json")
    if output is not None and output.exists() and not force:
        raise CallerFault(f"`{output}` is there already", hint="-f writes over it")
    from ostiary.wiring.scan import introspect

    found = introspect(target, os.environ, seconds=timeout, era=era_of(era))
    text = policy_text(found, as_json=output is not None and output.suffix == ".json")
    if output is None:
        typer.echo(text, nl=False)
        return
    write_file(output, text.encode(), force=force)
    _, left = usable(found.tools)
    for name in left:
        typer.echo(
            f"warning: a policy cannot name {named(name)}; it is denied as what is not listed", err=True
        )
    count = len(found.tools)
    typer.echo(f"wrote {output}: {count} tool{'' if count == 1 else 's'}, every one denied")


def policy_text(found: Introspection, *, as_json: bool) -> str:
    """The policy in the style of `policy fmt`, which has been seen to load and to deny every tool."""
    from ostiary.policy.layout.rewrite import rewritten

    about = " ".join(part for part in (found.server.name, found.server.version) if part) or "a server"
    text = (starter_json if as_json else starter_yaml)(about, found.tools)
    document, diagnostics = load_text(text.encode(), file="the first policy")
    errors = [item for item in diagnostics if item.severity == "error"]
    if document is None or document.single is None or errors:
        raise GatewayFault(
            "the first policy would not load: " + "; ".join(item.message for item in errors[:3])
        )
    text = rewritten(text.encode(), file="the first policy").decode()
    _check_denied(text, found)
    return text


def _check_denied(text: str, found: Introspection) -> None:
    from ostiary.policy.decide import decide
    from ostiary.policy.decision import Question
    from ostiary.proxy.policy_file import activate

    compiled = activate(text.encode(), file="the first policy", server="local", unsafe_monitor=False)
    catalogue = Catalogue({tool.name: tool for tool in found.tools})
    for tool in found.tools:
        question = Question(tool=tool.name, arguments={}, grant="local", server="local", catalogue=catalogue)
        if decide(compiled, question).effect == "allow":
            raise GatewayFault(f"the first policy would allow {named(tool.name)}")
