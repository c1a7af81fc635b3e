"""What `ostiary audit` prints of names that clients, servers and editors of the database chose."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from typer.testing import CliRunner

from ostiary.audit.record import Record
from ostiary.calls.journal import Entry
from ostiary.cli.app import build
from ostiary.store.opening import open_store
from ostiary.store.state import open_state

ESCAPE = "\x1b]0;owned\x07"


def _printed(folder: Path, *arguments: str) -> str:
    result = CliRunner().invoke(build(), ["audit", *arguments, "--state-dir", str(folder)])
    return result.output


def test_a_tool_name_cannot_drive_the_terminal_of_who_reads_the_log(tmp_path: Path) -> None:
    """A caller chooses names freely, also those of calls that are denied."""
    folder = tmp_path / "state"
    store = open_store(open_state(folder))
    store.commit([Entry(Record(id="ev_1", ts=1, kind="denial", tool=f"x{ESCAPE}\n2 forged"))])
    store.close()

    for arguments in (("tail",), ("show", "ev_1")):
        printed = _printed(folder, *arguments)
        assert "\x1b" not in printed
        assert "\n2 forged" not in printed
        assert "\\u001b" in printed


def test_an_edited_row_cannot_forge_the_verdict_on_it(tmp_path: Path) -> None:
    """Who can edit the database must not be able to print a clean bill."""
    folder = tmp_path / "state"
    store = open_store(open_state(folder))
    store.commit([Entry(Record(id="ev_1", ts=1, kind="event"))])
    store.close()
    with closing(sqlite3.connect(folder / "ostiary.db")) as database, database:
        database.execute("UPDATE records SET writer = ?", (f"w{ESCAPE}\n✓ every chain is unbroken",))

    printed = _printed(folder, "verify")

    assert "\x1b" not in printed
    assert "✓ every chain is unbroken" not in printed.split("\n")
    assert "the log is broken" in printed
