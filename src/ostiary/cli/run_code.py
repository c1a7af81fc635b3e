"""The options of `ostiary run code`, and what they come to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from ostiary.builtin import CodeOptions
from ostiary.cli.proxy import Option
from ostiary.cli.server_command import ServerCommand
from ostiary.errors import CallerFault
from ostiary.limits import help_lines

_EPILOG: Final = f"""\
limits with their defaults, for --limit NAME=VALUE (which may be repeated):
{help_lines()}

examples:
  code that calls the tools of the servers in a file, for a client on stdio
    ostiary run code --servers servers.json
  under a policy of your own, which has rules below the name of each server
    ostiary run code --servers servers.json -p policy.yaml

  with secrets that code can use and cannot read
    ostiary run code --servers servers.json --secrets secrets.toml

The file of servers is of the form that clients use:
  {{"mcpServers": {{"Time": {{"command": "uvx", "args": ["mcp-server-time"]}}}}}}
One secret of the other, in TOML:
  [secrets.TICKETS_TOKEN]
  env = "TICKETS_TOKEN"
  hosts = ["api.example.org"]
  grants = ["local"]
A server that the policy does not name may be asked to do what it says only
reads, and nothing else.
Exit status: 0 when it was stopped, 2 when it could not run.
"""

_OPTIONS: Final[tuple[Option, ...]] = (
    (
        ("--servers",),
        {"metavar": "FILE", "type": Path, "help": "which servers code may call, as MCP clients write it"},
    ),
    (
        ("--isolation",),
        {
            "choices": ("strict", "best-effort"),
            "metavar": "LEVEL",
            "help": "strict (default) refuses to start without its walls; best-effort says in every reply "
            "which are missing",
        },
    ),
    (
        ("--cache-dir",),
        {"metavar": "DIR", "help": "where the sandbox's files and packages are kept"},
    ),
    (
        ("--secrets",),
        {"metavar": "FILE", "type": Path, "help": "secrets that code may use, and where they may go"},
    ),
    (
        ("--allow-host",),
        {
            "metavar": "HOST",
            "action": "append",
            "help": "a host that code in CPython may reach over https, as `host`, `host:port` or "
            "`*.suffix`; may be repeated; without, code has no network",
        },
    ),
    (
        ("--hosts-ca",),
        {
            "metavar": "FILE",
            "type": Path,
            "help": "authorities (PEM) to trust for those hosts beside the system's",
        },
    ),
    (
        ("--unsafe-private-host",),
        {
            "metavar": "HOST",
            "action": "append",
            "help": "this host, listed as it is there, may have an address of a private network or of "
            "this machine; may be repeated",
        },
    ),
    (
        ("--unsafe-no-isolation",),
        {"action": "store_true", "help": "run code without any walls: it can do whatever you can"},
    ),
    (
        ("--unsafe-private-servers",),
        {
            "action": "store_true",
            "help": "let agents ask for servers inside your own network, too",
        },
    ),
)


def _read(given: argparse.Namespace) -> CodeOptions:
    if given.servers is None:
        raise CallerFault(
            "--servers is missing", hint='a file such as {"mcpServers": {"Time": {"command": "uvx"}}}'
        )
    if given.unsafe_no_isolation and given.isolation:
        raise CallerFault(
            "--isolation and --unsafe-no-isolation contradict each other", hint="leave one of them out"
        )
    return CodeOptions(
        servers=given.servers,
        isolation="none" if given.unsafe_no_isolation else given.isolation or "strict",
        cache_dir=given.cache_dir,
        secrets=given.secrets,
        allow_hosts=tuple(given.allow_host or ()),
        hosts_ca=given.hosts_ca,
        unsafe_private_hosts=tuple(given.unsafe_private_host or ()),
        unsafe_private_servers=given.unsafe_private_servers,
    )


CODE: Final = ServerCommand(
    name="code",
    description="Run code that calls tools of other servers, through gates.",
    epilog=_EPILOG,
    options=_OPTIONS,
    read=_read,
)
