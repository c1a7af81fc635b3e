"""What becomes of writes to a database, on SQLite and on a PostgreSQL that is really there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.driver import PYTHON_2, Drivers
from tests.needs import needs_django_6
from tests.servers.django.world import Client, over_stdio, shop_on
from tests.tools.postgres import Postgres

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]
WRITE = "from shop.models import Tag; Tag.objects.create(word='written')"
COUNT = "from shop.models import Tag; Tag.objects.filter(word='written').count()"


@contextmanager
def served(clients: Drivers, folder: Path, project: Path, *options: str, **env: str) -> Iterator[Client]:
    words = [word for name in env for word in ("--env", name)]
    with clients.connect(PYTHON_2, over_stdio(folder, project, *options, *words, env=env)) as connection:
        yield Client(connection)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> tuple[tuple[str, ...], dict[str, str]]:
    """Options and variables of a shop on either kind of database, its own."""
    if request.param == "sqlite":
        return (), {}
    server: Postgres = request.getfixturevalue("server")
    env = shop_on(server, server.database(request.getfixturevalue("stocked")))
    return ("--settings", env.pop("DJANGO_SETTINGS_MODULE")), env


def test_read_only_refuses_to_write_and_says_so(
    clients: Drivers, own: Path, tmp_path: Path, database: tuple[tuple[str, ...], dict[str, str]]
) -> None:
    options, env = database
    with served(clients, tmp_path, own, "--read-only", *options, **env) as shell:
        refused = shell.raised(WRITE)
        assert "read-only" in (refused["exc_type"] + refused["message"]).lower()
        assert shell.value(COUNT) == 0
        assert shell.value("from shop.models import Book; Book.objects.count()") == 3
        assert shell.tool("execute_command", command="restock", args=["1"])["status"] == "error"
        assert "writes no file" in shell.failing("export_history", filename="x.py")
        assert shell.tool("export_history")["result"].startswith("# Django Shell")
    assert not (own / "x.py").exists()


def test_rollback_undoes_each_call(
    clients: Drivers, own: Path, tmp_path: Path, database: tuple[tuple[str, ...], dict[str, str]]
) -> None:
    options, env = database
    with served(clients, tmp_path, own, "--rollback", *options, **env) as shell:
        assert shell.value(f"{WRITE}\nTag.objects.filter(word='written').count()") == 1
        assert shell.value(COUNT) == 0


def test_without_either_what_is_written_stays(
    clients: Drivers, own: Path, tmp_path: Path, database: tuple[tuple[str, ...], dict[str, str]]
) -> None:
    options, env = database
    with served(clients, tmp_path, own, *options, **env) as shell:
        shell.execute(WRITE)
        assert shell.value(COUNT) == 1
        assert shell.tool("execute_command", command="restock", args=["1"])["status"] == "success"


def test_on_django_6_with_an_interpreter_of_its_own(clients: Drivers, own: Path, tmp_path: Path) -> None:
    python = str(needs_django_6())
    with served(clients, tmp_path, own, "--python", python) as shell:
        assert shell.tool("get_project_info")["django"]["version"][:2] == [6, 0]
        shell.execute("x = 1")
        assert shell.value("x") == 1
        assert shell.value("from shop.models import Book; await Book.objects.acount()") == 3
        assert "\n  1/0" in shell.raised("1/0")["traceback"][0]
        assert shell.tool("execute_command", command="showmigrations", args=["--help"])["status"] == "success"
        assert (
            shell.tool("execute_command", command="check", options={"tag": "security"})["exception"] is None
        )
        assert len(shell.tool("list_routes")["result"]) == 5
        assert "x = 1" in shell.tool("export_history")["result"]
