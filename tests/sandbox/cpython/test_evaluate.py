"""What code sees of its interpreter, and what is told of it."""

from __future__ import annotations

import pytest

from tests.sandbox.cpython.world import Sandbox


@pytest.mark.parametrize(
    ("code", "text", "json"),
    [
        ("1 + 1", "2", "2"),
        ("10**30", "1" + "0" * 30, "1" + "0" * 30),
        ("'two\\nlines'", "two\nlines", '"two\\nlines"'),
        ("''", "", '""'),
        ("0", "0", "0"),
        ("float('nan')", "nan", None),
        ("{'a': [1, (2.5, None, True)]}", "{'a': [1, (2.5, None, True)]}", '{"a": [1, [2.5, null, true]]}'),
        ("{1: 2}", "{1: 2}", None),
        ("{1, 2}", "{1, 2}", None),
        ("'\\ud800'", "\\ud800", None),
        ("__name__", "__main__", '"__main__"'),
        ("x = 5\nx", "5", "5"),
        ("import asyncio\nawait asyncio.sleep(0.001)\n'after'", "after", '"after"'),
        ("import asyncio\nasync def f(): return 7\nawait f()", "7", "7"),
        ("import asyncio\nasync def f(): return 8\nasyncio.run(f())", "8", "8"),
        ("l = []; l.append(l); l", "[[...]]", None),
    ],
)
def test_the_last_expression_is_the_value(any_level: Sandbox, code: str, text: str, json: str | None) -> None:
    record = any_level.run(code)

    assert record.status == "success", record.error
    assert record.result is not None
    assert (record.result.text, record.result.json) == (text, json)


@pytest.mark.parametrize("code", ["x = 1", "None", "print('x')", "", "# nothing"])
def test_no_last_expression_is_no_value(any_level: Sandbox, code: str) -> None:
    record = any_level.run(code)

    assert (record.status, record.result) == ("success", None)


def test_a_value_that_does_not_print_says_so(any_level: Sandbox) -> None:
    record = any_level.run("class A:\n    def __repr__(self): raise SystemExit(3)\nA()")

    assert record.status == "success"
    assert record.result is not None
    assert record.result.text == "<A whose repr raised SystemExit>"


def test_a_huge_integer_is_told_and_not_raised(any_level: Sandbox) -> None:
    record = any_level.run("10**5000")

    assert record.status == "success"
    assert record.result is not None
    assert record.result.text == "<int whose repr raised ValueError>"


def test_what_is_printed_comes_line_by_line_and_apart(any_level: Sandbox) -> None:
    record = any_level.run("import sys\nprint('a')\nprint('b')\nprint('err', file=sys.stderr)")

    assert (record.stdout.whole, record.stderr.whole) == ("a\nb\n", "err\n")


def test_what_programs_print_is_captured_in_order(any_level: Sandbox) -> None:
    code = """
import subprocess, sys
print('one')
subprocess.run([sys.executable, '-S', '-c', 'print(2)'])
print('three')
"""

    assert any_level.run(code).stdout.whole == "one\n2\nthree\n"


def test_context_becomes_globals(any_level: Sandbox) -> None:
    record = any_level.run("y['k'][1] + big", context={"y": {"k": [1, 2]}, "big": 10**20})

    assert record.result is not None
    assert record.result.json == "100000000000000000002"


def test_a_traceback_shows_the_codes_own_lines_only(any_level: Sandbox) -> None:
    record = any_level.run("def f():\n    return 1 / 0\nprint('before')\nf()")

    assert (record.status, record.stdout.whole) == ("error", "before\n")
    assert record.error is not None
    assert (record.error.category, record.error.type, record.error.message) == (
        "exception",
        "ZeroDivisionError",
        "division by zero",
    )
    lines = record.error.traceback.splitlines()
    assert lines[:3] == [
        "Traceback (most recent call last):",
        '  File "<cell 1>", line 4, in <module>',
        "    f()",
    ]
    assert "    return 1 / 0" in lines
    assert "ostiary" not in record.error.traceback
    assert record.stderr.whole == ""


def test_a_traceback_of_awaiting_code_is_cut_too(any_level: Sandbox) -> None:
    record = any_level.run("import asyncio\nawait asyncio.sleep(0)\nraise ValueError('x')")

    assert record.error is not None
    assert record.error.traceback.splitlines()[1] == '  File "<cell 1>", line 3, in <module>'


def test_a_syntax_error_points_at_the_line(any_level: Sandbox) -> None:
    record = any_level.run("x = 1\ny = = 2")

    assert record.error is not None
    assert record.error.type == "SyntaxError"
    assert "y = = 2" in record.error.traceback


def test_the_module_of_an_exception_is_named(any_level: Sandbox) -> None:
    record = any_level.run("import decimal\ndecimal.Decimal('x')")

    assert record.error is not None
    assert record.error.type == "decimal.InvalidOperation"


@pytest.mark.parametrize(
    ("code", "status", "exit_code"),
    [
        ("import sys; sys.exit(3)", "error", 3),
        ("import sys; sys.exit()", "success", 0),
        ("raise SystemExit(0)", "success", 0),
        ("import os; os._exit(7)", "error", 7),
        ("import asyncio\nawait asyncio.sleep(0)\nexit = __import__('sys').exit(4)", "error", 4),
    ],
)
def test_an_exit_status_is_told(any_level: Sandbox, code: str, status: str, exit_code: int) -> None:
    record = any_level.run(f"print('said')\n{code}")

    assert (record.status, record.exit_code, record.stdout.whole) == (status, exit_code, "said\n")


def test_leaving_with_words_writes_them_to_stderr(any_level: Sandbox) -> None:
    record = any_level.run("import sys; sys.exit('no good')")

    assert (record.exit_code, record.stderr.whole) == (1, "no good\n")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import os; os.abort()", "SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "SIGTERM"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    ],
)
def test_death_by_a_signal_is_told_with_what_was_printed(any_level: Sandbox, code: str, name: str) -> None:
    record = any_level.run(f"print('said', end='')\n{code}")

    assert (record.status, record.stdout.whole) == ("error", "said")
    assert record.error is not None
    assert (record.error.category, record.error.type) == ("signal", name)


def test_a_keyboard_interrupt_is_an_exception_like_others(any_level: Sandbox) -> None:
    record = any_level.run("raise KeyboardInterrupt")

    assert record.error is not None
    assert (record.error.category, record.error.type) == ("exception", "KeyboardInterrupt")


def test_input_reads_what_was_given_and_then_ends(any_level: Sandbox) -> None:
    assert any_level.run("input() + input()", stdin=b"a\nb\n").result.text == "ab"  # pyright: ignore[reportOptionalMemberAccess]
    record = any_level.run("input()")

    assert record.error is not None
    assert record.error.type == "EOFError"


def test_programs_read_the_same_standard_input(any_level: Sandbox) -> None:
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-S', '-c', 'print(input())'])"

    assert any_level.run(code, stdin=b"line\n").stdout.whole == "line\n"


def test_threads_and_tasks_that_go_on_do_not_hold_up_the_answer(any_level: Sandbox) -> None:
    code = """
import asyncio, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
async def forever():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass
task = asyncio.get_running_loop().create_task(forever())
await asyncio.sleep(0)
'done'
"""
    record = any_level.run(code)

    assert record.status == "success"
    assert record.usage.wall_ms < 8_000


def test_a_copy_that_the_code_forked_answers_nobody(any_level: Sandbox) -> None:
    code = """
import os
pid = os.fork()
if pid: os.waitpid(pid, 0)
else: print('copy')
'child' if pid == 0 else 'parent'
"""

    record = any_level.run(code)

    assert record.result is not None
    assert (record.result.text, record.stdout.whole) == ("parent", "copy\n")


def test_names_of_a_session_last_and_underscore_is_the_last_value(any_level: Sandbox) -> None:
    any_level.run("x = 20", session="names")
    any_level.run("x + 1", session="names")
    record = any_level.run("_ * 2", session="names")

    assert record.result is not None
    assert record.result.text == "42"
    failed = any_level.run("1/0", session="names")
    assert failed.error is not None
    assert '"<cell 4>", line 1' in failed.error.traceback
    assert not failed.session_lost


def test_awaiting_in_a_session_uses_one_loop(any_level: Sandbox) -> None:
    any_level.run("import asyncio\nevent = asyncio.Event()\nawait asyncio.sleep(0)", session="loop")
    record = any_level.run("event.set()\nawait event.wait()", session="loop")

    assert record.result is not None
    assert record.result.text == "True"


def test_a_session_that_leaves_is_lost_and_the_next_run_begins_anew(any_level: Sandbox) -> None:
    any_level.run("x = 1", session="leaves")
    assert any_level.run("import sys; sys.exit(2)", session="leaves").session_lost
    record = any_level.run("x", session="leaves")

    assert record.error is not None
    assert record.error.type == "NameError"


def test_standard_input_is_each_runs_own_in_a_session(any_level: Sandbox) -> None:
    first = any_level.run("input()", session="in", stdin=b"one\n")
    second = any_level.run("input()", session="in", stdin=b"two\n")

    assert [one.result.text for one in (first, second) if one.result] == ["one", "two"]


def test_classes_of_the_code_can_be_pickled(any_level: Sandbox) -> None:
    code = "import pickle\nclass A: pass\ntype(pickle.loads(pickle.dumps(A()))) is A"

    record = any_level.run(code)

    assert record.result is not None, record.error
    assert record.result.text == "True"


@pytest.mark.parametrize(
    "code",
    ["import random; random.random()", "import uuid; uuid.uuid4().hex", "import tempfile; tempfile.mktemp()"],
)
def test_chance_is_each_runs_own(any_level: Sandbox, code: str) -> None:
    assert len({any_level.run(code).result for _ in range(4)}) == 4
