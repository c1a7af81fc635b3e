"""The folder for what is built once and used by every worker."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ostiary.errors import CallerFault, GatewayFault


def cache_path(environ: Mapping[str, str]) -> Path:
    """`$OSTIARY_CACHE_DIR`; else /var/cache/ostiary as root, else the XDG folder.

    Raises CallerFault when the variable is relative.
    """
    named = environ.get("OSTIARY_CACHE_DIR")
    if named:
        folder = Path(named)
        if not folder.is_absolute():
            raise CallerFault(f"OSTIARY_CACHE_DIR: expected an absolute path, found `{named}`")
        return folder
    if os.geteuid() == 0:
        return Path("/var/cache/ostiary")
    xdg = environ.get("XDG_CACHE_HOME", "")
    base = Path(xdg) if xdg.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".cache"
    return base / "ostiary"


def cache_folder(environ: Mapping[str, str]) -> Path:
    """The folder at `cache_path`, made if it is missing.

    Raises CallerFault when it belongs to somebody else or others can write there, and GatewayFault
    when it cannot be made.
    """
    folder = cache_path(environ)
    try:
        make_folder(folder)
        state = folder.stat()
    except OSError as error:
        raise GatewayFault(f"cannot make the cache folder {folder}: {error.strerror}") from error
    if state.st_uid != os.geteuid() or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CallerFault(
            f"the cache folder {folder} belongs to another user or can be written by others",
            hint="programs are started from there; name one of your own with OSTIARY_CACHE_DIR",
        )
    return folder


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, that everybody can read, whatever the umask is."""
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(exist_ok=True)
        missing.chmod(0o755)


def blocked(path: Path) -> Path | None:
    """The first folder above `path` (or itself) that other users cannot pass through, or None."""
    for part in [*reversed(path.resolve().parents), path.resolve()]:
        mode = part.stat().st_mode
        wanted = stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
        if not mode & wanted:
            return part
    return None
