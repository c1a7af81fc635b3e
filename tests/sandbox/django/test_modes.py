"""Read-only and rollback, on SQLite and on PostgreSQL: what they hold, and what goes round them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ostiary.sandbox.limits import Limits
from tests.sandbox.django.world import GRACE_MS, Shells, shells
from tests.tools.postgres import Postgres

pytestmark = pytest.mark.timeout(120)

KINDS = ("sqlite", "postgresql")
MODELS = "from shop.models import Author, Book, Tag\n"


@contextmanager
def shop(kind: str, project: Path, request: pytest.FixtureRequest, **more: Any) -> Iterator[Shells]:
    """A shell on the shop, on either kind of database. A module's files are shared, its database too."""
    if kind == "sqlite":
        with shells(project, **more) as made:
            yield made
        return
    variables = request.getfixturevalue("stocked") | more.pop("variables", {})
    with shells(
        project, settings="bookshop.postgresql", environment=tuple(variables), environ=variables, **more
    ) as made:
        yield made


@pytest.fixture(scope="module", params=KINDS)
def reading(request: pytest.FixtureRequest, common: Path) -> Iterator[Shells]:
    """A shell that is read-only."""
    with shop(request.param, common, request, mode="read-only") as made:
        yield made


@pytest.fixture(scope="module", params=KINDS)
def undoing(request: pytest.FixtureRequest, common: Path) -> Iterator[Shells]:
    """A shell whose runs are undone."""
    with shop(request.param, common, request, mode="rollback") as made:
        yield made


@pytest.mark.parametrize(
    "code",
    [
        "Tag.objects.create(word='new')",
        "Book.objects.update(stock=0)",
        "Book.objects.all().delete()",
        "await Tag.objects.acreate(word='new')",
        (
            "from django.db import connection\n"
            "with connection.cursor() as c: c.execute('/* SELECT */ DELETE FROM shop_tag')"
        ),
        "from django.db import connection\nwith connection.cursor() as c: c.execute('DROP TABLE shop_tag')",
        (
            "from django.db import connection\n"
            "connection.cursor().executemany('INSERT INTO shop_tag (word) VALUES (%s)', [['a']])"
        ),
        "from django.db import transaction\nwith transaction.atomic(): Tag.objects.create(word='new')",
    ],
)
def test_a_write_is_refused_by_a_rail_that_says_what_it_is(reading: Shells, code: str) -> None:
    told = reading.run(MODELS + code)
    assert told.error.type == "ostiary.ReadOnlyError"
    assert "this shell is read-only: " in told.error.message
    assert "guard rail" in told.error.message
    assert "role" in told.error.message
    assert reading.run(MODELS + "Tag.objects.count(), Book.objects.count()").json == "[3, 3]"


@pytest.mark.parametrize(
    "code",
    [
        "Book.objects.filter(tags__word='novel').distinct().count()",
        "len(Book.objects.values('author').distinct()) + 1",
        (
            "from django.db import connection\n"
            "with connection.cursor() as c:\n"
            "    c.execute('(SELECT 3)')if connection.vendor != 'sqlite' else c.execute('SELECT 3')\n"
            "    n = c.fetchone()[0]\n"
            "n"
        ),
        (
            "from django.db import transaction\n"
            "with transaction.atomic(), transaction.atomic(): n = Book.objects.count()\n"
            "n"
        ),
        "len(list(Book.objects.iterator(1)))",
        "await Book.objects.acount()",
        "len(Book.objects.raw('WITH b AS (SELECT * FROM shop_book) SELECT * FROM b'))",
    ],
)
def test_reading_goes_on(reading: Shells, code: str) -> None:
    assert reading.run(MODELS + code).json == "3"


def test_a_thread_has_a_connection_of_its_own_and_the_same_rail(reading: Shells) -> None:
    code = (
        "import threading\nfound = []\ndef write():\n    try: Tag.objects.create(word='new')\n"
        "    except Exception as e: found.append(type(e).__name__)\n"
        "t = threading.Thread(target=write); t.start(); t.join()\nfound"
    )
    assert reading.run(MODELS + code).json == '["ReadOnlyError"]'


def test_a_command_that_writes_is_refused(reading: Shells) -> None:
    told = reading.ask("command", command="restock", args=["1"])
    assert '"type": "ReadOnlyError"' in told.json
    assert reading.ask("command", command="check").json.startswith('{"status": "success"')


def test_files_of_the_project_cannot_be_written(reading: Shells) -> None:
    assert reading.run("open('shop/models.py', 'a')").error.type == "OSError"
    assert reading.run("open('new.txt', 'w')").error.type == "OSError"
    assert reading.run("open('/tmp/new.txt', 'w').write('x')").json == "1"


def test_the_file_of_sqlite_is_open_for_reading_only_and_no_other_way_leads_in(
    common: Path, request: pytest.FixtureRequest
) -> None:
    """Here the boundary is the file system's: what goes round Django comes no further."""
    delete = "from django.db import connection\nconnection.ensure_connection()\n"
    with shop("sqlite", common, request, mode="read-only") as reading:
        told = reading.run(delete + "connection.connection.execute('DELETE FROM shop_tag')")
        assert "readonly database" in told.error.message
        told = reading.run(
            "import sqlite3\n"
            "sqlite3.connect(settings.DATABASES['default']['NAME']).execute('DELETE FROM shop_tag')"
        )
        assert "readonly database" in told.error.message
        assert reading.run(MODELS + "Tag.objects.count()").json == "3"


ROUND = (
    "from django.db import connection\nconnection.ensure_connection()\n"
    "c = connection.connection.cursor(); c.execute('SET default_transaction_read_only = off'); "
)
"""One line that leaves the rail: the driver's own cursor, of which Django knows nothing."""

COMMIT = ROUND.replace("SET default_transaction_read_only = off", "COMMIT")
DELETE = "c.execute('DELETE FROM shop_book_tags').rowcount"


def test_one_line_goes_round_the_rail_where_the_role_may_write(
    common: Path, request: pytest.FixtureRequest, server: Postgres
) -> None:
    with shop("postgresql", common, request, mode="read-only") as reading:
        told = reading.run(COMMIT + DELETE)
        assert "read-only transaction" in told.error.message
        assert reading.run(ROUND + DELETE.replace("book_tags", "book_tags WHERE false")).json == "0"
        told = reading.run(
            ROUND + "c.execute(\"INSERT INTO shop_tag (word) VALUES ('by-the-window')\").rowcount"
        )
        assert told.json == "1"
    name = request.getfixturevalue("stocked")["BOOKSHOP_DB_NAME"]
    gone = "DELETE FROM shop_tag WHERE word = 'by-the-window' RETURNING 1"
    assert server.sql(gone, database=name) == [(1,)]


@pytest.mark.parametrize("mode", ["read-only", ""])
def test_no_line_goes_round_a_role_that_may_only_read(
    common: Path, request: pytest.FixtureRequest, mode: str
) -> None:
    variables = {"BOOKSHOP_DB_USER": "reader"}
    with shop("postgresql", common, request, mode=mode, variables=variables) as reading:
        for way in (ROUND, COMMIT):
            told = reading.run(way + DELETE)
            assert told.error.type in {
                "psycopg.errors.InsufficientPrivilege",
                "psycopg.errors.ReadOnlySqlTransaction",
            }
            if way is ROUND:
                assert "permission denied for table shop_book_tags" in told.error.message
        assert reading.run(MODELS + "Book.objects.count()").json == "3"


@pytest.mark.parametrize(
    "code",
    [
        "Tag.objects.create(word='new')",
        "await Tag.objects.acreate(word='new')",
        "Book.objects.all().delete()",
        "Tag.objects.create(word='new')\n1 / 0",
        "from django.db import transaction\nwith transaction.atomic(): Tag.objects.create(word='new')",
    ],
)
def test_what_a_run_wrote_is_undone(undoing: Shells, code: str) -> None:
    undoing.run(MODELS + code, session="s")
    assert undoing.run("Tag.objects.count(), Book.objects.count()", session="s").json == "[3, 3]"


def test_within_a_run_what_it_wrote_is_there(undoing: Shells) -> None:
    assert undoing.run(MODELS + "Tag.objects.create(word='new')\nTag.objects.count()").json == "4"


def test_a_command_is_undone_too(undoing: Shells) -> None:
    told = undoing.ask("command", command="restock", args=["7"])
    assert "Emma: 12" in told.stdout.shown
    assert undoing.run(MODELS + "Book.objects.get(title='Emma').stock").json == "5"


def test_a_run_that_runs_out_of_time_is_undone(undoing: Shells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undoing.runner, "grace_ms", GRACE_MS)
    code = MODELS + "Tag.objects.create(word='new')\nwhile True: pass"
    told = undoing.run(code, session="s", limits=Limits(wall_ms=1_000))
    assert (told.status, told.session_lost) == ("timeout", False)
    assert undoing.run("Tag.objects.count()", session="s").json == "3"


def test_what_waits_for_a_commit_never_runs(undoing: Shells) -> None:
    code = "from django.db import transaction\ntransaction.on_commit(lambda: print('sent'))"
    assert undoing.run(code).stdout.shown == ""


def test_rollback_does_not_undo_what_another_connection_commits(
    common: Path, request: pytest.FixtureRequest, server: Postgres
) -> None:
    """Said in the documentation; here so that it stays true."""
    with shop("postgresql", common, request, mode="rollback") as undoing:
        code = (
            MODELS
            + "import threading\nt = threading.Thread(target=Tag.objects.create, kwargs={'word': 'apart'})\n"
            "t.start(); t.join()"
        )
        undoing.run(code)
        undoing.run(
            MODELS
            + (
                "Tag.objects.create(word='own')\n"
                "from django.db import connection\n"
                "connection.connection.cursor().execute('COMMIT')"
            )
        )
    name = request.getfixturevalue("stocked")["BOOKSHOP_DB_NAME"]
    gone = "DELETE FROM shop_tag WHERE word IN ('apart', 'own') RETURNING word"
    assert {word for (word,) in server.sql(gone, database=name)} == {"apart", "own"}
