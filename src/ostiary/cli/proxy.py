"""`ostiary proxy`: options, and the one call that runs the gate."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ostiary.errors import CallerFault, OstiaryError
from ostiary.settings import ProxyOptions, gather_headers, parse_listen

EPILOG = """\
examples:
  ostiary proxy -p policy.json -- uvx mcp-server-time          a stdio client in front of a stdio server
  ostiary proxy -p policy.json --upstream https://host/mcp     a stdio client in front of an HTTP server
  ostiary proxy -p policy.json --listen 127.0.0.1:8787 -- uvx mcp-server-time
                                                               HTTP clients in front of either

Without -p every call is denied. Exit status: that of the child on stdio, else 0; 2 if it could not run.
"""


_Option = tuple[tuple[str, ...], dict[str, Any]]

_OPTIONS: tuple[_Option, ...] = (
    (
        ("-p", "--policy"),
        {"metavar": "FILE", "type": Path, "help": "policy (JSON or YAML); reloaded when it changes"},
    ),
    (("--upstream",), {"metavar": "URL", "help": "the MCP server's streamable HTTP endpoint"}),
    (
        ("--listen",),
        {"metavar": "HOST:PORT", "help": "serve MCP over HTTP at /mcp instead of standard streams"},
    ),
    (("--header",), {"metavar": "'K: V'", "action": "append", "help": "upstream header that is no secret"}),
    (
        ("--header-env",),
        {"metavar": "'K: VAR'", "action": "append", "help": "header whose value is in a variable"},
    ),
    (
        ("--header-file",),
        {"metavar": "FILE", "action": "append", "help": "file of headers, one 'K: V' a line"},
    ),
    (("--grant",), {"metavar": "NAME", "default": "local", "help": "name of the one grant (default: local)"}),
    (("--server",), {"metavar": "NAME", "default": "", "help": "name of the server in records and counters"}),
    (("--state-dir",), {"metavar": "DIR", "help": "where records, counters and keys are kept"}),
    (
        ("--token-file",),
        {"metavar": "FILE", "type": Path, "help": "file with the token that clients must send"},
    ),
    (
        ("--allowed-host",),
        {"metavar": "HOST", "action": "append", "help": "another Host that clients may use"},
    ),
    (
        ("--pins",),
        {"choices": ("session", "locked"), "default": "session", "help": "what a changed tool means"},
    ),
    (
        ("--durability",),
        {"choices": ("process", "power"), "default": "process", "help": "what a record survives"},
    ),
    (("--log-level",), {"choices": ("debug", "info", "warning", "error"), "default": "warning"}),
    (
        ("--unsafe-no-token",),
        {"action": "store_true", "help": "take HTTP clients without a token (loopback only)"},
    ),
    (
        ("--unsafe-monitor",),
        {"action": "store_true", "help": "accept `mode: monitor`, which enforces nothing"},
    ),
)


def parser() -> argparse.ArgumentParser:
    """The options of `ostiary proxy`."""
    made = argparse.ArgumentParser(
        prog="ostiary proxy",
        usage="ostiary proxy [-p POLICY] [--listen HOST:PORT] [options] (--upstream URL | -- CMD ARG…)",
        description="Put one policy in front of one MCP server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for names, settings in _OPTIONS:
        made.add_argument(*names, **settings)
    return made


def read_options(arguments: Sequence[str]) -> ProxyOptions:
    """Turn the command line into options. Raises CallerFault for what cannot be meant."""
    own, command = list(arguments), []
    if "--" in own:
        at = own.index("--")
        own, command = own[:at], own[at + 1 :]
    given = parser().parse_args(own)
    if given.upstream and command:
        raise CallerFault(
            "both --upstream and a command were given", hint="a proxy stands in front of one server"
        )
    if not given.upstream and not command:
        raise CallerFault("nothing to stand in front of", hint="give --upstream URL, or -- and a command")
    return ProxyOptions(
        policy=given.policy,
        upstream=given.upstream,
        command=tuple(command),
        listen=parse_listen(given.listen) if given.listen else None,
        state_dir=given.state_dir,
        grant=given.grant,
        server=given.server,
        headers=gather_headers(
            given.header or (), given.header_env or (), given.header_file or (), os.environ
        ),
        token_file=given.token_file,
        unsafe_no_token=given.unsafe_no_token,
        unsafe_monitor=given.unsafe_monitor,
        allowed_hosts=tuple(given.allowed_host or ()),
        pins=given.pins,
        durability=given.durability,
        log_level=given.log_level,
    )


def main(arguments: Sequence[str]) -> int:
    """Run the proxy; 2 when it could not run, with the reason on standard error."""
    try:
        options = read_options(arguments)
        from ostiary.wiring import run_proxy

        return run_proxy(options, os.environ)
    except OstiaryError as error:
        report(error)
        return 2
    except KeyboardInterrupt:
        return 130


def report(error: OstiaryError) -> None:
    """Print an error for a person: what happened, then what to do about it."""
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
