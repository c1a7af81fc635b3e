"""What a project sees of the machine, and what it is told when that is not enough."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.django.databases import Database, folders
from ostiary.sandbox.django.interpreter import Python
from ostiary.sandbox.django.project import Project, check_sealed
from ostiary.sandbox.django.runner import DjangoRunner
from ostiary.sandbox.django.settings import DjangoSettings
from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.walls import Level, Walls
from ostiary.sandbox.limits import Limits
from tests.needs import needs_root
from tests.sandbox.django.world import GRACE_MS, USER, Shells, copied, shells, walls_for
from tests.tools.postgres import Postgres

pytestmark = pytest.mark.timeout(120)

GONE = "import os; [one for one in {paths!r} if os.path.lexists(one)]"


def test_nothing_of_the_host_is_seen_beside_the_project_and_what_python_needs(walled: Shells) -> None:
    paths = ["/home", "/etc/shadow", "/etc/hostname", "/var", "/opt", "/srv", "/run", str(Path(__file__))]
    assert walled.run(GONE.format(paths=paths)).json == "[]"
    beside = str(walled.project.parent)
    assert walled.run(f"import os; os.listdir({beside!r})").json == '["shop"]'


@pytest.mark.parametrize("path", ["/usr/lib/new", "/etc/new", "/new", "/python/new"])
def test_nothing_outside_of_the_project_can_be_written(walled: Shells, path: str) -> None:
    assert walled.run(f"open({path!r}, 'w')").error.type in {"OSError", "PermissionError"}


def test_packages_cannot_be_written(walled: Shells) -> None:
    code = "import django, pathlib; pathlib.Path(django.__file__).with_name('new.py').write_text('')"
    assert walled.run(code).error.type in {"OSError", "PermissionError"}


def test_the_project_can_be_written_and_belongs_to_whom_it_did(walled: Shells) -> None:
    walled.run("open('notes.txt', 'w').write('kept')")
    notes = walled.project / "notes.txt"
    assert notes.read_text() == "kept"
    assert notes.stat().st_uid == walled.project.stat().st_uid
    notes.unlink()


def test_two_runs_and_two_sessions_share_no_temporary_file(walled: Shells) -> None:
    walled.run("open('/tmp/mine', 'w').write('x')", session="one")
    code = "import os; os.path.exists('/tmp/mine')"
    assert walled.run(code, session="one").json == "true"
    assert walled.run(code, session="two").json == "false"
    assert walled.run(code).json == "false"


def test_no_process_is_seen_but_its_own(walled: Shells) -> None:
    walled.needs_processes()
    walled.run("import subprocess; p = subprocess.Popen(['sleep', '30'])", session="one")
    code = "import glob; sorted(open(p).read() for p in glob.glob('/proc/[0-9]*/comm'))"
    assert "sleep" in walled.run(code, session="one").result.text
    assert "sleep" not in walled.run(code, session="two").result.text


def test_there_is_no_network(walled: Shells) -> None:
    told = walled.run("import socket; socket.create_connection(('127.0.0.1', 1))")
    assert told.error.type in {"OSError", "PermissionError"}
    assert "not supported" in told.error.message or "not permitted" in told.error.message


def test_programs_and_the_projects_own_python_can_be_started(walled: Shells) -> None:
    walled.needs_processes()
    code = "import subprocess, sys; subprocess.run([sys.executable, 'manage.py', 'check'], check=True)"
    assert "no issues" in walled.run(code).stdout.shown


@pytest.mark.parametrize("level", ["none", "best-effort"])
def test_without_walls_it_works_all_the_same_and_says_what_is_missing(
    common: Path, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = probe({"PATH": "/nowhere"}) if level == "best-effort" else None
    if found is not None:
        walls, (_, cache) = Walls.decide("best-effort", found), walls_for("none")
        monkeypatch.setattr("tests.sandbox.django.world.walls_for", lambda _: (walls, cache))
    with shells(common, level) as shop:
        monkeypatch.setattr(shop.runner, "grace_ms", GRACE_MS)
        told = shop.run("from shop.models import Book; Book.objects.count()", session="s")
        assert told.json == "3"
        assert told.isolation.level == level
        assert told.isolation.missing
        assert shop.run("while True: pass", session="s", limits=Limits(wall_ms=300)).status == "timeout"
        assert shop.run("Book.objects.count()", session="s").json == "3"
        assert shop.run("import os; os._exit(3)", session="s").session_lost
        assert shop.run("1", session="s").json == "1"


# --- databases ------------------------------------------------------------------------------------


def test_a_socket_of_postgresql_is_reached_without_a_network(
    common: Path, stocked: dict[str, str], server: Postgres
) -> None:
    with shells(common, settings="bookshop.postgresql", environment=tuple(stocked), environ=stocked) as shop:
        assert shop.run("from shop.models import Book; Book.objects.count()").json == "3"
        told = shop.run("import os; os.listdir(settings.DATABASES['default']['HOST'])")
        assert f".s.PGSQL.{server.port}" in told.result.text


def test_a_port_of_postgresql_needs_the_network_and_the_error_says_so(
    common: Path, stocked: dict[str, str], server: Postgres
) -> None:
    variables = stocked | {"BOOKSHOP_DB_HOST": "127.0.0.1"}
    given = {"settings": "bookshop.postgresql", "environment": tuple(variables), "environ": variables}
    with pytest.raises(CallerFault) as told, shells(common, **given):
        pass
    assert (
        f"the database `default` is at 127.0.0.1:{server.port}, and code has no network" in told.value.message
    )
    assert "--network" in str(told.value.hint)
    with shells(common, network=True, **given) as shop:
        assert shop.run("from shop.models import Book; Book.objects.count()").json == "3"
        assert shop.run("import socket; socket.gethostbyname('localhost')").result.text == "127.0.0.1"


def _database(**more: str) -> Database:
    return Database(**{"alias": "default", "engine": "e.sqlite3", "name": "", "host": "", "port": ""} | more)


def test_a_file_of_sqlite_has_to_be_where_code_can_see_it(tmp_path: Path) -> None:
    seen = (tmp_path,)
    for name in (f"{tmp_path}/db", ":memory:", "file:x?mode=memory", "", "db.sqlite3"):
        assert folders((_database(name=name),), seen, network=False) == ()
    with pytest.raises(CallerFault, match=r"the database `default` is /var/lib/db, outside"):
        folders((_database(name="/var/lib/db"),), seen, network=False)


@contextmanager
def _listening(*paths: Path) -> Iterator[None]:
    """Sockets at these paths."""
    with ExitStack() as opened:
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            folder = os.open(path.parent, os.O_PATH)  # the name of a socket is short
            opened.callback(os.close, folder)
            opened.enter_context(socket.socket(socket.AF_UNIX)).bind(f"/proc/self/fd/{folder}/{path.name}")
        yield


def _postgresql(host: Path | str, port: str = "") -> Database:
    return _database(engine="django.db.backends.postgresql", host=str(host), port=port)


def _mysql(host: Path | str) -> Database:
    return _database(engine="django.db.backends.mysql", host=str(host))


def test_the_folders_of_sockets_are_those_in_which_a_server_is(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    some = (
        _postgresql(one),
        _database(engine="django_tenants.postgresql_backend", host=str(one)),
        _postgresql(two, "5433"),
        _mysql(two / "mysqld.sock"),
        _postgresql("/nowhere/at/all"),
    )
    with _listening(one / ".s.PGSQL.5432", two / ".s.PGSQL.5433", two / "mysqld.sock"):
        assert folders(some, (), network=False) == (str(one), str(two))


def test_a_folder_is_not_shown_for_being_named_as_one_of_sockets(tmp_path: Path) -> None:
    """Code can write to settings, and they are read anew at the next start."""
    run, keys = tmp_path / "run", tmp_path / "keys"
    keys.mkdir()
    asked = (
        _postgresql("/"),
        _postgresql(keys),
        _postgresql(run, "5433"),
        _mysql(run / "docker.sock"),
        _mysql(keys / "mysql.sock"),
    )
    with _listening(run / "docker.sock", run / ".s.PGSQL.5432"):
        assert folders(asked, (), network=False) == ()


def test_no_folder_of_sockets_is_taken_from_where_code_can_put_one(tmp_path: Path) -> None:
    """It would be a link to somewhere else by the time that it is shown."""
    project, outside = tmp_path / "project", tmp_path / "outside"
    project.mkdir()
    (project / "link").symlink_to(outside)
    (tmp_path / "way").symlink_to(project)
    asked = (_postgresql(project / "own"), _postgresql(project / "link"), _postgresql(tmp_path / "way/own"))
    with _listening(project / "own/.s.PGSQL.5432", outside / ".s.PGSQL.5432"):
        assert folders(asked, (project,), network=False) == ()
        assert folders(asked[:1], (), network=False) == (str(project / "own"),)


# --- folders and users ----------------------------------------------------------------------------


def runner(**more: Any) -> DjangoRunner:
    """One that is not started."""
    walls, cache = walls_for("none")
    return DjangoRunner(DjangoSettings(settings="x", **more), walls, cache, {})


@pytest.mark.parametrize("folder", ["/", str(Path.home()), "/usr"])
def test_a_folder_that_holds_more_than_a_project_is_refused(folder: str) -> None:
    with pytest.raises(CallerFault, match="is more than a project"):
        runner(project=Path(folder))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallerFault, match="there is no project folder"):
        runner(project=tmp_path / "none")
    with pytest.raises(CallerFault, match=r"there is no folder .* to import from"):
        runner(project=tmp_path, pythonpath=(str(tmp_path / "none"),))


def test_a_folder_of_the_python_path_is_seen_and_comes_first(project: Path, tmp_path: Path) -> None:
    more = project.parent / "more"
    more.mkdir()
    (more / "extra.py").write_text("A = 1\n")
    with shells(project, pythonpath=(str(more),)) as shop:
        assert shop.run("import extra, sys; extra.A, sys.path[0]").json == f'[1, "{more}"]'
        assert shop.run(f"open('{more}/new', 'w')").error.type in {"OSError", "PermissionError"}


def test_a_project_of_roots_can_be_read_and_not_written(template: Path) -> None:
    needs_root("own the project")
    with copied(template) as project:
        for path in (project, *project.rglob("*")):
            os.chown(path, 0, 0, follow_symlinks=False)
        with shells(project) as shop:
            assert "belongs to root" in shop.troubles[0]
            assert shop.run("from shop.models import Book; Book.objects.count()").json == "3"
            assert (
                "readonly"
                in shop.run(
                    "Book.objects.all().delete()"
                    and "from shop.models import Tag; Tag.objects.create(word='n')"
                ).error.message
            )


def test_a_project_that_its_user_cannot_reach_is_refused_with_the_folder_that_is_closed(
    project: Path,
) -> None:
    needs_root("start it as another user")
    project.parent.chmod(0o700)
    with pytest.raises(CallerFault) as told, shells(project):
        pass
    assert f"{project.parent} is closed to others" in told.value.message


# --- interpreters ---------------------------------------------------------------------------------


def test_an_environment_within_the_project_is_used_and_cannot_be_written(project: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project / ".venv"], check=True, timeout=60)
    packages = next(project.glob(".venv/lib/python*/site-packages"))
    here = next(one for one in map(Path, sys.path) if (one / "django").is_dir())
    (packages / "beside.pth").write_text(f"{here}\nimport sys; sys.marked = 5\n")
    with shells(project, python=str(project / ".venv/bin/python")) as shop:
        told = shop.run("import sys; sys.marked, sys.prefix, sys.executable")
        assert json.loads(told.json) == [5, f"{project}/.venv", f"{project}/.venv/bin/python"]
        assert shop.run(f"open('{packages}/new', 'w')").error.type == "OSError"
        assert shop.run("open('new', 'w').close()").status == "success"


def _environment(folder: Path) -> Path:
    """An empty environment that finds Django where this one does; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    here = next(one for one in map(Path, sys.path) if (one / "django").is_dir())
    (next(folder.glob("lib/python*/site-packages")) / "beside.pth").write_text(f"{here}\n")
    return folder / "bin/python"


def test_an_environment_deep_within_the_project_cannot_be_replaced_with_its_folder(project: Path) -> None:
    python = _environment(project / "backend/env/.venv")
    for folder in (python.parents[2], python.parents[3]):
        os.chown(folder, project.stat().st_uid, -1)
    with shells(project, python=str(python)) as shop:
        for name in ("backend/env/.venv", "backend/env", "backend"):
            told = shop.run(f"import os; os.rename({name!r}, {name + '-moved'!r})")
            assert "Device or resource busy" in told.error.message
        assert shop.run("open('backend/env/new', 'w').close()").status == "success"
        assert project / "backend/env/.venv" in shop.runner.sealed()
        assert shop.run("open('backend/env/.venv/new', 'w')").error.type == "OSError"


def test_an_environment_that_is_named_by_another_way_to_the_project_cannot_be_written(project: Path) -> None:
    _environment(project / ".venv")
    way = project.parent / "way"
    way.symlink_to(project)
    with shells(project, python=str(way / ".venv/bin/python")) as shop:
        assert shop.run(f"open('{project}/.venv/new', 'w')").error.type == "OSError"
        assert shop.run("open('new', 'w').close()").status == "success"


def _seen(project: Path, python: Path, prefix: Path) -> Project:
    """A project whose interpreter says that it belongs to `prefix`."""
    facts = ("base_prefix", "exec_prefix", "base_exec_prefix", "library")
    return Project(
        told=DjangoSettings(settings="s", project=project, python=str(python)),
        python=Python(
            version=(3, 11),
            executable=str(python),
            prefix=str(prefix),
            path=(),
            packages=(),
            **dict.fromkeys(facts, "/usr"),
        ),
        files="/nowhere",
        environment={},
    )


def test_an_interpreter_that_code_could_replace_is_refused(tmp_path: Path) -> None:
    real = tmp_path / "one/.venv"
    (real / "bin").mkdir(parents=True)
    (real / "bin/python").symlink_to("/usr/bin/env")
    (tmp_path / "env").symlink_to(real)
    (tmp_path / "python").symlink_to(real / "bin/python")

    check_sealed(_seen(tmp_path, real / "bin/python", real))
    check_sealed(_seen(tmp_path, Path("/usr/bin/python3"), Path("/usr")))
    for python, prefix in (
        (tmp_path / "env/bin/python", tmp_path / "env"),
        (tmp_path / "python", Path("/usr")),
        (real / "bin/python", Path("/usr")),
    ):
        with pytest.raises(CallerFault, match="code could put another program in the place of"):
            check_sealed(_seen(tmp_path, python, prefix))


def test_settings_that_do_not_load_are_told_with_their_line(project: Path) -> None:
    (project / "bookshop/settings.py").write_text("import os\nNAME = os.environ['NOT_GIVEN']\n")
    with pytest.raises(CallerFault) as told, shells(project):
        pass
    assert "does not load: KeyError: 'NOT_GIVEN'" in told.value.message
    assert told.value.hint == f"{project}/bookshop/settings.py, line 2"


def test_root_does_not_run_a_program_of_somebody_elses(project: Path) -> None:
    needs_root("run what belongs to others")
    mine = project / "python"
    shutil.copy(Path("/usr/bin/python3").resolve(), mine)
    os.chown(mine, USER, USER)
    with pytest.raises(CallerFault, match=f"it belongs to user {USER}"), shells(project, python=str(mine)):
        pass


def test_threads_that_a_project_starts_are_told_and_not_forked(project: Path) -> None:
    settings = project / "bookshop/settings.py"
    thread = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    settings.write_text(settings.read_text() + thread)
    with shells(project) as shop:
        assert "starts threads when it loads (1)" in shop.troubles[0]
        assert shop.run("import threading; threading.active_count()").json == "1"


def test_an_interpreter_without_django_is_told(project: Path) -> None:
    with (
        pytest.raises(CallerFault, match="this interpreter has no Django"),
        shells(project, python="/usr/bin/python3"),
    ):
        pass


def test_a_program_that_is_no_python_is_told(project: Path) -> None:
    with (
        pytest.raises(CallerFault, match="cannot run the interpreter /bin/false"),
        shells(project, python="/bin/false"),
    ):
        pass
