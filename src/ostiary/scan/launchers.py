"""Commands that fetch what they start: what they would start is looked for on this machine instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, cast

import msgspec

from ostiary.errors import CallerFault

_NODE: Final = frozenset({"npx", "bunx", "pnpx"})
_PYTHON: Final = frozenset({"uvx", "pipx"})
_CONTAINERS: Final = frozenset({"docker", "podman", "nerdctl"})
_WITH_VALUE: Final = frozenset(
    {"-p", "--package", "--from", "--with", "--python", "--directory", "--project"}
)
_NAMED: Final = re.compile(
    r"(?P<name>(?:@[\w~][\w.~-]*/)?[\w~][\w.~-]*)(?:(?:@|==)(?P<version>[\w.~^*+-]+))?(?:\[.*\])?\Z"
)
_MOST: Final = 2_000
_MANIFEST: Final = 1 << 20


class Fetched(msgspec.Struct, frozen=True):
    """What a launcher was asked for: a `package` (`version` empty for any), its program, its arguments."""

    launcher: str
    package: str
    version: str
    program: str
    arguments: tuple[str, ...]


def read_launcher(command: Sequence[str]) -> Fetched | None:
    """What `command` would fetch, or None where it is no launcher. Raises CallerFault for a container."""
    name = command[0].rpartition("/")[2] if command else ""
    words = list(command[1:])
    if name in _CONTAINERS and "run" in words:
        raise CallerFault(
            f"`{name} run` starts a container by a socket that no walled-off program may see",
            hint="a container has walls of its own: scan it with --unsafe-no-isolation, or what runs in it",
        )
    if words[:1] == ["exec"] and name == "npm":
        name, words = "npx", words[1:]
    if words[:2] == ["tool", "run"] and name == "uv":
        name, words = "uvx", words[2:]
    if name == "pipx":
        if words[:1] != ["run"]:
            return None
        words = words[1:]
    return _asked(name, words) if name in _NODE | _PYTHON else None


def installed(fetched: Fetched, cwd: Path | None, home: Path, node_prefix: Path | None) -> tuple[str, ...]:
    """The command that starts it from where it is installed or was fetched before; empty without any."""
    if not _NAMED.match(fetched.package) or "/" in fetched.program:
        return ()  # a URL or a path: it is fetched from there
    if fetched.launcher in _PYTHON:
        found = next(_python(fetched, home), None)
        return (str(found), *fetched.arguments) if found is not None else ()
    found = next(_node(fetched, cwd, home, node_prefix), None)
    return ("node", str(found), *fetched.arguments) if found is not None else ()


def without_uv(command: Sequence[str], cwd: Path | None) -> tuple[str, ...]:
    """`uv run NAME` by the environment that uv has made for the project; empty where that is not there."""
    words = list(command[1:])
    if not command or command[0].rpartition("/")[2] != "uv" or "run" not in words:
        return ()
    at = words.index("run")
    project = next((Path(value) for flag, value in pairwise(words) if flag in _FOLDERS), cwd)
    rest = _after_options(words[at + 1 :])
    if project is None or not rest:
        return ()
    if cwd is not None:
        project = cwd / project
    scripts = project / ".venv" / "bin"
    if rest[0].endswith(".py"):
        return (str(scripts / "python"), str(project / rest[0]), *rest[1:]) if scripts.is_dir() else ()
    program = scripts / rest[0]
    return (str(program), *rest[1:]) if program.is_file() else ()


_FOLDERS: Final = frozenset({"--directory", "--project"})


def _after_options(words: Sequence[str]) -> list[str]:
    rest = list(words)
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in _WITH_VALUE else rest[1:]
    return rest


def _asked(launcher: str, words: list[str]) -> Fetched | None:
    package = next(
        (value for flag, value in pairwise(words) if flag in {"-p", "--package", "--from"}),
        "",
    )
    rest = _after_options(words)
    if not rest:
        return None
    named = _NAMED.match(package or rest[0])
    if named is None:
        return Fetched(launcher, package or rest[0], "", "", ())
    program = rest[0] if package else ""
    version = named["version"] or ""
    return Fetched(launcher, named["name"], "" if version == "latest" else version, program, tuple(rest[1:]))


def _python(fetched: Fetched, home: Path) -> Iterator[Path]:
    program = fetched.program or fetched.package
    tools = home / ".local/share"
    yield from _programs(
        [tools / "uv/tools" / fetched.package, tools / "pipx/venvs" / fetched.package], program
    )
    cached = _listed(home / ".cache/uv", "archive-v*/*")
    yield from (
        found
        for found in _programs(cached, program)
        if next(_distributions(found.parents[1], fetched), None) is not None
    )


def _distributions(environment: Path, fetched: Fetched) -> Iterator[Path]:
    name = re.sub(r"[-_.]+", "_", fetched.package)
    pattern = f"lib/python3*/site-packages/{name}-{fetched.version or '*'}.dist-info"
    yield from environment.glob(pattern)


def _programs(environments: Sequence[Path], program: str) -> Iterator[Path]:
    for one in environments:
        found = one / "bin" / program
        if (one / "pyvenv.cfg").is_file() and found.is_file():
            yield found


def _node(fetched: Fetched, cwd: Path | None, home: Path, prefix: Path | None) -> Iterator[Path]:
    beside = [] if cwd is None else [one / "node_modules" for one in (cwd, *cwd.parents)]
    everywhere = [] if prefix is None else [prefix / "lib/node_modules"]
    for modules in [*beside, *everywhere, *_listed(home / ".npm/_npx", "*/node_modules")]:
        found = _entry(modules / fetched.package, fetched)
        if found is not None:
            yield found


def _listed(folder: Path, pattern: str) -> list[Path]:
    """The newest first."""
    try:
        found = [path for path, _ in zip(folder.glob(pattern), range(_MOST), strict=False)]
        return sorted(found, key=lambda path: -path.stat().st_mtime)
    except OSError:
        return []


def _entry(package: Path, fetched: Fetched) -> Path | None:
    """The file that a package names as its program, where it is of the version that was asked for."""
    manifest = package / "package.json"
    try:
        if not manifest.is_file():
            return None
        with manifest.open("rb") as file:
            about = json.loads(file.read(_MANIFEST))
        named: object = about.get("bin")
        if fetched.version and about.get("version") != fetched.version:
            return None
        if isinstance(named, dict):
            programs = cast("dict[str, object]", named)
            wanted = fetched.program or fetched.package.rpartition("/")[2]
            named = programs.get(wanted) or (next(iter(programs.values())) if len(programs) == 1 else None)
        found = package / named if isinstance(named, str) else None
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return found if found is not None and found.is_file() else None
