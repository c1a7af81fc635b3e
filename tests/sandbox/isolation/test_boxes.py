"""What a program in a box can see and reach, tried from inside a real one."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
from pathlib import Path

import msgspec
import pytest

from ostiary.errors import GatewayFault
from ostiary.sandbox.isolation import bubblewrap
from ostiary.sandbox.isolation.box import Bind
from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.limits import MIB
from tests.needs import missing, needs_root
from tests.sandbox.isolation.standing import WAIT, Standing, bind, finish


def test_a_box_holds_its_own_folders_and_no_other_of_the_host(standing: Standing) -> None:
    done = standing.run("import os; print(sorted(os.listdir('/')))")

    assert done.err == ""
    assert set(json.loads(done.out.replace("'", '"'))) == {
        "bin", "dev", "etc", "lib", "lib64", "proc", "python", "tmp", "work",
    }  # fmt: skip


@pytest.mark.parametrize(
    "path", ["/usr", "/root", "/home", "/var", "/opt", "/sys", "/run", "/etc/shadow", "/etc/ld.so.cache"]
)
def test_a_folder_of_the_host_is_not_there(standing: Standing, path: str) -> None:
    done = standing.run(f"import os; print(os.path.lexists({path!r}))")

    assert done.out == "False\n"


def test_ostiarys_own_modules_are_out_of_reach(standing: Standing) -> None:
    done = standing.run("import importlib.util as u; print(u.find_spec('ostiary'), u.find_spec('msgspec'))")

    assert done.out == "None None\n"


def test_no_variable_of_the_host_comes_in_not_even_by_way_of_bubblewrap(
    standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_THE_HOST", "made-up-secret")

    done = standing.run(
        "import os; print(dict(os.environ), open('/proc/1/environ').read(), open('/proc/1/cmdline').read())",
        environment={"A": "1"},
    )

    assert "made-up-secret" not in done.out
    assert "{'A': '1', 'PWD': '/work'" in done.out
    assert str(standing.folder) not in done.out


def test_only_the_descriptors_that_were_given_are_open(standing: Standing) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, standing.cell() as cell:
        code = f"""
            import os, socket
            names = os.listdir('/proc/self/fd')
            print(sorted(int(name) for name in names if os.path.lexists('/proc/self/fd/' + name)))
            socket.socket(fileno={theirs.fileno()}).sendall(b'hello')
        """
        process = standing.start(cell, unindented(code), pass_fds=(theirs.fileno(),))
        done = finish(process)
        ours.settimeout(WAIT)

        assert (done.out, done.err) == (f"[0, 1, 2, {theirs.fileno()}]\n", "")
        assert ours.recv(5) == b"hello"


def unindented(code: str) -> str:
    return "\n".join(line.strip() for line in code.strip().splitlines())


def test_a_box_sees_its_own_processes_alone(standing: Standing) -> None:
    done = standing.run("import os; print([name for name in os.listdir('/proc') if name.isdigit()])")

    assert done.out == "['1', '2']\n"


def test_a_box_has_no_network_but_an_unused_loopback(standing: Standing) -> None:
    done = standing.run("print(open('/proc/net/dev').read()); print(open('/proc/net/route').read())")

    devices = [line.split(":")[0].strip() for line in done.out.splitlines() if ":" in line]
    assert devices == ["lo"]


def test_nothing_outside_can_be_reached_even_where_sockets_are_allowed(standing: Standing) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"""
            import socket
            try: socket.create_connection(('127.0.0.1', {port}), 2)
            except OSError as error: print(type(error).__name__)
            try: socket.create_connection(('192.0.2.1', 80), 2)
            except OSError as error: print(error.errno)
        """
        done = standing.run(
            unindented(code).replace(")\nexcept", ")\nexcept"),
            seccomp=standing.walls.filter(processes=True, sockets="loopback"),
        )

    assert done.out == "ConnectionRefusedError\n101\n"


def test_a_box_is_a_user_without_rights(standing: Standing) -> None:
    done = standing.run(
        "import os; print(os.getresuid(), os.getresgid()); print(open('/proc/self/status').read())"
    )

    assert done.out.startswith("(65534, 65534, 65534) (65534, 65534, 65534)\n")
    status = dict(line.split(":\t", 1) for line in done.out.splitlines() if ":\t" in line)
    sets = {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
    assert (sets, status["NoNewPrivs"], status["Seccomp"]) == ({"0" * 16}, "1", "2")


def test_root_starts_a_box_as_the_user_of_its_cell(standing: Standing) -> None:
    needs_root("start a program as another user")
    with standing.cell() as cell:
        process = standing.start(cell, "input()")
        try:
            owners = {
                uid
                for pid in [process.pid, *([] if cell.group is None else cell.group.pids())]
                for uid in users_of(pid)
            }
        finally:
            process.kill()
            process.communicate()

    assert owners == {cell.uid}
    assert cell.uid in range(400_000, 400_256)


def users_of(pid: int) -> set[int]:
    status = Path(f"/proc/{pid}/status").read_text()
    return {
        int(word)
        for line in status.splitlines()
        if line.startswith(("Uid:", "Gid:"))
        for word in line.split()[1:]
    }


@pytest.mark.parametrize("cell", [None, Cell(None, None), Cell(0, None)])
def test_root_never_starts_a_box_as_itself(standing: Standing, cell: Cell | None) -> None:
    """A bubblewrap that root started leaves settings of the kernel open for writing."""
    needs_root("be refused for being root")
    box = msgspec.structs.replace(standing.box(Cell(None, None), "print(1)"), cell=cell)

    with pytest.raises(GatewayFault, match="no user of its own"):
        bubblewrap.start(Path(standing.walls.program), box)


@pytest.mark.parametrize(
    "path", ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/kernel/hostname"]
)
def test_a_setting_of_the_kernel_cannot_be_opened_for_writing(standing: Standing, path: str) -> None:
    done = standing.run(f"open({path!r}, 'w')")

    assert "Error" in done.err


@pytest.mark.parametrize("path", ["/x", "/python/x", "/lib/x", "/etc/passwd", "/bin/x", "/dev/x"])
def test_what_a_box_was_not_given_to_write_cannot_be_written(standing: Standing, path: str) -> None:
    done = standing.run(f"open({path!r}, 'w')")

    assert "Read-only file system" in done.err or "Permission denied" in done.err


@pytest.mark.parametrize("folder", ["/tmp", "/work", "/dev/shm"])
def test_a_folder_that_can_be_written_is_empty_and_bounded(standing: Standing, folder: str) -> None:
    code = f"""
        import os
        print(os.listdir({folder!r}))
        file = open({folder!r} + '/x', 'wb', buffering=0)
        print(file.write(bytes(3 << 20)) < 2 << 20)
        file.write(bytes(3 << 20))
    """
    done = standing.run(unindented(code), tmp_bytes=MIB)

    assert done.out == "[]\nTrue\n"
    assert "No space left on device" in done.err


def test_a_bind_is_read_only_unless_it_is_said_to_be_writable(standing: Standing) -> None:
    given = standing.shared("given")
    (given / "a.txt").write_text("from the host")
    taken = standing.shared("taken")
    taken.chmod(0o777)
    code = """
        print(open('/deep/inside/given/a.txt').read())
        open('/taken/out', 'w').write('x')
        open('/deep/inside/given/b', 'w')
    """
    done = standing.run(
        unindented(code), binds=(bind(given, "/deep/inside/given"), bind(taken, "/taken", writable=True))
    )

    assert done.out == "from the host\n"
    assert "Read-only file system: '/deep/inside/given/b'" in done.err
    assert (taken / "out").read_text() == "x"


def test_limits_hold_from_the_first_instruction(standing: Standing) -> None:
    code = """
        import resource as r
        print([r.getrlimit(kind) for kind in (r.RLIMIT_CORE, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE, r.RLIMIT_AS)])
        r.setrlimit(r.RLIMIT_NOFILE, (101, 101))
    """
    done = standing.run(unindented(code), file_bytes=5 * MIB, open_files=100, address_space=900 * MIB)

    assert done.out == f"[(0, 0), ({5 * MIB}, {5 * MIB}), (100, 100), ({900 * MIB}, {900 * MIB})]\n"
    assert "ValueError" in done.err


def test_killing_the_box_from_outside_takes_all_that_it_started(standing: Standing) -> None:
    if not standing.walls.bounded:
        missing("without a cgroup no box starts processes")
    code = """
        import subprocess, sys, os
        code = 'import os; os.setsid(); print(1, flush=True); input()'
        child = subprocess.Popen([sys.executable, '-c', code])
        print(2, flush=True)
        input()
    """
    with standing.cell() as cell:
        process = standing.start(cell, unindented(code))
        assert process.stdout is not None
        assert {process.stdout.readline(), process.stdout.readline()} == {b"1\n", b"2\n"}
        assert cell.group is not None
        before = cell.group.pids()

        process.kill()
        process.communicate(timeout=WAIT)

        assert len(before) == 3
        assert all(gone(pid) for pid in before)


def gone(pid: int) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        return bool(waiting.poll(WAIT * 1000))
    finally:
        os.close(descriptor)


def test_a_box_ends_with_whoever_started_it(standing: Standing) -> None:
    """A gate that is killed leaves nothing behind that goes on running."""
    with standing.cell() as cell:
        told, telling = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(told)
                standing.start(cell, "print('up', flush=True); input()", pass_fds=(telling,))
                os.close(telling)
                os.write(1, b"")
                os.kill(os.getpid(), 9)
            finally:  # whatever goes wrong, it is not to go on with the tests
                os._exit(1)
        os.close(telling)
        os.waitpid(child, 0)
        try:
            assert os.read(told, 1) == b""  # whoever held the other end is gone
        finally:
            os.close(told)


def test_a_box_that_cannot_be_set_up_runs_nothing_and_says_why(standing: Standing) -> None:
    done = standing.run("print(1)", binds=(bind(standing.folder / "nowhere", "/x"),))

    assert (done.status, done.out) == (1, "")
    assert "nowhere" in done.err


def test_the_first_process_of_a_box_is_behind_the_same_walls(standing: Standing) -> None:
    """Code may write its memory, as it is the same user's: so it must not be able to do more."""
    done = standing.run("print(open('/proc/1/status').read())")

    status = dict(line.split(":\t", 1) for line in done.out.splitlines() if ":\t" in line)
    assert {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Amb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_two_boxes_at_once_do_not_see_each_other(standing: Standing) -> None:
    with standing.cell() as one, standing.cell() as two:
        first = standing.start(one, "open('/tmp/mine','w').write('x'); print(1, flush=True); input()")
        assert first.stdout is not None
        first.stdout.readline()

        second = finish(standing.start(two, "import os; print(os.listdir('/tmp'))"))
        first_uid, second_uid = one.uid, two.uid
        finish(first, "\n")

    assert second.out == "[]\n"
    assert first_uid is None or first_uid != second_uid


def test_what_its_user_cannot_reach_is_mounted_for_the_box_alone(standing: Standing, tmp_path: Path) -> None:
    needs_root("start a box as another user")
    closed = tmp_path / "closed"
    (closed / "inner").mkdir(parents=True)
    (closed / "inner" / "text").write_text("seen")
    (closed / "beside").write_text("not seen")
    closed.chmod(0o700)
    stage = standing.folder / "stage"
    stage.mkdir()
    staged = Bind(str(closed / "inner"), str(closed / "inner"), stage=str(stage))
    code = f"""
        import os
        print(open('{closed}/inner/text').read(), os.listdir('{closed}'), os.getuid())
        try: open('{closed}/inner/more', 'w')
        except OSError as error: print(error.errno)
    """

    done = standing.run(unindented(code), binds=(staged,))

    assert (done.out, done.err) == ("seen ['inner'] 65534\n30\n", "")
    assert list(stage.iterdir()) == []  # for the host it was never mounted


def test_what_cannot_be_mounted_for_a_box_ends_its_start(standing: Standing, tmp_path: Path) -> None:
    needs_root("start a box as another user")
    bad = Bind(str(tmp_path / "none"), "/tmp/none", stage=str(standing.folder))

    with pytest.raises(GatewayFault, match=r"cannot show the box .*/none: No such file"):
        standing.run("print('ran')", binds=(bad,))


def test_a_box_can_start_in_another_folder(standing: Standing) -> None:
    done = standing.run("import os; print(os.getcwd())", folder="/tmp")

    assert done.out == "/tmp\n"


def test_a_box_that_is_apart_leads_a_session_of_its_own(standing: Standing) -> None:
    with standing.cell() as cell:
        box = standing.box(cell, "input()")
        for apart in (True, False):
            process = standing.walls.start(
                box, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, apart=apart
            )
            try:
                assert (os.getsid(process.pid) == process.pid) is apart
            finally:
                process.kill()
                process.communicate(timeout=WAIT)
