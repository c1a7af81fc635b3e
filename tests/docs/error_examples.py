"""Makes the examples of the error pages come true: policies that are checked, requests that are sent."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ostiary.cli.printable import printable_lines
from ostiary.policy.check import check_against
from ostiary.policy.load import load_text
from ostiary.proxy.tool_file import read_tools
from ostiary.store.query import Filter, Reader
from ostiary.store.state import StateDir
from tests.docs.markdown import ROOT, Fence
from tests.e2e.world import Gate, wait_for

ERRORS = ROOT / "docs/errors"
POLICY = {
    "version": "1",
    "default": "deny",
    "hide": ["shell"],
    "resources": {"default": "allow", "deny": ["file:///etc/*"]},
    "tools": {
        "echo": {"deny_if": [{"conditions": [{"path": "args.text", "op": "eq", "value": "no"}]}]},
        "once": {},
    },
}
"""The policy of the gate that the examples are sent to."""

HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-06-18",
}
"""What an example leaves out, with the session and the token."""

_VARIABLE = [
    (re.compile(r"ev_[0-9A-Z]{26}"), "ev_…"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:…"),
    (re.compile(r'"retry_after_ms": ?\d+'), '"retry_after_ms": …'),
]


def checked(found: Sequence[Fence], folder: Path) -> str:
    """What `ostiary policy check` says about the policy of a page."""
    write(found, folder)
    for fence in found:
        if fence.label == "sh":
            subprocess.run(["bash", "-c", fence.text], cwd=folder, check=True, timeout=30)
    [policy] = [path for path in folder.iterdir() if path.stem == "policy"]
    document, diagnostics = load_text(policy.read_bytes(), file=policy.name)
    tools = folder / "tools.json"
    if tools.exists():
        assert document is not None
        assert document.single is not None
        diagnostics = [*diagnostics, *check_against(document.single, read_tools(tools))]
    return printable_lines("\n".join(each.render() for each in diagnostics))


def write(found: Sequence[Fence], folder: Path) -> None:
    """The files of a page: blocks that are labelled with a name."""
    for fence in found:
        language, _, name = fence.label.partition(" ")
        if language in {"json", "yaml"} and name:
            (folder / name).write_text(fence.text, encoding="utf-8")


def compact(answer: str) -> str:
    """An answer without what differs from one run to the next."""
    for pattern, name in _VARIABLE:
        answer = pattern.sub(name, answer)
    return answer.strip()


class ErrorGate:
    """A gate with a session, to which the requests of pages are sent."""

    def __init__(self, folder: Path) -> None:
        policy = folder / "policy.json"
        policy.write_text(json.dumps(POLICY))
        server = [sys.executable, str(Path(__file__).parent / "answering_server.py")]
        self.gate = Gate(policy, folder, upstream=server)
        asked = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "page", "version": "1"},
        }
        first = {"jsonrpc": "2.0", "id": "first", "method": "initialize", "params": asked}
        self.session = ""
        self.session = self._post({}, json.dumps(first))[1] or ""
        self._post({}, '{"jsonrpc": "2.0", "method": "notifications/initialized"}')

    def send(self, text: str) -> tuple[str, list[str]]:
        """The answer to an `http` block, and the rules of the newest denial on record."""
        head, _, body = text.partition("\n\n")
        given = dict(line.split(": ", 1) for line in head.split("\n")[1:])
        before = self._denials()
        answer, _ = self._post(given, body.rstrip("\n"))
        wait_for(f"the record of {answer}", lambda: len(self._denials()) > len(before))
        return compact(answer), list(self._denials()[-1])

    def _post(self, given: dict[str, str], body: str) -> tuple[str, str | None]:
        headers = {**HEADERS, "Authorization": f"Bearer {self.gate.http.token}"}
        if self.session:
            headers["Mcp-Session-Id"] = self.session
        connection = http.client.HTTPConnection("127.0.0.1", self.gate.port, timeout=10)
        try:
            connection.request("POST", "/mcp", body.encode(), {**headers, **given})
            response = connection.getresponse()
            return f"HTTP {response.status}\n{response.read().decode()}", response.getheader("Mcp-Session-Id")
        finally:
            connection.close()

    def _denials(self) -> list[tuple[str, ...]]:
        """The rules of every denial on record, oldest first."""
        reader = Reader(StateDir(self.gate.state))
        try:
            rows = reader.tail(1_000, None, Filter(kind="denial"))
        finally:
            reader.close()
        return [row.record.rules for row in rows if row.record is not None]

    def close(self) -> None:
        """Stop the gate."""
        self.gate.stop()
