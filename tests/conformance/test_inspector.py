"""The Inspector's command line, through the gate and without it, on both eras and both transports."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conformance.test_conformance import FIXTURE, fixture_over_http
from tests.e2e.world import ALLOW_ALL, Gate, environment, proxy, state_folder
from tests.needs import needs_npm_program
from tests.tools import node

pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]

ERAS = ("legacy", "modern", "auto")
LIST = ("--method", "tools/list")
GREET = ("--method", "tools/call", "--tool-name", "greet", "--tool-arg", "name=Ada")
NOT_EVE = ("--method", "tools/call", "--tool-name", "greet", "--tool-arg", "name=Eve")
HIDDEN = ("--method", "tools/call", "--tool-name", "test_simple_text")

POLICY = """\
version: "1"
default: deny
tools:
  greet:
    require:
      - conditions: [{path: args.name, op: neq, value: Eve}]
        on_deny: Eve is not greeted
"""


def inspect(target: Sequence[str], *options: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the Inspector once. The server's own words on standard error are not looked at."""
    done = subprocess.run(
        [*needs_npm_program("mcp-inspector"), "--cli", *target, *options],
        capture_output=True,
        text=True,
        timeout=60,
        env={**environment(), **node.environment(), "HOME": str(home)},
        cwd=home,
        check=False,
    )
    assert done.stdout or done.returncode, done.stderr
    return done


def shown(target: Sequence[str], *options: str, home: Path) -> object:
    """What the Inspector prints, which is JSON."""
    done = inspect(target, *options, home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("era", ERAS)
def test_the_inspector_sees_over_http_what_it_sees_without_the_gate(era: str, tmp_path: Path) -> None:
    server = fixture_over_http(tmp_path / "server.log")
    gate = Gate(ALLOW_ALL, tmp_path, upstream=server.url)
    direct = [server.url, "--transport", "http", "--protocol-era", era]
    token = f"Authorization: Bearer {gate.http.token}"
    through = [gate.http.url, "--transport", "http", "--protocol-era", era, "--header", token]
    try:
        with ThreadPoolExecutor(2) as pool:
            for asked in (LIST, GREET):
                alone = pool.submit(shown, direct, *asked, home=tmp_path)
                assert shown(through, *asked, home=tmp_path) == alone.result()
    finally:
        gate.stop()
        server.stop()


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_sees_over_stdio_what_it_sees_without_the_gate(era: str, tmp_path: Path) -> None:
    """The command line is the one of the Inspector's manual, which takes the `--` away."""
    gate = proxy(ALLOW_ALL, state_folder(tmp_path), upstream=FIXTURE)
    with ThreadPoolExecutor(2) as pool:
        for asked in (LIST, GREET):
            alone = pool.submit(shown, FIXTURE, *asked, "--protocol-era", era, home=tmp_path)
            assert shown(gate, *asked, "--protocol-era", era, home=tmp_path) == alone.result()


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_shows_why_a_call_was_denied(era: str, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    gate = [*proxy(policy, state_folder(tmp_path), upstream=FIXTURE), "--protocol-era", era]

    listed = shown(gate, *LIST, home=tmp_path)
    allowed = shown(gate, *GREET, home=tmp_path)
    denied = inspect(gate, *NOT_EVE, home=tmp_path)
    hidden = inspect(gate, *HIDDEN, home=tmp_path)

    assert isinstance(listed, dict)
    assert [tool["name"] for tool in listed["tools"]] == ["greet"]
    assert isinstance(allowed, dict)
    assert allowed["content"] == [{"type": "text", "text": "Hello, Ada!"}]
    answer = json.loads(denied.stdout)
    assert (denied.returncode, answer["isError"]) == (5, True)
    assert answer["content"] == [{"type": "text", "text": "[POLICY DENIED] Eve is not greeted"}]
    assert hidden.returncode == 5
    assert "not found on server" in hidden.stderr
