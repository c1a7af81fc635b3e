"""How much of one server is judged, and what is said of the rest. All is counted, and no clock is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.errors import CallerFault
from ostiary.registry.classification import Category, Described, Sensitivity, Severity
from ostiary.registry.classify.listed import read_list
from ostiary.registry.classify.reading import described
from ostiary.registry.judged import judged, was_judged
from ostiary.registry.poisoning.plain import plain
from ostiary.registry.records import records
from ostiary.registry.subject import Subject
from ostiary.registry.verdict import Case, fact_of, verdict
from ostiary.registry.work import GROWTH, MOST, VALUE, within, work_of

Json = Any

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def listing(name: str, server: str, size: int = 1_000) -> Described:
    return Described(name, server=server, description="List rows. " + " " * size)


def test_a_server_is_judged_until_it_has_listed_too_much_and_the_rest_counts_as_the_worst() -> None:
    tools = [listing(f"list_{number}", "hostile") for number in range(4)]

    known = judged(tools, most=3_000)

    assert [was_judged(one) for one in known] == [True, True, False, False]
    assert [one.name for one in known] == [tool.name for tool in tools]
    for one in known[2:]:
        assert (one.category, one.severity, one.score) == (Category.UNKNOWN, Severity.CRITICAL, 5)
        assert one.sensitivity is Sensitivity.CREDENTIALS
        assert one.confidence == 0
        assert [(each.kind, each.severity) for each in one.findings] == [("unread", Severity.HIGH)]
        assert "3,000 characters" in one.findings[0].reason


def test_what_comes_after_too_much_is_not_judged_however_small_it_is() -> None:
    tools = [listing("big", "hostile", 10_000), Described("small", server="hostile")]

    assert [was_judged(one) for one in judged(tools, most=3_000)] == [False, False]


def test_a_server_beside_one_that_lists_too_much_is_judged_as_it_is_alone() -> None:
    honest = [listing("list_rows", "honest"), Described("drop_table", server="honest")]
    hostile = [listing(f"list_{number}", "hostile", 10_000) for number in range(3)]

    known = judged([hostile[0], honest[0], *hostile[1:], honest[1]], most=3_000)

    assert [known[1], known[4]] == [*judged(honest)]


def test_a_server_that_lists_too_much_is_not_connected_to_without_asking() -> None:
    known = judged([listing("list_rows", "hostile", 10_000)], most=3_000)

    case = Case(
        subject=Subject(kind="npm", name="files", version="1.0.0"),
        source="connected",
        version="1.0.0",
        facts=tuple(map(fact_of, known)),
    )
    assert verdict(case).action == "ask-first"


def test_megabytes_of_tools_are_judged_no_further_than_the_bound() -> None:
    tools = [listing(f"list_{number}", "hostile", 100_000) for number in range(60)]

    assert sum(was_judged(one) for one in judged(tools)) == MOST // 100_400


def test_as_many_tools_as_a_server_may_list_are_judged_where_they_are_short() -> None:
    assert all(within([Described(f"get_thing_{index}", server="s") for index in range(10_000)]))


@pytest.mark.timeout(60)
def test_counting_ends_where_there_is_too_much() -> None:
    endless: list[object] = []
    endless.append(endless)

    assert work_of(endless, 1_000) > 1_000
    assert work_of({"enum": [None] * 1_000_000}, 1_000) > 1_000


@given(VALUES, st.integers(0, 2_000))
def test_the_bound_changes_nothing_of_what_is_within_it(value: Json, most: int) -> None:
    whole = work_of(value, 1_000_000)

    assert work_of(value, most) == whole if whole <= most else work_of(value, most) > most


def test_a_character_that_may_become_several_counts_as_what_it_may_become() -> None:
    square = "\u3316"  # kiromeetoru, written as one
    assert len(plain(square)) == GROWTH

    assert work_of(square * 1_000, 100_000) == work_of("a" * 1_000 * GROWTH, 100_000)
    assert work_of({square: None}) == work_of({"a" * GROWTH: None})
    assert work_of("a\ud800") == work_of("a" * (GROWTH + 1))


@given(st.characters())
def test_no_character_becomes_more_than_it_counts_as(char: str) -> None:
    assert len(plain(char)) <= work_of(char) - VALUE


def test_every_server_on_record_has_less_than_a_tenth_of_the_bound() -> None:
    servers = [[described(tool, "s") for tool in record.definitions()] for record in records()]

    assert max(map(len, servers)) > 100
    assert all(all(within(tools, MOST // 10)) for tools in servers)


def entries(count: int, description: str) -> list[Json]:
    return [
        {"name": f"list_{number}", "server": f"s{number}", "description": description}
        for number in range(count)
    ]


def test_a_list_of_the_tools_of_many_servers_is_bounded_too() -> None:
    tools = entries(20, "x" * 1_000_000)

    with pytest.raises(CallerFault) as refused:
        read_list(json.dumps(tools).encode(), "f.json")

    assert "`f.json` is too much to judge" in refused.value.message
    assert len(read_list(json.dumps(tools[:15]).encode(), "f.json")) == 15


@pytest.mark.parametrize("shape", ['{"tools": %s}', '{"jsonrpc": "2.0", "id": 1, "result": {"tools": %s}}'])
def test_a_tool_of_an_answer_names_no_server_of_its_own(shape: str) -> None:
    tools = entries(3, "x" * 30)
    read = read_list((shape % json.dumps(tools)).encode(), "f.json", server="db")

    assert {tool.server for tool in read} == {"db"}
    assert [was_judged(one) for one in judged(read, most=500)] == [True, False, False]
    listed = read_list(json.dumps(tools).encode(), "f.json", server="db")
    assert [tool.server for tool in listed] == ["s0", "s1", "s2"]
