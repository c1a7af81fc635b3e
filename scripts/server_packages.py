"""Published packages in folders of their own, fetched without running anything that they bring."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from email.parser import HeaderParser
from pathlib import Path
from typing import NamedTuple, cast

from ostiary.registry.records import Entry

AT_ONCE = 2
SECONDS = 900
_LONGEST = 100


class Fetched(NamedTuple):
    """A package that is here, and how its server is started; or the `reason` why it is not."""

    entry: Entry
    command: tuple[str, ...] = ()
    license: str = ""
    reason: str = ""


class _CannotError(Exception):
    """Why a package cannot be had, in words for its record."""


class Packages:
    """Installs packages below `folder`, each once. `carried` is the folder of a Node.js wheel."""

    def __init__(self, folder: Path, carried: Path) -> None:
        self._folder = folder
        (folder / "home").mkdir(parents=True, exist_ok=True)
        self._node = folder / "node"
        if not (self._node / "bin/node").exists():
            # Outside of this checkout: behind the walls a server sees all of what it is started by.
            shutil.copytree(carried, self._node, symlinks=True)
        self._python = _system_python()

    def fetch(self, entry: Entry) -> Fetched:
        """Install one, unless it is there in this version. Never raises for a package."""
        place = self._folder / "installed" / entry.slug
        stamp = place / ".version"
        try:
            if not stamp.exists() or stamp.read_text() != entry.version:
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir(parents=True)
                print(f"fetching {entry.slug} {entry.version}")
                (self._npm if entry.registry == "npm" else self._pypi)(entry, place)
                stamp.write_text(entry.version)
            known = self._node_command if entry.registry == "npm" else _python_command
            return known(entry, place)
        except _CannotError as error:
            return Fetched(entry, reason=str(error))

    # --- npm --------------------------------------------------------------------------------------

    def _npm(self, entry: Entry, place: Path) -> None:
        (place / "package.json").write_text('{"private": true}\n')
        npm = [str(self._node / "bin/node"), str(self._node / "lib/node_modules/npm/bin/npm-cli.js")]
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--save-exact"]
        _run([*npm, "install", *options, f"{entry.name}@{entry.version}"], place, "npm")

    def _node_command(self, entry: Entry, place: Path) -> Fetched:
        package = place / "node_modules" / entry.name
        manifest = json.loads((package / "package.json").read_text(encoding="utf-8"))
        programs: dict[str, str] | str = manifest.get("bin") or {}
        if isinstance(programs, str):
            programs = {entry.name.rpartition("/")[2]: programs}
        if entry.command not in programs:
            raise _CannotError(f"the package brings no program `{entry.command}`")
        told = manifest.get("license") or ""
        license_ = told if isinstance(told, str) else str(cast("dict[str, object]", told).get("type", ""))
        command = (str(self._node / "bin/node"), str((package / programs[entry.command]).resolve()))
        return Fetched(entry, command, license_[:_LONGEST])

    # --- PyPI -------------------------------------------------------------------------------------

    def _pypi(self, entry: Entry, place: Path) -> None:
        _run([self._python, "-m", "venv", "--without-pip", str(place)], place, "venv")
        pip = [sys.executable, "-m", "pip", "--python", str(place / "bin/python"), "install"]
        options = ["--only-binary", ":all:", "--no-input", "--disable-pip-version-check", "--quiet"]
        _run([*pip, *options, f"{entry.name}=={entry.version}"], place, "pip")


def _python_command(entry: Entry, place: Path) -> Fetched:
    program = place / "bin" / entry.command
    if not program.exists():
        raise _CannotError(f"the package brings no program `{entry.command}`")
    stem = re.sub(r"[-_.]+", "_", entry.name)
    found = sorted(place.glob(f"lib/python3*/site-packages/{stem}-{entry.version}.dist-info/METADATA"))
    if not found:
        raise _CannotError("its metadata cannot be found where it was installed")
    return Fetched(entry, (str(program),), _license_of(found[0])[:_LONGEST])


def _license_of(metadata: Path) -> str:
    """What the metadata of a wheel names; where it only refers to a file, the first line of that."""
    told = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
    classified = [
        each.rpartition(" :: ")[2]
        for each in told.get_all("Classifier", [])
        if each.startswith("License :: OSI Approved ::")
    ]
    whole = (told.get("License") or "").strip()
    named = told.get("License-Expression") or ", ".join(classified) or ("" if "\n" in whole else whole)
    if named:
        return named
    texts = [
        whole,
        *(one.read_text(errors="replace") for one in sorted(metadata.parent.rglob("LICEN[CS]E*"))),
    ]
    return next((line for text in texts for line in text.strip().splitlines()[:1]), "").strip()


def _system_python() -> str:
    """An interpreter that the walls show to everybody: not one of somebody's home."""
    for name in ("python3.13", "python3.12", "python3.11", "python3.14"):
        found = shutil.which(name, path="/usr/local/bin:/usr/bin")
        if found and not subprocess.run([found, "-c", "import venv"], check=False).returncode:
            return found
    sys.exit("a Python of the system is needed, in /usr/bin: 3.11 or newer, with `venv`")


def _run(command: list[str], place: Path, program: str) -> None:
    """Run an installer in `place`. Raises _CannotError, with the first line that names an error."""
    try:
        done = subprocess.run(
            command, cwd=place, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise _CannotError(f"{program} took longer than {SECONDS} seconds") from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if "error" in line.lower()]
        last = said[0] if said else f"exit status {done.returncode}"
        raise _CannotError(f"{program} could not install it: {last.replace(str(place), '…')[:300]}")
