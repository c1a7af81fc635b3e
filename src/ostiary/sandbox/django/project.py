"""A project and what of the machine it gets: the folders it sees, its variables, its user."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import CallerFault
from ostiary.sandbox.django.interpreter import Python
from ostiary.sandbox.django.settings import ALWAYS_SECRET, DjangoSettings
from ostiary.sandbox.isolation.box import Bind

_SYSTEM: Final = ("/usr", "/bin")
"""Programs and libraries of the host, which packages of a project may be linked with."""

_TEMPORARY: Final = "/tmp"  # noqa: S108 - a place inside
_ALWAYS: Final = ("PATH", "LANG")


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project, ready to be shown to its interpreter. `files` is the root that it is seen in.

    `sockets` are the folders of its databases' sockets, `etc` is a folder for /etc in place of the root's.
    """

    told: DjangoSettings
    python: Python
    files: str
    environment: Mapping[str, str]
    sockets: tuple[str, ...] = ()
    etc: str = ""

    @property
    def folder(self) -> str:
        """Where it is, on the host and inside."""
        return str(self.told.project)

    @property
    def writable(self) -> bool:
        """Whether code may write below its folder, as far as its user may."""
        return self.told.mode != "read-only"

    @property
    def visible(self) -> tuple[Path, ...]:
        """The folders of the host that code sees beside the system's."""
        packages = (self.python.prefix, *self.python.added)
        return (self.told.project, *(Path(one) for one in (*self.told.pythonpath, *packages)))

    def binds(self) -> tuple[Bind, ...]:
        """What is seen where: outer folders first, so that an inner one can be something else."""
        python = self.python
        binds = [Bind(one, one) for one in _SYSTEM]
        if not Path(python.base_prefix).is_relative_to("/usr"):
            binds.append(Bind(f"{self.files}/python", python.base_prefix))
        if python.prefix != python.base_prefix:
            binds.append(Bind(python.prefix, python.prefix))
        binds += [Bind(one, one) for one in (*python.added, *self.told.pythonpath)]
        binds += [Bind(str(Path(one).resolve()), one) for one in self.sockets]
        if self.etc:
            binds.append(Bind(self.etc, "/etc"))
        real = {str(Path(one.source).resolve()) for one in binds}
        binds += [Bind(one, one) for one in sorted(real) if Path(one).is_relative_to(self.folder)]
        binds.append(Bind(self.folder, self.folder, writable=self.writable))
        once = {bind.target: bind for bind in binds}
        once |= {one: Bind(one, one, writable=self.writable) for one in self._fixed(once)}
        return tuple(sorted(once.values(), key=lambda bind: len(Path(bind.target).parts)))

    def _fixed(self, targets: Iterable[str]) -> set[str]:
        """The folders between the project's and one in it that is shown read-only.

        Shown as places of their own, they cannot be renamed, and nothing else be put where that one is.
        """
        folder = Path(self.folder)
        inner = {Path(one) for one in targets} - {folder}
        inner = {one for one in inner if one.is_relative_to(folder)}
        between = {parent for one in inner for parent in one.parents if folder in parent.parents}
        return {str(one) for one in between if not inner & {one, *one.parents}}

    def sealed(self) -> tuple[Path, ...]:
        """What lies in the project and is shown read-only all the same, such as its environment."""
        return tuple(
            Path(bind.target)
            for bind in self.binds()
            if not bind.writable and Path(bind.target).is_relative_to(self.folder)
        )

    def settings(self) -> dict[str, object]:
        """What `inside.warm` is told of it."""
        told, python = self.told, self.python
        front = [*told.pythonpath, self.folder]
        return {
            "project": self.folder,
            "front": front,
            "library": [one for one in python.path if one not in python.added],
            "path": [one for one in python.added if one not in front],
            "packages": [one for one in python.packages if Path(one).is_dir()],
            "facts": python.facts,
            "mode": told.mode,
            "words": [*ALWAYS_SECRET, *told.redact],
            "watched": front,
            "network": told.network,
            "keep": [bind.target for bind in self.binds()],
            "writable": [self.folder] if self.writable else [],
        }


def environment_of(told: DjangoSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of the project.

    Raises CallerFault for a variable that is not set, without what was typed: it may be the secret itself.
    """
    found = {"HOME": _TEMPORARY, "TMPDIR": _TEMPORARY, "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    found |= {name: environ[name] for name in _ALWAYS if environ.get(name)}
    several = len(told.environment) > 1
    for at, name in enumerate(told.environment, 1):
        if name not in environ:
            which = f"variable number {at} of {len(told.environment)}" if several else "the variable"
            raise CallerFault(
                f"{which} that the project is to get is not set", hint="export it, or leave it out"
            )
        found[name] = environ[name]
    return found | {"DJANGO_SETTINGS_MODULE": told.settings}


def checked(told: DjangoSettings) -> DjangoSettings:
    """The same with absolute paths. Raises CallerFault for folders that cannot be shown."""
    project = told.project.absolute().resolve()
    home = Path(os.path.expanduser("~")).resolve()  # noqa: PTH111 - Path.home raises where there is none
    if not project.is_dir():
        raise CallerFault(f"there is no project folder {project}")
    if project == Path("/") or home.is_relative_to(project) or Path("/usr").is_relative_to(project):
        raise CallerFault(
            f"{project} is more than a project: code would see all of it",
            hint="name the folder that holds manage.py",
        )
    paths = tuple(str(Path(one).absolute().resolve()) for one in told.pythonpath)
    for one in paths:
        if not Path(one).is_dir():
            raise CallerFault(f"there is no folder {one} to import from")
    python = told.python and str(Path(told.python).expanduser().absolute())  # a link to it is another one
    return msgspec.structs.replace(told, project=project, pythonpath=paths, python=python)


def user_of(project: Path) -> int | None:
    """Whom root becomes for a project: its owner. None for root's own, which some other user runs."""
    owner = project.stat().st_uid
    return owner if os.geteuid() == 0 and owner != 0 else None


def check_sealed(project: Project) -> None:
    """Raises CallerFault where code could put another program in the place of the project's interpreter.

    It is started once outside of the walls, at each start, to be asked what it is.
    """
    python = Path(project.told.python or sys.executable)
    sealed = set(project.sealed())
    program, *folders = [one.parent.resolve() / one.name for one in (python, *python.parents) if one.name]
    for one in (program, *(folder for folder in folders if folder.is_symlink())):
        if project.writable and project.told.project in one.parents and not sealed & {*one.parents}:
            raise CallerFault(
                f"code could put another program in the place of {python}: it can write {one}",
                hint="name the interpreter of a virtual environment with --python, by a path without links",
            )


def check_reach(sources: Iterable[str], uid: int) -> None:
    """Raises CallerFault for a folder that the user cannot pass through, as whom the project is run."""
    for source in sources:
        closed = _closed(Path(source), uid)
        if closed is not None:
            raise CallerFault(
                f"the project runs as user {uid}, who cannot read {source}: {closed} is closed to others",
                hint="start ostiary as the user of the project, or move it where others may pass",
            )


def _closed(path: Path, uid: int) -> Path | None:
    for part in [*reversed(path.resolve().parents), path.resolve()]:
        state = part.stat()
        wanted = stat.S_IXUSR if stat.S_ISDIR(state.st_mode) else stat.S_IRUSR
        shift = 0 if state.st_uid == uid else 3 if state.st_gid == uid else 6
        if not state.st_mode & (wanted >> shift):
            return part
    return None
