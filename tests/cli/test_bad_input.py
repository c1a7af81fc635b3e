"""Bad input to the command line: a clear sentence, exit 2, nothing lost, no traceback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = '{"version": "1", "default": "deny", "tools": {"echo": {}}}'

BAD_OPERATOR = (
    '{"version": "1", "default": "deny", "tools": {"x": {"deny_if": [{"conditions": '
    '[{"path": "args.a", "op": "regexp", "value": "("}]}]}}}'
)


def ostiary(*arguments: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OSTIARY_")}
    environment |= {"HOME": str(cwd), "OSTIARY_STATE_DIR": str(cwd / "state"), "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "ostiary", *arguments],
        cwd=cwd, env=environment, input=stdin, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


def policy(folder: Path, text: str = GOOD) -> str:
    file = folder / "policy.json"
    file.write_text(text)
    return str(file)


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"version": "1", "defualt": "deny"}', ("policy.json:1:18", "defualt", "default")),
        ('{"version": "1", "default": "deny", "tools": {', ("policy.json:1:",)),
        ("", ("policy.json:1:1",)),
        ('{"version": "1"}', ("policy.json:1:1",)),
        (BAD_OPERATOR, ("regexp", "regex")),
    ],
)  # fmt: skip
def test_a_malformed_policy_is_named_by_line_and_column(
    text: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    done = ostiary("proxy", "-p", policy(tmp_path, text), "--", "true", cwd=tmp_path)

    assert_refused(done, "not activated", *words)


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_policy_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    done = ostiary("proxy", "-p", name, "--", "true", cwd=tmp_path)

    assert_refused(done, "cannot read policy", name)


def test_a_missing_command_is_named_with_the_near_match(tmp_path: Path) -> None:
    done = ostiary("proxy", "-p", policy(tmp_path), "--", "pythno3", cwd=tmp_path)

    assert_refused(done, "`pythno3`", "python3")


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ostiary(
            "proxy", "-p", policy(tmp_path), "--listen", f"127.0.0.1:{port}", "--", "true", cwd=tmp_path
        )

    assert_refused(done, str(port), "in use")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("nothing to stand in front of", "--upstream")),
        (("--upstream", "http://127.0.0.1:1/mcp", "--", "true"), ("both",)),
        (("--listen", "8787", "--", "true"), ("--listen", "HOST:PORT")),
        (("--listen", "127.0.0.1:99999", "--", "true"), ("--listen",)),
        (("--listen", "127.0.0.1:²", "--", "true"), ("--listen", "HOST:PORT")),
        (("--upstream", "ftp://host/mcp"), ("https://",)),
        (("--upstream", "http://user:secret@host/mcp"), ("credentials", "header")),
        (("--header", "Authorization: Bearer s3cret", "--upstream", "http://h/mcp"), ("--header-env",)),
        (("--header", "no colon", "--upstream", "http://h/mcp"), ("Name: value",)),
        (
            ("--header-env", "X-Key: NOT_SET", "--upstream", "http://h/mcp"),
            ("--header-env: ", "`X-Key` is not"),
        ),
        (("--header", "Host: other", "--upstream", "http://h/mcp"), ("host",)),
        (("--unsafe-no-token", "--listen", "0.0.0.0:0", "--", "true"), ("loopback",)),
        (("--token-file", "nowhere", "--listen", "127.0.0.1:0", "--", "true"), ("nowhere",)),
        (("--server", "../keys/audit", "--", "true"), ("--server", "letters")),
        (("--grant", "", "--", "true"), ("--grant", "letters")),
    ],
)
def test_options_that_cannot_be_meant_are_refused_with_what_was_expected(
    arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path
) -> None:
    done = ostiary("proxy", "-p", policy(tmp_path), *arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr
    for word in words:
        assert word.lower() in done.stderr.lower()


def test_a_state_directory_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)

    done = ostiary("proxy", "-p", policy(tmp_path), "--", "true", cwd=tmp_path)

    assert_refused(done, "others can write", "chmod 700")


def test_a_state_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")

    done = ostiary("proxy", "-p", policy(tmp_path), "--", "true", cwd=tmp_path)

    assert_refused(done, "not a directory")


def test_a_damaged_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    database = tmp_path / "state" / "ostiary.db"
    database.write_bytes(b"this is not a database, but it may be evidence" * 100)
    content = database.read_bytes()

    done = ostiary("proxy", "-p", policy(tmp_path), "--", "true", cwd=tmp_path)

    assert_refused(done, "ostiary.db")
    assert database.read_bytes() == content


@pytest.mark.parametrize(
    "arguments",
    [("audit", "tail"), ("audit", "verify"), ("audit", "show", "ev_1"), ("audit", "export"), ("status",)],
)
def test_reading_a_state_directory_that_does_not_exist_says_so(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = ostiary(*arguments, cwd=tmp_path)

    assert_refused(done, "no state directory")


@pytest.mark.parametrize(
    "arguments",
    [
        ("policy", "explain", "--tool", "x", "--args", "{"),
        ("policy", "explain", "--tool", "x", "--args", "[1]"),
        ("policy", "explain", "--tool", "x", "--tools", "missing.json"),
        ("policy", "check"),
        ("policy", "check", "missing.json"),
        ("audit", "tail", "--since", "yesterday"),
    ],
)
def test_a_command_that_cannot_run_exits_with_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)

    done = ostiary(*arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr


def test_explain_says_deny_without_a_policy(tmp_path: Path) -> None:
    """P2.4: a grant without a policy."""
    done = ostiary("policy", "explain", "--tool", "x", cwd=tmp_path)

    assert done.returncode == 1
    assert "(no policy)" in done.stdout


HELD = '{"version": "1", "default": "deny", "tools": {"echo": {"action": "require_approval"}}}'


def test_explain_says_hold_with_1(tmp_path: Path) -> None:
    """P2.17: a script that asks does not take a held call for an allowed one."""
    words = ("policy", "explain", "-p", policy(tmp_path, HELD), "--tool", "echo", "--format")

    as_text, as_json = (ostiary(*words, name, cwd=tmp_path) for name in ("text", "json"))

    assert (as_text.returncode, as_json.returncode) == (1, 1)
    assert "decision: hold\nrule: /tools/echo/action\n" in as_text.stdout
    shown = json.loads(as_json.stdout)
    assert (shown["decision"], shown["hold"]["approvers"], shown["hold"]["timeout_s"]) == ("hold", [], 1800)


def test_check_says_invalid_with_1_and_valid_with_0(tmp_path: Path) -> None:
    assert ostiary("policy", "check", policy(tmp_path), cwd=tmp_path).returncode == 0
    assert ostiary("policy", "check", policy(tmp_path, "{}"), cwd=tmp_path).returncode == 1


@pytest.mark.parametrize("name", ["Host", "TE", "Trailer", "Upgrade", "Keep-Alive", "Proxy-Connection"])
def test_a_header_of_the_connection_is_refused_at_start_and_not_with_each_call(
    name: str, tmp_path: Path
) -> None:
    done = ostiary("proxy", "--header", f"{name}: x", "--upstream", "http://h/mcp", cwd=tmp_path)

    assert_refused(done, f"`{name}` is set by the gate itself")


def test_a_header_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    headers.write_text("Authorization: Bearer s3cret\n")
    headers.chmod(0o644)

    done = ostiary("proxy", "--header-file", str(headers), "--upstream", "http://h/mcp", cwd=tmp_path)

    assert_refused(done, "others can read", "chmod 600")
    assert "s3cret" not in done.stderr


def test_a_pin_file_that_cannot_be_relied_on_is_named_before_anything_is_started(tmp_path: Path) -> None:
    pins = tmp_path / "state" / "pins"
    pins.mkdir(mode=0o700, parents=True)
    (tmp_path / "state").chmod(0o700)
    (pins / "s.json").write_text('{"v": 1, "tools": [{}]}')

    done = ostiary(
        "proxy",
        "-p",
        policy(tmp_path),
        "--pins",
        "locked",
        "--server",
        "s",
        "--",
        "touch",
        "made",
        cwd=tmp_path,
    )

    assert_refused(done, "s.json", "ostiary pins write")
    assert not (tmp_path / "made").exists()
