"""One client that knows nothing of HTTP, in front of the gate, which sees a streamable HTTP client.

Every message of the client becomes a POST, in order; answers and events become messages for it.
The session and the protocol version are kept here, the stream from the server is opened after
the handshake, and the session is deleted at the end. When the server has lost it, another one is
begun (`renewal`) and what was refused for want of it is sent once more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec

from ostiary.proxy.bridge.answers import INTERNAL_ERROR, NOT_FOUND, Answer, Turns, Verdict
from ostiary.proxy.bridge.farewell import Farewell, within
from ostiary.proxy.bridge.glance import Glance, glance
from ostiary.proxy.bridge.headers import MADE, ClientHeaders
from ostiary.proxy.bridge.outlet import error_body
from ostiary.proxy.bridge.port import ClientPort
from ostiary.proxy.bridge.questions import CANCELLED, answered, asked
from ostiary.proxy.bridge.renewal import Renewal, RenewalPort, Renewed
from ostiary.proxy.bridge.stream import GetStream, StreamPort
from ostiary.proxy.door import MCP_PATH
from ostiary.proxy.exchange import ClientRequest, Handler, Header, nothing
from ostiary.wire.arrays import taken_apart

INITIALIZED = "notifications/initialized"
LISTEN = "subscriptions/listen"

_OF_ONE_SESSION = (CANCELLED, "notifications/progress")
"""Notifications about requests that another session does not know."""

_DELETED_WITHIN = 2.0
"""Seconds for the end of a session that was begun in vain."""


class _Held(msgspec.Struct, frozen=True):
    """A message that waits for the handshake."""

    message: bytes
    seen: Glance | None
    more: Sequence[Header]
    verdict: Verdict | None


class ClientBridge:
    """Turns messages into requests to `handler`, and what comes back into messages."""

    def __init__(self, handler: Handler, port: ClientPort) -> None:
        self._handler = handler
        self._port = port
        self._headers = ClientHeaders()
        self._held: deque[_Held] = deque()
        self._active: dict[int, Answer] = {}
        self._barrier: Answer | None = None
        self._stream: GetStream | None = None
        self._closing = False
        self._left = False
        self._waited = False
        self._quiet = asyncio.Event()
        self._epoch = 0
        self._turns = self._new_turns()
        own = RenewalPort(
            self._send_own, self._undo, port.write, port.complain, self._renewed, self._not_renewed
        )
        self._renewal = Renewal(own, port.renewal)

    @property
    def active(self) -> int:
        """How many messages are under way."""
        return len(self._active)

    @property
    def held(self) -> int:
        """How many messages wait for the handshake."""
        return len(self._held)

    @property
    def size(self) -> int:
        """Bytes of all these messages."""
        under_way = sum(len(answer.request.body) for answer in self._active.values())
        return under_way + sum(len(one.message) for one in self._held)

    # --- from the client --------------------------------------------------------------------

    def take(
        self,
        message: bytes,
        seen: Glance | None,
        more: Sequence[Header] = (),
        verdict: Verdict | None = None,
    ) -> None:
        """Take one message. Only responses overtake those that wait for the handshake.

        `seen` is what it says of itself, None where these bytes are not one message. `more` are
        further headers of the request. `verdict` is told what became of bytes that are not one
        message; without it the client is sent the answer to them.
        """
        if seen is not None and seen.kind == "response":
            self._respond(message, seen, more)
            return
        one = _Held(message, seen, more, verdict)
        if self._barrier is not None or self._held or self._renewal.runs:
            self._held.append(one)
        else:
            self._post(one)

    def _respond(self, message: bytes, seen: Glance, more: Sequence[Header]) -> None:
        """Pass on an answer to a question that the server asked in the session of now."""
        own = answered(self._epoch, message, seen)
        if own is None:
            self._port.complain("the client answered a question of a session that is lost; dropped")
        else:
            self._post(_Held(own, seen, more, None))

    def _post(self, one: _Held) -> None:
        seen = one.seen
        if seen is not None and seen.method == CANCELLED and self._cancel(seen):
            return
        request = self._request("POST", [*self._headers.post(one.message, seen), *one.more], one.message)
        answer = Answer(request, seen, self._turns, one.verdict)
        self._active[id(answer)] = answer
        if seen is not None and seen.method in ("initialize", INITIALIZED) and not seen.modern:
            self._barrier = answer
        self._handler(request, answer)

    def _request(self, method: str, headers: list[Header], body: bytes = b"") -> ClientRequest:
        return ClientRequest(method, MCP_PATH, b"", headers, body, self._port.peer, self._port.grant)

    def _cancel(self, seen: Glance) -> bool:
        """Mark the request as cancelled. Returns whether that is all there is to do.

        On the modern era HTTP has no message for it: going away is the cancellation.
        """
        for answer in list(self._active.values()):
            named = answer.seen
            if named is not None and named.kind == "request" and named.id == seen.refers:
                answer.cancel()
                return named.modern
        return False

    def _settled(self, answer: Answer) -> None:
        self._active.pop(id(answer), None)
        if answer is self._barrier:
            self._barrier = None
            self._handshake_step(answer)
            self._go_on()
        self._hush()
        self._port.changed()
        if answer.status == NOT_FOUND and self._headers.session is not None and not answer.modern:
            self._port.lost()

    def _go_on(self) -> None:
        """Send what was held back, as far as nothing stands before it."""
        while self._held and self._barrier is None and not self._renewal.runs:
            self._post(self._held.popleft())

    def _handshake_step(self, answer: Answer) -> None:
        """After `notifications/initialized` the stream from the server is opened."""
        initialized = answer.seen is not None and answer.seen.method == INITIALIZED
        if initialized and 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP success
            self._renewal.accepted()
        if initialized and self._headers.version is not None and self._stream is None and not self._left:
            self._open_stream()

    def _open_stream(self) -> None:
        self._stream = GetStream(StreamPort(self._get, self._from_stream))
        self._stream.connect()

    # --- to the client ----------------------------------------------------------------------

    def _look(self, answer: Answer, seen: Glance, message: bytes) -> None:
        """Learn from a response what later requests need."""
        if answer.seen is None or seen.error:
            return
        if answer.seen.method == "initialize":
            self._headers.initialized(answer.session, message)
            self._renewal.remember(answer.request.body, message)
        elif answer.seen.method == "tools/list":
            self._headers.listed(message)

    def _resume(self, answer: Answer) -> bool:
        """Ask for the rest of a stream that the server let go, if it gave an id to ask with."""
        last_id, delay = answer.last_event
        if last_id is None or self._closing:
            return False

        def again() -> None:
            if answer.turns is not self._turns:
                answer.give_up("its session is lost")
            elif not answer.done:
                answer.on_gone = answer.on_pause = answer.on_resume = nothing
                self._get(answer, last_id)

        asyncio.get_running_loop().call_later(min(delay, self._port.resume_within), again)
        return True

    def _get(self, responder: Answer | GetStream, last_id: bytes | None) -> None:
        self._handler(self._request("GET", self._headers.get(last_id)), responder)

    def _from_stream(self, data: bytes) -> None:
        """A message on the GET stream, or an array of them (2025-03-26)."""
        for message in taken_apart(data):
            self._one_from_stream(message)

    def _one_from_stream(self, message: bytes) -> None:
        """A resumed stream may even bring a response."""
        seen = glance(message)
        if seen is None:
            self._port.complain("the server sent an event that is not a JSON-RPC message; dropped")
            return
        if seen.kind == "response":
            waiting = [
                one for one in self._active.values() if one.waits and one.seen and one.seen.id == seen.id
            ]
            if not waiting:
                self._port.complain("the server answered a request that was not asked here; dropped")
                return
            waiting[0].take_response(message, seen)
            return
        self._port.write(asked(self._epoch, message))

    # --- a session that is lost -------------------------------------------------------------

    def _new_turns(self) -> Turns:
        """What is said in this session goes to the client under ids of this session."""
        write, epoch = self._port.write, self._epoch

        def line(message: bytes) -> None:
            write(asked(epoch, message))

        return Turns(
            line if epoch else write, self._look, self._settled, self._resume, self._lost, self._port.complain
        )

    def _lost(self, answer: Answer) -> bool:
        """A message was refused with 404, so the server has not worked on it. Whether it is kept.

        Not those that (1) were sent without a session or a second time, or are not one message,
        (2) mean nothing outside the session that is lost; (3) all others, if there can be another.
        """
        # (1)
        seen, session = answer.seen, answer.request.header(b"mcp-session-id")
        if seen is None or session is None or answer.modern or answer.resumed or answer.again:
            return False
        finishing = seen.method == INITIALIZED
        if self._closing or not self._renewal.possible(finishing=finishing):
            return False
        # (2)
        if seen.kind == "response" or answer.cancelled or seen.method in _OF_ONE_SESSION:
            answer.waive()
            return True
        # (3)
        if session != self._headers.session and not self._renewal.runs:
            self._again(answer)
            return True
        answer.kept = self._renewal.begin()
        return answer.kept

    def _again(self, answer: Answer) -> None:
        """Send a refused message once more, but for what the new handshake has said already."""
        seen, former = answer.seen, answer.request
        if seen is not None and seen.method == INITIALIZED:
            answer.waive()
            return
        more = [one for one in former.headers if one[0] not in MADE]
        request = self._request("POST", [*self._headers.post(former.body, seen), *more], former.body)
        answer.send_again(request, self._turns)
        self._handler(request, answer)

    def _renewed(self, fresh: ClientHeaders, renewed: Renewed) -> None:
        """(1) Use the new session, (2) send again what was refused, (3) tell, and go on."""
        # (1)
        self._headers.adopt(fresh)
        self._epoch += 1
        self._turns = self._new_turns()
        if self._stream is not None:
            self._stream.close()
        self._open_stream()
        # (2)
        kept = [one for one in self._active.values() if one.kept]
        for answer in kept:
            self._again(answer)
        # (3)
        self._port.complain("the server had lost the session; another one was begun")
        for message in self._port.renewed(msgspec.structs.replace(renewed, again=len(kept))):
            self._port.write(message)
        self._go_on()

    def _not_renewed(self) -> None:
        for answer in [one for one in self._active.values() if one.kept]:
            answer.refuse()
        self._go_on()

    def _send_own(self, headers: Sequence[Header], body: bytes, turns: Turns) -> Answer:
        answer = Answer(self._request("POST", list(headers), body), glance(body), turns)
        self._handler(answer.request, answer)
        return answer

    def _undo(self, headers: Sequence[Header]) -> None:
        """End a session that cannot be used."""
        farewell = self._delete(headers)
        asyncio.get_running_loop().call_later(_DELETED_WITHIN, lambda: farewell.on_gone())  # noqa: PLW0108 - set later

    # --- flow -------------------------------------------------------------------------------

    def pause(self) -> None:
        """The client reads too slowly: hold every answer back."""
        for responder in self._responders():
            responder.on_pause()

    def resume(self) -> None:
        """The client has caught up."""
        for responder in self._responders():
            responder.on_resume()

    def _responders(self) -> list[Answer | GetStream]:
        responders: list[Answer | GetStream] = list(self._active.values())
        return responders if self._stream is None else [*responders, self._stream]

    # --- the end ----------------------------------------------------------------------------

    def closing(self) -> None:
        """Nothing more comes from the client: what is under way is only brought to its end."""
        self._closing = True
        self._hush()

    def leave(self) -> None:
        """The client has gone: what was there for it alone ends, the rest is awaited.

        A legacy call goes on to its outcome; on the modern era going away cancels it.
        """
        self._left = True
        self.closing()
        self._renewal.stop()
        self._not_renewed()
        if self._stream is not None:
            self._stream.close()
        for answer in list(self._active.values()):
            if answer.modern:
                answer.cancel()
        self.resume()

    def wait_no_more(self) -> None:
        """Let `settle` return at once."""
        self._waited = True
        self._quiet.set()

    async def settle(self, seconds: float) -> bool:
        """Wait until everything is answered, but not for subscriptions or what was cancelled."""
        self._hush()
        return await within(seconds, self._quiet)

    def _hush(self) -> None:
        waiting = any(
            not answer.cancelled and (answer.seen is None or answer.seen.method != LISTEN)
            for answer in self._active.values()
        )
        if self._waited or not (waiting or self._held):
            self._quiet.set()
        else:
            self._quiet.clear()

    def give_up(self, reason: str) -> None:
        """Answer everything that is still open with an error, and let the server's stream go."""
        self._closing = True
        self._renewal.stop()
        held, self._held = self._held, deque()
        for one in held:
            if one.seen is not None and one.seen.kind == "request":
                self._port.write(error_body(one.seen.id_raw, INTERNAL_ERROR, reason))
            elif one.verdict is not None:
                one.verdict(503, error_body(b"", INTERNAL_ERROR, reason))
        for answer in list(self._active.values()):
            answer.give_up(reason)
        if self._stream is not None:
            self._stream.close()

    async def farewell(self, seconds: float) -> None:
        """End the session, where there is one."""
        if self._headers.session is None:
            return
        farewell = self._delete(self._headers.delete())
        if not await within(seconds, farewell.done):
            farewell.on_gone()

    def _delete(self, headers: Sequence[Header]) -> Farewell:
        farewell = Farewell()
        self._handler(self._request("DELETE", list(headers)), farewell)
        return farewell
