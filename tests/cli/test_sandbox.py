"""`ostiary sandbox prepare`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ostiary.cli.app import build
from ostiary.sandbox.packages.opening import find_uv
from tests.cli.test_messages import ostiary
from tests.needs import missing
from tests.sandbox.packages.world import environ, roots, shelf, wheel


@contextmanager
def index_beside(lock_digest_of: bytes) -> Iterator[str]:
    """An index with one wheel, in a thread of its own, since the command has its own event loop."""
    told: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with shelf() as index:
            index.add("plain-1.0-py3-none-any.whl", lock_digest_of)
            told.append(index.url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(5)
    try:
        yield told[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        loop.close()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The environment of a machine with bubblewrap, and a lock of one small wheel."""
    given = environ(roots(), "strict") | {"OSTIARY_CACHE_DIR": str(roots())}
    if find_uv(given) is None:
        missing("uv is not installed")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    content = wheel("plain", {"unique.txt": str(id(given)).encode()})
    lock = f"plain==1.0 --hash=sha256:{hashlib.sha256(content).hexdigest()}\n"
    monkeypatch.setattr("ostiary.sandbox.packages.wheels.locked_wheels", lambda: lock)
    return content


def test_what_is_locked_is_fetched_and_told(settled: bytes) -> None:
    with index_beside(settled) as url:
        done = CliRunner().invoke(build(), ["sandbox", "prepare", "--index-url", url, "--format", "json"])
    assert done.exit_code == 0, done.output

    told = json.loads(done.stdout)
    assert (told["v"], told["engine"], told["packages"]) == (1, "cpython", ["plain==1.0"])
    assert (Path(told["folder"]) / "plain.py").is_file()

    again = CliRunner().invoke(build(), ["sandbox", "prepare", "--index-url", "http://127.0.0.1:9/"])
    assert "1 packages: " in again.stdout, again.output


def test_credentials_do_not_belong_on_a_command_line(tmp_path: Path) -> None:
    done = ostiary("sandbox", "prepare", "--index-url", "https://me:hush@one.example/simple", cwd=tmp_path)

    assert done.returncode == 2
    assert "must not carry credentials" in done.stderr
    assert "hush" not in done.stderr
