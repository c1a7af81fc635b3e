"""What is told of containers and of what was done in them. Pure."""

from __future__ import annotations

import msgspec


class Found(msgspec.Struct, frozen=True):
    """A container that its finder may use. `id` is the full one; `ours` says that we created it."""

    id: str
    name: str
    image: str
    running: bool
    ours: bool


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an installation: by which manager, its exit code (0: installed) and its words."""

    manager: str
    packages: tuple[str, ...]
    exit_code: int
    stdout: str = ""
    stderr: str = ""


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """What a container has written, each stream up to a bound; `truncated` says that there was more."""

    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False
