"""Reads one file of a client: never a pipe or a device, never more than a bound."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import CallerFault
from ostiary.registry.change import printable

MAX_BYTES: Final = 8 * 1024 * 1024
"""Claude Code keeps the history of its projects in the file that names its servers."""


class Fetched(msgspec.Struct, frozen=True):
    """The bytes of a file. `foreign` says whose it is beside ours, where that lets them choose servers."""

    raw: bytes
    foreign: str = ""


def fetch(path: Path) -> Fetched | None:
    """The file at `path`; None where there is none. Symbolic links are followed.

    Raises CallerFault for what cannot be read, is no regular file or is over `MAX_BYTES`.
    """
    shown = printable(str(path))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise CallerFault(f"`{shown}` is not a regular file")
            with os.fdopen(os.dup(descriptor), "rb") as file:
                raw = file.read(MAX_BYTES + 1)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CallerFault(f"cannot read `{shown}`: {(error.strerror or 'failed').lower()}") from error
    if len(raw) > MAX_BYTES:
        raise CallerFault(f"`{shown}` is larger than {MAX_BYTES:,} bytes")
    return Fetched(raw, _foreign(status))


def _foreign(status: os.stat_result) -> str:
    """Who else decides what is in the file. Root decides everything anyway."""
    if status.st_uid not in {0, os.geteuid()}:
        return "belongs to another user"
    if status.st_mode & stat.S_IWOTH:
        return "can be written by every user"
    return ""
