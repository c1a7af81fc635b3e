"""`ostiary proxy`: options, and the one call that runs the gate."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from ostiary.builtin import BUILTIN, Builtin, parse_builtin
from ostiary.cli.printable import printable_lines
from ostiary.errors import CallerFault, OstiaryError
from ostiary.limits import help_lines, parse_limits
from ostiary.settings import (
    USUAL_RATE,
    ProxyOptions,
    checked_name,
    checked_rate,
    gather_headers,
    key_pair,
    parse_listen,
    parse_networks,
    parse_public_url,
)

EPILOG = f"""\
limits with their defaults, for --limit NAME=VALUE (which may be repeated):
{help_lines()}

examples:
  a client on stdio, in front of a server that is a command
    ostiary proxy -p policy.json -- uvx mcp-server-time
  a client on stdio, in front of a server that is reached over HTTP
    ostiary proxy -p policy.json --upstream https://tools.example.org/mcp
  clients over HTTP, in front of either
    ostiary proxy -p policy.json --listen 127.0.0.1:8787 -- uvx mcp-server-time

Without -p every call is denied.
Exit status: on stdio that of the server, else 0; 2 when it could not run.
"""


Option = tuple[tuple[str, ...], dict[str, Any]]

_OPTIONS: tuple[Option, ...] = (
    (
        ("-p", "--policy"),
        {"metavar": "FILE", "type": Path, "help": "the policy, JSON or YAML; reloaded when it changes"},
    ),
    (
        ("--upstream",),
        {"metavar": "URL", "help": "the MCP server's HTTP endpoint, or builtin:NAME (python, docker)"},
    ),
    (
        ("--upstream-transport",),
        {
            "choices": ("auto", "http", "sse"),
            "metavar": "NAME",
            "help": "http (streamable), sse (2024-11-05) or auto (default): sse where http is refused",
        },
    ),
    (
        ("--listen",),
        {"metavar": "HOST:PORT", "help": "serve MCP over HTTP at /mcp instead of standard streams"},
    ),
    (
        ("--header",),
        {"metavar": "'K: V'", "action": "append", "help": "send this header to the server; nothing secret"},
    ),
    (
        ("--header-env",),
        {
            "metavar": "'K: VAR'",
            "action": "append",
            "help": "the same, with its value in a variable; 'K: Bearer VAR' puts a word before",
        },
    ),
    (
        ("--header-file",),
        {"metavar": "FILE", "action": "append", "help": "the same, for a file with one 'K: V' a line"},
    ),
    (("--grant",), {"metavar": "NAME", "default": "local", "help": "name of the one grant (default: local)"}),
    (("--server",), {"metavar": "NAME", "default": "", "help": "what records and counters call the server"}),
    (("--state-dir",), {"metavar": "DIR", "help": "where records, counters and keys are kept"}),
    (
        ("--token-file",),
        {"metavar": "FILE", "type": Path, "help": "the token that clients must send; by default one is made"},
    ),
    (
        ("--allowed-host",),
        {"metavar": "HOST", "action": "append", "help": "another host name that clients may use"},
    ),
    (
        ("--public-url",),
        {"metavar": "URL", "help": "what clients call this gate behind a balancer: allowed Host and Origin"},
    ),
    (
        ("--trusted-proxy",),
        {
            "metavar": "CIDR",
            "action": "append",
            "help": "a balancer whose X-Forwarded-For is believed; from everybody else it is ignored",
        },
    ),
    (
        ("--tls-cert",),
        {
            "metavar": "FILE",
            "type": Path,
            "help": "serve TLS with this chain (PEM); reloaded when it changes",
        },
    ),
    (
        ("--tls-key",),
        {"metavar": "FILE", "type": Path, "help": "its private key (PEM), readable by the owner only"},
    ),
    (
        ("--upstream-ca",),
        {"metavar": "FILE", "type": Path, "help": "authorities (PEM) to trust instead of the system's"},
    ),
    (
        ("--upstream-cert",),
        {"metavar": "FILE", "type": Path, "help": "certificate chain (PEM) to show to the server"},
    ),
    (
        ("--upstream-key",),
        {"metavar": "FILE", "type": Path, "help": "its private key (PEM), readable by the owner only"},
    ),
    (
        ("--limit",),
        {"metavar": "NAME=VALUE", "action": "append", "help": "a size, number or time-out of those below"},
    ),
    (
        ("--pins",),
        {
            "choices": ("session", "locked"),
            "default": "session",
            "metavar": "MODE",
            "help": "session (default): a tool must be listed; locked: and be as it was pinned",
        },
    ),
    (
        ("--durability",),
        {
            "choices": ("process", "power"),
            "default": "process",
            "metavar": "LEVEL",
            "help": "what a record survives: kill -9 (process, default) or a power cut (power)",
        },
    ),
    (
        ("--max-requests",),
        {
            "metavar": "N",
            "type": int,
            "default": USUAL_RATE,
            "help": "requests a minute of one grant before the rest is turned away (default 600)",
        },
    ),
    (
        ("--approval-webhook",),
        {"metavar": "URL", "help": "POST what becomes of requests for approval here; signed, no arguments"},
    ),
    (
        ("--approval-webhook-secret-file",),
        {"metavar": "FILE", "type": Path, "help": "the secret that signs them, readable by the owner only"},
    ),
    (
        ("--log-level",),
        {
            "choices": ("debug", "info", "warning", "error"),
            "default": "warning",
            "metavar": "LEVEL",
            "help": "debug, info, warning (default) or error, on standard error",
        },
    ),
    (
        ("--unsafe-no-token",),
        {"action": "store_true", "help": "take HTTP clients without a token (loopback only)"},
    ),
    (
        ("--unsafe-monitor",),
        {"action": "store_true", "help": "accept `mode: monitor`, which enforces nothing"},
    ),
    (
        ("--unsafe-skip-tests",),
        {"action": "store_true", "help": "put a policy in force without running the tests beside it"},
    ),
)


class Parser(argparse.ArgumentParser):
    """Complains about options in the words and with the exit status of every other command."""

    def error(self, message: str) -> NoReturn:
        """Raise CallerFault: with the near match of an unknown option, else with what argparse says."""
        words = message.removeprefix("unrecognized arguments: ").split()
        if message.startswith("unrecognized") and not words[0].startswith("-"):
            raise CallerFault(
                f"unexpected argument `{words[0]}`", hint="the server's command stands after `--`"
            )
        if not message.startswith("unrecognized"):
            text = re.sub(r"'([^']*)'", r"`\1`", message)
            raise CallerFault(
                re.sub(r"^argument (\S+?)(?:/\S+)?: ", r"\1: ", text), hint=f"see `{self.prog} --help`"
            )
        near = get_close_matches(words[0], list(self._option_string_actions), n=1)
        raise CallerFault(
            f"unknown option `{words[0]}`",
            hint=f"did you mean `{near[0]}`" if near else f"see `{self.prog} --help`",
        )


def option_table() -> tuple[Option, ...]:
    """Every option of `ostiary proxy`: its names and what argparse is told of it."""
    return _OPTIONS


def parser() -> argparse.ArgumentParser:
    """The options of `ostiary proxy`."""
    made = Parser(
        prog="ostiary proxy",
        usage="ostiary proxy [-p FILE] [--listen HOST:PORT] [options]\n"
        "                     (--upstream URL | -- COMMAND [ARGUMENT…])",
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
    given, command = _parse(list(arguments))
    if given.upstream and given.upstream.startswith(BUILTIN) and not command:
        builtin, given.upstream = parse_builtin(given.upstream), None
        return gather(given, command, builtin)
    if given.upstream and command:
        raise CallerFault(
            "both --upstream and a command were given", hint="a proxy stands in front of one server"
        )
    if not given.upstream and not command:
        raise CallerFault("nothing to stand in front of", hint="give --upstream URL, or -- and a command")
    return gather(given, command)


def gather(given: argparse.Namespace, command: Sequence[str], builtin: Builtin | None = None) -> ProxyOptions:
    """The options of a gate from what `option_table` has read. Raises CallerFault."""
    _check_network(given)
    if bool(given.approval_webhook) != bool(given.approval_webhook_secret_file):
        raise CallerFault(
            "--approval-webhook and --approval-webhook-secret-file go together",
            hint="make a secret: head -c 32 /dev/urandom | base64 > FILE; chmod 600 FILE",
        )
    return ProxyOptions(
        policy=given.policy,
        upstream=given.upstream,
        upstream_transport=given.upstream_transport or "auto",
        command=tuple(command),
        listen=parse_listen(given.listen) if given.listen else None,
        state_dir=given.state_dir,
        grant=checked_name("--grant", given.grant),
        server=checked_name("--server", given.server) if given.server else "",
        headers=gather_headers(
            given.header or (), given.header_env or (), given.header_file or (), os.environ
        ),
        token_file=given.token_file,
        unsafe_no_token=given.unsafe_no_token,
        unsafe_monitor=given.unsafe_monitor,
        unsafe_skip_tests=given.unsafe_skip_tests,
        allowed_hosts=tuple(given.allowed_host or ()),
        pins=given.pins,
        durability=given.durability,
        log_level=given.log_level,
        max_requests=checked_rate(given.max_requests),
        bounds=parse_limits(given.limit or ()),
        tls=key_pair("tls", given.tls_cert, given.tls_key),
        upstream_ca=given.upstream_ca,
        upstream_pair=key_pair("upstream", given.upstream_cert, given.upstream_key),
        trusted_proxies=parse_networks(given.trusted_proxy or ()),
        public_url=parse_public_url(given.public_url) if given.public_url else None,
        webhook=given.approval_webhook,
        webhook_secret_file=given.approval_webhook_secret_file,
        builtin=builtin,
    )


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our options, and the server's command: what follows `--`.

    Without a `--` it is what follows the options, since some launchers take the `--` for their own:
    the Inspector passes `ostiary proxy -p FILE -- COMMAND` on without it.
    """
    if "--" in arguments:
        at = arguments.index("--")
        return parser().parse_args(arguments[:at]), arguments[at + 1 :]
    made = parser()
    made.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = made.parse_args(arguments)
    return given, given.command


def _check_network(given: argparse.Namespace) -> None:
    """Refuse options that would have no effect: whoever gives them relies on it."""
    options = vars(given)
    if not given.listen:
        for name in ("tls_cert", "tls_key", "public_url", "trusted_proxy"):
            if options[name]:
                option = f"--{name.replace('_', '-')}"
                raise CallerFault(f"{option} is for a listener", hint="give --listen HOST:PORT, too")
    if given.upstream_transport and not given.upstream:
        raise CallerFault("--upstream-transport is for a server that is reached by --upstream URL")
    if not (given.upstream or "").lower().startswith("https:"):
        for name in ("upstream_ca", "upstream_cert", "upstream_key"):
            if options[name]:
                option = f"--{name.replace('_', '-')}"
                raise CallerFault(f"{option} is for a server that is reached over https://")


def main(arguments: Sequence[str]) -> int:
    """Run the proxy; 2 when it could not run, with the reason on standard error."""
    return run_gate(read_options, arguments)


def run_gate(read: Callable[[Sequence[str]], ProxyOptions], arguments: Sequence[str]) -> int:
    """Read the options of a gate and run it; the exit status, as `main` has it."""
    try:
        options = read(arguments)
        from ostiary.wiring.proxy import run_proxy

        return run_proxy(options, os.environ)
    except OstiaryError as error:
        report(error)
        return 2
    except KeyboardInterrupt:
        return 130


def report(error: OstiaryError) -> None:
    """Print an error for a person: what happened, then what to do about it."""
    print(f"error: {printable_lines(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"\nhint: {printable_lines(error.hint)}", file=sys.stderr)
