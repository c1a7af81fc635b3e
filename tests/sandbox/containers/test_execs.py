"""Commands in containers: what they are given, what comes back, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from ostiary.sandbox.containers.execs import Doubt, Said, State, code_of
from ostiary.sandbox.containers.found import Found
from ostiary.sandbox.containers.inside.ending import MARK, arguments, of_run
from ostiary.sandbox.containers.killing import end_on_host, new_mark
from ostiary.sandbox.limits import Limits
from tests.sandbox.containers.world import BEGUN_MS, PATIENCE_S, World, cli, world
from tests.tools.engines import IMAGES

pytestmark = pytest.mark.timeout(120)


def until(holds: Callable[[], bool]) -> None:
    """Wait until a program has become another one, which it does after it has started."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_streams_and_the_exit_code_come_back_apart(any_engine: World, box: Found) -> None:
    record = any_engine.run(box, "sh", "-c", "echo out; echo err >&2; exit 3")

    assert (record.stdout.whole, record.stderr.whole, record.exit_code) == ("out\n", "err\n", 3)
    assert (record.status, record.engine) == ("error", any_engine.runner.name)


def test_a_program_that_is_not_there_is_127_and_one_that_is_none_is_126(
    any_engine: World, box: Found
) -> None:
    missing, data = any_engine.run(box, "no-such-program"), any_engine.run(box, "/etc/passwd")

    assert (missing.exit_code, data.exit_code) == (127, 126)
    assert (missing.stdout.whole, data.stdout.whole) == ("", "")
    assert "no-such-program" in missing.stderr.whole
    assert "permission denied" in data.stderr.whole


def test_an_unknown_user_or_folder_is_the_callers_trouble(any_engine: World, box: Found) -> None:
    nobody = any_engine.run(box, "id", user="nosuchuser")

    assert nobody.exit_code == 126
    assert "nosuchuser" in nobody.stderr.whole


def test_arguments_arrive_as_they_are(any_engine: World, box: Found) -> None:
    argv = ["$HOME", "`id`", "a b", "'\"", "|", "> /tmp/x", "-n", "*", "\n", "", "é\u2028"]

    record = any_engine.run(box, "python3", "-c", "import sys; print(ascii(sys.argv[1:]))", *argv)

    assert record.stdout.whole.strip() == ascii(argv)


def test_environment_folder_user_and_stdin_are_as_asked(any_engine: World, box: Found) -> None:
    record = any_engine.run(
        box,
        "python3", "-c",
        "import os,sys; print(os.environ['A'], os.getcwd(), os.getuid(), len(sys.stdin.read()))",
        env=("A=x=y z",), workdir="/tmp", user="1234:1234", stdin=b"i" * 300_000,
    )  # fmt: skip

    assert record.stdout.whole == "x=y z /tmp 1234 300000\n"


def test_a_command_without_stdin_reads_nothing(any_engine: World, box: Found) -> None:
    assert any_engine.run(box, "cat", wall_ms=10_000).status == "success"


def test_a_timeout_keeps_what_was_written_and_ends_everything_inside(any_engine: World, box: Found) -> None:
    tree = "echo before; (setsid sleep 1111 &); env -i sleep 1112 & sleep 1113; echo after"

    record = any_engine.run(box, "sh", "-c", tree, wall_ms=BEGUN_MS)

    assert (record.status, record.stdout.whole, record.notes) == ("timeout", "before\n", ())
    assert "sleep111" not in any_engine.processes(box).replace("\0", "")


def test_cancelling_ends_everything_inside(any_engine: World, box: Found) -> None:
    async def scene() -> str:
        ids: list[str] = []
        running = asyncio.ensure_future(
            any_engine.started(box, "sh", "-c", "echo here; sleep 1121 & sleep 1122", on_start=ids.append)
        )
        await asyncio.sleep(0)
        await any_engine.output(ids[0], "here")
        any_engine.engine.cancel("ana", ids[0])
        return (await running).status

    assert any_engine.do(scene()) == "cancelled"
    assert "sleep112" not in any_engine.processes(box).replace("\0", "")


def test_a_flood_is_ended_and_its_beginning_kept(any_engine: World, box: Found) -> None:
    record = any_engine.run(box, "sh", "-c", "yes", limits=Limits(kept_bytes=100_000))

    assert (record.status, len(record.stdout.whole)) == ("killed", 100_000)
    assert "yes" not in any_engine.processes(box).split("\0")


def test_what_is_detached_goes_on(any_engine: World, box: Found) -> None:
    record = any_engine.run(box, "sleep", "1131", detach=True)

    assert (record.exit_code, record.stdout.whole) == (0, "")
    assert "sleep1131" in any_engine.processes(box).replace("\0", "")


def test_commands_end_without_a_shell_and_without_python(docker: World) -> None:
    bare = docker.create("bare")

    record = docker.run(bare, "sleep", "1141", wall_ms=500)

    assert (record.status, record.notes) == ("timeout", ())
    assert docker.run(bare, "echo", "alive").stdout.whole == "alive\n"


@pytest.mark.parametrize("image", ["python", "busybox"])
def test_processes_that_the_machine_cannot_see_are_ended_from_inside(
    docker: World, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> bool:
        return False

    box = docker.create(image)
    monkeypatch.setattr(docker.runner.killer, "_from_outside", nothing)
    record = docker.run(box, "sh", "-c", "echo x; (setsid sleep 1151 &); sleep 1152", wall_ms=BEGUN_MS)

    assert (record.status, record.stdout.whole, record.notes) == ("timeout", "x\n", ())
    assert "sleep115" not in docker.processes(box).replace("\0", "")


def test_no_process_outside_of_the_container_is_ended_whatever_it_carries(docker: World) -> None:
    """Not even from a container that shares the machine's processes."""
    mark, name = new_mark(), docker.name()
    carried = {**os.environ, MARK: mark}
    sharing = ("run", "-d", "--network=none", "--pid=host", "-e", f"{MARK}={mark}", "--name", name)
    cli("docker", *sharing, IMAGES["busybox"], "sh", "-c", "sleep 1171 & exec env -u OSTIARY_RUN sleep 1172")
    try:
        with (
            world("docker", allowed=(name,)) as open_to_it,
            subprocess.Popen(["sleep", "1173"], env=carried) as bystander,
        ):
            found = open_to_it.do(open_to_it.containers.find("ana", name))
            client = open_to_it.containers.client
            state = open_to_it.do(client.call(lambda api: api.inspect_container(found.id)))["State"]
            until(lambda: "1171" in (seen := cli("docker", "top", name)) and "OSTIARY" not in seen)
            try:
                assert end_on_host(found.id, state["Pid"], mark)
                assert bystander.poll() is None
                assert "1171" not in cli("docker", "top", name)
                assert "1172" in cli("docker", "top", name)
            finally:
                bystander.kill()
    finally:
        cli("docker", "rm", "-f", name)


def test_what_only_seems_to_descend_from_a_run_is_none_of_it() -> None:
    mark = new_mark()
    with subprocess.Popen(
        ["sh", "-c", "sleep 1181 & echo $!; wait"],
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        until(lambda: arguments(child).startswith(b"sleep"))  # on its way there it has no environment
        try:
            assert set(of_run(mark, set(), lambda _: True, set())) == {parent.pid, child}
            assert set(of_run(mark, set(), lambda pid: pid == parent.pid, set())) == {parent.pid}
        finally:
            os.killpg(parent.pid, signal.SIGKILL)


def test_where_nothing_can_end_a_process_its_container_goes(
    docker: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> bool:
        return False

    bare = docker.create("bare")
    monkeypatch.setattr(docker.runner.killer, "_from_outside", nothing)
    record = docker.run(bare, "sleep", "1161", wall_ms=500)

    assert (record.status, record.notes) == (
        "timeout",
        ("the container was ended, because the process in it could not be",),
    )


def test_a_container_that_only_says_that_a_run_is_over_is_ended(
    docker: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> bool:
        return False

    async def lie(*_: object) -> bool:
        return True

    bare = docker.create("bare")
    monkeypatch.setattr(docker.runner.killer, "_from_outside", nothing)
    monkeypatch.setattr(docker.runner.killer, "_from_inside", lie)
    record = docker.run(bare, "sleep", "1191", wall_ms=500)

    assert (record.status, record.notes) == (
        "timeout",
        ("the container was ended, because the process in it could not be",),
    )


# --- whose words they are -------------------------------------------------------------------------

COMPLAINT = b'OCI runtime exec failed: exec: "x": executable file not found in $PATH'


def test_an_engines_complaint_goes_to_stderr_with_the_code_of_a_shell() -> None:
    said = Said()
    doubt = Doubt(said)
    doubt.stdout(COMPLAINT)

    assert doubt.settle(State(running=False, code=126, pid=0), pids_last=True) == 127
    assert (bytes(said.out), bytes(said.err)) == (b"", COMPLAINT)


@pytest.mark.parametrize("state", [State(False, 0, 0), State(False, 126, 77)])
def test_a_program_that_says_the_same_keeps_its_words(state: State) -> None:
    said = Said()
    doubt = Doubt(said)
    doubt.stdout(COMPLAINT)

    assert doubt.settle(state, pids_last=True) == state.code
    assert bytes(said.out) == COMPLAINT


def test_only_the_beginning_of_what_is_written_is_in_doubt() -> None:
    said = Said()
    doubt = Doubt(said)
    doubt.stdout(b"hello\n")
    doubt.stdout(COMPLAINT)

    assert bytes(said.out) == b"hello\n" + COMPLAINT


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ('exec: "x": executable file not found in $PATH', 127),
        ("exec: /x: no such file or directory", 127),
        ("exec: /etc/passwd: permission denied", 126),
        ('chdir to cwd ("/x") set in config.json failed: no such file or directory', 126),
        ("unable to find user x", 126),
    ],
)
def test_codes_of_what_could_not_be_started(words: str, code: int) -> None:
    assert code_of(words) == code
