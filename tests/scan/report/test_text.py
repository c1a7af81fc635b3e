"""The report for a terminal: what it says, in which order, and that it stays within its columns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ostiary.cli.printable import columns_of, printable
from ostiary.scan.examined import examine
from ostiary.scan.listed import Listed
from ostiary.scan.report.columns import wrapped
from ostiary.scan.report.text import text
from ostiary.scan.report.view import Report
from ostiary.scan.scanned import Scanned
from tests.scan.servers import DROP, HOSTILE, LIST, POISONED, SECRET, SHELL, server, tool, unreachable


def report(*scanned: Scanned) -> str:
    return text(Report(servers=examine(scanned), version="9"), printable)


def test_the_worst_comes_first_and_what_is_harmless_is_one_line() -> None:
    said = report(server("db", LIST, tool("get_row", "Get a row"), SHELL, DROP, POISONED))
    places = [said.index(words) for words in ("add\n", "drop_table\n", "run_command\n", "Low      ")]

    assert places == sorted(places)
    assert "  Low      list_rows, get_row\n" in said
    assert "! Critical: secrecy-order in description" in said


def test_a_grade_stands_beside_the_name_and_its_sum_below() -> None:
    said = report(server("db", LIST, DROP, SHELL))

    assert said.startswith("db" + " " * 71 + "grade D\n")
    assert "16 points: 2 x Critical (16); at best D: something is Critical" in said
    assert "because of `drop` in name, `delete` in description: " in said


def test_a_server_that_was_not_scanned_is_said_first_and_counted_at_the_end() -> None:
    said = report(server("db", LIST), unreachable("gone", source=".mcp.json", client="cursor"))

    assert said.startswith("gone" + " " * 65 + "NOT SCANNED\n  the server ended with status 1\n")
    assert "program gone, from .mcp.json (cursor)" in said
    assert "1 server NOT scanned" in said


def test_what_stood_around_a_server_is_said() -> None:
    walls = report(server("a"))
    none = report(server("a", isolated=False, network="all"))
    remote = report(server("a", network="remote", transport="http", url="https://example.com/x"))

    assert "It ran behind walls, without a network." in walls
    assert "It ran WITHOUT walls" in none
    assert "It runs elsewhere" in remote


def test_a_name_in_two_versions_is_told() -> None:
    assert "! `list_rows` is listed twice" in report(server("db", LIST, ambiguous=("list_rows",)))


def test_what_a_server_offers_besides_and_what_it_did_not_tell_is_said() -> None:
    file = Listed(name="f", uri="file:///a")
    said = report(server("a", LIST, resources=(file, file), prompts=(file,), troubles=("no\x1b answer",)))

    assert "  beside its tools 2 resources, 1 prompt\n" in said
    assert "  ! not all was told: no\\u001b answer\n" in said


def test_nothing_secret_of_a_configuration_is_shown() -> None:
    address = f"https://user:{SECRET}@example.com/{SECRET}?key={SECRET}"
    scanned = [
        server("a", LIST),
        unreachable("b"),
        server("c", transport="http", url=address, network="remote", headers=(("X", SECRET),)),
    ]

    assert SECRET not in report(*scanned)


def test_a_hostile_text_neither_leaves_its_columns_nor_steers_the_terminal() -> None:
    wide = tool("表" * 60, "Delete " + "漢字" * 40, **{"表" * 50: "string"})
    said = report(server("db", HOSTILE, wide), unreachable("x" * 300))

    assert said.replace("\n", "").isprintable()
    assert max(map(columns_of, said.splitlines())) <= 80


@given(st.text(alphabet="ab 漢é", max_size=400), st.integers(0, 30))
def test_wrapping_loses_no_word_and_keeps_to_the_columns(written: str, indent: int) -> None:
    lines = wrapped(written, " " * indent, " " * indent)

    assert "".join(lines).replace(" ", "") == written.replace(" ", "")
    assert max(map(columns_of, lines)) <= 80
