"""`manage.py ostiary`: the same server, started by the project itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.driver import PYTHON_1, Drivers, Stdio
from tests.e2e.world import state_folder
from tests.sandbox.django.world import copied
from tests.servers.django.world import Client
from tests.servers.python.world import walled

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]


@pytest.fixture(scope="module")
def managed(project: Path) -> Iterator[Path]:
    """The shop, with the app installed in it."""
    with copied(project) as made:
        settings = made / "bookshop/settings.py"
        with settings.open("a", encoding="utf-8") as file:
            file.write('\nINSTALLED_APPS.append("ostiary.django_app")\n')
        yield made


def told(managed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=managed, env=walled(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_it_serves_the_project_it_was_started_in(clients: Drivers, managed: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, str(managed / "manage.py"), "ostiary", "--state-dir", str(state_folder(tmp_path)),
        "--rollback", "--naming", "prefixed",
    ]  # fmt: skip
    with clients.connect(PYTHON_1, Stdio(command, tmp_path / "log", walled())) as connection:
        client = Client(connection, prefix=True)
        assert (
            client.value("from shop.models import Book; Book.objects.all().delete(); Book.objects.count()")
            == 0
        )
        assert client.value("Book.objects.count()") == 3
        assert client.tool("project_get_setting", key="DEBUG")["value"] is True


def test_its_help_is_that_of_the_gate(managed: Path) -> None:
    done = told(managed, "ostiary", "--help")

    assert done.returncode == 0
    assert done.stdout.startswith("usage: ostiary run django")


def test_what_cannot_be_meant_is_said_by_the_gate(managed: Path) -> None:
    done = told(managed, "ostiary", "--read-onyl")

    assert done.returncode == 2
    assert "did you mean `--read-only`" in done.stderr


def test_it_is_a_command_of_the_project_and_no_function(managed: Path) -> None:
    code = "from django.core.management import call_command; call_command('ostiary')"
    done = told(managed, "shell", "-c", code)

    assert "this command is for a command line" in done.stderr
