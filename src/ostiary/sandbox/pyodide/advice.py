"""What to do about a module that is made for Pyodide, but only on servers of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from ostiary.sandbox.record import Fault

_LISTING: Final = "package/pyodide-lock.json"
_MISSING: Final = re.compile(r"No module named '([A-Za-z0-9_]+)")


def packages_of(place: Path) -> dict[str, str]:
    """Which package of Pyodide's own distribution brings which module; empty where no file tells."""
    try:
        listing: Any = msgspec.json.decode((place / _LISTING).read_bytes())
        return {module: name for name, one in listing["packages"].items() for module in one["imports"]}
    except (OSError, msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return {}


def advice(fault: Fault | None, packages: Mapping[str, str]) -> tuple[str, ...]:
    """In our words, and about a name of ours: the fault itself may be made up."""
    if fault is None or fault.type != "ModuleNotFoundError":
        return ()
    found = _MISSING.match(fault.message)
    package = packages.get(found[1]) if found else None
    if package is None:
        return ()
    told = (
        f"`{package}` is made for this engine, but only in Pyodide's own distribution, and not where "
        "packages come from here: run this with the engine `cpython`"
    )
    return (told,)
