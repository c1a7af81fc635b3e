"""What `ostiary approvals` prints, answers and refuses."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ostiary.approvals.digest import canonical_call
from ostiary.approvals.step import Waiting
from ostiary.cli import approvals as command
from ostiary.cli.app import build
from ostiary.cli.asked import SECOND, duration
from ostiary.cli.printable import terminal_json
from ostiary.errors import OstiaryError
from ostiary.store import approvers
from ostiary.store.clock import BootClock
from ostiary.store.connection import connect_to_read
from ostiary.store.state import open_state
from ostiary.wiring import approvals as desk
from tests.approvals.making import ANA
from tests.store.asking import Office
from tests.store.writing import World

Json = Any
HOSTILE = "x\x1b]0;owned\x07\x9b2J\x7f\u202e\n\rstate      approved"
WORD = "correct horse battery"
A_REQUEST = "apr_01HF0000000000000000000001"


@pytest.fixture
def world(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A state directory whose clock, and that of the commands that only read, stands still."""
    made = World(state_dir)
    for reader in (command, desk):
        monkeypatch.setattr(reader, "BootClock", made.times.clock)
    return made


@pytest.fixture
def lived(state_dir: Path) -> World:
    """A state directory that lives in real time, as `resolve` does."""
    return World(state_dir)


def ostiary(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(build(), ["approvals", *arguments, "--state-dir", str(folder)])


def fault(result: Result) -> OstiaryError:
    """The fault that the entry point prints and leaves with status 2 for."""
    assert isinstance(result.exception, OstiaryError), result
    return result.exception


def word(folder: Path, text: str = WORD, name: str = "word") -> str:
    path = folder.parent / name
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return str(path)


def call(arguments: Json = None, tool: str = "wipe") -> bytes:
    return canonical_call("tools/call", tool, {"path": "/srv/data"} if arguments is None else arguments)


def asked(office: Office, content: bytes | None = None, **changes: Any) -> str:
    reply = office.take(office.ask(call() if content is None else content, **changes))
    assert isinstance(reply, Waiting), reply
    return reply.id


def init(folder: Path, name: str, *more: str) -> Result:
    return ostiary(folder, "init", "--as", name, *more)


def ana(folder: Path) -> str:
    """Registers the first approver; the options that sign as her."""
    result = init(folder, "user:ana", "--passphrase-file", word(folder))
    assert result.exit_code == 0, result
    return word(folder)


# Snapshots.


def test_a_list_fits_eighty_columns(world: World) -> None:
    with Office.opened(world) as office:
        asked(office, b"1", id=A_REQUEST, tool="wipe")
        two = asked(office, b"2", id=A_REQUEST[:-1] + "2", tool="a_tool_with_a_name_of_many_words_in_it")
        office.answer(two, ANA)
        asked(office, b"3", id=A_REQUEST[:-1] + "3", tool=HOSTILE)
        over = asked(office, b"4", id=A_REQUEST[:-1] + "4", tool="late", expires=office.now + 9 * SECOND)
        denied = asked(office, b"5", id=A_REQUEST[:-1] + "5", tool="no")
        office.answer(denied, ANA, verdict="deny")
        world.times.pass_(75)
    printed = ostiary(world.folder, "list").stdout
    everything = ostiary(world.folder, "list", "--all").stdout

    assert over not in printed
    assert printed == LISTED
    assert everything.splitlines()[1:3] == LISTED_OVER
    assert max(map(len, everything.splitlines())) <= 80


LISTED = """\
request                        tool                         state          left
apr_01HF0000000000000000000003 x\\u001b]0;owned\\u0007\\u009b… pending      28 min
apr_01HF0000000000000000000002 a_tool_with_a_name_of_many_… approved     28 min
apr_01HF0000000000000000000001 wipe                         pending      28 min
"""
LISTED_OVER = [
    f"{A_REQUEST[:-1]}5 {'no':<28} {'denied':<9} {'':>9}",
    f"{A_REQUEST[:-1]}4 {'late':<28} {'expired':<9} {'':>9}",
]


def test_nothing_to_list_is_said_in_one_line(world: World) -> None:
    assert (ostiary(world.folder, "list").stdout, ostiary(world.folder, "list").exit_code) == (
        "nothing waits for approval\n", 0,
    )  # fmt: skip
    with Office.opened(world):
        assert ostiary(world.folder, "list").stdout == "nothing waits for approval\n"
        assert json.loads(ostiary(world.folder, "list", "--format", "json").stdout) == {
            "v": 1,
            "approvals": [],
        }


def test_a_request_is_shown_with_the_exact_call(world: World) -> None:
    arguments = {"path": "/srv/data", "n": 1, "x": 1.0, "big": 1e300, "keep": [], "when": None}
    with Office.opened(world) as office:
        request = asked(
            office,
            call(arguments),
            id=A_REQUEST,
            reasons=("goes to production", "asks for more than a minute"),
            approvers=(("user:ana",), ("user:ben", "user:cat")),
            message="read the change first",
            evaluation="ev_01HF0000000000000000000001",
        )
        office.answer(request, ANA, note="looks right")
        world.times.pass_(75)
    printed = ostiary(world.folder, "show", request).stdout

    assert printed == SHOWN


SHOWN = """\
request    apr_01HF0000000000000000000001
state      pending, until 2023-11-14 22:43:20 UTC (in 28 min)
tool       wipe on server srv
asked by   grant:local, 2023-11-14 22:13:20 UTC (1 m 15 s ago)
message    read the change first
because    goes to production
           asks for more than a minute
approvers  user:ana
           one of user:ben, user:cat
answers    user:ana said approve: looks right
record     ostiary audit show ev_01HF0000000000000000000001

The call, exactly as it would be sent on:
{
  "arguments": {
    "big": 1E+300,
    "keep": [],
    "n": 1,
    "path": "/srv/data",
    "when": null,
    "x": 1.0
  },
  "method": "tools/call",
  "name": "wipe"
}
"""


def test_a_cancelled_request_says_why_and_shows_no_call(world: World) -> None:
    with Office.opened(world) as office:
        request = asked(office, id=A_REQUEST, evaluation="ev_1")
        office.settle(request, "cancelled", "the policy has changed")
    printed = ostiary(world.folder, "show", request).stdout

    assert printed == CANCELLED


CANCELLED = """\
request    apr_01HF0000000000000000000001
state      cancelled
tool       wipe on server srv
asked by   grant:local, 2023-11-14 22:13:20 UTC (0 s ago)
approvers  any registered approver
note       the policy has changed
record     ostiary audit show ev_1

The call itself is kept only while the request is open.
"""


def test_the_json_of_a_request_has_its_documented_shape(world: World) -> None:
    with Office.opened(world) as office:
        request = asked(office, approvers=(("user:ana",), ("user:ben",)))
        office.answer(request, ANA, note="ok")
    shown = json.loads(ostiary(world.folder, "show", request, "--format", "json").stdout)
    listed = json.loads(ostiary(world.folder, "list", "--format", "json").stdout)

    assert shown["v"] == 1
    assert shown["call"] == {"method": "tools/call", "name": "wipe", "arguments": {"path": "/srv/data"}}
    assert shown["missing"] == [["user:ben"]]
    assert shown["answers"] == [
        {"approver": "user:ana", "verdict": "approve", "note": "ok", "at": "2023-11-14T22:13:20.000Z"}
    ]
    assert listed["approvals"] == [{key: shown[key] for key in shown if key not in ("v", "call")}]
    assert set(shown) == {
        "v", "id", "state", "tool", "server", "grant", "principal", "asked", "expires", "rules", "reasons",
        "message", "approvers", "missing", "convenience", "revision", "definition", "digest",
        "evaluation_id", "note", "answers", "call",
    }  # fmt: skip


# Text from outside.


@pytest.mark.parametrize("format_", ["text", "json"])
def test_nothing_that_is_shown_can_drive_the_terminal(world: World, format_: str) -> None:
    """Neither what the agent chose nor what an editor of the database wrote."""
    with Office.opened(world) as office:
        request = asked(
            office,
            call({HOSTILE: [HOSTILE, {"k": HOSTILE}]}, HOSTILE),
            tool=HOSTILE, reasons=(HOSTILE,), message=HOSTILE, principal=HOSTILE, server=HOSTILE,
            evaluation=HOSTILE, approvers=((HOSTILE, ANA.name),),
        )  # fmt: skip
        office.answer(request, ANA, note=HOSTILE)
        other = asked(office, b"other")
        office.settle(other, "cancelled", HOSTILE)
        outputs = [
            ostiary(world.folder, *arguments, "--format", format_).output
            for arguments in (("list", "--all"), ("show", request), ("show", other))
        ]

    for output in outputs:
        printed = output if format_ == "text" else terminal_json(output.encode()).decode()
        assert all(char in "\n\N{HORIZONTAL ELLIPSIS}" or " " <= char <= "~" for char in printed), ascii(
            printed
        )
        assert "\nstate      approved\n" not in printed.replace("\nstate      approved, ", "")


def test_an_id_that_was_pasted_cannot_drive_the_terminal(world: World) -> None:
    result = ostiary(world.folder, "show", "apr_\x1b[2J\u202e")

    assert result.exit_code == 1
    assert result.output == "there is no request `apr_\\u001b[2J\\u202e`\n"


@pytest.mark.parametrize("note", ["a\nb", "\x1b[2J", "\u202e", "x" * 501])
def test_a_note_is_one_line_of_text(lived: World, note: str) -> None:
    file = ana(lived.folder)
    with Office.opened(lived, clock=BootClock()) as office:
        request = asked(office)
    result = ostiary(lived.folder, "resolve", request, "--deny", "--note", note, "--passphrase-file", file)

    assert fault(result).message == "--note: expected at most 500 characters in one line"


# Answers.


def state_of(folder: Path, request: str) -> str:
    connection = connect_to_read(folder / "ostiary.db")
    try:
        ((state,),) = connection.execute("SELECT state FROM approvals WHERE id = ?", (request,)).fetchall()
    finally:
        connection.close()
    return state


@pytest.mark.parametrize(
    ("verdict", "state", "said"),
    [("--approve", "approved", "approved; exactly this call may pass, once"), ("--deny", "denied", "denied")],
)
def test_a_request_is_answered_and_recorded(lived: World, verdict: str, state: str, said: str) -> None:
    file = ana(lived.folder)
    with Office.opened(lived, clock=BootClock()) as office:
        request = asked(office)
    arguments = ("resolve", request, verdict, "--note", "seen", "--passphrase-file", file)
    first, again = ostiary(lived.folder, *arguments), ostiary(lived.folder, *arguments)

    assert (first.exit_code, first.stdout) == (0, f"{request}: {said}\n")
    assert state_of(lived.folder, request) == state
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr == f"{request}: not changed: this request is already {state}\n"
    row = lived.bodies()[-1]
    assert (row["method"], row["principal"], row["approval"], row["reasons"]) == (
        f"approval-{verdict[2:]}", "user:ana", request, ["seen"],
    )  # fmt: skip


def test_the_json_of_an_answer_is_that_of_the_request(lived: World) -> None:
    file = ana(lived.folder)
    with Office.opened(lived, clock=BootClock()) as office:
        request = asked(office)
    done = ostiary(
        lived.folder, "resolve", request, "--approve", "--passphrase-file", file, "--format", "json"
    )

    assert (json.loads(done.stdout)["v"], json.loads(done.stdout)["state"]) == (1, "approved")


def test_an_answer_to_no_request_is_status_one(lived: World) -> None:
    file = ana(lived.folder)
    result = ostiary(lived.folder, "resolve", "apr_none", "--approve", "--passphrase-file", file)

    assert (result.exit_code, result.stderr) == (1, "apr_none: not changed: there is no request `apr_none`\n")


@pytest.mark.parametrize("flags", [(), ("--approve", "--deny")])
def test_one_of_two_answers_has_to_be_given(lived: World, flags: tuple[str, ...]) -> None:
    assert fault(ostiary(lived.folder, "resolve", "apr_1", *flags)).message == "say --approve or --deny"


def test_who_is_not_asked_changes_nothing(lived: World) -> None:
    file = ana(lived.folder)
    with Office.opened(lived, clock=BootClock()) as office:
        request = asked(office, approvers=(("user:ben",),))
    result = ostiary(lived.folder, "resolve", request, "--approve", "--passphrase-file", file)

    assert result.exit_code == 1
    assert "`user:ana` is not among those who may answer this: user:ben" in result.stderr
    assert state_of(lived.folder, request) == "pending"


# Keys.


def test_the_first_approver_gets_an_encrypted_key(lived: World) -> None:
    result = init(lived.folder, "user:ana", "--passphrase-file", word(lived.folder))
    path = lived.folder / "keys" / "approver"

    assert result.exit_code == 0
    assert result.stdout == f"registered user:ana\nkey        {path}\n"
    assert "gates that are running already have to be started anew" in result.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert lived.bodies()[-1]["method"] == "approver-registered"


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        ("wrong", "the passphrase does not open"),
        ("open", "others can read or write"),
        ("stranger", "belongs to no registered approver"),
        ("missing", "there is no approver's key at"),
        ("other kind", "is not an approver's key"),
        ("rubbish", "or it is no approver's key"),
    ],
)
def test_a_key_that_cannot_answer_changes_nothing(lived: World, prepare: str, said: str) -> None:
    file, key = ana(lived.folder), lived.folder / "keys" / "approver"
    with Office.opened(lived, clock=BootClock()) as office:
        request = asked(office)
    if prepare == "wrong":
        file = word(lived.folder, "incorrect horse", "wrong")
    elif prepare == "open":
        key.chmod(0o640)
    elif prepare == "stranger":
        key.unlink()
        approvers.make_key(key, WORD)
    elif prepare == "missing":
        key.unlink()
    elif prepare == "other kind":
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        other = X25519PrivateKey.generate()
        key.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    else:
        key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    result = ostiary(lived.folder, "resolve", request, "--approve", "--passphrase-file", file)

    assert said in fault(result).message
    assert WORD not in result.output
    assert state_of(lived.folder, request) == "pending"


def test_without_a_terminal_no_passphrase_is_asked_for(lived: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ana(lived.folder)

    def refuse(self: Path, *_: Any, **__: Any) -> Any:
        assert str(self) == "/dev/tty"
        raise OSError(6, "No such device or address")

    with Office.opened(lived, clock=BootClock()) as office:
        request = asked(office)
    unlocking = approvers.encrypted(lived.folder / "keys" / "approver")
    assert unlocking
    monkeypatch.setattr(approvers, "encrypted", lambda _path: True)
    monkeypatch.setattr(command.Path, "open", refuse)
    result = ostiary(lived.folder, "resolve", request, "--approve")

    assert fault(result).message == "the passphrase cannot be asked for without a terminal"
    assert fault(result).hint == "use --passphrase-file FILE"


def test_a_short_passphrase_is_refused_and_makes_no_key(lived: World) -> None:
    result = init(lived.folder, "user:ana", "--passphrase-file", word(lived.folder, "seven77"))

    assert fault(result).message == "a passphrase has at least 8 characters"
    assert not (lived.folder / "keys" / "approver").exists()


@pytest.mark.parametrize("name", ["ana", "grant:ana", "user:", "user:a b", "user:\u202e", "client"])
def test_an_approver_has_the_name_of_a_user(lived: World, name: str) -> None:
    result = init(lived.folder, name, "--passphrase-file", word(lived.folder))

    assert "is not an approver's name" in fault(result).message


def test_a_second_approver_needs_one_who_vouches(lived: World) -> None:
    file = ana(lived.folder)
    key, first = str(lived.folder.parent / "ben.key"), str(lived.folder / "keys" / "approver")
    alone = init(lived.folder, "user:ben", "--key", key, "--passphrase-file", file)
    assert fault(alone).message == "there are approvers already, and one of them has to vouch for another"
    assert fault(alone).hint == "add --sponsor-key FILE with the key of user:ana"
    assert not Path(key).exists()

    own = word(lived.folder, "another word", "ben")
    vouched = init(
        lived.folder, "user:ben", "--key", key, "--passphrase-file", own,
        "--sponsor-key", first, "--sponsor-passphrase-file", file,
    )  # fmt: skip
    assert vouched.exit_code == 0, vouched
    assert [one.name for one in approvers.registered(open_state(lived.folder))] == ["user:ana", "user:ben"]
    twice = init(
        lived.folder, "user:ben", "--key", key + "2", "--passphrase-file", file,
        "--sponsor-key", first, "--sponsor-passphrase-file", file,
    )  # fmt: skip
    assert "the name `user:ben` cannot be registered here" in fault(twice).message
    assert not Path(key + "2").exists()


def test_a_key_that_exists_is_never_written_over(lived: World) -> None:
    file = ana(lived.folder)
    before = (lived.folder / "keys" / "approver").read_bytes()
    result = init(lived.folder, "user:ben", "--passphrase-file", file)

    assert "exists already" in fault(result).message
    assert (lived.folder / "keys" / "approver").read_bytes() == before


def test_a_key_without_a_passphrase_is_named_unsafe_and_recorded(lived: World) -> None:
    result = init(lived.folder, "user:ana", "--unsafe-no-passphrase")

    assert result.stdout.endswith(" (not encrypted)\n")
    assert "key without a passphrase" in lived.bodies()[-1]["reasons"]
    with Office.opened(lived, clock=BootClock()) as office:
        request = asked(office)
    assert ostiary(lived.folder, "resolve", request, "--approve").exit_code == 0


EVE = b'{"name":"user:eve","public":"AA==","added":1}'


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b'{"v":1,"approvers":[' + EVE + b"," + EVE + b"]}"],
)
def test_a_damaged_register_stops_everything(lived: World, damage: bytes) -> None:
    file = ana(lived.folder)
    (lived.folder / "keys" / "approvers.json").write_bytes(damage)
    result = ostiary(lived.folder, "resolve", "apr_1", "--approve", "--passphrase-file", file)

    assert "cannot be believed" in fault(result).message


# Small words.


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (75, "1 m 15 s"), (600, "10 min"),
     (3_600, "1 h 0 m"), (5_400, "1 h 30 m"), (172_800, "2 days")],
)  # fmt: skip
def test_a_length_of_time_is_said_in_two_units(seconds: int, said: str) -> None:
    assert duration(seconds * SECOND) == said
