"""`python_execute` as clients see it, through a gate, behind walls that are really there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from ostiary.servers.python.schemas import PYTHON_EXECUTED
from tests.conformance.test_inspector import shown
from tests.e2e.driver import KINDS, PYTHON_1, PYTHON_2, Connection, Drivers, Json, Kind, failed, text
from tests.e2e.world import children_of, is_alive, wait_for
from tests.needs import needs_program
from tests.servers.python.world import over_http, over_stdio, walled

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]
BIG = 10**30
FIXTURE = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "description": "Python code to execute"},
        "context": {"type": "object", "additionalProperties": {}},
        "timeout": {"type": "integer", "exclusiveMinimum": 0, "default": 60000},
        "requirements": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["code"],
    "additionalProperties": False,
    "$schema": "http://json-schema.org/draft-07/schema#",
}
"""As the server that made the name known lists it."""


@pytest.fixture(scope="module")
def clients() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()


@pytest.fixture(scope="module")
def python(clients: Drivers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with clients.connect(PYTHON_2, over_stdio(tmp_path_factory.mktemp("python"))) as connection:
        yield connection


def ran(connection: Connection, code: str, **more: Json) -> Json:
    """The answer, which fits its schema whatever it says."""
    answer = connection.call("python_execute", code=code, **more)
    assert "result" in answer, answer
    if "structuredContent" in answer["result"]:
        jsonschema.validate(answer["result"]["structuredContent"], PYTHON_EXECUTED)
    return answer


def test_the_input_schema_is_the_one_that_clients_know(python: Connection) -> None:
    tools = {tool["name"]: tool for tool in python.ask("tools/list")["result"]["tools"]}

    assert tools["python_execute"]["inputSchema"] == FIXTURE
    assert all(tool["title"] and tool["outputSchema"] and tool["annotations"] for tool in tools.values())


def test_lines_stay_lines(python: Connection) -> None:
    assert text(ran(python, "print('a');print('b')")) == "a\nb"


def test_twenty_calls_at_once_get_each_their_own_answer(python: Connection) -> None:
    begun = [
        python.begin("tools/call", {"name": "python_execute", "arguments": {"code": f"print({n})\n{n}"}})
        for n in range(20)
    ]

    told = [text(python.driver.reply(number, 60)) for number in begun]

    assert told == [f"{n}\n__RESULT__:\n{n}" for n in range(20)]


def test_what_was_printed_before_a_failure_is_kept_with_the_traceback(python: Connection) -> None:
    answer = ran(python, "print('before')\ndef f():\n    1/0\nf()")

    assert failed(answer)
    told = text(answer)
    assert told.startswith("Python execution failed: Traceback (most recent call last):")
    assert told.endswith("\n\nbefore")
    assert "ZeroDivisionError: division by zero" in told
    assert "    1/0" in told, "the source line"
    assert told.count("File ") == 2, "frames of the code only"


def test_nested_context_can_be_used_and_returned(python: Connection) -> None:
    answer = ran(python, "y", context={"y": {"k": [1, 2]}})

    assert text(answer) == "__RESULT__:\n{'k': [1, 2]}"
    assert json.loads(answer["result"]["structuredContent"]["result"]["json"]) == {"k": [1, 2]}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("10**30", f"__RESULT__:\n{BIG}"),
        ("None", ""),
        ("''", "__RESULT__:"),
        ("0", "__RESULT__:\n0"),
        ("'text'", "__RESULT__:\ntext"),
        ("x = 3", ""),
        ("import asyncio\nawait asyncio.sleep(0, 'awaited')", "__RESULT__:\nawaited"),
    ],
)
def test_values_are_exact(python: Connection, code: str, told: str) -> None:
    assert text(ran(python, code)) == told


def test_a_value_without_json_is_its_text(python: Connection) -> None:
    answer = ran(python, "object()")

    assert text(answer).startswith("__RESULT__:\n<object object at 0x")
    assert answer["result"]["structuredContent"]["result"]["json"] is None


def test_big_numbers_stay_numbers_in_json(python: Connection) -> None:
    assert ran(python, "[10**30]")["result"]["structuredContent"]["result"]["json"] == f"[{BIG}]"


@pytest.mark.parametrize("timeout", [0, -1, 1.5, "5", True, None])
def test_a_timeout_that_is_no_positive_integer_is_refused(python: Connection, timeout: Json) -> None:
    answer = python.call("python_execute", code="print('ran')", timeout=timeout)

    assert failed(answer) or "error" in answer
    assert "timeout" in json.dumps(answer)
    assert "ran" not in json.dumps(answer).replace("range", "")


def test_an_endless_run_is_ended_and_the_next_one_works_at_once(python: Connection) -> None:
    began = time.monotonic()
    answer = ran(python, "print('half', flush=True)\nwhile True: pass", timeout=2_000)
    took = time.monotonic() - began

    assert failed(answer)
    assert text(answer) == "Python execution interrupted: Execution timeout after 2000ms\n\nhalf"
    assert took < 10
    assert text(ran(python, "'next'")) == "__RESULT__:\nnext"


@pytest.mark.parametrize(
    "code",
    ["import sys\nsys.exit(3)", "raise KeyboardInterrupt", "import os\nos._exit(1)", "import os\nos.abort()"],
)
def test_a_run_that_ends_itself_is_answered(python: Connection, code: str) -> None:
    answer = ran(python, code)

    assert failed(answer)
    assert text(answer).startswith("Python execution failed: ")
    assert text(ran(python, "'next'")) == "__RESULT__:\nnext"


def test_leaving_with_status_0_is_no_failure(python: Connection) -> None:
    assert not failed(ran(python, "import sys\nprint('done')\nsys.exit(0)"))


def test_input_finds_the_end_of_the_input(python: Connection) -> None:
    assert "EOFError" in text(ran(python, "input()"))


def test_output_of_programs_is_captured(python: Connection) -> None:
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(40+2)'])"

    assert text(ran(python, code)).startswith("42\n__RESULT__:\nCompletedProcess(")


def test_three_megabytes_of_output_are_cut_and_can_be_read_whole(python: Connection) -> None:
    answer = ran(python, "print('q' * 3_000_000)")

    told = text(answer)
    assert len(told) < 200_000
    assert "stdout was 3000001 bytes" in told
    run_id = answer["result"]["structuredContent"]["run_id"]
    whole = python.ask("resources/read", {"uri": f"run://{run_id}/stdout"})
    assert whole["result"]["contents"][0]["text"] == "q" * 3_000_000 + "\n"


def test_the_host_is_out_of_reach(python: Connection, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for code in (
            f"open({str(secret)!r}).read()",
            "open('/etc/shadow').read()",
            "import subprocess\nsubprocess.run(['id'], check=True)",
            f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)",
            f"import os\nos.kill({os.getpid()}, 9)",
        ):
            assert failed(ran(python, code)), code
    told = text(ran(python, "import os\nprint(dict(os.environ), open('/proc/1/environ').read())"))
    assert "OSTIARY" not in told
    assert str(Path.home()) not in told


def test_memory_is_bounded(python: Connection) -> None:
    answer = ran(python, "len(bytearray(3 << 30))")

    assert failed(answer)
    assert text(ran(python, "'next'")) == "__RESULT__:\nnext"


FORKS = """
import os, time
n = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
        n += 1
except OSError:
    print("stopped at", n)
"""


def test_a_fork_bomb_is_contained(python: Connection) -> None:
    answer = ran(python, FORKS, timeout=10_000)

    stopped = int(text(answer).split()[-1])
    assert 0 < stopped <= 64 + 6, "those of the run, and the few that its walls may need"
    assert text(ran(python, "'next'")) == "__RESULT__:\nnext"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_official_clients_accept_every_kind_of_answer(clients: Drivers, kind: Kind, tmp_path: Path) -> None:
    with clients.connect(kind, over_stdio(tmp_path)) as connection:
        assert "python_execute" in {tool["name"] for tool in connection.ask("tools/list")["result"]["tools"]}
        assert text(ran(connection, "1+1")) == "__RESULT__:\n2"
        assert failed(ran(connection, "1/0"))
        assert "after 300ms" in text(ran(connection, "while True: pass", timeout=300))
        assert "stdout was" in text(ran(connection, "print('x' * 100_000)"))
        picture = connection.call("run", code="open('out/a.bin', 'wb').write(bytes(9))", session="s")
        links = [part for part in picture["result"]["content"] if part["type"] == "resource_link"]
        shown = [part for part in picture["result"]["content"] if "artifact://" in part.get("text", "")]
        assert links or shown


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_official_clients_work_over_http(clients: Drivers, kind: Kind, tmp_path: Path) -> None:
    gate = over_http(tmp_path)
    try:
        with clients.connect(kind, gate.http) as connection:
            assert text(ran(connection, "print(1)\n2")) == "1\n__RESULT__:\n2"
    finally:
        assert gate.stop() == 0


def processes_of(gate: int) -> set[int]:
    return {pid for pid in children_of(gate) if is_alive(pid)}


def busy(gate: int) -> int:
    """How many processes of the busy run there are."""
    found = 0
    for pid in processes_of(gate):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found += MARK.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return found


MARK = "while 1: pass"
BUSY = f"""
import subprocess, sys
for _ in "abc":
    subprocess.Popen([sys.executable, "-c", "{MARK}"])
while True: pass
"""


@pytest.mark.parametrize("kind", [PYTHON_2, PYTHON_1], ids=lambda kind: kind.name)
def test_a_client_that_leaves_ends_what_its_run_started(clients: Drivers, tmp_path: Path, kind: Kind) -> None:
    gate = over_http(tmp_path)
    try:
        pid = gate.process.pid
        client = clients.connect(kind, gate.http)
        client.begin("tools/call", {"name": "python_execute", "arguments": {"code": BUSY}})
        wait_for("the busy run", lambda: busy(pid) == 3, 10)

        client.close()

        wait_for("its end", lambda: busy(pid) == 0)
    finally:
        assert gate.stop() == 0
    assert not processes_of(pid)


def test_nothing_is_left_after_the_gate_was_killed(clients: Drivers, tmp_path: Path) -> None:
    gate = over_http(tmp_path)
    with clients.connect(PYTHON_2, gate.http) as client:
        ran(client, "1")
        left = processes_of(gate.process.pid)
        assert left
        gate.stop(signal.SIGKILL)
        wait_for("the end of its workers", lambda: not any(is_alive(pid) for pid in left))


SCRIPT = """\
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "humanize >=4, <5 ; python_version >= '3.11'",
#   "nothing-of-this-name ; python_version < '3.11'",
# ]
# ///
import humanize
humanize.intcomma(1234567)
"""


def test_a_script_gets_what_its_block_asks_for_and_nobody_else_does(python: Connection) -> None:
    answer = ran(python, SCRIPT)

    assert text(answer) == "__RESULT__:\n1,234,567"
    assert "humanize" in json.dumps(answer["result"]["_meta"])
    assert "No module named 'humanize'" in text(ran(python, "import humanize"))


def test_a_script_for_another_python_is_not_run(python: Connection) -> None:
    code = '# /// script\n# requires-python = ">=3.99"\n# ///\nprint("ran")'

    told = text(ran(python, code))

    assert "the script requires Python '>=3.99'" in told
    assert "ran" not in told.split()


@pytest.mark.parametrize(
    "requirement",
    [
        "x @ https://example.org/x.whl",
        "-r /etc/passwd",
        "../x",
        "--index-url=http://example.org",
        "git+ssh://x",
    ],
)
def test_a_requirement_says_what_and_never_where_from(python: Connection, requirement: str) -> None:
    answer = ran(python, "print('ran')", requirements=[requirement])

    assert failed(answer)
    assert "ran" not in text(answer).split()


def test_a_package_that_nobody_has_is_told_in_the_words_of_the_resolver(python: Connection) -> None:
    told = text(ran(python, "1", requirements=["ostiary-no-such-package"]))

    assert "ostiary-no-such-package was not found" in told
    assert "/var/" not in told


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_lists_and_calls_over_http_and_stdio(tmp_path: Path, era: str) -> None:
    gate = over_http(tmp_path)
    token = f"Authorization: Bearer {gate.http.token}"
    started = [f"{name}={value}" for name, value in walled().items()]
    (tmp_path / "stdio").mkdir()
    script = over_stdio(tmp_path / "stdio").command
    targets = (
        [gate.http.url, "--transport", "http", "--header", token],
        [str(needs_program("env")), *started, *script],
    )
    call = ("--method", "tools/call", "--tool-name", "python_execute", "--tool-arg", "code=print(40+2)")
    try:
        for target in targets:
            listed = shown([*target, "--protocol-era", era], "--method", "tools/list", home=tmp_path)
            told = shown([*target, "--protocol-era", era], *call, home=tmp_path)
            assert isinstance(listed, dict)
            assert "python_execute" in {tool["name"] for tool in listed["tools"]}
            assert isinstance(told, dict)
            assert told["content"] == [{"type": "text", "text": "42"}]
    finally:
        assert gate.stop() == 0
