"""The copy of Pyodide that the Pyodide engine uses, for a server that uses it without walls."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ostiary.errors import OstiaryError
from ostiary.sandbox.isolation.cache import cache_folder
from ostiary.sandbox.pyodide.javascript import find_runtime
from ostiary.sandbox.pyodide.prepare import find_pyodide


@dataclass(frozen=True)
class Copy:
    """Its folder, and the Node that runs it."""

    folder: Path
    node: str


def pyodide_copy() -> Copy | None:
    """None where it was not prepared, or no Node is here."""
    try:
        runtime = find_runtime(os.environ)
        found = find_pyodide(cache_folder(os.environ), runtime)
    except OstiaryError:
        return None
    return None if found is None else Copy(Path(found.place, "package"), runtime.path)
