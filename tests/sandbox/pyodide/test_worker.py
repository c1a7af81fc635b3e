"""What code sees in a worker, and what is told of it. Behind strict walls, with the real program."""

from __future__ import annotations

import asyncio
import contextlib
import json
import textwrap
from pathlib import Path

import msgspec
import pytest

from ostiary.sandbox.limits import DEFAULT_LIMITS, MIB
from ostiary.sandbox.record import Value
from ostiary.sandbox.request import FileIn
from ostiary.sandbox.runner import Ended, Environment, Job
from tests.sandbox.pyodide.prepared import (
    STARTS,
    WAIT,
    Prepared,
    Printed,
    needs_deno,
    prepared,
    run,
    run_alone,
    running,
    working,
)

pytestmark = pytest.mark.timeout(180)  # preparing takes some seconds, and many on a busy machine


def told(here: Prepared, *codes: str) -> list[tuple[Ended, Printed]]:
    """Run each code after the other in one worker."""

    async def main() -> list[tuple[Ended, Printed]]:
        async with running(here) as runner, working(runner) as worker:
            return [await run(worker, code) for code in codes]

    return asyncio.run(main())


def test_what_is_printed_comes_byte_for_byte(here: Prepared) -> None:
    lines, parts, raw, errors = told(
        here,
        "print('a');print('b')",
        "print('x', end='')\nprint('\\N{SNOWMAN}', 1, sep='\\r\\n')",
        "import sys, os\nsys.stdout.buffer.write(b'\\xff\\x00'); os.write(1, b'!'); None",
        "import sys\nsys.stderr.write('warned'); None",
    )

    assert lines[1].out == b"a\nb\n"
    assert parts[1].out == "x\N{SNOWMAN}\r\n1\n".encode()
    assert raw[1].out == b"\xff\x00!"
    assert (errors[1].out, errors[1].err) == (b"", b"warned")


def test_the_value_of_the_last_expression_is_told_as_text_and_as_json(here: Prepared) -> None:
    big, none, empty, zero, plain, nested = (
        ended.value
        for ended, _ in told(here, "10**30", "None", "''", "0", "object()", "{'k': [1, (2.5, None)]}")
    )

    assert big == Value("1000000000000000000000000000000", "1000000000000000000000000000000")
    assert none is None
    assert empty == Value("", '""')
    assert zero == Value("0", "0")
    assert plain is not None
    assert plain.text.startswith("<object object at ")
    assert plain.json is None
    assert nested is not None
    assert json.loads(nested.json or "") == {"k": [1, [2.5, None]]}


def test_what_was_printed_before_an_exception_is_kept_with_its_traceback(here: Prepared) -> None:
    code = "def f():\n    raise ValueError('no')\nprint('before')\nf()"

    [(ended, printed)] = told(here, code)

    assert printed.out == b"before\n"
    assert ended.how == "returned"
    assert ended.fault is not None
    assert (ended.fault.type, ended.fault.message) == ("ValueError", "no")
    assert ended.fault.traceback.splitlines()[:3] == [
        "Traceback (most recent call last):",
        '  File "<cell 1>", line 4, in <module>',
        "    f()",
    ]
    assert "ostiary" not in ended.fault.traceback
    assert ended.fault.traceback.endswith("ValueError: no\n")


def test_context_becomes_globals_and_nested_values_come_back(here: Prepared) -> None:
    async def main() -> Ended:
        async with running(here) as runner:
            ended, _ = await run_alone(
                runner, "y['k'].append(n)\ny", context=b'{"y": {"k": [1, 2]}, "n": 12345678901234567890}'
            )
            return ended

    value = asyncio.run(main()).value
    assert value == Value("{'k': [1, 2, 12345678901234567890]}", '{"k": [1, 2, 12345678901234567890]}')


def test_top_level_await_and_asyncio_run_work(here: Prepared) -> None:
    together, nested, late, stuck = told(
        here,
        "import asyncio\nasync def f(i):\n    await asyncio.sleep(0.001 * i)\n    return i\n"
        "await asyncio.gather(*map(f, range(3)))",
        "asyncio.run(f(7))",
        "async with asyncio.timeout(0.01):\n    await asyncio.sleep(9)",
        "await asyncio.Event().wait()",
    )

    assert together[0].value == Value("[0, 1, 2]", "[0, 1, 2]")
    assert nested[0].value == Value("7", "7")
    assert late[0].fault is not None
    assert late[0].fault.type == "TimeoutError"
    assert stuck[0].fault is not None
    assert "can never come" in stuck[0].fault.message


def test_names_stay_for_the_next_job_of_the_same_worker(here: Prepared) -> None:
    _, second, third = told(here, "x = 41", "x + 1", "_")

    assert second[0].value == Value("42", "42")
    assert third[0].value == Value("42", "42")


def test_files_come_in_and_artifacts_go_out(here: Prepared) -> None:
    code = """
import os
os.makedirs("out/deep")
data = open("in/a.txt", "rb").read()
open("out/deep/b.csv", "wb").write(data * 2)
sorted(os.listdir())
"""

    async def main() -> Ended:
        async with running(here) as runner:
            ended, _ = await run_alone(runner, code, files=(FileIn("in/a.txt", b"\x00one"), FileIn("c", b"")))
            return ended

    ended = asyncio.run(main())
    assert ended.value == Value("['c', 'in', 'out']", '["c", "in", "out"]')
    assert [(one.name, one.mime, one.content) for one in ended.artifacts] == [
        ("deep/b.csv", "text/csv", b"\x00one\x00one")
    ]


def test_an_image_of_the_value_is_an_artifact(here: Prepared) -> None:
    code = "class Shown:\n    def _repr_png_(self): return b'\\x89PNG'\nShown()"

    [(ended, _)] = told(here, code)

    assert [(one.name, one.mime, one.content) for one in ended.artifacts] == [
        ("result.png", "image/png", b"\x89PNG")
    ]


def test_standard_input_is_what_was_given_and_then_ends(here: Prepared) -> None:
    async def main() -> list[Ended]:
        async with running(here) as runner, working(runner) as worker:
            codes = "[input(), input()]", "input()", "import sys\nsys.stdin.buffer.read()"
            given = b"one\ntwo\nthree", b"", b"\xff"
            return [(await run(worker, code, stdin=text))[0] for code, text in zip(codes, given, strict=True)]

    read, empty, raw = asyncio.run(main())
    assert read.value == Value("['one', 'two']", '["one", "two"]')
    assert empty.fault is not None
    assert empty.fault.type == "EOFError"
    assert raw.value == Value("b'\\xff'")


def test_leaving_is_told_with_its_status_and_what_was_left(here: Prepared) -> None:
    async def main() -> list[tuple[Ended, Printed]]:
        async with running(here) as runner:
            return [
                await run_alone(
                    runner, "import sys\nopen('out/a', 'w').write('1')\nprint('bye')\nsys.exit(3)"
                ),
                await run_alone(runner, "raise SystemExit('sorry')"),
                await run_alone(runner, "import os\nprint('now')\nos._exit(4)"),
            ]

    (gone, said), (sorry, why), (at_once, now) = asyncio.run(main())
    assert (gone.how, gone.exit_code, said.out) == ("exited", 3, b"bye\n")
    assert [one.content for one in gone.artifacts] == [b"1"]
    assert (sorry.how, sorry.exit_code, why.err) == ("exited", 1, b"sorry\n")
    assert (at_once.how, at_once.exit_code) == ("exited", 4)
    assert now.out.startswith(b"now\n")


def test_a_keyboard_interrupt_is_an_exception_like_others(here: Prepared) -> None:
    raised, after = told(here, "raise KeyboardInterrupt", "1")

    assert raised[0].fault is not None
    assert raised[0].fault.type == "KeyboardInterrupt"
    assert after[0].value == Value("1", "1")


def test_memory_beyond_the_bound_is_an_error_and_the_worker_goes_on(here: Prepared) -> None:
    at_once, in_parts, after = told(
        here,
        "bytearray(1 << 30)",
        "kept = []\nwhile True: kept.append(bytearray(10 << 20))",
        "held = len(kept)\ndel kept\nheld",
    )

    assert at_once[0].fault is not None
    assert at_once[0].fault.type == "MemoryError"
    assert in_parts[0].fault is not None
    assert in_parts[0].fault.type == "MemoryError"
    assert after[0].value is not None
    assert 30 <= int(after[0].value.text) <= 52


def test_memory_is_bounded_by_what_the_run_is_allowed(here: Prepared) -> None:
    small = msgspec.structs.replace(DEFAULT_LIMITS, memory=128 * MIB)

    async def main() -> list[Ended]:
        async with running(here) as runner:
            return [
                (await run_alone(runner, "len(bytearray(150 << 20))", limits))[0]
                for limits in (small, DEFAULT_LIMITS)
            ]

    refused, allowed = asyncio.run(main())
    assert refused.fault is not None
    assert refused.fault.type == "MemoryError"
    assert allowed.value == Value("157286400", "157286400")


def test_files_are_bounded_each_and_together(here: Prepared) -> None:
    write = "def write(name, size):\n    with open(f'/tmp/{name}', 'wb') as file: file.write(bytes(size))\n"
    one, many, freed = told(
        here,
        write + "write('large', 17 << 20)",
        "import os\nos.unlink('/tmp/large')\nfor i in range(9): write(i, 15 << 20)",
        "for name in os.listdir('/tmp'): os.unlink(f'/tmp/{name}')\nwrite('again', 15 << 20)\n'written'",
    )

    assert one[0].fault is not None
    assert "File too large" in one[0].fault.message
    assert many[0].fault is not None
    assert "No space left" in many[0].fault.message
    assert freed[0].value == Value("written", '"written"')


def test_a_flood_of_output_arrives_whole(here: Prepared) -> None:
    [(ended, printed)] = told(here, "for i in range(3 << 10): print('x' * 1023)")

    assert ended.how == "returned"
    assert printed.out == (b"x" * 1023 + b"\n") * (3 << 10)


def test_a_loop_is_killed_from_outside_and_what_it_printed_is_kept(here: Prepared) -> None:
    async def main() -> tuple[Printed, float, Ended]:
        async with running(here) as runner, working(runner) as worker:
            printed, seen = Printed(), asyncio.Event()

            class Tap(Printed):
                def stdout(self, data: bytes) -> None:
                    printed.stdout(data)
                    seen.set()

            running_job = asyncio.ensure_future(
                worker.run(Job(code="print('on', end='')\nwhile True: pass"), Tap())
            )
            await asyncio.wait_for(seen.wait(), WAIT)
            begun = asyncio.get_running_loop().time()
            running_job.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running_job
            await asyncio.wait_for(worker.close(), WAIT)
            took = asyncio.get_running_loop().time() - begun
            ended, _ = await run_alone(runner, "'next'")
            return printed, took, ended

    printed, took, ended = asyncio.run(main())
    assert printed.out == b"on"
    assert took < WAIT
    assert ended.value == Value("next", '"next"')


def test_a_run_that_uses_up_its_cpu_time_is_ended_by_the_kernel(here: Prepared) -> None:
    short = msgspec.structs.replace(DEFAULT_LIMITS, cpu_ms=200)

    async def main() -> Ended:
        async with running(here) as runner:
            return (await run_alone(runner, "while True: pass", short))[0]

    ended = asyncio.run(main())
    assert (ended.how, ended.signal) == ("signalled", 24)


def test_parallel_workers_never_mix_what_they_print(here: Prepared) -> None:
    async def main() -> list[tuple[Ended, Printed]]:
        async with running(here) as runner, contextlib.AsyncExitStack() as opened:
            workers = [await opened.enter_async_context(working(runner)) for _ in range(3)]
            code = "for _ in range(50): print(n)\nn"
            jobs = [run(worker, code, context=b'{"n": %d}' % n) for n, worker in enumerate(workers)]
            return await asyncio.gather(*jobs)

    for n, (ended, printed) in enumerate(asyncio.run(main())):
        assert printed.out == b"%d\n" % n * 50
        assert ended.value == Value(str(n), str(n))


def test_what_one_run_poisons_the_next_one_does_not_see(here: Prepared) -> None:
    poison = """
        import json, builtins, sys, os
        json.dumps = lambda *a, **k: '{"value": "poisoned"}'
        builtins.print = lambda *a: None
        sys.modules["left"] = json
        open("/tmp/left", "w").write("secret")
        os.environ["LEFT"] = poison = "secret"
    """
    look = """
        import json, os, sys
        print("clean")
        left = "LEFT" in os.environ, "left" in sys.modules, "poison" in globals()
        [json.dumps([1]), os.path.exists("/tmp/left"), *left]
    """

    async def main() -> tuple[Ended, Printed]:
        async with running(here) as runner:
            await run_alone(runner, textwrap.dedent(poison))
            return await run_alone(runner, textwrap.dedent(look))

    ended, printed = asyncio.run(main())
    assert printed.out == b"clean\n"
    assert ended.value is not None
    assert json.loads(ended.value.json or "") == ["[1]", False, False, False, False]


def test_a_worker_that_breaks_its_interpreter_is_lost_with_a_reason(here: Prepared) -> None:
    code = "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return f(n + 1)\nf(0)"

    [(ended, _)] = told(here, code)

    assert ended.how == "lost"
    assert ended.fault is not None
    assert ended.fault.category == "worker"
    assert "Maximum call stack" in ended.fault.message


def test_two_workers_draw_different_numbers(here: Prepared) -> None:
    code = """
import random, uuid, tempfile, secrets
[random.random(), str(uuid.uuid1())[14:], str(uuid.uuid4()), tempfile.mktemp(), secrets.token_hex()]
"""

    async def main() -> list[list[object]]:
        async with running(here) as runner:
            drawn = [(await run_alone(runner, code))[0].value for _ in range(2)]
            return [json.loads(value.json or "") for value in drawn if value is not None]

    first, second = asyncio.run(main())
    assert [one for one, other in zip(first, second, strict=True) if one == other] == []


def test_packages_of_a_folder_can_be_imported_and_not_changed(here: Prepared, tmp_path: Path) -> None:
    folder = tmp_path / "packages"
    (folder / "given").mkdir(parents=True)
    (folder / "given/__init__.py").write_text("from given.more import said")
    (folder / "given/more.py").write_text("said = 'imported'")
    for path in (tmp_path, folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    code = """
import given
why = ""
try:
    open(given.__path__[0] + "/new.py", "w")
except OSError as error:
    why = type(error).__name__
[given.said, why]
"""

    async def main() -> Ended:
        environment = Environment(str(folder), ("given==1",))
        async with running(here) as runner, working(runner, environment=environment) as worker:
            return (await run(worker, code))[0]

    ended = asyncio.run(main())
    assert ended.fault is None
    assert ended.value is not None
    assert json.loads(ended.value.json or "") == ["imported", "PermissionError"]
    assert sorted(path.name for path in (folder / "given").iterdir()) == ["__init__.py", "more.py"]


def test_a_module_of_the_distribution_alone_is_answered_with_what_to_do(here: Prepared) -> None:
    known, unknown = told(here, "import numpy", "import nothing_like_it")

    assert known[0].fault is not None
    assert known[0].fault.type == "ModuleNotFoundError"
    assert len(known[0].notes) == 1
    assert "`numpy`" in known[0].notes[0]
    assert "`cpython`" in known[0].notes[0]
    assert unknown[0].notes == ()


def test_usage_is_measured_from_outside(here: Prepared) -> None:
    [(ended, _)] = told(here, "sum(range(3_000_000))")

    assert ended.cpu_ms is not None
    assert 20 < ended.cpu_ms < 5_000
    assert ended.max_rss_kb is not None
    assert 60_000 < ended.max_rss_kb < 900_000


def test_sleeping_uses_no_cpu_time(here: Prepared) -> None:
    """Half of the time at most: the runtime goes on compiling beside it, on a busy machine for longer."""
    [(ended, _)] = told(here, "import time\ntime.sleep(2)")

    assert ended.cpu_ms is not None
    assert ended.cpu_ms < 1_000


@pytest.mark.service
def test_deno_does_it_too() -> None:
    from ostiary.sandbox.pyodide.javascript import find_runtime

    here = prepared(find_runtime({}, str(needs_deno())))

    async def main() -> list[tuple[Ended, Printed]]:
        async with running(here) as runner:
            return [
                await run_alone(runner, "print('a')\nprint(input())\n6 * 7", stdin=b"b"),
                await run_alone(runner, "import os\nos._exit(4)"),
            ]

    (ended, printed), (left, _) = asyncio.run(asyncio.wait_for(main(), STARTS))
    assert printed.out == b"a\nb\n"
    assert ended.value == Value("42", "42")
    assert (left.how, left.exit_code) == ("exited", 4)
