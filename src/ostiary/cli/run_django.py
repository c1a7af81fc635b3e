"""The options of `ostiary run django`, and what they come to."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ostiary.builtin import DjangoOptions
from ostiary.cli.django_project import VARIABLE, project_folder, settings_module
from ostiary.cli.proxy import Option
from ostiary.cli.server_command import ServerCommand
from ostiary.errors import CallerFault
from ostiary.limits import help_lines
from ostiary.settings import unset

MAX_SECONDS: Final = 600
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_EPILOG: Final = f"""\
limits with their defaults, for --limit NAME=VALUE (which may be repeated):
{help_lines()}

examples:
  a client on stdio, in the folder of the project
    ostiary run django --settings mysite.settings
  the same from the project itself, with ostiary.django_app installed in it
    python manage.py ostiary
  a project with an environment of its own, whose databases are only read
    ostiary run django --settings mysite.settings --project ~/site \\
      --python ~/site/.venv/bin/python --read-only
  clients over HTTP, under a policy of your own
    ostiary run django --settings mysite.settings \\
      --listen 127.0.0.1:8787 -p policy.yaml

Without -p a policy that comes with it is enforced: ten runs a minute, and
management commands that destroy data or never end denied.
--read-only and --rollback are guard rails: only a database role that may not
write keeps code from writing (docs/how-to/django-read-only.md).
Exit status: 0 when it was stopped, 2 when it could not run.
"""

_OPTIONS: Final[tuple[Option, ...]] = (
    (
        ("--settings",),
        {"metavar": "MODULE", "help": f"the settings module; by default what {VARIABLE} says"},
    ),
    (
        ("--project",),
        {"metavar": "DIR", "help": "the folder that holds manage.py (default: the current one)"},
    ),
    (
        ("--python",),
        {"metavar": "FILE", "help": "the interpreter that has the project's packages (default: ours)"},
    ),
    (
        ("--pythonpath",),
        {
            "metavar": "DIR",
            "action": "append",
            "help": "import from this folder, too; may be repeated",
        },
    ),
    (
        ("--state",),
        {
            "choices": ("session", "fresh"),
            "default": "session",
            "metavar": "NAME",
            "help": "session (default) keeps names from call to call; fresh keeps nothing",
        },
    ),
    (
        ("--read-only",),
        {"action": "store_true", "help": "refuse what would write to a database; a guard rail"},
    ),
    (
        ("--rollback",),
        {"action": "store_true", "help": "undo after each call what it wrote to a database"},
    ),
    (
        ("--env",),
        {
            "metavar": "NAME",
            "action": "append",
            "help": "give the project this variable of ours; by default it gets none",
        },
    ),
    (
        ("--redact",),
        {
            "metavar": "WORD",
            "action": "append",
            "help": "mask settings and variables with this word in their names, beside SECRET, "
            "TOKEN, PASSWORD, KEY and their like; may be repeated",
        },
    ),
    (
        ("--network",),
        {"action": "store_true", "help": "let code reach what this host can reach; a database needs it"},
    ),
    (
        ("--timeout",),
        {
            "metavar": "SECONDS",
            "type": float,
            "default": 30.0,
            "help": f"how long one call may take (default 30, at most {MAX_SECONDS})",
        },
    ),
    (
        ("--djangopackages",),
        {
            "metavar": "URL",
            "default": "",
            "help": "let the djangopackages tools ask this site, https://djangopackages.org for one",
        },
    ),
    (
        ("--naming",),
        {
            "choices": ("bare", "prefixed", "both"),
            "default": "bare",
            "metavar": "NAME",
            "help": "which names of its tools are listed: bare (default), prefixed or both",
        },
    ),
    (
        ("--extended",),
        {"action": "store_true", "help": "list arguments beyond those of mcp-django, and return values"},
    ),
    (
        ("--isolation",),
        {
            "choices": ("strict", "best-effort"),
            "metavar": "LEVEL",
            "help": "strict (default) refuses to start without its walls; best-effort says in every reply "
            "which are missing",
        },
    ),
    (("--cache-dir",), {"metavar": "DIR", "help": "where the sandbox's files are kept"}),
    (
        ("--unsafe-no-isolation",),
        {"action": "store_true", "help": "run code without any walls: it can do whatever you can"},
    ),
)


def _read(given: argparse.Namespace) -> DjangoOptions:
    if given.unsafe_no_isolation and given.isolation:
        raise CallerFault(
            "--isolation and --unsafe-no-isolation contradict each other", hint="leave one of them out"
        )
    if given.read_only and given.rollback:
        raise CallerFault(
            "--read-only and --rollback contradict each other",
            hint="--read-only refuses to write, --rollback undoes what was written",
        )
    project = project_folder(given.project)
    paths = tuple(_folder(text) for text in given.pythonpath or ())
    roots = (project, *(Path(path) for path in paths))
    named = given.settings or os.environ.get(VARIABLE)
    return DjangoOptions(
        settings=settings_module(named, roots, ours=not given.python),
        project=str(project),
        python=_interpreter(given.python) if given.python else "",
        pythonpath=paths,
        state=given.state,
        mode="read-only" if given.read_only else "rollback" if given.rollback else "",
        environment=_variables(given.env or ()),
        redact=tuple(given.redact or ()),
        network=given.network,
        isolation="none" if given.unsafe_no_isolation else given.isolation or "strict",
        naming=given.naming,
        extended=given.extended,
        timeout_ms=_milliseconds(given.timeout),
        djangopackages=given.djangopackages,
        cache_dir=given.cache_dir,
    )


def _folder(text: str) -> str:
    folder = Path(text).absolute()
    if not folder.is_dir():
        raise CallerFault(f"--pythonpath: there is no folder {folder}")
    return str(folder)


def _interpreter(text: str) -> str:
    path = Path(text).expanduser().absolute()
    if not os.access(path, os.X_OK) or path.is_dir():
        raise CallerFault(
            f"--python: {path} is not a program", hint="for example .venv/bin/python of the project"
        )
    return str(path)


def _variables(names: Sequence[str]) -> tuple[str, ...]:
    """The names, where all of them are set. Whoever typed a value there does not read it in an error."""
    for at, name in enumerate(names, 1):
        which = f" number {at} of {len(names)}" if len(names) > 1 else ""
        if not _VARIABLE.fullmatch(name):
            raise CallerFault(
                f"--env: what was given{which} is not the name of a variable",
                hint="its value is taken from our own environment, where no other process reads it",
            )
        if name not in os.environ:
            raise unset("--env", f"the variable{which}", name, os.environ)
    return tuple(names)


def _milliseconds(seconds: float) -> int:
    if not 0 < seconds <= MAX_SECONDS:
        raise CallerFault(f"--timeout: expected more than 0 and at most {MAX_SECONDS} seconds")
    return max(1, round(seconds * 1_000))


DJANGO: Final = ServerCommand(
    name="django",
    description="Run a shell in a Django project, for MCP clients, through a gate.",
    epilog=_EPILOG,
    options=_OPTIONS,
    read=_read,
)
