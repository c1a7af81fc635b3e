"""The command line, the bounds and the box of a worker. Pure but for reading our own files."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from ostiary.sandbox.cpython import inside as shared
from ostiary.sandbox.limits import MIB, Limits
from ostiary.sandbox.pyodide import inside
from ostiary.sandbox.pyodide.javascript import Runtime

RUNNER: Final = "runner.mjs"
MODULES: Final = "modules.json"
PACKAGE: Final = "package"
"""What stands in the folder that `prepare` makes: our two files, and Pyodide."""
PLACE: Final = "/pyodide"
"""Where a box shows what `prepare` made."""
PACKAGES: Final = "/packages"
OVERHEAD: Final = 320 * MIB
"""What the runtime takes for itself, besides the memory that Python is given."""
HEAP_MIB: Final = 192
"""JavaScript's own heap. Python's memory is not in it."""
DISK_BYTES: Final = 64 * MIB
"""Files of a worker together: they lie in memory."""
_ENGINE: Final = ("--disallow-code-generation-from-strings", f"--max-old-space-size={HEAP_MIB}")
"""V8's flags of every worker. No code from strings: that is how code leaves the objects it is given."""
_PAGE: Final = 65_536
_MAX_PAGES: Final = 65_536  # 4 GiB: what a 32-bit address reaches
_SHARED: Final = ("attempt", "evaluate", "files", "show")
_ANSWERING: Final = f"{inside.__name__}.answering"


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is started with. Paths are as the worker sees them.

    `replies` is the descriptor that answers leave on, `snapshot` and `packages` are empty where
    there is none. `make` asks for a snapshot instead of jobs. `rounds` is how often it rehearses.
    """

    place: str
    replies: int
    snapshot: str = ""
    packages: str = ""
    make: bool = False
    rounds: int = 1
    limits: Limits = Limits()


@functools.cache
def modules() -> Mapping[str, str]:
    """Our Python for the other side: file name below a folder of modules -> text."""
    ours = _folder(inside.__file__)
    theirs = _folder(shared.__file__)
    named = {f"{inside.__name__}.answering": ours / "answering.py"}
    named |= {f"{shared.__name__}.{name}": theirs / f"{name}.py" for name in _SHARED}
    texts = {f"{name.replace('.', '/')}.py": path.read_text(encoding="utf-8") for name, path in named.items()}
    for name in named:
        above = name.rpartition(".")[0]
        while above:
            texts[f"{above.replace('.', '/')}/__init__.py"] = ""
            above = above.rpartition(".")[0]
    return texts


@functools.cache
def runner_text() -> str:
    """The program that Node or Deno runs."""
    return (_folder(inside.__file__) / RUNNER).read_text(encoding="utf-8")


def _folder(file: str | None) -> Path:
    return Path(file or "").parent


def own_key() -> str:
    """Which state of our own files a prepared folder is good for."""
    said = json.dumps([runner_text(), modules()], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def snapshot_key(version: str, runtime: Runtime) -> str:
    """What a snapshot is good for: this Pyodide, this very program, these flags, our own files."""
    said = json.dumps([version, runtime.digest, _ENGINE, own_key()])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def command(runtime: Runtime, program: str, start: Start) -> tuple[str, ...]:
    """The arguments that start a worker, its program first; `program` is where it sees the runtime."""
    pages = min(-(-start.limits.memory // _PAGE), _MAX_PAGES)
    engine = [*_ENGINE, f"--wasm-max-mem-pages={pages}"]
    readable = [start.place, *([start.packages] if start.packages else [])]
    script = f"{start.place}/{RUNNER}"
    if runtime.kind == "node":
        permission = "--experimental-permission" if runtime.experimental_permissions() else "--permission"
        allowed = [f"--allow-fs-read={path}/*" for path in readable]
        flags = [permission, *allowed, "--no-warnings", "--no-addons", *engine]
    else:
        reply = f"/dev/fd/{start.replies},/proc/self/fd/{start.replies}"
        flags = [
            "run", "--no-prompt", "--no-remote", "--no-npm", "--no-config", "--no-lock", "--quiet",
            "--cached-only", f"--allow-read={','.join(readable)}", f"--allow-write={reply}",
            f"--v8-flags={','.join(engine)}",
        ]  # fmt: skip
    return (program, *flags, script, json.dumps(_told(start)))


def environment(runtime: Runtime) -> dict[str, str]:
    """All of the environment that a worker is given."""
    common = {"PATH": "/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}  # noqa: S108 - the worker's own
    if runtime.kind == "node":
        return common
    return common | {"DENO_DIR": "/tmp/deno", "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}  # noqa: S108 - as above


def _told(start: Start) -> dict[str, object]:
    return {
        "package": f"{start.place}/{PACKAGE}",
        "replies": start.replies,
        "snapshot": start.snapshot,
        "packages": start.packages,
        "make": start.make,
        "rounds": start.rounds,
        "answering": _ANSWERING,
        "modules": f"{start.place}/{MODULES}",
        "file_bytes": start.limits.file_bytes,
        "disk_bytes": max(DISK_BYTES, start.limits.file_bytes),
    }
