"""Scripts in containers: they arrive as they are, run as themselves, and leave nothing."""

from __future__ import annotations

import ast
import asyncio
from importlib.resources import files

import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.containers import couriers
from ostiary.sandbox.containers.couriers import Frames, pack
from ostiary.sandbox.containers.found import Found
from ostiary.sandbox.containers.programs import program
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.request import FileIn
from ostiary.sandbox.runner import Job
from tests.sandbox.containers.world import BEGUN_MS, World

pytestmark = pytest.mark.timeout(120)

EVERY_QUOTE = "'\"`$\\\r\x0bEOF\n$(touch /tmp/pwned)\n${HOME}\n'''\n%s{}\té\u2028"


def test_a_script_arrives_as_it_is_whatever_is_in_it(any_engine: World, box: Found) -> None:
    lines = "".join(f"# {EVERY_QUOTE!a} ' \" ` $HOME {number}\n" for number in range(2_000))
    code = f"TEXT = {EVERY_QUOTE!r}\n{lines}print(open(__file__, 'rb').read().hex())\n"
    assert len(code) > 140_000

    record = any_engine.script(box, code)

    assert bytes.fromhex(record.stdout.whole) == code.encode()


def test_a_script_is_the_main_program(any_engine: World, box: Found) -> None:
    code = """
import os, sys
print(__name__, sys.argv[1:], os.path.basename(__file__), sys.stdin.read(), os.environ["A"])
"""

    record = any_engine.script(box, code, "-x", "a b", stdin=b"in", env=("A=1",))

    assert record.stdout.whole == "__main__ ['-x', 'a b'] script.py in 1\n"


@pytest.mark.parametrize(
    ("code", "exit_code", "words"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("raise SystemExit", None, ""),
        ("import sys; sys.exit('gone')", 1, "gone\n"),
        ("import os; os._exit(7)", 7, ""),
        ("1 +", 1, "SyntaxError"),
    ],
)
def test_scripts_end_as_programs_do(
    any_engine: World, box: Found, code: str, exit_code: int | None, words: str
) -> None:
    record = any_engine.script(box, code)

    assert (record.exit_code or None) == exit_code
    assert words in record.stderr.whole
    if exit_code is None:
        assert record.status == "success"


def test_what_a_program_does_at_its_end_is_done(any_engine: World, box: Found) -> None:
    code = """
import atexit, threading, time
atexit.register(print, "bye")
kept = open("/tmp/kept", "w")
kept.write("x" * 10)
threading.Thread(target=lambda: (time.sleep(.1), print("late"))).start()
"""
    assert any_engine.script(box, code).stdout.whole == "late\nbye\n"
    assert any_engine.run(box, "cat", "/tmp/kept").stdout.whole == "x" * 10


def test_a_traceback_shows_the_script_and_nothing_of_ours(any_engine: World, box: Found) -> None:
    record = any_engine.script(box, "print('first')\ndef f():\n    1/0\nf()\n")

    assert record.stdout.whole == "first\n"
    lines = [line.strip() for line in record.stderr.whole.splitlines()]
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith('script.py", line 4, in <module>')
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "<string>" not in record.stderr.whole


def test_a_signal_is_told_from_an_exit(any_engine: World, box: Found) -> None:
    record = any_engine.script(box, "import os; os.kill(os.getpid(), 11)")

    assert (record.signal, record.status) == (11, "error")


def test_a_script_that_takes_too_long_is_ended_with_all_that_it_started(
    any_engine: World, box: Found
) -> None:
    code = """
import os, subprocess, time
print("before", flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        subprocess.Popen(["sleep", "1211"], env={}, start_new_session=True)
    time.sleep(1212)
time.sleep(1213)
"""
    record = any_engine.script(box, code, wall_ms=BEGUN_MS)

    assert (record.status, record.stdout.whole, record.notes) == ("timeout", "before\n", ())
    assert "sleep1211" not in any_engine.processes(box).replace("\0", "")


def test_what_a_script_leaves_behind_ends_with_it(any_engine: World, box: Found) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '1221'], start_new_session=True); print('x')"

    assert any_engine.script(box, code).status == "success"
    assert "sleep1221" not in any_engine.processes(box).replace("\0", "")


def test_no_folder_and_no_file_of_a_script_is_left(any_engine: World, box: Found) -> None:
    where = any_engine.script(box, "print(__file__)").stdout.whole.strip()

    assert any_engine.run(box, "ls", where).exit_code == 1
    assert any_engine.run(box, "ls", where.rsplit("/", 2)[0]).exit_code == 1


def test_ten_scripts_at_once_do_not_mix(any_engine: World, box: Found) -> None:
    async def scene() -> list[str]:
        codes = [
            f"import time\nfor _ in range(3): print({n}, flush=True); time.sleep(.01)" for n in range(10)
        ]
        records = await asyncio.gather(*(any_engine.started(box, code=code, script=True) for code in codes))
        return [record.stdout.whole for record in records]

    assert any_engine.do(scene()) == [f"{number}\n" * 3 for number in range(10)]


def test_a_flood_of_a_script_is_ended_and_the_next_one_runs(any_engine: World, box: Found) -> None:
    record = any_engine.script(box, "while True: print('y' * 999)", limits=Limits(kept_bytes=1_000_000))

    assert (record.status, len(record.stdout.whole)) == ("killed", 1_000_000)
    assert any_engine.script(box, "print(1)").stdout.whole == "1\n"


def test_a_script_that_ends_its_keeper_is_lost_and_the_next_one_runs(any_engine: World, box: Found) -> None:
    code = "import os, time\nif os.fork() == 0: time.sleep(1231)\nos.kill(os.getppid(), 9); time.sleep(1232)"

    record = any_engine.script(box, code, wall_ms=20_000)

    assert record.status == "killed"
    assert any_engine.script(box, "print(1)").stdout.whole == "1\n"


def test_a_script_that_ends_its_courier_is_lost_and_the_next_one_runs(any_engine: World, box: Found) -> None:
    code = """
import os
parent = int(open("/proc/%d/stat" % os.getppid()).read().rpartition(")")[2].split()[1])
os.kill(parent, 9)
import time; time.sleep(1241)
"""
    record = any_engine.script(box, code, wall_ms=20_000)

    assert record.status == "killed"
    assert any_engine.script(box, "print(1)").stdout.whole == "1\n"


def test_a_courier_that_is_stopped_is_ended_in_its_container(docker: World) -> None:
    box = docker.create()
    code = """
import os, time
parent = int(open("/proc/%d/stat" % os.getppid()).read().rpartition(")")[2].split()[1])
os.kill(os.getppid(), 19); os.kill(parent, 19); time.sleep(1251)
"""
    record = docker.script(box, code, wall_ms=300)

    assert record.status == "timeout"
    assert docker.script(box, "print(1)").stdout.whole == "1\n"
    assert docker.run(box, "sh", "-c", "ls -d /tmp/ostiary-* | wc -l").stdout.whole.strip() == "1"


STOP_COURIERS = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if int(pid) != os.getpid() and b"class Courier" in open(f"/proc/{pid}/cmdline", "rb").read():
            os.kill(int(pid), 19)
            print(pid)
    except OSError:
        pass
"""


def test_a_courier_that_does_not_read_keeps_nobody_waiting(docker: World) -> None:
    box = docker.create()
    docker.script(box, "print(1)")
    assert docker.run(box, "python3", "-c", STOP_COURIERS).stdout.whole

    record = docker.script(box, "#" * 4_000_000, wall_ms=300)

    assert record.status == "timeout"
    assert docker.script(box, "print(2)").stdout.whole == "2\n"


def test_a_python_that_never_becomes_ready_is_ended(docker: World, monkeypatch: pytest.MonkeyPatch) -> None:
    box = docker.create()
    monkeypatch.setattr(couriers, "program", lambda _: "import time; time.sleep(1261)")
    monkeypatch.setattr(couriers, "_READY_S", 0.5)
    monkeypatch.setattr(couriers, "_STOP_S", 0.5)
    record = docker.script(box, "print(1)")

    assert (record.error is not None, record.status) == (True, "killed")
    assert "1261" not in docker.processes(box)


def test_files_come_with_a_script_and_can_be_imported(docker: World, crate: Found) -> None:
    work = pack(Job(code="import helper", files=(FileIn(name="helper.py", content=b"x = 1"),)), "m")

    assert b"work/helper.py" in work


def test_another_user_has_a_courier_of_its_own(any_engine: World, box: Found) -> None:
    code = "import os; print(os.getuid())"

    assert any_engine.script(box, code, user="1234").stdout.whole == "1234\n"
    assert any_engine.script(box, code).stdout.whole == "65534\n"


def test_without_python_it_is_said(docker: World) -> None:
    record = docker.script(docker.create("busybox"), "print(1)")

    assert record.error is not None
    assert "there is no Python in the container" in record.error.message


def test_a_script_that_is_too_large_is_refused() -> None:
    with pytest.raises(CallerFault, match="more than 32 MB"):
        pack(Job(code="x" * (33 << 20)), "mark")


# --- what the container says is not trusted -------------------------------------------------------


def frame(kind: bytes, number: int, content: bytes) -> bytes:
    return kind + number.to_bytes(4, "big") + len(content).to_bytes(4, "big") + content


def test_frames_come_apart_wherever_they_are_cut() -> None:
    wanted = [(b"O", 1, b"out"), (b"E", 2, b""), (b"X", 1, b"r" * 28)]
    data = b"".join(frame(*one) for one in wanted)
    frames = Frames()

    assert [one for byte in data for one in frames.feed(bytes([byte]))] == wanted


@pytest.mark.parametrize(
    "data",
    [
        b"Q" + bytes(8),
        b"O" + bytes(4) + b"\x00\x01\x00\x00",
        b"X" + bytes(4) + b"\x00\x00\x00\x01",
        b"HTTP/1.1 ",
    ],
)
def test_what_is_no_frame_is_refused_before_it_is_read(data: bytes) -> None:
    with pytest.raises(ValueError, match="what came from the container"):
        Frames().feed(data)


def test_what_runs_in_containers_can_be_read_by_python_3_6() -> None:
    for path in files("ostiary.sandbox.containers.inside").iterdir():
        if path.name.endswith(".py"):
            ast.parse(path.read_text("utf-8"), feature_version=(3, 6))
    for name in ("ender", "courier", "unpacker"):
        assert "ostiary.sandbox" not in program(name)
