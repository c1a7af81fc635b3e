"""The one folder of the machine that arguments may name files of.

Nothing of it reaches a container but the variables of an `envFile`, which is read here.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Final

from ostiary.errors import CallerFault
from ostiary.servers.docker.arguments import variable

MAX_ENV_FILE: Final = 65_536
"""Bytes of an `envFile`."""

MAX_VARIABLES: Final = 1_000


class WorkFolder:
    """`folder` None: no argument may name a file at all."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else folder.resolve()

    def inside(self, name: str, text: str) -> Path:
        """Where `text` leads, symlinks followed. Raises CallerFault for a place outside the folder."""
        if self._folder is None:
            raise CallerFault(
                f"`{name}` is not offered here", hint="start the server with --work-folder DIR to allow it"
            )
        if "\0" in text:
            raise CallerFault(f"`{name}` holds a NUL character")
        try:
            found = (self._folder / text).resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links, no text
            raise CallerFault(f"`{name}` leads nowhere: `{text[:200]}`") from None
        if not found.is_relative_to(self._folder):
            raise CallerFault(f"`{name}` is outside the work folder: `{text[:200]}`")
        return found

    def variables(self, text: str) -> tuple[str, ...]:
        """What an `envFile` holds: `NAME=VALUE` a line, `#` for remarks, nothing of our own.

        Raises CallerFault for a file that is not one of the folder's, too large, not text, or has another
        line.
        """
        found = self.inside("envFile", text)
        content = _read(self._folder or found.parent, found)
        lines = [line.strip() for line in content.removeprefix("\ufeff").splitlines()]
        found = [line for line in lines if line and not line.startswith("#")]
        if len(found) > MAX_VARIABLES:
            raise CallerFault(f"`envFile` has more than {MAX_VARIABLES} variables")
        return tuple(variable("envFile", line) for line in found)


def _read(folder: Path, path: Path) -> str:
    """The content of a regular file below a folder. Raises CallerFault."""
    try:
        handle = _opened(folder, path.relative_to(folder).parts)
        try:
            regular = stat.S_ISREG(os.fstat(handle).st_mode)
            with os.fdopen(os.dup(handle), "rb") if regular else io.BytesIO() as file:
                content = file.read(MAX_ENV_FILE + 1)
        finally:
            os.close(handle)
    except OSError as error:
        raise CallerFault(f"`envFile` cannot be read: {error.strerror}") from None
    if not regular:
        raise CallerFault("`envFile` is not a file")
    if len(content) > MAX_ENV_FILE:
        raise CallerFault(f"`envFile` is over {MAX_ENV_FILE} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise CallerFault("`envFile` is not UTF-8 text") from None


def _opened(folder: Path, parts: tuple[str, ...]) -> int:
    """A descriptor of what is there, reached through no link: one may be new. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for place, part in enumerate(parts, 1):
        kind = os.O_NONBLOCK if place == len(parts) else os.O_DIRECTORY
        above = handle
        try:
            handle = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=above)
        finally:
            os.close(above)
    return handle
