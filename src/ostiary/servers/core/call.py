"""One request of a client while it is worked on: its context, its questions and its answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from ostiary.proxy.bridge.conversation import STATUS_OF_ERROR
from ostiary.servers.core.channel import Channel
from ostiary.servers.core.content import Json
from ostiary.servers.core.context import CallContext, Caller
from ostiary.servers.core.fault import INTERNAL, INVALID_PARAMS, InputNeeded, RpcFault
from ostiary.servers.core.method import perform
from ostiary.servers.core.question import Answers, Question
from ostiary.servers.core.seal import Known, Seal, requests
from ostiary.servers.core.server import Server
from ostiary.servers.core.session import Session
from ostiary.wire import answers
from ostiary.wire.message import Message, MessageId, as_object

log = logging.getLogger("ostiary.servers")

_encode = msgspec.json.Encoder().encode
_plainly = msgspec.json.Decoder().decode


def notification(method: str, params: Json) -> bytes:
    """A notification as bytes."""
    body: dict[str, object] = {"jsonrpc": "2.0", "method": method}
    return _encode(body | ({"params": params} if params else {}))


class LegacyLine:
    """The exchange of a request in a session."""

    __slots__ = ("_channel", "_session")

    def __init__(self, channel: Channel, session: Session) -> None:
        self._channel = channel
        self._session = session

    def notify(self, method: str, params: Json) -> None:
        self._channel.tell(notification(method, params))

    async def ask(self, questions: Mapping[str, Question]) -> Answers:
        """Ask one after the other."""
        return {
            key: await self._session.ask(self._channel, question.method, question.params, _encode)
            for key, question in questions.items()
        }

    def let_go(self) -> None:
        self._channel.let_go()


class ModernLine:
    """The exchange of a request without a session: questions end its round.

    `used` are the answers that its handler has asked for: what the next round needs again.
    """

    __slots__ = ("_channel", "_known", "used")

    def __init__(self, channel: Channel, known: Known) -> None:
        self.used: Known = {}
        self._channel = channel
        self._known = known

    def notify(self, method: str, params: Json) -> None:
        self._channel.tell(notification(method, params))

    async def ask(self, questions: Mapping[str, Question]) -> Answers:
        found = {key: self._known[key] for key in questions if key in self._known}
        self.used |= found
        missing = {key: one.request() for key, one in questions.items() if key not in found}
        if missing:
            raise InputNeeded(missing)
        return found

    def let_go(self) -> None:
        """There is no coming back on this era."""


async def answer(
    server: Server, message: Message, caller: Caller, channel: Channel, within: Session | Seal
) -> tuple[bytes, int]:
    """The response to one request, and its HTTP status. `within` is where questions are kept."""
    request = id_of(message)
    try:
        params = _params(message)
        meta = as_object(params.get("_meta")) or {}
        if isinstance(within, Session):
            context = CallContext(caller, LegacyLine(channel, within), meta)
            result = await perform(server, message.method, params, context)
        else:
            line = ModernLine(channel, within.open(message, caller.owner))
            try:
                result = await perform(server, message.method, params, CallContext(caller, line, meta))
            except InputNeeded as needed:
                result = requests(needed.questions, within.close(line.used, message, caller.owner))
        return _written(request, server.finished(result, caller)), 200
    except RpcFault as fault:
        status = STATUS_OF_ERROR.get(fault.code, 200) if caller.modern else 200
        return answers.error(request, fault.code, fault.message, fault.data), status


def id_of(message: Message) -> MessageId:
    """The id of a request. Raises ValueError for a message of another kind."""
    if message.id is None:
        raise ValueError("only requests have an id")
    return message.id


def _written(request: MessageId, result: Json) -> bytes:
    """A response. Raises RpcFault where the result holds what JSON has no word for."""
    try:
        return answers.result(request, result)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        log.exception("a result cannot be written")
        raise RpcFault(INTERNAL, "the result cannot be written as JSON") from error


def _params(message: Message) -> Mapping[str, object]:
    """Params in which every number is one of Python's, for handlers.

    The strict reading has decimals where a text is not the shortest spelling of its number.
    """
    if message.method != "tools/call":
        return message.params
    try:
        plain = as_object(as_object(_plainly(message.raw)) or {})
    except msgspec.MsgspecError as error:
        raise RpcFault(INVALID_PARAMS, "a number in `params` is out of range") from error
    return as_object((plain or {}).get("params")) or {}
