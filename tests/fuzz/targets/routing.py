"""Routing: the quick looks that sort messages never fail, and see what a strict reading sees."""

from __future__ import annotations

from collections.abc import Iterator

from ostiary.proxy.bridge import ids
from ostiary.proxy.bridge.glance import Glance, broken_answer, glance, scalar
from ostiary.proxy.bridge.headers import ClientHeaders
from ostiary.proxy.bridge.questions import answered, asked
from ostiary.proxy.bridge.renewal import _read as agreed
from ostiary.proxy.peek import error_of, has_handles, plain_id, status_of
from ostiary.wire.arrays import taken_apart
from ostiary.wire.envelope import read_message
from ostiary.wire.loose import read_answer
from ostiary.wire.message import Message
from tests.fuzz import plain_json

WORDS = (
    b'"jsonrpc":"2.0"',
    b'"id":1',
    b'"id":"\xff"',
    b'"id":null',
    b'"method":"notifications/cancelled"',
    b'"params":{"requestId":"a"}',
    b'"params":{"_meta":{"progressToken":1}}',
    b'"result":{"isError":true}',
    b'"result":{"resultType":"task"}',
    b'"result":{"capabilities":{"tools":{"listChanged":true}},"protocolVersion":"2025-11-25"}',
    b'"result":{"tools":[{"name":"a","inputSchema":{"x-mcp-header":1}}]}',
    b'"error":{"code":1,"message":""}',
    b"\\ud800",
    b"\xff",
    b"NaN",
    b"[" * 32,
)


def check(data: bytes) -> None:
    """One message, from either side."""
    seen = glance(data)
    message = read_message(data, max_bytes=len(data), null_id=True)
    _check_looks(data, message if isinstance(message, Message) else None)
    if isinstance(message, Message):
        _check_glance(message, seen)
    if seen is not None:
        _check_edits(data, seen, message if isinstance(message, Message) else None)


def _check_looks(data: bytes, message: Message | None) -> None:
    """What is learnt from an answer in passing."""
    status, own, _ = status_of(data, 200), plain_id(data), has_handles(data)
    for lists in (False, True):
        error_of(data, None, lists=lists)
    read_answer(data)
    taken_apart(data)
    agreed(data)
    headers = ClientHeaders()
    headers.initialized(b"s", data)
    headers.listed(data)
    try:
        broken_answer(data)
    except RecursionError:  # said to be possible
        assert data.count(b"[") + data.count(b"{") > 500, "given up on a shallow message"
    if message is not None and message.kind == "response":
        assert own in (None, message.id), "the id of another message"
        assert ("error" in message.envelope) == (status == "error"), "another outcome"


def _check_glance(message: Message, seen: Glance | None) -> None:
    assert seen is not None, "a message that is passed over"
    assert seen.kind == message.kind, "another kind"
    assert seen.method == message.method, "another method"
    assert (type(seen.id), seen.id) == (type(message.id), message.id), "another id"
    if message.id is not None:
        assert scalar(seen.id_raw) == message.id, "another spelling of the id"


def _check_edits(data: bytes, seen: Glance, message: Message | None) -> None:
    """What is put in place of an id changes the id and nothing else."""
    renamed = asked(1, data)
    answered(1, data, seen)
    edited = ids.answer(data, b'"theirs"', listening=True) if seen.kind == "response" else data
    if message is None:
        return
    value = plain_json.read(data)
    assert isinstance(value, dict)
    if seen.kind == "request":
        expected = {**value, "id": f"session-1:{seen.id_raw.decode()}"}
        assert plain_json.same(plain_json.read(renamed), expected), "more than the id was changed"
    elif seen.kind == "response":
        assert edited is not None, "an answer that is read strictly, and yet not read"
        told = plain_json.read(edited)
        assert isinstance(told, dict)
        assert told.get("id") == ("theirs" if "id" in value else None), "the id of another message"
        assert set(told) == set(value), "other members"


def seeds() -> Iterator[bytes]:
    """One message of each kind, and what is wrong in ways that a fast decoder does not expect."""
    yield b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"t"}}}'
    yield b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}'
    yield b'{"jsonrpc":"2.0","id":"a","result":{"isError":true}}'
    yield b'{"jsonrpc":"2.0","id":"\xff","result":{}}'
    yield b'{"jsonrpc":"2.0","id":1,"result":{"x":' + b"[" * 1_500 + b"}}"
