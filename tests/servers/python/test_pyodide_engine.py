"""`python_execute` on the Pyodide engine, through a gate, as an official client sees it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from ostiary.sandbox.pyodide.javascript import find_runtime
from ostiary.servers.python.schemas import PYTHON_EXECUTED
from tests.e2e.driver import PYTHON_2, Connection, Drivers, Json, Stdio, failed, text
from tests.needs import needs_node
from tests.sandbox.pyodide.prepared import prepared
from tests.servers.python.world import over_stdio

pytestmark = [pytest.mark.timeout(240), pytest.mark.service]
WITHIN = 60.0
"""A runtime is started for each call, on a machine that may be busy."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    needs_node()
    made, drivers = prepared(find_runtime(os.environ)), Drivers()
    target = over_stdio(tmp_path_factory.mktemp("pyodide"), "--engine", "pyodide")
    env = {**target.env, "OSTIARY_CACHE_DIR": str(made.cache)}
    with drivers.connect(PYTHON_2, Stdio(target.command, target.log, env)) as connection:
        yield connection
    drivers.end()


def ran(connection: Connection, code: str, **more: Json) -> Json:
    number = connection.begin("tools/call", {"name": "python_execute", "arguments": {"code": code, **more}})
    answer = connection.driver.reply(number, WITHIN)
    assert "result" in answer, answer
    jsonschema.validate(answer["result"]["structuredContent"], PYTHON_EXECUTED)
    assert answer["result"]["structuredContent"]["engine"] == "pyodide"
    return answer


def test_lines_stay_lines_and_the_value_is_told(python: Connection) -> None:
    assert text(ran(python, "print('a');print('b')\n10**30")) == f"a\nb\n__RESULT__:\n{10**30}"


def test_what_was_printed_before_a_failure_is_kept(python: Connection) -> None:
    answer = ran(python, "print('before')\n1/0")

    assert failed(answer)
    assert text(answer).startswith("Python execution failed: Traceback")
    assert text(answer).endswith("\n\nbefore")


def test_nested_context_is_used_and_returned(python: Connection) -> None:
    assert text(ran(python, "y", context={"y": {"k": [1, 2]}})) == "__RESULT__:\n{'k': [1, 2]}"


def test_calls_at_once_get_each_their_own_answer(python: Connection) -> None:
    begun = [
        python.begin("tools/call", {"name": "python_execute", "arguments": {"code": f"print({n})"}})
        for n in range(6)
    ]

    assert [text(python.driver.reply(number, 120)) for number in begun] == [str(n) for n in range(6)]


def test_an_endless_run_is_ended_and_the_next_one_works(python: Connection) -> None:
    answer = ran(python, "print('half', flush=True)\nwhile True: pass", timeout=4_000)

    assert text(answer) == "Python execution interrupted: Execution timeout after 4000ms\n\nhalf"
    assert text(ran(python, "'next'")) == "__RESULT__:\nnext"


def test_the_host_is_out_of_reach(python: Connection, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for code in (
            f"open({str(secret)!r}).read()",
            "import os\nos.system('id')\nraise SystemExit(os.popen('id').read() or 1)",
            f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)",
            f"import js\njs.process.getBuiltinModule('fs').readFileSync({str(secret)!r}, 'utf8')",
            "import js\njs.process.getBuiltinModule('child_process').execSync('id').toString()",
        ):
            answer = ran(python, code)
            assert failed(answer), code
            assert "canary" not in text(answer)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_what_one_call_changes_is_not_there_for_the_next(python: Connection) -> None:
    ran(python, "import json\njson.dumps = None\nopen('/tmp/left', 'w').write('x')")

    told = text(ran(python, "import json, os\njson.dumps(os.path.exists('/tmp/left'))"))

    assert told == "__RESULT__:\nfalse"


def test_a_run_gets_the_packages_that_it_asks_for(python: Connection) -> None:
    answer = ran(python, "import humanize\nhumanize.intcomma(1234567)", requirements=["humanize>=4"])

    assert text(answer) == "__RESULT__:\n1,234,567"
