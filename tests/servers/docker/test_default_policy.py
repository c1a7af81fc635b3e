"""What the policy that comes with the containers' server lets through, and the one for Pare's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import ostiary.servers.docker as package
from ostiary.policy.load import load_text
from ostiary.servers.docker.server import EXEC_TOOLS, SCRIPT_TOOLS

ROOT = Path(__file__).parents[3]
POLICY = Path(package.__file__).parent / "policy.yaml"
PARE = ROOT / "examples/pare-docker.yaml"
FIXTURE = json.loads((Path(__file__).parent / "fixtures/pare_docker.json").read_text("utf-8"))
TOOLS = [offer.name for offer in (*EXEC_TOOLS, *SCRIPT_TOOLS)]
RUNS = ("exec", "execute_code", "execute_python_script", "add_dependencies")


def ostiary(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ostiary", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def decided(policy: Path, tool: str) -> str:
    done = ostiary("policy", "explain", "-p", str(policy), "--tool", tool, "--format", "json")
    return json.loads(done.stdout)["decision"]


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_of_the_server_may_be_called(tool: str) -> None:
    assert decided(POLICY, tool) == "allow"


@pytest.mark.parametrize("tool", ["run", "pull", "build", "Exec", "exec ", "docker_exec"])
def test_nothing_else_may(tool: str) -> None:
    assert decided(POLICY, tool) == "deny"


def test_ten_runs_a_minute() -> None:
    told = ostiary("policy", "check", str(POLICY)).stdout

    for tool in RUNS:
        assert f"{tool}: at most 10 calls per minute for each grant" in told
    assert "any other tool: denied" in told
    assert "resources: default deny" in told


def test_the_page_shows_the_policy_that_is_enforced() -> None:
    page = ROOT / "docs/how-to/run-docker.md"
    shown = page.read_text(encoding="utf-8").split("```yaml policy\n")[1].split("```")[0]

    assert meaning(shown.encode()) == meaning(POLICY.read_bytes())


def meaning(text: bytes) -> object:
    document, diagnostics = load_text(text, file="policy.yaml", unsafe_monitor=False)
    assert document is not None, diagnostics
    return document


def test_the_example_for_pare_decides_as_it_says() -> None:
    tests = Path(__file__).parent / "pare-docker.tests.yaml"

    done = ostiary("policy", "test", str(PARE), "--tests", str(tests))

    assert done.returncode == 0, done.stdout
    assert "24 of 24 rules were exercised both ways" in done.stdout


def test_the_example_for_pare_names_every_tool_that_it_has() -> None:
    text = PARE.read_text(encoding="utf-8")

    assert len(FIXTURE["all"]) == 16
    assert [name for name in FIXTURE["all"] if f"\n  {name}:" not in text] == []
