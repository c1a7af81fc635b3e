"""Many sessions, one after another: nothing of them is left."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.sandbox.django.world import family, shells, until
from tests.tools.postgres import Postgres

pytestmark = pytest.mark.timeout(120)

SESSIONS = 200
FIRST = 40
"""After these everything that is made once has been made."""

MOST_MORE = (SESSIONS - FIRST) // 10
"""So many more descriptors than in the first sessions are a leak: one with every tenth of the others. Less
may be what is made once, and later on a machine that is busy."""

PATIENCE_S = 30
"""For what the last sessions have open, on such a machine."""

MOST_GROWN = 8 << 10
"""KiB by which this process may have grown with the rest of them."""


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def resident() -> int:
    """KiB of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def test_two_hundred_sessions_leave_no_process_no_connection_no_descriptor_and_no_memory(
    common: Path, stocked: dict[str, str], server: Postgres
) -> None:
    before = family()
    with shells(common, settings="bookshop.postgresql", environment=tuple(stocked), environ=stocked) as shop:
        few, resident_then = descriptors(), 0
        for number in range(SESSIONS):
            told = shop.run("from shop.models import Book; Book.objects.count()", session=f"s{number}")
            assert told.json == "3"
            assert shop.close(f"s{number}")
            if number <= FIRST:
                few, resident_then = min(few, descriptors()) if number else descriptors(), resident()
        name = stocked["BOOKSHOP_DB_NAME"]
        until(lambda: server.connections(name) == 0, "connections are left")
        until(lambda: descriptors() < few + MOST_MORE, "descriptors are left", PATIENCE_S)
        assert resident() - resident_then < MOST_GROWN
        assert shop.troubles == []
    until(lambda: not family(but=before), "processes are left")
