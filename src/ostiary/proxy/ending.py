"""How the gate ends an answer in its own words, in the shape that the client waits for."""

from __future__ import annotations

from ostiary.proxy.exchange import Head, Responder
from ostiary.proxy.peek import JSON
from ostiary.wire import sse


def end_with(responder: Responder, status: int, body: bytes, *, started: bool, events: bool) -> None:
    """Say `body` and end, or cut the answer off where nothing can be said any more.

    An event stream takes one more event, or just ends where there is nothing to say.
    """
    if not started:
        kind = ((b"content-type", JSON),) if body else ()
        responder.start(Head(status, kind, len(body)))
        if body:
            responder.write(body)
    elif not events:
        responder.abort()
        return
    elif body:
        responder.write(sse.event(body))
    responder.finish()
