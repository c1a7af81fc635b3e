"""Headers that repeat arguments, in front of a server on standard streams: only the gate sees them."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_conformance import FIXTURE, NO_TOKEN
from tests.e2e.world import ALLOW_ALL, Gate
from tests.weaknesses.world import call, modern, modern_headers

pytestmark = pytest.mark.service

NAME = b"mcp-param-region"
CALL = modern(call("test_mirrored_argument", {"region": "Hello"}))
SENT = (
    ([(NAME, b"Goodbye")], 400),
    ([(NAME, b"Hello")], 200),
    ([(NAME, b"=?base64?SGVsbG8=?=")], 200),
    ([], 400),
    ([(NAME, b"=?base64?SGVsbG8?=")], 400),
)


def post(
    gate: Gate, message: dict[str, Any], headers: list[tuple[bytes, bytes]]
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
    connection.putrequest("POST", "/mcp")
    body = json.dumps(message).encode()
    given = [(b"content-type", b"application/json"), (b"accept", b"application/json, text/event-stream")]
    for name, value in (*given, (b"content-length", b"%d" % len(body)), *headers):
        connection.putheader(name, value)
    connection.endheaders(body)
    try:
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_headers_are_compared_with_the_body_from_the_first_call_on(tmp_path: Path) -> None:
    """No client has listed the tools yet: the gate reads for itself which headers there are."""
    gate = Gate(ALLOW_ALL, tmp_path, NO_TOKEN, upstream=FIXTURE)
    try:
        for sent, status in SENT:
            found, answer = post(gate, CALL, [*modern_headers(CALL), *sent])
            assert found == status, (sent, answer)
            if status == 200:
                assert answer["result"]["content"] == [{"type": "text", "text": "region Hello"}]
            else:
                assert answer["error"]["code"] == -32020
    finally:
        gate.stop()
