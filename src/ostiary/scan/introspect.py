"""Asks a live server what tools it has, in whichever era it speaks.

The order is that of clients of both eras (MCP 2026-07-28, "versioning"): `server/discover` first;
what a server answers that does not know it leads to `initialize`, with the newest legacy revision.
All that comes back is hostile: every page is read strictly, and pages, bytes and time are bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Final, Literal, TypeVar, cast

import msgspec

from ostiary.errors import UpstreamFault
from ostiary.policy.definition import ToolDefinition
from ostiary.proxy.exchange import Header, Upstream
from ostiary.registry.change import printable
from ostiary.registry.fingerprint import definition
from ostiary.scan.listed import LISTS, Listed, listed
from ostiary.scan.talk import MAX_BYTES, MAX_NAME, Answer, Talk
from ostiary.wire.era import MODERN_VERSIONS, UNSUPPORTED_VERSION
from ostiary.wire.lists import ListPage, read_list
from ostiary.wire.message import as_object
from ostiary.wire.revisions import LEGACY_VERSIONS, PROTOCOL_VERSION

Era = Literal["legacy", "modern"]

MAX_PAGES: Final = 100
MAX_TOOLS: Final = 10_000
SECONDS: Final = 60.0
PROBE: Final = 10.0
"""Seconds that a server has to show that it knows `server/discover`; a legacy one may stay silent."""

SPARED: Final = 0.5
"""Seconds that the lists beside the tools leave of the whole time, so that the tools are not lost."""

METHOD_NOT_FOUND: Final = -32601
SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"


class ServerInfo(msgspec.Struct, frozen=True):
    """What a server calls itself. Hostile text, bounded and printable."""

    name: str = ""
    version: str = ""


class Introspection(msgspec.Struct, frozen=True):
    """What a server said of itself: who it is, how it speaks, and its tools in their order.

    `ambiguous` names stand in the list in two versions; the first one is in `tools`. `instructions`
    and the lists after it are only asked for by `Manner.everything`, where the server says that it has
    such; `troubles` says which of them could not be had, printable.
    """

    server: ServerInfo
    era: Era
    revision: str
    tools: tuple[ToolDefinition, ...]
    ambiguous: tuple[str, ...] = ()
    instructions: str = ""
    resources: tuple[Listed, ...] = ()
    templates: tuple[Listed, ...] = ()
    prompts: tuple[Listed, ...] = ()
    troubles: tuple[str, ...] = ()


class Manner(msgspec.Struct, frozen=True):
    """How to ask. `seconds` are for all of it; `version` is our own. `era` None tries both.

    `everything` asks for more than the tools: see `Introspection`.
    """

    headers: tuple[Header, ...] = ()
    version: str = ""
    era: Era | None = None
    seconds: float = SECONDS
    everything: bool = False


class Way(msgspec.Struct, frozen=True):
    """How a server is reached: `dial` begins anew each time, and `ended` tells that it is gone."""

    dial: Callable[[], Upstream]
    ended: Callable[[Upstream], bool] = lambda _upstream: False


async def introspect(way: Way, manner: Manner) -> Introspection:
    """Ask the server at `way` for its tools, then leave it.

    Raises UpstreamFault saying what went wrong where, GatewayFault where it cannot be started.
    """
    upstream = way.dial()
    try:
        talk = Talk(upstream, manner.headers)
        asked = _Asking(talk, manner)
        found = await asked.within(asked.modern) if manner.era != "legacy" else None
        if found is None and manner.era == "modern":
            raise UpstreamFault("the server does not speak revision " + MODERN_VERSIONS[0], written=True)
        if found is None and way.ended(upstream):
            # Some servers end at a request that they do not know: the handshake gets a fresh one.
            await upstream.close()
            upstream = way.dial()
            talk.upstream = upstream
        return found or await asked.within(asked.either)
    finally:
        await upstream.close()


_Found = TypeVar("_Found", Introspection, Introspection | None)


class _NoHandshakeError(UpstreamFault):
    """The server takes no handshake, as a modern one does once it has taken up the discovery before."""


class _Asking:
    """The questions of one introspection. `stage` is what is waited for."""

    def __init__(self, talk: Talk, manner: Manner) -> None:
        self._talk = talk
        self._manner = manner
        self._deadline = asyncio.get_running_loop().time() + manner.seconds
        self._stage = ""

    async def within(self, asking: Callable[[], Awaitable[_Found]]) -> _Found:
        """Do `asking` before the deadline."""
        try:
            async with asyncio.timeout_at(self._deadline):
                return await asking()
        except TimeoutError:
            text = f"{self._stage}: the server did not answer within {self._manner.seconds:g} seconds in all"
            hint = "a server that is installed at its first start takes long: try again, or give --timeout"
            raise UpstreamFault(text, written=True, hint=hint) from None

    def _left(self, most: float | None = None) -> float:
        """Seconds for one answer: `most`, else so many that the deadline of all comes first."""
        left = max(0.0, self._deadline - asyncio.get_running_loop().time()) + 1
        return left if most is None else min(left, most)

    async def either(self) -> Introspection:
        """By the handshake; without one where the server was only slow to say that it needs none."""
        try:
            return await self.legacy()
        except _NoHandshakeError as error:
            found = await self.modern(patient=True) if self._manner.era is None else None
            if found is None:
                raise UpstreamFault(error.message, written=True) from None
            return found

    async def modern(self, *, patient: bool = False) -> Introspection | None:
        """Without a handshake; None where the server does not know this era."""
        talk, revision = self._talk, MODERN_VERSIONS[0]
        self._stage, talk.version = "server/discover", revision
        meta = {
            PROTOCOL_VERSION: revision,
            "io.modelcontextprotocol/clientInfo": {"name": "ostiary", "version": self._manner.version},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        probe = self._left(PROBE if self._manner.era is None and not patient else None)
        answer = await self._ask("server/discover", {"_meta": meta}, probe)
        result = answer.result
        if answer.status in (401, 403) or (result is None and self._manner.era == "modern"):
            raise self._fault(answer)
        if result is None or revision not in _texts(result.get("supportedVersions")):
            talk.version = ""
            return None
        return await self._listed("modern", revision, result, meta)

    async def legacy(self) -> Introspection:
        """By the handshake, with the newest revision first; an older one only where that is refused."""
        talk = self._talk
        self._stage = "initialize"
        try:
            result = await self._initialized()
            talk.version = cast("str", result["protocolVersion"])
            await talk.tell("notifications/initialized", self._left())
            return await self._listed("legacy", talk.version, result, None)
        finally:
            await talk.leave()

    async def _initialized(self) -> Mapping[str, object]:
        """The result of the handshake, with a revision that we know."""
        revisions = list(reversed(LEGACY_VERSIONS))
        while revisions:
            params = {
                "protocolVersion": revisions.pop(0),
                "capabilities": {},
                "clientInfo": {"name": "ostiary", "version": self._manner.version},
            }
            answer = await self._ask("initialize", params, self._left())
            if answer.result is not None:
                chosen = answer.result.get("protocolVersion")
                if chosen in LEGACY_VERSIONS:
                    return answer.result
                text = printable(str(chosen)[:MAX_NAME])
                raise UpstreamFault(
                    f"initialize: the server speaks revision `{text}`, which is not known", written=True
                )
            offered = _offered(answer)
            revisions = [each for each in revisions if offered is None or each in offered]
            if (answer.error or {}).get("code") == UNSUPPORTED_VERSION and not revisions:
                raise _NoHandshakeError(self._fault(answer).message, written=True)
            if answer.error is None or not revisions:
                raise self._fault(answer)
        raise AssertionError("the last revision is answered or refused above")

    async def _listed(
        self, era: Era, revision: str, about: Mapping[str, object], meta: Mapping[str, object] | None
    ) -> Introspection:
        """All pages of the tool list, and where it is wanted of the others; `about` is the answer before."""
        by_name: dict[str, ToolDefinition] = {}
        ambiguous: dict[str, None] = {}
        async for name, raw, value in self._entries("tools/list", "tools", "name", meta):
            tool = definition(name, raw, value)
            if by_name.setdefault(name, tool).digest != tool.digest:
                ambiguous[name] = None
        found = Introspection(_info(about), era, revision, tuple(by_name.values()), tuple(ambiguous))
        return await self._everything(found, about, meta) if self._manner.everything else found

    async def _everything(
        self, found: Introspection, about: Mapping[str, object], meta: Mapping[str, object] | None
    ) -> Introspection:
        """The same with the instructions and the further lists. What goes wrong here loses nothing else."""
        capabilities = as_object(about.get("capabilities")) or {}
        wanted = [one for one in LISTS if as_object(capabilities.get(one.capability)) is not None]
        lists: dict[str, tuple[Listed, ...]] = {}
        troubles: list[str] = []
        for number, one in enumerate(wanted):
            entries: list[Listed] = []
            loop = asyncio.get_running_loop()
            share = (self._deadline - SPARED - loop.time()) / (len(wanted) - number)
            self._stage = one.method
            try:
                async with asyncio.timeout(share):
                    async for _, raw, value in self._entries(one.method, one.key, one.by, meta):
                        entries.append(listed(one, raw, value))
            except TimeoutError:
                troubles.append(f"{self._stage}: the server did not answer in time")
            except UpstreamFault as error:
                troubles.append(printable(error.message))
            lists[one.field] = tuple(entries)
        said = about.get("instructions")
        return msgspec.structs.replace(
            found,
            instructions=said if isinstance(said, str) else "",
            troubles=tuple(troubles),
            **lists,
        )

    async def _entries(
        self, method: str, key: str, by: str, meta: Mapping[str, object] | None
    ) -> AsyncGenerator[tuple[str, bytes, Mapping[str, object]]]:
        """Every entry of every page of a list, in order."""
        cursor: str | None = None
        seen: set[str] = set()
        entries = 0
        for number in range(1, MAX_PAGES + 1):
            self._stage = f"{method}, page {number}"
            page = await self._page(method, key, by, cursor, meta)
            entries += len(page.tools)
            self._check_size(entries, key)
            for entry in page.tools:
                yield entry
            cursor = page.next_cursor
            if not cursor:
                return
            if cursor in seen:
                raise UpstreamFault(
                    f"{self._stage}: the server leads back to a page that was read", written=True
                )
            seen.add(cursor)
        raise UpstreamFault(f"{method}: the list has more than {MAX_PAGES} pages", written=True)

    async def _page(
        self, method: str, key: str, by: str, cursor: str | None, meta: Mapping[str, object] | None
    ) -> ListPage:
        params: dict[str, object] = {} if cursor is None else {"cursor": cursor}
        if meta is not None:
            params["_meta"] = meta
        answer = await self._ask(method, params, self._left())
        if answer.message is None or answer.result is None:
            error = answer.error or {}
            if cursor is None and error.get("code") == METHOD_NOT_FOUND:
                return ListPage(())  # a server without such
            raise self._fault(answer)
        page = read_list(answer.message, key, by)
        if isinstance(page, str):
            raise UpstreamFault(f"{self._stage}: {page}", written=True)
        return page

    def _check_size(self, entries: int, key: str) -> None:
        if self._talk.received > MAX_BYTES:
            raise UpstreamFault(
                f"{self._stage}: the pages have over {MAX_BYTES} bytes together", written=True
            )
        if entries > MAX_TOOLS:
            raise UpstreamFault(f"{self._stage}: the list has more than {MAX_TOOLS} {key}", written=True)

    async def _ask(self, method: str, params: Mapping[str, object], seconds: float) -> Answer:
        named_too = [(b"mcp-method", method.encode())] if self._talk.version in MODERN_VERSIONS else []
        return await self._talk.ask(method, params, seconds=seconds, headers=named_too)

    def _fault(self, answer: Answer) -> UpstreamFault:
        """Why there is no result, with the step at which it was missing."""
        if answer.status in (401, 403):
            text = f"{self._stage}: the server wants other credentials (HTTP status {answer.status})"
            return UpstreamFault(text, written=True, hint="give them with --header-env or --header-file")
        if answer.fault is not None:
            return UpstreamFault(
                f"{self._stage}: {answer.fault.message}", written=True, hint=answer.fault.hint
            )
        error = answer.error or {}
        code, said = error.get("code"), printable(str(error.get("message", ""))[:MAX_NAME])
        shown = f" {code}" if isinstance(code, int) else ""
        return UpstreamFault(f"{self._stage}: the server answered with error{shown}: {said}", written=True)


def _info(about: Mapping[str, object]) -> ServerInfo:
    """Who a server says that it is, by the handshake or the discovery."""
    meta = as_object(about.get("_meta")) or {}
    info = as_object(about.get("serverInfo")) or as_object(meta.get(SERVER_INFO)) or {}
    return ServerInfo(_text(info.get("name")), _text(info.get("version")))


def _offered(answer: Answer) -> list[str] | None:
    """The revisions that an error names as supported; None where it names none."""
    data = as_object((answer.error or {}).get("data")) or {}
    return _texts(data["supported"]) if "supported" in data else None


def _texts(value: object) -> list[str]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [each for each in items[:64] if isinstance(each, str)]


def _text(value: object) -> str:
    return printable(value[:MAX_NAME]) if isinstance(value, str) else ""
