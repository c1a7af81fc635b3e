"""The tutorial about approvals, typed into terminals: a call waits, a person answers, it goes on."""

from __future__ import annotations

import re
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.pseudo_terminal import START_S, PseudoTerminal
from tests.docs.console import Typed, agrees, run, typed
from tests.docs.markdown import ROOT, fences
from tests.docs.test_tutorial import TUTORIAL as FIRST
from tests.docs.test_tutorial import checkout, held_port, recipe, running
from tests.needs import needs_environment

TUTORIAL = ROOT / "docs/tutorial/first-approval.md"
PASSPHRASE = b"correct horse battery\n"
EXAMPLE = re.compile(r"apr_[0-9A-Z]{26}")
BOUND_S = 30.0


def in_terminal(command: str, folder: Path, environment: dict[str, str], prompts: int) -> str:
    """What a terminal shows of a command that asks for a passphrase `prompts` times."""
    at = f"cd {folder} && {command}"
    with PseudoTerminal(["bash", "-c", at], {**environment, "TERM": "xterm"}, 200, 24) as terminal:
        for asked in range(1, prompts + 1):
            terminal.until(
                lambda asked=asked: len(re.findall("Passphrase|same again", terminal.output)) >= asked,
                START_S,
            )
            terminal.type(PASSPHRASE)
        terminal.until(lambda: terminal.process.poll() is not None, START_S)
        with suppress(OSError, AssertionError):
            terminal.until(lambda: False, 0.2)
        return "\n".join(line.rstrip() for line in terminal.output.replace("\r", "").split("\n"))


class Calling:
    """A call of `try.py` in a terminal of its own, which waits for a person."""

    def __init__(self, command: str, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder, env={**environment, "PYTHONUNBUFFERED": "1"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
        )  # fmt: skip
        assert self._process.stdout is not None
        self._output = self._process.stdout

    def line(self) -> str:
        """The next line that it prints."""
        ready, _, _ = select.select([self._output], [], [], BOUND_S)
        return self._output.readline().decode() if ready else ""

    def waits(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        if self.waits():
            self._process.kill()
        self._output.close()
        self._process.wait()


def pending(folder: Path, environment: dict[str, str]) -> str:
    """The id of the request that waits, once there is one."""
    end = time.monotonic() + BOUND_S
    while time.monotonic() < end:
        found = EXAMPLE.search(run(".venv/bin/ostiary approvals list", folder, environment))
        if found:
            return found[0]
    raise AssertionError("nothing came to wait")


def approve_on_the_page(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Answer the one call that waits as the page tells the reader to; what was on the screen."""
    at = f"cd {folder} && {command}"
    with PseudoTerminal(["bash", "-c", at], {**environment, "TERM": "xterm-256color"}, 80, 40) as terminal:
        terminal.until(lambda: "Passphrase of" in terminal.output, START_S)
        terminal.type(PASSPHRASE)
        terminal.until(lambda: terminal.shows("1 waiting for approval", "a approve"), START_S)
        seen = "\n".join(line.rstrip() for line in terminal.frame())
        terminal.type(b"a")
        terminal.until(lambda: terminal.shows("A note, if you like"))
        terminal.type(b"\r")
        terminal.until(lambda: terminal.shows("approved; exactly this call may pass, once"))
        terminal.type(b"q")
        assert terminal.ended() == 0
        return seen


def holding(port: int) -> str:
    """The command of the gate, with the policy that holds calls."""
    return recipe(port).replace("examples/time.json", "hold.yaml")


def shows(step: Typed, came: str) -> None:
    assert agrees(step.shown, came), f"{step.page}:{step.line}: {step.command}\n{came}"


def parts_of_the_page() -> tuple[dict[str, Typed], list[str]]:
    """The steps by the word that tells them apart, and what the calls print in the end."""
    steps = {step.command: step for step in typed_with_answers()}
    ends = [fence.text for fence in fences(TUTORIAL) if fence.label == "console" and fence.text[0] != "$"]
    return steps, ends


def typed_with_answers() -> Sequence[Typed]:
    return [
        step
        for fence in fences(TUTORIAL)
        if fence.label == "console" and fence.text.startswith("$")
        for step in typed(TUTORIAL, fence)
    ]


@pytest.mark.service
@pytest.mark.timeout(240)
def test_following_the_tutorial_about_approvals_shows_what_it_says(tmp_path: Path) -> None:
    """P5.1, P5.7, P5.8: a call waits, is approved once, and another one is denied."""
    needs_environment("servers", "mcp-server-time")
    environment = checkout(tmp_path)
    [script] = [fence.text for fence in fences(FIRST) if fence.label == "python"]
    [policy] = [fence.text for fence in fences(TUTORIAL) if fence.label == "yaml policy"]
    (tmp_path / "hold.yaml").write_text(policy, encoding="utf-8")
    [screen] = [fence.text for fence in fences(TUTORIAL) if fence.label == "text"]
    steps, (answered, refused) = parts_of_the_page()
    init, check, start, watch, first, second, listed, resolve, everything = steps.values()

    shows(init, in_terminal(init.command, tmp_path, environment, prompts=2))
    shows(check, run(check.command, tmp_path, environment))
    assert start.command == "make run SERVER=time POLICY=hold.yaml"
    with held_port() as port, running(holding(port), tmp_path, environment) as printed:
        (tmp_path / "try.py").write_text(script.replace("8787", str(port)), encoding="utf-8")
        assert agrees(start.shown, printed), printed

        call = Calling(first.command, tmp_path, environment)
        shows(first, call.line())
        pending(tmp_path, environment)
        assert call.waits()
        assert agrees(screen + "…\n", approve_on_the_page(watch.command, tmp_path, environment))
        assert agrees(answered, call.line())
        call.end()

        call = Calling(second.command, tmp_path, environment)
        shows(second, call.line())
        request = pending(tmp_path, environment)
        shows(listed, run(listed.command, tmp_path, environment))
        command = EXAMPLE.sub(request, resolve.command)
        shows(resolve, in_terminal(command, tmp_path, environment, prompts=1))
        assert agrees(refused, call.line())
        call.end()
        shows(everything, run(everything.command, tmp_path, environment))
    key = tmp_path / "home/.local/state/ostiary/keys/approver"
    assert key.stat().st_mode & 0o777 == 0o600
