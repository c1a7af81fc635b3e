"""A server behind a gate of its own, and what one owner has going with it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any, Final, Protocol

from ostiary.errors import UpstreamFault
from ostiary.policy.definition import ToolDefinition
from ostiary.proxy.exchange import Header, Upstream
from ostiary.registry.fingerprint import definition
from ostiary.sandbox.chores import Chores
from ostiary.sandbox.toolbox import ToolFault
from ostiary.scan.talk import Answer, Talk
from ostiary.servers.code.values import Keep, value_of
from ostiary.wire.era import MODERN_VERSIONS
from ostiary.wire.lists import read_page
from ostiary.wire.revisions import LEGACY_VERSIONS

LIST_SECONDS: Final = 30.0
KEEP_SECONDS: Final = 60.0
"""How long a list of tools is believed."""
MAX_PAGES: Final = 100
MAX_TOOLS: Final = 10_000
MAX_LIST: Final = 16 << 20
"""Bytes of all definitions together."""
TELL_SECONDS: Final = 5.0
GONE: Final = 404


class Behind(Protocol):
    """One server that code may call."""

    @property
    def name(self) -> str: ...

    @property
    def modern(self) -> bool:
        """Whether it speaks the modern era, and no other."""
        ...

    async def ready(self) -> None:
        """Wait until it can be asked. Raises OstiaryError where it cannot."""
        ...

    def stopped(self, owner: str) -> bool:
        """Whether an emergency stop covers what `owner` asks of it."""
        ...

    def way(self, owner: str, parent: str) -> Upstream:
        """Through its gate, for `owner`; what is asked belongs to the call `parent`."""
        ...


class Conversation:
    """One owner's session with one server. Calls may be made at the same time."""

    def __init__(self, behind: Behind, owner: str, version: str) -> None:
        """`version` is of Ostiary."""
        self.behind = behind
        self._owner = owner
        self._about = {"name": "ostiary", "version": version}
        self._session: bytes | None = None
        self._version = ""
        self._talks = 0
        self._ids = f"code-{secrets.token_hex(4)}"
        self._asking = 0
        self._telling = Chores(lambda _: None)
        self._opening = asyncio.Lock()
        self._tools: tuple[ToolDefinition, ...] = ()
        self._read_at: float | None = None

    @property
    def latest(self) -> tuple[ToolDefinition, ...]:
        """What was listed last; nothing before."""
        return self._tools

    async def tools(self, parent: str) -> tuple[ToolDefinition, ...]:
        """What may be called, as the gate lists it. Raises OstiaryError."""
        now = asyncio.get_running_loop().time()
        if self._read_at is None or now - self._read_at > KEEP_SECONDS:
            await self.behind.ready()
            try:
                async with asyncio.timeout(LIST_SECONDS):
                    self._tools = await self._listed(parent)
            except TimeoutError:
                text = f"{self.behind.name}: its tools were not listed within {LIST_SECONDS:g} seconds"
                raise UpstreamFault(text, written=True) from None
            self._read_at = now
        return self._tools

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        parent: str,
        seconds: float,
        keep: Keep | None = None,
    ) -> Any:
        """Call a tool; what it answered, as a value: see `value_of`. Raises ToolFault and ToolHeld.

        Cancelling this, or `seconds` without an answer, ends the call at the server as well.
        """
        asked = {"name": tool, "arguments": arguments}
        try:
            async with asyncio.timeout(seconds):
                answer = await self._ask("tools/call", asked, parent, seconds + LIST_SECONDS, tool)
        except TimeoutError:
            raise ToolFault(f"{self.behind.name}: no answer within {seconds:g} seconds") from None
        if answer.error is not None:
            code = answer.error.get("code")
            said = str(answer.error.get("message", ""))[:2_000]
            raise ToolFault(f"{self.behind.name}: {said}", code if isinstance(code, int) else 0)
        if answer.result is None:
            why = answer.fault.message if answer.fault is not None else f"status {answer.status}"
            raise ToolFault(f"{self.behind.name}: {why}")
        return value_of(answer.result, keep)

    @property
    def idle(self) -> bool:
        """Whether nothing is asked."""
        return self._asking == 0

    async def leave(self) -> None:
        """End the session with the server, if there is one."""
        await self._telling.finish()
        if self._session is not None:
            await self._talk("").leave()
            self._session = None

    async def _listed(self, parent: str) -> tuple[ToolDefinition, ...]:
        found: dict[str, ToolDefinition] = {}
        cursor: str | None = None
        size = 0
        for _ in range(MAX_PAGES):
            params = {} if cursor is None else {"cursor": cursor}
            answer = await self._ask("tools/list", params, parent, LIST_SECONDS)
            if answer.message is None or answer.result is None:
                raise answer.fault or UpstreamFault(_said(answer, self.behind.name), written=True)
            page = read_page(answer.message)
            if isinstance(page, str):
                raise UpstreamFault(f"{self.behind.name}: tools/list: {page}", written=True)
            found |= {name: definition(name, raw, value) for name, raw, value in page.tools}
            size += sum(len(raw) for _, raw, _ in page.tools)
            if len(found) > MAX_TOOLS or size > MAX_LIST:
                text = f"{self.behind.name}: more than {MAX_TOOLS} tools, or {MAX_LIST} bytes of them"
                raise UpstreamFault(text, written=True)
            cursor = page.next_cursor
            if not cursor:
                return tuple(found.values())
        raise UpstreamFault(f"{self.behind.name}: more than {MAX_PAGES} pages of tools", written=True)

    async def _ask(
        self, method: str, params: Mapping[str, Any], parent: str, seconds: float, name: str = ""
    ) -> Answer:
        """(1) In the session there is, (2) and once more where the server no longer knows it."""
        self._asking += 1
        try:
            # (1)
            await self._open(parent)
            session = self._session
            answer = await self._once(method, params, parent, seconds, name)
            if answer.status != GONE or session is None:
                return answer
            # (2)
            if self._session is session:
                self._session, self._version = None, ""
            await self._open(parent)
            return await self._once(method, params, parent, seconds, name)
        finally:
            self._asking -= 1

    async def _once(
        self, method: str, params: Mapping[str, Any], parent: str, seconds: float, name: str
    ) -> Answer:
        talk = self._talk(parent)
        headers: list[Header] = []
        if self.behind.modern:
            params = {**params, "_meta": self._meta()}
            headers = [(b"mcp-method", method.encode())]
            headers += [(b"mcp-name", name.encode("utf-8", "replace"))] if name else []
        try:
            return await talk.ask(method, params, seconds=seconds, headers=headers)
        except asyncio.CancelledError:
            if not self.behind.modern:  # there it is enough that nobody waits any more
                self._withdraw(talk)
            raise

    def _withdraw(self, talk: Talk) -> None:
        """Tell the server that nobody waits for what was asked last."""
        params = {"requestId": talk.latest, "reason": "the run that asked is over"}
        self._telling.start(talk.tell("notifications/cancelled", TELL_SECONDS, params))

    async def _open(self, parent: str) -> None:
        if self.behind.modern or self._version:
            return
        async with self._opening:
            if self._version:
                return
            talk = self._talk(parent)
            for revision in reversed(LEGACY_VERSIONS):
                params = {"protocolVersion": revision, "capabilities": {}, "clientInfo": self._about}
                answer = await talk.ask("initialize", params, seconds=LIST_SECONDS)
                if answer.result is not None:
                    talk.version = str(answer.result.get("protocolVersion"))
                    await talk.tell("notifications/initialized", LIST_SECONDS)
                    self._session, self._version = talk.session, talk.version
                    return
                if answer.error is None or revision == LEGACY_VERSIONS[0]:
                    raise ToolFault(_said(answer, self.behind.name))

    def _talk(self, parent: str) -> Talk:
        self._talks += 1
        talk = Talk(self.behind.way(self._owner, parent), (), self._owner, f"{self._ids}-{self._talks}")
        talk.version = MODERN_VERSIONS[0] if self.behind.modern else self._version
        talk.session = self._session
        return talk

    def _meta(self) -> dict[str, object]:
        return {
            "io.modelcontextprotocol/protocolVersion": MODERN_VERSIONS[0],
            "io.modelcontextprotocol/clientInfo": self._about,
            "io.modelcontextprotocol/clientCapabilities": {},
        }


def _said(answer: Answer, server: str) -> str:
    if answer.error is not None:
        return f"{server}: {str(answer.error.get('message', ''))[:2_000]}"
    why = answer.fault.message if answer.fault is not None else f"status {answer.status}"
    return f"{server}: {why}"
