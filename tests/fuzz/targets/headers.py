"""Era and headers: an accepted request's headers repeat its body, or mean nothing on its era.

Input: header lines, an empty line, the body.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping

from ostiary.wire.envelope import PROTOCOL_VERSION, read_message
from ostiary.wire.era import body_era, check_headers
from ostiary.wire.message import Message, Refusal
from ostiary.wire.mirror import decode_value, encode_value, mirrored_headers, parameters_of

LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
SCHEMA = {
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "n": {"properties": {"count": {"type": "integer", "x-mcp-header": "Count"}}},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
    }
}
PARAMETERS = parameters_of(SCHEMA)
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"} | dict.fromkeys(
    ("tasks/get", "tasks/update", "tasks/cancel"), "taskId"
)

WORDS = (
    b"mcp-protocol-version: 2026-07-28\n",
    b"mcp-protocol-version: 2025-06-18\n",
    b"mcp-method: tools/call\n",
    b"mcp-name: x\n",
    b"mcp-name: =?base64?eA==?=\n",
    b"mcp-param-region: eu\n",
    b"mcp-param-count: 42\n",
    b"mcp-param-dry: true\n",
    b'"region":"eu"',
    b'"n":{"count":42}',
    b'"dry":true',
    b"=?base64?",
    b"?=",
    b'"io.modelcontextprotocol/protocolVersion":"2026-07-28"',
)


def check(data: bytes) -> None:
    """One request: headers and body."""
    head, _, body = data.partition(b"\n\n")
    headers = [
        (name.lower(), value)
        for name, colon, value in (line.partition(b":") for line in head.split(b"\n"))
        if colon
    ]
    for _, value in headers:
        text = value.strip(b" \t").decode("latin-1")
        decoded = decode_value(text)
        assert decoded == _decoded(text), "a header value that is read differently"
        if decoded is not None:
            assert decode_value(encode_value(decoded)) == decoded, "a header value that does not come back"
    message = read_message(body)
    if not isinstance(message, Message):
        return
    _check_built(message)
    era = check_headers(message, headers, parameters=PARAMETERS)
    assert era == check_headers(message, headers, parameters=PARAMETERS), "another verdict"
    if isinstance(era, Refusal):
        assert era.code in (-32020, -32022, -32600, -32602), "an unknown code"
        assert era.status == 400
        return
    sent = {
        name: [value.strip(b" \t").decode("latin-1") for key, value in headers if key == name]
        for name, _ in headers
    }
    _check_accepted(message, era, sent)


def _check_accepted(message: Message, era: str, sent: Mapping[bytes, list[str]]) -> None:
    meta = message.params.get("_meta")
    version = meta.get(PROTOCOL_VERSION) if isinstance(meta, dict) else None
    versions = sent.get(b"mcp-protocol-version", [])
    assert len(versions) <= 1, "two versions"
    if version is not None:
        assert versions == [version], "header and body name different versions"
    if era == "legacy":
        assert not versions or versions[0] in LEGACY, "an unknown version"
    else:
        assert versions == [MODERN], "modern without its version"
        assert message.kind != "response", "a client's response on the modern era"
    for name, said in ((b"mcp-method", message.method), (b"mcp-name", _subject(message))):
        found = sent.get(name, [])
        if found:
            assert len(found) == 1, "a header twice"
            assert (_decoded(found[0]) if name == b"mcp-name" else found[0]) == said, "a header that lies"
        elif era == "modern" and message.kind == "request":
            assert name == b"mcp-name", "no method header"
            assert said is None, "no name header"
    if era == "modern" and message.method == "tools/call":
        _check_parameters(message, sent)


def _check_parameters(message: Message, sent: Mapping[bytes, list[str]]) -> None:
    arguments = message.params.get("arguments")
    arguments = arguments if isinstance(arguments, dict) else {}
    inner = arguments.get("n")
    values = {
        b"mcp-param-region": arguments.get("region"),
        b"mcp-param-count": inner.get("count") if isinstance(inner, dict) else None,
        b"mcp-param-dry": arguments.get("dry"),
    }
    for name, value in values.items():
        found = sent.get(name, [])
        if value is None or isinstance(value, dict | list):
            assert found == [], "a parameter that the body does not have"
            continue
        assert len(found) == 1, "a parameter missing or twice"
        text = _decoded(found[0])
        spelled = value if isinstance(value, str) else json.dumps(value, default=str).strip('"')
        if text != spelled:
            assert not isinstance(value, str | bool), "a parameter that lies"
            assert text is not None
            assert float(text) == float(value), "a parameter that lies"


def _check_built(message: Message) -> None:
    """Headers that the gate builds from a body pass its own check."""
    if body_era(message) != "modern":
        return
    built = [(b"mcp-protocol-version", MODERN.encode()), *mirrored_headers(message, PARAMETERS)]
    verdict = check_headers(message, built, parameters=PARAMETERS)
    if isinstance(verdict, Refusal):
        # The method's header is read as it stands, so a method that needs encoding has none.
        plain = encode_value(message.method) == message.method
        assert not plain, f"its own headers are refused: {verdict.message}"


def _subject(message: Message) -> str | None:
    found = message.params.get(NAMED.get(message.method, ""))
    return found if isinstance(found, str) else None


def _decoded(text: str) -> str | None:
    """Plain text, or `=?base64?…?=` in the one spelling that an encoder writes."""
    if not (text.startswith("=?base64?") and text.endswith("?=")) or len(text) < len("=?base64??="):
        return text
    payload = text[len("=?base64?") : -2]
    try:
        decoded = base64.b64decode(payload.encode("ascii")).decode("utf-8")
    except (ValueError, UnicodeError):
        return None
    return decoded if base64.b64encode(decoded.encode()).decode() == payload else None


def seeds() -> Iterator[bytes]:
    """Both eras, with and without parameters."""
    meta = f'"_meta":{{"{PROTOCOL_VERSION}":"{MODERN}"}}'
    arguments = '{"region":"eu","n":{"count":42},"dry":true}'
    params = f'{{"name":"x","arguments":{arguments},{meta}}}'
    call = f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}'
    head = f"mcp-protocol-version: {MODERN}\nmcp-method: tools/call\nmcp-name: x\n"
    yield f"{head}mcp-param-region: eu\nmcp-param-count: 42\nmcp-param-dry: true\n\n{call}".encode()
    yield f"{head}mcp-param-region: =?base64?ZXU=?=\n\n{call}".encode()
    yield b'mcp-protocol-version: 2025-06-18\n\n{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
    yield (
        f"mcp-protocol-version: {MODERN}\n\n"
        '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}'
    ).encode()
    yield (
        f"mcp-protocol-version: {MODERN}\nmcp-method: resources/read\nmcp-name: a://b\n\n"
        f'{{"jsonrpc":"2.0","id":"i","method":"resources/read","params":{{"uri":"a://b",{meta}}}}}'
    ).encode()
