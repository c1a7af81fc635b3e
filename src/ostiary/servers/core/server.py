"""A server: what it offers and how each request is answered, the same on both eras.

How requests arrive is the business of `endpoint`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from ostiary.servers.core.catalogue import Catalogue, Extra, Nothing
from ostiary.servers.core.content import Json
from ostiary.servers.core.context import Caller
from ostiary.servers.core.prompt import Prompt
from ostiary.servers.core.resource import Resource, ResourceTemplate
from ostiary.servers.core.tool import Naming, Tool
from ostiary.wire.era import MODERN_VERSIONS
from ostiary.wire.message import as_object
from ostiary.wire.revisions import LEGACY_VERSIONS

log = logging.getLogger("ostiary.servers")

Kind = Literal["tools", "resources", "prompts"]
SERVER_INFO = "io.modelcontextprotocol/serverInfo"


class Change(msgspec.Struct, frozen=True):
    """News for clients: a list of `kind` has changed, or the resource `uri` has.

    `owner` is whom it concerns; empty for everybody.
    """

    kind: Kind
    uri: str = ""
    owner: str = ""


class Server:
    """An MCP server. It may be served in several ways at once; see `endpoint.Endpoint`.

    `page_size` bounds one page of a listing, 0 for no pages. `list_ttl_ms` is how long a modern
    client may keep a listing. With `debug` each result of a tool is held against its output schema.
    """

    def __init__(  # noqa: PLR0913 - what a server is, each part by its name
        self,
        name: str,
        version: str,
        *,
        title: str = "",
        instructions: str = "",
        tools: Sequence[Tool] = (),
        resources: Sequence[Resource] = (),
        templates: Sequence[ResourceTemplate] = (),
        prompts: Sequence[Prompt] = (),
        naming: Naming = "bare",
        page_size: int = 0,
        list_ttl_ms: int = 60_000,
        debug: bool = False,
        extra: Extra | None = None,
    ) -> None:
        """Raises CallerFault where what is offered contradicts itself."""
        self.name = name
        self.info: dict[str, object] = {"name": name, "version": version}
        if title:
            self.info["title"] = title
        self.instructions = instructions
        self.catalogue = Catalogue(tools, resources, templates, prompts, naming)
        self.page_size = page_size
        self.list_ttl_ms = list_ttl_ms
        self.debug = debug
        self.extra: Extra = extra or Nothing()
        self._watchers: set[Callable[[Change], object]] = set()

    def changed(self, kind: Kind, *, owner: str = "") -> None:
        """Tell clients that a list has changed."""
        self._tell(Change(kind, owner=owner))

    def updated(self, uri: str, *, owner: str = "") -> None:
        """Tell clients that subscribed to it that a resource has changed."""
        self._tell(Change("resources", uri, owner))

    def watch(self, watcher: Callable[[Change], object]) -> Callable[[], None]:
        """Tell `watcher` of each change, until the returned function is called."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def _tell(self, change: Change) -> None:
        for watcher in list(self._watchers):
            watcher(change)

    @property
    def capabilities(self) -> dict[str, object]:
        """What the server declares."""
        offered = self.catalogue
        declared: dict[str, object] = {"logging": {}}
        if offered.tools:
            declared["tools"] = {"listChanged": True}
        if offered.resources or offered.templates:
            declared["resources"] = {"subscribe": True, "listChanged": True}
        if offered.prompts:
            declared["prompts"] = {"listChanged": True}
        if any(one.complete for _, one in offered.templates) or any(
            one.complete for one in offered.prompts.values()
        ):
            declared["completions"] = {}
        return declared

    def initialized(self, revision: str) -> dict[str, object]:
        """The result of a legacy `initialize`."""
        info = self.info if revision >= "2025-06-18" else {key: self.info[key] for key in ("name", "version")}
        result: dict[str, object] = {
            "protocolVersion": revision,
            "capabilities": self.capabilities,
            "serverInfo": info,
        }
        return result | ({"instructions": self.instructions} if self.instructions else {})

    def discovered(self) -> dict[str, object]:
        """The result of `server/discover`."""
        result: dict[str, object] = {
            "supportedVersions": [*MODERN_VERSIONS, *reversed(LEGACY_VERSIONS)],
            "capabilities": self.capabilities,
            "ttlMs": self.list_ttl_ms,
            "cacheScope": "public",
        }
        return result | ({"instructions": self.instructions} if self.instructions else {})

    def finished(self, result: Json, caller: Caller) -> Mapping[str, object]:
        """A result as the caller's era wants it."""
        if not caller.modern:
            return {key: result[key] for key in result if key not in ("ttlMs", "cacheScope")}
        stamped = {**(as_object(result.get("_meta")) or {}), SERVER_INFO: self.info}
        return {"resultType": "complete", **result, "_meta": stamped}
