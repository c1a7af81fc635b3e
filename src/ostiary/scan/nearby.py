"""What lies in the folder in which a package of npm is started, and decides what is run in its place.

`npx NAME@VERSION` takes a program of that name from the folder and those above before it fetches
anything, and the registry from their settings. A repository brings both along. Nothing is started.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import CallerFault
from ostiary.registry.change import named
from ostiary.registry.subject import Sign, Subject
from ostiary.scan.clients.fetch import fetch
from ostiary.wire.message import as_object

_SETTINGS: Final = (
    ".npmrc",
    ".pnpmfile.cjs",
    ".yarnrc",
    ".yarnrc.yml",
    "bunfig.toml",
    "pnpm-workspace.yaml",
)


def with_nearby(subject: Subject, folder: Path, home: Path) -> Subject:
    """The same package, with a sign where a file of `folder` or one above decides what is run.

    What lies in `home` itself is the person's own. Never raises.
    """
    if subject.kind != "npm":
        return subject
    for each in (folder, *folder.parents):
        if each == home:
            break
        found = next(_deciding(each, subject.name), None)
        if found is not None:
            text = f"{named(str(found))} decides what is run in that folder, whatever the command says"
            sign = Sign("folder-decides", "ask-first", text)
            return msgspec.structs.replace(subject, signs=(*subject.signs, sign))
    return subject


def _deciding(folder: Path, name: str) -> Iterator[Path]:
    yield from (folder / each for each in _SETTINGS if os.path.lexists(folder / each))
    modules = folder / "node_modules"
    if os.path.lexists(modules / name):
        yield modules / name
    yield from _programs(modules / ".bin", name)
    if _has_programs(folder / "package.json"):
        yield folder / "package.json"


def _programs(folder: Path, name: str) -> Iterator[Path]:
    """Programs by the name of the package, also with a version behind it, or below its scope."""
    scope, _, base = name.rpartition("/")
    try:
        with os.scandir(folder) as found:
            for each in found:
                if each.name == base or each.name.startswith(f"{base}@") or (scope and each.name == scope):
                    yield Path(each.path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        yield folder


def _has_programs(manifest: Path) -> bool:
    """Whether a project has programs of its own; also where that cannot be read."""
    try:
        found = fetch(manifest)
        if found is None:
            return False
        fields = as_object(json.loads(found.raw))
    except (CallerFault, ValueError, RecursionError):
        return True
    return fields is None or "bin" in fields or "directories" in fields
