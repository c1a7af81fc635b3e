"""What isolation this process uses, decided once at start, and starting programs behind it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, Literal

import msgspec

from ostiary.errors import CallerFault
from ostiary.sandbox.isolation import bubblewrap
from ostiary.sandbox.isolation.box import Box
from ostiary.sandbox.isolation.cells import Cells
from ostiary.sandbox.isolation.cgroups import Nursery
from ostiary.sandbox.isolation.probe import Probed
from ostiary.sandbox.isolation.seccomp import Sockets, build_filter
from ostiary.sandbox.record import IsolationReport

Level = Literal["strict", "best-effort", "none"]


class Walls(msgspec.Struct, frozen=True, kw_only=True):
    """Behind what programs are started. `bounded` says that cgroups bound memory and processes."""

    level: Level
    report: IsolationReport
    cells: Cells
    bounded: bool
    program: str = ""

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
                hint=f"{first.remedy}; `ostiary doctor` shows everything, --isolation best-effort does without",
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
            program=found.bubblewrap.path if walled else "",
        )

    def start(self, box: Box, **streams: Any) -> subprocess.Popen[bytes]:
        """Start the box; `streams` are stdin, stdout and stderr as for Popen.

        See `bubblewrap.start` for what it means for threads. Without bubblewrap (`best-effort` on a
        machine that lacks it, or `none`) the program runs on the host itself, from the same root.
        """
        if self.program:
            return bubblewrap.start(Path(self.program), box, **streams)
        return _bare(box, **streams)

    def filter(self, *, processes: bool, sockets: Sockets) -> bytes:
        """The system calls for a job. New processes need a cgroup that bounds them: none, no processes."""
        return build_filter(
            arch=os.uname().machine, processes=processes and self.bounded, sockets=sockets
        )


def _bare(box: Box, **streams: Any) -> subprocess.Popen[bytes]:
    uid = box.cell.uid if box.cell is not None else None
    who: dict[str, Any] = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
    command = [_outside(box, box.command[0]), *box.command[1:]]
    return subprocess.Popen(  # noqa: S603 - the operator switched isolation off, or has none
        command, env=dict(box.environment), pass_fds=box.pass_fds, cwd="/", **who, **streams
    )


def _outside(box: Box, path: str) -> str:
    """Where a path of the box lies on the host: in a bind, or in the root."""
    for bind in sorted(box.binds, key=lambda one: -len(one.target)):
        if path == bind.target or path.startswith(bind.target + "/"):
            return bind.source + path[len(bind.target) :]
    return box.root.path + path
