"""What is started again and again imports only what it needs."""

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


def test_a_command_loads_none_of_the_others(tmp_path: Path) -> None:
    told = tmp_path / "modules.json"
    script = SCRIPT.replace('{name.partition(".")[0] for name in sys.modules}', "sys.modules")
    done = subprocess.run(
        [sys.executable, "-c", script, str(told), "classify", "--help"],
        capture_output=True, text=True, timeout=20, check=True, env=dict(os.environ),
    )  # fmt: skip

    loaded = set(json.loads(told.read_text()))
    assert "Usage: ostiary classify" in done.stdout
    assert "ostiary.cli.classify" in loaded
    assert (
        loaded & {f"ostiary.cli.{name}" for name in ("policy", "approvals", "pins", "doctor", "status")}
        == set()
    )


def test_a_mistyped_command_is_told_the_near_one() -> None:
    script = "import sys; from ostiary.cli.entry import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "polcy"], capture_output=True, text=True, timeout=20, check=False
    )

    assert (done.returncode, "did you mean `policy`" in done.stderr) == (2, True)
