"""The text that is sent inside: what `cpython` sends, and our own modules on top."""

from __future__ import annotations

from importlib.resources import files

from ostiary.sandbox.cpython import program as cpython

_INSIDE = "ostiary.sandbox.django.inside"
_MODULES = (
    "reach", "alarm", "guard", "watch", "secrecy", "about", "routes", "commands", "answers", "shell", "warm",
)  # fmt: skip


def boot() -> str:
    """What the interpreter is given with `-c`; its one argument is the number of the socket."""
    return cpython.boot()


def start(settings: dict[str, object]) -> bytes:
    """What it then reads: the modules, and the settings for `inside.warm`."""
    more = [("ostiary.sandbox.django", ""), (_INSIDE, "")]
    folder = files(_INSIDE)
    more += [(f"{_INSIDE}.{name}", folder.joinpath(f"{name}.py").read_text("utf-8")) for name in _MODULES]
    return cpython.start(settings, more, f"{_INSIDE}.warm")
