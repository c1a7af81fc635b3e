"""What a server is called when nobody gave it a name."""

from __future__ import annotations

import pytest

from ostiary.scan.naming import name_of_command, name_of_url


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("./server --key secret", "server"),
        ("npx -y @scope/server-files@1.2.3 /tmp", "@scope/server-files"),
        ("npx -y mcp-remote@latest", "mcp-remote"),
        ("uvx mcp-server-time==1.0", "mcp-server-time"),
        ("uv tool run mcp-server-git", "mcp-server-git"),
        ("/usr/bin/python3.12 -m mcp_server_time", "mcp_server_time"),
        ("node /srv/build/index.js", "index"),
        ("npx -y", "npx"),
        ("", "server"),
    ],
)
def test_a_command_is_called_by_what_it_runs(line: str, name: str) -> None:
    assert name_of_command(line.split()) == name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://user:word@mcp.example.com:8/x?key=1", "mcp.example.com"),
        ("http://[", "server"),
        ("x", "server"),
    ],
)
def test_an_address_is_called_by_its_host(url: str, name: str) -> None:
    assert name_of_url(url) == name
