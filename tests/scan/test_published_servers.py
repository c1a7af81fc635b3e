"""Servers that people use, as they are installed, asked behind walls and over HTTP."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ostiary.scan.scanned import Scanned, Target
from ostiary.wiring.scanning import scan_all
from tests.e2e import world as programs
from tests.needs import ROOT, needs_bubblewrap, needs_environment, needs_npm_modules

SECONDS = 30.0
"""Importing an official server takes seconds on a slow machine."""


def scanned(target: Target, **more: Any) -> Scanned:
    environ: Mapping[str, str] = {**os.environ, "PATH": needs_bubblewrap()}
    (found,) = scan_all([target], environ, on_progress=lambda _name: None, seconds=SECONDS, **more)
    return found


def tools(found: Scanned) -> set[str]:
    assert found.found is not None, f"{found.fault} ({found.hint})"
    return {tool.name for tool in found.found.tools}


def script(name: str) -> str:
    """A program of npm as `.bin` has it: a link that leads into its package."""
    return str(needs_npm_modules() / "node_modules" / ".bin" / name)


def test_a_python_server_in_an_environment_of_its_own() -> None:
    found = scanned(Target(name="time", command=tuple(programs.published("time"))))

    assert tools(found) == {"get_current_time", "convert_time"}
    assert (found.isolated, found.network) == (True, "none")
    assert found.found is not None
    assert found.found.era == "modern"


def test_a_python_module_named_with_its_interpreter_that_needs_a_program_of_the_system() -> None:
    python = str(needs_environment("servers", "python"))

    found = scanned(Target(name="git", command=(python, "-m", "mcp_server_git")))

    assert {"git_status", "git_commit"} <= tools(found)


@pytest.mark.parametrize("server", ["mcp-server-everything", "mcp-server-memory"])
def test_a_node_server_that_is_a_link_into_its_package(server: str) -> None:
    found = scanned(Target(name=server, command=(script(server),)))

    assert len(tools(found)) >= 9
    assert found.isolated


def test_everything_that_a_server_offers_is_read() -> None:
    found = scanned(Target(name="everything", command=(script("mcp-server-everything"),))).found

    assert found is not None
    assert found.era == "legacy"
    assert found.instructions
    assert all((found.tools, found.resources, found.templates, found.prompts))
    assert found.troubles == ()


def test_a_folder_that_a_server_is_to_work_on_is_there_and_empty(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "private.txt").write_text("private")

    found = scanned(Target(name="files", command=(script("mcp-server-filesystem"), str(folder))))

    assert {"read_text_file", "write_file"} <= tools(found)


def test_what_a_launcher_would_fetch_is_started_from_where_it_is_installed() -> None:
    needs_npm_modules()
    command = ("npx", "-y", "@modelcontextprotocol/server-memory@latest")

    found = scanned(Target(name="npx", command=command, cwd=str(ROOT / "tests/npm")))

    assert "create_entities" in tools(found)
    assert found.network == "none"


def test_the_same_server_over_http_and_over_sse(tmp_path: Path) -> None:
    on_a_pipe = scanned(Target(name="everything", command=(script("mcp-server-everything"),)))
    http = programs.everything_over_http(tmp_path / "http.log")
    sse = programs.everything_over_sse(tmp_path / "sse.log")
    try:
        over_http = scanned(Target(name="everything", transport="auto", url=http.url))
        over_sse = scanned(Target(name="everything", transport="sse", url=sse.sse))
    finally:
        http.stop()
        sse.stop()

    assert tools(over_http) == tools(over_sse) == tools(on_a_pipe)
    assert over_http.network == over_sse.network == "remote"
    assert not over_http.isolated
    assert over_http.found is not None
    assert on_a_pipe.found is not None
    assert [one.digest for one in over_http.found.prompts] == [one.digest for one in on_a_pipe.found.prompts]
