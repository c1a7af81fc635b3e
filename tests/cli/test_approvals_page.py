"""`ostiary approvals watch` in a real pseudo-terminal: answers are to what it showed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ostiary.cli.approvals_page import folded
from ostiary.cli.printable import columns_of
from tests.cli.asking import PASSPHRASE, Asking
from tests.cli.pseudo_terminal import ENTER_PAGE, LEAVE_PAGE, START_S, PseudoTerminal
from tests.cli.test_status_page import environment, fits

DOWN, PAGE_DOWN, END, HOME = b"\x1b[B", b"\x1b[6~", b"\x1b[F", b"\x1b[H"
HOSTILE = "x\x1b]0;owned\x07\x1b[2J\u202eexe.\n2 forged \u0e33\U0001f600漢字 ａ\x7f\x9b"

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    made = Asking(tmp_path)
    yield made
    made.store.close()


@contextmanager
def watching(
    asking: Asking, columns: int = 80, rows: int = 24, file: bool = True
) -> Iterator[PseudoTerminal]:
    command = [sys.executable, "-m", "ostiary", "approvals", "watch", "--state-dir", str(asking.state.path)]
    command += ["--passphrase-file", str(asking.words)] if file else []
    with PseudoTerminal(command, environment(asking.state.path.parent), columns, rows) as terminal:
        yield terminal


def press(terminal: PseudoTerminal, *keys: bytes) -> None:
    """Keys one at a time, each after the page that followed the one before came whole."""
    for key in keys:
        drawn = terminal.output.count("\x1b[H")
        terminal.type(key)
        terminal.until(
            lambda drawn=drawn: (
                terminal.output.count("\x1b[H") > drawn and whole(terminal) and not terminal.unread()
            )
        )


def whole(terminal: PseudoTerminal) -> bool:
    """Whether the last page came to its end: each fills the screen."""
    lines = terminal.frame()
    return len(lines) == terminal.rows and columns_of(lines[-1]) == terminal.columns


def page_down(terminal: PseudoTerminal) -> None:
    """One page further; how many lines are left changes with each."""
    before = left_over(terminal)
    press(terminal, PAGE_DOWN)
    terminal.until(lambda: whole(terminal) and left_over(terminal) != before)


def left_over(terminal: PseudoTerminal) -> list[str]:
    """The line that says how many lines come after the page, if there is one."""
    return [line for line in terminal.frame() if "lines more" in line]


def sees(terminal: PseudoTerminal, *words: str) -> None:
    """The page comes to show all of `words`, in one line or folded."""
    terminal.until(lambda: all(word in "".join(terminal.frame()) for word in words))


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)])
def test_the_page_shows_who_asks_for_what_and_why(asking: Asking, columns: int, rows: int) -> None:
    asking.ask("delete_file", {"path": "/srv/a"}, reasons=("deletes for good",), message="look twice")
    with watching(asking, columns, rows) as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)

        assert fits(terminal, columns, rows)
        assert terminal.shows("1 waiting for approval", "delete_file  (g1)", "pending", "29 min")
        assert terminal.shows(
            "because    deletes for good", "message    look twice", "any registered approver"
        )
        press(terminal, END)
        sees(terminal, '"path": "/srv/a"', "a approve")


def test_a_call_is_approved_with_a_note_by_keys(asking: Asking) -> None:
    request = asking.ask("delete_file", {"path": "/srv/a"})
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)
        press(terminal, END, b"a")
        terminal.until(lambda: terminal.shows(f"Approve {request}, delete_file?"))
        press(terminal, *(bytes((byte,)) for byte in b"quite fine\x7f\x7f\x7f\x7fok"))
        terminal.until(lambda: terminal.shows("quite ok_"))
        press(terminal, b"\r")

        terminal.until(lambda: terminal.shows(f"{request}: approved; exactly this call may pass, once"))
    assert asking.state_of(request) == "approved"


def test_a_call_is_denied_without_reading_it_to_the_end(asking: Asking) -> None:
    request = asking.ask("delete_file", {"text": "x" * 9_000})
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("lines more"), START_S)
        press(terminal, b"d", b"n", b"o", b"\r")

        terminal.until(lambda: terminal.shows(f"{request}: denied", "nothing waits for approval"))
    assert asking.state_of(request) == "denied"


def test_a_call_longer_than_the_screen_is_approved_only_after_its_end_was_shown(asking: Asking) -> None:
    request = asking.ask("run", {"a": "x" * 2_000, "z": "rm -rf /"})
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("lines more", "once the end was shown"), START_S)
        assert not terminal.shows("rm -rf")
        press(terminal, b"a")
        sees(terminal, "its end was not shown yet")
        assert not terminal.shows("Approve")

        terminal.type(END + b"a\r")  # in one burst: no page was drawn in between
        terminal.until(lambda: terminal.shows("rm -rf"))
        assert not terminal.shows("Approve")
        assert asking.state_of(request) == "pending"

        press(terminal, b"a")
        terminal.until(lambda: terminal.shows("Approve"))
        press(terminal, b"\r")
        terminal.until(lambda: terminal.shows(f"{request}: approved"))


def test_pasted_text_approves_nothing(asking: Asking) -> None:
    """A line end that comes with the key that asks is not an answer to the question."""
    request = asking.ask("run")
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)
        press(terminal, END)
        terminal.type(b"a\r\r")
        terminal.until(lambda: terminal.shows(f"Approve {request}"))
        assert asking.state_of(request) == "pending"


def test_two_hundred_kilobytes_scroll_and_can_be_approved(asking: Asking) -> None:
    request = asking.ask("write", {"begin": 1, "text": "0123456789" * 20_000, "the_end": True})
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("lines more"), START_S)
        terminal.until(lambda: whole(terminal))
        seen = terminal.shows('"begin": 1')
        page_down(terminal)
        assert seen or terminal.shows('"begin": 1')
        page_down(terminal)
        assert left_over(terminal)
        press(terminal, END)
        terminal.until(lambda: terminal.shows('"the_end": true'))
        press(terminal, b"a")
        terminal.until(lambda: terminal.shows(f"Approve {request}"))
        press(terminal, b"\r")
        terminal.until(lambda: terminal.shows(f"{request}: approved"))


def test_every_line_is_met_by_paging_down(asking: Asking) -> None:
    asking.ask("write", {f"key{number:03}": number for number in range(60)})
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("lines more"), START_S)
        terminal.until(lambda: whole(terminal))
        met: set[str] = set()
        while not terminal.shows("a approve"):
            met |= set(re.findall(r"key\d\d\d", "\n".join(terminal.frame())))
            page_down(terminal)
        met |= set(re.findall(r"key\d\d\d", "\n".join(terminal.frame())))
    assert met == {f"key{number:03}" for number in range(60)}


def test_what_clients_chose_never_reaches_the_terminal_raw(asking: Asking) -> None:
    asking.ask(HOSTILE, {HOSTILE: HOSTILE}, reasons=(HOSTILE,), message=HOSTILE, grant=HOSTILE)
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)
        press(terminal, END)
        terminal.until(lambda: fits(terminal, 80, 24))
        press(terminal, HOME, b"d")
        terminal.until(lambda: terminal.shows("Deny "))

        for raw in ("\x1b]", "\x07", "\u202e", "\U0001f600", "ａ", "\x7f", "\x9b"):
            assert raw not in terminal.output
        assert not any(line.startswith("2 forged") for line in terminal.frame())


def test_wide_letters_are_folded_by_the_columns_they_take() -> None:
    lines = folded("漢" * 30 + "abc", 25)

    assert "".join(lines) == "漢" * 30 + "abc"
    assert max(columns_of(line) for line in lines) <= 25
    assert folded("", 25) == [""]
    assert folded("a\x1b[2J\u202eb", 40) == [r"a\u001b[2J\u202eb"]


def test_of_twenty_five_the_chosen_one_is_always_in_sight(asking: Asking) -> None:
    ids = [asking.ask(f"tool{number:02}", {"n": number}) for number in range(25)]
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("25 waiting for approval", "and 19 more"), START_S)
        assert terminal.shows(f"request    {ids[-1]}")
        press(terminal, *[DOWN] * 24)
        terminal.until(lambda: terminal.shows("> tool00", f"request    {ids[0]}"))
        press(terminal, DOWN)
        sees(terminal, "> tool00")


def test_the_page_follows_the_size_of_its_terminal(asking: Asking) -> None:
    request = asking.ask("run", {"text": "y" * 500})
    with watching(asking) as terminal:
        terminal.until(lambda: fits(terminal, 80, 24), START_S)
        terminal.resize(120, 40)
        terminal.until(lambda: fits(terminal, 120, 40))
        terminal.resize(80, 6)
        terminal.until(lambda: terminal.shows("higher than"))
        press(terminal, b"a", b"\r")
        terminal.resize(30, 24)
        terminal.until(lambda: terminal.shows("wider than"))
        terminal.resize(80, 24)
        terminal.until(lambda: fits(terminal, 80, 24))
    assert asking.state_of(request) == "pending"


def test_when_the_chosen_one_ends_no_key_meets_another(asking: Asking) -> None:
    other = asking.ask("other")
    chosen = asking.ask("chosen")
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows(f"request    {chosen}"), START_S)
        press(terminal, END)
        asking.resolve(chosen, "deny")
        terminal.until(lambda: terminal.shows(f"{chosen} is denied", "up or down chooses one"))

        press(terminal, b"a", b"\r")

        sees(terminal, "nothing is chosen")
        drawn = terminal.output.count("\x1b[H")
        terminal.until(lambda: terminal.output.count("\x1b[H") > drawn + 3)
        sees(terminal, "up or down chooses one")
        assert asking.state_of(other) == "pending"
        press(terminal, DOWN, END, b"a")
        terminal.until(lambda: terminal.shows(f"Approve {other}"))


def test_a_request_that_expires_while_it_is_chosen_is_let_go(asking: Asking) -> None:
    request = asking.ask("brief", lasts=12)
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)
        terminal.until(lambda: terminal.shows("nothing waits for approval"), START_S)
        sees(terminal, f"{request} is expired")
        press(terminal, b"a")
        sees(terminal, "nothing is chosen")
        fresh = asking.ask("after")
        terminal.until(lambda: terminal.shows(f"request    {fresh}"))


def test_new_requests_do_not_move_what_is_chosen(asking: Asking) -> None:
    chosen = asking.ask("chosen")
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows(f"request    {chosen}"), START_S)
        press(terminal, END)
        for number in range(9):
            asking.ask(f"later{number}")
        terminal.until(lambda: terminal.shows("10 waiting for approval", "> chosen"))

        press(terminal, b"a")

        terminal.until(lambda: terminal.shows(f"Approve {chosen}"))


def test_an_answer_that_somebody_gave_meanwhile_is_not_changed(asking: Asking) -> None:
    request = asking.ask("run")
    asking.ask("next")
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)
        press(terminal, DOWN, END, b"a")
        terminal.until(lambda: terminal.shows(f"Approve {request}"))
        asking.resolve(request, "deny")
        press(terminal, b"o", b"k", b"\r")

        sees(terminal, "not changed: this request is already denied", "> next")
    assert asking.state_of(request) == "denied"


def test_a_request_that_was_exchanged_in_the_store_is_not_answered(asking: Asking) -> None:
    request = asking.ask("harmless")
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)
        press(terminal, END, b"a")
        terminal.until(lambda: terminal.shows(f"Approve {request}, harmless"))
        asking.change(request, tool="format_disk")
        press(terminal, b"\r")

        sees(terminal, "somebody changed it in the store", "up or down chooses one")
    assert asking.state_of(request) == "pending"


def test_one_that_is_exchanged_while_it_is_read_is_let_go(asking: Asking) -> None:
    request = asking.ask("harmless")
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)
        press(terminal, END)
        asking.change(request, expires=2**60)
        sees(terminal, "is another request than before")
        press(terminal, b"a", b"\r")
    assert asking.state_of(request) == "pending"


def test_another_policy_of_who_may_answer_is_told(asking: Asking) -> None:
    request = asking.ask("run", approvers=(("user:ben@example.org",),))
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)
        press(terminal, END, b"a")
        terminal.until(lambda: terminal.shows("Approve"))
        press(terminal, b"\r")
        sees(terminal, "is not among those who may answer")
    assert asking.state_of(request) == "pending"


def test_the_passphrase_is_asked_for_and_a_wrong_one_opens_nothing(asking: Asking) -> None:
    with watching(asking, file=False) as terminal:
        terminal.until(lambda: "Passphrase of" in terminal.output, START_S)
        terminal.type(b"not this one\n")
        assert terminal.ended() == 2
        assert "the passphrase does not open" in terminal.output
        assert "not this one" not in terminal.output
        assert ENTER_PAGE not in terminal.output
    with watching(asking, file=False) as terminal:
        terminal.until(lambda: "Passphrase of" in terminal.output, START_S)
        terminal.type(PASSPHRASE.encode() + b"\n")
        terminal.until(lambda: terminal.shows("nothing waits for approval"), START_S)
        assert PASSPHRASE not in terminal.output


def test_without_a_terminal_it_names_what_works_there(asking: Asking) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ostiary", "approvals", "watch", "--state-dir", str(asking.state.path)],
        env=environment(asking.state.path.parent), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=START_S, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert "a live page needs a terminal" in done.stderr
    assert "ostiary approvals list" in done.stderr


def test_it_survives_a_database_that_is_gone_damaged_and_back(asking: Asking) -> None:
    asking.ask("run")
    database = asking.state.database
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("1 waiting"), START_S)
        asking.store.close()
        for file in asking.state.path.glob("ostiary.db*"):
            file.unlink(missing_ok=True)
        terminal.until(lambda: terminal.shows("nothing waits for approval"))
        database.write_bytes(b"not a database" * 100)
        terminal.until(lambda: terminal.shows("cannot use"))
        press(terminal, DOWN, END, b"a", b"\r")
        database.unlink()
        again = Asking.of(asking.state.path)
        request = again.ask("fresh")
        terminal.until(lambda: terminal.shows(f"request    {request}"))
        again.store.close()
        terminal.type(b"q")
        assert terminal.ended() == 0
        assert "Traceback" not in terminal.output


@pytest.mark.parametrize("leave", ["q", "interrupt", "term"])
def test_leaving_restores_the_terminal(asking: Asking, leave: str) -> None:
    with watching(asking) as terminal:
        terminal.until(lambda: terminal.shows("q leave"), START_S)
        if leave == "q":
            terminal.type(b"q")
        elif leave == "interrupt":
            terminal.interrupt()
        else:
            terminal.signal(signal.SIGTERM)

        assert terminal.ended() == (143 if leave == "term" else 0)
        assert terminal.settings() == terminal.before
        assert terminal.output.count(ENTER_PAGE) == terminal.output.count(LEAVE_PAGE) == 1
