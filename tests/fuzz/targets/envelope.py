"""JSON-RPC: what is accepted says what its bytes say, in every way they are read again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from ostiary.wire import answers
from ostiary.wire.envelope import read_message
from ostiary.wire.lines import to_line
from ostiary.wire.message import Message, Refusal
from tests.fuzz import plain_json
from tests.fuzz.seeds import corpus

WORDS = (
    b'"jsonrpc":"2.0"',
    b'"id":1',
    b'"method":"tools/call"',
    b'"params":{',
    b'"name":"x"',
    b'"arguments":{}',
    b'"_meta":{',
    b'"progressToken":',
    b'"result":{}',
    b'"error":{"code":1,"message":""}',
    b"notifications/",
    b'"Name"',
    b'"\\u0069d"',
    b'[{"jsonrpc":"2.0",',
)
SAFE = 2**53 - 1


def check(data: bytes) -> None:
    """One input, as a request body, as a member of an old session, and as an upstream's answer."""
    for batches in (False, True):
        for null_id in (False, True):
            read = read_message(data, batches=batches, null_id=null_id)
            assert _equal(read, read_message(data, batches=batches, null_id=null_id)), "another verdict"
            if isinstance(read, Refusal):
                _check_refusal(data, read)
            elif isinstance(read, Message):
                _check_message(data, read, plain_json.read(data), null_id=null_id)
            else:
                assert batches, "a batch outside its revision"
                _check_batch(data, read, null_id=null_id)


def _equal(one: object, other: object) -> bool:
    return repr(one) == repr(other)


def _check_message(raw: bytes, message: Message, value: object, *, null_id: bool) -> None:
    assert message.raw == raw, "other bytes"
    assert isinstance(value, dict)
    assert plain_json.same(dict(message.envelope), value), "another envelope"
    assert value.get("jsonrpc") == "2.0"
    kind = "response" if "method" not in value else "request" if "id" in value else "notification"
    assert message.kind == kind, "another kind"
    assert message.method == value.get("method", ""), "another method"
    assert plain_json.same(dict(message.params), value.get("params", {})), "other params"
    _check_id(message, value, null_id=null_id)
    for allowed in ("jsonrpc", "id", "method", "params", "result", "error"):
        spelled = [key for key in value if plain_json.fold(key) == allowed]
        assert spelled in ([], [allowed]), "another spelling of a protocol key"
    line = read_message(to_line(raw), null_id=null_id)
    assert isinstance(line, Message), "refused on a pipe"
    assert plain_json.same(dict(line.envelope), value), "another message on a pipe"


def _check_id(message: Message, value: Mapping[str, object], *, null_id: bool) -> None:
    found = value.get("id")
    assert type(message.id) is type(found), "another type of id"
    assert message.id == found, "another id"
    if isinstance(found, int):
        assert -SAFE <= found <= SAFE, "an id that two readers round differently"
    elif isinstance(found, str):
        assert len(found.encode()) <= 256, "a long id"
    else:
        assert message.kind == "notification" or (null_id and "error" in value), "no id"


def _check_batch(data: bytes, members: tuple[Message, ...], *, null_id: bool) -> None:
    values = plain_json.read(data)
    assert isinstance(values, list)
    assert 1 <= len(members) == len(values) <= 32, "another number of members"
    ids = [(type(member.id), member.id) for member in members if member.id is not None]
    assert len(set(ids)) == len(ids), "one id twice"
    rest = data
    for member, value in zip(members, values, strict=True):
        before, found, rest = rest.partition(member.raw)
        assert found, "a member that does not stand in the batch"
        assert not before.strip(b" \t\r\n[,"), "bytes between the members"
        _check_message(member.raw, member, value, null_id=null_id)
    assert rest.strip(b" \t\r\n") == b"]", "bytes after the members"


def _check_refusal(data: bytes, refusal: Refusal) -> None:
    answer = answers.refusal(refusal)
    assert b"\n" not in answer
    told = json.loads(answer)
    assert told["error"]["code"] == refusal.code
    assert told["id"] == refusal.id
    assert refusal.message.isascii(), "a message that repeats the input"
    if refusal.id is not None:
        value = plain_json.read(data)
        assert isinstance(value, dict)
        assert (type(value["id"]), value["id"]) == (type(refusal.id), refusal.id), "the id of another message"
        assert "method" in value, "a refused response is answered"


def seeds() -> Iterator[bytes]:
    """The corpus of refused inputs and their accepted twins."""
    yield from corpus(longest=2_000)
