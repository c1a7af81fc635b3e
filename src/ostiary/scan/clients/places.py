"""Where the clients of MCP keep what servers they start: one table, for each system.

The pages that say so are named in docs/reference/client-configs.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

Scope = Literal["user", "project", "system"]
"""Whose file it is: one person's, one that a repository may share, or the administrator's."""

CLIENTS: Final[Mapping[str, str]] = {
    "claude-code": "Claude Code",
    "claude-desktop": "Claude Desktop",
    "cursor": "Cursor",
    "vs-code": "VS Code",
    "codex": "Codex",
    "gemini": "Gemini CLI",
    "windsurf": "Windsurf",
    "zed": "Zed",
}
"""The names by which commands know the clients, and what people call them."""


class Place(msgspec.Struct, frozen=True):
    """One file that a client reads, whether it is there or not."""

    client: str
    scope: Scope
    path: Path


def places(home: Path, project: Path, environ: Mapping[str, str], platform: str) -> tuple[Place, ...]:
    """Every file that is looked at, in the order in which it is shown. `platform` as `sys.platform`."""
    found = [*_of_users(home, environ, platform), *_of_project(project), *_of_system(environ, platform)]
    first: dict[Path, Place] = {}
    for place in found:
        first.setdefault(place.path, place)  # in the home folder itself, a file is the person's
    return tuple(first.values())


def client_of(path: Path) -> str:
    """Whose file a path looks like; empty where it looks like nobody's."""
    name, parent = path.name, path.parent.name
    if name in _BY_NAME:
        return _BY_NAME[name]
    if (client := _BY_FOLDER.get((parent, name))) is not None:
        return client
    folders = {part.lower() for part in path.parts}
    if name == "mcp_config.json" and folders & {".codeium", ".windsurf", "windsurf"}:
        return "windsurf"
    if name == "settings.json" and parent.lower() in {"zed", ".zed"}:
        return "zed"
    return ""


_BY_NAME: Final = {
    ".mcp.json": "claude-code",
    ".claude.json": "claude-code",
    "managed-mcp.json": "claude-code",
    "claude_desktop_config.json": "claude-desktop",
}
_BY_FOLDER: Final = {
    (".cursor", "mcp.json"): "cursor",
    (".vscode", "mcp.json"): "vs-code",
    ("User", "mcp.json"): "vs-code",
    ("User", "settings.json"): "vs-code",
    (".copilot", "mcp-config.json"): "vs-code",
    (".codex", "config.toml"): "codex",
    (".gemini", "settings.json"): "gemini",
    ("gemini-cli", "settings.json"): "gemini",
}
_VS_CODE: Final = ("Code", "Code - Insiders")


def _folder(environ: Mapping[str, str], variable: str, usual: Path) -> Path:
    chosen = environ.get(variable, "")
    return Path(chosen) if chosen and Path(chosen).is_absolute() else usual


def _settings(home: Path, environ: Mapping[str, str], platform: str) -> Path:
    """Where applications of this system keep the settings of a person."""
    if platform == "darwin":
        return home / "Library" / "Application Support"
    if platform == "win32":
        return Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
    return _folder(environ, "XDG_CONFIG_HOME", home / ".config")


def _of_users(home: Path, environ: Mapping[str, str], platform: str) -> list[Place]:
    settings = _settings(home, environ, platform)
    dotted = settings if platform == "win32" else _folder(environ, "XDG_CONFIG_HOME", home / ".config")
    zed = dotted / ("Zed" if platform == "win32" else "zed")
    named = [
        ("claude-code", _folder(environ, "CLAUDE_CONFIG_DIR", home) / ".claude.json"),
        ("claude-desktop", settings / "Claude" / "claude_desktop_config.json"),
        ("cursor", home / ".cursor" / "mcp.json"),
        *(("vs-code", settings / code / "User" / "mcp.json") for code in _VS_CODE),
        *(("vs-code", settings / code / "User" / "settings.json") for code in _VS_CODE),
        ("vs-code", home / ".vscode-server" / "data" / "User" / "mcp.json"),
        ("vs-code", _folder(environ, "COPILOT_HOME", home / ".copilot") / "mcp-config.json"),
        ("codex", _folder(environ, "CODEX_HOME", home / ".codex") / "config.toml"),
        ("gemini", home / ".gemini" / "settings.json"),
        ("windsurf", home / ".codeium" / "windsurf" / "mcp_config.json"),
        ("windsurf", home / ".codeium" / "mcp_config.json"),
        ("zed", zed / "settings.json"),
    ]
    return [Place(client, "user", path) for client, path in named]


def _of_project(project: Path) -> list[Place]:
    named = [
        ("cursor", ".cursor/mcp.json"),
        ("vs-code", ".vscode/mcp.json"),
        ("codex", ".codex/config.toml"),
        ("gemini", ".gemini/settings.json"),
        ("zed", ".zed/settings.json"),
    ]
    # Claude Code also takes what the folders above say, beyond the repository and over the nearer one.
    found = [Place("claude-code", "project", each / ".mcp.json") for each in (project, *project.parents)]
    return found + [Place(client, "project", project / path) for client, path in named]


def _of_system(environ: Mapping[str, str], platform: str) -> list[Place]:
    """What an administrator sets for everybody."""
    if platform == "darwin":
        library = Path("/Library/Application Support")
        managed, gemini = library / "ClaudeCode", library / "GeminiCli"
    elif platform == "win32":
        managed = Path(environ.get("PROGRAMFILES") or r"C:\Program Files") / "ClaudeCode"
        gemini = Path(environ.get("PROGRAMDATA") or r"C:\ProgramData") / "gemini-cli"
    else:
        managed, gemini = Path("/etc/claude-code"), Path("/etc/gemini-cli")
    chosen = environ.get("GEMINI_CLI_SYSTEM_SETTINGS_PATH")
    return [
        Place("claude-code", "system", managed / "managed-mcp.json"),
        Place("gemini", "system", Path(chosen) if chosen else gemini / "settings.json"),
    ]
