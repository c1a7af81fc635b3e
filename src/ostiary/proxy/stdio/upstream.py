"""MCP servers on pipes behind the one interface that all upstreams have.

Towards the gate this is a streamable HTTP server. With a stdio client in front there is one
child and no session (`single`). With HTTP clients in front every legacy session has a child of
its own, and on the modern era, which knows no sessions, every grant has one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

import msgspec

from ostiary.errors import GatewayFault, UpstreamFault
from ostiary.proxy.bridge.complaint import Complaints, Log, to_stderr
from ostiary.proxy.bridge.conversation import Use, failed
from ostiary.proxy.bridge.glance import Glance, glance
from ostiary.proxy.bridge.outlet import refused, whole
from ostiary.proxy.exchange import Callback, Flow, Sink, UpstreamRequest, nothing
from ostiary.proxy.headers import SESSION
from ostiary.proxy.stdio.child import Grace, Launch
from ostiary.proxy.stdio.conversation import PipeConversation, PipeLimits
from ostiary.proxy.stdio.program import Command, find_program
from ostiary.proxy.stdio.watchdog import Watchdog

PARSE_ERROR = -32700
INVALID_REQUEST = -32600

SESSION_BYTES = 16


class ChildLimits(msgspec.Struct, frozen=True):
    """How many children may run, and after how many idle seconds one may make room."""

    max_children: int = 64
    idle_after: float = 60.0


_Ref = tuple[str, bytes]
"""Grant and session id; the session id of a modern child is empty."""


class StdioUpstream:
    """Implements `Upstream` on children started from one command."""

    def __init__(
        self,
        command: Command,
        *,
        single: bool,
        on_exit: Callable[[int], object] | None = None,
        pipe_limits: PipeLimits | None = None,
        child_limits: ChildLimits | None = None,
        grace: Grace | None = None,
        log: Log = to_stderr,
    ) -> None:
        """Nothing is started yet. `on_exit` gets the exit status of the one child (`single`).

        `on_doubt`, to be set, is told when a child has ended: the next one need not offer the same.
        `launch`, to be set before `start`, starts every child where it is not to be any program of ours.
        """
        self.launch: Launch | None = None
        self.on_doubt: Callback = nothing
        self._command = command
        self._single = single
        self._on_exit = on_exit
        self._pipe_limits = pipe_limits or PipeLimits()
        self._child_limits = child_limits or ChildLimits()
        self._grace = grace or Grace()
        self._complain = Complaints(log)
        self._watchdog = Watchdog()
        self._by_ref: dict[_Ref, PipeConversation] = {}
        self._only: PipeConversation | None = None
        self._stopping: set[asyncio.Task[int]] = set()
        self._closed = False

    def start(self) -> None:
        """Start the one child (`single`), or only look whether the command can be started.

        Needs a running loop and the main thread. Raises GatewayFault naming the command.
        """
        if self._single:
            self._only = self._spawn(Use())
        else:
            find_program(self._command)

    @property
    def status(self) -> int | None:
        """The exit status of the one child (`single`), or None while it runs."""
        return None if self._only is None else self._only.status

    def signal(self, signum: int) -> None:
        """Send a signal to every child and all that they started."""
        for conversation in self._running():
            conversation.signal(signum)

    def send(self, request: UpstreamRequest, sink: Sink) -> Flow:
        """Take one HTTP-shaped request; see `Upstream.send`."""
        if self._closed:
            return failed(sink, UpstreamFault("the gate is stopping", written=False))
        if request.method == "POST":
            return self._post(request, sink)
        if request.method == "GET":
            return self._get(request, sink)
        if request.method == "DELETE":
            return self._delete(request, sink)
        return whole(sink, 405, b"", ((b"allow", b"POST, GET, DELETE"),))

    async def close(self) -> None:
        """End all children, by the deadlines of `Grace`, and release everything."""
        self._closed = True
        for conversation in self._running():
            self._stop(conversation)
        if self._stopping:
            await asyncio.gather(*self._stopping)
        self._watchdog.close()

    def _post(self, request: UpstreamRequest, sink: Sink) -> Flow:
        seen = glance(request.body)
        if seen is None:
            return refused(sink, 400, PARSE_ERROR, "the body is not one JSON-RPC message", b"")
        try:
            found = self._conversation_for(request, seen)
        except GatewayFault as fault:
            return failed(sink, UpstreamFault(fault.message, written=False, hint=fault.hint))
        if found is None:
            if request.header(SESSION) is not None:
                return refused(
                    sink, 404, INVALID_REQUEST, "the session does not exist or has ended", seen.id_raw
                )
            return refused(sink, 400, INVALID_REQUEST, "a session id is needed", seen.id_raw)
        return found.post(request.body, seen, sink)

    def _conversation_for(self, request: UpstreamRequest, seen: Glance) -> PipeConversation | None:
        """Whose pipe a message goes to: the only one, the grant's, a new session's, or its session's."""
        if self._single:
            if self._only is None:
                self.start()
            return self._only
        grant = request.grant
        session = request.header(SESSION)
        if seen.modern or (session is None and seen.kind == "notification"):
            return self._of_grant(grant, start=seen.modern)
        if seen.kind == "request" and seen.method == "initialize" and session is None:
            return self._new_session(grant)
        return self._by_ref.get((grant, session)) if session else None

    def _of_grant(self, grant: str, *, start: bool) -> PipeConversation | None:
        ref = (grant, b"")
        if ref not in self._by_ref and start:
            self._make_room()
            self._by_ref[ref] = self._spawn(Use(shared=True, http_status=True))
        return self._by_ref.get(ref)

    def _new_session(self, grant: str) -> PipeConversation:
        self._make_room()
        session = secrets.token_hex(SESSION_BYTES).encode()
        conversation = self._spawn(Use(headers=((SESSION, session),)))
        self._by_ref[(grant, session)] = conversation
        return conversation

    def _make_room(self) -> None:
        """Keep within the number of children: the one that has been idle longest may go.

        Raises GatewayFault when all of them are in use.
        """
        limits = self._child_limits
        if len(self._by_ref) < limits.max_children:
            return
        before = asyncio.get_running_loop().time() - limits.idle_after
        idle = [one for one in self._by_ref.values() if one.idle and one.used <= before]
        if not idle:
            raise GatewayFault(
                f"{limits.max_children} children of `{self._command.label}` are in use",
                hint="raise the limit, or end sessions that are no longer needed",
            )
        self._end(min(idle, key=lambda one: one.used))

    def _spawn(self, use: Use) -> PipeConversation:
        return PipeConversation(
            self._command,
            self._watchdog,
            use,
            self._pipe_limits,
            self._complain,
            self._conversation_ended,
            self.launch,
        )

    def _get(self, request: UpstreamRequest, sink: Sink) -> Flow:
        if self._single:
            found = self._only
        else:
            session = request.header(SESSION)
            if session is None:
                return whole(sink, 405, b"", ((b"allow", b"POST"),))
            found = self._by_ref.get((request.grant, session))
        if found is None or found.status is not None:
            return refused(sink, 404, INVALID_REQUEST, "the session does not exist or has ended", b"")
        return found.listen(sink)

    def _delete(self, request: UpstreamRequest, sink: Sink) -> Flow:
        session = request.header(SESSION)
        if self._single or session is None:
            return whole(sink, 405, b"", ((b"allow", b"POST, GET"),))
        found = self._by_ref.get((request.grant, session))
        if found is None:
            return refused(sink, 404, INVALID_REQUEST, "the session does not exist or has ended", b"")
        self._end(found)
        return whole(sink, 200, b"")

    def _end(self, conversation: PipeConversation) -> None:
        """Forget a conversation now and stop its child in the background."""
        self._forget(conversation)
        self._stop(conversation)

    def _stop(self, conversation: PipeConversation) -> None:
        task = asyncio.get_running_loop().create_task(conversation.stop(self._grace))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    def _forget(self, conversation: PipeConversation) -> None:
        for ref in [ref for ref, one in self._by_ref.items() if one is conversation]:
            del self._by_ref[ref]

    def _conversation_ended(self, conversation: PipeConversation, status: int) -> None:
        self._forget(conversation)
        self.on_doubt()
        if self._single and self._on_exit is not None:
            self._on_exit(status)

    def _running(self) -> list[PipeConversation]:
        running = list(self._by_ref.values())
        return running if self._only is None else [*running, self._only]
