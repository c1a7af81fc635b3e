"""A server of PostgreSQL for a run of tests: started by whoever needs it first, ended with the last.

It listens on a unix socket, and on a free port of this machine. Everybody may log in as anybody.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

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
    """One that the kernel gives to nobody who asks for any: it is free still when the server starts."""
    while True:
        port = 15_000 + secrets.randbelow(15_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


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
    told = (f"--{key}={one}" for key, one in options.items())
    command = [str(programs / "postgres"), "-D", str(folder / "data"), *told]
    keeper = subprocess.Popen(
        [sys.executable, "-c", _KEEPER, str(folder), json.dumps(command), json.dumps(_user())],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    keeper.returncode = 0  # it ends by itself, and that may be after us
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(psycopg.OperationalError):
            Postgres(folder, port).sql("SELECT 1")
            break
        assert time.monotonic() < deadline, (folder / "log").read_text()
    (folder / "port").write_text(str(port))


_KEEPER = """
import fcntl, json, os, shutil, signal, subprocess, sys
folder, command, user = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
with open(folder + "/log", "wb") as log, open(folder + "/users") as users:
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **user)
    fcntl.flock(users, fcntl.LOCK_EX)
    server.send_signal(signal.SIGINT)
    server.wait()
    os.rename(folder, folder + ".old")
os.unlink(folder + ".lock")
shutil.rmtree(folder + ".old")
"""
"""Runs the server until nobody holds the lock of its users any more, be it because they were killed."""


def _joined(folder: Path) -> IO[str] | None:
    """A share in the server, which is started if there is none; None while an earlier one ends."""
    if not (folder / "port").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        folder.chmod(0o755)
    try:
        using = (folder / "users").open("a")
    except FileNotFoundError:  # it has just ended
        return None
    try:
        fcntl.flock(using, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if not (folder / "port").exists():
            _start(folder)
    except BlockingIOError:
        using.close()
        return None
    except BaseException:
        using.close()
        raise
    return using


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """The server of this run of tests."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir(), f"ostiary-postgres-{run}")
    deadline = time.monotonic() + START_S
    with Path(f"{folder}.lock").open("w") as turn:
        using = None
        while using is None:
            assert time.monotonic() < deadline, "the server of others does not end"
            fcntl.flock(turn, fcntl.LOCK_EX)
            using = _joined(folder)
            fcntl.flock(turn, fcntl.LOCK_UN)
        with using:
            yield Postgres(folder, int((folder / "port").read_text()))
