"""Which folder belongs to an installed program, and what of a machine is never shown to one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

SYSTEM: Final = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store",
    "/home/linuxbrew/.linuxbrew",
)  # fmt: skip
"""Installed for everybody: programs and libraries, and nothing of anybody's own. Shown to every server."""

_NEVER_BELOW: Final = ("/proc", "/sys", "/dev", "/run", "/var/run")
_NEVER_WHOLE: Final = frozenset(
    {
        "/", "/etc", "/var", "/var/lib", "/home", "/root", "/tmp", "/var/tmp", "/opt", "/srv", "/mnt",  # noqa: S108 - not written to
        "/media", "/boot", "/data", "/work",
    }
)  # fmt: skip
_PRIVATE: Final = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config", ".password-store", ".mozilla",
    ".thunderbird", ".netrc", ".npmrc", ".pypirc", ".git-credentials", ".pgpass", ".my.cnf",
    ".local/share/keyrings", ".claude", ".claude.json", ".codex", ".cursor", ".gemini", ".codeium",
    ".vscode", ".mcp.json",
)  # fmt: skip
"""Of a home folder: kept for secrets, or what clients of other servers are told."""

_SHARED: Final = (".local", ".local/share", ".cache")
"""Of a home folder: what many programs keep beside each other, so never shown as a whole."""

_MARKS: Final = (
    "package.json", "pyproject.toml", "setup.py", "requirements.txt", "deno.json", "go.mod", "Cargo.toml",
    "Gemfile", "composer.json",
)  # fmt: skip
"""What lies at the top of a package, by which its folder is known."""


_HIDDEN_FILES: Final = frozenset(
    {".npmrc", ".netrc", ".pypirc", ".git", ".mcp.json", "mcp.json", "opencode.json", ".claude.json"}
)
_HIDDEN_FOLDERS: Final = frozenset(
    {".git", ".claude", ".codex", ".cursor", ".gemini", ".vscode", ".windsurf", ".zed", ".roo", ".continue"}
)
"""Settings of clients in a project: what other servers are given stands there."""


class Grounds:
    """Judges folders by `home` and by what must never be seen (`keep_out`, the gate's own folders)."""

    def __init__(self, home: Path, keep_out: Sequence[Path]) -> None:
        self._home = home
        self._keep_out = tuple(path for one in keep_out for path in (one.absolute(), _real(one)))

    def root_of(self, path: Path) -> Path | None:
        """The folder that `path` was installed in as a whole, or None: then it stands for itself."""
        for find in (_modules, _environment, _prefix, _package):
            found = find(path)
            if found is not None and self.may_show(found):
                return found
        return None

    def folder_of(self, script: Path) -> Path | None:
        """The folder of a script that belongs to no package, unless it holds other things as well."""
        folder = script.parent
        common = folder.parent == self._home or not self.may_show(folder)
        return None if common else folder

    def may_show(self, folder: Path) -> bool:
        """Whether a folder may be seen as a whole: no home, nothing above one, nothing of the gate's."""
        if not self.may_show_file(folder):
            return False
        homes = {self._home, _real(self._home)}
        apart = (*homes, *self._keep_out)
        shared = {home / name for home in homes for name in _SHARED}
        real = _real(folder)
        if folder.name == "node_modules" and real.name != folder.name:
            return False
        for path in (folder, real):  # a link shows what it leads to
            if str(path) in _NEVER_WHOLE or path.parent == Path("/home") or path in shared:
                return False
            if any(one.is_relative_to(path) for one in apart):
                return False
        return True

    def may_show_file(self, file: Path) -> bool:
        """Whether a single file that the command names may be seen."""
        private = (home / name for home in (self._home, _real(self._home)) for name in _PRIVATE)
        within = (*map(Path, _NEVER_BELOW), *self._keep_out, *private)
        return not any(path.is_relative_to(one) for path in (file, _real(file)) for one in within)


def is_system(path: Path) -> bool:
    """Whether every server sees it anyway."""
    return any(path.is_relative_to(one) for one in SYSTEM)


def hidden_in(root: Path) -> Iterator[Path]:
    """What of a package's folder is not shown: its history, and settings of a person and of clients."""
    try:
        entries = sorted(root.iterdir())
    except OSError:
        return
    for entry in entries:
        name = entry.name
        secret = name.startswith(".env") or name in _HIDDEN_FILES
        if ((secret and entry.is_file()) or (name in _HIDDEN_FOLDERS and entry.is_dir())) and (
            not entry.is_symlink()
        ):
            yield entry


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def holds_modules(folder: Path) -> bool:
    """Whether an interpreter finds code right in a folder: a repository may name any, to see into it."""
    if folder.name == "node_modules":
        return True
    return any(
        next(folder.glob(each), None) for each in ("*.py", "*/__init__.py", "*.dist-info", "*/package.json")
    )


def _above(path: Path) -> Iterator[Path]:
    """The folders above, the nearest first; the two outermost are nobody's root."""
    yield from (one for one in path.parents if len(one.parts) > 2)  # noqa: PLR2004 - `/` and one name


def _modules(path: Path) -> Path | None:
    """The outermost `node_modules`: a package finds those that it needs beside itself."""
    return next((one for one in reversed([*_above(path)]) if one.name == "node_modules"), None)


def _environment(path: Path) -> Path | None:
    return next((one for one in _above(path) if (one / "pyvenv.cfg").is_file()), None)


def _prefix(path: Path) -> Path | None:
    """Where an interpreter was installed: `bin` beside a standard library."""
    for one in _above(path):
        if not (one / "bin").is_dir():
            continue
        if (one / "conda-meta").is_dir() or (one / "include" / "node").is_dir():
            return one
        if any((each / "os.py").is_file() for each in (one / "lib").glob("python3*")):
            return one
    return None


def _package(path: Path) -> Path | None:
    return next((one for one in _above(path) if any((one / mark).is_file() for mark in _MARKS)), None)
