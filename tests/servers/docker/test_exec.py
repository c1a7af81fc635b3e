"""`exec` as clients see it, through a gate, in containers of a real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.driver import PYTHON_2, PYTHON_2_LEGACY, Connection, Drivers, Json, failed, text
from tests.e2e.world import wait_for
from tests.needs import needs_docker
from tests.servers.docker.world import box, called, data, docker, first, foreign, fresh, over_stdio, processes

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]

BEGINS_MS = 5_000
"""Until a command is over that has to begin and print before: a busy engine takes a second to start it."""


@pytest.fixture(scope="module")
def clients() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    (folder / "vars").write_text("# remark\nFROM_FILE=one\nBOTH=file\n")
    (folder / "names").write_text("PATH\n")
    (folder / "out").symlink_to("/etc/hostname")
    return folder


@pytest.fixture(scope="module")
def server(clients: Drivers, work: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    target = over_stdio(tmp_path_factory.mktemp("docker"), needs_docker(), "--work-folder", str(work))
    with clients.connect(PYTHON_2, target) as connection:
        yield connection


@pytest.fixture(scope="module")
def web(server: Connection) -> Iterator[str]:
    with box(server) as name:
        yield name


def executed(server: Connection, container: str, *command: str, **more: Json) -> Json:
    return called(server, "exec", container=container, command=list(command), **more)


def shell(server: Connection, container: str, script: str, **more: Json) -> Json:
    return executed(server, container, "sh", "-c", script, **more)


def python(server: Connection, container: str, code: str, **more: Json) -> Json:
    return executed(server, container, "python3", "-c", code, **more)


# --- 22: exit codes -----------------------------------------------------------------------------


def test_success_is_exit_code_0(server: Connection, web: str) -> None:
    result = python(server, web, "import sys; print('out'); print('err', file=sys.stderr)")

    assert first(result) == "Exec succeeded\nout\n\nstderr: err\n"
    assert data(result) == {"exitCode": 0, "stdout": "out\n", "stderr": "err\n"}
    assert result["isError"] is False


def test_failure_is_its_exit_code_and_no_error_of_the_tool(server: Connection, web: str) -> None:
    result = python(server, web, "import sys; print('half'); sys.exit(3)")

    assert first(result) == "Exec failed (exit code 3)\nhalf\n"
    assert data(result) == {"exitCode": 3, "stdout": "half\n", "stderr": ""}
    assert result["isError"] is False


def test_an_unknown_container_is_exit_code_1(server: Connection) -> None:
    result = executed(server, "nobody", "id")

    assert data(result)["exitCode"] == 1
    assert data(result)["stderr"] == "Error response from daemon: No such container: nobody"
    assert result["isError"] is False


def test_a_missing_program_is_exit_code_127(server: Connection, web: str) -> None:
    result = executed(server, web, "no-such-program")

    assert data(result)["exitCode"] == 127
    assert "no-such-program" in data(result)["stderr"]
    assert first(result).startswith("Exec failed (exit code 127)\nstderr: ")
    assert result["isError"] is False


def test_a_program_that_cannot_be_executed_is_exit_code_126(server: Connection, web: str) -> None:
    assert data(executed(server, web, "/etc"))["exitCode"] == 126


def test_a_signal_is_128_and_its_number(server: Connection, web: str) -> None:
    assert data(python(server, web, "import os; os.kill(os.getpid(), 9)"))["exitCode"] == 137


def test_a_stopped_container_is_exit_code_1(clients: Drivers, tmp_path: Path) -> None:
    target = over_stdio(tmp_path, needs_docker(), "--container", name := fresh("theirs"))
    with foreign(name), clients.connect(PYTHON_2, target) as server:
        assert data(executed(server, name, "true"))["exitCode"] == 0
        docker("stop", "-t", "0", name)
        result = executed(server, name, "true")

        assert data(result)["exitCode"] == 1
        assert "is not running" in data(result)["stderr"]


# --- 23: time-out -------------------------------------------------------------------------------


def test_a_time_out_keeps_what_was_printed_and_ends_the_process_in_the_container(
    server: Connection, web: str
) -> None:
    code = "import time\nprint('half', flush=True)\ntime.sleep(597)"
    result = python(server, web, code, timeout=BEGINS_MS)

    assert first(result) == "Exec timed out\nhalf\n"
    assert data(result) == {"exitCode": 124, "stdout": "half\n", "stderr": "", "timedOut": True}
    assert result["isError"] is False
    assert processes(web, "sleep(597)") == []


def test_what_a_command_started_is_ended_with_it(server: Connection, web: str) -> None:
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(596)'], start_new_session=True)\n"
        "print('started', flush=True)\ntime.sleep(596)"
    )
    result = python(server, web, code, timeout=BEGINS_MS)

    assert data(result)["stdout"] == "started\n"
    wait_for("the end of both processes", lambda: processes(web, "sleep(596)") == [])


# --- 24: output ---------------------------------------------------------------------------------


def test_json_is_parsed_from_all_that_was_printed(server: Connection, web: str) -> None:
    code = "import json; print(json.dumps({'k': ['x' * 9_000, 10**30]}))"
    result = python(server, web, code, parseJson=True, limit=10)

    assert data(result)["json"] == {"k": ["x" * 9_000, 10**30]}
    assert data(result)["stdout"] == '{"k": ["xx'
    assert data(result)["isTruncated"] is True
    assert "parseJsonError" not in data(result)


def test_what_is_no_json_is_said(server: Connection, web: str) -> None:
    result = python(server, web, "print('no')", parseJson=True)

    assert "json" not in data(result)
    assert f"json-parse-error: {data(result)['parseJsonError']}" in first(result)
    assert data(result)["exitCode"] == 0


def test_a_reply_that_is_shortened_says_so_and_all_of_it_can_be_read(server: Connection, web: str) -> None:
    result = python(server, web, "for n in range(20_000): print('line', n)")

    assert first(result).startswith("Exec succeeded [truncated]\nline 0\n")
    assert data(result)["isTruncated"] is True
    assert len(data(result)["stdout"]) < 10_000
    assert data(result)["stdout"].endswith("line 19999\n")
    assert "stdoutPreview" not in data(result)
    uri = next(part["uri"] for part in result["content"] if part["type"] == "resource_link")
    whole = server.ask("resources/read", {"uri": uri})["result"]["contents"][0]["text"]
    assert whole == "".join(f"line {n}\n" for n in range(20_000))


def test_what_is_printed_without_end_is_ended_and_what_came_is_told(server: Connection, web: str) -> None:
    result = python(server, web, "import sys\nwhile True: sys.stdout.write('x' * 65536)", timeout=60_000)

    assert data(result)["exitCode"] == 137
    assert data(result)["isTruncated"] is True
    assert data(result)["stdout"].startswith("xxx")
    assert "the run wrote more than 16777216 bytes" in data(result)["stderr"]
    assert result["isError"] is False


def test_colours_are_taken_out(server: Connection, web: str) -> None:
    assert data(python(server, web, r"print('\x1b[31mred\x1b[0m')"))["stdout"] == "red\n"


# --- 25: what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"container": "-it"}, "`container` begins with `-`"),
        ({"container": "--privileged"}, "`container` begins with `-`"),
        ({"container": "a/../b"}, "cannot be the name of a container"),
        ({"container": "a b"}, "cannot be the name of a container"),
        ({"container": "$(id)"}, "cannot be the name of a container"),
        ({"container": "a\nb"}, "cannot be the name of a container"),
        ({"command": []}, "`command` is empty"),
        ({"command": ["-x"]}, "`command` begins with `-x`"),
        ({"command": "id"}, "`command` is a list of strings, found one string"),
        ({"command": '["id"]'}, "`command` is a list of strings, found one string"),
        ({"env": ["FOO"]}, "without `=`"),
        ({"env": ["--env-file=/etc/passwd"]}, "cannot be the name of a variable"),
        ({"limit": -1}, "`limit` is 0 or more"),
        ({"volumes": ["/:/host"]}, "volumes"),
        ({"privileged": True}, "privileged"),
        ({"timeout": 999}, "timeout"),
        ({"detach": "yes"}, "detach"),
        ({"user": "--user=root"}, "`user` begins with `-`"),
        ({"user": "a b"}, "cannot be a user"),
        ({"workdir": "relative"}, "not an absolute path"),
        ({"workdir": "-w"}, "`workdir` begins with `-`"),
        ({"envFile": "../../etc/passwd"}, "is outside the work folder"),
        ({"envFile": "/etc/passwd"}, "is outside the work folder"),
        ({"envFile": "out"}, "is outside the work folder"),
        ({"envFile": "names"}, "`envFile` has `PATH` without `=`"),
        ({"path": "/"}, "is outside the work folder"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_reason(
    server: Connection, web: str, arguments: Json, reason: str
) -> None:
    answer = server.call("exec", **{"container": web, "command": ["touch", "/tmp/ran"], **arguments})

    assert failed(answer), answer
    assert reason in text(answer)
    assert "structuredContent" not in answer["result"]
    assert data(executed(server, web, "ls", "/tmp/ran"))["exitCode"] != 0 or "ls" not in text(answer)


def test_words_are_taken_for_booleans(server: Connection, web: str) -> None:
    result = python(server, web, "print('{}')", parseJson="true", compact="false", detach="false")

    assert data(result)["json"] == {}


# --- the rest of its arguments ------------------------------------------------------------------


def test_variables_folder_and_user_are_those_that_were_asked_for(server: Connection, web: str) -> None:
    code = "import os; print(os.environ['A'], os.environ['B'], os.getcwd(), os.getuid())"
    result = python(server, web, code, env=["A=x=y", "B="], workdir="/tmp", user="1234")

    assert data(result)["stdout"] == "x=y  /tmp 1234\n"


def test_variables_come_from_a_file_of_the_work_folder_and_others_go_before_them(
    server: Connection, web: str
) -> None:
    code = "import os; print(os.environ['FROM_FILE'], os.environ['BOTH'])"
    result = python(server, web, code, envFile="vars", env=["BOTH=argument"], path=".")

    assert data(result)["stdout"] == "one argument\n"


def test_no_variable_of_the_server_reaches_a_container(server: Connection, web: str) -> None:
    shown = data(python(server, web, "import os; print(dict(os.environ))"))["stdout"]

    assert "DOCKER" not in shown
    assert str(Path.home()) not in shown or Path.home() == Path("/root")


def test_a_detached_command_goes_on(server: Connection, web: str) -> None:
    name = fresh("mark")
    code = f"import time; open('/tmp/{name}', 'w').close(); time.sleep(595)"
    result = executed(server, web, "python3", "-c", code, detach=True)

    assert data(result) == {"exitCode": 0, "stdout": "", "stderr": ""}
    wait_for(
        "the detached command",
        lambda: data(executed(server, web, "python3", "-c", f"open('/tmp/{name}')"))["exitCode"] == 0,
    )
    assert len(processes(web, "sleep(595)")) == 1


def test_arguments_arrive_byte_for_byte(server: Connection, web: str) -> None:
    words = ["", " ", "'", '"', "$HOME", "`id`", "a\nb", "*", "ä€😀", "x" * 60_000]
    result = python(server, web, "import json, sys; print(json.dumps(sys.argv[1:]))", compact=False)
    assert data(result)["stdout"] == "[]\n"
    result = executed(
        server,
        web,
        "python3",
        "-c",
        "import json, sys; print(json.dumps(sys.argv[1:]))",
        *words,
        parseJson=True,
    )

    assert data(result)["json"] == words


def test_progress_and_what_was_printed_are_told_while_a_command_runs(
    clients: Drivers, tmp_path: Path
) -> None:
    """On the older era, where a client hears of a server's log without asking for it."""
    code = "import time\nfor n in range(7): print('step', n, flush=True); time.sleep(1)"
    with (
        clients.connect(PYTHON_2_LEGACY, over_stdio(tmp_path, needs_docker())) as server,
        box(server) as name,
    ):
        arguments = {"container": name, "command": ["python3", "-c", code]}
        number = server.begin("tools/call", {"name": "exec", "arguments": arguments})
        answer = server.driver.reply(number, 30)

        assert "bytes of output" in json.dumps(answer["progress"])
        assert data(answer["result"])["stdout"].endswith("step 6\n")
        assert "step 0" in json.dumps(server.heard())
