"""The official conformance suite: the core passes what a server on the official SDK passes.

Both fixtures offer what the suite's scenarios ask for, but the core has no tasks extension, which
the official SDK lacks as well; its fixture has written one of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conformance.suite import (
    REVISIONS,
    Difference,
    Named,
    Results,
    against_server,
    compared,
    differences,
)
from tests.needs import needs_npm_program
from tests.servers.core.served import OFFICIAL, OURS, over_http

pytestmark = [pytest.mark.service, pytest.mark.timeout(240)]

TASKS = "tasks-"
"""Scenarios of the extension that the core does not have."""

BETTER: Mapping[str, Mapping[str, Named]] = {
    "2025-11-25": {},
    "2026-07-28": {
        "http-header-validation/sep-2243-server-accepts-whitespace-header-value": Named(
            "failed -> passed", "the listener cuts white space off a header value, as RFC 9110 5.5 asks"
        ),
    },
}
PASSED = {"2025-11-25": 84, "2026-07-28": 150}
"""Checks that pass at least: what stops being judged is noticed, too."""


def without_tasks(found: Results) -> Results:
    return Results(
        {check: one for check, one in found.checks.items() if not check.scenario.startswith(TASKS)}
    )


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_check_ends_as_with_the_official_server(revision: str, tmp_path: Path) -> None:
    needs_npm_program("conformance")
    official, ours = (
        over_http(command, tmp_path / f"{name}.log")
        for name, command in (("official", OFFICIAL), ("ours", OURS))
    )

    def both(number: int) -> tuple[Results, Results]:
        with ThreadPoolExecutor(2) as pool:
            runs = [
                pool.submit(against_server, server.url, revision, tmp_path / f"{name}-{number}")
                for name, server in (("official", official), ("ours", ours))
            ]
            return without_tasks(runs[0].result()), without_tasks(runs[1].result())

    try:
        alone, core, found = compared(both, BETTER[revision])
    finally:
        official.stop()
        ours.stop()

    assert not found, "\n".join(found)
    assert core.count("failed") == 0
    assert core.count("warned") == 0
    assert core.count("passed") >= PASSED[revision]
    worse = [one for one in differences(alone, core) if isinstance(one, Difference) and one.lost]
    assert not worse
