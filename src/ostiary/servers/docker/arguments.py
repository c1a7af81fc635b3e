"""From the arguments of the toolset `exec`, which its schema has admitted, to what is asked. Pure.

Nothing reaches a command line here, so nothing can become an option of one; names that begin with `-`
are refused all the same, because whoever sends them means an option.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ostiary.errors import CallerFault
from ostiary.servers.docker.exec_schemas import Schema

DEFAULT_TIMEOUT_MS: Final = 30_000

Arguments = Mapping[str, Any]

_WORDS: Final = {"true": True, "false": False}


class ExecAsked(NamedTuple):
    """What `exec` was asked for. `limit` is in characters, None for no limit of the caller's own."""

    container: str
    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    env_file: str | None = None
    workdir: str = ""
    user: str = ""
    detach: bool = False
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    parse_json: bool = False
    limit: int | None = None
    path: str | None = None
    compact: bool = True


def accepted(listed: Schema) -> Schema:
    """What a tool takes that lists `listed`: also the words "true" and "false" for a boolean.

    A string where a list belongs is let through, for this module to say what is wrong with it.
    """
    properties = {name: _accepted(schema) for name, schema in listed["properties"].items()}
    return listed | {"properties": properties}


def _accepted(schema: Schema) -> Schema:
    match schema.get("type"):
        case "boolean":
            return {"anyOf": [{"type": "boolean"}, {"enum": list(_WORDS)}]}
        case "array":
            return {"anyOf": [schema, {"type": "string"}]}
        case _:
            return schema


def exec_asked(arguments: Arguments) -> ExecAsked:
    """Read the arguments of `exec`. Raises CallerFault for what cannot be meant."""
    container = no_option("container", arguments["container"])
    env = strings("env", arguments.get("env") or (), 'for example ["NAME=VALUE"]')
    return ExecAsked(
        container=container,
        argv=_command(arguments["command"]),
        env=tuple(variable("env", one) for one in env),
        env_file=arguments.get("envFile"),
        workdir=_place("workdir", arguments.get("workdir", "")),
        user=_place("user", arguments.get("user", "")),
        detach=flag(arguments, "detach"),
        timeout_ms=int(arguments.get("timeout", DEFAULT_TIMEOUT_MS)),
        parse_json=flag(arguments, "parseJson"),
        limit=count(arguments, "limit"),
        path=arguments.get("path"),
        compact=flag(arguments, "compact", default=True),
    )


def flag(arguments: Arguments, name: str, *, default: bool = False) -> bool:
    """A boolean, or the word for one."""
    value = arguments.get(name, default)
    return _WORDS[value] if isinstance(value, str) else bool(value)


def count(arguments: Arguments, name: str, *, least: int = 0) -> int | None:
    """A whole number, None where it is not given. Raises CallerFault for one below `least`."""
    value = arguments.get(name)
    if value is None:
        return None
    if not math.isfinite(value) or value < least:
        raise CallerFault(f"`{name}` is {least} or more, found {value}")
    return int(value)


def strings(name: str, given: Sequence[str] | str, hint: str) -> tuple[str, ...]:
    """A list of strings. Raises CallerFault for a single string, and for one that no system call takes."""
    if isinstance(given, str):
        raise CallerFault(f"`{name}` is a list of strings, found one string", hint=hint)
    return tuple(_whole(name, one) for one in given)


def no_option(name: str, value: str) -> str:
    """A name that is none of an option. Raises CallerFault."""
    if value.startswith("-"):
        raise CallerFault(
            f"`{name}` begins with `-`: `{value[:80]}`",
            hint="options of the engine's client mean nothing here",
        )
    if not value:
        raise CallerFault(f"`{name}` is empty")
    return _whole(name, value)


def variable(where: str, text: str) -> str:
    """`NAME=VALUE`. Raises CallerFault, most of all for a name alone, which would copy a variable of ours."""
    name, equals, _ = text.partition("=")
    shown = name[:80]
    if not equals:
        raise CallerFault(
            f"`{where}` has `{shown}` without `=`",
            hint="NAME=VALUE; a name alone would copy the variable of the machine that runs this server",
        )
    if not name or name.startswith("-") or any(char.isspace() for char in name):
        raise CallerFault(f"`{where}` has `{shown}`, which cannot be the name of a variable")
    return _whole(where, text)


def _command(given: Sequence[str] | str) -> tuple[str, ...]:
    argv = strings("command", given, 'for example ["ls", "-la"], or ["sh", "-c", "ls | wc -l"]')
    if not argv:
        raise CallerFault("`command` is empty", hint='its first item is the program, as in ["ls", "-la"]')
    if not argv[0] or argv[0].startswith("-"):
        raise CallerFault(
            f"`command` begins with `{argv[0][:80]}`, which is no program",
            hint="options of the engine's client mean nothing here",
        )
    return argv


def _place(name: str, value: str) -> str:
    return no_option(name, value) if value else ""


def _whole(name: str, text: str) -> str:
    """A text that a system call takes whole."""
    if "\0" in text:
        raise CallerFault(f"`{name}` holds a NUL character")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise CallerFault(f"`{name}` holds half a character")
    return text
