"""`ostiary scan`, typed: what it prints and writes, and that no failure passes as a success."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LISTING = Path(__file__).parent / "listing_server.py"
TOOLS = [
    {"name": "drop_table", "description": "Delete a table"},
    {"name": "list_rows", "description": "List rows"},
]
HARMLESS = [{"name": "list_users", "description": "List users"}]
OPEN = "--unsafe-no-isolation"
"""These tests are about the command; what stands around a server has tests of its own."""


@pytest.fixture(name="folder")
def furnished(tmp_path: Path) -> Path:
    """A folder with two servers, one that is gone, and the file that names them."""
    (tmp_path / "offered.json").write_text(json.dumps(TOOLS))
    (tmp_path / "harmless.json").write_text(json.dumps(HARMLESS))
    servers = {
        "db": {"command": sys.executable, "args": [str(LISTING), str(tmp_path / "offered.json")]},
        "rows": {"command": sys.executable, "args": [str(LISTING), str(tmp_path / "harmless.json")]},
        "gone": {"command": str(tmp_path / "nowhere"), "env": {"KEY": "hunter2"}},
    }
    (tmp_path / ".mcp.json").write_text(json.dumps({"mcpServers": servers}))
    return tmp_path


def scan(folder: Path, *arguments: str, command: bool = True) -> subprocess.CompletedProcess[str]:
    server = ["--", sys.executable, str(LISTING), "offered.json"] if command else []
    return subprocess.run(
        [sys.executable, "-m", "ostiary", "scan", *arguments, *server],
        cwd=folder, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip  # half a minute: two interpreters start


def of_file(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return scan(folder, OPEN, "--config", ".mcp.json", *arguments, command=False)


def test_a_person_reads_a_grade_and_what_is_worst(folder: Path) -> None:
    done = scan(folder, OPEN)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("listing_server" + " " * 59 + "grade D\n")
    assert "It ran WITHOUT walls" in done.stdout
    assert done.stdout.index("Critical drop_table") < done.stdout.index("Low      list_rows")
    assert done.stderr == "asking listing_server\n"


@pytest.mark.parametrize(
    ("name", "begins"), [("r.json", "{"), ("r.sarif", "{"), ("r.html", "<!doctype html>"), ("r.txt", "db  ")]
)
def test_a_report_is_written_as_its_file_is_called(folder: Path, name: str, begins: str) -> None:
    done = of_file(folder, "--server", "db", "-o", name)
    again = of_file(folder, "--server", "db", "-o", name)

    assert (done.returncode, done.stdout) == (0, f"wrote {name}\n")
    assert (folder / name).read_text().startswith(begins)
    assert again.returncode == 2
    assert "-f writes over it" in again.stderr
    assert "asking" not in again.stderr


@pytest.mark.parametrize(
    ("word", "status"), [("critical", 1), ("CRITICAL", 1), ("High", 1), ("low", 1), ("poisoned", 0)]
)
def test_a_threshold_that_is_reached_is_status_one_in_whatever_case(
    folder: Path, word: str, status: int
) -> None:
    done = scan(folder, OPEN, "--fail-on", word)

    assert done.returncode == status
    assert ("drop_table of listing_server" in done.stderr) == bool(status)


def test_an_empty_threshold_is_refused_as_it_may_be_a_variable_that_was_never_set(folder: Path) -> None:
    done = of_file(folder, "--server", "db", "--fail-on", "")

    assert done.returncode == 2
    assert "--fail-on" in done.stderr
    assert "asking" not in done.stderr


@pytest.mark.parametrize("output", ["p.json", "./p.tests.yaml"])
def test_one_file_for_the_report_and_the_policy_is_refused_before_any_server_is_asked(
    folder: Path, output: str
) -> None:
    done = of_file(folder, "--server", "db", "-f", "-o", output, "--policy-out", "p.json")

    assert done.returncode == 2
    assert "asking" not in done.stderr
    assert not (folder / output).exists()


def test_an_unknown_threshold_is_refused_before_any_server_is_asked(folder: Path) -> None:
    done = scan(folder, OPEN, "--fail-on", "hihg")

    assert done.returncode == 2
    assert "--fail-on: `hihg` is none" in done.stderr
    assert "did you mean `high`" in done.stderr
    assert "asking" not in done.stderr


def test_a_server_that_could_not_be_scanned_is_status_two_and_the_others_are_reported(folder: Path) -> None:
    done = of_file(folder, "--format", "json")
    report = json.loads(done.stdout)

    assert done.returncode == 2
    assert "1 server could not be scanned: gone" in done.stderr
    assert [(one["name"], one["scanned"]) for one in report["servers"]] == [
        ("db", True), ("rows", True), ("gone", False),
    ]  # fmt: skip
    assert "hunter2" not in done.stdout + done.stderr


def test_below_the_threshold_a_server_that_could_not_be_scanned_still_fails(folder: Path) -> None:
    below = of_file(folder, "--fail-on", "poisoned")
    above = of_file(folder, "--fail-on", "high")

    assert (below.returncode, above.returncode) == (2, 1)
    assert "could not be scanned: gone" in above.stderr


def test_one_server_of_a_file_can_be_picked_and_another_name_is_refused(folder: Path) -> None:
    rows = of_file(folder, "--server", "rows")
    other = of_file(folder, "--server", "row")

    assert rows.returncode == 0
    assert "1 server scanned, 1 tool" in rows.stdout
    assert other.returncode == 2
    assert "names no server `row`" in other.stderr
    assert "did you mean `rows`" in other.stderr


def test_without_walls_and_without_that_word_a_server_is_not_started(folder: Path) -> None:
    """Where there are walls it is scanned behind them; where there are none it is refused."""
    done = scan(folder)

    assert "WITHOUT walls" not in done.stdout
    assert done.returncode in {0, 2}
    assert (done.returncode == 2) == ("NOT SCANNED" in done.stdout)


@pytest.mark.parametrize(
    ("arguments", "command", "words"),
    [
        ([], False, "which servers are to be scanned"),
        (["--config", ".mcp.json"], True, "--config was given together with another server"),
        (["--config", "nowhere.json"], False, "nowhere.json"),
        (["--allow-host", "example.com", "--allow-network"], True, "both --allow-host and --allow-network"),
        (["-o", "nowhere/r.html"], True, "there is no folder `nowhere`"),
        (["--header", "X: y"], True, "options for a server's URL"),
        (["--upstream-ca", "x.pem"], True, "options for a server's URL"),
        (["--upstream-ca", "x.pem", "--upstream", "http://127.0.0.1:1/mcp"], False, "over https://"),
        (["--upstream-ca", "x.pem", "--config", ".mcp.json"], False, "with options for one"),
        (["--era", "old"], True, "--era: `old` is none"),
        (["--era", "old", "--config", ".mcp.json"], False, "--era: `old` is none"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    folder: Path, arguments: list[str], command: bool, words: str
) -> None:
    done = scan(folder, *arguments, command=command)

    assert done.returncode == 2
    assert words in done.stderr
    assert "asking" not in done.stderr


def test_a_file_that_names_no_server_is_no_success(folder: Path) -> None:
    (folder / "empty.json").write_text('{"mcpServers": {}}')
    done = scan(folder, "--config", "empty.json", "--fail-on", "high", command=False)

    assert done.returncode == 2
    assert "names no server" in done.stderr


@pytest.fixture(name="other")
def another_file(folder: Path) -> Path:
    """A second file, with a server of the same name and the same tool, and one of its own."""
    rows = {"command": sys.executable, "args": [str(LISTING), str(folder / "harmless.json")]}
    (folder / "b").mkdir()
    (folder / "b/.mcp.json").write_text(json.dumps({"mcpServers": {"rows": rows, "more": rows}}))
    return folder / "b/.mcp.json"


def test_the_servers_of_several_files_are_in_one_report_and_told_apart_by_their_file(
    folder: Path, other: Path
) -> None:
    done = of_file(folder, "--config", str(other), "--config", "./.mcp.json", "--format", "json")
    servers = json.loads(done.stdout)["servers"]

    assert done.returncode == 2  # one of them is gone
    assert [(one["name"], one["source"]) for one in servers] == [
        ("db", ".mcp.json"), ("rows (.mcp.json)", ".mcp.json"), ("gone", ".mcp.json"),
        ("rows (b/.mcp.json)", str(other)), ("more", str(other)),
    ]  # fmt: skip


def test_a_server_of_several_files_can_be_picked(folder: Path, other: Path) -> None:
    one = of_file(folder, "--config", "b/.mcp.json", "--server", "more")
    both = of_file(folder, "--config", "b/.mcp.json", "--server", "rows")
    none = of_file(folder, "--config", "b/.mcp.json", "--server", "mroe")
    policy = of_file(folder, "--config", "b/.mcp.json", "--server", "rows", "--policy-out", "p.json")

    assert (one.returncode, both.returncode, none.returncode, policy.returncode) == (0, 0, 2, 2)
    assert "1 server scanned" in one.stdout
    assert "2 servers scanned" in both.stdout
    assert "2 files name no server `mroe`" in none.stderr
    assert "did you mean `more`" in none.stderr
    assert "--policy-out is for one server" in policy.stderr


@pytest.mark.parametrize(("text", "words"), [("{", "b/.mcp.json"), ('{"mcpServers": {}}', "names no server")])
def test_one_file_that_cannot_be_used_among_several_is_refused_before_any_server_is_asked(
    folder: Path, other: Path, text: str, words: str
) -> None:
    other.write_text(text)
    done = of_file(folder, "--config", "b/.mcp.json")

    assert done.returncode == 2
    assert words in done.stderr
    assert "asking" not in done.stderr


def test_a_policy_and_its_tests_are_written_and_the_policy_passes_them(folder: Path) -> None:
    done = of_file(folder, "--server", "db", "--policy-out", "db.yaml")
    tested = subprocess.run(
        [sys.executable, "-m", "ostiary", "policy", "test", "db.yaml"],
        cwd=folder, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    again = of_file(folder, "--server", "db", "--policy-out", "db.yaml")

    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "wrote db.yaml and db.tests.yaml")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert again.returncode == 2
    assert "`db.yaml` is there already" in again.stderr


def test_a_policy_is_for_one_server_that_was_scanned(folder: Path) -> None:
    several = of_file(folder, "--policy-out", "p.json")
    gone = of_file(folder, "--server", "gone", "--policy-out", "p.json")
    (folder / "p.tests.yaml").touch()
    tests = of_file(folder, "--server", "db", "--policy-out", "p.json")

    assert (several.returncode, gone.returncode, tests.returncode) == (2, 2, 2)
    assert "--policy-out is for one server" in several.stderr
    assert "nothing is known of the server" in gone.stderr
    assert "`p.tests.yaml` is there already" in tests.stderr
    assert not (folder / "p.json").exists()
