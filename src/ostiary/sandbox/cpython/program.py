"""The text that is sent inside: our own modules, in the order in which they import each other."""

from __future__ import annotations

from importlib.resources import files

import msgspec

_INSIDE = "ostiary.sandbox.cpython.inside"
_PACKAGES = ("ostiary", "ostiary.sandbox", "ostiary.sandbox.cpython", "ostiary.sandbox.isolation", _INSIDE)
_MODULES = (
    "ostiary.sandbox.isolation.confine",
    *(
        f"{_INSIDE}.{name}"
        for name in ("frames", "files", "attempt", "show", "evaluate", "serving", "child", "zygote")
    ),
)


def boot() -> str:
    """What the interpreter is given with `-c`; its one argument is the number of the socket."""
    return _source(f"{_INSIDE}.boot")


def start(settings: dict[str, object]) -> bytes:
    """What it then reads: the modules, and the settings for `inside.zygote`."""
    modules = [(name, "") for name in _PACKAGES] + [(name, _source(name)) for name in _MODULES]
    text = msgspec.json.encode({"modules": modules, "start": f"{_INSIDE}.zygote", "settings": settings})
    return len(text).to_bytes(4, "big") + text


def _source(name: str) -> str:
    folder, _, last = name.rpartition(".")
    return files(folder).joinpath(f"{last}.py").read_text("utf-8")
