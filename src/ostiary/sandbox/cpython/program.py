"""The text that is sent inside: our own modules, in the order in which they import each other."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import msgspec

_INSIDE = "ostiary.sandbox.cpython.inside"
_PACKAGES = ("ostiary", "ostiary.sandbox", "ostiary.sandbox.cpython", "ostiary.sandbox.isolation", _INSIDE)
_MODULES = (
    "ostiary.sandbox.isolation.confine",
    *(
        f"{_INSIDE}.{name}"
        for name in ("frames", "files", "attempt", "show", "evaluate", "tools", "serving", "child", "zygote")
    ),
)


def boot() -> str:
    """What the interpreter is given with `-c`; its one argument is the number of the socket."""
    return _source(f"{_INSIDE}.boot")


def start(
    settings: dict[str, object], more: Sequence[tuple[str, str]] = (), begin: str = f"{_INSIDE}.zygote"
) -> bytes:
    """What it then reads: the modules, `more` of them, and the settings for the one that begins."""
    modules = [(name, "") for name in _PACKAGES] + [(name, _source(name)) for name in _MODULES]
    text = msgspec.json.encode({"modules": [*modules, *more], "start": begin, "settings": settings})
    return len(text).to_bytes(4, "big") + text


def _source(name: str) -> str:
    folder, _, last = name.rpartition(".")
    return files(folder).joinpath(f"{last}.py").read_text("utf-8")
