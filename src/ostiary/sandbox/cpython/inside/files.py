"""Files in, artifacts out, and what the code reads as its standard input."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

OUT: Final = "out"
"""The folder below the working folder whose files become artifacts."""

_MAX_DEPTH = 8
_MAX_NAME = 255
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Left(NamedTuple):
    """Files of the output folder: names and contents, and how many more there were."""

    files: list[tuple[str, bytes]]
    out: int


def place(work: str, listed: list[dict[str, Any]], body: memoryview) -> int:
    """Write the files of a job below `work`; their contents stand at the front of `body`.

    Returns how much of it they took. The host has checked the names.
    """
    at = 0
    for one in listed:
        path = Path(work, one["name"])
        path.parent.mkdir(parents=True, exist_ok=True)
        end = at + one["size"]
        path.write_bytes(body[at:end])
        at = end
    return at


def standard_input(content: memoryview) -> None:
    """Make `content` what descriptor 0 gives, for this process and those it starts."""
    if content:
        source, path = tempfile.mkstemp()
        Path(path).unlink()
        with open(source, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(source, 0, os.SEEK_SET)
    else:
        source = os.open(os.devnull, os.O_RDONLY)
    if source:
        os.dup2(source, 0, inheritable=True)
        os.close(source)


class Outbox:
    """The output folder. A file is taken once, and again only after it has changed."""

    def __init__(self, work: str) -> None:
        self._folder = Path(work, OUT)
        self._taken: dict[str, tuple[int, int, int]] = {}
        self._folder.mkdir(exist_ok=True)

    def take(self, most: int, room: int) -> Left:
        """What is new: at most `most` files and `room` bytes, regular files only, no link followed."""
        taken: list[tuple[str, bytes]] = []
        left_out = 0
        with contextlib.suppress(OSError):
            for name, size, content in self._new():
                if not _can_be_told(name) or len(taken) >= most or size > room:
                    left_out += 1
                    continue
                data = _read(content, room)
                room -= len(data)
                taken.append((name, data))
        return Left(taken, left_out)

    def _new(self) -> Iterator[tuple[str, int, int]]:
        """Name, size and an open descriptor of each new file; the descriptor is closed afterwards."""
        for folder, folders, names, descriptor in os.fwalk(self._folder):
            below = Path(folder).relative_to(self._folder)
            folders.sort()
            if len(below.parts) >= _MAX_DEPTH:
                folders.clear()
            for name in sorted(names):
                try:
                    content = os.open(name, _READ, dir_fd=descriptor)
                except OSError:
                    continue
                try:
                    found = os.fstat(content)
                    path = str(below / name)
                    mark = (found.st_ino, found.st_size, found.st_mtime_ns)
                    if stat.S_ISREG(found.st_mode) and self._taken.get(path) != mark:
                        self._taken[path] = mark
                        yield path, found.st_size, content
                finally:
                    os.close(content)


def _can_be_told(name: str) -> bool:
    """Whether the host takes a file of this name: it refuses the whole answer otherwise."""
    return len(name) <= _MAX_NAME and name.isprintable() and "\\" not in name


def _read(descriptor: int, most: int) -> bytes:
    parts: list[bytes] = []
    while most > 0 and (part := os.read(descriptor, min(most, 1 << 20))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)
