"""Resources: contents that a client reads by their URI, and templates for whole families of them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import unquote

import msgspec

from ostiary.servers.core.content import Json
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.tool import definition

Read = Callable[[str, Mapping[str, str], CallContext], Awaitable[Sequence[Json] | None]]
"""Reads a URI with the variables of its template: contents (see `content.words`, `content.data`), or
None where this caller has no such resource."""

Complete = Callable[[str, str, Mapping[str, str], CallContext], Awaitable[Sequence[str]]]
"""Values for one argument: its name, what is typed so far, the other arguments."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource. `size` is in bytes. One that is `unlisted` is read by who knows its URI."""

    uri: str
    name: str
    read: Read
    title: str = ""
    description: str = ""
    mime: str = ""
    size: int | None = None
    annotations: Mapping[str, object] = {}
    meta: Mapping[str, object] = {}
    unlisted: bool = False

    def listed(self) -> dict[str, object]:
        """Its entry in `resources/list`."""
        return {"uri": self.uri} | definition(
            self.name,
            title=self.title,
            description=self.description,
            mimeType=self.mime,
            size=self.size,
            annotations=self.annotations,
            _meta=self.meta,
        )


ListResources = Callable[[CallContext], Awaitable[Sequence[Resource]]]
"""The resources of a family that exist now for this caller."""

_VARIABLE = re.compile(r"\{(\+?)([A-Za-z_][A-Za-z0-9_]*)(\*?)\}")


class ResourceTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """A family of resources: `run://{run_id}/{+path}`, where only `{+name}` may hold slashes.

    `{name*}`, as some servers write that, is the same. `list` names the members that exist, for
    `resources/list`. A family that is `unlisted` is read by who knows its URIs.
    """

    uri_template: str
    name: str
    read: Read
    list: ListResources | None = None
    complete: Complete | None = None
    title: str = ""
    description: str = ""
    mime: str = ""
    annotations: Mapping[str, object] = {}
    meta: Mapping[str, object] = {}
    unlisted: bool = False

    def listed(self) -> dict[str, object]:
        """Its entry in `resources/templates/list`."""
        return {"uriTemplate": self.uri_template} | definition(
            self.name,
            title=self.title,
            description=self.description,
            mimeType=self.mime,
            annotations=self.annotations,
            _meta=self.meta,
        )


def pattern(uri_template: str) -> re.Pattern[str]:
    """What matches the URIs of a template; each variable holds at least one character."""
    parts: list[str] = []
    end = 0
    for found in _VARIABLE.finditer(uri_template):
        parts.append(re.escape(uri_template[end : found.start()]))
        parts.append(f"(?P<{found[2]}>{'.+' if found[1] or found[3] else '[^/?#]+'})")
        end = found.end()
    parts.append(re.escape(uri_template[end:]))
    return re.compile("".join(parts))


def variables(compiled: re.Pattern[str], uri: str) -> dict[str, str] | None:
    """The variables of `uri`, with escapes undone, or None where it is of another family."""
    found = compiled.fullmatch(uri)
    return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}
