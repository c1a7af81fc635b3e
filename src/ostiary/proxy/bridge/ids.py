"""Replaces ids where several clients share one pipe, and puts them back.

Two clients both count their requests from 1, so on a shared pipe every request id and progress
token is one that we minted. Only the values are replaced; everything else stays as it was sent.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from ostiary.proxy.bridge.glance import SUBSCRIPTION_KEY, Glance
from ostiary.wire import spans
from ostiary.wire.strict import UNREADABLE

_OBJECT = msgspec.json.Decoder(dict[str, Raw])

ID = ("id",)
TOKEN_OFFERED = ("params", "_meta", "progressToken")
TOKEN_CARRIED = ("params", "progressToken")
CANCELLED = ("params", "requestId")
SUBSCRIPTION = ("params", "_meta", SUBSCRIPTION_KEY)
SUBSCRIPTION_ENDED = ("result", "_meta", SUBSCRIPTION_KEY)


def outgoing(body: bytes, seen: Glance, minted: int) -> bytes:
    """The request as it goes down a shared pipe under the id and token `minted`."""
    value = b"%d" % minted
    paths = (ID,) if seen.token is None else (ID, TOKEN_OFFERED)
    places = [spans.find(body, path) for path in paths]
    return spans.splice(body, [spans.replaced(place, value) for place in places if place is not None])


def answer(line: bytes, id_raw: bytes, *, listening: bool) -> bytes | None:
    """The response as its client knows it; None where it cannot be made so."""
    own = replaced(line, ID, id_raw)
    return own if own is None or not listening else replaced(own, SUBSCRIPTION_ENDED, id_raw)


def replaced(document: bytes, path: Sequence[str], value: bytes) -> bytes | None:
    """`document` with the value at `path` replaced, or unchanged when nothing is there.

    None where `document` is no object that can be read, a key that is not UTF-8 among its keys.

    For messages of the server, which need not have unique keys: the objects along the path are
    written anew with one member for each key, the one that counted when the message was routed.
    """
    try:
        members = _OBJECT.decode(document)
    except UNREADABLE:
        return None
    key, rest = path[0], path[1:]
    old = members.get(key)
    if old is None:
        return document
    new = (replaced(bytes(old), rest, value) or bytes(old)) if rest else value
    spelled = [
        msgspec.json.encode(name) + b":" + (new if name == key else bytes(raw))
        for name, raw in members.items()
    ]
    return b"{" + b",".join(spelled) + b"}"
