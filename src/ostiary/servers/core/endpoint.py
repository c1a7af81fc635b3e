"""A server as everything else here speaks to servers: streamable HTTP without sockets.

Read strictly by `wire/`, as the gate reads. Legacy requests belong to a session, modern ones to
nothing but themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from ostiary.proxy.exchange import ClientRequest, Header, Responder
from ostiary.servers.core.call import id_of
from ostiary.servers.core.channel import KEEP_ALIVE, Channel
from ostiary.servers.core.context import LEVELS, Caller
from ostiary.servers.core.fault import BUSY, INVALID_PARAMS, INVALID_REQUEST
from ostiary.servers.core.listener import Listeners
from ostiary.servers.core.of_session import OF_SESSION, notified
from ostiary.servers.core.reply import STREAM, accepted, empty, is_modern, refuse, unfit, whole
from ostiary.servers.core.seal import Seal
from ostiary.servers.core.server import Server
from ostiary.servers.core.session import Session, Sessions
from ostiary.servers.core.work import Work
from ostiary.wire import answers
from ostiary.wire.envelope import read_message
from ostiary.wire.era import MODERN_VERSIONS, check_headers
from ostiary.wire.ids import id_key
from ostiary.wire.message import Message, Refusal, as_object
from ostiary.wire.mirror import Parameters
from ostiary.wire.revisions import LEGACY_VERSIONS

SESSION_HEADER = b"mcp-session-id"
EVENT_HEADER = b"last-event-id"
BATCHES = "2025-03-26"
RESUMABLE_SINCE = "2025-11-25"

_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
_CLIENT = "io.modelcontextprotocol/clientInfo"
_LOG_LEVEL = "io.modelcontextprotocol/logLevel"


SessionEnded = Callable[[str, str], object]
"""Told the owner and the name of a session that is over."""


def nobody(owner: str, name: str) -> None:
    """For a server that keeps nothing for its sessions."""


class EndpointLimits(msgspec.Struct, frozen=True):
    """Bounds: handlers at work at once, requests at once, sessions, and seconds.

    `session_idle` ends sessions in which nothing happens. After `patience` the answer to a legacy
    tool call becomes a stream that can be resumed: what takes long must not be lost with a
    connection. At 0 every answer is one.
    """

    max_working: int = 64
    max_requests: int = 1_024
    max_sessions: int = 1_024
    max_listeners: int = 256
    session_idle: float = 3_600.0
    patience: float = 1.0


class Endpoint:
    """One server, served. A `Handler`: call it with each request. To be made inside a running loop.

    `ended` is told the owner and the name of each session that is over.
    """

    def __init__(
        self,
        server: Server,
        *,
        limits: EndpointLimits | None = None,
        ended: SessionEnded = nobody,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._limits = limits = limits or EndpointLimits()
        self._seal = Seal(self._loop.time)
        self._work = Work(server, limits.max_working, limits.max_requests)
        self._closing = False
        self._sessions = Sessions(
            limits.max_sessions, limits.session_idle, lambda session: ended(session.owner, session.name)
        )
        self._listeners = Listeners(self._sessions, limits.max_listeners)
        self._unwatch = server.watch(self._listeners.tell)

    def __call__(self, request: ClientRequest, responder: Responder) -> None:
        """Take one request. Its answer may begin at once."""
        owner = "local" if request.grant is None else request.grant.name
        if self._closing:
            refuse(responder, 503, INVALID_REQUEST, "the server is stopping")
        elif request.method == "POST":
            self._post(request, responder, owner)
        elif request.method in ("GET", "DELETE") and not is_modern(request):
            self._about_session(request, responder, owner)
        else:
            empty(responder, 405, ((b"allow", b"POST"),))

    async def close(self) -> None:
        """End every session and call, and wait until they are over."""
        self._closing = True
        self._unwatch()
        for session in self._sessions:
            self._sessions.end(session)
        self._listeners.close()
        await self._work.close()

    # --- GET and DELETE -------------------------------------------------------------------------

    def _about_session(self, request: ClientRequest, responder: Responder, owner: str) -> None:
        session = self._session(request, responder, owner)
        if session is None:
            return
        if request.method == "DELETE":
            self._sessions.end(session)
            empty(responder, 200)
            return
        if STREAM not in accepted(request):
            refuse(responder, 406, INVALID_REQUEST, "accept `text/event-stream`")
            return
        after = request.header(EVENT_HEADER)
        if after is None:
            session.listen(Channel(responder, headers=_of(session)))
        elif not session.resume(after.decode("latin-1"), responder):
            words = "`Last-Event-ID` names no event that could be gone on from"
            refuse(responder, 400, INVALID_REQUEST, words)

    def _session(
        self, request: ClientRequest, responder: Responder, owner: str, message: Message | None = None
    ) -> Session | None:
        """The session of a request, or None when the request has been answered for want of it."""
        name = request.header(SESSION_HEADER)
        asked = message.id if message is not None and message.kind == "request" else None
        if name is None:
            words = "a session is needed: send `initialize` first, then its `Mcp-Session-Id`"
            refuse(responder, 400, INVALID_REQUEST, words, asked)
            return None
        session = self._sessions.find(name.decode("latin-1"), owner, self._loop.time())
        if session is None:
            refuse(responder, 404, INVALID_REQUEST, "there is no such session", asked)
        return session

    # --- POST -----------------------------------------------------------------------------------

    def _post(self, request: ClientRequest, responder: Responder, owner: str) -> None:
        """(1) Is its head fit, (2) is it a message, (3) of which era, (4) to whom."""
        # (1)
        fault = unfit(request)
        if fault is not None:
            refuse(responder, fault[0], INVALID_REQUEST, fault[1])
            return
        # (2)
        read = read_message(request.body, batches=self._may_batch(request, owner))
        if isinstance(read, Refusal):
            whole(responder, read.status, answers.refusal(read))
            return
        # (3)
        messages = read if isinstance(read, tuple) else (read,)
        eras = [check_headers(one, request.headers, parameters=self._parameters(one)) for one in messages]
        refusal = next((era for era in eras if isinstance(era, Refusal)), None)
        # (4)
        if refusal is not None:
            whole(responder, refusal.status, answers.refusal(refusal))
        elif "modern" in eras:
            self._modern(messages[0], request, responder, owner)
        else:
            self._legacy(messages, request, responder, owner, batch=isinstance(read, tuple))

    def _may_batch(self, request: ClientRequest, owner: str) -> bool:
        """Whether this is of a session of the one revision that has batches."""
        name = request.header(SESSION_HEADER)
        if name is None or is_modern(request):
            return False
        session = self._sessions.find(name.decode("latin-1"), owner, self._loop.time())
        return session is not None and session.revision == BATCHES

    def _parameters(self, message: Message) -> Parameters | None:
        name = message.params.get("name") if message.method == "tools/call" else None
        entry = self._server.catalogue.tools.get(name) if isinstance(name, str) else None
        return None if entry is None else entry.parameters

    # --- modern ---------------------------------------------------------------------------------

    def _modern(self, message: Message, request: ClientRequest, responder: Responder, owner: str) -> None:
        if message.kind != "request":
            empty(responder, 202)
            return
        meta = as_object(message.params.get("_meta")) or {}
        capabilities = as_object(meta.get(_CAPABILITIES))
        info = as_object(meta.get(_CLIENT, {}))
        level = meta.get(_LOG_LEVEL)
        if capabilities is None or info is None or level not in (None, *LEVELS):
            words = f"`_meta` must name `{_CAPABILITIES}`, and every part of it in its form"
            refuse(responder, 400, INVALID_PARAMS, words, message.id)
            return
        if message.method == "subscriptions/listen":
            self._listen(message, responder, owner)
            return
        caller = Caller(
            owner=owner,
            call=request.parent,
            revision=MODERN_VERSIONS[0],
            modern=True,
            info=info,
            capabilities=capabilities,
            log_level=level if isinstance(level, str) else None,
        )
        refused = self._work.refusal(message)
        if refused is not None:
            whole(responder, 200, refused)
            return
        channel = Channel(responder, plain=STREAM not in accepted(request))
        channel.open_after(KEEP_ALIVE)
        channel.on_gone = self._work.begin(message, caller, channel, self._seal).cancel

    def _listen(self, message: Message, responder: Responder, owner: str) -> None:
        refused = self._listeners.add(message, responder, owner)
        if refused is not None:
            words, code = refused
            refuse(responder, 200 if code == BUSY else 400, code, words, message.id)

    # --- legacy ---------------------------------------------------------------------------------

    def _legacy(
        self,
        messages: Sequence[Message],
        request: ClientRequest,
        responder: Responder,
        owner: str,
        *,
        batch: bool,
    ) -> None:
        first = messages[0]
        if first.kind == "request" and first.method == "initialize":
            self._initialize(first, responder, owner)
            return
        session = self._session(request, responder, owner, first)
        if session is None:
            return
        for message in messages:
            if message.kind == "response":
                session.answered(message)
            elif message.kind == "notification":
                notified(session, message)
        asked = [message for message in messages if message.kind == "request"]
        if not asked:
            empty(responder, 202)
            return
        channel = self._channel(asked, session, responder, plain=STREAM not in accepted(request), batch=batch)
        for message in asked:
            self._request(message, session, channel, request.parent)

    def _initialize(self, message: Message, responder: Responder, owner: str) -> None:
        wanted = message.params.get("protocolVersion")
        revision = str(wanted) if wanted in LEGACY_VERSIONS else LEGACY_VERSIONS[-1]
        session = self._sessions.begin(owner, revision, message.params, self._loop.time())
        if session is None:
            refuse(
                responder, 503, BUSY, "the server is busy with other sessions; try again later", message.id
            )
            return
        body = answers.result(id_of(message), self._server.initialized(revision))
        whole(responder, 200, body, _of(session))

    def _channel(
        self, asked: Sequence[Message], session: Session, responder: Responder, *, plain: bool, batch: bool
    ) -> Channel:
        """The one that answers the requests of one POST."""
        long = not self._limits.patience or any(message.method == "tools/call" for message in asked)
        name = session.next_name() if long and session.revision >= RESUMABLE_SINCE and not plain else ""
        channel = Channel(
            responder, name=name, headers=_of(session), expected=len(asked), batch=batch, plain=plain
        )
        if name:
            session.keep(channel)
        channel.open_after(self._limits.patience if name else KEEP_ALIVE)
        return channel

    def _request(self, message: Message, session: Session, channel: Channel, call: str) -> None:
        key = id_key(id_of(message))
        refused = self._work.refusal(message)
        if key in session.tasks:
            refused = answers.error(message.id, INVALID_REQUEST, "a request with this id is under way")
        own = OF_SESSION.get(message.method)
        if refused is None and own is not None:
            refused = own(self._server, session, message)
        if refused is not None:
            channel.answer(refused)
            return
        caller = Caller(
            owner=session.owner,
            session=session.name,
            call=call,
            revision=session.revision,
            modern=False,
            info=session.info,
            capabilities=session.capabilities,
            log_level=session.log_level,
        )

        def over() -> None:
            del session.tasks[key]
            session.used = self._loop.time()

        session.tasks[key] = self._work.begin(message, caller, channel, session, over)


def _of(session: Session) -> tuple[Header, ...]:
    return ((SESSION_HEADER, session.name.encode()),)
