"""`ostiary proxy` is started again and again by clients, so it imports only what it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HEAVY = {"typer", "rich", "pydantic", "starlette", "sqlglot", "mcp", "anyio", "jinja2", "click"}

SCRIPT = """
import atexit, json, sys
told = sys.argv.pop(1)

def tell():
    with open(told, "w") as file:
        json.dump(sorted({name.partition(".")[0] for name in sys.modules}), file)

atexit.register(tell)
from ostiary.cli.entry import main
main()
"""


def modules_after(folder: Path, policy: str) -> set[str]:
    """Top-level modules of a stdio proxy that served nobody and ended."""
    file, told = folder / "policy.json", folder / "modules.json"
    file.write_text(policy)
    options = ["-p", str(file), "--state-dir", str(folder / "state")]
    server = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    subprocess.run(
        [sys.executable, "-c", SCRIPT, str(told), "proxy", *options, "--", *server],
        input=b"", capture_output=True, timeout=20, check=True, env=dict(os.environ),
    )  # fmt: skip
    return set(json.loads(told.read_text()))


def test_a_stdio_proxy_loads_no_framework(tmp_path: Path) -> None:
    loaded = modules_after(tmp_path, '{"version": "1", "default": "deny", "tools": {"echo": {}}}')

    assert "ostiary" in loaded
    assert loaded & HEAVY == set()


def test_a_json_policy_without_patterns_loads_neither_yaml_nor_re2(tmp_path: Path) -> None:
    loaded = modules_after(tmp_path, '{"version": "1", "default": "deny", "tools": {"echo": {}}}')

    assert loaded & {"yaml", "re2"} == set()
