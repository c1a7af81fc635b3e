"""What one published server said of itself when it was scanned, and what the rules said of that.

A record is a JSON file whose bytes depend on nothing but its contents. All but ASCII is escaped in
it: definitions are hostile text, and an invisible character is seen that way.
"""

from __future__ import annotations

import functools
import re
from importlib.resources import files
from typing import Final, Literal, cast

import msgspec

from ostiary.policy.definition import ToolDefinition
from ostiary.registry.classification import Classification, Grade
from ostiary.registry.fingerprint import definition
from ostiary.registry.records.listed import PACKAGES, Registry
from ostiary.wire.message import as_object
from ostiary.wire.strict import parse_json

FORMAT: Final = 1
"""Goes up when records are laid out in another way."""

_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7e]")


class Package(msgspec.Struct, frozen=True):
    """What was scanned. `license` is what its metadata names, empty where they name none."""

    registry: Registry
    name: str
    version: str
    license: str = ""


class Tool(msgspec.Struct, frozen=True):
    """One tool: its definition as the server gave it, the digest of that, and what the rules say of it."""

    name: str
    digest: str
    definition: msgspec.Raw
    classification: Classification


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One scan of one package. `reason` says why there are no tools.

    `server` and `server_version` are what the server calls itself, `scanned` is a day as 2026-07-28.
    `isolated` says that walls stood around it, and `network` what it could reach. `tokens` estimates
    what the tool list costs in a context. Everything from `server` to `tools` is hostile text.
    """

    format: int = FORMAT
    package: Package
    scanned: str
    isolated: bool
    network: str
    reason: str = ""
    server: str = ""
    server_version: str = ""
    era: Literal["", "legacy", "modern"] = ""
    revision: str = ""
    instructions: str = ""
    ambiguous: tuple[str, ...] = ()
    grade: Grade | None = None
    tokens: int = 0
    tools: tuple[Tool, ...] = ()

    def definitions(self) -> tuple[ToolDefinition, ...]:
        """The definitions of its tools, in the order of the server, with digests worked out anew."""
        return tuple(_parsed(tool) for tool in self.tools)


def _parsed(tool: Tool) -> ToolDefinition:
    raw = bytes(tool.definition)
    return definition(tool.name, raw, as_object(cast("object", parse_json(raw))) or {})


def read_record(data: bytes) -> Record:
    """The record in a file. Raises msgspec.DecodeError or ValidationError for anything else."""
    record = msgspec.json.decode(data, type=Record)
    if record.format != FORMAT:
        raise msgspec.ValidationError(f"a record of format {record.format}: {FORMAT} is known")
    return record


def write_record(record: Record) -> bytes:
    """The bytes of its file; the same record always has the same ones."""
    text = msgspec.json.format(msgspec.json.encode(record), indent=1).decode()
    return _BEYOND_ASCII.sub(_escaped, text).encode("ascii") + b"\n"


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be").hex()
    return "".join(rf"\u{units[at : at + 4]}" for at in range(0, len(units), 4))


@functools.cache
def records() -> tuple[Record, ...]:
    """The records that Ostiary ships, by registry and name of the package."""
    folder = files(PACKAGES) / "records" / "data"
    found = [one for one in folder.iterdir() if one.name.endswith(".json")]
    return tuple(read_record(one.read_bytes()) for one in sorted(found, key=lambda one: one.name))
