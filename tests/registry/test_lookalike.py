"""Names that are nearly those of known packages, and names that are not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.registry.lookalike import resembled, within
from ostiary.registry.subject import typed

KNOWN = (
    "npm:@modelcontextprotocol/server-filesystem",
    "pypi:mcp-server-time",
    "npm:@playwright/mcp",
    "pypi:mcp-server-fetch",
    "pypi:mcp-server-times",
)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("mcp-server-tmie", "pypi:mcp-server-time"),
        ("mcp-server-tim", "pypi:mcp-server-time"),
        ("mcp-sever-time", "pypi:mcp-server-time"),
        ("pypi:mcp-server-tlme", "pypi:mcp-server-time"),
        ("mcpservertime", "pypi:mcp-server-time"),
        ("time-mcp-server", "pypi:mcp-server-time"),
        ("mcp-time", "pypi:mcp-server-time"),
        ("mcp-server-f\u0435tch", "pypi:mcp-server-fetch"),
        ("npm:mcp-server-fetch", "pypi:mcp-server-fetch"),
        ("@evil/server-filesystem", "npm:@modelcontextprotocol/server-filesystem"),
        ("@modelcontextprotoco1/server-filesystem", "npm:@modelcontextprotocol/server-filesystem"),
        ("@modelcontextprotocol/server-filesytem", "npm:@modelcontextprotocol/server-filesystem"),
        ("server-filesystem", "npm:@modelcontextprotocol/server-filesystem"),
        ("modelcontextprotocol-server-filesystem", "npm:@modelcontextprotocol/server-filesystem"),
        ("playwright-mcp", "npm:@playwright/mcp"),
        ("@playwrigth/mcp", "npm:@playwright/mcp"),
        ("tmies-mcp", "pypi:mcp-server-times"),
        ("@evil/server-filesytem", "npm:@modelcontextprotocol/server-filesystem"),
    ],
)
def test_a_name_that_is_nearly_a_known_one_is_told_with_it(text: str, near: str) -> None:
    found = resembled(typed(text), KNOWN)

    assert found is not None
    assert found.known == near


@pytest.mark.parametrize(
    "text",
    [
        "mcp-server-time",
        "pypi:mcp-server-time",
        "@playwright/mcp",
        "mcp-server-postgres",
        "@other/mcp",
        "requests",
        "mcp",
    ],
)
def test_a_known_name_and_one_of_its_own_resemble_nothing(text: str) -> None:
    assert resembled(typed(text), KNOWN) is None


def test_a_server_that_is_no_package_has_no_name_to_be_taken_for_another() -> None:
    assert resembled(typed("https://mcp-server-time.example/"), KNOWN) is None


def test_a_long_name_is_compared_with_a_thousand_others_in_time() -> None:
    known = [f"npm:mcp-server-{'x' * 190}{number}" for number in range(1_000)]
    started = time.process_time()
    resembled(typed("npm:mcp-server-" + "y" * 5_000), known)

    assert time.process_time() - started < 5


def distance(one: str, other: str) -> int:
    """The plain table: letters added, lost, changed, or two neighbours swapped."""
    rows = [[max(a, b) if not min(a, b) else 0 for b in range(len(other) + 1)] for a in range(len(one) + 1)]
    for a in range(1, len(one) + 1):
        for b in range(1, len(other) + 1):
            rows[a][b] = min(
                rows[a - 1][b] + 1, rows[a][b - 1] + 1, rows[a - 1][b - 1] + (one[a - 1] != other[b - 1])
            )
            if a > 1 and b > 1 and one[a - 1] == other[b - 2] and one[a - 2] == other[b - 1]:
                rows[a][b] = min(rows[a][b], rows[a - 2][b - 2] + 1)
    return rows[-1][-1]


@given(st.text("abc", max_size=9), st.text("abc", max_size=9), st.integers(0, 3))
def test_the_bounded_distance_agrees_with_the_whole_table(one: str, other: str, most: int) -> None:
    assert within(one, other, most) == (distance(one, other) <= most)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("npm:mcp-server-fetch", "known on pypi, not on npm"),
        ("mcp_server_fetch", "looks the same"),
        ("fetch-mcp-server", "same words in another order"),
        ("@evil/server-filesystem", "below another scope"),
        ("mcp-server-fecth", "slip of the keys"),
    ],
)
def test_how_the_names_differ_is_told(text: str, words: str) -> None:
    found = resembled(typed(text), KNOWN)

    assert found is not None
    assert words in found.how
