"""What clients of code mode keep and ask for: custom tools, and servers that an operator agreed to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from functools import partial
from ipaddress import ip_address
from typing import Final

from ostiary import VERSION
from ostiary.arguments.url import read_url
from ostiary.audit.record import Record
from ostiary.builtin import CodeOptions
from ostiary.calls.journal import Entry, Reply
from ostiary.errors import CallerFault, OstiaryError, UpstreamFault
from ostiary.identity.grant import Grant
from ostiary.proxy.exchange import Upstream
from ostiary.proxy.gate import Gate
from ostiary.proxy.handled import HandledUpstream
from ostiary.proxy.http.client import read_address
from ostiary.proxy.http.egress import egress_for
from ostiary.sandbox.chores import Chores
from ostiary.sandbox.egress.places import Place, why_refused
from ostiary.servers.code.background import Background
from ostiary.servers.code.custom_bench import Workbench
from ostiary.servers.code.custom_looking import missing_of
from ostiary.servers.code.custom_server import Listed, custom_tools_of
from ostiary.servers.code.custom_tools import CustomTools
from ostiary.servers.code.remote import Counter, checked_url, like_another, remote_tool
from ostiary.servers.code.server import executing, tools_of
from ostiary.servers.code.servers_file import requested_entry
from ostiary.servers.code.workshop import Workshop
from ostiary.servers.core.server import Server
from ostiary.servers.core.tool import Tool
from ostiary.store.code_shelf import CodeShelf
from ostiary.store.server_requests import ServerRequest
from ostiary.wiring.engine import trouble
from ostiary.wiring.inner import InnerServer
from ostiary.wiring.premises import Premises

PERIOD_S: Final = 0.25
"""Seconds between two looks at what other processes have changed."""


class Front:
    """Implements `Behind`: the gate in front of code mode itself, for calls that a client left to us."""

    def __init__(self, premises: Premises, name: str) -> None:
        self.name = name
        self.modern = True
        self._premises = premises

    async def ready(self) -> None:
        """It is there since the start. Raises CallerFault before that."""
        if self.name not in self._premises.desks:
            raise CallerFault("the gate in front is not there yet")

    def stopped(self, owner: str) -> bool:
        """See `Behind.stopped`."""
        return self._premises.desks[self.name].stops.covering(owner) is not None

    def way(self, owner: str, parent: str) -> Upstream:
        """Through the gate, which decides as for any other call of `owner`."""
        gate = Gate(self._premises.desks[self.name], Grant.named(owner), parent=parent)
        return HandledUpstream(gate, peer="code")


class RequestedServer(InnerServer):
    """A server at a URL that a client asked for: it has to be on the open network."""

    def __init__(
        self, premises: Premises, request: ServerRequest, environ: Mapping[str, str], *, private: bool
    ) -> None:
        """Raises CallerFault for a URL that is not allowed, and a variable that is not set."""
        checked_url(request.url, private=private)
        entry = requested_entry(request.name, request.url, request.headers, environ)
        super().__init__(premises, entry, environ)
        self.sends = entry.headers
        self.place = Place(read_url(request.url).host, read_address(request.url).port)
        self.request = request
        self._environ_of = environ
        self._private = private

    async def ready(self) -> None:
        """See `Behind.ready`; its name is looked up each time. Raises OstiaryError."""
        address = read_address(self.request.url)
        scheme = "https" if address.secure else "http"
        if egress_for(scheme, address.host, address.port, self._environ_of) is None:
            await _outside(self.name, address.host, address.port, private=self._private)
        await super().ready()


class CodeExtras:
    """Custom tools and requested servers of one running server. To be made inside a running loop."""

    def __init__(
        self,
        premises: Premises,
        own: str,
        workshop: Workshop,
        options: CodeOptions,
        environ: Mapping[str, str],
    ) -> None:
        self._premises = premises
        self._own = own
        self._workshop = workshop
        self._environ = environ
        self._private = options.unsafe_private_servers
        self._server: Server | None = None
        self._requests = CodeShelf(premises.state)
        self._shelf = CodeShelf(premises.state)
        self._added: dict[str, RequestedServer] = {}
        self._leaving = Chores(trouble)
        self._told = ""
        clock = premises.store.clock.now
        self._custom = CustomTools(self._shelf, clock, self._changed)
        self._background = Background(Front(premises, own), VERSION)
        bench = Workbench(
            tools=self._custom,
            execute=executing(workshop),
            missing=partial(missing_of, workshop),
            background=self._background,
            note=self._note,
            may_be_called=self._may_be_called,
            names=frozenset(tool.name for tool in tools_of(workshop)),
        )
        counter = Counter(
            requests=self._requests,
            names=lambda: workshop.names,
            linked=self._linked,
            fixed=frozenset(workshop.names),
            own=own,
            private=self._private,
            clock=clock,
            note=self._note,
        )
        self.tools: list[Tool] = [*custom_tools_of(bench), remote_tool(counter)]
        self.listed = Listed(bench)
        self._timer = premises.loop.call_soon(self._look)

    def serve(self, server: Server) -> None:
        """From now on clients of `server` are told of changes."""
        self._server = server

    async def close(self) -> None:
        """End what runs, and leave the servers that were added."""
        self._timer.cancel()
        await self._background.close()
        await asyncio.gather(*(one.close() for one in self._added.values()))
        await self._leaving.finish()
        self._shelf.close()
        self._requests.close()

    def _look(self) -> None:
        """What cannot be read now is read a moment later: until then all is as it was."""
        try:
            self._custom.refresh()
            if self._requests.news():
                self._settle(self._requests.approved())
        except OstiaryError as fault:
            self._requests.forget()
            self._complain(f"custom tools and requests cannot be read: {fault.message}")
        else:
            self._told = ""
        self._timer = self._premises.loop.call_later(PERIOD_S, self._look)

    def _complain(self, said: str) -> None:
        """Once, however often it is tried again."""
        if said != self._told:
            self._told = said
            trouble(said)

    def _linked(self, name: str, number: int) -> bool:
        added = self._added.get(name)
        return added is not None and added.request.number == number

    def _settle(self, approved: list[ServerRequest]) -> None:
        """Have exactly the servers that are approved, beside those of the file."""
        wanted = {one.name: one for one in approved}
        for name, server in list(self._added.items()):
            if wanted.get(name) != server.request:
                self._workshop.drop(name)
                self._leaving.start(self._added.pop(name).close())
        for name, request in wanted.items():
            if name not in self._workshop.names and name != self._own:
                self._add(request)
            elif name not in self._added:
                trouble(f"request {request.number}: there is a server `{name}` already; it is left out")

    def _add(self, request: ServerRequest) -> None:
        other = like_another(request.name, (self._own, *self._workshop.names))
        if other:
            trouble(
                f"request {request.number}: functions of `{request.name}` would look like those of `{other}`"
            )
            return
        try:
            server = RequestedServer(self._premises, request, self._environ, private=self._private)
            self._keep_secrets(server)
        except OstiaryError as fault:
            trouble(f"request {request.number}, server `{request.name}`: {fault.message}")
            return
        self._added[request.name] = server
        self._workshop.add(server)
        self._note(
            "server-added", f"request {request.number}: {request.name} at {request.url}", request.owner
        )

    def _keep_secrets(self, server: RequestedServer) -> None:
        """Raises CallerFault where it would be sent a secret of code that says it is for other hosts."""
        vault = self._workshop.vault
        for name, value in server.sends:
            secret = "" if vault is None else vault.astray(value, server.place)
            if secret:
                raise CallerFault(
                    f"the header `{name}` would send the value of the secret `{secret}`, which is not for "
                    f"{server.place}"
                )

    def _changed(self, owners: frozenset[str]) -> None:
        """The gate must read the list again before it decides about any call; clients are told."""
        desk = self._premises.desks.get(self._own)
        if desk is not None:
            desk.catalogues.doubt()
        if self._server is not None:
            for owner in ("",) if "" in owners else sorted(owners):
                self._server.changed("tools", owner=owner)

    def _may_be_called(self, version: str) -> bool:
        """See `Workbench`. Not where there is no policy: then nothing may.

        That the policy says nothing of the tool either is not enough: a gate in front of this one may.
        """
        desk = self._premises.desks.get(self._own)
        policy = None if desk is None else desk.policy
        return policy is not None and (policy.monitor or policy.named(version))

    def _note(self, kind: str, said: str, owner: str) -> None:
        record = Record(
            id=self._premises.mint(),
            ts=self._premises.store.clock.now(),
            kind="event",
            server=self._own,
            grant=owner,
            method=kind,
            note=said,
        )
        self._premises.journal.submit(Entry(record), _unheard)


def _unheard(_reply: Reply) -> None:
    """Nobody waits for an event."""


async def _outside(name: str, host: str, port: int, *, private: bool) -> None:
    """Raises UpstreamFault where a host is not found, or leads into a network of one's own."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise UpstreamFault(f"{name}: `{host}` is not found", written=False) from None
    for _, _, _, _, address in found:
        why = why_refused(ip_address(str(address[0]).partition("%")[0]), private=private)
        if why:
            raise UpstreamFault(f"{name}: `{host}` leads to {why}", written=False)
