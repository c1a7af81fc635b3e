"""What a scan is pointed at, and what came of it: the vocabulary between configs, scans and reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from ostiary.scan.introspect import Introspection

Transport = Literal["stdio", "auto", "http", "sse"]
Network = Literal["none", "hosts", "all", "remote"]
"""What a server could reach while it was asked: nothing, named hosts, everything, or it ran elsewhere."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One server that a person or a client's configuration names.

    `name` is what they call it. `source` is the configuration file, empty for the command line, and
    `client` whose it is, as `claude-code`. `command` is set for `stdio`, `url` for the others.
    `environment` and `headers` hold what the configuration gives the server: secrets, which no
    report, log or error shows. `cwd` is where the command starts, empty for a folder of its own.
    """

    name: str
    source: str = ""
    client: str = ""
    transport: Transport = "stdio"
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    cwd: str = ""
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        """Without what may be secret."""
        return f"Target(name={self.name!r}, source={self.source!r}, transport={self.transport!r})"


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking one server: `found`, or else the `fault`, with a `hint` where there is one.

    `isolated` tells whether walls stood around it while it ran here; `network` what it could reach.
    `seconds` is how long it took. Text that a server wrote is printable in `fault` and `hint`.
    """

    target: Target
    found: Introspection | None = None
    fault: str = ""
    hint: str = ""
    isolated: bool = False
    network: Network = "none"
    seconds: float = 0.0
