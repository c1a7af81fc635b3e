"""Other processes' commits are noticed by asking."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.errors import GatewayFault
from ostiary.store.connection import connect
from ostiary.store.notice import Notice


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "some.db"
    made = connect(path)
    made.execute("CREATE TABLE t (n INTEGER)")
    made.close()
    return path


@pytest.fixture
def notice(database: Path) -> Iterator[Notice]:
    asked = Notice(database)
    yield asked
    asked.close()


def test_the_first_answer_is_yes_and_the_next_one_no(notice: Notice) -> None:
    assert notice.news() is not None
    assert notice.news() is None
    assert notice.news() is None


def test_a_commit_of_another_connection_is_news_once(notice: Notice, database: Path) -> None:
    notice.news()
    other = connect(database)
    other.execute("INSERT INTO t VALUES (1)")
    other.execute("INSERT INTO t VALUES (2)")

    reading = notice.news()

    assert reading is not None
    assert reading.execute("SELECT count(*) FROM t").fetchone() == (2,)
    assert notice.news() is None
    other.close()


def test_what_is_not_committed_is_no_news(notice: Notice, database: Path) -> None:
    notice.news()
    other = connect(database)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO t VALUES (1)")

    assert notice.news() is None
    other.execute("ROLLBACK")
    assert notice.news() is None
    other.close()


def test_a_commit_of_another_process_is_news(notice: Notice, database: Path) -> None:
    notice.news()
    insert = f"""
import sqlite3
with sqlite3.connect({str(database)!r}) as made:
    made.execute("INSERT INTO t VALUES (1)")
"""
    subprocess.run([sys.executable, "-c", insert], check=True, timeout=20)

    assert notice.news() is not None


def test_asking_never_waits_for_a_writer(notice: Notice, database: Path) -> None:
    notice.news()
    other = connect(database)
    other.execute("BEGIN EXCLUSIVE")

    assert notice.news() is None
    other.close()


def test_after_a_failure_the_next_answer_is_yes(notice: Notice) -> None:
    notice.news()
    notice.failed()

    assert notice.news() is not None


def test_a_database_that_cannot_be_read_is_a_fault_and_not_a_no(tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    asked = Notice(path)
    for _ in range(2):
        with pytest.raises(GatewayFault, match="cannot use"):
            asked.news()

    connect(path).close()
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE t (n INTEGER)")

    assert asked.news() is not None
    asked.close()
    made.close()


def test_a_damaged_database_is_a_fault_as_long_as_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    path.write_bytes(b"this is no database" * 100)
    asked = Notice(path)

    for _ in range(3):
        with pytest.raises(GatewayFault, match="not a database"):
            asked.news()
