"""The first policy for a server: every tool is there, and every tool is denied.

What the server says of its tools goes into comments, for the person who will allow some of them.
All of it is hostile text: it cannot end a comment, steer a terminal, or hide from a reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from textwrap import wrap
from typing import Final, cast

from ostiary.policy.definition import ToolDefinition
from ostiary.policy.twins import fold
from ostiary.registry.change import printable
from ostiary.registry.suggestion import arguments_of, description_of, limits, requirements
from ostiary.wire.message import as_object

WIDTH: Final = 96
MAX_DESCRIPTION: Final = 300
MAX_BYTES: Final = 1024 * 1024
"""No policy is longer than that (P1.7)."""

MAX_TOOLS: Final = 5_000
MAX_NAME: Final = 1_024

REASON: Final = "nobody has allowed this tool yet"

Tools = Sequence[ToolDefinition]
_Writer = Callable[[str, Tools, int], str]


def starter_yaml(server: str, tools: Tools) -> str:
    """The policy as YAML, with `#` comments. Shorter where a whole one would be too long to load."""
    return _fitting(server, tools, _yaml)


def starter_json(server: str, tools: Tools) -> str:
    """The policy as JSON, with `$comment` where the other form has comments."""
    return _fitting(server, tools, _json)


def _fitting(server: str, tools: Tools, write: _Writer) -> str:
    """With every comment; where that is too long with short ones; else with none."""
    text = ""
    for much in (2, 1, 0):
        text = write(server, tools, much)
        if len(text.encode()) <= MAX_BYTES:
            break
    return text


def usable(tools: Tools) -> tuple[list[ToolDefinition], list[str]]:
    """The tools that a policy can name, and the names of those that it cannot.

    `*` is no tool, and of two names that only fold to one another the second one is left out: an
    unnamed tool is denied, too.
    """
    named: dict[str, ToolDefinition] = {}
    left: list[str] = []
    for tool in tools:
        folded = fold(tool.name)
        if not _is_name(tool.name) or folded in named or len(named) >= MAX_TOOLS:
            left.append(tool.name)
        else:
            named[folded] = tool
    return list(named.values()), left


def _is_name(name: str) -> bool:
    """Whether a policy may name it (P3.6)."""
    return (
        bool(name)
        and name == name.strip()
        and name.isprintable()
        and "*" not in name
        and len(name) <= MAX_NAME
    )


def _head(server: str, tools: Tools, left: Sequence[str]) -> Iterator[str]:
    yield f"A first policy for {printable(server)}: {len(tools)} tools, and every one of them is denied."
    yield "To allow a tool, remove its `action` and `reason`; then nothing but the rules that you leave"
    yield "beside it stands between a client and the tool. What is not listed here is denied, too."
    yield "The texts about the tools were written by the server."
    for name in left[:20]:
        yield f"Not listed, and so denied: {_short(printable(name), 100)}"


def _yaml(server: str, tools: Tools, much: int) -> str:
    named, left = usable(tools)
    lines = [f"# {line}" for line in _head(server, tools, left)]
    lines += ['version: "1"', "default: deny", "tools:" if named else "tools: {}"]
    for tool in named:
        lines.append("")
        lines += [f"  # {line}" for line in _about(tool, much)]
        lines.append(f"  {quoted(tool.name)}:")
        lines += ["    action: deny", f"    reason: {REASON}"]
        if much:
            lines += [f"    # {line}" for line in _suggestions(tool)]
    return "\n".join(lines) + "\n"


def _suggestions(tool: ToolDefinition) -> Iterator[str]:
    """Rules to begin with, in YAML, each line of which only lacks its mark to be in force."""
    yield "limits:"
    for limit in limits():
        yield f"  - {_flow(limit)}"
    found = list(requirements(tool))
    if found:
        yield "require:"
        yield "  - conditions:"
        for condition in found:
            yield f"      - {_flow(condition)}"


def _json(server: str, tools: Tools, much: int) -> str:
    named, left = usable(tools)
    rules: dict[str, object] = {}
    for tool in named:
        about = [*_about(tool, much)]
        if much:
            tried = {"limits": [*limits()]} | _required(tool)
            about += ["to begin with: " + printable(json.dumps(tried, ensure_ascii=False))]
        rules[tool.name] = {**({"$comment": about} if about else {}), "action": "deny", "reason": REASON}
    document = {"$comment": [*_head(server, tools, left)], "version": "1", "default": "deny", "tools": rules}
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def _required(tool: ToolDefinition) -> dict[str, object]:
    found = list(requirements(tool))
    return {"require": [{"conditions": found}]} if found else {}


def _about(tool: ToolDefinition, much: int) -> Iterator[str]:
    """What the server says of a tool, in short lines."""
    if not much:
        return
    about = description_of(tool)
    if about:
        yield from wrap(_short(about, MAX_DESCRIPTION if much > 1 else 80), WIDTH) or [""]
    if much > 1:
        for line in arguments_of(tool):
            yield from wrap(line, WIDTH, initial_indent="  ", subsequent_indent="      ")


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def quoted(text: str) -> str:
    """A YAML scalar in double quotes. Everything that is not plainly printable is escaped."""
    return '"' + "".join(_yaml_char(char) for char in text) + '"'


def _yaml_char(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    code = ord(char)
    if code <= 0xFF:  # noqa: PLR2004 - what two digits hold
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - what four digits hold


def _flow(value: object) -> str:
    """A value of ours in YAML's flow style."""
    members = as_object(value)
    if members is not None:
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in members.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(each) for each in cast("list[object]", value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return quoted(value) if isinstance(value, str) else str(value)
