"""The pages on configurations of clients name the files that are read, and show what is really printed."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ostiary.scan.clients.places import CLIENTS, places
from tests.cli.test_messages import ostiary
from tests.docs.markdown import ROOT

PAGE = (ROOT / "docs/reference/client-configs.md").read_text(encoding="utf-8")
STACK = (ROOT / "docs/how-to/see-your-stack.md").read_text(encoding="utf-8")
SERVERS = {
    "files": {"command": "npx", "args": ["-y", "server-files"], "env": {"API_KEY": "secret"}},
    "web": {"url": "https://tools.example.org/mcp", "headers": {"Authorization": "Bearer ${TEAM}"}},
    "time": {"command": "ostiary", "args": ["proxy", "--", "uvx", "mcp-server-time@2026.1.2"]},
}


def test_every_client_and_every_file_that_is_read_is_named() -> None:
    for client, title in CLIENTS.items():
        [row] = [line for line in PAGE.splitlines() if line.startswith(f"| {title} | `{client}` |")]
        for platform in ("linux", "darwin", "win32"):
            for place in places(Path("/home/me"), Path("/work"), {}, platform):
                if place.client == client:
                    assert place.path.name in row


def test_the_shown_stack_is_what_is_printed(tmp_path: Path) -> None:
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor/mcp.json").write_text(json.dumps({"mcpServers": SERVERS}))
    shown = re.findall(r"```text\n(.*?)```", STACK, re.DOTALL)

    printed = ostiary("stack", cwd=tmp_path).stdout.replace(str(tmp_path), "/home/me")

    assert shown == [printed]
