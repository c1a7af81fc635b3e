"""What a command needs of this machine in order to run: its program, its interpreter, its package.

Only what the words of the command lead to is looked at. Nothing is started.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import CallerFault
from ostiary.proxy.stdio.program import Command, find_program
from ostiary.scan.grounds import Grounds, holds_modules, is_system
from ostiary.scan.launchers import installed, read_launcher, without_uv
from ostiary.scan.scanned import Target

_HOPS: Final = 32
_FIRST_LINE: Final = 512
_LINES: Final = 200
_CODE: Final = frozenset(
    ".py .pyz .js .mjs .cjs .ts .mts .cts .jar .rb .php .pl .lua .sh .dll".split()  # noqa: SIM905 - to be read
)
_PROJECT: Final = frozenset({"--directory", "--project", "--prefix", "--cwd", "-C"})
_PLAIN: Final = re.compile(r"[\w][\w.+-]*")
_SEARCHED: Final = ("PYTHONPATH", "NODE_PATH")


class Installed(msgspec.Struct, frozen=True):
    """A command as it is started behind walls, and what it is shown there.

    `shown` are files and folders, read-only at their own places. `emptied` are folders that the
    command names to work on: there, and empty. `path` are further folders for PATH. `folder` is where
    it starts, empty for a folder of its own.
    """

    command: tuple[str, ...]
    shown: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    folder: str = ""


def find_installed(
    target: Target, environ: Mapping[str, str], keep_out: Sequence[Path], *, offline: bool
) -> Installed:
    """What `target` needs. `keep_out` are folders that are never shown.

    Raises CallerFault for a command that would be fetched and is not here, where it is `offline`, and
    GatewayFault where there is no such program.
    """
    home = Path(environ.get("HOME") or Path.home())
    search = target.environment.get("PATH", environ.get("PATH", os.defpath))
    cwd = Path(target.cwd).absolute() if target.cwd else None
    command = _here(target.command, cwd, home, search, offline=offline)
    program = find_program(Command(command, str(cwd) if cwd else None, {"PATH": search}))
    version = target.environment.get("PYENV_VERSION", environ.get("PYENV_VERSION", ""))
    looking = _Looking(Grounds(home, keep_out), search, cwd, version)
    first = looking.settled(Path(os.path.abspath(program)))  # noqa: PTH100 - links stay as they are
    looking.program(first)
    looking.words(command[1:], cwd)
    for name in _SEARCHED:
        for entry in target.environment.get(name, "").split(os.pathsep):
            if entry.startswith("/"):
                looking.folder(Path(entry))
    return looking.found((str(first), *command[1:]), cwd)


def _here(
    command: tuple[str, ...], cwd: Path | None, home: Path, search: str, *, offline: bool
) -> tuple[str, ...]:
    """The same command without what would fetch it, where that is on this machine."""
    fetched = read_launcher(command)
    if fetched is None:
        return without_uv(command, cwd) or command
    node = shutil.which("node", path=search)
    prefix = None if node is None else Path(node).resolve().parent.parent
    found = installed(fetched, cwd, home, prefix)
    if found or not offline:
        return found or command
    what = f"`{fetched.package}`" + (f" in version {fetched.version}" if fetched.version else "")
    raise CallerFault(
        f"`{fetched.launcher}` would fetch {what} first, which is not on this machine, and has no network",
        hint="install it first, or let it reach the hosts that it is fetched from (--allow-host)",
    )


class _Looking:
    """Collects what is needed, from one file to the next."""

    def __init__(self, grounds: Grounds, search: str, cwd: Path | None, version: str) -> None:
        self._grounds = grounds
        self._search = search
        self._cwd = cwd
        self._version = version
        self._shown: dict[Path, None] = {}
        self._emptied: dict[Path, None] = {}
        self._path: dict[str, None] = {}
        self._hops = _HOPS

    def settled(self, program: Path) -> Path:
        """`program`, or what it is a link to where it lies among other things (`~/.local/bin`)."""
        program = self._behind_shim(program)
        for _ in range(_HOPS):
            if is_system(program) or not program.is_symlink() or self._grounds.root_of(program):
                break
            program = _hop(program)
        return program

    def _behind_shim(self, program: Path) -> Path:
        """What a shim of pyenv would start: it is a script that needs all of pyenv, and the home folder."""
        root = program.parent.parent
        if program.parent.name != "shims" or not (root / "versions").is_dir():
            return program
        folders = [] if self._cwd is None else [self._cwd, *self._cwd.parents]
        files = [*(one / ".python-version" for one in folders), root / "version"]
        named = [line for each in files for line in _lines(each)]
        chosen = self._version.split(":") if self._version else named
        for version in chosen:
            found = root / "versions" / version.strip() / "bin" / program.name
            if _PLAIN.fullmatch(version.strip()) and found.is_file():
                return found
        return program

    def program(self, path: Path) -> None:
        """A file that is run: with what it was installed in, what it is a link to, and its interpreter."""
        self._hops -= 1
        if self._hops < 0:
            return
        if not is_system(path):
            self._path[str(path.parent)] = None
            self._show(self._grounds.root_of(path), path)
        if path.is_symlink():
            self.program(_hop(path))
            return
        for name in _interpreters(path):
            found = name if name.startswith("/") else shutil.which(name, path=self._search)
            if found:
                self.program(self._behind_shim(Path(found)))

    def words(self, words: Sequence[str], cwd: Path | None) -> None:
        """Arguments that name files and folders of this machine."""
        before = ""
        plain = 0
        for word in words:
            flag, equals, value = word.partition("=") if word.startswith("-") else (before, "", word)
            plain += not word.startswith("-")
            if value and (cwd is not None or value.startswith("/")):
                path = Path(os.path.abspath((cwd or Path("/")) / value))  # noqa: PTH100 - links stay as they are
                self._word(path, code=plain == 1 or flag in _PROJECT)
            before = "" if equals else word

    def _word(self, path: Path, *, code: bool) -> None:
        try:
            if is_system(path) or not path.exists():
                return
        except OSError:
            return
        if path.is_dir():
            root = self._grounds.root_of(path / "_") if code else None
            if root is not None:
                self._show(root, path)
            elif not any(path.is_relative_to(one) for one in self._shown):
                self._emptied[path] = None
        elif path.is_file() and self._grounds.may_show_file(path):
            if path.suffix in _CODE or _interpreters(path):
                self._show(self._grounds.root_of(path) or self._grounds.folder_of(path), path)
                if path.is_symlink():
                    self.program(_hop(path))
            else:
                self._shown[path] = None

    def folder(self, path: Path) -> None:
        """A folder in which an interpreter looks for modules."""
        if not path.is_dir() or is_system(path) or not self._grounds.may_show(path):
            return
        if holds_modules(path) or self._grounds.root_of(path / "_"):
            self._shown[path] = None

    def _show(self, root: Path | None, path: Path) -> None:
        if root is None:
            if self._grounds.may_show_file(path) and path.is_file():
                self._shown[path] = None
            return
        if root in self._shown:
            return
        self._shown[root] = None
        for one in (root, *root.parents):  # what is shared by the packages of a repository
            if (one / "node_modules").is_dir():
                self.folder(one / "node_modules")
        if (root / "pyvenv.cfg").is_file():
            self._environment(root)

    def _environment(self, root: Path) -> None:
        """The interpreter that an environment was made from, and what it has as links to a source tree."""
        for line in _lines(root / "pyvenv.cfg"):
            key, _, value = line.partition("=")
            if key.strip() == "home" and value.strip().startswith("/"):
                base = Path(value.strip()) / "python3"
                if not is_system(base):
                    self._show(self._grounds.root_of(base), base)
        for listing in sorted(root.glob("lib/python3*/site-packages/*.pth"))[:_LINES]:
            for line in _lines(listing):
                if line.startswith("/"):
                    self.folder(Path(line.strip()))

    def found(self, command: tuple[str, ...], cwd: Path | None) -> Installed:
        """What was found, each folder once."""
        shown = [one for one in self._shown if not any(other in one.parents for other in self._shown)]
        emptied = [one for one in self._emptied if not any(one.is_relative_to(other) for other in shown)]
        # One in which a program lies holds that alone: an empty folder in its place would hide it.
        bare = [one for one in emptied if not any(other.is_relative_to(one) for other in shown)]
        there = cwd is not None and any(
            one.is_relative_to(cwd) or cwd.is_relative_to(one) for one in (*shown, *emptied)
        )
        return Installed(
            command,
            tuple(map(str, shown)),
            tuple(str(one) for one in bare if str(one) != "/"),
            tuple(self._path),
            str(cwd) if there else "",
        )


def _hop(link: Path) -> Path:
    return Path(os.path.normpath(link.parent / link.readlink()))


def _interpreters(path: Path) -> list[str]:
    """What the first line of a script names: the interpreter, and for `env` the program that it looks for."""
    try:
        if not path.is_file():  # a pipe would keep us waiting
            return []
        with path.open("rb") as file:
            first = file.read(_FIRST_LINE).split(b"\n", 1)[0]
    except OSError:
        return []
    if not first.startswith(b"#!"):
        return []
    words = first[2:].decode(errors="replace").split()
    if not words or not words[0].startswith("/"):
        return []
    if words[0].rpartition("/")[2] != "env":
        return words[:1]
    looked_for = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), None)
    return words[:1] if looked_for is None else [words[0], looked_for]


def _lines(path: Path) -> list[str]:
    try:
        if not path.is_file():
            return []
        with path.open("rb") as file:
            return file.read(65_536).decode(errors="replace").splitlines()[:_LINES]
    except OSError:
        return []
