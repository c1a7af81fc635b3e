"""Walls that a process puts up around itself, in a child of a process inside a real box."""

from __future__ import annotations

import ctypes
import errno
import shutil
from pathlib import Path

import pytest

from ostiary.sandbox.isolation import confine
from ostiary.sandbox.limits import MIB
from tests.needs import missing
from tests.sandbox.isolation.standing import Ended, Standing, bind

HERE = Path(__file__).parent


def confined(standing: Standing, code: str, *left_out: str, processes: bool = True) -> Ended:
    """Run `code` in a confined child of an unconfined process in a box."""
    given = standing.shared("zygote")
    shutil.copy(Path(confine.__file__), given / "confine.py")
    shutil.copy(HERE / "zygote.py", given)
    (given / "filter").write_bytes(standing.walls.filter(processes=processes, sockets="unix"))
    return standing.run(
        "",
        command=(standing.root.python, "-I", "-S", "/given/zygote.py", str(MIB), code, *left_out),
        binds=(bind(given, "/given"),),
        seccomp=None,
    )


def test_all_five_sets_of_capabilities_are_empty(standing: Standing) -> None:
    done = confined(standing, "print(open('/proc/self/status').read())")

    status = dict(line.split(":\t", 1) for line in done.out.splitlines() if ":\t" in line)
    sets = {name: status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
    assert sets == dict.fromkeys(sets, "0" * 16)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_a_confined_child_is_alone_in_its_namespaces(standing: Standing) -> None:
    code = "import os; print(os.getpid(), [name for name in os.listdir('/proc') if name.isdigit()])"

    assert confined(standing, code).out == "1 ['1']\n"


def test_a_confined_child_has_a_network_of_its_own_without_anything_in_it(standing: Standing) -> None:
    done = confined(standing, "print(open('/proc/net/dev').read(), open('/proc/net/unix').read())")

    lines = done.out.splitlines()
    assert [line.split(":")[0].strip() for line in lines if ":" in line and "Num" not in line] == ["lo"]
    assert "@" not in done.out


@pytest.mark.parametrize("path", ["/given/confine.py", "/given/filter"])
def test_what_was_hidden_is_gone(standing: Standing, path: str) -> None:
    done = confined(standing, f"open({path!r})", "landlock")

    assert "FileNotFoundError" in done.err


def test_a_hidden_file_is_empty(standing: Standing) -> None:
    assert confined(standing, "print(repr(open('/etc/passwd').read()))", "landlock").out == "''\n"


def test_a_hidden_folder_cannot_be_filled(standing: Standing) -> None:
    assert "Read-only file system" in confined(standing, "open('/given/x', 'w')", "landlock").err


@pytest.mark.parametrize("folder", ["/tmp", "/work", "/dev/shm"])
def test_a_private_folder_is_bounded_in_size_and_in_number_of_files(standing: Standing, folder: str) -> None:
    code = f"""
import os
def fill(make):
    try: make()
    except OSError as error: print(error.strerror)
def large():
    with open({folder!r} + '/large', 'wb', buffering=0) as file:
        while True: file.write(bytes(1 << 16))
fill(large)
os.unlink({folder!r} + '/large')
count = 0
def many():
    global count
    while True:
        os.close(os.open({folder!r} + f'/{{count}}', os.O_CREAT))
        count += 1
fill(many)
print(count < 70000)
"""
    done = confined(standing, code, "landlock")

    assert done.out == "No space left on device\nNo space left on device\nTrue\n"


@pytest.mark.parametrize("path", ["/etc/group", "/tmp/x", "/dev/zero"])
def test_landlock_keeps_files_closed_that_the_mounts_would_give(standing: Standing, path: str) -> None:
    if not standing.found.landlock.found:
        missing("the kernel does not offer Landlock")
    mode = "w" if path == "/tmp/x" else "r"

    assert "PermissionError" in confined(standing, f"open({path!r}, {mode!r})").err
    assert confined(standing, f"open({path!r}, {mode!r})", "landlock").err == ""


def test_what_is_left_open_by_landlock_works(standing: Standing) -> None:
    code = """
import subprocess
open('a', 'w').write('x')
open('/dev/null', 'w').write('x')
print(subprocess.run(['/bin/python3', '-c', 'print(open("a").read())'], capture_output=True).stdout)
"""
    if not standing.walls.bounded:
        missing("without a cgroup no child can be started")
    done = confined(standing, code)

    assert (done.out, done.err) == ("b'x\\n'\n", "")


def test_the_filter_holds_in_a_confined_child(standing: Standing) -> None:
    code = "import ctypes; print(ctypes.CDLL(None).unshare(0x10000000), ctypes.CDLL(None).chroot(b'/'))"

    assert confined(standing, code).out == "-1 -1\n"


def test_no_right_comes_back_with_a_new_program(standing: Standing) -> None:
    code = """
import os
os.execv('/bin/python3', ['/bin/python3', '-c', 'print(open("/proc/self/status").read())'])
"""
    done = confined(standing, code)

    assert done.err == ""
    status = dict(line.split(":\t", 1) for line in done.out.splitlines() if ":\t" in line)
    assert (status["CapEff"], status["CapPrm"], status["Seccomp"]) == ("0" * 16, "0" * 16, "2")


def test_limits_cannot_be_raised_again(standing: Standing) -> None:
    code = """
import resource
print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE))
resource.setrlimit(resource.RLIMIT_NOFILE, (65, 65))
"""
    done = confined(standing, code)

    assert done.out == "(64, 64) (0, 0)\n"
    assert "ValueError" in done.err


def test_one_job_leaves_nothing_to_the_next(standing: Standing) -> None:
    code = "import os; print(os.listdir('/work'), os.listdir('/tmp')); open('x', 'w')"

    assert [confined(standing, code, "landlock").out for _ in range(2)] == ["[] []\n"] * 2


def test_a_step_that_fails_says_so_instead_of_going_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confine, "_libc", Refusing())

    for step in (
        confine.enter_namespaces,
        lambda: confine.mount_private(MIB),
        lambda: confine.hide(["/nowhere"]),
        confine.drop_capabilities,
        lambda: confine.load_filter(b"\0" * 8),
        confine.keep_to_itself,
    ):
        with pytest.raises(OSError, match=r"^\[Errno "):
            step()


class Refusing:
    """A C library that refuses everything."""

    def __getattr__(self, name: str) -> object:
        def refuse(*arguments: object) -> int:
            ctypes.set_errno(errno.EPERM)
            return -1

        return refuse


def test_the_file_stands_by_itself() -> None:
    """It is given to boxes as it is, where there is nothing of ours."""
    text = Path(confine.__file__).read_text()

    assert "import ostiary" not in text
    assert "from ostiary" not in text
