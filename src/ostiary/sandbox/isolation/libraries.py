"""What shared libraries a program needs, as its own loader finds them."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ostiary.errors import GatewayFault

_MAGIC: Final = b"\x7fELF\x02\x01"  # 64 bit, little endian: x86_64 and aarch64
_INTERPRETER: Final = 3  # PT_INTERP
_LINE: Final = re.compile(rb"^\s*(\S+) => (/.+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_MISSING: Final = re.compile(rb"^\s*(\S+) => not found$", re.MULTILINE)
_TIMEOUT: Final = 30


def loader(program: Path) -> str | None:
    """The loader that `program` names, or None where it needs none (static) or is no program."""
    with program.open("rb") as file:
        head = file.read(64)
        if head[:6] != _MAGIC:
            return None
        (offset,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        file.seek(offset)
        table = file.read(size * count)
        for start in range(0, len(table), size):
            kind, _, where, _, _, length = struct.unpack_from("<IIQQQQ", table, start)
            if kind == _INTERPRETER:
                file.seek(where)
                return file.read(length).rstrip(b"\0").decode()
    return None


def closure(loader_path: str, files: Iterable[Path]) -> dict[str, Path]:
    """Every library that `files` need, at any depth: its name and where it lies here.

    Asks the loader, which knows the search paths of this system and runs nothing of the files.
    Libraries that are missing here are left out: a module that wants one cannot be imported here
    either. Raises GatewayFault when the loader does not answer.
    """
    found: dict[str, Path] = {}
    for file in files:
        for name, path in _needed(loader_path, file):
            found.setdefault(name, path)
    return found


def _needed(loader_path: str, file: Path) -> list[tuple[str, Path]]:
    try:
        # INVARIANT: argv only; the environment is empty, so no LD_PRELOAD of the caller counts.
        told = subprocess.run(  # noqa: S603 - the loader of the system
            [loader_path, "--list", str(file)],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GatewayFault(f"cannot ask {loader_path} what {file} needs: {error}") from error
    return [(Path(name.decode()).name, Path(path.decode())) for name, path in _LINE.findall(told.stdout)]
