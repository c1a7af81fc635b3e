"""Era and headers; the refusals are in the corpus."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from ostiary.wire.envelope import PROTOCOL_VERSION, read_message
from ostiary.wire.era import LEGACY_VERSIONS, body_era, check_headers
from ostiary.wire.message import Message, Refusal
from ostiary.wire.mirror import decode_value, mirrored_headers, parameters_of
from ostiary.wire.revisions import REMOVED

MODERN = "2026-07-28"
SCHEMA = {
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "n": {"properties": {"count": {"type": "integer", "x-mcp-header": "Count"}}},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
    }
}


def message(method: str, params: str = "{}", *, id: str | None = "1") -> Message:  # noqa: A002
    ident = f'"id":{id},' if id else ""
    read = read_message(f'{{"jsonrpc":"2.0",{ident}"method":"{method}","params":{params}}}'.encode())
    assert isinstance(read, Message)
    return read


def modern_call(arguments: str) -> Message:
    meta = json.dumps({PROTOCOL_VERSION: MODERN})
    return message("tools/call", f'{{"name":"echo","arguments":{arguments},"_meta":{meta}}}')


def modern_headers(*more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [
        (b"mcp-protocol-version", MODERN.encode()),
        (b"mcp-method", b"tools/call"),
        (b"mcp-name", b"echo"),
        *more,
    ]


@pytest.mark.parametrize("version", LEGACY_VERSIONS)
def test_every_legacy_revision_is_legacy(version: str) -> None:
    assert check_headers(message("tools/list"), [(b"mcp-protocol-version", version.encode())]) == "legacy"
    assert check_headers(message("tools/list"), []) == "legacy"


def test_surrounding_white_space_is_no_part_of_a_header_value() -> None:
    """RFC 9110 5.5: it is excluded before the value is evaluated."""
    headers = [(name, b" \t" + value + b"\t ") for name, value in modern_headers()]
    assert check_headers(modern_call("{}"), headers) == "modern"


def test_a_modern_notification_needs_no_meta_and_no_mirror() -> None:
    """The revision defines no headers for notifications; one that is sent must be true."""
    note = message("notifications/cancelled", '{"requestId":1}', id=None)
    version = (b"mcp-protocol-version", MODERN.encode())
    assert check_headers(note, [version]) == "modern"
    assert check_headers(note, [version, (b"mcp-method", b"notifications/cancelled")]) == "modern"
    assert isinstance(check_headers(note, [version, (b"mcp-method", b"ping")]), Refusal)


def test_an_unknown_modern_revision_is_told_what_is_supported() -> None:
    meta = json.dumps({PROTOCOL_VERSION: "2099-01-01"})
    call = message("tools/list", f'{{"_meta":{meta}}}')
    headers = [(b"mcp-protocol-version", b"2099-01-01"), (b"mcp-method", b"tools/list")]
    for refusal in (check_headers(call, headers), body_era(call)):
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.status, refusal.id) == (-32022, 400, 1)
        assert refusal.data == {"supported": [MODERN], "requested": "2099-01-01"}


def test_on_a_pipe_the_body_alone_says_the_era() -> None:
    assert body_era(message("tools/list")) == "legacy"
    assert body_era(modern_call("{}")) == "modern"


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ("{}", []),
        ('{"region":"eu"}', [(b"mcp-param-region", b"eu")]),
        ('{"region":" eu"}', [(b"mcp-param-region", b"=?base64?IGV1?=")]),
        ('{"region":null}', []),
        ('{"n":{"count":42}}', [(b"mcp-param-count", b"42")]),
        ('{"n":{"count":42.0}}', [(b"mcp-param-count", b"42")]),
        ('{"n":{"count":42}}', [(b"mcp-param-count", b"42.0")]),
        ('{"dry":false}', [(b"mcp-param-dry", b"false")]),
        ("{}", [(b"mcp-param-other", b"anything"), (b"mcp-param-other", b"twice")]),
    ],
)
def test_parameter_headers_that_repeat_their_argument_pass(
    arguments: str, headers: list[tuple[bytes, bytes]]
) -> None:
    parameters = parameters_of(SCHEMA)
    assert len(parameters) == 3
    assert check_headers(modern_call(arguments), modern_headers(*headers), parameters=parameters) == "modern"


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ('{"region":"eu"}', []),
        ('{"region":"eu"}', [(b"mcp-param-region", b"us")]),
        ('{"region":"eu"}', [(b"mcp-param-region", b"EU")]),
        ('{"region":"eu"}', [(b"mcp-param-region", b"eu"), (b"mcp-param-region", b"eu")]),
        ('{"region":"eu"}', [(b"mcp-param-region", b"=?base64?ZXU?=")]),
        ("{}", [(b"mcp-param-region", b"eu")]),
        ('{"region":{"a":1}}', [(b"mcp-param-region", b"eu")]),
        ('{"n":{"count":1e9999999}}', [(b"mcp-param-count", b"42")]),
        ('{"n":{"count":42}}', [(b"mcp-param-count", b"4.2e1")]),
        ('{"n":{"count":42}}', [(b"mcp-param-count", b"42.5")]),
        ('{"n":{"count":true}}', [(b"mcp-param-count", b"1")]),
        ('{"dry":true}', [(b"mcp-param-dry", b"True")]),
        # Bytes that are Latin-1 to one reader and UTF-8 to the next.
        ('{"region":"\u00e9"}', [(b"mcp-param-region", b"\xe9")]),
        ('{"region":"\u00c3\u00a9"}', [(b"mcp-param-region", b"\xc3\xa9")]),
        ('{"region":"eu"}', [(b"mcp-param-region", b"=?base64?\xe9?=")]),
    ],
)
def test_parameter_headers_that_say_something_else_are_refused(
    arguments: str, headers: list[tuple[bytes, bytes]]
) -> None:
    refusal = check_headers(
        modern_call(arguments), modern_headers(*headers), parameters=parameters_of(SCHEMA)
    )
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.status, refusal.rule) == (-32020, 400, "(header mismatch)")


@pytest.mark.parametrize("method", sorted(REMOVED))
def test_a_method_that_the_revision_no_longer_has_is_unknown_whatever_its_params(method: str) -> None:
    """Without its params it would look malformed; on 2026-07-28 it is simply not there."""
    call = message(method, json.dumps({"_meta": {PROTOCOL_VERSION: MODERN}}))
    headers = [(b"mcp-protocol-version", MODERN.encode()), (b"mcp-method", method.encode())]

    for refusal in (check_headers(call, headers), body_era(call)):
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.status, refusal.id) == (-32601, 404, 1)


@pytest.mark.parametrize("method", sorted(REMOVED - {"ping", "tasks/list"}))
def test_on_an_older_revision_the_same_methods_keep_their_shape(method: str) -> None:
    for meta in ("{}", json.dumps({PROTOCOL_VERSION: LEGACY_VERSIONS[-1]})):
        read = read_message(
            f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"_meta":{meta}}}}}'.encode()
        )
        assert isinstance(read, Refusal)
        assert read.code == -32602


def test_headers_built_from_a_body_pass_the_check() -> None:
    """A client on a pipe gets its headers from the gate."""
    call = modern_call('{"region":"caf\u00e9","n":{"count":7},"dry":true}')
    parameters = parameters_of(SCHEMA)
    built = mirrored_headers(call, parameters)
    assert dict(built)[b"mcp-param-dry"] == b"true"
    assert check_headers(call, [modern_headers()[0], *built], parameters=parameters) == "modern"


def test_values_that_look_encoded_are_decoded_once() -> None:
    assert decode_value("=?base64?PT9iYXNlNjQ/eD89?=") == "=?base64?x?="
    assert decode_value("=?base64??=") == ""
    assert decode_value("plain") == "plain"


@pytest.mark.parametrize("value", ["SGVsbG8=", "=?base64?SGVsbG8=", "SGVsbG8=?=", "=?base64?="])
def test_a_value_without_both_ends_of_the_wrapper_stands_for_itself(value: str) -> None:
    assert decode_value(value) == value
    assert Decimal(42) == Decimal("42.0")
