"""`<state>/pins/<server>.json`: the tool definitions that a person has accepted (P7).

    {"v": 1, "server": NAME, "written": TIME, "tools": [
    {"name": NAME, "digest": DIGEST, "definition": {…}},
    …]}

The definition is canonical JSON and its digest is computed anew when the file is read, so a file
that was edited by halves is refused. The former form, `{"tools": {NAME: DIGEST}}`, is still read.
Beside it lies `<server>.seen.json`, in the same form: the list that a gate last saw, where that
differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import msgspec

from ostiary.errors import CallerFault
from ostiary.policy.definition import ToolDefinition
from ostiary.proxy.catalogue import Pins
from ostiary.registry.change import named
from ostiary.registry.drift import Version
from ostiary.registry.fingerprint import canonical, digest_of
from ostiary.store.state import StateDir, replace
from ostiary.wire.message import as_object
from ostiary.wire.strict import Refused, parse_json

MAX_BYTES: Final = 32 * 1024 * 1024
"""Twice the longest list that a gate reads."""

MAX_TOOLS: Final = 10_000
MAX_DEPTH: Final = 64

_SEEN: Final = ".seen"


class Pinned(msgspec.Struct, frozen=True):
    """One accepted tool. `definition` is its canonical JSON; empty where only the digest was kept."""

    digest: str
    definition: bytes = b""

    def version(self) -> Version:
        """The same, for a comparison."""
        if not self.definition:
            return Version(self.digest, None)
        value = parse_json(self.definition, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
        return Version(self.digest, cast("Mapping[str, object]", value))


class PinFile(msgspec.Struct, frozen=True):
    """What a pin file holds. `written` is RFC 3339, UTC; empty in the former form."""

    server: str
    written: str
    tools: Mapping[str, Pinned]

    def pins(self) -> Pins:
        """What the gate compares with."""
        return Pins(
            {name: one.digest for name, one in self.tools.items()},
            {name: one.definition for name, one in self.tools.items()},
        )

    def versions(self) -> dict[str, Version]:
        """Every tool, for a comparison."""
        return {name: one.version() for name, one in self.tools.items()}


def pin_path(state: StateDir, server: str) -> Path:
    """Where the pins of `server` are. Raises CallerFault for a name that stands for another file."""
    if server.endswith(_SEEN):
        raise CallerFault(f"`{server}` cannot be the name of a server with pins: `{_SEEN}` ends other files")
    return state.pins / f"{server}.json"


def seen_path(state: StateDir, server: str) -> Path:
    """Where the list is that a gate last saw, if it differs from the pins."""
    pin_path(state, server)
    return state.pins / f"{server}{_SEEN}.json"


def servers(state: StateDir) -> list[str]:
    """The servers that have a pin file."""
    names = [path.name.removesuffix(".json") for path in state.pins.glob("*.json")]
    return sorted(name for name in names if not name.endswith(_SEEN) and not name.startswith("."))


def pin_file(server: str, now: int, tools: Iterable[ToolDefinition]) -> PinFile:
    """The pin file that accepts `tools` as they are. `now` is microseconds since the epoch."""
    return PinFile(server, rfc3339(now), {tool.name: pinned(tool) for tool in tools})


def pinned(tool: ToolDefinition) -> Pinned:
    """A definition as it is kept."""
    value: object = parse_json(tool.raw, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    return Pinned(tool.digest, canonical(value))


def rfc3339(now: int) -> str:
    """A time of the gate's clock, microseconds since the epoch, to the second."""
    return datetime.fromtimestamp(now // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def encode(file: PinFile) -> bytes:
    """The file's content: one tool a line, so that two of them can be compared by eye."""
    head = msgspec.json.encode({"v": 1, "server": file.server, "written": file.written})
    lines = [
        msgspec.json.encode({"name": name, "digest": one.digest, "definition": msgspec.Raw(one.definition)})
        for name, one in file.tools.items()
    ]
    return head[:-1] + b',"tools":[\n' + b",\n".join(lines) + b"\n]}\n"


def write(path: Path, file: PinFile) -> None:
    """Write the file whole, 0600. Raises as `check`, and GatewayFault where the disk refuses."""
    replace(path, check(path, file))


def check(path: Path, file: PinFile) -> bytes:
    """The content to write. Raises CallerFault for more than is read back, or where texts are missing."""
    if any(not one.definition for one in file.tools.values()):
        raise CallerFault(
            f"`{path}` has digests without definitions, which cannot be kept on",
            hint="run `ostiary pins write -f` once",
        )
    content = encode(file)
    if len(content) > MAX_BYTES or len(file.tools) > MAX_TOOLS:
        raise CallerFault(f"the pins are over {MAX_BYTES} bytes or {MAX_TOOLS} tools, more than is read back")
    return content


def content_of(path: Path) -> bytes | None:
    """The file's content, one byte over the bound at most; None where there is no file.

    Raises CallerFault when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CallerFault(f"cannot read `{path}`: {(error.strerror or 'failed').lower()}") from error


def read(path: Path) -> PinFile | None:
    """The file at `path`; None where there is none. Raises CallerFault for one that cannot be relied on."""
    content = content_of(path)
    return None if content is None else decode(content, path)


def decode(content: bytes, path: Path) -> PinFile:
    """Read a file's content. Raises CallerFault saying what is wrong with it."""
    try:
        value: object = parse_json(content.strip(), max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    except Refused as error:
        raise _fault(path, error.message) from error
    members = as_object(value) or {}
    tools = members.get("tools")
    former = as_object(tools)
    if "v" not in members and former is not None:
        return PinFile("", "", dict(_digests(former, path)))
    if members.get("v") != 1 or isinstance(members.get("v"), bool) or not isinstance(tools, list):
        raise _fault(path, 'expected `{"v": 1, "tools": […]}`')
    if len(cast("list[object]", tools)) > MAX_TOOLS:
        raise _fault(path, f"it has more than {MAX_TOOLS} tools")
    found: dict[str, Pinned] = {}
    for entry in cast("list[object]", tools):
        name, one = _entry(entry, path)
        if name in found:
            raise _fault(path, f"it names {named(name)} twice")
        found[name] = one
    return PinFile(_text(members, "server"), _text(members, "written"), found)


def _digests(tools: Mapping[str, object], path: Path) -> Iterable[tuple[str, Pinned]]:
    for name, digest in tools.items():
        if not isinstance(digest, str):
            raise _fault(path, f"the digest of {named(name)} is not text")
        yield name, Pinned(digest)


def _entry(entry: object, path: Path) -> tuple[str, Pinned]:
    members = as_object(entry) or {}
    name, digest, value = members.get("name"), members.get("digest"), as_object(members.get("definition"))
    if not isinstance(name, str) or not isinstance(digest, str) or value is None:
        raise _fault(path, "an entry of `tools` lacks `name`, `digest` or `definition`")
    definition = canonical(value)
    if digest_of(definition) != digest or value.get("name") != name:
        raise _fault(path, f"the digest or name of {named(name)} is not that of its definition")
    return name, Pinned(digest, definition)


def _text(members: Mapping[str, object], key: str) -> str:
    value = members.get(key)
    return value if isinstance(value, str) else ""


def _fault(path: Path, problem: str) -> CallerFault:
    return CallerFault(
        f"the pin file `{path}` cannot be relied on: {problem}", hint="`ostiary pins write -f` writes it anew"
    )
