"""The folder in which resolved packages lie: one per key, complete or not there, never changed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import GatewayFault
from ostiary.sandbox.packages.fault import PackageFault
from ostiary.sandbox.runner import Environment

MIB: Final = 1 << 20
FORM: Final = 1
"""Goes up when an entry is laid out in another way."""
_SITE: Final = "site"
_LISTING: Final = "packages.json"
_IN_USE_S: Final = 3_600.0
"""Longer than a run lasts. What was handed out within it is not taken away to make room."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How large what was installed may be; `kept` is for all entries of the folder together."""

    bytes: int = 1_024 * MIB
    files: int = 50_000
    kept: int = 8_192 * MIB

    def __str__(self) -> str:
        return f"{self.bytes // MIB} MiB or {self.files} files"


class Store:
    """Entries below `folder`. Several processes may use one folder. Every method blocks."""

    def __init__(self, folder: Path, bounds: Bounds | None = None) -> None:
        self.folder = folder
        self.bounds = bounds or Bounds()

    def find(self, key: str) -> Environment | None:
        """The entry, and a note that it was used now; None when there is none."""
        entry = self.folder / key
        try:
            listing = msgspec.json.decode((entry / _LISTING).read_bytes(), type=tuple[str, ...])
            os.utime(entry / _LISTING)
        except (OSError, msgspec.DecodeError):
            return None
        return Environment(str(entry / _SITE), listing)

    def draft(self) -> Path:
        """A new folder to build an entry in, which only its owner may list. Raises GatewayFault."""
        path = self.folder / f".draft-{secrets.token_hex(8)}"
        try:
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.mkdir(mode=0o711)
            path.chmod(0o711)
        except OSError as error:
            raise GatewayFault(f"cannot write to the package cache: {error.strerror}") from error
        return path

    def keep(self, key: str, installed: Path) -> Environment:
        """Make what a resolver installed an entry: checked, without anything that runs, read-only.

        Nothing may run any more that can write there. When somebody else was faster, theirs stays.

        Raises:
            PackageFault: when it is larger than it may be, or holds what no wheel has.
            GatewayFault: when it cannot be moved into place.
        """
        _drop_hooks(installed)
        size = seal(installed, self.bounds)
        listing = tuple(sorted(_distributions(installed)))
        draft = self.draft()
        try:
            self._make_room(size)
            installed.rename(draft / _SITE)
            (draft / _LISTING).write_bytes(msgspec.json.encode(listing))
            (draft / _LISTING).chmod(0o444)
            draft.chmod(0o755)
            with contextlib.suppress(OSError):  # not empty: there is one already, and it is the same
                draft.rename(self.folder / key)
        except OSError as error:
            raise GatewayFault(f"cannot write to the package cache: {error.strerror}") from error
        finally:
            remove(draft)
        found = self.find(key)
        if found is None:
            raise GatewayFault("cannot write to the package cache")
        return found

    def _make_room(self, size: int) -> None:
        """Take away what was not used for longest, until `size` more bytes fit."""
        (now := self.folder / f".now-{secrets.token_hex(8)}").touch()
        newest = now.stat().st_mtime  # the time by the clock that the entries' own times come from
        now.unlink()
        entries = sorted(_entries(self.folder))
        total = sum(held for _, held, _ in entries) + size
        for used, held, path in entries:
            if total <= self.bounds.kept:
                return
            if newest - used > _IN_USE_S:
                remove(path)
                total -= held
        if total > self.bounds.kept:
            raise PackageFault(
                f"the package cache is full: it may hold {self.bounds.kept // MIB} MiB",
                hint="try again in an hour, or delete what is not needed from the cache folder",
            )


def measure(folder: Path) -> tuple[int, int]:
    """Bytes and files below `folder`; a file with several names counts once. For a folder in use."""
    size, seen = 0, set[int]()
    pending = [folder]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    state = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(state.st_mode):
                        pending.append(Path(entry.path))
                    if state.st_ino not in seen:
                        seen.add(state.st_ino)
                        size += state.st_blocks * 512
        except OSError:
            continue  # gone meanwhile
    return size, len(seen)


def seal(folder: Path, bounds: Bounds) -> int:
    """Make everything below `folder` ours and read-only for everybody; return its size in bytes.

    Raises:
        PackageFault: for a link, a device or a file with a second name, and when it is too large.
    """
    size = 0
    ours = os.geteuid() == 0
    for files, path in enumerate((folder, *_below(folder))):
        state = path.lstat()
        size += state.st_size
        regular = stat.S_ISREG(state.st_mode) and state.st_nlink == 1
        if not regular and not stat.S_ISDIR(state.st_mode):
            raise PackageFault(f"a package holds a link or a device, which no wheel has: {path.name!r}")
        if size > bounds.bytes or files > bounds.files:
            raise PackageFault(f"the packages hold more than {bounds}")
        if ours:
            os.chown(path, 0, 0, follow_symlinks=False)
        path.chmod(0o444 if regular else 0o755)
    return size


def remove(folder: Path) -> None:
    """Take a folder away, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def _drop_hooks(site: Path) -> None:
    """What an interpreter would run at its start, and programs: a run imports, and nothing else."""
    for path in site.glob("*.pth"):
        path.unlink()
    for name in ("sitecustomize.py", "usercustomize.py"):
        (site / name).unlink(missing_ok=True)
    (site / ".lock").unlink(missing_ok=True)
    remove(site / "bin")


def _below(folder: Path) -> Iterator[Path]:
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                yield path


def _distributions(site: Path) -> Iterator[str]:
    """`name==version` of everything that is installed, from the folders that say so."""
    for path in site.glob("*.dist-info"):
        name, _, version = path.name.removesuffix(".dist-info").partition("-")
        yield f"{name.replace('_', '-').lower()}=={version}"


def _entries(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Of each entry: when it was last used, its bytes, and where it is."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if not path.name.startswith("."):
                yield (path / _LISTING).stat().st_mtime, measure(path)[0], path
