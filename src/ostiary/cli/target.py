"""Which server a command looks at: the options that `ostiary proxy` has for it, and a command after `--`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from ostiary.errors import CallerFault
from ostiary.settings import ProxyOptions, checked_name, gather_headers, key_pair

_KEPT = "ostiary.command"


class BeforeACommand(TyperCommand):
    """A command line in which everything after `--` is the command of a server, whatever it looks like."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the server's command off before options are read."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_KEPT] = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])


ServerName = Annotated[
    str, typer.Option("--server", metavar="NAME", help="What records and pins call the server.")
]
Upstream = Annotated[str, typer.Option("--upstream", metavar="URL", help="The MCP server's HTTP endpoint.")]
Transport = Annotated[
    str,
    typer.Option("--upstream-transport", metavar="NAME", help="http, sse or auto (default), as for `proxy`."),
]
Headers = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="'K: V'", help="Send this header to the server; nothing secret."),
]
HeaderEnvs = Annotated[
    list[str] | None,
    typer.Option("--header-env", metavar="'K: VAR'", help="The same, from an environment variable."),
]
HeaderFiles = Annotated[
    list[str] | None,
    typer.Option("--header-file", metavar="FILE", help="The same, for a file with one 'K: V' a line."),
]
Authorities = Annotated[
    Path | None,
    typer.Option("--upstream-ca", metavar="FILE", help="Authorities (PEM) to trust.", show_default=False),
]
Certificate = Annotated[
    Path | None,
    typer.Option(
        "--upstream-cert", metavar="FILE", help="Certificate chain to show to it.", show_default=False
    ),
]
CertificateKey = Annotated[
    Path | None,
    typer.Option("--upstream-key", metavar="FILE", help="Its private key (PEM).", show_default=False),
]
Era = Annotated[
    str,
    typer.Option(
        "--era", metavar="NAME", help="modern, legacy or auto (default): modern where the server speaks it."
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="SECONDS", min=1, max=3600, help="Until the server must have told everything."
    ),
]


def command_of(context: typer.Context) -> tuple[str, ...]:
    """What stood after `--`."""
    kept: tuple[str, ...] = context.meta.get(_KEPT, ())
    return kept


def era_of(text: str) -> Literal["legacy", "modern"] | None:
    """The era to ask in; None tries both. Raises CallerFault for another word."""
    if text in ("", "auto"):
        return None
    if text == "legacy":
        return "legacy"
    if text == "modern":
        return "modern"
    raise CallerFault(f"--era: `{text}` is none", hint="modern, legacy or auto")


def read_target(
    context: typer.Context,
    *,
    upstream: str,
    transport: str,
    server: str,
    headers: tuple[list[str] | None, list[str] | None, list[str] | None],
    tls: tuple[Path | None, Path | None, Path | None],
    state_dir: str | None,
) -> ProxyOptions | None:
    """The server as `ostiary proxy` would reach it; None where neither a URL nor a command was given.

    Raises CallerFault for what cannot be meant.
    """
    command = command_of(context)
    name = checked_name("--server", server) if server else ""
    if upstream and command:
        raise CallerFault("both --upstream and a command were given", hint="look at one server at a time")
    if not upstream and (transport or any(headers) or any(tls)):
        raise CallerFault("options for a server's URL were given without one", hint="give --upstream URL")
    if any(tls) and not upstream.lower().startswith("https:"):
        raise CallerFault("--upstream-ca, -cert and -key are for a server that is reached over https://")
    if transport not in ("", "auto", "http", "sse"):
        raise CallerFault(f"--upstream-transport: `{transport}` is none", hint="http, sse or auto")
    if not upstream and not command:
        return None
    return ProxyOptions(
        policy=None,
        upstream=upstream or None,
        command=command,
        listen=None,
        state_dir=state_dir,
        server=name,
        headers=gather_headers(headers[0] or (), headers[1] or (), headers[2] or (), os.environ),
        upstream_transport="sse" if transport == "sse" else "http" if transport == "http" else "auto",
        upstream_ca=tls[0],
        upstream_pair=key_pair("upstream", tls[1], tls[2]),
    )
