"""Loads the project once, tells the host about it, then forks a child for each byte that comes."""

from __future__ import annotations

import contextlib
import functools
import os
import site
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Final, NoReturn

from ostiary.sandbox.cpython.inside import frames, serving, show, zygote
from ostiary.sandbox.cpython.inside.attempt import attempt
from ostiary.sandbox.django.inside import about, shell
from ostiary.sandbox.django.inside.guard import Guard, disconnect
from ostiary.sandbox.django.inside.reach import module, settings
from ostiary.sandbox.django.inside.secrecy import Secrecy
from ostiary.sandbox.django.inside.watch import Watch

OLDEST: Final = (5, 2)
_MOST = 8_192


class UnfitError(Exception):
    """The interpreter has no Django, or one that is too old."""


def main(control: socket.socket, told: dict[str, Any]) -> NoReturn:
    """Set the project up, and fork from then on; end with a word about it where that fails."""
    serving.forget_ourselves()
    loaded, error = attempt(lambda: _load(told))
    if loaded is None:
        frames.send(control, {"fault": _fault(error, told["project"])})
        os._exit(1)
    frames.send(control, _facts(loaded))
    zygote.fork(control, told, functools.partial(shell.serve, loaded=loaded))


def _load(told: dict[str, Any]) -> shell.Loaded:
    _become(told)
    os.chdir(told["project"])
    try:
        django = module("django")
    except ImportError as error:
        raise UnfitError(f"this interpreter has no Django: {error}") from error
    if django.VERSION[:2] < OLDEST:
        raise UnfitError(f"Django {django.__version__} is older than {'.'.join(map(str, OLDEST))}")
    django.setup()
    for name in ("asgiref.sync", "django.core.management", "django.db.transaction"):
        module(name)
    disconnect()
    guarded = Guard(told["mode"])
    guarded.install()
    watch = Watch(told["watched"])
    watch.look()
    return shell.Loaded(told["project"], guarded, watch, Secrecy(told["words"]))


def _become(told: dict[str, Any]) -> None:
    """Be the project's interpreter: its paths, its packages and what those want done at a start."""
    library = told["library"]  # by its own name where that leads to it, which without walls it may not
    there = any(os.access(f"{path}/os.py", os.R_OK) for path in library)
    sys.path[:] = [*told["front"], *(library if there else sys.path), *told["path"]]
    for name, value in told["facts"].items():
        setattr(sys, name, value)
    site.setquit()
    site.sethelper()
    about.PACKAGES[:] = told["packages"]
    for folder in told["packages"]:
        for file in sorted(Path(folder).glob("*.pth")):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                for line in file.read_text("utf-8").splitlines():
                    if line.startswith(("import ", "import\t")):
                        attempt(functools.partial(exec, line))  # what `site` does with such lines


def _facts(loaded: shell.Loaded) -> dict[str, Any]:
    databases = settings().DATABASES
    return {
        "ready": True,
        "django": module("django").__version__,
        "databases": [
            {
                "alias": alias,
                **{key.lower(): str(one.get(key) or "") for key in ("ENGINE", "NAME", "HOST", "PORT")},
            }
            for alias, one in databases.items()
        ],
        "secrets": loaded.secrecy.found(settings(), os.environ),
        "threads": threading.active_count(),
    }


def _fault(error: BaseException | None, project: str) -> dict[str, str]:
    """What happened, in Python's words, and the last line of the project that led there."""
    if error is None:
        return {"type": "", "message": "it did not load", "where": ""}
    where = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(project):
            where = f"{frame.filename}, line {frame.lineno}"
    kind = "" if isinstance(error, UnfitError) else type(error).__name__
    words, _ = attempt(lambda: str(error))
    return {"type": kind, "message": show.clean(words or "", _MOST), "where": where}
