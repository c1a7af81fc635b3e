"""What a test needs from the machine.

`needs_…()` returns the thing, or skips the test and prints why. With CI=true nothing is skipped:
what is missing there is a failure, so that a green run always means that everything ran.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from tests.tools import engines
from tests.tools import node as nodes

ROOT = Path(__file__).resolve().parent.parent

UNBRAKED = ("--max-requests", "1000000000")
"""For a gate that is sent more in a minute than one agent could want."""


def missing(reason: str) -> NoReturn:
    """Skip the running test because of `reason`; fail it under CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing on this machine: {reason}", pytrace=False)
    pytest.skip(reason)


def needs_program(name: str) -> Path:
    """A program on PATH, or one that `make test` has fetched."""
    fetched = ROOT / ".venvs" / "programs" / "usr"
    found = shutil.which(name) or shutil.which(name, path=f"{fetched / 'bin'}:{fetched / 'sbin'}")
    if found is None:
        missing(f"program `{name}` is not on PATH")
    return Path(found)


def needs_shell(name: str) -> dict[str, str]:
    """What the environment of a shell needs: where it is, and where its own functions are.

    For one that `make test` has fetched; nothing for one that is installed. Skips without either.
    """
    if shutil.which(name) is not None:
        return {}
    fetched = ROOT / ".venvs" / "shells" / "usr"
    if not (fetched / "bin" / name).exists():
        missing(f"program `{name}` is not on PATH")
    functions = [str(path) for path in (fetched / "share/zsh/functions").rglob("*") if path.is_dir()]
    libraries = next((str(path.parent) for path in (fetched / "lib").rglob("libpcre2-32.so.0")), "")
    return {
        "PATH": f"{fetched / 'bin'}:{os.environ['PATH']}",
        "FPATH": ":".join(functions),
        "LD_LIBRARY_PATH": libraries,
    }


def needs_postgres() -> tuple[Path, dict[str, str]]:
    """The folder of PostgreSQL's server programs, installed or fetched, and the environment they need."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if installed:
        return installed[-1].parent, {}
    fetched = ROOT / ".venvs" / "postgres"
    found = next(fetched.glob("usr/lib/postgresql/*/bin/initdb"), None)
    if found is None:
        missing("PostgreSQL is not installed; run `make .venvs/postgres/stamp`")
    libraries = {str(path.parent) for path in fetched.glob("**/*-linux-gnu/*.so.*")}
    return found.parent, {"LD_LIBRARY_PATH": ":".join(sorted(libraries))}


def needs_browser() -> tuple[list[str], dict[str, str]]:
    """The command line of a Chromium, fetched or installed, and the environment it needs."""
    fetched = ROOT / ".venvs" / "browser"
    shell = fetched / "usr/lib/chromium/chromium-headless-shell"
    if shell.exists():
        libraries = {str(path.parent) for path in fetched.glob("usr/lib/*-linux-gnu/**/*.so*")}
        return [str(shell)], {"LD_LIBRARY_PATH": ":".join(sorted(libraries))}
    for name in ("chromium-headless-shell", "chromium"):
        found = shutil.which(name)
        if found is not None:
            return [found, "--headless"], {}
    missing("Chromium is not installed; run `make .venvs/browser/stamp`")


def needs_bubblewrap() -> str:
    """A PATH on which `bwrap` is found, for `probe`."""
    return f"{needs_program('bwrap').parent}:{os.environ.get('PATH', os.defpath)}"


def needs_root(what: str) -> None:
    """Only root can do `what`."""
    if os.geteuid() != 0:
        missing(f"only root can {what}")


def needs_node() -> Path:
    """Node.js, from PATH or from the development environment."""
    found = nodes.node()
    if found is None:
        missing(f"Node.js {nodes.NAMED} or newer is not installed")
    return found


def needs_npm_program(name: str) -> list[str]:
    """Command line of a program from `tests/npm`, as `[node, script]`."""
    runtime = needs_node()
    script = ROOT / "tests/npm/node_modules/.bin" / name
    if not script.exists():
        missing(f"`{name}` is not installed; run `make tests/npm/node_modules/stamp`")
    return [str(runtime), str(script.resolve())]


def needs_npm_modules() -> Path:
    """Folder that holds `node_modules`, to run a script of ours beside the TypeScript clients."""
    needs_node()
    if not (ROOT / "tests/npm/node_modules/@modelcontextprotocol").is_dir():
        missing("npm packages are not installed; run `make tests/npm/node_modules/stamp`")
    return ROOT / "tests/npm"


def needs_environment(name: str, program: str = "python") -> Path:
    """A program of `.venvs/NAME`: `mcp1` (official client 1.x) or `servers` (git, time, fetch)."""
    path = ROOT / ".venvs" / name / "bin" / program
    if not path.exists():
        missing(f"`{program}` of environment `{name}` is not installed; run `make .venvs/{name}/stamp`")
    return path


def full_size() -> bool:
    """Whether this is `make test-full`."""
    return os.environ.get("OSTIARY_TEST_FULL") == "1"


def size(small: int, full: int) -> int:
    """The small number in `make test`, the full one in `make test-full`."""
    return full if full_size() else small


def _needs_engine(start: Callable[[], str]) -> str:
    needs_root("start a container engine")
    if not (engines.PROGRAMS / "images").is_dir():
        missing("no container engines are here; run `make .venvs/containers/stamp`")
    try:
        return start()
    except RuntimeError as error:
        missing(str(error))


def needs_docker() -> str:
    """The address of this session's Docker engine; its images are `engines.IMAGES`."""
    return _needs_engine(lambda: engines.engine("docker"))


def needs_podman() -> str:
    """The address of this session's podman; the same images."""
    return _needs_engine(lambda: engines.engine("podman"))


def needs_gvisor() -> str:
    """The address of an engine whose runtime `runsc` works."""
    return _needs_engine(engines.gvisor)


def needs_django_6() -> Path:
    """The interpreter of Django 6. Nobody has to have a Python that is new enough for it."""
    newer = subprocess.run(
        [ROOT / "scripts/find-python.sh"],
        env={**os.environ, "OLDEST": "12"},
        capture_output=True,
        check=False,
        timeout=30,
    )
    if newer.returncode != 0:
        pytest.skip("no Python 3.12 or newer is here, which Django 6 wants")
    return needs_environment("django6")
