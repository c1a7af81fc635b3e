"""What the gate accepts, the official SDK reads alike."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from ostiary.wire.envelope import read_message
from ostiary.wire.era import LEGACY_VERSIONS, MODERN_VERSIONS
from ostiary.wire.message import Message
from ostiary.wire.mirror import decode_value, encode_value, parameters_of
from tests.wire.shapes import KEYS, calls
from tests.wire.test_corpus import CASES, CORPUS

mcp_types = pytest.importorskip("mcp_types")
inbound = pytest.importorskip("mcp.shared.inbound")
version = pytest.importorskip("mcp_types.version")


def sdk(raw: bytes) -> object:
    """The SDK's reading of the bytes."""
    return mcp_types.jsonrpc_message_adapter.validate_json(raw, by_name=False)


def agree(message: Message) -> None:
    """Both readings have the same id, method and params."""
    theirs = sdk(message.raw)
    assert getattr(theirs, "id", None) == message.id
    assert type(getattr(theirs, "id", None)) is type(message.id)
    assert getattr(theirs, "method", "") == message.method
    if message.kind != "response":
        params = getattr(theirs, "params", None) or {}
        assert params.get("name") == message.params.get("name")
        assert json.dumps(params, sort_keys=True) == json.dumps(message.params, sort_keys=True, default=float)


@given(calls())
def test_accepted_calls_are_read_alike(call: dict[str, object]) -> None:
    """Id, method, tool name and arguments, in canonical and in escaped spelling."""
    for text in (json.dumps(call), json.dumps(call, ensure_ascii=False, separators=(",", ":"))):
        message = read_message(text.encode())
        if isinstance(message, Message):
            agree(message)


ACCEPTED = sorted(
    {
        str(case["file"])
        for case in CASES
        if "file" in case and not case.get("batches") and "exponent" not in str(case["name"])
    }
)


@pytest.mark.parametrize("file", ACCEPTED)
def test_accepted_twins_are_read_alike(file: str) -> None:
    """The twins of the corpus hold every odd spelling that is allowed."""
    message = read_message((CORPUS / "accepted" / file).read_bytes())
    assert isinstance(message, Message)
    if "e999" not in message.raw.decode():
        agree(message)


@given(KEYS)
def test_header_values_are_written_and_read_alike(value: str) -> None:
    """Either side decodes what the other encodes."""
    assert decode_value(inbound.encode_header_value(value)) == value
    assert inbound.decode_header_value(encode_value(value)) == value
    assert decode_value(encode_value(value)) == value


def test_known_revisions_are_those_of_the_sdk() -> None:
    """A new revision in the SDK is noticed here."""
    assert LEGACY_VERSIONS == version.HANDSHAKE_PROTOCOL_VERSIONS
    assert MODERN_VERSIONS == version.MODERN_PROTOCOL_VERSIONS


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "string", "x-mcp-header": "Region"}}},
        {"properties": {"a": {"properties": {"b": {"type": "integer", "x-mcp-header": "N"}}}}},
        {"properties": {"a": {"type": "number", "x-mcp-header": "N"}}},
        {"properties": {"a": {"type": ["string"], "x-mcp-header": "N"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": ""}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": "a b"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": 1}}},
        {"properties": {"a": {"items": {"type": "string", "x-mcp-header": "N"}}}},
        {"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "N"}}}]},
        {"$defs": {"d": {"type": "string", "x-mcp-header": "N"}}},
        {"x-mcp-header": "N", "type": "string"},
        {
            "properties": {
                "a": {"type": "string", "x-mcp-header": "N"},
                "b": {"type": "string", "x-mcp-header": "n"},
            }
        },
        {"properties": {"a": {"type": "string", "default": {"x-mcp-header": "N"}}}},
        None,
    ],
)
def test_header_annotations_are_judged_alike(schema: object) -> None:
    """A schema whose annotations the SDK rejects names no header here either."""
    ours = {parameter.path: parameter.header for parameter in parameters_of(schema)}
    if inbound.find_invalid_x_mcp_header(schema) is not None:
        assert ours == {}
    else:
        theirs = inbound.x_mcp_header_map(schema)
        assert ours == {path: f"mcp-param-{token}".lower().encode() for path, token in theirs.items()}
