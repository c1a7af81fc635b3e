"""What a Django shell is told once, at start. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

ALWAYS_SECRET: Final = ("SECRET", "TOKEN", "PASSWORD", "PASSWD", "KEY", "DSN", "CREDENTIAL")
"""A setting or a variable whose name holds one of these words, in any case, is not shown."""

Mode = Literal["", "read-only", "rollback"]
"""What becomes of writes to databases: they stay, they are refused, or they are undone after each run."""


class DjangoSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One project, and how code is run in it. The same for as long as the runner lives.

    `settings` is what DJANGO_SETTINGS_MODULE says, `project` the folder that holds manage.py,
    `python` the interpreter that has the project's packages; empty means our own. `pythonpath` names
    folders to import from before that, `environment` the variables of the host that the project
    gets beside PATH, LANG and DJANGO_SETTINGS_MODULE. `state` is for who makes requests: with `session`
    they name one, with `fresh` they name none. `network` lets code reach what this host can reach.
    `redact` holds further words for names that are not shown, beside `ALWAYS_SECRET`.
    """

    settings: str
    project: Path
    python: str = ""
    pythonpath: tuple[str, ...] = ()
    state: Literal["session", "fresh"] = "session"
    mode: Mode = ""
    environment: tuple[str, ...] = ()
    isolation: Literal["strict", "best-effort", "none"] = "strict"
    network: bool = False
    redact: tuple[str, ...] = ()
