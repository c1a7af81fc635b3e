"""`ostiary proxy`: options, and the one call that runs the gate."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

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
    add = made.add_argument
    add("-p", "--policy", metavar="FILE", type=Path, help="policy to enforce (JSON or YAML); reloaded when it changes")
    add("--upstream", metavar="URL", help="the MCP server's streamable HTTP endpoint")
    add("--listen", metavar="HOST:PORT", help="serve MCP over HTTP at /mcp instead of standard input and output")
    add("--header", metavar="'K: V'", action="append", default=[], help="header to send upstream; not for secrets")
    add("--header-env", metavar="'K: VAR'", action="append", default=[], help="header whose value is in a variable")
    add("--header-file", metavar="FILE", action="append", default=[], help="file of headers, one 'K: V' a line")
    add("--grant", metavar="NAME", default="local", help="name of the one grant (default: local)")
    add("--server", metavar="NAME", default="", help="name of the server in records and counters")
    add("--state-dir", metavar="DIR", help="where records, counters and keys are kept")
    add("--token-file", metavar="FILE", type=Path, help="file with the bearer token that clients must send")
    add("--allowed-host", metavar="HOST", action="append", default=[], help="another Host that clients may use")
    add("--pins", choices=("session", "locked"), default="session", help="what a changed tool definition means")
    add("--durability", choices=("process", "power"), default="process", help="what a record survives before a call")
    add("--log-level", choices=("debug", "info", "warning", "error"), default="warning")
    add("--unsafe-no-token", action="store_true", help="take HTTP clients without a token (loopback only; recorded)")
    add("--unsafe-monitor", action="store_true", help="allow a policy with `mode: monitor`, which enforces nothing")
    return made


def read_options(arguments: Sequence[str]) -> ProxyOptions:
    """Turn the command line into options. Raises CallerFault for what cannot be meant."""
    own, command = list(arguments), []
    if "--" in own:
        at = own.index("--")
        own, command = own[:at], own[at + 1 :]
    given = parser().parse_args(own)
    if given.upstream and command:
        raise CallerFault("both --upstream and a command were given", hint="a proxy stands in front of one server")
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
        headers=gather_headers(given.header, given.header_env, given.header_file, os.environ),
        token_file=given.token_file,
        unsafe_no_token=given.unsafe_no_token,
        unsafe_monitor=given.unsafe_monitor,
        allowed_hosts=tuple(given.allowed_host),
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
