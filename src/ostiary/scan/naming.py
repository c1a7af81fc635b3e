"""What to call a server of which only a command or an address is known. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

_RUNNERS: Final = frozenset(
    {"bun", "bunx", "deno", "env", "exec", "node", "npx", "pipx", "pnpm", "run", "tool", "uv", "uvx", "yarn"}
)
_PYTHON: Final = re.compile(r"python[0-9.]*$")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
"""What `env` is given: never a name, and often a secret."""
_VERSION: Final = re.compile(r"(?<=.)(@|==)[^/@]*$")
_ENDINGS: Final = (".py", ".js", ".mjs", ".cjs", ".ts", ".sh")
UNKNOWN: Final = "server"


def name_of_command(command: Sequence[str]) -> str:
    """The program, or what a runner such as `npx` or `python -m` is to run: without folder and version."""
    for word in command:
        program = PurePosixPath(word).name
        if word.startswith("-") or _VARIABLE.match(word) or program in _RUNNERS or _PYTHON.match(program):
            continue
        plain = word if word.startswith("@") else program
        plain = _VERSION.sub("", plain)
        for ending in _ENDINGS:
            plain = plain.removesuffix(ending)
        return plain or UNKNOWN
    return PurePosixPath(command[0]).name or UNKNOWN if command else UNKNOWN


def name_of_url(url: str) -> str:
    """The host, as the rest of an address may be secret."""
    try:
        return urlsplit(url).hostname or UNKNOWN
    except ValueError:
        return UNKNOWN
