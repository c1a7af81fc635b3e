"""Real walls on this machine: probed, decided, with a root of this interpreter, and code run in them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ostiary.sandbox.isolation.box import Bind, Box
from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.isolation.probe import Probed, probe
from ostiary.sandbox.isolation.root import Root, build_root
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.limits import MIB
from tests.needs import missing, needs_bubblewrap

WAIT = 5
RUN = 30
"""For a program that starts, does its work and ends, on a machine that does much else at the same time."""
USERS = "400000-400255"
"""Apart from those of a gate that may run on this machine."""


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Standing:
    """`folder` can be reached by every user, and is empty apart from what was built."""

    folder: Path
    environ: Mapping[str, str]
    found: Probed
    walls: Walls
    root: Root

    @contextlib.contextmanager
    def cell(self, memory: int = 512 * MIB, processes: int = 64) -> Iterator[Cell]:
        cell = self.walls.cells.take()
        if cell.group is not None:
            cell.group.set(memory=memory, processes=processes)
        try:
            yield cell
        finally:
            deadline = time.monotonic() + WAIT
            while not self.walls.cells.give_back(cell):  # it gives up after a second, and can be asked again
                assert time.monotonic() < deadline

    def box(self, cell: Cell, code: str, **changes: Any) -> Box:
        """A box that runs Python code under the usual filter."""
        box = Box(
            command=(self.root.python, "-I", "-c", code),
            root=self.root,
            environment={"HOME": "/tmp", "LANG": "C.UTF-8"},
            seccomp=self.walls.filter(processes=True, sockets="unix"),
            cell=cell,
        )
        return msgspec.structs.replace(box, **changes)

    def run(self, code: str, stdin: str = "", **changes: Any) -> Ended:
        """Run Python code in a box until its end."""
        with self.cell() as cell:
            process = self.start(cell, code, **changes)
            return finish(process, stdin)

    def start(self, cell: Cell, code: str, **changes: Any) -> subprocess.Popen[bytes]:
        box = self.box(cell, code, **changes)
        pipe = subprocess.PIPE
        return self.walls.start(box, stdin=pipe, stdout=pipe, stderr=pipe)

    def shared(self, name: str, text: str = "") -> Path:
        """A file or, without text, a folder that boxes can be given."""
        path = self.folder / name
        if text:
            path.write_text(text)
            path.chmod(0o644)
        else:
            path.mkdir(mode=0o755, exist_ok=True)
        return path


def finish(process: subprocess.Popen[bytes], stdin: str = "") -> Ended:
    try:
        out, err = process.communicate(stdin.encode(), timeout=RUN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ended(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="ostiary-walls-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def stand() -> Iterator[Standing]:
    """Skip where the machine has not what strict isolation takes."""
    path = needs_bubblewrap()
    with open_folder() as folder:
        cache = folder / "cache"
        cache.mkdir(mode=0o755)
        environ = {"PATH": path, "OSTIARY_CACHE_DIR": str(cache), "HOME": str(folder)}
        if os.geteuid() == 0:
            environ["OSTIARY_UID_RANGE"] = USERS
        found = probe(environ)
        for layer in found.lacking():
            missing(f"{layer.name}: {layer.why}")
        walls = Walls.decide("strict", found)
        try:
            yield Standing(folder, environ, found, walls, build_root(cache, Path(sys.executable)))
        finally:
            walls.cells.close()


def bind(path: Path, target: str, *, writable: bool = False) -> Bind:
    return Bind(str(path), target, writable)
