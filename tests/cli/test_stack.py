"""`ostiary stack`, typed: what is configured, said for a person and for a script."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_messages import ostiary

SERVERS = {
    "files": {"command": "npx", "args": ["-y", "server-files"], "env": {"API_KEY": "s3cret"}},
    "web": {"url": "https://tools.example.org/mcp?token=s3cret", "headers": {"X-Team": "${TEAM}"}},
    "gated": {"command": "ostiary", "args": ["proxy", "--", "uvx", "tool==1.0"]},
    "\u202eoff": {"command": "server", "disabled": True},
}


def test_a_person_sees_each_server_with_its_version_gate_and_secrets_by_name(tmp_path: Path) -> None:
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor/mcp.json").write_text(json.dumps({"mcpServers": SERVERS}))
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex/config.toml").write_text("[mcp_servers.x\n")

    done = ostiary("stack", cwd=tmp_path)

    assert (
        done.stdout
        == f"""Cursor: {tmp_path}/.cursor/mcp.json
  files: npx server-files, FLOATING version, NO GATE
    secrets in clear text: env.API_KEY
  web: tools.example.org, reached over the network, NO GATE
    secrets in clear text: url
    put in by the client: TEAM
  gated: uvx tool@1.0, pinned, through Ostiary
  \\u202eoff: server, a program of this machine, NO GATE

4 servers, 1 through Ostiary
1 in a floating version, 2 with secrets in clear text

could not be read:
  {tmp_path}/.codex/config.toml:1:15: expected TOML: expected ']' at the end of a table declaration
"""
    )
    assert (done.returncode, done.stderr) == (1, "")


def test_a_script_gets_the_same_as_json(tmp_path: Path) -> None:
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor/mcp.json").write_text(json.dumps({"mcpServers": SERVERS}))

    done = ostiary("stack", "--json", cwd=tmp_path)

    found = json.loads(done.stdout)
    assert [one["name"] for one in found["servers"]] == list(SERVERS)
    assert found["servers"][0] == {
        "client": "cursor", "name": "files", "file": f"{tmp_path}/.cursor/mcp.json", "line": 1,
        "scope": "user", "folder": "", "enabled": True, "starts": "npx server-files", "source": "npm",
        "package": "server-files", "version": "", "pin": "floating", "host": "", "gated": False,
        "secrets": ["env.API_KEY"],
        "placeholders": [], "same_as": [], "same_name": [], "beside_a_gate": False,
    }  # fmt: skip
    assert found["files"] == [f"{tmp_path}/.cursor/mcp.json"]
    assert "s3cret" not in done.stdout
    assert done.stdout == ostiary("stack", "--format", "json", cwd=tmp_path).stdout


def test_nothing_configured_is_said(tmp_path: Path) -> None:
    done = ostiary("stack", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (0, "no MCP server is configured\n")
