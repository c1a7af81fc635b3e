"""Which Django project is meant: its folder, and its settings module, looked for without importing any."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ostiary.errors import CallerFault

VARIABLE: Final = "DJANGO_SETTINGS_MODULE"
MAX_LOOKED_AT: Final = 5_000
"""Entries of folders that are looked at for settings to suggest."""

MAX_DEPTH: Final = 3


def project_folder(given: str | None) -> Path:
    """The folder with manage.py. Raises CallerFault when there is no such folder."""
    folder = Path(given or ".").absolute()
    if not folder.is_dir():
        raise CallerFault(f"--project: there is no folder {folder}", hint="the folder that holds manage.py")
    return folder


def settings_module(named: str | None, roots: Sequence[Path], *, ours: bool) -> str:
    """The settings module, which has to be there as far as can be seen from outside.

    `roots` are what it can be imported from beside what the interpreter brings; `ours` says that this
    is our own. Raises CallerFault, with what may be meant, when none is named or it is not there.
    """
    if not named:
        near = next(iter(_suggested(roots)), "mysite.settings")
        raise CallerFault(
            f"which settings the project has is missing: neither --settings nor {VARIABLE} says it",
            hint=f"for example --settings {near}",
        )
    parts = named.split(".")
    if not all(part.isidentifier() for part in parts):
        raise CallerFault(
            f"--settings: `{named[:80]}` is not the name of a module", hint="for example mysite.settings"
        )
    if any(_holds(root, parts) for root in roots):
        return named
    below = any(_holds(root, parts[:1]) for root in roots)
    if below or (ours and not _installed(parts[0])):
        suggested = list(_suggested(roots))
        near = get_close_matches(named, suggested, n=1, cutoff=0.5) or suggested[:1]
        where = " or ".join(str(root) for root in roots)
        raise CallerFault(
            f"there is no settings module `{named[:80]}` below {where}",
            hint=f"did you mean `{near[0]}`" if near else "name the folder of the project: --project DIR",
        )
    return named


def _holds(root: Path, parts: Sequence[str]) -> bool:
    path = root.joinpath(*parts)
    return path.with_name(path.name + ".py").is_file() or path.is_dir()


def _installed(name: str) -> bool:
    """Whether our own interpreter has a module of this name; nothing is imported to find out."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _suggested(roots: Sequence[Path]) -> Iterator[str]:
    """Modules that look like settings, as they would be named."""
    left = MAX_LOOKED_AT
    for root in roots:
        for folder, folders, files in os.walk(root):
            left -= len(folders) + len(files)
            depth = len(Path(folder).relative_to(root).parts)
            if left < 0 or depth >= MAX_DEPTH:
                folders.clear()
            folders[:] = sorted(name for name in folders if name.isidentifier() and _is_source(folder, name))
            for name in sorted(files):
                module = [*Path(folder).relative_to(root).parts, name.removesuffix(".py")]
                if name.endswith(".py") and name != "__init__.py" and "settings" in module[-2:]:
                    yield ".".join(module)


def _is_source(folder: str, name: str) -> bool:
    return name != "node_modules" and not Path(folder, name, "pyvenv.cfg").exists()
