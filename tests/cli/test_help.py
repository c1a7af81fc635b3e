"""`--help` teaches: what a command is for, how it ends, and lines that can be typed as they stand."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from ostiary.audit.record import Record
from ostiary.calls.journal import Entry
from ostiary.cli.examples import EXAMPLES
from ostiary.cli.proxy import read_options
from ostiary.store import custom_tools, server_requests
from ostiary.store.custom_tools import Definition
from ostiary.store.opening import open_store
from ostiary.store.state import open_state
from tests.cli.entered import entered
from tests.cli.test_messages import environment, ostiary
from tests.cli.tree import leaves, tree

POLICY = '{"version": "1", "default": "deny", "tools": {"fetch": {}}}'
YAML = 'version: "1"\ndefault: deny\ntools:\n  fetch: {}\n'
TESTS = "tests:\n  - {name: fetching is allowed, tool: fetch, expect: allow}\n"
INTERCEPT = 'version: "1"\ndefault: deny\ntools:\n  fetch: {rules: [{name: no, action: deny}]}\n'
TOOLS = [{"name": "fetch", "inputSchema": {"type": "object"}}]
ENDLESS = {"--watch", "--follow", "-w", "-f"}
NOT_RUN = {
    ("proxy",),
    ("run", "code"),
    ("run", "python"),
    ("run", "docker"),
    ("run",),
    ("demo",),
    ("scan",),
    ("sandbox",),
    ("approvals", "init"),
    ("approvals", "resolve"),
    ("approvals", "watch"),
    ("protect",),
    ("unprotect",),
}
"""The gates run until their client leaves, the demo has a test of its own, `sandbox` fetches packages,
`protect` changes the files of clients, `scan` wants walls, which not every machine has, and the others ask a
person, at a terminal. Their lines are only parsed."""


@cache
def help_of(words: tuple[str, ...]) -> str:
    """The help as the command line prints it in this process."""
    here = Path.cwd()
    done = entered(*words, "--help", cwd=here, environment=environment(here))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def examples_of(words: tuple[str, ...]) -> list[str]:
    """The lines that a help says to type."""
    _, _, below = help_of(words).partition("examples:\n")
    return [line.strip() for line in below.split("\n") if line.strip().startswith("ostiary ")]


ALL = [words for words, _ in tree()]


def name(words: tuple[str, ...]) -> str:
    return " ".join(words) or "ostiary"


@pytest.mark.parametrize(
    "words", [(), ("proxy",), ("run", "django"), ("hook", "run"), ("audit", "verify")], ids=name
)
def test_a_help_is_the_same_in_a_process_of_its_own(words: tuple[str, ...]) -> None:
    """One of each way in, so that the tests below may ask for the others in this process."""
    done = ostiary(*words, "--help", cwd=Path.cwd())

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == help_of(words)


@pytest.mark.parametrize("words", ALL, ids=name)
def test_a_help_is_eighty_columns_of_plain_text(words: tuple[str, ...]) -> None:
    text = help_of(words)

    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert text.replace("\n", "").isprintable()
    assert not set("╭│╰") & set(text)


@pytest.mark.parametrize("words", ALL, ids=name)
def test_a_help_begins_with_one_sentence_of_purpose(words: tuple[str, ...]) -> None:
    text = help_of(words)

    first = " ".join(text.split("\n\n")[1].split())

    assert re.fullmatch(r"[A-Z][^.]+\.( .*)?", first), first


@pytest.mark.parametrize("words", ALL, ids=name)
def test_no_line_of_a_list_of_commands_is_cut_off(words: tuple[str, ...]) -> None:
    _, _, commands = help_of(words).partition("Commands:\n")

    assert "..." not in commands


@pytest.mark.parametrize("words", leaves(), ids=name)
def test_a_help_tells_the_exit_statuses(words: tuple[str, ...]) -> None:
    text = " ".join(help_of(words).split())

    assert re.search(r"Exit status: .*\b0\b", text)


@pytest.mark.parametrize("words", leaves(), ids=name)
def test_a_help_has_one_to_three_examples_of_its_own_command(words: tuple[str, ...]) -> None:
    found = examples_of(words)

    assert 1 <= len(found) <= 3, f"put examples of `{name(words)}` into ostiary.cli.examples"
    assert all(line.startswith(f"ostiary {name(words)}") for line in found)


def test_every_example_belongs_to_a_command() -> None:
    assert set(EXAMPLES) - {" ".join(words) for words in ALL} == set()


def test_a_help_shows_the_examples_of_the_table() -> None:
    """So that the tests below, which take them from there, run what a reader sees."""
    for words, examples in EXAMPLES.items():
        assert examples_of(tuple(words.split())) == [line for _, line in examples]


LINES = sorted({line for examples in EXAMPLES.values() for _, line in examples})


def words_of(line: str) -> list[str]:
    return shlex.split(line.partition(" > ")[0])[1:]


def is_endless(line: str) -> bool:
    return bool(set(words_of(line)) & ENDLESS)


def is_run(line: str) -> bool:
    return not any(tuple(words_of(line)[: len(known)]) == known for known in NOT_RUN)


@pytest.fixture
def furnished(furniture: Path, tmp_path: Path) -> Path:
    """A folder of its own for every example: some change what is there."""
    return shutil.copytree(furniture, tmp_path, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def furniture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what examples speak of, and a state directory where `ostiary` looks for it."""
    folder = tmp_path_factory.mktemp("furniture")
    (folder / "policy.json").write_text(POLICY)
    (folder / "policy.yaml").write_text(YAML)
    (folder / "policy.tests.yaml").write_text(TESTS)
    (folder / "intercept.yaml").write_text(INTERCEPT)
    (folder / "tools.json").write_text(json.dumps({"tools": TOOLS}))
    store = open_store(open_state(folder / ".local/state/ostiary"))
    call = "ev_01KB6Q2M8ZJ4W7T0X5RCN3HYED"
    store.commit([Entry(Record(id=call, ts=1, kind="denial", tool="fetch", decision="deny"))])
    store.close()
    for new in (True, False):
        definition = Definition(description="report", input_schema={"type": "object"})
        custom_tools.save(store.state, "local", "report", definition, "1", at=1, new=new)
    for number in range(4):
        url = "https://tools.example.org/mcp"
        server_requests.file(store.state, "local", f"Tools{number}", url, {}, "", at=1)
    done = ostiary("audit", "export", "--checkpoint", "-o", "checkpoint.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    server = folder / "server"
    server.write_text(f"#!{sys.executable}\n" + (Path(__file__).parent / "listing_server.py").read_text())
    server.chmod(0o755)
    (folder / "offered.json").write_text(json.dumps(TOOLS))
    (folder / "former.json").write_text(json.dumps([{**TOOLS[0], "description": "as it was"}]))
    done = ostiary("pins", "write", "--server", "web", "--tools", "former.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_example_of_the_proxy_is_a_command_line_that_is_understood() -> None:
    found = [line for words in ((), ("proxy",)) for line in examples_of(words) if " proxy " in line]

    assert len(found) >= 4
    for line in found:
        options = read_options(shlex.split(line)[2:])
        assert bool(options.command) != bool(options.upstream)


@pytest.mark.parametrize("line", [line for line in LINES if not is_run(line) and " proxy " not in line])
def test_an_example_that_is_not_run_is_understood(line: str) -> None:
    """An unknown option, a missing or a malformed value would be complained about here."""
    given = words_of(line)
    [(words, command)] = [
        (words, command)
        for words, command in tree()
        if words in leaves() and tuple(given[: len(words)]) == words
    ]

    command.make_context(given[0], given[len(words) :])


@pytest.mark.parametrize("line", [line for line in LINES if is_run(line) and not is_endless(line)])
def test_an_example_that_ends_does_what_it_says(furnished: Path, line: str) -> None:
    done = ostiary(*words_of(line), cwd=furnished)

    assert done.returncode in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr
    assert "error:" not in done.stderr


@pytest.mark.parametrize("line", [line for line in LINES if is_run(line) and is_endless(line)])
def test_an_example_that_does_not_end_begins(furnished: Path, line: str) -> None:
    """It prints something instead of complaining."""
    state = furnished / ".local/state/ostiary"
    process = subprocess.Popen(
        [sys.executable, "-m", "ostiary", *words_of(line), "--state-dir", str(state)],
        cwd=furnished, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    begun = process.stdout.read(1)
    process.terminate()
    _, told = process.communicate(timeout=20)

    assert (begun != "", told) == (True, "")
