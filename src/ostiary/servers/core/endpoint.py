"""A server as everything else here speaks to servers: streamable HTTP without sockets.

Read strictly by `wire/`, as the gate reads. Legacy requests belong to a session, modern ones to
nothing but themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from ostiary.proxy.bridge.outlet import JSON
from ostiary.proxy.exchange import ClientRequest, Head, Header, Responder, nothing
from ostiary.servers.core.call import answer, id_of
from ostiary.servers.core.channel import Channel
from ostiary.servers.core.context import LEVELS, Caller
from ostiary.servers.core.fault import BUSY, INVALID_PARAMS, INVALID_REQUEST
from ostiary.servers.core.listener import Listeners
from ostiary.servers.core.method import WORK
from ostiary.servers.core.of_session import OF_SESSION, notified
from ostiary.servers.core.seal import Seal
from ostiary.servers.core.server import Server
from ostiary.servers.core.session import Session, Sessions
from ostiary.wire import answers
from ostiary.wire.envelope import read_message
from ostiary.wire.era import MODERN_VERSIONS, VERSION_HEADER, check_headers
from ostiary.wire.ids import id_key
from ostiary.wire.message import Message, Refusal, as_object
from ostiary.wire.mirror import Parameters
from ostiary.wire.revisions import LEGACY_VERSIONS

SESSION_HEADER = b"mcp-session-id"
EVENT_HEADER = b"last-event-id"
BATCHES = "2025-03-26"
RESUMABLE_SINCE = "2025-11-25"
NO_SESSION = -32000
LOST_SESSION = -32001

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
        self._tasks: set[asyncio.Task[None]] = set()
        self._working = 0
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
            _whole(responder, 503, answers.error(None, INVALID_REQUEST, "the server is stopping"))
        elif request.method == "POST":
            self._post(request, responder, owner)
        elif request.method in ("GET", "DELETE") and not _is_modern(request):
            self._about_session(request, responder, owner)
        else:
            responder.start(Head(405, ((b"allow", b"POST"),), 0))
            responder.finish()

    async def close(self) -> None:
        """End every session and call, and wait until they are over."""
        self._closing = True
        self._unwatch()
        for session in self._sessions:
            self._sessions.end(session)
        self._listeners.close()
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    # --- GET and DELETE -------------------------------------------------------------------------

    def _about_session(self, request: ClientRequest, responder: Responder, owner: str) -> None:
        session = self._session(request, responder, owner)
        if session is None:
            return
        if request.method == "DELETE":
            self._sessions.end(session)
            responder.start(Head(200, (), 0))
            responder.finish()
            return
        if b"text/event-stream" not in _accepted(request):
            _whole(responder, 406, answers.error(None, INVALID_REQUEST, "accept `text/event-stream`"))
            return
        after = request.header(EVENT_HEADER)
        if after is None:
            session.listen(Channel(responder, headers=_of(session)))
        elif not session.resume(after.decode("latin-1"), responder):
            text = "`Last-Event-ID` names no event that could be gone on from"
            _whole(responder, 400, answers.error(None, INVALID_REQUEST, text))

    def _session(
        self, request: ClientRequest, responder: Responder, owner: str, message: Message | None = None
    ) -> Session | None:
        """The session of a request, or None when the request has been answered for want of it."""
        name = request.header(SESSION_HEADER)
        asked = message.id if message is not None and message.kind == "request" else None
        if name is None:
            text = "a session is needed: send `initialize` first, then its `Mcp-Session-Id`"
            _whole(responder, 400, answers.error(asked, NO_SESSION, text))
            return None
        session = self._sessions.find(name.decode("latin-1"), owner, self._loop.time())
        if session is None:
            _whole(responder, 404, answers.error(asked, LOST_SESSION, "there is no such session"))
        return session

    # --- POST -----------------------------------------------------------------------------------

    def _post(self, request: ClientRequest, responder: Responder, owner: str) -> None:
        """(1) What kind of body, (2) is it a message, (3) of which era, (4) to whom."""
        # (1)
        kind = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            _whole(responder, 415, answers.error(None, INVALID_REQUEST, "send `application/json`"))
            return
        accepted = _accepted(request)
        if b"application/json" not in accepted and b"text/event-stream" not in accepted:
            text = "accept `application/json` and `text/event-stream`"
            _whole(responder, 406, answers.error(None, INVALID_REQUEST, text))
            return
        # (2)
        read = read_message(request.body, batches=self._may_batch(request, owner))
        if isinstance(read, Refusal):
            _whole(responder, read.status, answers.refusal(read))
            return
        # (3)
        messages = read if isinstance(read, tuple) else (read,)
        eras = [check_headers(one, request.headers, parameters=self._parameters(one)) for one in messages]
        refusal = next((era for era in eras if isinstance(era, Refusal)), None)
        # (4)
        if refusal is not None:
            _whole(responder, refusal.status, answers.refusal(refusal))
        elif "modern" in eras:
            self._modern(messages[0], request, responder, owner)
        else:
            self._legacy(messages, request, responder, owner, batch=isinstance(read, tuple))

    def _may_batch(self, request: ClientRequest, owner: str) -> bool:
        """Whether this is of a session of the one revision that has batches."""
        name = request.header(SESSION_HEADER)
        if name is None:
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
            _accept(responder)
            return
        meta = as_object(message.params.get("_meta")) or {}
        capabilities = as_object(meta.get(_CAPABILITIES))
        info = as_object(meta.get(_CLIENT, {}))
        level = meta.get(_LOG_LEVEL)
        if capabilities is None or info is None or level not in (None, *LEVELS):
            text = f"`_meta` must name `{_CAPABILITIES}`, and every part of it in its form"
            _whole(responder, 400, answers.error(message.id, INVALID_PARAMS, text))
            return
        if message.method == "subscriptions/listen":
            self._listen(message, responder, owner)
            return
        caller = Caller(
            owner=owner,
            revision=MODERN_VERSIONS[0],
            modern=True,
            info=info,
            capabilities=capabilities,
            log_level=level if isinstance(level, str) else None,
        )
        refused = self._too_many(message)
        if refused is not None:
            _whole(responder, 200, refused)
            return
        channel = Channel(responder, plain=_plain(request))
        channel.on_gone = self._run(message, caller, channel, self._seal).cancel

    def _listen(self, message: Message, responder: Responder, owner: str) -> None:
        refused = self._listeners.add(message, responder, owner)
        if refused is not None:
            text, code = refused
            _whole(responder, 200 if code == BUSY else 400, answers.error(message.id, code, text))

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
            _accept(responder)
            return
        self._requests(asked, session, responder, plain=_plain(request), batch=batch)

    def _initialize(self, message: Message, responder: Responder, owner: str) -> None:
        wanted = message.params.get("protocolVersion")
        revision = str(wanted) if wanted in LEGACY_VERSIONS else LEGACY_VERSIONS[-1]
        session = self._sessions.begin(owner, revision, message.params, self._loop.time())
        body = answers.result(id_of(message), self._server.initialized(revision))
        _whole(responder, 200, body, _of(session))

    def _requests(
        self, asked: Sequence[Message], session: Session, responder: Responder, *, plain: bool, batch: bool
    ) -> None:
        """Answer the requests of one POST, on one channel."""
        long = not self._limits.patience or any(message.method == "tools/call" for message in asked)
        name = session.next_name() if long and session.revision >= RESUMABLE_SINCE and not plain else ""
        channel = Channel(
            responder, name=name, headers=_of(session), expected=len(asked), batch=batch, plain=plain
        )
        if name:
            session.keep(channel)
            if self._limits.patience > 0:
                timer = self._loop.call_later(self._limits.patience, channel.open)
                channel.on_end = timer.cancel
            else:
                channel.open()
        for message in asked:
            self._request(message, session, channel)

    def _request(self, message: Message, session: Session, channel: Channel) -> None:
        key = id_key(id_of(message))
        refused = self._too_many(message)
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
            revision=session.revision,
            modern=False,
            info=session.info,
            capabilities=session.capabilities,
            log_level=session.log_level,
        )
        session.tasks[key] = self._run(
            message, caller, channel, session, lambda: session.tasks.pop(key, None)
        )

    # --- work -----------------------------------------------------------------------------------

    def _too_many(self, message: Message) -> bytes | None:
        """The answer to a request for which there is no room."""
        limits = self._limits
        over = len(self._tasks) >= limits.max_requests
        if not over and (message.method not in WORK or self._working < limits.max_working):
            return None
        return answers.error(message.id, BUSY, "the server is busy with other calls; try again later")

    def _run(
        self,
        message: Message,
        caller: Caller,
        channel: Channel,
        within: Session | Seal,
        over: Callable[[], object] = nothing,
    ) -> asyncio.Task[None]:
        """Work on a request. Before its answer goes out, its place is free again and `over` is told.

        One that was cancelled has got no answer, and gets none.
        """
        works = message.method in WORK
        self._working += works
        settled = False

        def settle(body: bytes | None, status: int) -> None:
            nonlocal settled
            if not settled:
                settled = True
                self._working -= works
                over()
                channel.answer(body, status)

        async def work() -> None:
            try:
                body, status = await answer(self._server, message, caller, channel, within)
            except asyncio.CancelledError:
                settle(None, 200)
                raise
            settle(body, status)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            settle(None, 200)  # cancelled before its first step

        task = self._loop.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(ended)
        return task


def _of(session: Session) -> tuple[Header, ...]:
    return ((SESSION_HEADER, session.name.encode()),)


def _is_modern(request: ClientRequest) -> bool:
    version = request.header(VERSION_HEADER)
    return version is not None and version.decode("latin-1").strip() in MODERN_VERSIONS


_ANY = frozenset({b"application/json", b"text/event-stream"})


def _accepted(request: ClientRequest) -> frozenset[bytes]:
    """The types of ours that the client takes."""
    header = request.header(b"accept")
    if header is None:
        return _ANY
    kinds = {part.partition(b";")[0].strip().lower() for part in header.split(b",")}
    if b"*/*" in kinds:
        return _ANY
    found = {kind for kind in _ANY if kind in kinds or kind.partition(b"/")[0] + b"/*" in kinds}
    return frozenset(found)


def _plain(request: ClientRequest) -> bool:
    return b"text/event-stream" not in _accepted(request)


def _accept(responder: Responder) -> None:
    responder.start(Head(202, (), 0))
    responder.finish()


def _whole(responder: Responder, status: int, body: bytes, headers: tuple[Header, ...] = ()) -> None:
    responder.start(Head(status, (JSON, *headers), len(body)))
    responder.write(body)
    responder.finish()
