"""Hostile servers that a scan starts: each is answered in time, sees nothing, and leaves nothing running."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.egress.places import read_allowed
from ostiary.sandbox.isolation.cache import cache_folder
from ostiary.sandbox.isolation.cells import Cells
from ostiary.sandbox.isolation.probe import Probed
from ostiary.sandbox.isolation.walls import Level, Walls
from ostiary.scan.scanned import Scanned, Target
from ostiary.scan.tail import Tail
from ostiary.wiring import scanning
from ostiary.wiring.scanning import scan_all
from tests.e2e.world import wait_for
from tests.needs import needs_bubblewrap, needs_root

SERVER = Path(__file__).with_name("walled_server.py")
PYTHON = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
SECONDS = 20.0
"""For a server that answers: starting one behind walls takes a second, and some where others start, too."""
WORK = "/work"
"""Where it starts."""
SHORT = 3.0
"""For one that never does."""
BESIDE = 12.0
"""What a scan may take beside the time of its server: walls are put up, and everything is ended."""


class World(NamedTuple):
    """A home folder with secrets in it, and a server that is installed there."""

    home: Path
    script: Path
    environ: dict[str, str]

    def target(self, style: str, *words: str, **more: Any) -> Target:
        return Target(name=style, command=(PYTHON, str(self.script), style, *words), **more)

    def scanned(self, *targets: Target, seconds: float = SECONDS, **more: Any) -> tuple[Scanned, ...]:
        return scan_all(targets, self.environ, on_progress=lambda _name: None, seconds=seconds, **more)

    def one(self, style: str, *words: str, seconds: float = SECONDS, **more: Any) -> Scanned:
        return self.scanned(self.target(style, *words), seconds=seconds, **more)[0]

    def told(self, *words: str, **more: Any) -> dict[str, str]:
        """What a server that looks around says of each thing that it tried."""
        return outcomes(self.one("sees", *words, **more))


def outcomes(found: Scanned) -> dict[str, str]:
    """What a server that looks around said, by what it tried."""
    assert found.found is not None, found.fault
    pairs = [tool.name.partition("=") for tool in found.found.tools]
    return {tried: outcome for tried, _, outcome in pairs}


@pytest.fixture
def world(tmp_path: Path) -> World:
    home = tmp_path / "home"
    package = home / "src" / "pkg"
    package.mkdir(parents=True)
    (package / "pyproject.toml").write_text("[project]\nname = 'pkg'\n")
    (package / ".env").write_text("SECRET=in-the-package")
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_ed25519").write_text("the key")
    (home / "src" / "notes.txt").write_text("private notes")
    script = package / "server.py"
    shutil.copy(SERVER, script)
    kept = {"PATH": needs_bubblewrap(), "HOME": str(home), "LANG": "C.UTF-8"}
    return World(home, script, kept | {"GATE_SECRET": "gate-secret-value"})


def running(mark: str) -> list[int]:
    """The processes of this machine in whose command line `mark` stands."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if mark.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def test_it_sees_its_own_package_and_the_programs_of_the_system_and_nothing_else(world: World) -> None:
    secret, notes = world.home / ".ssh/id_ed25519", world.home / "src/notes.txt"
    looked = [f"read:{secret}", f"read:{notes}", f"list:{world.home}", f"list:{world.home / 'src'}"]
    told = world.told(
        *looked, "read:/etc/shadow", "list:/run", "list:/root", "list:/var", "list:/etc/ssl/private",
        f"read:{world.script.parent}/.env", f"list:{world.script.parent}",
    )  # fmt: skip

    assert told[f"read:{secret}"] == told[f"read:{notes}"] == "FileNotFoundError"
    assert told[f"list:{world.home}"] == "got ['src']"
    assert told[f"list:{world.home / 'src'}"] == "got ['pkg']"
    assert told["read:/etc/shadow"] == told["list:/run"] == told["list:/var"] == "FileNotFoundError"
    assert told["list:/etc/ssl/private"] == "FileNotFoundError"
    assert "bash" not in told["list:/root"]
    assert told[f"read:{world.script.parent}/.env"] == "got "  # what is in it is for a person's own use
    assert "server.py" in told[f"list:{world.script.parent}"]


def test_the_state_that_the_command_line_names_is_not_seen_either(world: World) -> None:
    state = world.script.parent / "state"
    state.mkdir()
    (state / "keys").write_text("of the gate")
    words = ["scan", "--format=json", "--state-dir=state", "--", PYTHON, "server.py", "sees"]

    done = subprocess.run(
        [sys.executable, "-m", "ostiary", *words, f"read:{state}/keys"],
        cwd=world.script.parent,
        env=world.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "FileNotFoundError" in done.stdout
    assert "of the gate" not in done.stdout


def test_what_the_configurations_of_a_project_give_other_servers_is_not_seen(world: World) -> None:
    package = world.script.parent
    (package / ".cursor").mkdir()
    for each in (".mcp.json", ".cursor/mcp.json"):
        (package / each).write_text("another server's key")

    told = world.told(f"read:{package}/.mcp.json", f"list:{package}/.cursor")

    assert told == {f"read:{package}/.mcp.json": "got ", f"list:{package}/.cursor": "got []"}


def test_a_link_in_its_repository_does_not_open_the_home_folder(world: World) -> None:
    (world.script.parent.parent / "node_modules").symlink_to("..")
    key = world.script.parent.parent / "node_modules/.ssh/id_ed25519"

    told = world.told(f"read:{key}")

    assert told == {f"read:{key}": "FileNotFoundError"}


def test_a_server_below_the_folder_that_it_is_to_work_on_starts_and_sees_nothing_else_there(
    world: World,
) -> None:
    told = world.told(f"list:{world.home}", f"--root={world.home}")

    assert told == {f"list:{world.home}": "got ['src']"}


def test_the_folders_of_the_gate_are_never_shown_even_when_they_lie_in_the_package(world: World) -> None:
    state = world.script.parent / "state"
    state.mkdir()
    (state / "keys").write_text("of the gate")
    world.environ["OSTIARY_STATE_DIR"] = str(state)
    words = [f"read:{state}/keys", f"read:{world.script.parent}/pyproject.toml", f"--keys={state}/keys"]

    told = world.told(*words)

    assert told[words[0]] == "FileNotFoundError"
    assert told[words[1]] == "FileNotFoundError"  # the package as a whole is not shown either


def test_it_knows_what_its_configuration_says_and_nothing_of_our_environment(world: World) -> None:
    (one,) = world.scanned(world.target("sees", "environ", "cwd", environment={"API_KEY": "given"}))

    assert one.found is not None, one.fault
    told = outcomes(one)
    assert "'API_KEY': 'given'" in told["environ"]
    assert "'HOME': '/work'" in told["environ"]
    assert "gate-secret-value" not in told["environ"]
    assert str(world.home / "src" / "notes.txt") not in told["environ"]
    assert told["cwd"] == "got /work"


def test_it_can_write_to_empty_places_of_its_own_and_nowhere_else(world: World) -> None:
    there = world.script.parent / "planted"
    told = world.told(
        "write:/tmp/a", f"write:{WORK}/a", f"write:{there}", f"write:{world.script}", "write:/usr/a",
        "write:/a", f"write:{world.home}/a", "list:/work",
    )  # fmt: skip

    assert told["write:/tmp/a"] == told[f"write:{WORK}/a"] == "got 1"
    for place in (str(there), str(world.script), "/usr/a", "/a"):
        assert told[f"write:{place}"] in {"OSError", "PermissionError", "FileNotFoundError"}, place
    assert told["list:/work"] == "got ['a']"
    assert not there.exists()
    assert world.script.read_text() == SERVER.read_text()
    assert not (world.home / "a").exists()


def test_it_has_no_rights_and_sees_only_its_own_processes(world: World) -> None:
    told = world.told("processes", "namespaces", "read:/proc/1/environ", "read:/proc/self/status")

    assert len(told["processes"].split(",")) <= 4
    assert told["namespaces"] == "CalledProcessError"
    assert "gate-secret-value" not in told["read:/proc/1/environ"]
    status = told["read:/proc/self/status"]
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "Seccomp:\t2" in status


def test_on_the_machine_it_runs_as_a_user_without_rights(world: World) -> None:
    needs_root("start a server as another user")
    mark = uuid.uuid4().hex
    users: set[int] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            for pid in running(mark):
                with contextlib.suppress(OSError):
                    if is_server(pid):
                        users.add(Path(f"/proc/{pid}").stat().st_uid)

    watcher = threading.Thread(target=watch)
    watcher.start()
    world.one("silent", mark, seconds=3 * SHORT)  # it has to be there before that is over
    over.set()
    watcher.join()

    assert users
    assert min(users) > 65_535


class Site(NamedTuple):
    port: int
    paths: list[str]


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server of this machine."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from the host")

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Site(server.server_port, paths)
    server.shutdown()
    server.server_close()


def test_it_has_no_network_unless_it_is_given_one(world: World, site: Site) -> None:
    word = f"connect:{site.port}"

    assert world.told(word) == {word: "ConnectionRefusedError"}
    assert world.one("sees", word).network == "none"
    assert world.told(word, all_hosts=True) == {word: "got through"}
    assert world.one("sees", word, all_hosts=True).network == "all"


def test_it_reaches_the_hosts_on_the_list_and_no_other(
    world: World, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "read_allowed", partial(read_allowed, private=True))
    listed, other, straight = f"localhost:{site.port}", "elsewhere.example:80", f"connect:{site.port}"

    found = world.one("sees", f"proxied:{listed}", f"proxied:{other}", straight, hosts=(listed,))

    told = outcomes(found)
    assert told == {
        f"proxied:{listed}": "got 200",
        f"proxied:{other}": "got 403",
        straight: "ConnectionRefusedError",
    }
    assert site.paths == ["/"]
    assert (found.network, found.isolated) == ("hosts", True)


def test_the_hosts_that_it_was_refused_are_told_where_it_then_fails(world: World) -> None:
    target = world.target("asks-and-dies", "elsewhere.example:80")

    (found,) = world.scanned(target, hosts=("example.org",))

    assert "exited with status 9" in found.fault
    assert "elsewhere.example:80" in found.hint


def test_a_host_that_is_no_host_is_refused_before_anything_is_started(world: World) -> None:
    with pytest.raises(CallerFault, match="allowed host"):
        world.scanned(world.target("plain"), hosts=("not a host",))


STYLES = {
    "silent": (SHORT, "the server did not answer within 3 seconds"),
    "flood": (SHORT, ""),
    "flood-lines": (SHORT, ""),
    "loops": (SECONDS, "the server leads back to a page that was read"),
    "endless": (SECONDS, "more than 100 pages"),
    "dies": (SECONDS, "exited with status 7"),
    "bomb": (SHORT, ""),
}


@pytest.mark.parametrize("style", STYLES)
def test_whatever_it_does_there_is_a_fault_in_time_and_nothing_is_left(world: World, style: str) -> None:
    seconds, words = STYLES[style]
    began = time.monotonic()

    found = world.one(style, seconds=seconds)

    assert found.found is None
    assert found.fault
    assert words in found.fault
    assert found.fault.isprintable()
    assert found.hint.isprintable()
    assert time.monotonic() - began < seconds + BESIDE
    assert running(str(world.script)) == []


def test_what_it_wrote_before_it_died_is_shown_without_secrets(world: World) -> None:
    given = {"API_KEY": "sk-very-secret-value"}

    (found,) = world.scanned(world.target("dies", environment=given))

    assert "\\u001b[31mno key:" in found.fault
    assert "was refused" in found.fault
    assert "sk-very-secret-value" not in found.fault + found.hint
    assert found.isolated


def test_a_flood_on_stderr_is_cut_to_its_last_lines(world: World) -> None:
    found = world.one("flood-stderr", seconds=SHORT)

    assert "did not answer within" in found.fault
    assert len(found.fault) < 1_000


def test_no_more_is_kept_of_it_than_is_shown() -> None:
    async def main() -> bytes:
        tail = Tail()
        for number in range(200):
            os.write(tail.writing, b"%d" % number + b"y" * 1_000 + b"\n")
            await asyncio.sleep(0)
        return tail.end()

    kept = asyncio.run(main())

    assert len(kept) <= 4_096
    assert b"199yyy" in kept


def test_its_children_end_with_it(world: World) -> None:
    mark = uuid.uuid4().hex

    found = world.one("forks", mark)

    assert found.found is not None, found.fault
    assert running(mark) == []


@pytest.mark.parametrize("style", ["rubbish", "samples", "stubborn", "ends-at-discovery"])
def test_a_server_with_bad_manners_is_asked_all_the_same(world: World, style: str) -> None:
    found = world.one(style)

    assert found.found is not None, found.fault
    assert [tool.name for tool in found.found.tools] == ["t"]
    assert running(str(world.script)) == []


def test_a_huge_name_is_kept_as_it_is_and_shown_nowhere(world: World) -> None:
    found = world.one("huge")

    assert found.found is not None, found.fault
    assert len(found.found.tools[0].name) > 300_000
    assert found.fault == ""


def test_memory_is_bounded(world: World) -> None:
    found = world.one("sees", f"memory:{3 << 30}")

    told = found.fault if found.found is None else found.found.tools[0].name
    assert "got" not in told


def test_without_what_walls_take_nothing_is_started_and_the_fault_says_what_is_missing(world: World) -> None:
    world.environ["PATH"] = "/nonexistent"

    found = world.one("plain")

    assert "bubblewrap" in found.fault
    assert "apt-get install bubblewrap" in found.hint
    assert "--unsafe-no-isolation" in found.hint
    assert (found.isolated, found.network) == (False, "none")  # it did not run
    (open_,) = world.scanned(world.target("plain"), unsafe_no_isolation=True)
    assert open_.found is not None, open_.fault
    assert (open_.isolated, open_.network) == (False, "all")


def test_where_processes_cannot_be_bounded_they_are_refused_and_that_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = Walls.decide

    def unbounded(wanted: Level, found: Probed) -> Walls:
        walls = decide(wanted, found)
        return msgspec.structs.replace(walls, bounded=False, cells=Cells(found.uids, None))

    monkeypatch.setattr(Walls, "decide", unbounded)

    plain, forking, hosts = (
        world.one("plain"), world.one("forks", "x"), world.one("plain", hosts=("example.org",)),
    )  # fmt: skip

    assert plain.found is not None, plain.fault
    assert "PermissionError" in forking.fault or "Operation not permitted" in forking.fault
    assert "cgroups" in forking.hint
    assert "cannot be bounded" in hosts.fault


def test_it_ends_with_a_scan_that_is_killed(world: World) -> None:
    mark = uuid.uuid4().hex
    code = (
        "import json, sys\n"
        "from ostiary.scan.scanned import Target\n"
        "from ostiary.wiring.scanning import scan_all\n"
        "command, environ = json.loads(sys.argv[1])\n"
        "target = Target(name='s', command=tuple(command))\n"
        "scan_all([target], environ, on_progress=lambda name: None, seconds=60)\n"
    )
    command = world.target("silent", mark).command
    scan = subprocess.Popen([sys.executable, "-c", code, json.dumps([command, world.environ])])
    try:
        wait_for("the server", lambda: any(is_server(pid) for pid in running(mark)), 20)
    finally:
        scan.kill()
        scan.wait()

    wait_for("its end", lambda: running(mark) == [])


def is_server(pid: int) -> bool:
    """Whether it is the server itself, and not what has to start it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(PYTHON.encode() + b"\0")
    except OSError:
        return False


def test_a_bad_server_does_not_hold_up_a_good_one(world: World) -> None:
    good, bad = world.target("plain"), world.target("silent")

    found = world.scanned(bad, good, bad, seconds=3 * SHORT)

    assert [one.found is not None for one in found] == [False, True, False]


def test_what_a_killed_scan_has_left_is_taken_away_by_a_later_one(world: World) -> None:
    world.one("plain")
    base = cache_folder(world.environ) / "scans"
    old, new = base / uuid.uuid4().hex, base / uuid.uuid4().hex
    for folder in (old, new):
        (folder / "root").mkdir(parents=True)
    os.utime(old, (1, 1))

    world.one("plain")

    assert not old.exists()
    assert new.exists()
    shutil.rmtree(new)
