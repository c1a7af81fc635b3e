"""Root answers with a key of its own, in a state directory of another user.

This is how a key needs no passphrase: the agent's user cannot read it. What root does must leave
files that the gate of that user can still read and write.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.approvals.step import Ask, Waiting
from ostiary.store.clock import BootClock
from ostiary.store.connection import connect_to_read
from ostiary.wiring.approvals import as_owner
from tests.approvals.making import request
from tests.needs import missing
from tests.store.asking import LIFE, entry
from tests.store.writing import World

USER = 12345
OSTIARY = Path(sys.executable).parent / "ostiary"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter, with the state directory of a user below it."""
    if os.geteuid() != 0:
        missing("only root can act as two users")
    folder = Path(tempfile.mkdtemp(prefix="ostiary-root-"))
    folder.chmod(0o755)
    try:
        state = folder / "state"
        state.mkdir(mode=0o700)
        os.chown(state, USER, USER)
        yield folder
    finally:
        shutil.rmtree(folder)


def ostiary(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(OSTIARY), "approvals", *arguments, "--state-dir", str(place / "state")],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def owners(place: Path) -> dict[str, int]:
    state = place / "state"
    return {str(path.relative_to(state)): path.stat().st_uid for path in [state, *state.rglob("*")]}


def asks(place: Path) -> str:
    """The gate of that user holds a call; it runs as they do."""
    world = World(place / "state")
    with as_owner(world.state), world.store(clock=BootClock()) as store:
        now = store.clock.now()
        asked = Ask(request(id="apr_1", digest="", asked=now, expires=now + LIFE), b"{}")
        reply = store.commit([entry(asked)])[0]
    assert isinstance(reply, Waiting)
    return reply.id


def test_what_root_does_for_another_user_leaves_that_users_files(place: Path) -> None:
    key = place / "approver.key"
    made = ostiary(place, "init", "--as", "user:root", "--key", str(key))
    assert made.returncode == 0, made.stderr
    assert made.stdout.endswith("(not encrypted)\n")
    assert (key.stat().st_uid, key.stat().st_mode & 0o777) == (0, 0o600)
    assert set(owners(place).values()) == {USER}

    waiting = asks(place)
    for arguments in (
        ("list",),
        ("show", waiting),
        ("resolve", waiting, "--approve", "--key", str(key)),
        ("list", "--all"),
    ):
        done = ostiary(place, *arguments)
        assert done.returncode == 0, done.stderr
        assert set(owners(place).values()) == {USER}, arguments
    connection = connect_to_read(place / "state" / "ostiary.db")
    try:
        assert connection.execute("SELECT state FROM approvals").fetchall() == [("approved",)]
    finally:
        connection.close()


def test_a_key_of_root_inside_the_state_directory_wants_a_passphrase(place: Path) -> None:
    """That user could exchange it, so its owner alone protects nothing."""
    refused = ostiary(place, "init", "--as", "user:root")

    assert refused.returncode == 2
    assert "passphrase" in refused.stderr
    assert not (place / "state" / "keys" / "approver").exists()
