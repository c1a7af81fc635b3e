"""A server of the core starts quickly, because it brings little along."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MINIMAL = Path(__file__).parent / "minimal_server.py"
HEAVY = (
    "anyio",
    "click",
    "cryptography",
    "httpx",
    "mcp",
    "mcp_types",
    "pydantic",
    "rich",
    "starlette",
    "typer",
)
ALLOWED = frozenset({"ostiary", "msgspec", "typing_extensions", "jsonschema_rs", "httptools", "uvloop"})
"""What may be loaded beside the standard library."""

LISTING = """
import asyncio, json, runpy, sys
from ostiary.servers.core import stdio
def run(server):
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
stdio.run = run
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def test_the_start_of_a_stdio_server_loads_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", LISTING, str(MINIMAL)],
        capture_output=True,
        check=True,
        timeout=30,
    )

    loaded = set(json.loads(done.stdout))
    foreign = {name for name in loaded - set(sys.stdlib_module_names) if not name.startswith("_")}
    assert not loaded & set(HEAVY)
    assert foreign <= ALLOWED, foreign


def of_the_page(folder: Path) -> Path:
    """The server that the documentation shows."""
    page = (Path(__file__).parents[3] / "docs/explanation/server-core.md").read_text()
    program = folder / "greeter.py"
    program.write_text(page.partition("```python\n")[2].partition("```")[0])
    return program


@pytest.mark.parametrize("which", ["minimal", "documented"])
def test_a_stdio_server_answers_its_first_list_and_leaves_with_its_client(which: str, tmp_path: Path) -> None:
    program = MINIMAL if which == "minimal" else of_the_page(tmp_path)
    asked = [
        {
            "jsonrpc": "2.0",
            "id": 0,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            },
        },
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
    ]
    lines = "".join(json.dumps(message) + "\n" for message in asked)

    done = subprocess.run(
        [sys.executable, str(program)], input=lines, capture_output=True, text=True, timeout=30, check=True
    )

    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [0, 1]
    assert answers[1]["result"]["tools"][0]["name"] == "greet"
