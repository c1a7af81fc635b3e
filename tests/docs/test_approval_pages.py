"""The pages about approvals say what the program does."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import typer.main

from ostiary.approvals import digest, request, statement, step
from ostiary.cli.app import build
from ostiary.cli.approvals import MAX_LISTED
from ostiary.cli.asked import as_json
from ostiary.policy.load import load_text
from ostiary.proxy.approvals import wait, webhook
from ostiary.store import approvals as store
from ostiary.store import approvers
from tests.cli.asking import ANA, Asking
from tests.cli.pseudo_terminal import START_S, PseudoTerminal
from tests.docs.console import agrees, typed
from tests.docs.markdown import ROOT, Fence, fences
from tests.docs.test_tutorial import checkout
from tests.proxy.http_world import until, within
from tests.proxy.test_webhook import SECRET, STANDINGS, accept, headers_of, told

REFERENCE = ROOT / "docs/reference/approvals.md"
HOW_TO = ROOT / "docs/how-to/approvals.md"
TEXT = REFERENCE.read_text(encoding="utf-8")
EXAMPLE = re.compile(r"apr_[0-9A-Z]{26}")


def section(heading: str) -> str:
    return TEXT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below `heading`."""
    lines = re.findall(r"^\| (.*) \|$", section(heading), re.MULTILINE)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines[2:]]


def words(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_state_and_verdict_is_explained() -> None:
    assert sorted(words(row[0])[0] for row in rows("States")) == sorted(get_args(request.State))
    assert set(get_args(request.Verdict)) <= set(words(section("JSON")))


def test_the_keys_of_the_json_are_those_of_the_table() -> None:
    told_of = {word for row in rows("JSON") for word in words(row[0])}

    assert told_of == set(as_json(STANDINGS["approved"], 0, b"{}"))


def test_the_webhook_document_has_the_shape_of_the_page() -> None:
    [shown] = [json.loads(fence.text) for fence in fences(REFERENCE) if '"event"' in fence.text]

    sent = json.loads(
        msgspec.json.encode(webhook.described("approval.requested", "dlv_1", STANDINGS["requested"], 0))
    )

    assert list(sent) == list(shown)
    assert list(sent["approval"]) == list(shown["approval"])


def test_events_and_headers_are_those_of_the_page() -> None:
    named = [word for row in rows("Webhook") for word in words(row[1])]

    assert {f"approval.{event}" for event in STANDINGS} == {
        word for word in named if word.startswith("approval.")
    }

    async def main() -> None:
        async with told(accept) as gate:
            gate.hook("requested", STANDINGS["requested"])
            await until(lambda: gate.receiver.requests)
            headers = headers_of(gate.receiver.requests[0])
            assert {words(row[0])[0].lower() for row in rows("Webhook")} <= set(headers)

    within(asyncio.run, main)


def test_the_numbers_of_the_page_are_those_of_the_program() -> None:
    at_most = {row[0]: row[1] for row in rows("Limits")}
    day = 24 * 3_600 * 1_000_000

    assert at_most["pending requests of one grant"] == str(step.MAX_PENDING)
    assert at_most["canonical text of a call"] == f"{digest.MAX_CONTENT // 1024} kB"
    assert at_most["a note, a message"] == f"{request.MAX_NOTE} characters"
    assert at_most["approvers"].startswith(f"{statement.MAX_APPROVERS} registered")
    assert at_most["a passphrase"] == f"at least {approvers.MIN_PASSPHRASE} characters"
    assert at_most["a request is kept after it would have expired"].startswith(f"{store.KEPT // day} days")
    assert at_most["a call is held open"] == f"{wait.HOLD} seconds, {wait.HOLD_WITH_PROGRESS} with progress"
    assert at_most["listed by `approvals list --all`"] == f"{MAX_LISTED:,}"
    hook = section("Webhook")
    assert f"at least {webhook.MIN_SECRET} bytes" in hook
    assert f"A try may take {webhook.PATIENCE:g} seconds" in hook
    assert "{:g}, {:g} and {:g} seconds later".format(*webhook.WAITS) in hook
    assert webhook.AT_ONCE == 4
    assert f"{webhook.MAX_QUEUED} more wait" in hook


def test_every_event_row_of_the_program_is_on_the_page() -> None:
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src/ostiary").rglob("*.py"))
    made = set(re.findall(r'"(approver-registered|webhook-failed)"', source))
    assert re.search(r'f"approval-\{(verdict|to)\}"', source)
    verdicts = {f"approval-{verdict}" for verdict in get_args(request.Verdict)}

    listed = {word for row in rows("Records") for word in words(row[0])}

    assert listed == made | verdicts | {"approval-expired", "approval-cancelled"}


def test_the_files_below_keys_are_those_of_the_page(tmp_path: Path) -> None:
    asking = Asking(tmp_path)
    asking.store.close()
    listed = {words(row[0])[0]: row[1] for row in rows("Files")}

    assert set(listed) <= {path.name for path in asking.state.keys.iterdir()}
    register = json.loads((asking.state.keys / "approvers.json").read_text())
    assert list(register) == ["v", "approvers"]
    assert list(register["approvers"][0]) == words(listed["approvers.json"])[0].split("[{")[1][:-3].split(
        ", "
    )
    assert b"ENCRYPTED" in (asking.state.keys / "approver").read_bytes()
    assert len((asking.state.keys / "approvals.aes").read_bytes()) == 32


# --- the how-to -----------------------------------------------------------------------------------


def receiver() -> Any:
    """The function that the how-to gives to whoever writes a receiver."""
    [fence] = [fence for fence in fences(HOW_TO) if fence.label == "python receiver"]
    space: dict[str, Any] = {}
    exec(fence.text, space)
    return space["verified"]


def test_the_receiver_of_the_page_believes_the_gate_and_nobody_else() -> None:
    verified = receiver()
    now, body = int(time.time()), b'{"v":1}'
    good = webhook.signature(SECRET, now, body).decode()

    assert verified(SECRET, good, body)
    assert not verified(SECRET, good, body + b" ")
    assert not verified(b"another secret of enough bytes", good, body)
    assert not verified(SECRET, webhook.signature(SECRET, now - 301, body).decode(), body)
    assert not verified(SECRET, good.replace(f"t={now}", f"t={now + 1}"), body)
    for bad in ("", "t=", "v1=00", "t=x,v1=00", good.replace("v1=", "v0="), good.split(",", 1)[0]):
        assert not verified(SECRET, bad, body)


def shell_commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    for fence in fences(page):
        if fence.label not in {"sh", "console"}:
            continue
        for line in fence.text.replace("\\\n", " ").splitlines():
            split = (
                shlex.split(line.removeprefix("$ ")) if fence.label == "sh" or line.startswith("$ ") else []
            )
            if "approvals" in split:
                yield fence.id, split[split.index("approvals") :]


def test_commands_of_the_pages_have_only_options_that_exist() -> None:
    below = "commands"  # read by name, because typer may carry a click of its own
    known = getattr(getattr(typer.main.get_command(build()), below)["approvals"], below)
    seen = 0
    for page in (HOW_TO, ROOT / "docs/tutorial/first-approval.md"):
        for where, (_, name, *rest) in shell_commands(page):
            options = {option for parameter in known[name].params for option in parameter.opts}
            assert {word for word in rest if word.startswith("--")} <= options, where
            seen += 1
    assert seen > 8


def test_the_policy_of_the_page_holds_what_the_page_says() -> None:
    first, form = [fence for fence in fences(HOW_TO) if fence.label == "yaml policy"]

    for fence in (first, form):
        document, diagnostics = load_text(fence.text.encode(), file="policy.yaml")
        assert document is not None
        assert diagnostics == []


def consoles() -> list[Fence]:
    return [fence for fence in fences(HOW_TO) if fence.label == "console"]


PASSPHRASE = b"correct horse battery\n"


def in_terminal(command: str, folder: Path, environment: dict[str, str]) -> str:
    """What a terminal of 200 columns shows; whoever sits there types the passphrase when asked."""
    at = ["bash", "-c", f"cd {folder} && {command}"]
    prompts = 0
    with PseudoTerminal(at, {**environment, "TERM": "xterm"}, 200, 24) as terminal:

        def over() -> bool:
            nonlocal prompts
            if len(re.findall("Passphrase|same again", terminal.output)) > prompts:
                prompts += 1
                terminal.type(PASSPHRASE)
            return terminal.process.poll() is not None

        terminal.until(over, START_S)
        with suppress(OSError, AssertionError):
            terminal.until(lambda: False, 0.2)
        return terminal.output.replace("\r", "")


@pytest.mark.timeout(120)
def test_typing_the_how_to_shows_what_it_says(tmp_path: Path) -> None:
    environment = checkout(tmp_path)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    state = tmp_path / "home/.local/state/ostiary"
    begin, answer, another = consoles()
    [init] = typed(HOW_TO, begin)
    came = in_terminal(init.command, tmp_path, environment)
    assert agrees(init.shown, came), came

    asking = Asking.of(state)
    request_id = asking.ask(
        "delete_file", {"path": "/srv/old.csv"}, reasons=("deletes for good",), principal="grant:local"
    )
    asking.store.close()
    for step_ in typed(HOW_TO, answer):
        came = in_terminal(EXAMPLE.sub(request_id, step_.command), tmp_path, environment)
        assert agrees(step_.shown, came), f"{step_.command}\n{came}"
    [sponsored] = typed(HOW_TO, another)
    came = in_terminal(sponsored.command, tmp_path, environment)
    assert agrees(sponsored.shown, came), came
    names = [one["name"] for one in json.loads((state / "keys/approvers.json").read_text())["approvers"]]
    assert names == [ANA, "user:ben@example.org"]
