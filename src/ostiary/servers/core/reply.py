"""What an HTTP head says of a request, and whole answers to it."""

from __future__ import annotations

from ostiary.proxy.bridge.outlet import JSON
from ostiary.proxy.exchange import ClientRequest, Head, Header, Responder
from ostiary.wire import answers
from ostiary.wire.era import MODERN_VERSIONS, VERSION_HEADER
from ostiary.wire.message import MessageId

STREAM = b"text/event-stream"
WHOLE = b"application/json"
_ANY = frozenset({WHOLE, STREAM})


def is_modern(request: ClientRequest) -> bool:
    """Whether the head names a revision without sessions."""
    version = request.header(VERSION_HEADER)
    return version is not None and version.decode("latin-1").strip() in MODERN_VERSIONS


def accepted(request: ClientRequest) -> frozenset[bytes]:
    """Which of the two types of ours the client takes."""
    header = request.header(b"accept")
    if header is None:
        return _ANY
    kinds = {part.partition(b";")[0].strip().lower() for part in header.split(b",")}
    if b"*/*" in kinds:
        return _ANY
    return frozenset(kind for kind in _ANY if {kind, kind.partition(b"/")[0] + b"/*"} & kinds)


def unfit(request: ClientRequest) -> tuple[int, str] | None:
    """Why a POST cannot be taken by its head: HTTP status and words; or None."""
    kind = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
    if kind != WHOLE:
        return 415, "send `application/json`"
    if not accepted(request):
        return 406, "accept `application/json` and `text/event-stream`"
    return None


def empty(responder: Responder, status: int, headers: tuple[Header, ...] = ()) -> None:
    """Answer without a body."""
    responder.start(Head(status, headers, 0))
    responder.finish()


def whole(responder: Responder, status: int, body: bytes, headers: tuple[Header, ...] = ()) -> None:
    """Answer with one message."""
    responder.start(Head(status, (JSON, *headers), len(body)))
    responder.write(body)
    responder.finish()


def refuse(responder: Responder, status: int, code: int, words: str, asked: MessageId | None = None) -> None:
    """Answer with an error, to the request `asked` if there is one."""
    whole(responder, status, answers.error(asked, code, words))
