"""What the policy that comes with the Python server lets through."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import ostiary.servers.python as package
from ostiary.policy.load import load_text

POLICY = Path(package.__file__).parent / "policy.yaml"
TOOLS = ("python_execute", "run", "get_run", "cancel_run", "end_session")


def explained(tool: str) -> dict[str, object]:
    command = [sys.executable, "-m", "ostiary", "policy", "explain", "-p", str(POLICY), "--tool", tool]
    done = subprocess.run(
        [*command, "--format", "json"], capture_output=True, text=True, timeout=30, check=False
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_of_the_server_may_be_called(tool: str) -> None:
    assert explained(tool)["decision"] == "allow"


@pytest.mark.parametrize("tool", ["shell", "run_python_code", "Python_execute", "python_execute "])
def test_nothing_else_may(tool: str) -> None:
    assert explained(tool)["decision"] == "deny"


def test_ten_runs_a_minute() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ostiary", "policy", "check", str(POLICY)],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip

    for tool in ("python_execute", "run"):
        assert f"{tool}: at most 10 calls per minute for each grant" in done.stdout
        assert (
            f"{tool}: arguments must fit the advertised schema, undeclared arguments are refused"
            in done.stdout
        )
    assert "any other tool: denied" in done.stdout
    assert "resources: default deny" in done.stdout


def test_the_page_shows_the_policy_that_is_enforced() -> None:
    page = Path(__file__).parents[3] / "docs/how-to/run-python.md"
    shown = page.read_text(encoding="utf-8").split("```yaml policy\n")[1].split("```")[0]

    assert meaning(shown.encode()) == meaning(POLICY.read_bytes())


def meaning(text: bytes) -> object:
    document, diagnostics = load_text(text, file="policy.yaml", unsafe_monitor=False)
    assert document is not None, diagnostics
    return document
