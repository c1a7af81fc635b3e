"""Reference pages say what the code says: codes, keys, operators, records, statuses."""

from __future__ import annotations

import ast
import re
import sys
from typing import get_args

import msgspec

from ostiary.audit.record import Kind, Record, Reserved, Status
from ostiary.policy.formats.table import OPERATORS, TABLES
from ostiary.policy.operators import OPERATORS as DECIDING
from tests.docs.markdown import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import reference

REFERENCE = ROOT / "docs/reference"


def named(page: str) -> set[str]:
    """Every word that stands in back-ticks on a page, alone or at the head of a mapping."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    return set(re.findall(r"`(?:\{\")?([\w./*$-]+)", text))


def test_generated_pages_are_what_the_code_generates() -> None:
    stale = [path.name for path, text in reference.pages().items() if path.read_text("utf-8") != text]

    assert stale == []  # `make reference`


def test_every_key_of_a_policy_is_on_the_format_page() -> None:
    keys = {name for table in TABLES.values() for name, key in table.items() if not key.later}

    assert keys - named("policy-format.md") == set()


def test_every_key_of_a_later_version_is_named_as_not_built() -> None:
    """The list of what does not load yet is complete, and names nothing that does."""
    later = {name for table in TABLES.values() for name, key in table.items() if key.later}
    text = (REFERENCE / "semantics.md").read_text(encoding="utf-8")
    section = text[text.index("## Designed, not built") :]

    listed = {word for word in re.findall(r"`([a-z_]+)`", section) if "_" in word or word in later}

    assert listed == later


def test_every_operator_is_in_the_contract_and_on_the_format_page() -> None:
    """P3.7: the list of operators is the whole list."""
    contract = (REFERENCE / "semantics.md").read_text(encoding="utf-8")
    clause = contract[contract.index("**P3.7**") : contract.index("**P3.8**")]

    operators, combinators = clause.partition("\n")[0].split("; and the combinators")

    assert set(re.findall(r"`(\w+)`", operators)) == set(OPERATORS)
    assert set(re.findall(r"`(\w+)`", combinators)) == {"any", "all", "not", "any_of", "all_of"}
    assert set(OPERATORS) - named("policy-format.md") == set()


def first_column(page: str, heading: str) -> list[str]:
    """Words in back-ticks in the first column of the tables below `heading`."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    section = text[text.index(f"## {heading}\n") :].removeprefix("## ").partition("\n## ")[0]
    cells = re.findall(r"^\| ([^|]*) \|", section, re.MULTILINE)
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def sources() -> str:
    """All of the program's own text."""
    files = sorted((ROOT / "src/ostiary").rglob("*.py"))
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def test_the_fields_of_a_record_are_the_table_of_its_page() -> None:
    page = named("audit-records.md")

    fields = [field.name for field in msgspec.structs.fields(Record)]

    assert sorted(first_column("audit-records.md", "Fields")) == sorted(fields)
    assert {*get_args(Kind), *get_args(Status)} - page == set()


def test_a_reservation_has_the_parts_that_its_page_names() -> None:
    """P4.5: counters can be rebuilt from records, by anybody who reads this page."""
    text = (REFERENCE / "audit-records.md").read_text(encoding="utf-8")

    [parts] = re.findall(r"`\[(key, [a-z, ]+)\]`", text)

    assert len(parts.split(", ")) == len(get_args(Reserved))


def test_every_rule_without_a_pointer_is_on_the_page_of_records() -> None:
    text = (REFERENCE / "audit-records.md").read_text(encoding="utf-8")
    section = text[text.index("## Rules in place of a pointer") : text.index("## The chain")]

    used = set(re.findall(r'"(\([a-z][a-z ]+\))"', sources()))

    assert set(re.findall(r"`(\([a-z ]+\))`", section)) == used


# Not ours: the codes of others that the program only recognises, and the bounds of the range.
OTHERS = {"-32042", "-32000", "-32768"}


def test_every_error_code_of_the_source_is_on_its_page_and_no_other() -> None:
    text = (REFERENCE / "exit-codes-and-errors.md").read_text(encoding="utf-8")
    section = text[text.index("## JSON-RPC errors") : text.index("## HTTP statuses")]
    source = sources()

    used = set(re.findall(r"-32\d{3}\b", source)) | set(
        re.findall(r"^[A-Z_]+ = (4[2-5]\d\d)$", source, re.MULTILINE)
    )

    assert set(re.findall(r"-32\d{3}\b|\b4\d{3}\b", section)) == used - OTHERS


ANSWERS = {"Head", "Refusal", "Refused", "Turned", "_json", "_plain", "_refused", "_whole", "plain_answer"}


def statuses(node: ast.AST) -> set[int]:
    """Error statuses that a call of one of `ANSWERS`, or a variable named `status`, is given."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ANSWERS:
        given = [*node.args[:2], *(word.value for word in node.keywords if word.arg == "status")]
    elif isinstance(node, ast.Assign) and [ast.unparse(name) for name in node.targets] == ["status"]:
        given = [node.value]
    else:
        return set()
    constants = [part.value for value in given for part in ast.walk(value) if isinstance(part, ast.Constant)]
    return {value for value in constants if isinstance(value, int) and 400 <= value < 600}


def test_every_http_status_of_the_source_is_on_its_page_and_no_other() -> None:
    text = (REFERENCE / "exit-codes-and-errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d, ]+) \|", text[text.index("## HTTP statuses") :], re.MULTILINE)

    used = {
        status
        for package in ("wire", "proxy")
        for path in (ROOT / "src/ostiary" / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        for status in statuses(node)
    }

    assert {int(status) for row in rows for status in row.split(", ")} == used


def test_every_exit_status_of_a_command_is_on_the_page() -> None:
    text = (REFERENCE / "exit-codes-and-errors.md").read_text(encoding="utf-8")
    section = text[text.index("## Exit codes") : text.index("## What a client sees")]
    commands = "\n".join(path.read_text() for path in (ROOT / "src/ostiary/cli").glob("*.py"))

    used = set(re.findall(r"(?:Exit|exit|return|READER_GONE =)\(? ?(\d+)\b", commands))

    assert used >= {"2", "130", "141"}
    assert used - set(re.findall(r"\b\d+\b", section)) == set()


def test_the_operators_of_the_format_page_accept_what_the_program_accepts() -> None:
    """P3.3: the table of types is the one that decides."""
    text = (REFERENCE / "policy-format.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\w+` ?)+) \| ([a-z, ]+) \|", text, re.MULTILINE)

    shown = {name: set(types.split(", ")) for cell, types in rows for name in re.findall(r"`(\w+)`", cell)}

    accepted = {name: set(operator.types) for name, operator in DECIDING.items()}
    assert {name: shown.get(name) for name in accepted} == accepted
