"""`ostiary status --watch` in a real pseudo-terminal: sizes, keys, faults, and how it leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from ostiary.audit.record import Record
from ostiary.calls.journal import Entry
from ostiary.cli.following import Following
from ostiary.cli.near_limits import NearLimit
from ostiary.cli.overview import HOUR
from ostiary.cli.status_page import Facts, lines
from ostiary.store.opening import open_store
from ostiary.store.sqlite import SqliteStore
from ostiary.store.state import open_state
from tests.cli.pseudo_terminal import (
    ENTER_PAGE,
    LEAVE_PAGE,
    SHOW_CURSOR,
    START_S,
    PseudoTerminal,
)
from tests.needs import needs_program

HOSTILE = "x\x1b]0;owned\x07\x1b[2J\u202eexe.\n2 forged"


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(folder), "TERM": "xterm-256color", "PYTHONUTF8": "1", **more}


@contextmanager
def watching(state: Path, columns: int = 80, rows: int = 24, **more: str) -> Iterator[PseudoTerminal]:
    command = [sys.executable, "-m", "ostiary", "status", "--watch", "--state-dir", str(state)]
    with PseudoTerminal(command, environment(state.parent, **more), columns, rows) as terminal:
        yield terminal


def now() -> int:
    return time.time_ns() // 1_000


def denial(number: int, tool: str = "delete_repo", rule: str = "(default deny)") -> Entry:
    record = Record(
        id=f"ev_{number:026}", ts=now(), kind="denial", method="tools/call", tool=tool, decision="deny",
        rules=(rule,), grant="local",
    )  # fmt: skip
    return Entry(record)


def answered(number: int, latency: int) -> list[Entry]:
    call = f"ev_{number:026}"
    return [
        Entry(Record(id=call, ts=now(), kind="intent", tool="get_time", decision="allow", grant="local")),
        Entry(Record(id=call, ts=now(), kind="outcome", status="ok", latency_us=latency)),
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = open_store(open_state(tmp_path / "state"))
    opened.instance.describe(
        {
            "server": "time", "target": "`clock`", "policy": "/etc/ostiary/time.json",
            "revision": "sha256:" + "ab" * 32, "unsafe": "mode: monitor: nothing is enforced",
        }
    )  # fmt: skip
    yield opened
    opened.close()


def fits(terminal: PseudoTerminal, columns: int, rows: int) -> bool:
    lines = terminal.frame()
    return len(lines) == rows and all(len(line) <= columns for line in lines)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)])
def test_the_page_answers_the_questions_at_every_size(
    store: SqliteStore, tmp_path: Path, columns: int, rows: int
) -> None:
    store.commit([denial(1), denial(2, HOSTILE, "(hidden)"), *answered(3, 4_000), *answered(4, 90_000)])
    with watching(tmp_path / "state", columns, rows) as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)

        assert fits(terminal, columns, rows)
        assert terminal.shows("w1", "in front of `clock` as time", "! mode: monitor", "allowed", "denied")
        assert terminal.shows("delete_repo", "(default deny)", "x\\u001b]0;owned", "last hour", "p95")
        assert "\x07" not in terminal.output
        assert "\u202e" not in terminal.output
        assert "\x1b[2J\\" not in terminal.output


def test_a_small_terminal_shows_the_most_important(store: SqliteStore, tmp_path: Path) -> None:
    store.commit([denial(number) for number in range(9)])
    with watching(tmp_path / "state", 50, 14) as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)

        assert fits(terminal, 50, 14)
        assert terminal.shows("gate w1", "! mode: monitor", "last minute", "delete_repo")


def test_new_records_appear_while_it_is_watched(store: SqliteStore, tmp_path: Path) -> None:
    with watching(tmp_path / "state") as terminal:
        terminal.until(lambda: terminal.shows("nothing was refused"), START_S)

        store.commit([denial(1, "drop_table")])

        terminal.until(lambda: terminal.shows("drop_table", "latest denials"))


def test_the_page_follows_the_size_of_its_terminal(store: SqliteStore, tmp_path: Path) -> None:
    store.commit([denial(number) for number in range(40)])
    with watching(tmp_path / "state", COLUMNS="80", LINES="24") as terminal:
        terminal.until(lambda: fits(terminal, 80, 24), START_S)

        terminal.resize(120, 40)
        terminal.until(lambda: fits(terminal, 120, 40) and len(terminal.frame()[0]) > 100)
        terminal.resize(20, 3)
        terminal.until(lambda: terminal.shows("wider than"))
        terminal.resize(80, 24)
        terminal.until(lambda: fits(terminal, 80, 24))


def test_space_holds_the_page_and_lets_it_go(store: SqliteStore, tmp_path: Path) -> None:
    with watching(tmp_path / "state") as terminal:
        terminal.until(lambda: terminal.shows("nothing was refused"), START_S)
        terminal.type(b" ")
        terminal.until(lambda: terminal.shows("! held"))
        drawn = terminal.output.count("\x1b[H")
        store.commit([denial(1, "drop_table")])
        terminal.until(lambda: terminal.output.count("\x1b[H") > drawn + 1)
        assert not terminal.shows("drop_table")

        terminal.type(b" ")

        terminal.until(lambda: terminal.shows("drop_table"))


def leave_by_q(terminal: PseudoTerminal) -> None:
    terminal.type(b"q")


def leave_by_interrupt(terminal: PseudoTerminal) -> None:
    terminal.interrupt()


def leave_by_termination(terminal: PseudoTerminal) -> None:
    terminal.signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("leave", "status"), [(leave_by_q, 0), (leave_by_interrupt, 0), (leave_by_termination, 143)]
)
def test_leaving_restores_the_terminal(store: SqliteStore, tmp_path: Path, leave, status: int) -> None:
    with watching(tmp_path / "state") as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)
        assert terminal.settings() != terminal.before

        leave(terminal)

        assert terminal.ended() == status
        assert terminal.settings() == terminal.before
        assert terminal.output.count(ENTER_PAGE) == terminal.output.count(LEAVE_PAGE) == 1
        assert terminal.output.index(LEAVE_PAGE) > terminal.output.rindex("q leave")
        assert SHOW_CURSOR in terminal.output
        assert "Traceback" not in terminal.output


def test_a_suspended_page_gives_the_terminal_back(store: SqliteStore, tmp_path: Path) -> None:
    with watching(tmp_path / "state") as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)

        terminal.type(b"\x1a")
        terminal.until(lambda: terminal.output.endswith(LEAVE_PAGE) or stopped(terminal))
        terminal.until(lambda: stopped(terminal))
        assert terminal.settings() == terminal.before
        terminal.signal(signal.SIGCONT)

        terminal.until(lambda: terminal.output.count(ENTER_PAGE) == 2 and terminal.shows("q leave"))
        terminal.type(b"q")
        assert terminal.ended() == 0


def stopped(terminal: PseudoTerminal) -> bool:
    state = Path(f"/proc/{terminal.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


def test_an_unknown_key_does_nothing(store: SqliteStore, tmp_path: Path) -> None:
    with watching(tmp_path / "state") as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)

        terminal.type(b"\x1b[1;5q\x1b[Ax\r")
        store.commit([denial(1, "drop_table")])

        terminal.until(lambda: terminal.shows("drop_table"))
        assert terminal.process.poll() is None


def test_it_waits_for_a_gate_and_survives_its_end(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with watching(state) as terminal:
        terminal.until(lambda: terminal.shows("no gate is running", "no state directory"), START_S)

        opened = open_store(open_state(state))
        opened.commit([denial(1, "drop_table")])
        terminal.until(lambda: terminal.shows("gate w1", "drop_table"))
        opened.close()
        terminal.until(lambda: terminal.shows("no gate is running", "drop_table"))
        for file in state.glob("ostiary.db*"):
            file.unlink(missing_ok=True)
        terminal.until(lambda: terminal.shows("nothing was recorded yet"))
        (state / "ostiary.db").write_bytes(b"not a database" * 100)
        terminal.until(lambda: terminal.shows("! cannot use"))
        (state / "ostiary.db").unlink()
        again = open_store(open_state(state))
        again.commit([denial(1, "write_file")])
        again.close()
        terminal.until(lambda: terminal.shows("write_file") and not terminal.shows("drop_table"))


def test_a_database_that_was_replaced_is_read_from_its_beginning(tmp_path: Path) -> None:
    """Restored from a backup, say: what the other file held is not counted any more."""
    folders = tmp_path / "one", tmp_path / "two"
    for folder, tool in zip(folders, ("drop_table", "write_file"), strict=True):
        opened = open_store(open_state(folder))
        opened.commit([denial(number, tool) for number in range(3)])
        opened.close()
    following = Following(folders[0])
    following.look()

    (folders[1] / "ostiary.db").replace(folders[0] / "ostiary.db")
    following.look()

    assert following.problem == ""
    assert set(following.overview.totals(following.now, HOUR).tools) == {"write_file"}


def test_watching_neither_writes_nor_holds_the_journal_back(store: SqliteStore, tmp_path: Path) -> None:
    """The gate's checkpoints empty the write-ahead log, so no reader may hold an old view of it."""
    state = tmp_path / "state"
    store.commit([denial(1)])
    with watching(state) as terminal, closing(sqlite3.connect(state / "ostiary.db", timeout=0.2)) as gate:
        terminal.until(lambda: terminal.shows("delete_repo"), START_S)
        store.commit([denial(number) for number in range(2, 400)])
        terminal.until(lambda: terminal.shows("399"))

        terminal.until(lambda: gate.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
        kept = {path: path.stat().st_mtime_ns for path in state.rglob("*") if path.suffix != ".db-shm"}
        drawn = terminal.output.count("\x1b[H")
        terminal.until(lambda: terminal.output.count("\x1b[H") > drawn + 2)

        changed = [path.name for path, at in kept.items() if path.exists() and path.stat().st_mtime_ns != at]
    assert changed == []


def test_without_colours_the_page_has_none(store: SqliteStore, tmp_path: Path) -> None:
    store.commit([denial(1)])
    with watching(tmp_path / "state", NO_COLOR="1") as terminal:
        terminal.until(lambda: terminal.shows("q leave", "delete_repo"), START_S)

        assert re.findall(r"\x1b\[[0-9;]*m", terminal.output) == []


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (40, 10), (41, 3), (300, 100)])
def test_a_page_is_exactly_as_large_as_its_terminal(tmp_path: Path, width: int, height: int) -> None:
    """Whatever is to be shown: a line too many would scroll the first one away."""
    following = Following(tmp_path)
    following.now = now()
    following.gates = [
        {"id": f"w{at}", "pid": "1", "unsafe": HOSTILE, "policy": "查" * 90} for at in range(9)
    ]
    following.overview.add(denial(at, f"{HOSTILE}{at}", f"(rule {at})").record for at in range(50))
    near = [NearLimit(Decimal(9), Decimal(10), f"/tools/{HOSTILE}", "g")]

    page = lines(Facts(following, 3, near, (f"everything is stopped: {HOSTILE}",)), width, height)

    assert len(page) == height
    assert [line.plain for line in page if line.cell_len > width or not line.plain.isprintable()] == []
    if height >= 24:
        assert "! everything is stopped" in page[1].plain


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ostiary", "status", "--state-dir", str(folder), *words],
        env=environment(folder.parent, **more), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=START_S, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("words", [(), ("--format", "json")], ids=["text", "json"])
def test_without_a_terminal_it_prints_again_and_again(
    store: SqliteStore, tmp_path: Path, words: tuple[str, ...]
) -> None:
    command = [
        sys.executable,
        "-m",
        "ostiary",
        "status",
        "-w",
        "--state-dir",
        str(tmp_path / "state"),
        *words,
    ]
    process = subprocess.Popen(
        command, env=environment(tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    store.commit([denial(1, HOSTILE)])
    seen = ""
    while seen.count("x\\u001b]0;owned") < (4 if not words else 6):
        seen += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=START_S)  # to its end: where nobody reads it leaves with another status

    assert process.returncode == 0
    assert "\x1b" not in seen
    if not words:
        assert "\u202e" not in seen
    else:
        assert {json.loads(line)["v"] for line in seen.splitlines()} == {1}


def test_a_dumb_terminal_gets_plain_prints(store: SqliteStore, tmp_path: Path) -> None:
    with watching(tmp_path / "state", TERM="dumb") as terminal:
        terminal.until(lambda: terminal.output.count("gate w1") >= 2, START_S)
        terminal.interrupt()

        assert terminal.ended() == 0
        assert "\x1b" not in terminal.output


def test_plain_status_fits_eighty_columns_and_uses_them(store: SqliteStore, tmp_path: Path) -> None:
    store.commit([denial(1, "a_tool_with_a_name_" * 10, "/tools/run/deny_if/0"), *answered(2, 5_000)])
    command = [sys.executable, "-m", "ostiary", "status", "--state-dir", str(tmp_path / "state")]
    with PseudoTerminal(command, environment(tmp_path), 80, 24) as terminal:
        assert terminal.ended(START_S) == 0

    lines = terminal.output.replace("\r", "").split("\n")
    assert [line for line in lines if len(line) > 80 and "state directory" not in line] == []
    assert "a_tool_with_a_name_a_tool" in terminal.output
    assert "\x1b" not in terminal.output


def test_plain_status_that_is_piped_cuts_nothing(store: SqliteStore, tmp_path: Path) -> None:
    name = "a_tool_with_a_name_" * 10
    store.commit([denial(1, name)])

    done = run(tmp_path / "state")

    assert done.returncode == 0
    assert done.stdout.count(name) == 2


def test_the_numbers_of_json_are_those_of_the_records(store: SqliteStore, tmp_path: Path) -> None:
    store.commit([denial(1), denial(2), *answered(3, 4_000)])

    told = json.loads(run(tmp_path / "state", "--format", "json").stdout)

    assert told["minute"]["decisions"] == {"deny": 2, "allow": 1}
    assert told["hour"]["outcomes"] == {"ok": 1}
    assert 3_800 <= told["hour"]["latency_us"]["p50"] <= 4_200
    assert told["hour"]["refused_by_rule"] == {"(default deny)": 2}
    assert [one["tool"] for one in told["denials"]] == ["delete_repo", "delete_repo"]
    assert told["waiting"] == 0


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)])
def test_a_terminal_emulator_shows_it_whole_and_gives_the_shell_back(
    store: SqliteStore, tmp_path: Path, columns: int, rows: int
) -> None:
    tmux = [str(needs_program("tmux")), "-L", f"ostiary-{tmp_path.name}-{os.getpid()}", "-f", "/dev/null"]
    store.commit([denial(1, HOSTILE), *answered(2, 4_000)])
    command = f"{sys.executable} -m ostiary status -w --state-dir {tmp_path}/state; echo back $?; cat"

    def screen() -> str:
        done = subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=True)
        return done.stdout

    def shown(word: str, bound: float) -> str:
        end = time.monotonic() + bound
        while word not in (text := screen()):
            assert time.monotonic() < end, text
        return text

    size = ["-x", str(columns), "-y", str(rows)]
    env = environment(tmp_path, LANG="C.UTF-8")
    subprocess.run([*tmux, "-u", "new-session", "-d", *size, command], env=env, check=True)
    try:
        lines = shown("space hold", START_S).rstrip("\n").split("\n")
        assert len(lines) == rows
        assert lines[0].startswith("ostiary status")
        assert lines[-1].endswith("space hold")
        assert len(lines[0]) == len(lines[-1]) == columns
        subprocess.run([*tmux, "send-keys", "q"], check=True)
        assert "ostiary status" not in shown("back 0", 5.0)
    finally:
        subprocess.run([*tmux, "kill-server"], check=False, capture_output=True)
