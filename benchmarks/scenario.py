"""What is asked, what is answered, and the policies in between."""

from __future__ import annotations

import json

TOKEN = "ost_" + "benchmark0" * 4
TOOL = "write_report"
STREAMED = TOOL + "_events"
MARK = "@" * 7
"""Stands for the id in requests and answers; `native/load.c` puts one of seven digits in its place."""

RESULT_TEXT = "written: " + "x" * 180
RESULT = {"content": [{"type": "text", "text": RESULT_TEXT}], "isError": False}

_SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "maxLength": 400},
        "content": {"type": "string"},
        "mode": {"enum": ["append", "create"]},
        "retries": {"type": "integer", "minimum": 0},
        "labels": {"type": "array", "items": {"type": "string"}},
        "owner": {"type": "object", "properties": {"team": {"type": "string"}, "seat": {"type": "integer"}}},
    },
    "required": ["path", "content"],
}
TOOLS = {"tools": [{"name": name, "inputSchema": _SCHEMA} for name in (TOOL, STREAMED)]}

_ARGUMENTS = {
    "path": "/srv/app/reports/2026/summary.txt",
    "content": "y" * 100,
    "mode": "append",
    "retries": 3,
    "labels": ["a", "b", "c"],
    "owner": {"team": "data", "seat": 12},
}
_NEVER_REACHED = 1_000_000_000
_RULES = {
    "require": [
        {
            "conditions": [
                {"path": "args.mode", "op": "in", "value": ["append", "create"]},
                {"path": "args.retries", "op": "lte", "value": 5},
                {"path": "args.owner.team", "op": "eq", "value": "data"},
            ]
        }
    ],
    "limits": [
        {"counter": "calls", "window": "minute", "max": _NEVER_REACHED, "scope": "grant"},
        {"counter": "daily", "window": "day", "max": _NEVER_REACHED, "scope": "grant"},
    ],
    "validate": {"schema": "advertised"},
}
POLICY = {"version": "1", "default": "deny", "tools": {TOOL: _RULES, STREAMED: _RULES}}
ALLOW_ALL = {"version": "1", "default": "allow", "tools": {}}


def compact(value: object) -> str:
    """JSON without white space."""
    return json.dumps(value, separators=(",", ":"))


def call(tool: str) -> str:
    """A `tools/call`, with the mark as its id."""
    text = compact(
        {
            "jsonrpc": "2.0",
            "id": 0,
            "method": "tools/call",
            "params": {"name": tool, "arguments": _ARGUMENTS, "_meta": {"progressToken": 7}},
        }
    )
    return text.replace('"id":0', f'"id":{MARK}', 1)


def answer() -> str:
    """The answer to it."""
    return f'{{"jsonrpc":"2.0","id":{MARK},"result":{compact(RESULT)}}}'


def streamed_answer() -> str:
    """The same as an event stream."""
    return f"event: message\ndata: {answer()}\n\n"


def hello() -> str:
    """An `initialize` request."""
    client = {"name": "benchmark", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    return compact({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})


def http_headers(session: str = "") -> dict[str, str]:
    """The headers of a client; `session` is empty before there is one."""
    headers = {
        "User-Agent": "benchmark-client/1.0",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "Authorization": f"Bearer {TOKEN}",
        "MCP-Protocol-Version": "2025-11-25",
    }
    return headers | ({"Mcp-Session-Id": session} if session else {})


def http_request(port: int, tool: str, session: str) -> str:
    """A whole HTTP request that calls `tool`."""
    body = call(tool)
    lines = ["POST /mcp HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in http_headers(session).items()]
    lines += [f"Content-Length: {len(body)}", "", body]
    return "\r\n".join(lines)
