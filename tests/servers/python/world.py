"""The Python server in processes of its own, and official clients in front of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.e2e.driver import Stdio
from tests.e2e.world import Gate, state_folder
from tests.needs import UNBRAKED, needs_program

OSTIARY = [sys.executable, "-m", "ostiary"]
CACHE = Path(f"/var/tmp/ostiary-tests-{os.geteuid()}")
"""One for all tests of this user: it is built once, and workers with users of their own reach it."""

ALLOW = """\
version: "1"
default: allow
tools: {}
resources: {default: allow}
"""


def walled() -> dict[str, str]:
    """The environment of a server that needs its walls."""
    bubblewrap = needs_program("bwrap")
    return {"PATH": f"{bubblewrap.parent}:{os.environ['PATH']}", "OSTIARY_CACHE_DIR": str(CACHE)}


def over_stdio(folder: Path, *options: str) -> Stdio:
    """The server as a client starts it, under a policy that allows everything."""
    given = () if "-p" in options else ("-p", str(allowing(folder)))
    command = [
        *OSTIARY,
        "run",
        "python",
        "--state-dir",
        str(state_folder(folder)),
        *given,
        *UNBRAKED,
        *options,
    ]
    return Stdio(command, folder / "log", walled())


def over_http(folder: Path, *options: str) -> Gate:
    """The server as a gate that listens, under the same policy."""
    return Gate(allowing(folder), folder, *UNBRAKED, *options, upstream="builtin:python", env=walled())


def allowing(folder: Path) -> Path:
    """A policy that allows everything."""
    policy = folder / "allow.yaml"
    policy.write_text(ALLOW, encoding="utf-8")
    return policy
