"""docs/reference/limits.md lists every limit with its default, range and meaning, and no others."""

from __future__ import annotations

import re

from ostiary.limits import DEFAULT_BOUNDS, LIMITS
from ostiary.proxy.descriptors import needed
from tests.docs.markdown import ROOT

PAGES = ROOT / "docs/reference"


def test_page_of_limits_is_what_the_program_takes() -> None:
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (.+?) \| (.+?) \| (.+?) \|$", (PAGES / "limits.md").read_text(), re.MULTILINE
    )

    assert rows == [(limit.name, limit.default, limit.range, limit.meaning) for limit in LIMITS]


def test_page_says_how_many_descriptors_the_defaults_need() -> None:
    number = needed(DEFAULT_BOUNDS.connections, DEFAULT_BOUNDS.upstream_connections)

    assert f"{number:,} with the defaults" in (PAGES / "limits.md").read_text()


def test_defaults_told_elsewhere_are_the_same() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \| (\w+) \| ", (PAGES / "http.md").read_text(), re.MULTILINE)
    defaults = {limit.name: limit.default for limit in LIMITS}

    assert told
    assert [(name, value) for name, value in told if defaults.get(name, value) != value] == []
