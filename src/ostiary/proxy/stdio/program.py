"""Finds the program that a command names, or says plainly why it cannot be run."""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ostiary.errors import GatewayFault

MAX_NAMES = 20_000
"""Programs looked at, at most, to find a near match."""


class Command(msgspec.Struct, frozen=True):
    """How to start an MCP server: the words of its command, its directory and environment.

    `env` None means ours, unchanged.
    """

    argv: tuple[str, ...]
    cwd: str | None = None
    env: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        """The first word, by which messages to the operator call the server."""
        return self.argv[0] if self.argv else ""

    @property
    def label(self) -> str:
        """The program's name without its folder: where it lies is no client's business."""
        return self.name.rpartition("/")[2]


def find_program(command: Command) -> str:
    """The path of the program of `command`.

    Raises GatewayFault naming the command: an empty one, one that does not exist (with the
    nearest names that do), one that may not be executed, or a missing working directory.
    """
    name = command.name
    if not name or "\0" in "".join(command.argv):
        raise GatewayFault("the command of the MCP server is empty or holds a NUL character")
    if command.cwd is not None and not Path(command.cwd).is_dir():
        raise GatewayFault(f"cannot start `{name}`: the directory `{command.cwd}` does not exist")
    environment = os.environ if command.env is None else command.env
    path = environment.get("PATH", os.defpath)
    if os.sep in name:
        return _plain_file(name, command.cwd)
    found = shutil.which(name, path=path)
    if found is None:
        raise GatewayFault(f"cannot start `{name}`: no such command on PATH", hint=_nearest(name, path))
    return found


def why_not(command: Command, error: OSError) -> GatewayFault:
    """The fault for an operating system error at the start of an existing program."""
    reason = error.strerror or type(error).__name__
    hint = None
    if isinstance(error, FileNotFoundError):
        reason, hint = "its interpreter does not exist", "look at the `#!` line of the file"
    elif not isinstance(error, PermissionError) and "format" in reason.lower():
        hint = "a script needs a first line such as `#!/usr/bin/env python3`"
    return GatewayFault(f"cannot start `{command.name}`: {reason.lower()}", hint=hint)


def _plain_file(name: str, cwd: str | None) -> str:
    file = Path(cwd or ".").absolute() / name
    if file.is_dir():
        raise GatewayFault(f"cannot start `{name}`: it is a directory")
    if not file.exists():
        hint = _suggest(file.name, _names_in(file.parent))
        raise GatewayFault(f"cannot start `{name}`: no such file", hint=hint)
    if not os.access(file, os.X_OK):
        raise GatewayFault(f"cannot start `{name}`: permission denied", hint=f"try `chmod +x {name}`")
    return str(file)


def _nearest(name: str, path: str) -> str | None:
    names: list[str] = []
    for folder in path.split(os.pathsep):
        names.extend(_names_in(Path(folder)))
        if len(names) > MAX_NAMES:
            break
    if any(character.isspace() for character in name):
        return "give the command and its arguments as separate words"
    return _suggest(name, names[:MAX_NAMES])


def _names_in(folder: Path) -> Sequence[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return ()


def _suggest(name: str, names: Sequence[str]) -> str | None:
    near = difflib.get_close_matches(name, set(names), n=3, cutoff=0.7)
    return "did you mean " + ", ".join(f"`{match}`" for match in sorted(near)) + "?" if near else None
