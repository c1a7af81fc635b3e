"""Rules that deny tools, in the words of the clients that can enforce them. Pure.

A client knows a tool by a name that it made of the server's: Claude Code writes `_` for whatever is
no letter, digit, `_` or `-`. A rule is written for that name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from ostiary.registry.change import printable

MAX_TOOL: Final = 128
"""The longest name that a rule is written for, in characters."""

ELSEWHERE: Final = (
    "Cursor, VS Code, Windsurf and Zed enforce no such rule from a file: `ostiary protect` has the gate do it"
)

_OTHER: Final = re.compile(r"[^A-Za-z0-9_-]")
PREFIX: Final = "mcp__"
"""How Claude Code's name for a tool of a server begins."""


class Rules(msgspec.Struct, frozen=True):
    """`claude_code` are entries of `permissions.deny`, `codex` of `disabled_tools`.

    `left` are tools with a name that no rule can be written for; only a gate denies them.
    """

    server: str
    claude_code: tuple[str, ...]
    codex: tuple[str, ...]
    left: tuple[str, ...]


def rules_for(server: str, tools: Sequence[str]) -> Rules:
    """Deny rules for `tools` of the server that the client calls `server`."""
    fits = [tool for tool in tools if tool.strip() and tool.isprintable() and len(tool) <= MAX_TOOL]
    claude = tuple(dict.fromkeys(known_as(server, tool) for tool in fits))
    return Rules(server, claude, tuple(fits), tuple(tool for tool in tools if tool not in fits))


def known_as(server: str, tool: str) -> str:
    """What Claude Code calls a tool."""
    return f"{PREFIX}{plain(server)}__{plain(tool)}"


def plain(name: str) -> str:
    """A name with `_` for every character that Claude Code does not take into it."""
    return _OTHER.sub("_", name)


def claude_text(rules: Rules) -> str:
    """What belongs into the client's `settings.json`."""
    document = {"permissions": {"deny": list(rules.claude_code)}}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def codex_text(rules: Rules) -> str:
    """What belongs into the client's `config.toml`, in the table of this server."""
    table = rules.server if re.fullmatch(r"[A-Za-z0-9_-]+", rules.server) else _quoted(rules.server)
    return f"[mcp_servers.{table}]\ndisabled_tools = [{', '.join(_quoted(tool) for tool in rules.codex)}]"


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'
