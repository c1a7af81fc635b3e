"""The view of the journal that a snapshot keeps."""

from __future__ import annotations

import sqlite3

from ostiary.store.migrate import migrate
from ostiary.store.view import View


def test_a_snapshot_keeps_the_time_it_was_taken_at() -> None:
    """P4.4: what had expired then stays expired, so a late refund takes nothing from others."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    view = View()
    view.at = 1_000
    view.save(connection, b"key", 61_000)

    later = View()
    later.load(connection, b"key")
    connection.close()

    assert later.at == 61_000
