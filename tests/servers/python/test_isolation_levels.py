"""What the Python server says and does on machines that lack what its walls are made of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.sandbox.isolation.root import build_root
from tests.e2e.driver import PYTHON_2, Drivers, Stdio, text
from tests.e2e.world import environment, state_folder
from tests.needs import ROOT, needs_program
from tests.servers.python.world import CACHE, OSTIARY, walled

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]


@pytest.fixture(scope="module")
def clients() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()


def without_bubblewrap() -> dict[str, str]:
    """A machine on which nobody has installed it."""
    folders = [folder for folder in os.environ["PATH"].split(":") if not (Path(folder) / "bwrap").exists()]
    return {"PATH": ":".join(folders), "OSTIARY_CACHE_DIR": str(CACHE)}


def without_user_namespaces() -> list[str]:
    """In front of a command: a machine that lets nobody have namespaces of their own.

    As in a container without privileges: no user namespace can be made, and nothing can be mounted.
    """
    bubblewrap = str(needs_program("bwrap"))
    return [
        bubblewrap,
        "--bind",
        "/",
        "/",
        "--dev-bind",
        "/dev",
        "/dev",
        "--unshare-user",
        "--disable-userns",
    ]


def started(folder: Path, *options: str, env: dict[str, str], before: list[str]) -> tuple[int, str]:
    """The exit status and what was said, of a server whose client leaves at once."""
    command = [*before, *OSTIARY, "run", "python", "--state-dir", str(state_folder(folder)), *options]
    done = subprocess.run(
        command, env=environment(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_strict_refuses_without_bubblewrap_and_says_what_brings_it(tmp_path: Path) -> None:
    status, said = started(tmp_path, env=without_bubblewrap(), before=[])

    assert status == 2
    assert "strict isolation needs bubblewrap" in said
    assert "apt-get install bubblewrap" in said
    assert "ostiary doctor" in said


def test_strict_refuses_without_user_namespaces_and_says_why(tmp_path: Path) -> None:
    status, said = started(tmp_path, env=walled(), before=without_user_namespaces())

    assert status == 2
    assert "strict isolation needs user namespaces" in said
    assert "hint: " in said


@pytest.mark.parametrize("lack", ["bubblewrap", "user namespaces"])
def test_best_effort_names_what_is_missing_in_every_reply(
    clients: Drivers, tmp_path: Path, lack: str
) -> None:
    env = without_bubblewrap() if lack == "bubblewrap" else walled()
    before = without_user_namespaces() if lack == "user namespaces" else []
    command = [*before, *OSTIARY, "run", "python", "--isolation", "best-effort"]
    target = Stdio([*command, "--state-dir", str(state_folder(tmp_path))], tmp_path / "log", env)
    with clients.connect(PYTHON_2, target) as client:
        for code in ("1+1", "1/0", "print('x')"):
            answer = client.call("python_execute", code=code)
            told = text(answer)
            assert "__ISOLATION__:\nbest-effort: no " in told, told
            assert f"no {lack}: " in told, told
            isolation = answer["result"]["structuredContent"]["isolation"]
            assert isolation["level"] == "best-effort"
            assert any(missing.startswith(f"no {lack}: ") for missing in isolation["missing"])
        status = client.ask("resources/read", {"uri": "sandbox://status"})
        layers = json.loads(status["result"]["contents"][0]["text"])["layers"]
        assert lack in {layer["name"] for layer in layers if not layer["found"]}


def test_the_unsafe_switch_is_shown_recorded_and_named_in_every_reply(
    clients: Drivers, tmp_path: Path
) -> None:
    command = [*OSTIARY, "run", "python", "--unsafe-no-isolation", "--state-dir", str(state_folder(tmp_path))]
    target = Stdio(command, tmp_path / "log", without_bubblewrap())
    with clients.connect(PYTHON_2, target) as client:
        assert "__ISOLATION__:\nnone: " in text(client.call("python_execute", code="1+1"))
    assert "--unsafe-no-isolation" in (tmp_path / "log").read_text()
    records = subprocess.run(
        [*OSTIARY, "audit", "export", "--state-dir", str(tmp_path / "state")],
        env=environment({}), capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert "--unsafe-no-isolation" in records.stdout


def test_the_two_ways_to_say_how_much_isolation_contradict_each_other(tmp_path: Path) -> None:
    status, said = started(
        tmp_path, "--isolation", "strict", "--unsafe-no-isolation", env=walled(), before=[]
    )

    assert status == 2
    assert "contradict each other" in said


def test_there_is_no_other_way_to_have_no_isolation(tmp_path: Path) -> None:
    status, said = started(tmp_path, "--isolation", "none", env=walled(), before=[])

    assert status == 2
    assert "--isolation: invalid choice: `none`" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user is what runs all the other tests")
def test_an_ordinary_user_has_the_same_walls(clients: Drivers, tmp_path: Path) -> None:
    """Started by somebody who may do nothing special, with an interpreter that such a user can reach."""
    root = build_root(CACHE, Path(sys.executable))
    home = Path(f"/var/tmp/ostiary-tests-ordinary-{os.getpid()}")
    home.mkdir(mode=0o755)
    os.chown(home, 54_321, 54_321)
    env = {
        **walled(), "HOME": str(home), "OSTIARY_CACHE_DIR": str(home / "cache"),
        "PYTHONPATH": ":".join(path for path in sys.path if path.startswith(str(ROOT))),
        "LD_LIBRARY_PATH": f"{root.path}/lib",
    }  # fmt: skip
    become = [str(needs_program("setpriv")), "--reuid", "54321", "--regid", "54321", "--clear-groups"]
    command = [*become, f"{root.path}{root.python}", "-m", "ostiary", "run", "python"]
    try:
        target = Stdio([*command, "--state-dir", str(home / "state")], tmp_path / "log", env)
        with clients.connect(PYTHON_2, target) as client:
            answer = client.call("python_execute", code="import os\nprint(os.listdir('/'))\nos.getuid()")
            told = text(answer)
            assert "__RESULT__:\n65534" in told, told
            assert "home" not in told
            assert answer["result"]["structuredContent"]["isolation"]["level"] == "strict"
    finally:
        shutil.rmtree(home)
