"""A server of PostgreSQL for a run of tests: started by whoever needs it first, ended by the last.

It listens on a unix socket, and on a free port of this machine. Everybody may log in as anybody.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.needs import needs_postgres

START_S = 30
"""A server starts in half a second; its data folder takes two, and more on a busy machine."""

_numbers = itertools.count()


class Postgres:
    """A running server. `host` is the folder of its socket."""

    def __init__(self, folder: Path, port: int) -> None:
        self.host = str(folder / "socket")
        self.port = port

    def sql(self, *statements: str, database: str = "postgres", user: str = "postgres") -> list[Any]:
        """Run some statements, each by itself; the rows of the last."""
        with psycopg.connect(
            host=self.host, port=self.port, dbname=database, user=user, autocommit=True
        ) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def database(self, template: str = "template1", owner: str = "postgres") -> str:
        """The name of a new database, a copy of `template`."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {owner}")
        return name

    def connections(self, database: str) -> int:
        """How many clients are connected to a database."""
        return self.sql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'")[0][0]


def _user() -> dict[str, Any]:
    """Whom root becomes for it: initdb refuses root, and wants somebody who has a name."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start(folder: Path) -> None:
    programs, more = needs_postgres()
    for name in ("data", "socket"):
        (folder / name).mkdir()
        if os.geteuid() == 0:
            shutil.chown(folder / name, "nobody")
    environ = {"PATH": os.defpath, "LANG": "C.UTF-8", **more}
    subprocess.run(
        [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8"],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=60,
        cwd="/",
        **_user(),
    )
    port = _free_port()
    options = {
        "listen_addresses": "127.0.0.1", "unix_socket_directories": str(folder / "socket"), "port": str(port),
        "fsync": "off", "jit": "off", "shared_buffers": "16MB", "max_connections": "50",
    }  # fmt: skip
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                programs / "postgres",
                "-D",
                folder / "data",
                *(f"--{key}={one}" for key, one in options.items()),
            ],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            **_user(),
        )
    server.returncode = 0  # whoever is last ends it, and that may be another process
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(psycopg.OperationalError):
            Postgres(folder, port).sql("SELECT 1")
            break
        assert time.monotonic() < deadline, (folder / "log").read_text()
    (folder / "server").write_text(f"{server.pid} {port}")


def _stop(folder: Path) -> None:
    pid = int((folder / "server").read_text().split()[0])
    descriptor = os.pidfd_open(pid)
    signal.pidfd_send_signal(descriptor, signal.SIGINT)
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(5_000), "PostgreSQL did not end"
    os.close(descriptor)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """The server of this run of tests."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir(), f"ostiary-postgres-{run}")
    lock = Path(f"{folder}.lock")
    with lock.open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (folder / "server").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o755)
            folder.chmod(0o755)
            _start(folder)
        using = (folder / "users").open("w")
        fcntl.flock(using, fcntl.LOCK_SH)
    try:
        yield Postgres(folder, int((folder / "server").read_text().split()[1]))
    finally:
        with lock.open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            last = True
            try:
                fcntl.flock(using, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                last = False
            if last:
                _stop(folder)
                shutil.rmtree(folder)
                lock.unlink()
            using.close()
