"""The tutorial and the README, typed into a terminal: what comes back is what they show."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.console import agrees, run, typed
from tests.docs.markdown import ROOT, fences
from tests.needs import needs_environment

TUTORIAL = ROOT / "docs/tutorial/first-gate.md"
START_BOUND = 20


@contextmanager
def held_port() -> Iterator[int]:
    """A port that the system gives to nobody else until the block ends, and on which a gate may listen."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the gate does: so both may have it
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def checkout(folder: Path) -> dict[str, str]:
    """What a reader has in front of them: examples, environments, a home without a state folder."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / ".venvs").symlink_to(ROOT / ".venvs")
    (folder / "home").mkdir()
    kept = {"PATH", "LANG", "LC_ALL", "PYTHONPATH"}
    environment = {name: value for name, value in os.environ.items() if name in kept}
    return environment | {"HOME": str(folder / "home"), "PYTHONUTF8": "1"}


def recipe(port: int) -> str:
    """The command behind `make run SERVER=time`, as its script has it, on another port."""
    script = (ROOT / "scripts/run.sh").read_text(encoding="utf-8")
    found = re.search(r"^published\(\) \{\n.*?^  (exec .*?)^\}$", script, re.MULTILINE | re.DOTALL)
    assert found is not None
    command = found[1].replace("\\\n", " ")
    values = {'"$bin/ostiary"': ".venv/bin/ostiary", '"$listen"': f"127.0.0.1:{port}"}
    values['"${policy:-examples/time.json}"'] = "examples/time.json"
    for name, value in values.items():
        assert name in command
        command = command.replace(name, value)
    return command


@contextmanager
def running(command: str, folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """A gate in its own terminal, until the block ends; yields what it printed when it was ready."""
    gate = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert gate.stderr is not None
    printed = b""
    try:
        while b"Ctrl-C" not in printed:
            ready, _, _ = select.select([gate.stderr], [], [], START_BOUND)
            chunk = os.read(gate.stderr.fileno(), 65_536) if ready else b""
            assert chunk, printed.decode()
            printed += chunk
        yield printed.decode()
    finally:
        gate.send_signal(signal.SIGINT)
        _, rest = gate.communicate(timeout=START_BOUND)
        assert gate.returncode == 0, (printed + rest).decode()


def seen_by_the_gate(change: str, folder: Path, environment: dict[str, str]) -> bool:
    """Wait until the gate has noticed that its policy file changed (it looks four times a second)."""
    bound = f"timeout 20 bash -c 'until .venv/bin/ostiary audit tail | grep -q \"{change}\"; do :; done'"
    return run(f"{bound} && echo seen", folder, environment) == "seen\n"


@pytest.mark.service
@pytest.mark.timeout(180)
def test_following_the_tutorial_shows_what_it_says(tmp_path: Path) -> None:
    needs_environment("servers", "mcp-server-time")
    environment = checkout(tmp_path)
    [script] = [fence.text for fence in fences(TUTORIAL) if fence.label == "python"]
    start, *steps = typed(TUTORIAL)
    changes = iter(["policy-activated", "policy-rejected"])

    assert start.command == "make run SERVER=time"
    with held_port() as port, running(recipe(port), tmp_path, environment) as printed:
        (tmp_path / "try.py").write_text(script.replace("8787", str(port)), encoding="utf-8")
        assert agrees(start.shown, printed), printed
        for step in steps:
            came = run(step.command, tmp_path, environment)
            assert agrees(step.shown, came), f"{step.page}:{step.line}: {step.command}\n{came}"
            if step.command.startswith("sed"):
                assert seen_by_the_gate(next(changes), tmp_path, environment)


def test_the_commands_of_the_readme_show_what_it_says(tmp_path: Path) -> None:
    page = ROOT / "README.md"
    environment = checkout(tmp_path)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    [policy] = [fence.text for fence in fences(page) if fence.label == "json policy"]
    (tmp_path / "policy.json").write_text(policy, encoding="utf-8")
    steps = list(typed(page))

    assert steps
    for step in steps:
        came = run(step.command, tmp_path, environment)
        assert agrees(step.shown, came), f"{step.page}:{step.line}: {step.command}\n{came}"


def test_the_policy_that_pages_show_is_the_one_in_examples() -> None:
    example = (ROOT / "examples/time.json").read_text(encoding="utf-8")

    for page in (ROOT / "README.md", TUTORIAL):
        assert [fence.text for fence in fences(page) if fence.label == "json policy"] == [example]


def test_a_page_that_shows_something_else_is_noticed() -> None:
    assert agrees("a\n…\nz\n", "a\nb\nc\nz\n")
    assert agrees("a\n…\n", "a\n")
    assert not agrees("a\n…\nz\n", "a\nb\n")
    assert not agrees("decision: allow\n", "decision: deny\n")
