"""What of a Python installation goes into a built root: the program and its standard library."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import CallerFault, GatewayFault

_ASK: Final = (
    "import sys, sysconfig, json; print(json.dumps({"
    "'version': '%d.%d.%d' % sys.version_info[:3], 'tag': sys.implementation.cache_tag,"
    "'program': getattr(sys, '_base_executable', None) or sys.executable,"
    " 'library': sysconfig.get_path('stdlib')}))"
)
_TIMEOUT: Final = 30
_LEFT_OUT: Final = frozenset(
    {
        "__pycache__", "config", "dist-packages", "distutils", "ensurepip", "idlelib", "lib2to3",
        "pydoc_data", "site-packages", "sitecustomize.py", "test", "tests", "tkinter", "turtle.py",
        "turtledemo",
    }
)  # fmt: skip
"""Names of files and folders of the standard library that no run needs: 80 of its 130 MB."""
_LEFT_OUT_MODULES: Final = ("_tkinter.", "_test", "_ctypes_test.", "_xxtestfuzz.", "xxlimited", "xxsubtype.")


class Interpreter(msgspec.Struct, frozen=True):
    """A Python installation: `program` and `library` with every link resolved, `version` as 3.12.1."""

    program: str
    library: str
    version: str
    tag: str

    @property
    def name(self) -> str:
        """`python3.12`: what the program and the folder of its library are called."""
        return "python" + ".".join(self.version.split(".")[:2])


def inspect(python: Path) -> Interpreter:
    """Ask an interpreter what it is made of; one of a virtual environment names what it stands on.

    Raises CallerFault when it cannot be run, and GatewayFault when it does not answer as expected.
    """
    try:
        told = subprocess.run(  # noqa: S603 - the operator's own interpreter
            [str(python), "-I", "-S", "-c", _ASK],
            env={"PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CallerFault(f"cannot run the interpreter {python}: {error}") from error
    try:
        found = msgspec.json.decode(told.stdout, type=Interpreter)
    except msgspec.DecodeError as error:
        raise GatewayFault(f"{python} did not say what it is: {error}") from error
    return msgspec.structs.replace(
        found, program=str(Path(found.program).resolve()), library=str(Path(found.library).resolve())
    )


def library_files(found: Interpreter) -> Iterator[tuple[str, Path]]:
    """The files of its standard library that are taken: path below the library, and where it lies.

    Compiled files go along, so that nothing is compiled at every start. Links that lead out of the
    library are not followed: they lead into somebody's configuration.
    """
    top = Path(found.library)
    for where, folders, files in os.walk(top):
        folder = Path(where)
        folders[:] = sorted(name for name in folders if not _left_out(name))
        for name in sorted(files):
            path = folder / name
            if _left_out(name) or not path.resolve().is_relative_to(top) or not path.is_file():
                continue
            yield path.relative_to(top).as_posix(), path
            compiled = folder / "__pycache__" / f"{path.stem}.{found.tag}.pyc"
            if name.endswith(".py") and compiled.is_file():
                yield compiled.relative_to(top).as_posix(), compiled


def _left_out(name: str) -> bool:
    return name in _LEFT_OUT or name.startswith(("config-", *_LEFT_OUT_MODULES)) or name.endswith(".a")
