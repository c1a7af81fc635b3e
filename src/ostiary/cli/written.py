"""Reads and replaces the files that a command writes anew."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from ostiary.errors import CallerFault
from ostiary.policy.source import MAX_BYTES

STANDARD = "-"
"""Names standard input, and standard output."""


def read_source(name: str) -> bytes:
    """The bytes of a file or of standard input, at most one more than a policy may have.

    Raises CallerFault for what cannot be read, and for what is no regular file: it could not be
    replaced, and a pipe would be waited for.
    """
    if name == STANDARD:
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CallerFault(f"`{name}` is not a regular file")
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CallerFault(f"cannot read `{name}`: {(error.strerror or 'failed').lower()}") from error


def check_free(path: Path, *, force: bool) -> None:
    """Raise CallerFault where `path` could not be written, before long work is done for it."""
    if not path.parent.is_dir():
        raise CallerFault(f"cannot write `{path}`: there is no folder `{path.parent}`")
    if path.exists() and not force:
        raise CallerFault(f"`{path}` is there already", hint="-f writes over it")


def write_file(path: Path, content: bytes, *, force: bool) -> None:
    """Write a file whole; one that is there is only written over with `force`. Raises CallerFault."""
    if force:
        replace_file(path, content)
        return
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise CallerFault(f"`{path}` is there already", hint="-f writes over it") from None
    except OSError as error:
        raise CallerFault(f"cannot write `{path}`: {(error.strerror or 'failed').lower()}") from error


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` in place of a file at once, or make it; whoever reads sees one or the other whole.

    A symlink stays and what it points to is replaced. Mode and group are kept. Raises CallerFault.
    """
    try:
        real = Path(os.path.realpath(path, strict=path.is_symlink()))
        fresh = real.with_name(f".{real.name}.{os.getpid()}.new")
        _write(fresh, real, content)
    except OSError as error:
        raise CallerFault(f"cannot write `{path}`: {(error.strerror or 'failed').lower()}") from error


def _write(fresh: Path, real: Path, content: bytes) -> None:
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            _keep_mode(file.fileno(), real)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, real)  # noqa: PTH105 - says what it does
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _keep_mode(descriptor: int, real: Path) -> None:
    """The mode and group of the file that is replaced; those of any new file where there is none."""
    try:
        before = real.stat()
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        os.fchmod(descriptor, 0o666 & ~mask)
        return
    with suppress(PermissionError):  # another group's file: its mode is still kept
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
