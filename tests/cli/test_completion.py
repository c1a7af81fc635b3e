"""Tab in real shells, set up as the how-to page says: what is offered, and what never is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ostiary.audit.record import Record
from ostiary.calls.journal import Entry
from ostiary.cli.proxy import option_table
from ostiary.store.opening import open_store
from ostiary.store.state import open_state
from tests.cli.pseudo_terminal import START_S, PseudoTerminal
from tests.docs.markdown import ROOT, fences
from tests.needs import needs_shell

BIN = Path(sys.executable).parent
HOSTILE = (
    "$(touch pwned)",
    "`touch pwned`",
    "a;touch pwned",
    "x'y",
    'x"y',
    "a b",
    "-rf",
    "a\nb",
    "a:b",
    "\x1b[2J",
)
PAGE_COMMANDS = [
    fence.text.strip() for fence in fences(ROOT / "docs/how-to/shell-completion.md") if fence.label == "sh"
]
PROMPT = "READY>"
SHELLS = {
    "bash": ["bash", "-i"],
    "zsh": ["zsh", "-i"],
    "fish": ["fish", "-i"],
}
PROMPTS = {
    "bash": (".bashrc", f"PS1='{PROMPT}'\nbind 'set bell-style none' 'set enable-bracketed-paste off'\n"),
    "zsh": (
        ".zshrc",
        f"PROMPT='{PROMPT}'\n",
    ),
    "fish": (".config/fish/config.fish", f"function fish_prompt; echo '{PROMPT}'; end\nset fish_greeting\n"),
}


def environment(home: Path, state: Path, shell: str = "bash") -> dict[str, str]:
    ours = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    fetched = needs_shell(shell)
    path = fetched.pop("PATH", os.environ["PATH"])
    return {
        **ours, **fetched, "PATH": f"{BIN}:{path}", "HOME": str(home), "TERM": "xterm", "LANG": "C.UTF-8",
        "OSTIARY_STATE_DIR": str(state), "ZSH_DISABLE_COMPFIX": "true",
    }  # fmt: skip


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory whose records name ordinary and hostile things."""
    folder = tmp_path_factory.mktemp("completion") / "state"
    store = open_store(open_state(folder))
    names = ("read_page", "read_file", *HOSTILE)
    rows = [
        Record(id=f"ev_{at}", ts=1, kind="denial", tool=name, grant="night-shift", server="warehouse")
        for at, name in enumerate(names)
    ]
    store.commit([Entry(row) for row in rows])
    store.close()
    return folder


@contextmanager
def shell(name: str, home: Path, state: Path) -> Iterator[PseudoTerminal]:
    """An interactive shell in which completion has been installed by the command itself."""
    file, text = PROMPTS[name]
    (home / file).parent.mkdir(parents=True, exist_ok=True)
    (home / file).write_text(text)
    env = environment(home, state, name)
    install = [name, "-c", f"{PAGE_COMMANDS[0]}; echo ended"]
    done = subprocess.run(install, env=env, cwd=home, capture_output=True, text=True, timeout=30, check=True)
    assert f"{name} completion installed" in done.stdout
    with PseudoTerminal(SHELLS[name], env, 100, 30) as terminal:
        terminal.until(lambda: PROMPT in terminal.output, START_S)
        if name == "zsh":  # the first Tab of a session only reads the function: the page says so
            completed(terminal, "ostiary ", "\x07")
        yield terminal


def completed(terminal: PseudoTerminal, typed: str, wanted: str, tabs: int = 1) -> str:
    """Type, press Tab, and wait for `wanted`; then clear the line. What came is returned."""
    before = len(terminal.output)
    terminal.type(typed.encode() + b"\t")
    for _ in range(tabs - 1):
        terminal.until(lambda: len(terminal.output) > before + len(typed), START_S)
        terminal.type(b"\t")
    terminal.until(lambda: wanted in plain(terminal.output[before:]), START_S)
    came = plain(terminal.output[before:])
    terminal.type(b"\x15" if tabs == 1 else b"\x03\x15")
    return came


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r", "", text)


@pytest.mark.timeout(180)  # fish starts the program twice for each Tab
@pytest.mark.parametrize("name", sorted(SHELLS))
def test_commands_options_and_values_are_completed(
    name: str, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zebra.json").write_text("{}")
    with shell(name, tmp_path, state) as terminal:
        completed(terminal, "ostiary pol", "policy")
        completed(terminal, "ostiary audit ver", "verify")
        completed(terminal, "ostiary proxy --list", "--listen")
        completed(terminal, "ostiary proxy --pins loc", "locked")
        completed(terminal, "ostiary status --format js", "json")
        completed(terminal, "ostiary audit tail --grant ni", "night-shift")
        completed(terminal, "ostiary policy explain --server wa", "warehouse")
        completed(terminal, "ostiary audit tail --tool read_p", "read_page")
        completed(terminal, "ostiary policy check zeb", "zebra.json")

    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", sorted(SHELLS))
def test_names_that_a_shell_would_run_are_never_offered(
    name: str, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client chooses the names of tools freely; pressing Tab must not be what runs them."""
    monkeypatch.chdir(tmp_path)
    with shell(name, tmp_path, state) as terminal:
        came = completed(terminal, "ostiary audit tail --tool ", "read_page", tabs=3)

    assert "touch" not in came
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", sorted(SHELLS))
def test_the_script_can_be_printed_instead(name: str, state: Path, tmp_path: Path) -> None:
    env = environment(tmp_path / "home", state, name)
    (tmp_path / "home").mkdir()

    subprocess.run([name, "-c", f"{PAGE_COMMANDS[1]}; echo ended"], env=env, cwd=tmp_path, check=True)

    assert "_OSTIARY_COMPLETE" in (tmp_path / "ostiary.completion").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"home", "ostiary.completion"}


def offered(words: str, state: Path) -> list[str]:
    """What bash would be offered for the last of `words`, without a bash."""
    env = {**environment(state.parent, state), "_OSTIARY_COMPLETE": "complete_bash", "COMP_WORDS": words}
    env["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    command = [
        sys.executable,
        "-c",
        "import sys; sys.argv=['ostiary']; import ostiary.cli.entry as e; e.main()",
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_every_option_of_the_proxy_is_offered(state: Path) -> None:
    known = {name for names, _ in option_table() for name in names if name.startswith("--")}

    assert set(offered("ostiary proxy --", state)) == known


def test_nothing_is_offered_for_the_command_of_a_server(state: Path) -> None:
    assert offered("ostiary proxy -p x.json -- uvx --l", state) == []


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("ostiary audit tail --tool ", ["read_file", "read_page"]),
        ("ostiary audit export --kind de", ["denial"]),
        ("ostiary audit tail --decision ", ["allow", "deny", "hold"]),
        ("ostiary proxy --limit upstream-i", ["upstream-idle=", "upstream-idle-timeout="]),
        ("ostiary audit tail --state-dir /nowhere --tool ", []),
    ],
)
def test_values_are_offered_where_they_are_known(words: str, names: list[str], state: Path) -> None:
    assert offered(words, state) == names


def test_a_broken_state_directory_offers_nothing_and_says_nothing(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.database.write_bytes(b"not a database" * 100)

    assert offered("ostiary audit tail --tool ", state.path) == []
