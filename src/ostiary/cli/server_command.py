"""What `ostiary run` has to know of one server that comes with Ostiary."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from ostiary.builtin import Builtin
from ostiary.cli.proxy import Option


class ServerCommand(NamedTuple):
    """`options` are its own, beside those of every gate; `read` makes settings of them.

    `read` raises CallerFault for what cannot be meant.
    """

    name: str
    description: str
    epilog: str
    options: tuple[Option, ...]
    read: Callable[[argparse.Namespace], Builtin]

    @property
    def policy(self) -> Path:
        """The policy that comes with the server."""
        return Path(str(files(f"ostiary.servers.{self.name}") / "policy.yaml"))
