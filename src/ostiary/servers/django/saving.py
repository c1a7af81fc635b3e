"""A file into the project's folder, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from ostiary.errors import CallerFault

MAX_NAME: Final = 255
"""Bytes of each part of a name."""

_NO_NAMES: Final = frozenset({"", ".", "..", ".py", ".ipynb"})
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def checked(filename: str, suffix: str = ".py") -> str:
    """A relative name that stays below where it begins; `suffix` is put where it has none of ours.

    Raises CallerFault for one that is absolute, leads upwards, or is no name.
    """
    if filename.startswith(("/", "~")) or (filename[1:2] == ":" and filename[:1].isalpha()):
        raise CallerFault(
            "Absolute paths not allowed for security reasons", hint="a path relative to the project's folder"
        )
    name = filename if filename.endswith((".py", ".ipynb")) else filename + suffix
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or any(part in _NO_NAMES for part in parts):
        raise CallerFault(
            f"`{filename[:80]}` is not a name for a file in the project",
            hint="a relative path such as notes/session.py: no empty part, no `.` or `..`, no backslash",
        )
    if any(len(part.encode()) > MAX_NAME for part in parts):
        raise CallerFault(f"the name `{filename[:40]}…` is too long", hint=f"at most {MAX_NAME} bytes")
    return name


def save(folder: Path, name: str, content: bytes, sealed: Sequence[Path] = ()) -> None:
    """Write a new file at `name`, which `checked` has returned, below `folder`.

    No link is followed on the way, whoever puts one there and whenever. `sealed` are folders that code
    cannot write to, and nor does this: what is in an environment is imported outside of the walls, too.
    Raises CallerFault when the file is there already, when a folder on the way is not or is sealed, or
    when it cannot be written.
    """
    *parents, last = name.split("/")
    with ExitStack() as opened:
        try:
            here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, here)
            closed = [one.lstat() for one in sealed]
            for part in parents:
                here = os.open(part, _FOLDER, dir_fd=here)
                opened.callback(os.close, here)
                if any(os.path.samestat(os.fstat(here), one) for one in closed):
                    raise CallerFault(
                        f"`{name}` would lie in a folder that is read-only here", hint="choose another folder"
                    )
            file = os.open(last, _NEW, 0o644, dir_fd=here)
            if os.geteuid() == 0:  # it is the project's, and not root's
                owner = os.fstat(here)
                os.fchown(file, owner.st_uid, owner.st_gid)
        except FileExistsError:
            raise CallerFault(
                f"`{name}` is there already, and nothing is overwritten", hint="choose another name"
            ) from None
        except OSError as error:
            raise CallerFault(
                f"`{name}` cannot be written: {error.strerror}",
                hint="its folders have to be there, in the project itself, and none may be a link",
            ) from None
        with open(file, "wb") as stream:  # noqa: PTH123 - a descriptor, not a path
            stream.write(content)
