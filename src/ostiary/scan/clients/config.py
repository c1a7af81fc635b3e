"""Reads the configurations of clients: one file, or all that a machine and a project have.

Nothing is started and nothing is sent. What a file says is hostile: a repository brings its own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, cast

import msgspec

from ostiary.errors import CallerFault
from ostiary.registry.change import printable
from ostiary.scan.clients import jsonc, toml
from ostiary.scan.clients.entry import Entry, entry
from ostiary.scan.clients.fetch import fetch
from ostiary.scan.clients.places import Place, Scope, client_of, places
from ostiary.scan.clients.spans import ConfigFault, Lines, Slot
from ostiary.scan.scanned import Target
from ostiary.wire.message import as_object

BOM: Final = b"\xef\xbb\xbf"
_SERVERS: Final = ("mcpServers",)
_ROUTES: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "vs-code": (("servers",), _SERVERS, ("mcp", "servers")),
    "zed": (("context_servers",),),
    "": (_SERVERS, ("servers",), ("context_servers",), ("mcp", "servers")),
}
"""Where JSON files keep their servers, by client; `mcpServers` where it is not said otherwise."""


class Document(msgspec.Struct, frozen=True):
    """One configuration: its bytes, its text without a byte order mark, and its servers.

    `off` are the names of servers that the file switches off in another place than their entries.
    """

    path: Path
    client: str
    raw: bytes
    text: str
    form: Literal["json", "toml"]
    slots: tuple[Slot, ...]
    off: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Without the text, which may hold secrets."""
        return f"Document(path={str(self.path)!r}, client={self.client!r}, slots={self.slots!r})"


class Config(msgspec.Struct, frozen=True):
    """What one file says: its servers, and in sentences with their places what could not be read."""

    path: Path
    client: str
    scope: Scope
    entries: tuple[Entry, ...] = ()
    troubles: tuple[str, ...] = ()


class Configured(msgspec.Struct, frozen=True):
    """What is configured on a machine, file by file."""

    configs: tuple[Config, ...] = ()

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every server that a client would start or reach: none that is switched off, no extension."""
        return tuple(target for config in self.configs for target in _targets(config.entries))

    @property
    def troubles(self) -> tuple[str, ...]:
        """What could not be read, and where."""
        return tuple(trouble for config in self.configs for trouble in config.troubles)


def configured(
    home: Path, project: Path, environ: Mapping[str, str], *, platform: str = sys.platform
) -> Configured:
    """What the clients of a person have configured, everywhere and in the folder `project`.

    Never raises for what is in a file: that is in `troubles`, and the other files are still read.
    """
    read = [_config(place) for place in places(home, project, environ, platform)]
    return Configured(tuple(config for config in read if config is not None))


def read_config(path: Path) -> tuple[Target, ...]:
    """The servers of one file, by its name and content; none that the file switches off.

    Raises CallerFault for a file that is missing or cannot be read, and for an entry that is not understood.
    """
    document = load(path)
    if not document.slots:
        raise CallerFault(f"`{printable(str(path))}` names no server", hint=_EXPECTED)
    found, troubles = entries(document)
    if troubles:
        raise CallerFault(troubles[0])
    return _targets(found)


def load(path: Path, client: str = "") -> Document:
    """One file, with the places of its servers. Raises CallerFault with file, line and column."""
    found = fetch(path)
    if found is None:
        raise CallerFault(f"there is no file `{printable(str(path))}`")
    return parse(found.raw, path, client)


def parse(raw: bytes, path: Path, client: str = "") -> Document:
    """The document in `raw`, which was read from `path`. Raises CallerFault with its place."""
    shown = printable(str(path))
    try:
        text = raw.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        raise CallerFault(
            f"`{shown}` is not UTF-8 text at byte {error.start}", hint="save it as UTF-8"
        ) from None
    try:
        if path.suffix == ".toml":
            return _toml(raw, text, path, client)
        return _json(raw, text, path, client)
    except ConfigFault as fault:
        raise CallerFault(placed(path, text, fault), hint=fault.hint) from None


def placed(path: Path, text: str, fault: ConfigFault) -> str:
    """What is wrong, behind its file, line and column."""
    line, column = Lines.of(text).spot(fault.offset)
    return f"{printable(str(path))}:{line}:{column}: {fault.message}"


def entries(document: Document) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The servers of a document, and in sentences the entries that are not understood."""
    lines = Lines.of(document.text)
    found: list[Entry] = []
    troubles: list[str] = []
    for slot in document.slots:
        try:
            one = entry(slot, source=str(document.path), client=document.client, spot=lines.spot(slot.start))
        except ConfigFault as fault:
            troubles.append(placed(document.path, document.text, fault))
            continue
        found.append(msgspec.structs.replace(one, enabled=one.enabled and slot.name not in document.off))
    return tuple(found), tuple(troubles)


_EXPECTED: Final = (
    "expected `mcpServers`, `servers` or `context_servers` with an object of servers, "
    "or tables [mcp_servers.NAME] in a .toml file"
)


def _toml(raw: bytes, text: str, path: Path, client: str) -> Document:
    if len(raw) > toml.MAX_BYTES:
        raise CallerFault(f"`{printable(str(path))}` is larger than {toml.MAX_BYTES:,} bytes")
    return Document(
        path, client or client_of(path) or "codex", raw, text, "toml", toml.slots(text, toml.read(text))
    )


def _json(raw: bytes, text: str, path: Path, client: str) -> Document:
    if not text.strip():
        return Document(path, client or client_of(path), raw, text, "json", ())
    root = jsonc.read(text)
    if root.kind != "object":
        raise ConfigFault("expected an object with the servers", root.start)
    guessed = "vs-code" if root.at("servers") else "zed" if root.at("context_servers") else ""
    whose = client or client_of(path) or guessed
    slots = [slot for route in _ROUTES.get(whose, (_SERVERS,)) for slot in _slots(root, text, route)]
    projects = root.at("projects") if whose == "claude-code" else None
    for member in projects.keys if projects is not None else ():
        slots += _slots(root, text, ("projects", member.key, "mcpServers"))
    off = _switched_off(root, text) if whose == "gemini" else frozenset[str]()
    return Document(path, whose, raw, text, "json", tuple(slots), off)


def _slots(root: jsonc.Node, text: str, route: Sequence[str]) -> list[Slot]:
    """The servers of the object at `route`; none where there is no such object."""
    node: jsonc.Node | None = root
    for key in route:
        node = node.at(key) if node is not None else None
    if node is None or (node.kind == "word" and text[node.start : node.end] == "null"):
        return []
    if node.kind != "object":
        raise ConfigFault(f"expected an object of servers at `{route[-1]}`", node.start)
    return [_slot(child, text, (*route, member.key), member.start) for member, child in node.members]


def _slot(node: jsonc.Node, text: str, route: tuple[str, ...], start: int) -> Slot:
    command = node.at("command")
    inner = command.keys if command is not None and command.kind == "object" else ()
    return Slot(route, start, jsonc.plain(node, text), node.keys, inner)


def _switched_off(root: jsonc.Node, text: str) -> frozenset[str]:
    """The servers that Gemini CLI leaves out: `mcp.excluded`, and what `mcp.allowed` does not name."""
    settings = root.at("mcp")
    lists = as_object(jsonc.plain(settings, text)) if settings is not None else None
    servers = root.at("mcpServers")
    names = [member.key for member in servers.keys] if servers is not None else []
    allowed, excluded = (_names((lists or {}).get(key)) for key in ("allowed", "excluded"))
    return frozenset(
        name for name in names if name in (excluded or ()) or (allowed is not None and name not in allowed)
    )


def _names(value: object) -> frozenset[str] | None:
    if not isinstance(value, list):
        return None
    return frozenset(each for each in cast("list[object]", value) if isinstance(each, str))


def _targets(found: Sequence[Entry]) -> tuple[Target, ...]:
    return tuple(one.target for one in found if one.enabled and one.kind != "extension")


def _config(place: Place) -> Config | None:
    """What the file at a place says; None where there is none."""
    shown = printable(str(place.path))
    try:
        found = fetch(place.path)
        if found is None:
            return None
        if found.foreign:
            said = f"{shown} {found.foreign}: whoever writes it decides what is started, so it was not read"
            return Config(place.path, place.client, place.scope, troubles=(said,))
        known, troubles = entries(parse(found.raw, place.path, place.client))
    except CallerFault as fault:
        said = fault.message if fault.hint is None else f"{fault.message}; {fault.hint}"
        return Config(place.path, place.client, place.scope, troubles=(said,))
    return Config(place.path, place.client, place.scope, known, troubles)
