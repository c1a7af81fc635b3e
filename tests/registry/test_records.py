"""The published servers of the list, and the records of their scan."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.registry import records as kept
from ostiary.registry.records import Package, Record, entries, read_record, records, write_record
from ostiary.scan.recorded import rejudged

DATA = Path(str(files("ostiary.registry"))) / "records" / "data"
RULES = Path(str(files("ostiary.registry"))) / "rules"
EXACT = re.compile(r"[0-9]+(\.[0-9]+)+[a-z0-9.-]*")
MEBIBYTE = 1024 * 1024
HONEST = 0.005
"""The share of honest tools in whose text something may be found."""

ALL = {one.stem: one for one in sorted(DATA.glob("*.json"))}


def test_the_list_names_sixty_packages_of_both_registries_with_exact_versions() -> None:
    listed = entries()
    assert len(listed) == 60
    assert len({(one.registry, one.name) for one in listed}) == len({one.slug for one in listed}) == 60
    assert {sum(one.registry == each for one in listed) for each in ("npm", "pypi")} == {30}
    assert all(EXACT.fullmatch(one.version) for one in listed)


def test_every_server_of_the_list_has_a_record_of_the_version_that_was_listed() -> None:
    listed = {one.slug: (one.registry, one.name, one.version) for one in entries()}
    recorded = {
        slug: (known.registry, known.name, known.version)
        for slug, known in ((slug, read_record(path.read_bytes()).package) for slug, path in ALL.items())
    }
    assert recorded == listed


def test_every_server_was_asked_behind_walls_and_without_a_network() -> None:
    assert {(one.isolated, one.network) for one in records() if not one.reason} == {(True, "none")}
    assert {one.network for one in records()} == {"none"}


def test_enough_servers_answered_with_enough_tools_and_the_others_say_why_not() -> None:
    answered = [one for one in records() if not one.reason]
    assert len(answered) >= 50
    assert sum(len(one.tools) for one in answered) >= 600
    assert all(one.era and one.grade is not None and one.tokens > 0 for one in answered)
    silent = [one for one in records() if one.reason]
    assert len(answered) + len(silent) == 60
    assert not any(one.tools or one.era or one.grade for one in silent)


def test_the_records_are_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in ALL.values()) < 6 * MEBIBYTE


@pytest.mark.parametrize("slug", ALL)
def test_a_record_says_what_the_rules_say_today(slug: str) -> None:
    record = read_record(ALL[slug].read_bytes())
    assert write_record(rejudged(record)) == ALL[slug].read_bytes(), (
        "the rules have changed: run `python scripts/scan-servers.py --judge`, and look at the difference"
    )


def test_the_definitions_on_record_have_the_digests_that_their_servers_gave_them() -> None:
    for record in records():
        found = [(tool.name, tool.digest) for tool in record.definitions()]
        assert found == [(tool.name, tool.digest) for tool in record.tools]
        assert all(json.loads(bytes(tool.definition))["name"] == tool.name for tool in record.tools)


def test_almost_no_honest_tool_is_said_to_work_on_its_reader() -> None:
    tools = [tool for record in records() for tool in record.tools]
    flagged = [tool.name for tool in tools if tool.classification.findings]
    assert len(flagged) <= HONEST * len(tools), flagged


def test_no_rule_knows_a_tool_of_the_records_by_its_name() -> None:
    # A name of one plain word, such as `fetch`, is also a word of the language that rules are about.
    names = {tool.name for record in records() for tool in record.tools}
    names -= {name for name in names if name.isalpha() and name.islower()}
    for path in sorted(RULES.glob("*.toml")):
        rules = tomllib.loads(path.read_text(encoding="utf-8"))
        if path.name == "poisoning.toml":
            del rules["known"]["names"]  # what an impostor would call its tools, and no tool is judged by
        words = set(re.findall(r"[A-Za-z0-9_.-]+", json.dumps(rules)))
        assert not words & names, path.name


def test_the_records_hold_nothing_of_the_machine_that_they_were_made_on() -> None:
    for slug, path in ALL.items():
        text = path.read_text(encoding="ascii")
        assert not re.search(r"/(var/tmp|root|home/(?!user|username|you|me\b)[a-z]+)/ostiary", text), slug


@given(st.text(), st.text(alphabet=st.characters(min_codepoint=0x7F, exclude_categories=["Cs"])))
def test_a_record_is_read_as_it_was_written_and_its_file_is_plain_ascii(said: str, strange: str) -> None:
    said = said.encode("utf-8", "replace").decode()
    record = Record(
        package=Package("npm", "one", "1.0"), scanned="2026-07-28", isolated=True, network="none",
        reason=said, instructions=strange,
    )  # fmt: skip
    written = write_record(record)
    assert read_record(written) == record
    assert written.isascii()
    assert b"\x7f" not in written


def test_a_record_of_another_format_is_refused() -> None:
    text = write_record(records()[0]).replace(b'"format": 1', b'"format": 2', 1)
    with pytest.raises(msgspec.ValidationError, match="format 2"):
        read_record(text)


def test_the_list_and_the_records_are_the_ones_of_the_package() -> None:
    assert kept.entries() is entries()
    assert len(ALL) == len(records())
