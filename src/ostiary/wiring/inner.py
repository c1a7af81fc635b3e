"""A server that code may call: reached as its entry says, behind a gate of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from ostiary import VERSION
from ostiary.errors import CallerFault
from ostiary.identity.grant import Grant
from ostiary.policy.definition import ToolDefinition
from ostiary.policy.load import load_text
from ostiary.proxy.exchange import Header, Upstream, nothing
from ostiary.proxy.gate import Gate
from ostiary.proxy.handled import HandledUpstream
from ostiary.proxy.http.client import HttpUpstream, read_address
from ostiary.proxy.http.egress import egress_for
from ostiary.proxy.policy_file import activate, read_policy
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.upstream import StdioUpstream
from ostiary.scan.introspect import Introspection, Manner, Way, introspect
from ostiary.servers.code.servers_file import ServerEntry
from ostiary.wire.message import as_object
from ostiary.wiring.premises import Policy, Post, Premises, keyed

_ALWAYS: Final = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
"""What of our environment a server gets beside what its entry says, as MCP clients do it."""
_SECONDS: Final = 60.0


class InnerServer:
    """Implements `Behind`. Asked for its tools when it is first needed, and in front of it is a gate then.

    Under a policy that names it, the gate follows that. Otherwise it lets through what the server itself
    says only reads, and nothing else: such a policy is made of the tools that it has then.
    """

    def __init__(self, premises: Premises, entry: ServerEntry, environ: Mapping[str, str]) -> None:
        """Nothing is started yet."""
        self.name = entry.name
        self.modern = False
        self._premises = premises
        self._entry = entry
        self._environ = environ
        self._post: Post | None = None
        self._turn = asyncio.Lock()

    async def ready(self) -> None:
        """Ask it for its tools, once, and put the gate in front. Raises OstiaryError where that fails."""
        async with self._turn:
            if self._post is not None:
                return
            found = await self._introspected()
            policy, follow = self._policy(found.tools)
            locked = self._premises.pins(self.name)
            post = self._premises.post(
                self._dial(), self.name, policy, locked, own_headers=self._headers(), follow=follow
            )
            post.begin(f"in front of `{self.name}`, for code")
            self.modern, self._post = found.era == "modern", post

    def way(self, owner: str, parent: str) -> Upstream:
        """Through its gate. Only once it is ready."""
        if self._post is None:
            raise CallerFault(f"`{self.name}` was not asked for its tools yet")
        return HandledUpstream(Gate(self._post.desk, Grant.named(owner), parent=parent), peer="code")

    async def close(self) -> None:
        """End what runs, and note the end."""
        if self._post is not None:
            await self._post.close()

    async def _introspected(self) -> Introspection:
        """By the handshake where it takes one, since a session is kept; else without."""
        manner = Manner(self._headers(), VERSION, None, _SECONDS)
        return await introspect(Way(self._dial, _ended), manner)

    def _policy(self, tools: Sequence[ToolDefinition]) -> tuple[Policy, bool]:
        """The policy, and whether it is the file's own."""
        options, premises = self._premises.options, self._premises
        if options.policy is not None:
            document, _ = load_text(read_policy(options.policy), file=str(options.policy))
            if document is not None and self.name in document.servers:
                policy = premises.policy(self.name)
                if policy is not None:
                    return policy, True
        content = read_only_policy(self.name, tools)
        compiled = activate(
            content,
            file=f"(tools of {self.name} that only read)",
            server=self.name,
            unsafe_monitor=False,
            unsafe_skip_tests=True,
            conceal=keyed(premises.store.keys.audit),
        )
        return (content, compiled), False

    def _dial(self) -> Upstream:
        entry = self._entry
        if entry.url:
            address = read_address(entry.url)
            scheme = "https" if address.secure else "http"
            proxy = egress_for(scheme, address.host, address.port, self._environ)
            return HttpUpstream(entry.url, proxy=proxy)
        environment = {name: self._environ[name] for name in _ALWAYS if name in self._environ}
        command = Command(entry.command, entry.cwd or None, {**environment, **entry.env})
        upstream = StdioUpstream(command, single=False)
        upstream.on_doubt = nothing
        upstream.start()
        return upstream

    def _headers(self) -> tuple[Header, ...]:
        return tuple((name.lower().encode(), value.encode()) for name, value in self._entry.headers)


def read_only_policy(server: str, tools: Sequence[ToolDefinition]) -> bytes:
    """A policy that allows the tools which say of themselves that they only read."""
    allowed: dict[str, Any] = {}
    for tool in tools:
        raw = as_object(msgspec.json.decode(tool.raw)) or {}
        hints = as_object(raw.get("annotations")) or {}
        if hints.get("readOnlyHint") is True and hints.get("destructiveHint") is not True:
            allowed[tool.name] = {}
    document = {
        "version": "1",
        "description": f"tools of {server} that say of themselves that they only read",
        "default": "deny",
        "tools": allowed,
    }
    return msgspec.json.encode(document)


def _ended(upstream: Upstream) -> bool:
    return isinstance(upstream, StdioUpstream) and upstream.status is not None
