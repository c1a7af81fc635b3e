"""The page of the scanned servers says what is on record."""

from __future__ import annotations

import sys
from pathlib import Path

from ostiary.registry.classification import Classification
from ostiary.registry.records import Entry, Record, entries, records

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from scanned_page import page  # noqa: E402 - from the folder of the scripts

PAGE = ROOT / "docs/reference/scanned-servers.md"


def on_record() -> list[tuple[Entry, Record]]:
    known = {(one.package.registry, one.package.name): one for one in records()}
    return [(one, known[one.registry, one.name]) for one in entries()]


def test_the_page_is_the_one_that_the_records_lead_to() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(on_record()), (
        "run `make records`, or scan-servers --judge"
    )


def test_the_page_has_a_row_for_every_server_of_the_list() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if "| npm: `" in line or "| pypi: `" in line]
    assert len(rows) == len(entries())
    assert {row.count(" | ") for row in rows} == {6}


def test_every_member_of_a_record_is_explained() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in Record.__struct_fields__:
        assert f"`{name}`" in text, name
    assert "`classification`" in text
    assert "findings" in Classification.__struct_fields__
