"""Legacy sessions: what `initialize` settled, which calls run, and what was asked of the client."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator

from ostiary.proxy.exchange import Responder
from ostiary.servers.core.channel import Channel
from ostiary.servers.core.content import Json
from ostiary.servers.core.fault import INTERNAL, RpcFault
from ostiary.wire.ids import IdKey, id_key
from ostiary.wire.message import Message, MessageId, as_object

MAX_CHANNELS = 32
MAX_SUBSCRIPTIONS = 1_024
MAX_NEWS = 256

Ended = Callable[["Session"], object]


class Session:
    """One session. `tasks` are its calls under way, `channels` the streams that can be resumed."""

    def __init__(self, name: str, owner: str, revision: str, params: Json, now: float) -> None:
        self.name = name
        self.owner = owner
        self.revision = revision
        self.info = as_object(params.get("clientInfo")) or {}
        self.capabilities = as_object(params.get("capabilities")) or {}
        self.log_level = "info"
        self.used = now
        self.tasks: dict[IdKey, asyncio.Task[None]] = {}
        self.subscribed: OrderedDict[str, None] = OrderedDict()
        self.stream: Channel | None = None
        self._channels: OrderedDict[str, Channel] = OrderedDict()
        self._asked: dict[str, asyncio.Future[Json]] = {}
        self._count = 0

    # --- streams --------------------------------------------------------------------------------

    def next_name(self) -> str:
        """A name for a stream that can be resumed, within this session."""
        self._count += 1
        return f"s{self._count}"

    def keep(self, channel: Channel) -> None:
        """Keep a stream that may be asked for again; the oldest that has ended makes room."""
        self._channels[channel.name] = channel
        if len(self._channels) > MAX_CHANNELS:
            over = next((name for name, one in self._channels.items() if one.ended), None)
            if over is not None:
                del self._channels[over]

    def resume(self, event_id: str, responder: Responder) -> bool:
        """Go on with the stream that an event id belongs to; False where there is none."""
        name, _, number = event_id.rpartition(".")
        channel = self._channels.get(name)
        if channel is None or not channel.resumable or not number.isascii() or not number.isdigit():
            return False
        channel.resume(responder, int(number[:9]))
        return True

    def listen(self, channel: Channel) -> None:
        """Take a new stream for what belongs to no request; an older one ends."""
        former, self.stream = self.stream, channel
        if former is not None:
            former.close()
        channel.open()

    def subscribe(self, uri: str) -> None:
        """Tell this client when a resource changes. The oldest wish makes room."""
        self.subscribed[uri] = None
        if len(self.subscribed) > MAX_SUBSCRIPTIONS:
            self.subscribed.popitem(last=False)

    def unsubscribe(self, uri: str) -> None:
        """Tell it no more of this resource."""
        self.subscribed.pop(uri, None)

    @property
    def idle(self) -> bool:
        """Whether nothing runs or listens here."""
        return not self.tasks and (self.stream is None or self.stream.ended or not self.stream.attached)

    # --- questions to the client ----------------------------------------------------------------

    async def ask(self, channel: Channel, method: str, params: Json, encode: Callable[..., bytes]) -> Json:
        """Ask the client and wait for what it says. Raises RpcFault where it cannot or will not."""
        question = f"q{secrets.token_urlsafe(12)}"
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._asked[question] = answer
        body: dict[str, object] = {"jsonrpc": "2.0", "id": question, "method": method}
        if params:
            body["params"] = params
        message = encode(body)
        try:
            if not channel.ask(message) and (self.stream is None or not self.stream.ask(message)):
                raise RpcFault(INTERNAL, "the client reads no stream on which it could be asked")
            return await answer
        finally:
            self._asked.pop(question, None)

    def answered(self, message: Message) -> None:
        """Take the client's response to a question; one that nobody asked is dropped."""
        waiting = self._asked.get(message.id) if isinstance(message.id, str) else None
        if waiting is None or waiting.done():
            return
        result = as_object(message.envelope.get("result"))
        if result is not None:
            waiting.set_result(result)
            return
        error = as_object(message.envelope.get("error")) or {}
        waiting.set_exception(RpcFault(INTERNAL, f"the client answered: {str(error.get('message'))[:200]}"))

    # --- the end --------------------------------------------------------------------------------

    def cancel(self, request: MessageId) -> None:
        """The client wants no answer to this request any more."""
        task = self.tasks.get(id_key(request))
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """End everything that runs here."""
        for task in list(self.tasks.values()):
            task.cancel()
        if self.stream is not None:
            self.stream.close()


class Sessions:
    """All sessions by name, least used first; bounded in number and in idle time.

    `ended` is told of each that is over, whoever ended it.
    """

    def __init__(self, most: int, idle: float, ended: Ended) -> None:
        """`idle` is in seconds."""
        self._most = most
        self._idle = idle
        self._ended = ended
        self._by_name: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_name.values()))

    def begin(self, owner: str, revision: str, params: Json, now: float) -> Session | None:
        """A new session under a name that cannot be guessed; None where there is no room.

        Room is made by a session in which nothing goes on: one of this owner if there is one, so that
        nobody who begins many ends those of others.
        """
        self.expire(now)
        if len(self._by_name) >= self._most:
            idle = [one for one in self._by_name.values() if one.idle]
            leaving = next((one for one in idle if one.owner == owner), idle[0] if idle else None)
            if leaving is None:
                return None
            self.end(leaving)
        session = Session(secrets.token_urlsafe(24), owner, revision, params, now)
        self._by_name[session.name] = session
        return session

    def find(self, name: str, owner: str, now: float) -> Session | None:
        """The session `name`, if it is this owner's: to anybody else it does not exist."""
        self.expire(now)
        session = self._by_name.get(name)
        if session is None or session.owner != owner:
            return None
        session.used = now
        self._by_name.move_to_end(name)
        return session

    def expire(self, now: float) -> None:
        """End sessions in which nothing happened for long."""
        for session in self:
            if now - session.used < self._idle:
                return
            if session.idle:
                self.end(session)

    def end(self, session: Session) -> None:
        """End one session."""
        if self._by_name.pop(session.name, None) is not None:
            session.close()
            self._ended(session)
