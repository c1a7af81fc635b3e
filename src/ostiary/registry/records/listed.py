"""The list of published servers that are scanned: package, exact version, and how each is started."""

from __future__ import annotations

import functools
import tomllib
from importlib.resources import files
from typing import Annotated, Final, Literal

import msgspec

Registry = Literal["npm", "pypi"]

FOLDER: Final = "{folder}"
"""Stands in an argument or a variable for an empty folder that the server may write to."""

PACKAGES: Final = "ostiary.registry"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One published server. `command` is a program that its package brings, `arguments` what it needs.

    `environment` holds placeholders where a server refuses to start without a value: nothing in the
    list is a secret. `title` is what pages call the server.
    """

    title: str
    registry: Registry
    name: Annotated[str, msgspec.Meta(pattern=r"\A(@[a-z0-9._-]+/)?[a-z0-9][a-z0-9._-]*\Z", max_length=214)]
    version: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]+(\.[0-9]+)+[a-z0-9.-]*\Z", max_length=64)]
    command: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = msgspec.field(default_factory=dict[str, str])

    @property
    def slug(self) -> str:
        """A file name for it, as `npm__scope__name`; no two entries share one."""
        return f"{self.registry}__{self.name.removeprefix('@').replace('/', '__')}"


class _Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    server: tuple[Entry, ...]


@functools.cache
def entries() -> tuple[Entry, ...]:
    """All of the list, in its order."""
    text = (files(PACKAGES) / "records" / "servers.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _Listed).server
