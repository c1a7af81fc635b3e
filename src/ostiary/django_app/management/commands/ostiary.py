"""`manage.py ostiary`: `ostiary run django` with the settings of this project."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

_base: Any = import_module("django.core.management.base")  # Django has no types of its own


class Command(_base.BaseCommand):
    """Makes room for the gate: this process, with Django in it, becomes one without."""

    help = "Serve a shell in this project to MCP clients. Options are those of `ostiary run django`."

    def run_from_argv(self, argv: Sequence[str]) -> NoReturn:
        """Everything after the command is for the gate, which reads it instead of Django.

        The settings are in the environment by now: manage.py has put them there, or --settings has.
        """
        line = gate(argv[0], argv[2:])
        os.execve(line[0], line, os.environ)  # noqa: S606 - a program, and no shell

    def handle(self, *args: object, **options: object) -> NoReturn:
        """Raise CommandError: there is nothing that could be returned to a caller in Python."""
        raise _base.CommandError("this command is for a command line: it serves until it is stopped")


def gate(program: str, options: Sequence[str]) -> list[str]:
    """The command line of the gate. `program` is manage.py, and the project is where it is.

    The gate imports nothing from there (-P): an app may be called like a module of the standard library.
    """
    named = any(option.partition("=")[0] == "--project" for option in options)
    project = [] if named else ["--project", str(Path(program).absolute().parent)]
    return [sys.executable, "-P", "-m", "ostiary", "run", "django", *project, *options]
