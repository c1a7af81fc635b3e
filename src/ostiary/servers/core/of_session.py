"""Requests that concern a legacy session and nothing else, answered at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ostiary.servers.core.call import id_of
from ostiary.servers.core.context import LEVELS
from ostiary.servers.core.fault import INVALID_PARAMS, METHOD_NOT_FOUND
from ostiary.servers.core.server import Server
from ostiary.servers.core.session import Session
from ostiary.wire import answers
from ostiary.wire.message import Message


def _subscribe(server: Server, session: Session, message: Message) -> bytes:
    return _subscription(server, message, session.subscribe)


def _unsubscribe(server: Server, session: Session, message: Message) -> bytes:
    return _subscription(server, message, session.unsubscribe)


def _subscription(server: Server, message: Message, act: Callable[[str], object]) -> bytes:
    if "resources" not in server.capabilities:
        return answers.error(message.id, METHOD_NOT_FOUND, "this server has no resources")
    act(str(message.params["uri"]))
    return answers.result(id_of(message), {})


def _set_level(_: Server, session: Session, message: Message) -> bytes:
    level = message.params["level"]
    if level not in LEVELS:
        return answers.error(message.id, INVALID_PARAMS, f"`level` is one of {', '.join(LEVELS)}")
    session.log_level = str(level)
    return answers.result(id_of(message), {})


OF_SESSION: Mapping[str, Callable[[Server, Session, Message], bytes]] = {
    "resources/subscribe": _subscribe,
    "resources/unsubscribe": _unsubscribe,
    "logging/setLevel": _set_level,
}


def notified(session: Session, message: Message) -> None:
    """Take a notification of the client. All but cancellations say nothing that is needed here."""
    refers = message.params.get("requestId")
    if message.method == "notifications/cancelled" and isinstance(refers, str | int):
        session.cancel(refers)
