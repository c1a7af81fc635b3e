"""What isolation this process uses, decided once at start, and starting programs behind it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import Literal

import msgspec

from ostiary.errors import CallerFault
from ostiary.sandbox.isolation import bubblewrap, confine
from ostiary.sandbox.isolation.box import Box
from ostiary.sandbox.isolation.bubblewrap import Stream, filled
from ostiary.sandbox.isolation.cells import Cells
from ostiary.sandbox.isolation.cgroups import Nursery
from ostiary.sandbox.isolation.probe import Probed
from ostiary.sandbox.isolation.seccomp import Sockets, build_filter
from ostiary.sandbox.record import IsolationReport

_OF_THE_ROOT = frozenset({"python", "bin"})
Level = Literal["strict", "best-effort", "none"]


class Walls(msgspec.Struct, frozen=True, kw_only=True):
    """Behind what programs are started.

    `bounded` says that cgroups bound memory and the number of processes, `filtered` that system
    calls are filtered, `program` is bubblewrap, or empty where it cannot be used.
    """

    level: Level
    report: IsolationReport
    cells: Cells
    bounded: bool
    filtered: bool
    program: str = ""

    @property
    def walled(self) -> bool:
        """Whether programs are started in boxes. If not, they run on the host itself."""
        return bool(self.program)

    @classmethod
    def decide(cls, wanted: Level, found: Probed) -> Walls:
        """What `wanted` comes to on this machine.

        Raises CallerFault when `strict` is wanted and a layer that it rests on is missing: its
        words name the layer, why, and what brings it.
        """
        lacking = found.lacking()
        if wanted == "strict" and lacking:
            first = lacking[0]
            raise CallerFault(
                f"strict isolation needs {first.name}: {first.why}",
                hint=f"{first.remedy} (`ostiary doctor` shows every layer and what it takes)",
            )
        missing = tuple(layer.sentence() for layer in (*lacking, *found.weaker()))
        if wanted == "none":
            missing = ("isolation is switched off: code runs with all that this process may do",)
        walled = wanted != "none" and found.bubblewrap.found and found.namespaces.found
        nursery = Nursery(found.place) if wanted != "none" and found.cgroups.found else None
        return cls(
            level=wanted,
            report=IsolationReport(level=wanted, missing=missing),
            cells=Cells(found.uids, nursery),
            bounded=nursery is not None,
            filtered=wanted != "none" and found.seccomp.found,
            program=found.bubblewrap.path if walled else "",
        )

    def start(
        self,
        box: Box,
        *,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        apart: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Start the box. Raises GatewayFault when it cannot be started.

        See `bubblewrap.start` for what it means for time and threads. Where there are no walls
        (`best-effort` on a machine without bubblewrap, or `none`) the program runs on the host itself,
        from the same root, in the host's root folder, with paths inside translated as `outside` has
        them; what it starts before it is in its cgroup escapes that. Its system calls are filtered
        all the same where that is possible and wanted.
        """
        if self.program:
            if not self.filtered:
                box = msgspec.structs.replace(box, seccomp=None)
            streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
            return bubblewrap.start(Path(self.program), box, apart=apart, **streams)
        command = [outside(box, word) for word in box.command]
        with contextlib.ExitStack() as opened:
            passed = [*box.pass_fds]
            if self.filtered and box.seccomp is not None:
                passed.append(filled(box.seccomp, opened))
                command = [*_launcher(box, passed[-1]), *command]
            process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - argv only, made here
                command,
                env=_bare_environment(box),
                pass_fds=passed,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd="/",
                start_new_session=apart,
                **bubblewrap.identity(box),
            )
        if box.cell is not None and box.cell.group is not None:
            box.cell.group.add(process.pid)
        return process

    def filter(self, *, processes: bool, sockets: Sockets, code: bool = True) -> bytes:
        """The system calls of a job, or nothing where the machine cannot filter them.

        New processes need a cgroup that bounds them: without one `processes` counts for nothing, unless
        what runs is a program of ours that only reads what it was given (`code` False).
        """
        if not self.filtered:
            return b""
        allowed = processes and (self.bounded or not code)
        return build_filter(arch=os.uname().machine, processes=allowed, sockets=sockets)


def _launcher(box: Box, descriptor: int) -> list[str]:
    """What puts up the walls that need no box: the interpreter of the root with our own file as text."""
    source = Path(confine.__file__).read_text(encoding="utf-8")
    bounds = (
        "-" if value is None else str(value) for value in (box.file_bytes, box.open_files, box.address_space)
    )
    return [box.root.path + box.root.python, "-I", "-S", "-c", source, *bounds, str(descriptor)]


def _bare_environment(box: Box) -> dict[str, str]:
    """The same with paths of the host, and the libraries of the root: its programs know no others."""
    environment = {name: outside(box, value) for name, value in box.environment.items()}
    return {"LD_LIBRARY_PATH": f"{box.root.path}/lib"} | environment


def outside(box: Box, word: str) -> str:
    """Where a path of the box lies on the host: in a bind, or in the root. Other words stay."""
    for bind in sorted(box.binds, key=lambda one: -len(one.target)):
        if word == bind.target or word.startswith(bind.target + "/"):
            return bind.source + word[len(bind.target) :]
    top = word.split("/", 2)[1] if word.startswith("/") else ""
    return box.root.path + word if top in _OF_THE_ROOT else word
