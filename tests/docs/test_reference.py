"""Reference pages say what the code says: codes, keys, operators, records, statuses."""

from __future__ import annotations

import re
import sys
from typing import get_args

import msgspec

from ostiary.audit.record import Kind, Record, Status
from ostiary.policy.formats.table import OPERATORS, TABLES
from tests.docs.markdown import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import reference

REFERENCE = ROOT / "docs/reference"


def named(page: str) -> set[str]:
    """Every word that stands in back-ticks on a page, alone or at the head of a mapping."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    return set(re.findall(r"`(?:\{\")?([\w./*-]+)", text))


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


def test_every_field_of_a_record_is_on_its_page() -> None:
    page = named("audit-records.md")

    fields = {field.name for field in msgspec.structs.fields(Record)}

    assert fields - page == set()
    assert {*get_args(Kind), *get_args(Status)} - page == set()
