"""The page about HTTP names limits and headers as they are."""

from __future__ import annotations

import re

from ostiary.limits import LIMITS
from ostiary.proxy.headers import ANSWER, REQUEST
from tests.docs.markdown import ROOT

PAGE = (ROOT / "docs/reference/http.md").read_text(encoding="utf-8")


def test_limits_have_the_defaults_that_the_page_tells() -> None:
    told = dict(re.findall(r"^\| `([a-z-]+)` \| (\w+) \|", PAGE, re.MULTILINE))
    defaults = {limit.name: limit.default for limit in LIMITS}

    assert told == {name: defaults.get(name) for name in told}
    assert len(told) > 15


def test_headers_that_pass_are_those_of_the_page() -> None:
    """`Mcp-*` stands for those of the protocol; the operator's own come on top."""
    towards = {
        side: set(re.findall(r"`([A-Za-z-]+)`", line.lower()))
        for side, line in re.findall(r"^- Towards the (upstream|client): (.*)$", PAGE, re.MULTILINE)
    }
    plain = {name.decode() for name in REQUEST if not name.startswith(b"mcp-")}

    assert plain == towards["upstream"] - {"--header"}
    assert {name.decode() for name in ANSWER} == towards["client"]
