"""From a tool's arguments, which its schema has admitted, to what is to be run. Pure."""

from __future__ import annotations

import base64
import binascii
import keyword
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from ostiary.errors import CallerFault
from ostiary.sandbox.limits import DEFAULT_LIMITS, MAX_WALL_MS
from ostiary.sandbox.request import FileIn, RunRequest
from ostiary.servers.python.schemas import DEFAULT_TIMEOUT_MS

MAX_NAME: Final = 255
"""Bytes of a file's name, and of each part of it."""

Arguments = Mapping[str, Any]


def for_python_execute(arguments: Arguments, owner: str) -> RunRequest:
    """What `python_execute` runs. Raises CallerFault for names that cannot be variables."""
    return RunRequest(
        code=arguments["code"],
        owner=owner,
        context=_variables(arguments.get("context") or {}),
        requirements=tuple(arguments.get("requirements") or ()),
        limits=DEFAULT_LIMITS.lasting(int(arguments.get("timeout", DEFAULT_TIMEOUT_MS))),
    )


def for_run(arguments: Arguments, owner: str) -> RunRequest:
    """What `run` runs. Raises CallerFault for files and names that cannot be."""
    return RunRequest(
        code=arguments["code"],
        owner=owner,
        context=_variables(arguments.get("context") or {}),
        requirements=tuple(arguments.get("requirements") or ()),
        files=_files(arguments.get("files") or ()),
        stdin=str(arguments.get("stdin", "")).encode("utf-8", "surrogatepass"),
        session=arguments.get("session", ""),
        limits=DEFAULT_LIMITS.lasting(int(arguments.get("timeout_ms", DEFAULT_LIMITS.wall_ms))),
    )


def from_run_python_code(arguments: Arguments) -> dict[str, Any]:
    """Arguments of the alias `run_python_code` as those of `python_execute`."""
    code = arguments.get("python_code")
    if not isinstance(code, str):
        raise CallerFault("`python_code` is missing", hint="it is the Python code to execute, a string")
    given: dict[str, Any] = {"code": code}
    if arguments.get("global_variables") is not None:
        given["context"] = arguments["global_variables"]
    return given | _unknown(arguments, {"python_code", "global_variables"})


def from_run_python(arguments: Arguments) -> dict[str, Any]:
    """Arguments of the alias `run_python`, whose `timeout` is in seconds. Raises CallerFault."""
    if arguments.get("servers"):
        raise CallerFault("`servers` is not offered here", hint="leave it out: this code calls no tools")
    given = {key: value for key, value in arguments.items() if key not in {"servers", "timeout"}}
    seconds = arguments.get("timeout")
    if seconds is not None:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
            raise CallerFault("`timeout` is a number of seconds above 0")
        given["timeout"] = max(1, round(min(float(seconds), MAX_WALL_MS / 1000) * 1000))
    return given


def _unknown(arguments: Arguments, known: set[str]) -> dict[str, Any]:
    """What the alias does not know, for the schema of the tool to refuse."""
    return {key: value for key, value in arguments.items() if key not in known}


def _variables(context: Mapping[str, Any]) -> dict[str, Any]:
    for name in context:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise CallerFault(
                f"`context` has the name `{name[:80]}`, which cannot be a variable",
                hint="use letters, digits and `_`, and no word of the language",
            )
    return dict(context)


def _files(given: list[Arguments] | tuple[()]) -> tuple[FileIn, ...]:
    files = tuple(FileIn(_name(one["name"]), _content(one)) for one in given)
    names = [file.name for file in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise CallerFault(f"two files are called `{twice}`")
    return files


def _name(name: str) -> str:
    """A relative path that stays where it is put. Raises CallerFault."""
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or any(part in {"", ".", ".."} for part in parts):
        raise CallerFault(
            f"`{name[:80]}` is not a name for a file",
            hint="a relative path such as data/in.csv: no empty part, no `.` or `..`, no backslash",
        )
    if any(len(part.encode()) > MAX_NAME for part in (name, *parts)):
        raise CallerFault(f"the name `{name[:40]}…` is too long", hint=f"at most {MAX_NAME} bytes")
    return str(PurePosixPath(name))


def _content(file: Arguments) -> bytes:
    if ("text" in file) == ("base64" in file):
        raise CallerFault(f"the file `{file['name'][:80]}` needs either `text` or `base64`")
    if "text" in file:
        return str(file["text"]).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(file["base64"], validate=True)
    except (binascii.Error, ValueError):
        raise CallerFault(f"the `base64` of the file `{file['name'][:80]}` is not base64") from None
