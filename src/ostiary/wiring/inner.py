"""A server that code may call: reached as its entry says, behind a gate of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from ostiary import VERSION
from ostiary.errors import CallerFault, OstiaryError, UpstreamFault
from ostiary.identity.grant import Grant
from ostiary.policy.definition import ToolDefinition
from ostiary.proxy.catalogue import Pins
from ostiary.proxy.exchange import Header, Upstream, nothing
from ostiary.proxy.gate import Gate
from ostiary.proxy.handled import HandledUpstream
from ostiary.proxy.http.client import HttpUpstream, read_address
from ostiary.proxy.http.egress import egress_for
from ostiary.proxy.pin_watch import LockedPins
from ostiary.proxy.policy_file import activate
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.upstream import StdioUpstream
from ostiary.scan.introspect import Introspection, Manner, Way, introspect
from ostiary.servers.code.servers_file import ServerEntry
from ostiary.settings import checked_header
from ostiary.wire.message import as_object
from ostiary.wiring.premises import Policy, Post, Premises, keyed, several

_ALWAYS: Final = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
"""What of our environment a server gets beside what its entry says, as MCP clients do it."""
_SECONDS: Final = 60.0
_AGAIN_AFTER: Final = 15.0
"""Seconds for which a server that could not be asked is not asked again: others would wait each time."""


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
        self._opening: asyncio.Task[None] | None = None
        self._failed: tuple[float, str, str | None] | None = None

    async def ready(self) -> None:
        """Ask it for its tools, once, and put the gate in front. Raises OstiaryError where that fails.

        Whoever comes meanwhile waits for the same; who comes soon after a failure is told of it at once.
        """
        if self._post is not None:
            return
        now = asyncio.get_running_loop().time()
        if self._failed is not None and now < self._failed[0]:
            raise UpstreamFault(self._failed[1], written=False, hint=self._failed[2])
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())  # ended in `close`
            self._opening.add_done_callback(self._opened)
        await asyncio.shield(self._opening)

    async def _open(self) -> None:
        found = await self._introspected()
        policy, follow = self._policy(found.tools)
        locked: LockedPins | Pins | None = self._premises.pins(self.name)
        if locked is None and not follow:  # the promise is the definition's that made it, and no other's
            locked = Pins({tool.name: tool.digest for tool in found.tools})
        post = self._premises.post(
            self._dial(), self.name, policy, locked, own_headers=self._headers(), follow=follow
        )
        post.begin(f"in front of `{self.name}`, for code")
        self.modern, self._post = found.era == "modern", post

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening = None
        error = None if task.cancelled() else task.exception()
        if isinstance(error, OstiaryError):
            self._failed = (asyncio.get_running_loop().time() + _AGAIN_AFTER, error.message, error.hint)

    def stopped(self, owner: str) -> bool:
        """See `Behind.stopped`; only once it is ready."""
        return self._post is not None and self._post.desk.stops.covering(owner) is not None

    def way(self, owner: str, parent: str) -> Upstream:
        """Through its gate. Only once it is ready."""
        if self._post is None:
            raise CallerFault(f"`{self.name}` was not asked for its tools yet")
        return HandledUpstream(Gate(self._post.desk, Grant.named(owner), parent=parent), peer="code")

    async def close(self) -> None:
        """End what runs, and note the end."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        if self._post is not None:
            await self._post.close()

    async def _introspected(self) -> Introspection:
        """By the handshake where it takes one, since a session is kept; else without."""
        manner = Manner(self._headers(), VERSION, None, _SECONDS)
        return await introspect(Way(partial(self._dial, single=True), _ended), manner)

    def _policy(self, tools: Sequence[ToolDefinition]) -> tuple[Policy, bool]:
        """The policy, and whether it is the file's own."""
        options, premises = self._premises.options, self._premises
        if options.policy is not None:
            document = several(options, options.policy)
            if document is None or self.name in document.servers:
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

    def _dial(self, *, single: bool = False) -> Upstream:
        entry = self._entry
        if entry.url:
            address = read_address(entry.url)
            scheme = "https" if address.secure else "http"
            proxy = egress_for(scheme, address.host, address.port, self._environ)
            return HttpUpstream(entry.url, proxy=proxy)
        environment = {name: self._environ[name] for name in _ALWAYS if name in self._environ}
        command = Command(entry.command, entry.cwd or None, {**environment, **entry.env})
        upstream = StdioUpstream(command, single=single)
        upstream.on_doubt = nothing
        upstream.start()
        return upstream

    def _headers(self) -> tuple[Header, ...]:
        return tuple(checked_header(name, value) for name, value in self._entry.headers)


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
